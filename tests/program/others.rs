//! Programs that are not ours, and what the tests with them share.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::{finish, run, text_of};

/// Says why a test is not made here, past the test harness, which shows only what failing tests print.
pub(crate) fn tell_skipped(why: &str) {
    let _ = std::io::stderr().write_all(format!("skipped: {why}\n").as_bytes());
}

/// The same for what ought to be there, and is where everything has to be tested.
#[track_caller]
pub(crate) fn skip(why: &str) {
    let required = std::env::var("ONLOOP_REQUIRE_INTEROP").is_ok_and(|value| value == "1");
    assert!(!required, "{why}, and ONLOOP_REQUIRE_INTEROP forbids to skip");
    tell_skipped(why);
}

/// Whether a program is there. If not, the test is skipped.
pub(crate) fn has(name: &str) -> bool {
    let version = if name == "nginx" { "-v" } else { "--version" };
    let found =
        Command::new(name).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    skip(&format!("{name} is not installed"));
    false
}

pub(crate) fn curl(arguments: &[&str]) -> String {
    text_of(&finish(Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments)), 0)
}

/// What `fetch` tells of a URL.
pub(crate) fn fetch(url: &str) -> Value {
    let text = text_of(&run("fetch", &[url]), 0);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A field of what `fetch` reports, by its name in lower case.
pub(crate) fn field<'a>(report: &'a Value, name: &str) -> Option<&'a str> {
    let fields = report["headers"].as_array()?;
    let is_it = |field: &&Value| field[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name));
    fields.iter().find(is_it)?[1].as_str()
}

/// A folder of the test's own, gone after it.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("onloop-{name}-{process}-{number}"));
        std::fs::create_dir_all(&path).expect("there is a place for temporary files");
        Scratch(path)
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("it can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
