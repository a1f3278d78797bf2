//! Generated messages, valid and nearly so, against the model of RFC 9112 §6: framing fields in every
//! combination and spelling, chunks of every shape, whatever the cuts, both roles. What is found is shrunk to
//! the least that shows it. `PROPTEST_CASES=100000` looks longer.

#[path = "judged/mod.rs"]
mod judged;

use std::cell::RefCell;

use judged::model::{Ending, Limits, ReplyEnding, read_connection, read_response};
use judged::{Verdict, client, server, shown};
use proptest::prelude::*;
use proptest::sample::select;

/// One of these, the first of them as often as all others together.
fn mostly(usual: &'static str, others: &'static [&'static str]) -> BoxedStrategy<String> {
    prop_oneof![10 => Just(usual), 1 => select(others)].prop_map(str::to_owned).boxed()
}

fn line_end() -> BoxedStrategy<String> {
    prop_oneof![
        25 => Just("\r\n"),
        1 => select(&["\n", "\r", "\r\r\n", "\n\r", "\r\n ", "\r\n\t", " \r\n", "\t\r\n", "\0\r\n"][..]),
    ]
    .prop_map(str::to_owned)
    .boxed()
}

fn colon() -> BoxedStrategy<String> {
    mostly(": ", &[":", ":\t", ":  \t ", " :", "\t:", ":\x0b", "", ": \r\n "])
}

/// A `Content-Length` line that says `length` or something like it.
fn length_line(length: usize) -> BoxedStrategy<String> {
    let name = mostly(
        "Content-Length",
        &["content-length", "CONTENT-LENGTH", "Content_Length", "Content-Lengths", "ContentLength"],
    );
    let value = prop_oneof![
        12 => Just(format!("{length}")),
        1 => Just(format!("{length} ")),
        1 => Just(format!("000{length}")),
        1 => Just(format!("+{length}")),
        1 => Just(format!("-{length}")),
        1 => Just(format!("0x{length:x}")),
        1 => Just(format!("{length}, {length}")),
        1 => Just(format!("{length},")),
        1 => Just(format!("{length} {length}")),
        1 => Just(format!("{length}.0")),
        1 => Just(format!("\"{length}\"")),
        1 => Just(String::new()),
        1 => Just("18446744073709551616".to_owned()),
        1 => Just("18446744073709551615".to_owned()),
        1 => (0..length + 3).prop_map(|other| other.to_string()),
    ];
    (name, colon(), value, line_end()).prop_map(|(a, b, c, d)| [a, b, c, d].concat()).boxed()
}

fn coding_line() -> BoxedStrategy<String> {
    let name = mostly(
        "Transfer-Encoding",
        &["transfer-encoding", "TRANSFER-ENCODING", "Transfer_Encoding", "Transfer-Encodings"],
    );
    let value = mostly(
        "chunked",
        &[
            "Chunked",
            "CHUNKED ",
            "chunked, chunked",
            "gzip, chunked",
            "gzip ,\tchunked",
            "chunked, gzip",
            "gzip",
            "identity",
            "chunked;q=1",
            "",
            ",chunked",
            "chunked,",
            "\"chunked\"",
            "chunke",
            "xchunked",
            "chunked chunked",
            "\x0bchunked",
            "chunked\x0c",
            "gzip, , chunked",
            "gzip;q=1, chunked",
        ],
    );
    (name, colon(), value, line_end()).prop_map(|(a, b, c, d)| [a, b, c, d].concat()).boxed()
}

fn other_line() -> BoxedStrategy<String> {
    let line = select(
        &[
            "Host: h",
            "X: y",
            "Connection: close",
            "Connection: keep-alive",
            "connection: x, Close",
            "X:",
            "Connection: keep-alive, close",
            "Expect: 100-continue",
            "Expect: other",
            "TE: chunked",
            "X : y",
            "X",
            ": y",
            "Content-Type: \u{e9}",
            "X: \x7f",
        ][..],
    );
    (line, line_end()).prop_map(|(a, b)| a.to_owned() + &b).boxed()
}

/// Content in chunks, nearly valid.
fn chunks() -> BoxedStrategy<String> {
    let extension = mostly(
        "",
        &[
            ";a",
            ";a=b",
            ";a=\"b\"",
            " ;a",
            "; a",
            ";a =b",
            ";a= b",
            ";",
            ";;a",
            ";a=",
            ";a=\"b",
            ";a b",
            " ",
            ";a=\"\\\"\"",
            ";a\x01",
            ";\u{e9}",
            ";a=\"\x0b\"",
            "\t;\ta\t=\tb",
            ";a ",
            ";a=b ",
        ],
    );
    let chunk = (1..20usize, 0..20u8, extension.clone(), line_end(), line_end());
    let chunk = chunk.prop_map(|(size, form, extension, first, second)| {
        let digits = match form {
            0 => format!("0{size:x}"),
            1 => format!("{size:X}"),
            2 => "0".repeat(size) + "1",
            3 => format!(" {size:x}"),
            4 => format!("0x{size:x}"),
            5 => format!("{:x}", size + 1),
            6 => format!("1{size:016x}"),
            7 => format!("{size:016x}"),
            _ => format!("{size:x}"),
        };
        format!("{digits}{extension}{first}{}{second}", "d".repeat(size))
    });
    let last = mostly("0", &["000", "00000000000000000", "", "-0", "0x0", "1"]);
    let trailer = (
        mostly(
            "T",
            &["Host", "content-length", "Authorization", "X_Y", "T ", "", "Content.Length"],
        ),
        colon(),
        mostly("v", &["", "\0", "5", "\u{ff}"]),
        line_end(),
    );
    let trailer = trailer.prop_map(|(a, b, c, d)| [a, b, c, d].concat());
    let trailers = prop::collection::vec(trailer, 0..3).prop_map(|lines| lines.concat());
    (prop::collection::vec(chunk, 0..4), last, extension, line_end(), trailers, line_end())
        .prop_map(|(chunks, last, extension, first, trailers, second)| {
            format!("{}{last}{extension}{first}{trailers}{second}", chunks.concat())
        })
        .boxed()
}

/// The fields and the content of a message: framed in one way, with up to three lines more of any kind.
fn rest() -> BoxedStrategy<String> {
    (0..3usize, 0..40usize)
        .prop_flat_map(|(shape, length)| {
            let framed = match shape {
                0 => Just(String::new()).boxed(),
                1 => length_line(length),
                _ => coding_line(),
            };
            let more = prop_oneof![1 => length_line(length), 1 => coding_line(), 3 => other_line()];
            let more = prop::collection::vec(more, 0..3);
            let content = match shape {
                0 => Just(String::new()).boxed(),
                1 => Just("c".repeat(length)).boxed(),
                _ => chunks(),
            };
            (framed, more, any::<bool>(), line_end(), content)
        })
        .prop_map(|(framed, more, is_first, end, content)| match is_first {
            true => format!("{framed}{}{end}{content}", more.concat()),
            false => format!("{}{framed}{end}{content}", more.concat()),
        })
        .boxed()
}

fn request() -> BoxedStrategy<String> {
    let method = mostly("POST", &["GET", "HEAD", "OPTIONS", "CONNECT", "post", "P(ST", ""]);
    let target = mostly("/", &["/a", "/b", "/c", "/d", "/e", "*", "http://h/", "h:1", "/%0", "/ "]);
    let version =
        mostly("HTTP/1.1", &["HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 "]);
    let host = mostly("Host: h\r\n", &["", "Host: h, h\r\n", "Host:\r\n", "host: [::1]:8\r\n"]);
    let before = mostly("", &["\r\n", "\r\n\r\n\r\n\r\n", "\r\n\r\n\r\n\r\n\r\n", "\n", " "]);
    (before, method, target, version, line_end(), host, rest())
        .prop_map(|(before, method, target, version, end, host, rest)| {
            format!("{before}{method} {target} {version}{end}{host}{rest}")
        })
        .boxed()
}

fn response() -> BoxedStrategy<String> {
    let before = mostly(
        "",
        &[
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            "\r\n",
        ],
    );
    let version = mostly("HTTP/1.1", &["HTTP/1.0", "HTTP/1.3", "HTTP/3.0", "http/1.1", "ICY"]);
    let status = mostly(
        "200 OK",
        &[
            "200",
            "200 ",
            "204 No Content",
            "304 x",
            "404 \u{e9}",
            "099 x",
            "20 x",
            "2000 x",
            "999 x",
            "+20 x",
        ],
    );
    (before, version, status, line_end(), rest())
        .prop_map(|(before, version, status, end, rest)| {
            format!("{before}{version} {status}{end}{rest}")
        })
        .boxed()
}

/// One byte for each character.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|character| u8::try_from(character).unwrap_or(b'?')).collect()
}

