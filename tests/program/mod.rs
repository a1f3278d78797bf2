//! Runs the examples as programs, and talks to them over plain sockets.
//!
//! `cargo test` builds the examples; with `--test NAME` alone they must be built before, by
//! `cargo build --examples`.
#![allow(dead_code)] // each test program uses its part of this

pub(crate) mod browser;
pub(crate) mod nginx;
pub(crate) mod others;
pub(crate) mod rig;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// Far more than anything here takes: a test that hangs fails instead.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The path of an example, beside the test's own program.
pub(crate) fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own path");
    let profile =
        test.parent().and_then(|deps| deps.parent()).expect("it lies in target/PROFILE/deps");
    let path = profile.join("examples").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --examples`", path.display());
    path
}

/// Runs an example to its end; fails the test where that does not come.
pub(crate) fn run(name: &str, arguments: &[&str]) -> Output {
    finish(command(name).args(arguments))
}

/// An example that is about to be run, where the environment names no proxy.
pub(crate) fn command(name: &str) -> Command {
    let mut command = Command::new(example(name));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command
}

/// Runs any program to its end.
pub(crate) fn finish(command: &mut Command) -> Output {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let id = child.id();
    let (done, waiting) = std::sync::mpsc::channel::<()>();
    let guard = std::thread::spawn(move || {
        if waiting.recv_timeout(PATIENCE).is_err() {
            signal(id, "KILL");
        }
    });
    let output = child.wait_with_output().expect("its output can be read");
    let _ = done.send(());
    guard.join().expect("the guard does not panic");
    output
}

/// What a program printed, which must be UTF-8 and must have ended with `code`.
pub(crate) fn text_of(output: &Output, code: i32) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    String::from_utf8(output.stdout.clone()).expect("programs print text")
}

/// A program that runs until it is told to end; killed when the test ends.
pub(crate) struct Program {
    child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// The first line that it printed.
    pub(crate) greeting: String,
    pub(crate) port: u16,
}

impl Program {
    /// Starts an example that says on its first line which port it listens on.
    pub(crate) fn start(name: &str, arguments: &[&str]) -> Program {
        Program::spawn(Command::new(example(name)).args(arguments))
    }

    /// Starts any such program.
    pub(crate) fn spawn(command: &mut Command) -> Program {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut program = Program { child, stdout, greeting: String::new(), port: 0 };
        let line = program.line();
        let digits = line.rsplit(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        program.port = digits.parse().unwrap_or_else(|_| panic!("{command:?} said {line:?}"));
        program.greeting = line;
        program
    }

    /// The next line that it prints, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("its output can be read");
        line.trim_end().to_string()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that it has had so far, where the system tells.
    pub(crate) fn peak_bytes(&self) -> Option<usize> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the program does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn signal(id: u32, name: &str) {
    let status = Command::new("sh").arg("-c").arg(format!("kill -{name} {id}")).status();
    assert!(status.expect("there is a shell").success(), "no signal was sent to {id}");
}

/// A response as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) fields: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter().filter(|(other, _)| other == name);
        let first = fields.next().map(|(_, value)| value.as_str());
        assert!(fields.next().is_none(), "{name} stands twice");
        first
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is text")
    }
}

/// The other end of a connection, without any HTTP library.
pub(crate) struct Wire {
    stream: BufReader<TcpStream>,
}

impl Wire {
    pub(crate) fn connect(port: u16) -> Wire {
        let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
        Wire::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Wire {
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        Wire { stream: BufReader::new(stream) }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.get_mut().write_all(bytes.as_ref()).expect("the peer reads");
    }

    /// The same where the peer may close before; false then.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.get_mut().write_all(bytes.as_ref()).is_ok()
    }

    /// Sends a request without content and reads the answer.
    pub(crate) fn ask(&mut self, line: &str) -> Answer {
        self.ask_with(line, "", "")
    }

    /// Sends a request with these header lines, each ended by CRLF, and content.
    pub(crate) fn ask_with(&mut self, line: &str, fields: &str, content: &str) -> Answer {
        let length = match content.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        self.send(format!("{line} HTTP/1.1\r\nHost: test\r\n{fields}{length}\r\n{content}"));
        self.answer(line.starts_with("HEAD "))
    }

    /// Our side of the stream ends.
    pub(crate) fn end(&mut self) {
        self.stream.get_ref().shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Breaks the connection, as a process does that dies with something unread.
    pub(crate) fn reset(self) {
        let stream = socket2::SockRef::from(self.stream.get_ref());
        stream.set_linger(Some(Duration::ZERO)).expect("it can be set");
    }

    /// The same connection once more, to send while the first one receives.
    pub(crate) fn second(&self) -> Wire {
        Wire::over(self.stream.get_ref().try_clone().expect("a descriptor is left"))
    }

    pub(crate) fn head(&mut self) -> Answer {
        let line = self.line();
        let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).map(str::parse);
        let Some(Ok(status)) = status else { panic!("no status line: {line:?}") };
        let fields = self.fields();
        Answer { status, fields, body: Vec::new() }
    }

    pub(crate) fn answer(&mut self, to_head: bool) -> Answer {
        let mut answer = self.head();
        if to_head || answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return answer;
        }
        if answer.field("transfer-encoding") == Some("chunked") {
            answer.body = self.chunks();
        } else if let Some(length) = answer.field("content-length") {
            answer.body = self.bytes(length.parse().expect("a length is a number"));
        } else {
            answer.body = self.rest();
        }
        answer
    }

    fn fields(&mut self) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            if line.is_empty() {
                return fields;
            }
            let (name, value) =
                line.split_once(": ").unwrap_or_else(|| panic!("no field: {line:?}"));
            fields.push((name.to_ascii_lowercase(), value.to_string()));
        }
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut content = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                self.fields();
                return content;
            }
            content.extend_from_slice(&chunk);
        }
    }

    /// One chunk; the last one is empty, and trailers follow it.
    pub(crate) fn chunk(&mut self) -> Vec<u8> {
        let line = self.line();
        let size = usize::from_str_radix(&line, 16).unwrap_or_else(|_| panic!("no size: {line:?}"));
        let chunk = self.bytes(size);
        if size > 0 {
            assert_eq!(self.line(), "", "a chunk ends with its line");
        }
        chunk
    }

    /// A line, which must end with CRLF.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line).expect("the peer answers");
        let text = line.strip_suffix(b"\r\n").unwrap_or_else(|| panic!("no line: {line:?}"));
        text.iter().map(|byte| char::from(*byte)).collect()
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("all bytes come");
        bytes
    }

    /// Everything up to the peer's end of stream.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).expect("the peer ends the stream");
        rest
    }

    /// The same where the peer may also break the connection.
    pub(crate) fn rest_or_reset(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.stream.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        rest
    }
}
