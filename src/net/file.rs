//! Content that comes from files: sent by the system from its page cache, where it can, and read by a thread
//! of its own where the disk would have to be waited for.
//!
//! No system tells without a race whether a read will wait. What is asked here is near enough: Linux reads
//! a byte "only if it is in memory" (`RWF_NOWAIT`), and that is done every [`PROBE_STRIDE`] bytes. Elsewhere
//! nothing can be told, and everything goes through the thread. Deliberately not here: whose turn it is, and
//! how content is framed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::Net;
use super::remote::Waker;

/// How far apart the bytes are that are looked for in memory. The system reads ahead by more than that, so
/// a hole between two of them is rare; the loop waits for it once then.
#[cfg(target_os = "linux")]
const PROBE_STRIDE: u64 = 32 * 1024;

/// The length of a regular file; `None` for whatever else a descriptor may be of.
pub(crate) fn regular_length(file: &File) -> io::Result<Option<u64>> {
    let metadata = file.metadata()?;
    Ok(metadata.is_file().then_some(metadata.len()))
}

/// Fills `buffer` from `offset`, up to the end of the file. May wait for the disk.
pub(super) fn read(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The same as far as the file is in memory: 0 is its end, `None` that the disk has to be asked, or that the
/// system cannot tell.
#[cfg(target_os = "linux")]
pub(super) fn read_cached(
    file: &File,
    offset: u64,
    buffer: &mut [u8],
) -> Option<io::Result<usize>> {
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    let mut filled = 0;
    while filled < buffer.len() {
        let place = offset.saturating_add(filled as u64);
        let mut slices = [io::IoSliceMut::new(&mut buffer[filled..])];
        match preadv2(file, &mut slices, place, ReadWriteFlags::NOWAIT) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) if filled > 0 => break,
            // Not in memory; or a file system, or a kernel, that does not know the question.
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => return None,
            Err(error) => return Some(Err(error.into())),
        }
    }
    Some(Ok(filled))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read_cached(_: &File, _: u64, _: &mut [u8]) -> Option<io::Result<usize>> {
    None
}

/// Whether `length` bytes from `offset` are in memory, as far as that can be told: false where it cannot.
#[cfg(target_os = "linux")]
pub(super) fn is_cached(file: &File, offset: u64, length: usize) -> bool {
    let Some(last) = offset.checked_add((length as u64).saturating_sub(1)) else {
        return false;
    };
    let is_here = |place| matches!(read_cached(file, place, &mut [0]), Some(Ok(_)));
    // From the end, which comes into memory last.
    is_here(last) && (offset..last).step_by(PROBE_STRIDE as usize).all(is_here)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_cached(_: &File, _: u64, _: usize) -> bool {
    false
}

/// What the thread is to do: read a part of a file.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) length: usize,
    /// The bytes are wanted; else it is enough that they are in memory.
    pub(crate) keep: bool,
}

impl Job {
    /// Reads. `scratch` takes what is not kept.
    fn run(&self, scratch: &mut Vec<u8>) -> io::Result<Vec<u8>> {
        if !self.keep {
            scratch.resize(self.length.max(scratch.len()), 0);
            read(&self.file, self.offset, &mut scratch[..self.length])?;
            return Ok(Vec::new());
        }
        let mut bytes = vec![0; self.length];
        let count = read(&self.file, self.offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

/// Reads files off the loop, on one thread that the first job starts. `T` names who asked.
pub(crate) struct FileReader<T> {
    waker: Waker,
    thread: Option<ReaderThread<T>>,
    under_way: usize,
    /// Most jobs that the thread is given at a time: it has something to do while the loop sleeps, and whoever
    /// comes next does not wait for content that nobody wants any more.
    jobs_max: usize,
    /// Read on the loop's own thread, since no other could be had.
    finished: VecDeque<(T, io::Result<Vec<u8>>)>,
}

/// The channels of the thread, which ends when the first of them is dropped.
struct ReaderThread<T> {
    /// Holds as many as [`FileReader::has_room`] lets in.
    jobs: Sender<(T, Job)>,
    results: Receiver<(T, io::Result<Vec<u8>>)>,
}

impl<T: Send + 'static> FileReader<T> {
    /// A reader for the loop of `net`. No thread yet.
    pub(crate) fn new(net: &Net, jobs_max: usize) -> FileReader<T> {
        let waker = net.remote();
        FileReader { waker, thread: None, under_way: 0, jobs_max, finished: VecDeque::new() }
    }

    /// One more job can be started.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way < self.jobs_max
    }

    /// Starts a job; the loop is woken when it is done. To be called where there is room.
    pub(crate) fn start(&mut self, tag: T, job: Job) {
        if self.thread.is_none() {
            match ReaderThread::start(self.waker.clone()) {
                Ok(thread) => self.thread = Some(thread),
                Err(error) => log::error!(
                    target: "onloop::loop",
                    "no thread to read files: the loop waits for the disk itself: {error}"
                ),
            }
        }
        let unsent = match &self.thread {
            Some(thread) => thread.jobs.send((tag, job)).err().map(|error| error.0),
            None => Some((tag, job)),
        };
        match unsent {
            None => self.under_way += 1,
            Some((tag, job)) => {
                self.finished.push_back((tag, job.run(&mut Vec::new())));
                self.waker.wake();
            }
        }
    }

    /// The next result. To be called until `None` whenever the loop was woken.
    pub(crate) fn take(&mut self) -> Option<(T, io::Result<Vec<u8>>)> {
        if let Some(finished) = self.finished.pop_front() {
            return Some(finished);
        }
        let result = self.thread.as_ref()?.results.try_recv().ok()?;
        self.under_way -= 1;
        Some(result)
    }
}

impl<T> std::fmt::Debug for FileReader<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileReader").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl<T: Send + 'static> ReaderThread<T> {
    fn start(waker: Waker) -> io::Result<ReaderThread<T>> {
        let (jobs, jobs_in) = channel::<(T, Job)>();
        let (results_out, results) = channel();
        // Detached on purpose: a disk that does not answer must not keep a program from ending.
        thread::Builder::new()
            .name("onloop-files".into())
            .spawn(move || run_jobs(&jobs_in, &results_out, &waker))?;
        Ok(ReaderThread { jobs, results })
    }
}

