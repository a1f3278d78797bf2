//! Whatever a handler sets, and however it sends: a client that goes by the framing finds the content that was
//! meant, the next response right behind it, or the end of the connection.

mod common;

use std::fs::File;
use std::sync::OnceLock;

use common::{Answer, Ending, World};
use onloop::http::{Request, Response};

const CONTENT_BYTES: usize = 40_000;
const SMALL: usize = 100;

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| b'a' + (place % 23) as u8).collect()
}

fn file() -> File {
    static ALL: OnceLock<File> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("onloop-matrix-{}", std::process::id()));
        std::fs::write(&path, content(CONTENT_BYTES)).expect("a place for a file");
        let file = File::open(&path).expect("it was written");
        std::fs::remove_file(&path).expect("it was written");
        file
    });
    all.try_clone().expect("a descriptor")
}

const STATUSES: [u16; 4] = [200, 204, 205, 304];
const FIELDS: [&str; 7] = ["", "length", "chunked", "both", "trailer", "no length", "no framing"];
const WAYS: [&str; 8] = [
    "end",
    "write and end",
    "flush and end",
    "small file",
    "file",
    "write and file",
    "nothing",
    "empty file",
];

/// One way to answer.
#[derive(Debug, Clone, Copy)]
struct Case {
    status: u16,
    fields: &'static str,
    way: &'static str,
    sealed: bool,
    corked: bool,
    strict: bool,
}

impl Case {
    fn of(number: usize) -> Option<Case> {
        let (bits, number) = (number % 8, number / 8);
        let (status, number) = (STATUSES[number % STATUSES.len()], number / STATUSES.len());
        let (fields, number) = (FIELDS[number % FIELDS.len()], number / FIELDS.len());
        let way = *WAYS.get(number)?;
        let is = |bit: usize| bits & bit != 0;
        Some(Case { status, fields, way, sealed: is(1), corked: is(2), strict: is(4) })
    }

    fn length(self) -> usize {
        match self.way {
            "nothing" | "empty file" => 0,
            "file" | "write and file" => CONTENT_BYTES,
            _ => SMALL,
        }
    }

    fn has_content(self, to_head: bool) -> bool {
        self.status == 200 && !to_head
    }
}

fn handle(req: &Request, res: Response) -> onloop::Result<()> {
    let number = req.url()[1..].parse().expect("a number");
    let case = Case::of(number).expect("a case");
    let length = case.length();
    res.set_strict_content_length(case.strict);
    if case.corked {
        res.cork();
    }
    match case.fields {
        "length" => res.set_header("Content-Length", length)?,
        "chunked" => res.set_header("Transfer-Encoding", "chunked")?,
        "both" => {
            res.set_header("Content-Length", length)?;
            res.set_header("Transfer-Encoding", "chunked")?;
        }
        "trailer" => {
            res.set_header("Trailer", "X-Sum")?;
            res.add_trailer("X-Sum", "1")?;
        }
        "no length" => res.remove_header("Content-Length")?,
        "no framing" => {
            res.remove_header("Content-Length")?;
            res.remove_header("Transfer-Encoding")?;
        }
        _ => {}
    }
    match case.sealed {
        true => res.write_head(case.status, [("X-Sealed", "1")])?,
        false => drop(res.set_status(case.status)),
    }
    let all = content(length);
    match case.way {
        "write and end" => {
            res.try_write(&all[..30])?;
            res.try_end(&all[30..])?;
        }
        "flush and end" => {
            res.flush_headers();
            res.try_end(all)?;
        }
        "small file" => res.send_file(file(), ..SMALL as u64)?,
        "file" => res.send_file(file(), ..)?,
        "write and file" => {
            res.try_write(&all[..30])?;
            res.send_file(file(), 30..)?;
        }
        "empty file" => res.send_file(file(), 7..7)?,
        _ => res.try_end(all)?,
    }
    Ok(())
}

/// Two requests in one go, which the first response may refuse to go on behind.
fn check(world: &mut World, server: &onloop::http::Server, number: usize, start: &str, line: &str) {
    let case = Case::of(number).expect("a case");
    let request = format!("{start} /{number} {line}");
    let to_head = start == "HEAD";
    let mut peer = world.send(server, request.repeat(2));
    for answers in 1..=2 {
        let context = format!("{request:?} {case:?}");
        let (answer, length) = world.wait(&context, || {
            peer.pump();
            let found = Answer::parse(&peer.received, to_head, peer.ending.is_some());
            assert!(found.is_some() || peer.ending.is_none(), "{context}: {}", peer.text());
            found
        });
        peer.received.drain(..length);
        assert_eq!(answer.status, case.status, "{context}: {:?}", answer.fields);
        let expected = if case.has_content(to_head) { content(case.length()) } else { Vec::new() };
        assert!(answer.content == expected, "{context}: {:?}", answer.fields);
        let both = answer.field("Content-Length").zip(answer.field("Transfer-Encoding"));
        assert_eq!(both, None, "{context}");
        if let Some(length) = answer.field("Content-Length") {
            let told = if matches!(case.status, 205) { 0 } else { case.length() };
            assert_eq!(length, told.to_string(), "{context}");
            assert!(case.status != 204, "{context}");
        }
        if answer.field("Transfer-Encoding").is_some() {
            assert!(case.status == 200 && line.starts_with("HTTP/1.1"), "{context}");
        }
        if answer.field("Connection") == Some("close") {
            assert_eq!(world.until_end(&mut peer), Ending::End, "{context}");
            assert_eq!(peer.text(), "", "{context}: behind a closing response");
            return;
        }
        assert!(answers == 2 || peer.ending.is_none() || !peer.received.is_empty(), "{context}");
    }
}

#[test]
fn every_response_ends_where_its_framing_says() {
    let mut world = World::new();
    let server = world.serve(|req, res| handle(&req, res));
    let lines = [
        "HTTP/1.1\r\nHost: h\r\n\r\n",
        "HTTP/1.0\r\n\r\n",
        "HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ];
    let mut number = 0;
    while Case::of(number).is_some() {
        for start in ["GET", "HEAD"] {
            for line in lines {
                check(&mut world, &server, number, start, line);
            }
        }
        number += 1;
    }
    assert_eq!(number, 8 * STATUSES.len() * FIELDS.len() * WAYS.len());
}
