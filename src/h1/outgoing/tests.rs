//! Framing and heads of messages that we send, by themselves.

use super::*;

const AUTOMATIC: Automatic<'static> = Automatic {
    date: b"Date: D\r\n",
    keep_alive: b"Keep-Alive: timeout=65\r\n",
    persistent_block: b"Date: D\r\nConnection: keep-alive\r\nKeep-Alive: timeout=65\r\n",
    closing: false,
};

fn response(minor: u8, head: bool, persistent: bool) -> Outgoing {
    let mut outgoing = Outgoing::default();
    outgoing.start_response(minor, head, persistent);
    outgoing
}

fn head_of(outgoing: &mut Outgoing, plan: Plan) -> String {
    let mut out = Vec::new();
    outgoing.send_head(StartLine::Status, &AUTOMATIC, plan, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_plain_path_says_what_the_general_path_says() {
    let mut plain = response(1, false, true);
    plain.fields.set(b"X-A", b"1").unwrap();
    let mut whole = Vec::new();
    assert!(plain.respond_whole(&AUTOMATIC, b"12345", &mut whole));
    let mut general = response(1, false, true);
    general.fields.set(b"X-A", b"1").unwrap();
    let mut out = Vec::new();
    general.render(StartLine::Status, &AUTOMATIC, Plan::Whole(5), &mut out);
    out.extend_from_slice(b"12345");
    let text = String::from_utf8(out).unwrap();
    assert_eq!(text.as_bytes(), whole);
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nX-A: 1\r\nDate: D\r\nConnection: keep-alive\r\n\
         Keep-Alive: timeout=65\r\nContent-Length: 5\r\n\r\n12345"
    );
}

#[test]
fn framing_by_version_status_and_plan() {
    let cases: [(u8, bool, u16, Plan, Delimiter, bool); 9] = [
        (1, false, 200, Plan::Whole(3), Delimiter::Length(3), true),
        (1, false, 200, Plan::Pieces, Delimiter::Chunked, true),
        (0, false, 200, Plan::Whole(3), Delimiter::Length(3), true),
        (0, false, 200, Plan::Pieces, Delimiter::Close, false),
        (1, true, 200, Plan::Whole(3), Delimiter::None, true),
        (1, true, 200, Plan::Pieces, Delimiter::None, true),
        (1, false, 204, Plan::Whole(3), Delimiter::None, true),
        (1, false, 304, Plan::Pieces, Delimiter::None, true),
        (1, false, 205, Plan::Whole(3), Delimiter::None, true),
    ];
    for (minor, head, status, plan, delimiter, persistent) in cases {
        let mut outgoing = response(minor, head, true);
        outgoing.set_status(status);
        let text = head_of(&mut outgoing, plan);
        assert_eq!(outgoing.delimiter(), delimiter, "{minor} {head} {status} {plan:?}");
        assert_eq!(outgoing.is_persistent(), persistent, "{text}");
    }
}

#[test]
fn both_lengths_become_chunked_and_1_0_gets_none() {
    let mut outgoing = response(1, false, true);
    outgoing.fields.set(b"Content-Length", b"5").unwrap();
    outgoing.fields.set(b"Transfer-Encoding", b"chunked").unwrap();
    let text = head_of(&mut outgoing, Plan::Pieces);
    assert!(!text.contains("Content-Length") && text.contains("chunked"), "{text}");
    let mut outgoing = response(0, false, true);
    outgoing.fields.set(b"Transfer-Encoding", b"chunked").unwrap();
    let text = head_of(&mut outgoing, Plan::Pieces);
    assert!(!text.contains("chunked") && text.contains("Connection: close"), "{text}");
}

#[test]
fn a_declared_length_is_held_to() {
    let mut outgoing = response(1, false, true);
    outgoing.fields.set(b"Content-Length", b"5").unwrap();
    head_of(&mut outgoing, Plan::Pieces);
    assert_eq!(outgoing.frame(4), Ok(Frame::Plain));
    assert_eq!(outgoing.frame(2), Err(LengthMismatch::TooMuch));
    assert_eq!(outgoing.frame(1), Err(LengthMismatch::TooMuch));
    assert_eq!(outgoing.finish(&mut Vec::new()), Err(LengthMismatch::TooLittle));
    assert!(!outgoing.is_persistent());
}

#[test]
fn requests_frame_content_only_where_there_is_some() {
    for (expects, plan, delimiter) in [
        (false, Plan::Whole(0), Delimiter::None),
        (false, Plan::Whole(4), Delimiter::Length(4)),
        (false, Plan::Pieces, Delimiter::Chunked),
        (true, Plan::Whole(0), Delimiter::Length(0)),
        (true, Plan::Pieces, Delimiter::Chunked),
    ] {
        let mut outgoing = Outgoing::default();
        outgoing.start_request(expects, true);
        let mut out = Vec::new();
        let line = StartLine::Request { method: "X", target: "/", authority: "h" };
        outgoing.send_head(line, &AUTOMATIC, plan, &mut out);
        assert_eq!(outgoing.delimiter(), delimiter);
        assert!(out.starts_with(b"X / HTTP/1.1\r\nHost: h\r\n"));
    }
}

#[test]
fn a_request_with_content_is_framed_whatever_was_removed() {
    for (expects, plan, delimiter) in [
        (true, Plan::Whole(0), Delimiter::None),
        (true, Plan::Whole(4), Delimiter::Length(4)),
        (true, Plan::Pieces, Delimiter::Chunked),
        (false, Plan::Whole(0), Delimiter::None),
        (false, Plan::Whole(4), Delimiter::Length(4)),
        (false, Plan::Pieces, Delimiter::Chunked),
    ] {
        let mut outgoing = Outgoing::default();
        outgoing.start_request(expects, true);
        outgoing.fields.remove(b"content-length");
        outgoing.fields.remove(b"transfer-encoding");
        let mut out = Vec::new();
        let line = StartLine::Request { method: "X", target: "/", authority: "h" };
        outgoing.send_head(line, &AUTOMATIC, plan, &mut out);
        assert_eq!(outgoing.delimiter(), delimiter);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.contains("Content-Length: 4"), plan == Plan::Whole(4), "{text}");
        assert_eq!(text.contains("Transfer-Encoding"), plan == Plan::Pieces, "{text}");
    }
}

#[test]
fn chunk_sizes_are_hexadecimal() {
    for length in [1usize, 15, 16, 255, 4096, usize::MAX] {
        let mut out = Vec::new();
        push_chunk_size(&mut out, length);
        assert_eq!(out, format!("{length:x}\r\n").into_bytes());
    }
}
