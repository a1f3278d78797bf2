//! A user who may have no more threads: what needs one fails with a word, and what needs none works.

#![cfg(target_os = "linux")]

mod program;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use program::others::{Scratch, skip};
use program::{Program, example, finish, text_of};
use serde_json::Value;

/// Begins a command for a user who may have one thread in all.
fn alone(program: &Path) -> Command {
    const LIMIT: [&str; 2] = ["prlimit", "--nproc=1"];
    // The limit does not hold for the superuser. Whoever else runs the tests has more than one thread already.
    let mut command = match rustix::process::geteuid().is_root() {
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(LIMIT);
            command
        }
        false => {
            let mut command = Command::new(LIMIT[0]);
            command.arg(LIMIT[1]);
            command
        }
    };
    command.arg(program);
    command
}

/// `fetch` where everybody may run it, whatever directory the tests are in; `None` where that cannot be arranged.
fn fetch_for_all(directory: &Scratch) -> Option<std::path::PathBuf> {
    let program = directory.0.join("fetch");
    fs::copy(example("fetch"), &program).expect("there is room for it");
    for path in [&directory.0, &program] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).expect("it is ours");
    }
    let usage = alone(&program).output();
    if !usage.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("usage")) {
        skip("no program can be run as somebody who may have no threads");
        return None;
    }
    Some(program)
}

#[test]
fn a_name_cannot_be_looked_up_and_an_address_needs_no_thread() {
    let directory = Scratch::new("no-threads");
    let Some(program) = fetch_for_all(&directory) else {
        return;
    };
    let server = Program::start("testbed", &["0"]);
    let fetch = |url: &str| -> Value {
        let output = finish(alone(&program).arg(url));
        serde_json::from_str(&text_of(&output, 0)).expect("it is JSON")
    };
    let named = fetch(&server.url("/plaintext").replace("127.0.0.1", "localhost"));
    let error = named["error"].as_str().expect("it fails");
    assert!(error.contains("EAI_AGAIN") && error.contains("localhost"), "{error}");
    let addressed = fetch(&server.url("/plaintext"));
    assert_eq!((&addressed["status"], &addressed["error"]), (&Value::from(200), &Value::Null));
}