fn run_jobs<T>(
    jobs: &Receiver<(T, Job)>,
    results: &Sender<(T, io::Result<Vec<u8>>)>,
    waker: &Waker,
) {
    let mut scratch = Vec::new();
    while let Ok((tag, job)) = jobs.recv() {
        let result = job.run(&mut scratch);
        // Before the loop hears of it: when the loop lets go of the file it shall be closed.
        drop(job);
        if results.send((tag, result)).is_err() {
            return;
        }
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::time::{Duration, Instant};

    use super::*;

    fn file_of(bytes: &[u8]) -> File {
        let name = format!("onloop-net-file-{}-{:?}", std::process::id(), thread::current().id());
        let path = std::env::temp_dir().join(name);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn wait<T: Send + 'static>(
        net: &mut Net,
        reader: &mut FileReader<T>,
    ) -> (T, io::Result<Vec<u8>>) {
        let began = Instant::now();
        loop {
            if let Some(result) = reader.take() {
                return result;
            }
            assert!(began.elapsed() < Duration::from_secs(10), "no result comes");
            net.poll(Some(Duration::from_secs(10)), &mut Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_job_reads_up_to_the_end_of_the_file_and_wakes_the_loop() {
        let mut net = Net::system(8).unwrap();
        let mut reader = FileReader::new(&net, 16);
        let file = Arc::new(file_of(b"0123456789"));
        let job = |offset, keep| Job { file: Arc::clone(&file), offset, length: 4, keep };
        reader.start(1, job(2, true));
        reader.start(2, job(8, true));
        reader.start(3, job(20, true));
        reader.start(4, job(0, false));
        for (tag, expected) in [(1, "2345"), (2, "89"), (3, ""), (4, "")] {
            let (found, result) = wait(&mut net, &mut reader);
            assert_eq!((found, result.unwrap()), (tag, expected.as_bytes().to_vec()));
        }
        assert!(reader.take().is_none() && reader.has_room());
        assert_eq!(Arc::strong_count(&file), 1);
    }

    #[test]
    fn an_error_of_the_file_is_the_jobs() {
        let mut net = Net::system(8).unwrap();
        let mut reader = FileReader::new(&net, 16);
        let directory = Arc::new(File::open(std::env::temp_dir()).unwrap());
        reader.start((), Job { file: directory, offset: 0, length: 4, keep: true });
        let (_, result) = wait(&mut net, &mut reader);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn no_more_jobs_are_taken_than_the_thread_is_to_have() {
        let mut net = Net::system(8).unwrap();
        let mut reader = FileReader::new(&net, 16);
        let file = Arc::new(file_of(b"abc"));
        let mut started = 0;
        while reader.has_room() {
            reader.start(started, Job { file: file.clone(), offset: 0, length: 3, keep: true });
            started += 1;
        }
        assert_eq!(started, 16);
        for tag in 0..started {
            assert_eq!(wait(&mut net, &mut reader).0, tag);
        }
        assert!(reader.has_room());
    }

    #[test]
    fn a_limit_of_any_size_costs_nothing() {
        let mut net = Net::system(8).unwrap();
        let mut reader = FileReader::new(&net, usize::MAX);
        let file = Arc::new(file_of(b"abc"));
        reader.start(1, Job { file, offset: 0, length: 3, keep: true });
        assert_eq!(wait(&mut net, &mut reader).0, 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_just_written_is_in_memory() {
        let file = file_of(&[7; 100_000]);
        let mut buffer = [0; 1000];
        match read_cached(&file, 99_500, &mut buffer) {
            // Where the file system cannot tell, nothing is in memory.
            None => assert!(!is_cached(&file, 0, 100_000)),
            Some(result) => {
                assert_eq!(result.unwrap(), 500);
                assert!(buffer[..500].iter().all(|byte| *byte == 7));
                assert!(is_cached(&file, 0, 100_000));
            }
        }
    }
}
