//! Files to be sent.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes of which no two stretches are the same.
pub(crate) fn pattern(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}

/// A file of its own in the system's directory for such, removed in the end.
pub(crate) struct Stored {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Stored {
    pub(crate) fn new(bytes: &[u8]) -> Stored {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onloop-send-file-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, bytes).expect("a file can be written");
        Stored { path, bytes: bytes.to_vec() }
    }

    /// Zeros, which take no room on the disk.
    pub(crate) fn zeros(length: usize) -> Stored {
        let mut stored = Stored::new(b"");
        let file = File::options().write(true).open(&stored.path).expect("it is there");
        file.set_len(length as u64).expect("a file can have holes");
        stored.bytes = vec![0; length];
        stored
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn open(&self) -> File {
        File::open(&self.path).expect("it is there")
    }

    /// Has the system drop it from memory, where it can be told to.
    pub(crate) fn forget(&self) {
        let file = self.open();
        // Only what is on the disk can be dropped.
        file.sync_all().expect("it can be written to the disk");
        #[cfg(target_os = "linux")]
        {
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("advice");
        }
    }

    /// Some of it is not in memory. Not every file system lets that be told, or forgets.
    #[cfg(target_os = "linux")]
    pub(crate) fn is_forgotten(&self) -> bool {
        let mut byte = [0];
        let mut slices = [std::io::IoSliceMut::new(&mut byte)];
        let middle = self.bytes.len() as u64 / 2;
        let nowait = rustix::io::ReadWriteFlags::NOWAIT;
        rustix::io::preadv2(self.open(), &mut slices, middle, nowait).is_err()
    }

    /// How many descriptors of this process are of this file.
    #[cfg(target_os = "linux")]
    pub(crate) fn descriptors(&self) -> usize {
        let all = std::fs::read_dir("/proc/self/fd").expect("linux tells");
        all.flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|target| *target == self.path)
            .count()
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // A file that stays behind does no harm.
        let _ = std::fs::remove_file(&self.path);
    }
}
