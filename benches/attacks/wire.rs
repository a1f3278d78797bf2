//! What an attacker has: plain sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use crate::scale::Scale;

/// How long an attacker waits for what must come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whom it goes against, and with how much.
pub(crate) struct Target {
    pub(crate) port: u16,
    pub(crate) scale: Scale,
}

impl Target {
    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }

    pub(crate) fn connect_many(&self, count: usize) -> io::Result<Vec<TcpStream>> {
        (0..count).map(|_| self.connect()).collect()
    }

    /// A connection of a client that makes little room for what comes.
    pub(crate) fn connect_narrow(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_recv_buffer_size(4096)?;
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], self.port)).into())?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

/// What an attack came to.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) connections: usize,
    /// Bytes that the attackers could get rid of.
    pub(crate) sent: u64,
    /// What they got, and how many of them did.
    pub(crate) got: BTreeMap<String, usize>,
}

impl Outcome {
    pub(crate) fn add(&mut self, fate: impl Into<String>) {
        *self.got.entry(fate.into()).or_default() += 1;
    }

    /// The same attack once more.
    pub(crate) fn merge(&mut self, again: Outcome) {
        self.connections += again.connections;
        self.sent += again.sent;
        for (fate, count) in again.got {
            *self.got.entry(fate).or_default() += count;
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (fate, count)) in self.got.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            match count {
                1 => write!(f, "{comma}{fate}")?,
                count => write!(f, "{comma}{count} × {fate}")?,
            }
        }
        Ok(())
    }
}

/// A stream of bytes in which a text is repeated, from a beginning on.
pub(crate) fn repeated(unit: &str, bytes_min: usize) -> Vec<u8> {
    unit.as_bytes().repeat(bytes_min.div_ceil(unit.len()))
}

/// Writes until the peer takes no more or `limit` bytes are out; how many are.
pub(crate) fn pour(stream: &mut TcpStream, unit: &[u8], limit: u64) -> u64 {
    let mut sent = 0;
    while sent < limit {
        match stream.write(unit) {
            Ok(count) => sent += count as u64,
            Err(_) => break,
        }
    }
    sent
}

/// The status of the first answer, or how else the connection ended. Everything that comes is read.
pub(crate) fn fate(stream: &mut TcpStream) -> String {
    let (mut start, mut buffer) = (Vec::new(), [0; 16 * 1024]);
    let began = Instant::now();
    let end = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break "closed",
            Ok(count) => {
                let room = 64usize.saturating_sub(start.len()).min(count);
                start.extend_from_slice(&buffer[..room]);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_timeout(&error) => break "left open",
            Err(_) => break "reset",
        }
        if began.elapsed() > PATIENCE {
            break "served without end";
        }
    };
    match status(&start) {
        // Whether the rest of an answer's way was a reset is the attacker's doing, who went on writing.
        Some(status) if end != "left open" => status.to_owned(),
        Some(status) => format!("{status}, {end}"),
        None if start.is_empty() => end.to_owned(),
        None => format!("no HTTP, {end}"),
    }
}

/// The status of the answer that begins here.
pub(crate) fn status(answer: &[u8]) -> Option<&str> {
    std::str::from_utf8(answer.strip_prefix(b"HTTP/1.1 ")?.get(..3)?).ok()
}

pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// Ends a connection by a reset.
pub(crate) fn reset(stream: &TcpStream) {
    let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

/// Reads up to the end of a head; the bytes behind it that came along.
pub(crate) fn read_head(stream: &mut TcpStream) -> io::Result<(String, usize)> {
    let mut head = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&buffer[..count]);
        if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = head.len() - end - 4;
            head.truncate(end + 4);
            return Ok((String::from_utf8_lossy(&head).into_owned(), rest));
        }
    }
}

/// Reads to the end in sips of so many bytes; the bytes of content.
pub(crate) fn sip(stream: &mut TcpStream, bytes: usize) -> io::Result<u64> {
    let (_, rest) = read_head(stream)?;
    let (mut total, mut sip) = (rest as u64, vec![0; bytes]);
    loop {
        match stream.read(&mut sip)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

/// Reads to the end, as fast as it comes; how many bytes that was.
pub(crate) fn drain(stream: &mut TcpStream) -> io::Result<u64> {
    io::copy(stream, &mut io::sink())
}

/// Counts a text in a stream up to its end, or up to so many of them.
pub(crate) fn count_of(stream: &mut TcpStream, text: &[u8], wanted: usize) -> io::Result<usize> {
    let (mut buffer, mut length, mut found) = (vec![0; 256 * 1024], 0, 0);
    while found < wanted {
        let count = stream.read(&mut buffer[length..])?;
        if count == 0 {
            break;
        }
        length += count;
        found += memchr::memmem::find_iter(&buffer[..length], text).count();
        // A text that was cut may begin in the last bytes; one that was counted may not.
        let last = memchr::memmem::rfind(&buffer[..length], text).map_or(0, |at| at + text.len());
        let keep = last.max(length.saturating_sub(text.len() - 1));
        buffer.copy_within(keep..length, 0);
        length -= keep;
    }
    Ok(found)
}
