//! What there is of a file: `FILE.part`, and beside it `FILE.part.meta`, which says what it is a part of.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::offer::Validators;

pub(crate) struct Part {
    file: File,
    /// Of what is in the file.
    hash: Sha256,
    received: u64,
    origin: Origin,
    path: PathBuf,
    origin_path: PathBuf,
    whole_path: PathBuf,
}

/// Where a part comes from.
#[derive(Serialize, Deserialize)]
struct Origin {
    url: String,
    /// An entity tag or a date that tells whether the file is still the same. Without it the part is of no use.
    validator: Option<String>,
}

impl Part {
    /// Goes on with what another run has left, where that is of the same URL. Reading it for the hash takes its
    /// time, and nothing else waits for the loop yet.
    pub(crate) fn open(whole: &Path, url: &str) -> io::Result<Part> {
        let path = with_suffix(whole, ".part");
        let origin_path = with_suffix(whole, ".part.meta");
        let known = fs::read(&origin_path).ok();
        let known: Option<Origin> = known.and_then(|text| serde_json::from_slice(&text).ok());
        let known = known.filter(|origin| origin.url == url && origin.validator.is_some());
        let keep = known.is_some();
        let origin = known.unwrap_or(Origin { url: url.to_string(), validator: None });
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(!keep).open(&path)?;
        let mut hash = Sha256::new();
        let received = io::copy(&mut file, &mut hash)?;
        let whole_path = whole.to_path_buf();
        Ok(Part { file, hash, received, origin, path, origin_path, whole_path })
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// From where the rest is to be asked for, and the validator that it is asked with.
    pub(crate) fn rest(&self) -> Option<(u64, &str)> {
        let validator = self.origin.validator.as_deref().filter(|_| self.received > 0);
        validator.map(|validator| (self.received, validator))
    }

    /// Whether nothing says that these are of another state of the file.
    pub(crate) fn is_of(&self, others: &Validators) -> bool {
        let Some(ours) = &self.origin.validator else {
            return false;
        };
        let other = if ours.starts_with('"') { &others.etag } else { &others.last_modified };
        other.as_ref().is_none_or(|other| other == ours)
    }

    /// From the first byte, of the state of the file that `validator` names.
    pub(crate) fn start_over(&mut self, validator: Option<String>) -> io::Result<()> {
        // In this order: at no moment is there a part with another one's validator.
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hash.reset();
        self.received = 0;
        self.origin.validator = validator;
        fs::write(&self.origin_path, serde_json::to_vec(&self.origin)?)
    }

    pub(crate) fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_all(chunk)?;
        self.hash.update(chunk);
        self.received += chunk.len() as u64;
        Ok(())
    }

    /// The part is the whole: it gets its name. Gives the hash.
    pub(crate) fn finish(&mut self) -> io::Result<String> {
        self.file.sync_all()?;
        fs::rename(&self.path, &self.whole_path)?;
        // Without its part it means nothing.
        let _ = fs::remove_file(&self.origin_path);
        Ok(self.hash.finalize_reset().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Leaves nothing behind that nobody can go on with.
    pub(crate) fn tidy_up(&self) {
        if self.rest().is_none() {
            let _ = fs::remove_file(&self.path);
            let _ = fs::remove_file(&self.origin_path);
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}
