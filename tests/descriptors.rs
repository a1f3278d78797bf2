//! A process that has no more descriptors serves those that are inside, costs nothing meanwhile, and goes on as soon as
//! there are some.
#![cfg(target_os = "linux")]

mod program;

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use program::{PATIENCE, Program, example};

const DESCRIPTORS: usize = 256;
const CONNECTIONS: usize = 400;

/// The testbed, with so many descriptors and no more.
fn testbed() -> Program {
    let mut command = Command::new("sh");
    let script = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" 0 --idle 120");
    Program::spawn(command.arg("-c").arg(script).arg(example("testbed")))
}

fn open_descriptors(program: &Program) -> usize {
    let path = format!("/proc/{}/fd", program.id());
    std::fs::read_dir(path).expect("it runs").count()
}

/// What its one thread has run so far.
fn cpu_time(program: &Program) -> Duration {
    let path = format!("/proc/{}/schedstat", program.id());
    let text = std::fs::read_to_string(path).expect("it runs");
    let nanoseconds = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.expect("a number stands first"))
}

/// A connection with a request on its way.
fn ask(program: &Program) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", program.port)).expect("there is a backlog");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    ask_again(&mut stream);
    stream
}

fn ask_again(stream: &mut TcpStream) {
    stream.write_all(b"GET /plaintext HTTP/1.1\r\nHost: test\r\n\r\n").expect("it is connected");
}

fn assert_answered(stream: &mut TcpStream) {
    let (mut answer, mut buffer) = (Vec::new(), [0; 1024]);
    while !answer.ends_with(b"\r\n\r\nHello, World!") {
        let count = stream.read(&mut buffer).expect("an answer");
        assert_ne!(count, 0, "the connection was closed");
        answer.extend_from_slice(&buffer[..count]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

fn is_waiting(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    peeked.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn those_inside_are_served_and_the_others_as_soon_as_there_is_room() {
    let testbed = testbed();
    let free = DESCRIPTORS - open_descriptors(&testbed);
    let mut inside: Vec<TcpStream> = (0..CONNECTIONS).map(|_| ask(&testbed)).collect();
    let mut waiting = inside.split_off(free);
    // They are accepted in the order in which they came.
    inside.iter_mut().for_each(assert_answered);
    assert_eq!(open_descriptors(&testbed), DESCRIPTORS);

    // Full: it looks again once in a while, and serves those that are there.
    let before = cpu_time(&testbed);
    std::thread::sleep(Duration::from_secs(1));
    let idle = cpu_time(&testbed) - before;
    assert!(idle < Duration::from_millis(100), "{idle:?} of a second with nothing to do");
    inside.iter_mut().for_each(ask_again);
    inside.iter_mut().for_each(assert_answered);
    assert!(waiting.iter().all(is_waiting));

    // One goes, one comes.
    for _ in 0..20 {
        drop(inside.remove(0));
        assert_answered(&mut waiting[0]);
        inside.push(waiting.remove(0));
    }
    assert!(waiting.iter().all(is_waiting));
    // All go, all come, and nothing is lost.
    inside.iter_mut().for_each(ask_again);
    inside.iter_mut().for_each(assert_answered);
    drop(inside);
    waiting.iter_mut().for_each(assert_answered);

    // As if nothing had been.
    assert_answered(&mut ask(&testbed));
    drop(waiting);
    let deadline = Instant::now() + PATIENCE;
    while open_descriptors(&testbed) > DESCRIPTORS - free {
        assert!(Instant::now() < deadline, "{} are still open", open_descriptors(&testbed));
        std::thread::yield_now();
    }
}