/// The bytes cut at these places.
fn pieces<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.push(bytes.len());
    places.sort_unstable();
    let starts = [0].into_iter().chain(places.iter().copied());
    starts.zip(places.iter().copied()).map(|(from, to)| &bytes[from..to]).collect()
}

fn config() -> ProptestConfig {
    let given = std::env::var("PROPTEST_CASES").ok().and_then(|count| count.parse().ok());
    ProptestConfig {
        cases: given.unwrap_or(1000),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

thread_local! {
    static SERVER: RefCell<Option<server::Judge>> = const { RefCell::new(None) };
    static CLIENT: RefCell<Option<client::Judge>> = const { RefCell::new(None) };
}

/// Plays with a judge that others may have used; one that has found something is not used again.
fn judged<J>(
    place: &'static std::thread::LocalKey<RefCell<Option<J>>>,
    new: fn() -> J,
    play: impl FnOnce(&mut J) -> Verdict,
) -> Result<(), TestCaseError> {
    let mut judge = place.take().unwrap_or_else(new);
    play(&mut judge).map_err(TestCaseError::fail)?;
    place.replace(Some(judge));
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_server_reads_requests_as_the_model_does(
        messages in prop::collection::vec(request(), 1..4),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        at_once: bool,
    ) {
        let stream = latin(&messages.concat());
        judged(&SERVER, || server::Judge::new(Limits::default()), |judge| judge.play(&pieces(&stream, &cuts), at_once))?;
    }

    #[test]
    fn a_client_reads_responses_as_the_model_does(
        message in response(),
        surplus in mostly("", &["x", "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]),
        method in select(&["GET", "HEAD", "POST", "DELETE"][..]),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        at_once: bool,
    ) {
        let stream = latin(&(message + &surplus));
        judged(&CLIENT, || client::Judge::new(Limits::default()), |judge| {
            judge.play(method, &pieces(&stream, &cuts), at_once)
        })?;
    }

    /// What the model says of a part holds for the whole: it may only know more.
    #[test]
    fn the_model_never_changes_its_mind(messages in prop::collection::vec(request(), 1..3)) {
        let stream = latin(&messages.concat());
        let whole = read_connection(&stream, false, &Limits::default());
        for end in 0..stream.len() {
            let part = read_connection(&stream[..end], false, &Limits::default());
            let text = shown(&stream[..end]);
            prop_assert!(whole.requests.starts_with(&part.requests), "{}", text);
            prop_assert!(part.ending == Ending::Waits || part.ending == whole.ending, "{}", text);
            prop_assert!(part.used <= end && part.used <= whole.used, "{}", text);
        }
    }

    #[test]
    fn the_model_never_changes_its_mind_about_responses(message in response()) {
        let stream = latin(&message);
        let whole = read_response(&stream, b"GET", false, &Limits::default());
        for end in 0..stream.len() {
            let part = read_response(&stream[..end], b"GET", false, &Limits::default());
            let text = shown(&stream[..end]);
            prop_assert!(part.ending == ReplyEnding::Waits || part.ending == whole.ending, "{}", text);
            prop_assert!(whole.informational.starts_with(&part.informational), "{}", text);
        }
    }
}
