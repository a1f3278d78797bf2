//! A user who may have no more threads: what needs one fails with a word, and what needs none works.

#![cfg(target_os = "linux")]

mod program;

use std::process::Command;

use program::{Program, example, finish, text_of};
use serde_json::Value;

/// What `fetch` says of a URL, run as a user who may have one thread in all; `None` where that cannot be arranged.
fn fetch_alone(url: &str) -> Option<Value> {
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "prlimit", "--nproc=1"];
    // It also has to be able to run the program, in whatever directory that is.
    let usage = Command::new("setpriv").args(nobody).arg(example("fetch")).output();
    if !usage.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("usage")) {
        println!("skipped: no program can be run as somebody else here");
        return None;
    }
    let output = finish(Command::new("setpriv").args(nobody).arg(example("fetch")).arg(url));
    Some(serde_json::from_str(&text_of(&output, 0)).expect("it is JSON"))
}

#[test]
fn a_name_cannot_be_looked_up_and_an_address_needs_no_thread() {
    let server = Program::start("testbed", &["0"]);
    let Some(named) = fetch_alone(&server.url("/plaintext").replace("127.0.0.1", "localhost"))
    else {
        return;
    };
    let error = named["error"].as_str().expect("it fails");
    assert!(error.contains("EAI_AGAIN") && error.contains("localhost"), "{error}");
    let addressed = fetch_alone(&server.url("/plaintext")).expect("it was arranged before");
    assert_eq!((&addressed["status"], &addressed["error"]), (&Value::from(200), &Value::Null));
}
