//! Which file a URL names, and a thread that finds and opens it: a slow disk must not hold up the loop.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::SystemTime;

use onloop::Remote;

/// Most files that wait for the thread; far fewer than posts that the loop takes.
const JOBS_MAX: usize = 1024;

/// No file system has longer names, and systems refuse longer paths: no file can be called so.
const NAME_BYTES_MAX: usize = 255;
const PATH_BYTES_MAX: usize = 1024;

/// What has become of a search.
pub(crate) enum Found {
    File(Opened),
    /// The path of a directory, without its slash.
    Directory,
    Missing,
    Forbidden,
    Failed(io::Error),
}

/// A file, ready to be sent.
pub(crate) struct Opened {
    pub(crate) file: File,
    pub(crate) length: u64,
    pub(crate) modified: SystemTime,
    pub(crate) content_type: &'static str,
}

/// A path below the directory that is served.
pub(crate) struct Wanted {
    path: PathBuf,
    /// It ended in a slash: a directory is meant.
    slash: bool,
}

/// The way to the thread.
pub(crate) struct Store {
    jobs: SyncSender<(u64, Wanted)>,
}

impl Store {
    /// Starts the thread. It has `deliver` called on the loop with what it has found.
    pub(crate) fn open(
        directory: &Path,
        remote: Remote,
        deliver: fn(u64, Found),
    ) -> io::Result<Store> {
        // By its real name, which what is found must begin with.
        let root = directory.canonicalize()?;
        // A connection that waits for its file keeps the loop going; this thread must not.
        remote.unref();
        let (jobs, jobs_in) = sync_channel(JOBS_MAX);
        std::thread::Builder::new()
            .name("store".to_string())
            .spawn(move || work(&root, &jobs_in, &remote, deliver))?;
        Ok(Store { jobs })
    }

    /// Has a file looked for. An error when too many are waited for already.
    pub(crate) fn find(&self, number: u64, wanted: Wanted) -> Result<(), Wanted> {
        self.jobs.try_send((number, wanted)).map_err(|error| match error {
            std::sync::mpsc::TrySendError::Full((_, wanted))
            | std::sync::mpsc::TrySendError::Disconnected((_, wanted)) => wanted,
        })
    }
}

fn work(root: &Path, jobs: &Receiver<(u64, Wanted)>, remote: &Remote, deliver: fn(u64, Found)) {
    while let Ok((number, wanted)) = jobs.recv() {
        let found = find(root, &wanted).unwrap_or_else(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Found::Missing,
            ErrorKind::PermissionDenied => Found::Forbidden,
            _ => Found::Failed(error),
        });
        if remote.post(move |_| deliver(number, found)).is_err() {
            // The loop is gone: there is room for all posts of ours.
            return;
        }
    }
}

fn find(root: &Path, wanted: &Wanted) -> io::Result<Found> {
    // Symbolic links are followed first, then it is looked where they have led. Who may write below the
    // directory could exchange a link between the two; whoever may do that may put the file there as well.
    let path = root.join(&wanted.path).canonicalize()?;
    if !path.starts_with(root) {
        return Ok(Found::Missing);
    }
    let metadata = fs::metadata(&path)?;
    match (metadata.is_dir(), wanted.slash) {
        (true, false) => Ok(Found::Directory),
        (true, true) => {
            let index = path.join("index.html").canonicalize()?;
            match index.starts_with(root) && fs::metadata(&index)?.is_file() {
                true => open(&index),
                false => Ok(Found::Missing),
            }
        }
        // Opening a pipe would wait for somebody to write to it.
        (false, false) if metadata.is_file() => open(&path),
        _ => Ok(Found::Missing),
    }
}

fn open(path: &Path) -> io::Result<Found> {
    let file = File::open(path)?;
    // Of the file that is open, which may be another one than was looked at.
    let metadata = file.metadata()?;
    Ok(Found::File(Opened {
        length: metadata.len(),
        modified: metadata.modified()?,
        content_type: content_type(path),
        file,
    }))
}

/// The path and the query of a request's target, which may also be a whole URL (RFC 9112 §3.2.2).
pub(crate) fn split(target: &str) -> (&str, &str) {
    let path_and_query = match target.strip_prefix("http://") {
        Some(rest) => rest.find(['/', '?']).map_or("/", |at| &rest[at..]),
        None => target,
    };
    path_and_query.split_once('?').unwrap_or((path_and_query, ""))
}

/// The file that a target names. `None` for whatever no file that is served can be called.
pub(crate) fn path_of(target: &str) -> Option<Wanted> {
    let names = split(target).0.strip_prefix('/')?;
    let slash = names.is_empty() || names.ends_with('/');
    let mut path = PathBuf::new();
    for name in names.strip_suffix('/').unwrap_or(names).split('/') {
        if names.is_empty() {
            break;
        }
        // Decoded name by name, so that an encoded slash is a part of a name, and is refused as such.
        path.push(OsStr::from_bytes(&name_of(name)?));
    }
    (path.as_os_str().len() <= PATH_BYTES_MAX).then_some(Wanted { path, slash })
}

/// One name of a path, decoded. Nothing that means something else than a name to anybody: `.` and `..`, empty
/// names, slashes of both kinds, NUL. Hidden files stay hidden.
fn name_of(encoded: &str) -> Option<Vec<u8>> {
    let name = percent_decoded(encoded)?;
    let is_good = (1..=NAME_BYTES_MAX).contains(&name.len())
        && name[0] != b'.'
        && !name.iter().any(|byte| matches!(byte, b'/' | b'\\' | b'\0'));
    is_good.then_some(name)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let (mut decoded, mut bytes) = (Vec::new(), text.bytes());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => (digit(bytes.next())? << 4 | digit(bytes.next())?) as u8,
            plain => plain,
        });
    }
    Some(decoded)
}

/// By the end of the file's name.
fn content_type(path: &Path) -> &'static str {
    let suffix = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    match &*suffix {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "txt" | "rs" | "toml" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "text/xml; charset=utf-8",
        "json" | "map" => "application/json",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        "wav" => "audio/wav",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        _ => "application/octet-stream",
    }
}
