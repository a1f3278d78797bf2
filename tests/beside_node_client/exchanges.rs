//! How exchanges go: events in order, connections used again or handed over, programs that break off.

use crate::case::{Case, OK, Step, answer, answer_to, get, last_answer, post, program, send, until};

/// All events, of exchanges that end well.
pub(crate) fn events() -> Vec<Case> {
    vec![
        answer(OK).full(),
        answer_to("POST", OK).full(),
        answer_to("HEAD", "HTTP/1.1 200 OK\nContent-Length: 2\n\n").full(),
        answer("HTTP/1.1 204 No Content\n\n").full(),
        answer("HTTP/1.1 304 Not Modified\n\n").full(),
        answer("HTTP/1.1 200 OK\nContent-Length: 0\n\n").full(),
        answer("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n").full(),
        answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok").full(),
        last_answer("HTTP/1.1 200 OK\n\nok").full(),
        last_answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok").full(),
        answer(&format!("HTTP/1.1 100 Continue\n\n{OK}")).full(),
        answer(&format!("HTTP/1.1 103 Early Hints\n\n{OK}")).full(),
        program("ask GET|/|off & end").full(),
        program("ask GET|/|ignored & end").full(),
        program("ask GET|/|unread & end & wait response & resume").full(),
        program("ask GET|/|paused & end & wait response & tick & resume").full(),
        program("ask GET|/|unread & end & wait response & tick & tick & resume").full(),
        post("write hello & end").full(),
        post("write hello & tick & tick & end").full(),
        post("write hello & wait response & end").on([until("hello"), send(OK)]).full(),
        post("flush & wait response & end hello").on([until("\n\n"), send(OK)]).full(),
        post("write hello & wait end & tick & end").on([until("hello"), send(OK)]).full(),
        post("write hello & wait end & complete & end").on([until("hello"), send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]).full(),
        get("end & complete & wait response & complete & wait end & complete & wait over & complete").full(),
    ]
}

