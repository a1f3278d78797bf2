//! Connections that become the program's: upgrades and tunnels.

use crate::case::{Case, Step, get, program, rows, send, until};

/// Connections that are the program's from then on.
pub(crate) fn upgrades() -> Vec<Case> {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\n\n";
    let ask = "ask GET|/|upgrade & set Connection|Upgrade & set Upgrade|echo & end";
    let plain = "ask GET|/ & set Connection|Upgrade & set Upgrade|echo & end";
    let unsaid = |text: &str| {
        program(ask).on([Step::Request, send(text), Step::Shut, Step::Left]).tells(
            rows::SWITCH,
            "response 101, end",
            "req error HPE_INVALID_STATUS",
        )
    };
    let refused = |case: Case, text: &str| {
        case.on([Step::Request, send(text)]).tells(82, "", "req error HPE_INVALID_STATUS")
    };
    let unnamed = |ask: &str| {
        program(ask).on([Step::Request, send(SWITCH), Step::Shut, Step::Left]).tells(
            rows::UNNAMED,
            "upgrade 101 \"\", end, socket close",
            "req error HPE_INVALID_STATUS",
        )
    };
    let switched = |steps: &str, more: &str| {
        program(&format!("{ask} & wait upgrade & {steps}"))
            .on([Step::Request, send(&format!("{SWITCH}{more}"))])
    };
    vec![
        switched("socket-end", ""),
        switched("socket-end", "hello").full(),
        switched("socket-destroy", "").full().tells(
            83,
            "finish, upgrade 101 \"\", req close, socket close",
            "finish, upgrade 101 \"\", socket close, req close",
        ),
        program("agent sockets=1 & ask GET|/|upgrade & set Connection|Upgrade & set Upgrade|echo & end & wait upgrade & total & ask GET|/2 & end & wait end & switch 1 & socket-end").on([Step::Request, send(SWITCH)]),
        switched("socket-end bye", "hello"),
        switched("raw & joined & status & socket-destroy", ""),
        switched("socket-write hi & socket-end bye", "\u{80}\u{0}"),
        program(&format!("{ask} & wait upgrade & socket-write ping & wait data & socket-end bye")).on([Step::Request, send(SWITCH), Step::Text("ping".into()), send("pong"), Step::Left]),
        program(&format!("{ask} & wait upgrade & socket-write ping & wait end & socket-end bye")).on([Step::Request, send(SWITCH), Step::Text("ping".into()), send("hello"), Step::Shut, Step::Left]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nContent-Length: 5\n\nhello")]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nTransfer-Encoding: chunked\n\n\u{80}hello")]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\n\nhello")]),
        program(ask).on([Step::Request, send("HTTP/1.1 200 OK\nConnection: upgrade\nUpgrade: echo\nContent-Length: 2\n\nok")]),
        program(ask).on([Step::Request, send("HTTP/1.1 426 Upgrade Required\nContent-Length: 2\n\nok")]),
        unsaid("HTTP/1.1 101 Switching Protocols\n\n"),
        unsaid("HTTP/1.1 101 Switching Protocols\nConnection: close\n\n"),
        unsaid("HTTP/1.1 101 Switching Protocols\nUpgrade: echo\n\n"),
        unsaid("HTTP/1.1 101 Switching Protocols\nConnection: close\nUpgrade: echo\n\n"),
        program(ask).on([Step::Request, Step::Close]),
        refused(program(plain), SWITCH),
        refused(program(plain), &format!("{SWITCH}hello")),
        refused(get("end"), SWITCH),
        unnamed("ask GET|/|upgrade & end"),
        unnamed("ask GET|/|upgrade & set Connection|Upgrade & set Upgrade|other & end"),
    ]
}

/// CONNECT: what makes a tunnel, and what does not.
pub(crate) fn tunnels() -> Vec<Case> {
    const MADE: &str = "HTTP/1.1 200 Connection established\n\n";
    const REFUSED: &str = "HTTP/1.1 407 x\nContent-Length: 2\n\nok";
    // Node says so, too, from version 26 on.
    let host = "CONNECT example.com:443 HTTP/1.1\nHost: example.com:443\n";
    let sent = |steps: &str, script: Vec<Step>, node: &str, ours: &str| {
        let heads = ["CONNECT example.com:443 HTTP/1.1\nHost: 127.0.0.1:P\n", host];
        let theirs = heads.map(|head| format!("{head}Connection: keep-alive\n\n{node}"));
        let theirs: Vec<&str> = theirs.iter().map(String::as_str).collect();
        program(&format!("ask CONNECT|/|path=example.com:443{steps}")).on(script).sends_one_of(
            rows::HOST_OF_CONNECT,
            &theirs,
            &format!("{host}Connection: keep-alive\n\n{ours}"),
        )
    };
    let made = |steps: &str, more: &str, received: &str| {
        let script = vec![Step::Request, send(&format!("{MADE}{more}"))];
        sent(&format!("|connect & end & wait connect & {steps}"), script, received, received)
    };
    vec![
        made("socket-end", "", "[closed]"),
        made("socket-end bye", "hello", "bye[closed]").full(),
        made("socket-write hi & socket-end bye", "\u{80}\u{0}", "hibye[closed]"),
        made("raw & status & socket-destroy", "", "[closed]"),
        made("total & socket-end", "", "[closed]"),
        sent(
            "|connect & write hello & end & wait connect & socket-end",
            vec![until("\n\n"), send(MADE), Step::Left],
            "hello[closed]",
            "[closed]",
        )
        .tells(
            rows::CONTENT_OF_CONNECT,
            "connect 200 \"\", end, socket close",
            "write ERR_HTTP_BODY_NOT_ALLOWED, connect 200 \"\", end, socket close",
        ),
        sent(" & end", vec![Step::Request, send(MADE)], "[closed]", "[closed]").full().tells(
            82,
            "finish, req close",
            "finish, req error ECONNRESET, req close",
        ),
        sent(
            "|connect & end",
            vec![Step::Request, send(REFUSED), Step::Close],
            "[ended]",
            "[ended]",
        )
        .tells(
            rows::REFUSED,
            "connect 407 \"ok\", end, socket close",
            "response 407, data ok, end",
        ),
    ]
}
