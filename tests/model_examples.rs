//! The executable model of RFC 9112 that tests and fuzzers go by: what it says of plain cases.

mod model;

use model::framing::Framing;
use model::{Ending, Handling, Limits, ReplyEnding, read_connection, read_response};

/// The targets of the whole requests, and how it ends.
fn asked(bytes: &str, ended: bool) -> (Vec<String>, Ending) {
    let found = read_connection(bytes.as_bytes(), ended, &Limits::default());
    let target = |request: &model::Request| {
        format!(
            "{} {}",
            String::from_utf8_lossy(&request.target),
            String::from_utf8_lossy(&request.content)
        )
    };
    (found.requests.iter().map(target).collect(), found.ending)
}

#[test]
fn the_model_reads_requests() {
    let get = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";
    assert_eq!(asked(get, false), (vec!["/a ".to_owned()], Ending::Waits));
    assert_eq!(asked(&get.repeat(2), true).0.len(), 2);
    assert_eq!(asked(get, true).1, Ending::Ends);
    assert_eq!(asked(&get[..9], false), (Vec::new(), Ending::Waits));
    assert_eq!(asked(&get[..9], true), (Vec::new(), Ending::Cut));
    assert_eq!(asked("\r\n\r", true), (Vec::new(), Ending::Ends));
    let chunked = "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "3;a=\"b;\\\"\"\r\nabc\r\n002 ; x\r\nde\r\n0\r\nT: u\r\n\r\n";
    assert_eq!(
        asked(&format!("{chunked}{body}"), false),
        (vec!["/b abcde".to_owned()], Ending::Waits)
    );
    let found = read_connection(format!("{chunked}5\r\nab").as_bytes(), false, &Limits::default());
    assert_eq!(found.unfinished.map(|request| request.content), Some(b"ab".to_vec()));
}

#[test]
fn the_model_refuses_at_the_first_wrong_byte() {
    let refused = |bytes: &str, statuses: &[u16]| {
        let (_, ending) = asked(bytes, false);
        assert_eq!(ending, Ending::Refused(statuses.to_vec()), "{bytes:?}");
        let (_, before) = asked(&bytes[..bytes.len() - 1], false);
        assert_eq!(before, Ending::Waits, "{bytes:?}");
    };
    refused("GET /a HTTP/1.1\n", &[400]);
    refused("GET  ", &[400]);
    refused("G\"", &[400]);
    refused(&"A".repeat(33), &[400]);
    refused(&format!("GET /{}", "a".repeat(8192)), &[414]);
    refused("GET /%0d HTTP/1.1\r\n", &[400]);
    refused("GET /a HTTP/2.0\r", &[505]);
    refused("GET /a HTTP/1.1\r\nHost ", &[400]);
    refused("GET /a HTTP/1.1\r\nA: b\r\n ", &[400]);
    refused("GET /a HTTP/1.1\r\nA: b\0", &[400]);
    refused("GET /a HTTP/1.1\r\n\r\n", &[400]);
    refused("GET /a HTTP/1.1\r\nHost: a,b\r\n\r\n", &[400]);
    let post = "POST /b HTTP/1.1\r\nHost: h\r\n";
    refused(&format!("{post}Content-Length: +1\r\n\r\n"), &[400]);
    refused(&format!("{post}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), &[400]);
    refused(&format!("{post}Transfer-Encoding: gzip, chunked\r\n\r\n"), &[501]);
    refused(&format!("{post}Transfer-Encoding: chunked, gzip\r\n\r\n"), &[400]);
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    refused(&format!("{chunked}g"), &[400]);
    refused(&format!("{chunked}1\r\nab"), &[400]);
    refused(&format!("{chunked}1 \r"), &[400]);
    refused(&format!("{chunked}1;a={}", "b".repeat(4094)), &[413]);
    refused(&format!("{chunked}0\r\nHost: h\r\n\r\n"), &[400]);
    refused(&format!("GET /a HTTP/1.1\r\nA: {}", "b".repeat(16384 - 20)), &[431]);
}

#[test]
fn the_model_knows_who_answers_and_what_closes() {
    let handled = |bytes: &str| {
        let found = read_connection(bytes.as_bytes(), false, &Limits::default());
        (found.requests[0].handling, found.ending)
    };
    let (dispatched, closes) = (Handling::Dispatched, Ending::ClosesAfterLast);
    assert_eq!(handled("GET / HTTP/1.0\r\n\r\n"), (dispatched, closes.clone()));
    let kept = "GET / HTTP/1.0\r\nConnection: a, Keep-Alive\r\n\r\n";
    assert_eq!(handled(kept), (dispatched, Ending::Waits));
    let closing = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET";
    assert_eq!(handled(closing), (dispatched, closes.clone()));
    assert_eq!(
        handled("CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n"),
        (Handling::Answered(405), closes.clone())
    );
    assert_eq!(
        handled("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\n\r\n"),
        (Handling::Answered(417), Ending::Waits)
    );
    assert_eq!(
        handled("GET / HTTP/1.1\r\nHost: h\r\nExpect: x\r\nContent-Length: 1\r\n\r\n"),
        (Handling::Answered(417), closes)
    );
}

#[test]
fn the_model_reads_responses() {
    let read = |bytes: &str, asked: &str, ended| {
        let reply = read_response(bytes.as_bytes(), asked.as_bytes(), ended, &Limits::default());
        (reply.response.map(|response| (response.framing, response.content)), reply.ending)
    };
    let complete = |used| ReplyEnding::Complete { used };
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    let two = Some((Framing::Length(2), b"ab".to_vec()));
    assert_eq!(read(length, "GET", false), (two.clone(), complete(40)));
    assert_eq!(read(&format!("{length}c"), "GET", false), (two, complete(40)));
    assert_eq!(read(length, "HEAD", false), (Some((Framing::Nothing, Vec::new())), complete(38)));
    assert_eq!(read(&length[..39], "GET", false).1, ReplyEnding::Waits);
    assert_eq!(read(&length[..39], "GET", true).1, ReplyEnding::Cut);
    let until_close = "HTTP/1.0 200\r\n\r\nabc";
    let three = Some((Framing::UntilClose, b"abc".to_vec()));
    assert_eq!(read(until_close, "GET", false), (three.clone(), ReplyEnding::Waits));
    assert_eq!(read(until_close, "GET", true), (three, complete(19)));
    let informed = format!("HTTP/1.1 100 Continue\r\n\r\n{length}");
    assert_eq!(read(&informed, "GET", false).1, complete(65));
    for wrong in
        ["HTTP/1.1 20 ", "HTTP/1.1 101 x\r\n\r\n", "http", "HTTP/1.1 200 a\x01", "HTTP/2.0 "]
    {
        assert_eq!(read(wrong, "GET", false).1, ReplyEnding::Refused, "{wrong:?}");
    }
}