/// All events, of exchanges that the server breaks off.
pub(crate) fn broken_events() -> Vec<Case> {
    let broken = |text: &str, end: Step| get("end").on([Step::Request, send(text), end]).full();
    vec![
        broken("", Step::Close),
        broken("", Step::Reset),
        broken("HTTP/1.1 200 OK\n", Step::Close),
        broken("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel", Step::Close),
        broken("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel", Step::Reset),
        broken("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhel", Step::Close),
        broken("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nx\n", Step::Close),
        broken("hello\n\n", Step::Close),
        program("ask GET|/|ignored & end").on([Step::Request, send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel"), Step::Close]).full(),
        program("ask GET|/|unread & end & wait response & tick & resume").on([Step::Request, send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel"), Step::Close]).full(),
        program("ask GET|http://127.0.0.1:1/ & end").full(),
        program("ask GET|http://127.0.0.1:1/ & end & wait req error & destroy & end").full(),
    ]
}

/// All events, of exchanges that the program breaks off.
pub(crate) fn destroyed() -> Vec<Case> {
    const PART: &str = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhel";
    let begun = |steps: &str| get(&format!("end & {steps}")).on([Step::Request, send(PART), Step::Left]).full();
    vec![
        get("destroy").full(),
        get("destroy-with").full(),
        get("end & destroy").full(),
        get("end & destroy-with").full(),
        get("end & destroy & destroy").full(),
        get("end & destroy & destroy-with").full(),
        get("end & destroy-with & destroy").full(),
        get("destroy & end").full(),
        get("destroy & set X-A|1 & flush & end").full(),
        post("destroy & write hello").full(),
        post("write hello & destroy").full(),
        post("destroy & destroyed & ended & end & ended").full(),
        get("end & wait finish & destroy").on([Step::Request, Step::Left]).full(),
        get("end & wait finish & destroy-with").on([Step::Request, Step::Left]).full(),
        get("flush & tick & tick & destroy").on([until("\n\n"), Step::Left]).full(),
        begun("wait response & destroy"),
        begun("wait response & destroy-with"),
        begun("wait response & res-destroy"),
        begun("wait response & res-destroy-with"),
        begun("wait data & destroy"),
        begun("wait data & res-destroy"),
        begun("wait data & res-destroy & res-destroy & destroy"),
        begun("wait data & res-destroy & wait over & complete"),
        get("end & wait end & destroy").full(),
        get("end & wait end & res-destroy").full(),
        get("end & wait over & destroy & res-destroy & ask GET|/2 & end").full(),
        get("end & wait over & destroy-with & res-destroy-with & ask GET|/2 & reused & end").full(),
        get("end & wait information & destroy").on([Step::Request, send("HTTP/1.1 103 Early Hints\n\n"), Step::Left]).full(),
        get("end & wait continue & destroy").on([Step::Request, send("HTTP/1.1 100 Continue\n\n"), Step::Left]).full(),
        post("write hello & wait response & destroy").on([until("hello"), send(OK), Step::Left]).full(),
        post("write hello & wait end & destroy").on([until("hello"), send(OK), Step::Left]).full(),
        program("ask GET|/|paused & end & wait response & destroy").on([Step::Request, send(PART), Step::Left]).full(),
        program("ask GET|/|paused & end & wait response & tick & res-destroy").on([Step::Request, send(OK), Step::Left]).full(),
    ]
}

/// Content that waits to be asked for.
pub(crate) fn expectations() -> Vec<Case> {
    let expect = "set Expect|100-continue & flush & wait continue";
    let proceed = [until("\n\n"), send("HTTP/1.1 100 Continue\n\n"), Step::Text("0\r\n\r\n".into()), send(OK)];
    vec![
        post(&format!("{expect} & end hello")).on(proceed.clone()),
        post(&format!("{expect} & write hello & end")).on(proceed),
        post(&format!("set Content-Length|5 & {expect} & end hello")).on([until("\n\n"), send("HTTP/1.1 100 Continue\n\n"), until("hello"), send(OK)]),
        post("set Content-Length|5 & set Expect|100-continue & flush & wait response & end hello").on([until("\n\n"), send("HTTP/1.1 417 Expectation Failed\nConnection: close\nContent-Length: 0\n\n")]),
        post("set Content-Length|5 & set Expect|100-continue & flush & wait response & destroy").on([until("\n\n"), send("HTTP/1.1 417 Expectation Failed\nContent-Length: 0\n\n")]),
        post("set Content-Length|5 & set Expect|100-continue & end hello"),
        post("set Expect|100-continue & end hello"),
        post("set Expect|100-continue & end"),
        get("set Expect|100-continue & end"),
        get("set Expect|100-continue & set X-A|1 & end"),
        post("set Expect|x & end hello"),
        post("set expect|100-Continue & write hello & end"),
    ]
}

/// Connections that serve again, or not.
pub(crate) fn persistence() -> Vec<Case> {
    let twice = |text: &str| program("ask GET|/1 & end & wait over & ask GET|/2 & end & wait end & reused").on([Step::Request, send(text)]);
    let mut cases: Vec<Case> = [
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: Keep-Alive\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: Close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: x, close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: x\nConnection: close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: close, keep-alive\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: keep-alive, close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: closed\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nProxy-Connection: close\nContent-Length: 2\n\nok",
        "HTTP/1.0 200 OK\nContent-Length: 2\n\nok",
        "HTTP/1.0 200 OK\nConnection: keep-alive\nContent-Length: 2\n\nok",
        "HTTP/1.0 200 OK\nConnection: close\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\n\n",
        "HTTP/1.1 204 No Content\n\n",
        "HTTP/1.1 304 Not Modified\n\n",
        "HTTP/1.1 304 Not Modified\nConnection: close\n\n",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=5\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=0\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=1\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=2\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=60, max=100\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nKeep-Alive: timeout=x\nContent-Length: 2\n\nok",
        "HTTP/1.1 200 OK\nConnection: Upgrade\nUpgrade: x\nContent-Length: 2\n\nok",
    ]
    .iter()
    .map(|text| twice(text))
    .collect();
    cases.extend([
        program("ask GET|/1 & end & wait over & ask GET|/2 & end & wait over & ask GET|/3 & end & wait over & ask POST|/4 & end hello"),
        program("ask HEAD|/1 & end & wait over & ask GET|/2 & end & wait over & ask HEAD|/3 & end"),
        program("ask POST|/1 & write hello & end & wait over & ask POST|/2 & write hello & end"),
        program("ask GET|/1 & end & wait over & ask GET|/2|off & end & wait over & ask GET|/3 & end"),
        program("ask GET|/1 & ask GET|/2 & switch 1 & end & wait over & switch 2 & end"),
        program("ask GET|/1 & reused & end & wait end & reused & keeps"),
        program("ask GET|/1 & keeps & end & wait response & keeps").on([Step::Request, send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]),
        program("ask GET|/1|off & keeps & end & wait response & keeps"),
        program("ask GET|/1 & end & wait response & ask GET|/2 & end"),
        program("ask GET|/1 & end & wait end & ask GET|/2 & end"),
        program("ask GET|/1 & end & wait over & ask GET|http://localhost:PORT/2 & end"),
        program("ask GET|/1 & end & wait over & agent & ask GET|/2 & end"),
    ]);
    cases
}

/// Agents that keep to their limits.
pub(crate) fn agents() -> Vec<Case> {
    let three = "ask GET|/1 & end & ask GET|/2 & end & ask GET|/3 & end";
    vec![
        program(&format!("agent sockets=1 & {three} & sockets & requests & total & free")),
        program(&format!("agent sockets=1 & {three} & wait over & free & sockets & requests & total")),
        program(&format!("agent sockets=1|no-keep & {three} & sockets & requests & total")),
        program(&format!("agent total=1 & {three} & requests & total")),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end & ask GET|/3 & end & switch 2 & destroy"),
        program("agent sockets=1 & ask GET|/1 & end & ask POST|/2 & end hello & ask HEAD|/3 & end"),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, Step::Close]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, send("hello\n\n")]),
        program("agent free=0 & ask GET|/1 & end & wait over & free & total"),
        program("agent & ask GET|/1 & end & sockets & wait over & free & sockets & total"),
        program("agent & ask GET|/1|header=X-A: 1 & end & wait over & agent-destroy & tick & free & total & ask GET|/2 & end"),
        program("agent & ask GET|/1 & end & wait finish & agent-destroy").on([Step::Request, Step::Left]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end & wait finish & agent-destroy").on([Step::Request, Step::Left]),
        program("agent total=0 & ask GET|/1 & end"),
        program("agent scheduling=lifo & ask GET|/1 & end & ask GET|/2 & end & wait over & ask GET|/3 & end & wait over & ask GET|/4 & end"),
        program("agent no-keep|sockets=5 & ask GET|/1 & end"),
        program("agent no-keep|sockets=1 & ask GET|/1 & end & wait over & ask GET|/2 & end"),
    ]
}

/// Connections that are the program's from then on.
pub(crate) fn handover() -> Vec<Case> {
    const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\n\n";
    let ask = "ask GET|/|upgrade & set Connection|Upgrade & set Upgrade|echo & end";
    let plain = "ask GET|/ & set Connection|Upgrade & set Upgrade|echo & end";
    let switched = |steps: &str, more: &str| program(&format!("{ask} & wait upgrade & {steps}")).on([Step::Request, send(&format!("{SWITCH}{more}"))]);
    vec![
        switched("socket-end", ""),
        switched("socket-end bye", "hello"),
        switched("raw & joined & status & socket-destroy", ""),
        switched("socket-write hi & socket-end bye", "\u{80}\u{0}"),
        program(&format!("{ask} & wait upgrade & socket-write ping & wait data & socket-end bye")).on([Step::Request, send(SWITCH), Step::Text("ping".into()), send("pong"), Step::Left]),
        program(&format!("{ask} & wait upgrade & wait end & socket-end bye")).on([Step::Request, send(SWITCH), send("hello"), Step::Shut, Step::Left]),
        program(&format!("{ask} & wait upgrade")).on([Step::Request, send(SWITCH), send("hello"), Step::Close]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nContent-Length: 5\n\nhello")]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nTransfer-Encoding: chunked\n\n\u{80}hello")]),
        program(&format!("{ask} & wait upgrade & socket-end bye")).on([Step::Request, send("HTTP/1.1 103 Early Hints\n\nHTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\n\nhello")]),
        program(ask).on([Step::Request, send("HTTP/1.1 200 OK\nConnection: upgrade\nUpgrade: echo\nContent-Length: 2\n\nok")]),
        program(ask).on([Step::Request, send("HTTP/1.1 426 Upgrade Required\nContent-Length: 2\n\nok")]),
        program(ask).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\n\n"), Step::Close]),
        program(ask).on([Step::Request, send("HTTP/1.1 101 Switching Protocols\nConnection: close\n\n"), Step::Close]),
        program(ask).on([Step::Request, Step::Close]),
        program(plain).on([Step::Request, send(SWITCH)]),
        program(plain).on([Step::Request, send(&format!("{SWITCH}hello"))]),
        get("end").on([Step::Request, send(SWITCH)]),
        program("ask GET|/|upgrade & end & wait upgrade & socket-end bye").on([Step::Request, send(SWITCH)]),
    ]
}
