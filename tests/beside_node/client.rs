//! The client of both servers: bytes over loopback, and nothing that understands more of HTTP than where an
//! answer ends.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use crate::case::Step;

/// How long a server may say nothing. No case waits for it unless it fails.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sent behind the last answer: whoever has kept the connection answers it.
const PROBE: &str = "GET /probe HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
const PROBED: &str =
    "HTTP/1.1 200 OK\r\nDate: D\r\nConnection: close\r\nContent-Length: 10\r\n\r\nGET /probe";

struct Client {
    stream: TcpStream,
    received: Vec<u8>,
    /// For each request that was sent whether it is HEAD.
    heads: Vec<bool>,
    over: bool,
    silent: bool,
}

/// Does the steps, then finds out whether the connection is still served. Returns everything that came, with a
/// character for each byte, `D` for dates, and `[kept]` or `[closed]` at the end.
pub(crate) fn converse(port: u16, steps: &[Step]) -> String {
    let stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_nodelay(true).expect("a live socket");
    let mut client =
        Client { stream, received: Vec::new(), heads: Vec::new(), over: false, silent: false };
    for step in steps {
        match step {
            Step::Send(bytes) => client.send(bytes),
            Step::Answers(count) => client.read_until(|client| client.answers().0 >= *count),
            Step::Text(text) => client.read_until(|client| find(&client.received, text).is_some()),
            Step::Shut => drop(client.stream.shutdown(Shutdown::Write)),
            Step::Reset => {
                let socket = socket2::SockRef::from(&client.stream);
                socket.set_linger(Some(Duration::ZERO)).expect("a live socket");
                return format!("{}[reset]", client.text());
            }
        }
    }
    if !client.over && !client.answers().1 && !matches!(steps.last(), Some(Step::Shut)) {
        client.send(PROBE.as_bytes());
    }
    client.read_until(|_| false);
    let text = client.text();
    match text.strip_suffix(PROBED) {
        _ if client.silent => format!("{text}[silent]"),
        Some(text) => format!("{text}[kept]"),
        None => format!("{text}[closed]"),
    }
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let requests = text.split("\r\n").filter(|line| line.contains(" HTTP/1."));
        self.heads.extend(requests.map(|line| line.starts_with("HEAD ")));
        // Whoever has closed is read to the end.
        let _ = self.stream.write_all(bytes);
    }

    /// Reads until `enough` says so or the connection is over.
    fn read_until(&mut self, enough: impl Fn(&Client) -> bool) {
        let mut buffer = [0; 16 * 1024];
        while !self.over && !self.silent && !enough(self) {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.over = true,
                Ok(count) => self.received.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.silent = true,
                // A reset instead of an end: who is faster decides between the two.
                Err(_) => self.over = true,
            }
        }
    }

    /// How many final answers are complete, and whether the last of them, or one that is begun, says that the
    /// connection ends behind it.
    fn answers(&self) -> (usize, bool) {
        let (mut rest, mut count) = (&self.received[..], 0);
        let mut last = false;
        while let Some(length) = find(rest, "\r\n\r\n") {
            let head = String::from_utf8_lossy(&rest[..length]).to_ascii_lowercase();
            rest = &rest[length + 4..];
            let status = head.get(9..12).unwrap_or_default();
            if status.starts_with('1') && status != "101" {
                continue;
            }
            let to_head = self.heads.get(count).copied().unwrap_or(false);
            let empty = to_head || ["101", "204", "304"].contains(&status);
            last = head.contains("\r\nconnection: close");
            let length = match field(&head, "content-length").and_then(|text| text.parse().ok()) {
                _ if empty => Some(0),
                _ if head.contains("\r\ntransfer-encoding: chunked") => chunks(rest),
                Some(length) if length <= rest.len() => Some(length),
                // Not yet; or only the end of the connection tells.
                _ => None,
            };
            let Some(length) = length else { break };
            rest = &rest[length..];
            count += 1;
        }
        (count, last)
    }

    fn text(&self) -> String {
        let text: String = self.received.iter().map(|byte| char::from(*byte)).collect();
        let mut parts = text.split("\r\nDate: ");
        let mut normal = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_date =
                part.get(..29).is_some_and(|date| httpdate::parse_http_date(date).is_ok());
            let behind = if is_date { &part[29..] } else { part };
            normal.push_str(if is_date { "\r\nDate: D" } else { "\r\nDate: " });
            normal.push_str(behind);
        }
        normal
    }
}

/// The length of chunked content, once it is complete.
fn chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&bytes[at..], "\r\n")?;
        let size = std::str::from_utf8(&bytes[at..at + line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        at += line + 2;
        if size == 0 {
            break;
        }
        at += size + 2;
        bytes.get(..at)?;
    }
    // Trailers, or nothing but the empty line.
    if bytes[at..].starts_with(b"\r\n") {
        return Some(at + 2);
    }
    Some(at + find(&bytes[at..], "\r\n\r\n")? + 4)
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim())
}

fn find(bytes: &[u8], part: &str) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part.as_bytes())
}
