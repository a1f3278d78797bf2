//! Files, written on a thread of their own: a disk may take its time, and the loop has none to give.
//!
//! Jobs go to the thread by a channel and are done in order; of each one that does something the loop is told
//! by a post.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use onloop::Remote;
use sha2::{Digest, Sha256};

/// What the thread is asked for, each for the upload of a number.
pub(crate) enum Job {
    /// A piece of content.
    Write(u64, Vec<u8>),
    /// That was all.
    Keep(u64),
    /// It came to nothing.
    Discard(u64),
}

/// What became of a [`Job::Write`] or [`Job::Keep`].
pub(crate) enum Done {
    Written,
    Kept(Summary),
    Failed(std::io::Error),
}

pub(crate) struct Summary {
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

pub(crate) struct Disk {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Disk {
    /// Files go into `directory`; `tell` is called on the loop's thread.
    pub(crate) fn start(directory: PathBuf, remote: Remote, tell: fn(u64, Done)) -> Disk {
        // The loop must not wait for the thread, which ends when the loop is gone.
        remote.unref();
        let (jobs, queue) = channel();
        let thread = std::thread::spawn(move || work(&queue, &directory, &remote, tell));
        Disk { jobs, thread }
    }

    pub(crate) fn jobs(&self) -> Sender<Job> {
        self.jobs.clone()
    }

    /// Waits for the jobs that are left. All other senders must be gone.
    pub(crate) fn finish(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

fn work(queue: &Receiver<Job>, directory: &Path, remote: &Remote, tell: fn(u64, Done)) {
    let mut uploads: HashMap<u64, State> = HashMap::new();
    for job in queue {
        let (number, done) = match job {
            Job::Write(number, content) => {
                (number, write(&mut uploads, number, directory, &content))
            }
            Job::Keep(number) => (number, keep(&mut uploads, number, directory)),
            Job::Discard(number) => {
                uploads.remove(&number);
                continue;
            }
        };
        let Some(done) = done else { continue };
        // Refused when the loop is gone, where nobody waits for it; or when too many posts wait for the loop,
        // which the bound on what each upload has in flight does not let happen.
        if remote.post(move |_| tell(number, done)).is_err() {
            return;
        }
    }
    // Files that are still partial are removed here, by their destructors.
}

/// What there is of an upload.
enum State {
    Partial(Partial),
    /// Without one of its pieces the others are worth nothing, though the loop may not know yet and sends them.
    Failed,
}

/// `None` for an upload that has failed already.
fn write(
    uploads: &mut HashMap<u64, State>,
    number: u64,
    directory: &Path,
    content: &[u8],
) -> Option<Done> {
    let written = match uploads.remove(&number) {
        Some(State::Failed) => {
            uploads.insert(number, State::Failed);
            return None;
        }
        Some(State::Partial(file)) => file.write(content),
        None => Partial::new(directory, number).and_then(|file| file.write(content)),
    };
    let (state, done) = match written {
        Ok(file) => (State::Partial(file), Done::Written),
        Err(error) => (State::Failed, Done::Failed(error)),
    };
    uploads.insert(number, state);
    Some(done)
}

fn keep(uploads: &mut HashMap<u64, State>, number: u64, directory: &Path) -> Option<Done> {
    let kept = match uploads.remove(&number) {
        Some(State::Failed) => return None,
        Some(State::Partial(file)) => file.keep(directory),
        // There was no content.
        None => Partial::new(directory, number).and_then(|file| file.keep(directory)),
    };
    Some(kept.map_or_else(Done::Failed, Done::Kept))
}

/// A file that is not complete. It has a name of its own until it is, so that nobody takes it for a whole one,
/// and is removed when it is dropped before.
struct Partial {
    file: File,
    path: PathBuf,
    is_kept: bool,
    size: u64,
    hash: Sha256,
}

impl Partial {
    fn new(directory: &Path, number: u64) -> std::io::Result<Partial> {
        let path = directory.join(format!("{}-{number}.partial", std::process::id()));
        let file = File::create_new(&path)?;
        Ok(Partial { file, path, is_kept: false, size: 0, hash: Sha256::new() })
    }

    fn write(mut self, content: &[u8]) -> std::io::Result<Partial> {
        self.file.write_all(content)?;
        self.size += content.len() as u64;
        self.hash.update(content);
        Ok(self)
    }

    /// Gives it its name, which is the hash of what it holds: a client has no say in it.
    fn keep(mut self, directory: &Path) -> std::io::Result<Summary> {
        self.file.sync_all()?;
        let hash = std::mem::take(&mut self.hash).finalize();
        let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        std::fs::rename(&self.path, directory.join(&sha256))?;
        self.is_kept = true;
        Ok(Summary { size: self.size, sha256 })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
