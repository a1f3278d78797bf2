//! How exchanges go: events in order, connections used again, programs that break off.

use crate::case::{
    Case, OK, Step, answer, answer_to, get, last_answer, post, program, rows, send, until,
};

/// All events, of exchanges that end well.
pub(crate) fn events() -> Vec<Case> {
    let early = |steps: &str| {
        post(steps).on([until("\n\n"), send(OK), until("0\n\n")]).full().tells(
            rows::EARLY,
            "response 200, data ok, finish, end, res close, req close",
            "response 200, data ok, end, finish, res close, req close",
        )
    };
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
        early("write hello & wait response & end"),
        early("flush & wait response & end hello"),
        post("write hello & wait response & write more & wait end & tick & end")
            .on([until("hello"), send(OK), until("0\n\n")])
            .full()
            .tells(
                rows::EARLY,
                "response 200, data ok, end, res close, finish, req close",
                "response 200, data ok, end, finish, res close, req close",
            ),
        post("write hello & wait end & end")
            .on([
                until("hello"),
                send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok"),
            ])
            .full()
            .sends(
                rows::EARLY,
                "{post}Transfer-Encoding: chunked\n\n5\nhello\n[closed]",
                "{post}Transfer-Encoding: chunked\n\n5\nhello\n0\n\n[closed]",
            )
            .tells(
                rows::EARLY,
                "response 200, data ok, end, res close, req close",
                "response 200, data ok, end, finish, res close, req close",
            ),
        get("complete & end & wait response & complete & wait end & complete").full(),
        get("end & wait end & reused & keeps").full(),
        program("ask GET|/|socket & end").full(),
        program("ask GET|/|socket & end & wait over & ask GET|/2|socket & end").full(),
        program("ask GET|/|socket & destroy").full(),
        program("ask GET|/|socket & end & wait response & destroy").full().tells(
            rows::UNTOLD,
            "socket, finish, response 200, end, res close, req close",
            "socket, finish, response 200, aborted, res error ECONNRESET, res close, req close",
        ),
        program("agent sockets=1 & ask GET|/1|socket & end & ask GET|/2|socket & end"),
        program("ask GET|http://127.0.0.1:1/|socket & end").full().tells(
            84,
            "socket, req error ECONNREFUSED, req close",
            "req error ECONNREFUSED, req close",
        ),
        get("end & wait over & complete").tells(
            66,
            "response 200, data ok, end, complete true",
            "response 200, data ok, end, complete false",
        ),
        answer(OK).ordered().tells(
            83,
            "finish, response 200, data ok, end, req close, res close",
            "finish, response 200, data ok, end, res close, req close",
        ),
        last_answer("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok").ordered(),
        last_answer("HTTP/1.1 200 OK\n\nok").ordered(),
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
        // A reset may overtake what was not read.
        post("write hello & wait data & write more")
            .on([until("hello"), send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel"), until("more"), Step::Reset])
            .full()
            .tells_one_of(
                rows::ONCE,
                &[
                    "response 200, data hel, req error ECONNRESET, aborted, res error ECONNRESET, res close, req close",
                    "response 200, data hel, aborted, res error ECONNRESET, res close, req close",
                ],
                "response 200, data hel, aborted, res error ECONNRESET, res close, req close",
            ),
        broken("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n5\nhel", Step::Close),
        broken("HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\nx\n", Step::Close).tells(
            rows::ONCE,
            "finish, response 200, req error HPE_INVALID_CHUNK_SIZE, aborted, res error ECONNRESET, res close, req close",
            "finish, response 200, aborted, res error HPE_INVALID_CHUNK_SIZE, res close, req close",
        ),
        broken("hello\n\n", Step::Close),
        program("ask GET|/|ignored & end").on([Step::Request, send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel"), Step::Close]).full().tells(
            19,
            "finish, req close",
            "finish, req error ECONNRESET, req close",
        ),
        program("ask GET|/|unread & end & wait response & tick & resume").on([Step::Request, send("HTTP/1.1 200 OK\nContent-Length: 5\n\nhel"), Step::Close]).full(),
        program("ask GET|http://127.0.0.1:1/ & end").full(),
        program("ask GET|http://127.0.0.1:1/ & end & wait req error & destroy & end").full(),
    ]
}

/// All events, of exchanges that the program breaks off.
pub(crate) fn destroyed() -> Vec<Case> {
    const PART: &str = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhel";
    const BROKEN: &str = "aborted, res error ECONNRESET, res close, req close";
    let received = |steps: &str, more: &str| {
        let head = "finish, response 200, data hel";
        get(&format!("end & wait data & {steps}"))
            .on([Step::Request, send(PART), Step::Left])
            .full()
            .tells(
                rows::DESTROYED,
                &format!("{head}, aborted, res close, req close{more}"),
                &format!("{head}, {BROKEN}{more}"),
            )
    };
    let begun = |steps: &str| {
        get(&format!("end & {steps}")).on([Step::Request, send(PART), Step::Left]).full()
    };
    vec![
        get("destroy").full(),
        get("destroy-with").full(),
        get("end & destroy").full(),
        get("end & destroy-with").full(),
        get("end & destroy & destroy").full(),
        get("end & destroy & destroy-with").full(),
        get("end & destroy-with & destroy").full(),
        get("destroy & end").full(),
        get("destroy & flush & end").full(),
        get("destroy & set X-A|1").full().tells(
            66,
            "req error ECONNRESET, req close",
            "set ERR_STREAM_DESTROYED, req error ECONNRESET, req close",
        ),
        post("destroy & write hello").full(),
        post("write hello & destroy").full(),
        post("destroy & destroyed & end & ended").full(),
        post("destroy & ended").full().tells(
            66,
            "ended false, req error ECONNRESET, req close",
            "ended true, req error ECONNRESET, req close",
        ),
        get("end & wait finish & destroy").on([Step::Request, Step::Left]).full(),
        get("end & wait finish & destroy-with").on([Step::Request, Step::Left]).full(),
        post("flush & tick & tick & destroy").on([until("\n\n"), Step::Left]).full(),
        begun("wait response & destroy"),
        begun("wait response & destroy-with").tells(
            rows::ONCE,
            &format!("finish, response 200, req error ERR_USER, {BROKEN}"),
            "finish, response 200, aborted, res error ERR_USER, res close, req close",
        ),
        begun("wait response & res-destroy").tells(
            rows::DESTROYED,
            "finish, response 200, aborted, res close, req close",
            &format!("finish, response 200, {BROKEN}"),
        ),
        begun("wait response & res-destroy-with").tells(
            rows::ONCE,
            "finish, response 200, aborted, req error ERR_USER, res error ERR_USER, res close, req close",
            "finish, response 200, aborted, res error ERR_USER, res close, req close",
        ),
        begun("wait data & destroy"),
        received("res-destroy", ""),
        received("res-destroy & res-destroy & destroy", ""),
        received("res-destroy & wait over & complete", ", complete false"),
        get("end & wait end & destroy").full(),
        get("end & wait end & res-destroy").full(),
        get("end & wait over & destroy & res-destroy & ask GET|/2 & end").full(),
        get("end & wait over & destroy-with & res-destroy-with & ask GET|/2 & reused & end").full(),
        get("end & wait information & destroy").on([Step::Request, send("HTTP/1.1 103 Early Hints\n\n"), Step::Left]).full(),
        get("end & wait continue & destroy").on([Step::Request, send("HTTP/1.1 100 Continue\n\n"), Step::Left]).full().tells(
            rows::SILENT,
            "finish, continue, information 100 Continue [], req error ECONNRESET, req close",
            "finish, continue, req error ECONNRESET, req close",
        ),
        post("write hello & wait response & destroy").on([until("hello"), send(PART), Step::Left]).full(),
        post("write hello & wait end & destroy").on([until("hello"), send(OK), Step::Left]).full(),
        post("write hello & wait end & destroy-with").on([until("hello"), send(OK), Step::Left]).full(),
        program("ask GET|/|paused & end & wait response & destroy").on([Step::Request, send(PART), Step::Left]).full(),
        program("ask GET|/|paused & end & wait response & tick & res-destroy").on([Step::Request, send(OK), Step::Left]).full().tells(
            rows::DESTROYED,
            "finish, response 200, aborted, res close, req close",
            &format!("finish, response 200, {BROKEN}"),
        ),
    ]
}

/// Content that waits to be asked for.
pub(crate) fn expectations() -> Vec<Case> {
    let expect = "set Expect|100-continue & flush & wait continue";
    let proceed = [
        until("\n\n"),
        send("HTTP/1.1 100 Continue\n\n"),
        Step::Text("0\r\n\r\n".into()),
        send(OK),
    ];
    vec![
        post(&format!("{expect} & end hello")).on(proceed.clone()),
        post(&format!("{expect} & write hello & end")).on(proceed),
        post(&format!("set Content-Length|5 & {expect} & end hello")).on([
            until("\n\n"),
            send("HTTP/1.1 100 Continue\n\n"),
            until("hello"),
            send(OK),
        ]),
        post("set Content-Length|5 & set Expect|100-continue & flush & wait response & end hello")
            .on([
                until("\n\n"),
                send("HTTP/1.1 417 Expectation Failed\nConnection: close\nContent-Length: 0\n\n"),
            ]),
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
    let twice = |text: &str| {
        program("ask GET|/1 & end & wait over & ask GET|/2 & end & wait response & reused")
            .on([Step::Request, send(text)])
    };
    let second = |method: &str, steps: &str| {
        program(&format!("ask GET|/1 & end & wait over & ask {method}|/2 & {steps}"))
    };
    // The second request finds the connection of the first, which dies of it.
    let dying = |method: &str, steps: &str, text: &str, end: Step| {
        second(method, steps).on([Step::Request, send(OK), Step::Request, send(text), end])
    };
    let repeated = |method: &str, steps: &str, framing: &str, content: &str| {
        let first = "GET /1 HTTP/1.1\n{kept}\n";
        let request = format!("{method} /2 HTTP/1.1\n{{kept}}{framing}\n{content}");
        let answered = match method {
            "HEAD" => "2 response 200, 2 end",
            _ => "2 response 200, 2 data ok, 2 end",
        };
        dying(method, steps, "", Step::Close)
            .sends(
                rows::REPEATED,
                &format!("{first}{request}[ended]"),
                &format!("{first}{request}[ended] + {request}[open]"),
            )
            .tells(
                rows::REPEATED,
                "response 200, data ok, end, 2 req error ECONNRESET",
                &format!("response 200, data ok, end, {answered}"),
            )
    };
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
        program("ask GET|/1 & ask GET|/2 & switch 1 & end & wait end & tick & switch 2 & end"),
        program("ask GET|/1 & reused & end & wait response & reused & keeps"),
        program("ask GET|/1 & end & wait over & ask GET|/2 & end & wait response & reused & keeps"),
        answer("HTTP/1.1 200 OK\nProxy-Connection: close\nContent-Length: 2\n\nok").sends(
            49,
            "{get}\n[closed]",
            "{get}\n[kept]",
        ),
        dying("POST", "end hello", "", Step::Close),
        dying("POST", "end hello", "", Step::Reset),
        dying("PATCH", "end", "", Step::Close),
        dying("GET", "end", "HTTP/1.1 2", Step::Close),
        dying("GET", "end", "HTTP/1.1 103 Early Hints\n\n", Step::Close),
        dying("GET", "end", "hello\n\n", Step::Close),
        repeated("GET", "end", "", ""),
        repeated("HEAD", "end", "", ""),
        repeated("DELETE", "end", "", ""),
        repeated("OPTIONS", "end", "", ""),
        repeated("PUT", "end hello", "Content-Length: 5\n", "hello"),
        repeated("PUT", "write hello & end", "Transfer-Encoding: chunked\n", "5\nhello\n0\n\n"),
        repeated("PROPFIND", "end", "Content-Length: 0\n", ""),
        program("ask GET|/1 & keeps & end & wait response & keeps").on([Step::Request, send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]),
        program("ask GET|/1|off & keeps & end & wait response & keeps"),
        program("ask GET|/1 & end & wait response & ask GET|/2 & end"),
        program("ask GET|/1 & end & wait end & ask GET|/2 & end").sends(
            79,
            "GET /1 HTTP/1.1\n{kept}\n[open] + GET /2 HTTP/1.1\n{kept}\n[kept]",
            "GET /1 HTTP/1.1\n{kept}\nGET /2 HTTP/1.1\n{kept}\n[kept]",
        ),
        program("ask GET|/1 & end & wait over & ask GET|http://localhost:PORT/2 & end"),
        program("ask GET|/1 & end & wait over & agent & ask GET|/2 & end"),
    ]);
    cases
}

/// Agents that keep to their limits.
pub(crate) fn agents() -> Vec<Case> {
    // The first connection is free before the second.
    let two = "ask GET|/1 & end & ask POST|/2 & flush & switch 1 & wait end & tick & switch 2 & end & wait over";
    let three = "ask GET|/1 & end & ask GET|/2 & end & ask GET|/3 & end";
    vec![
        program(&format!("agent sockets=1 & {three} & sockets & requests & total & free")),
        program(&format!("agent sockets=1 & {three} & wait over & free & sockets & requests & total")),
        program(&format!("agent sockets=1|no-keep & {three} & sockets & requests & total")),
        program(&format!("agent total=1|no-keep & {three} & requests & total")),
        program(&format!("agent total=1 & {three} & requests & total")),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end & ask GET|/3 & end & switch 2 & destroy").tells(
            rows::QUEUED,
            "response 200, data ok, end, 2 req error ECONNRESET, 3 response 200, 3 data ok, 3 end",
            "2 req error ECONNRESET, response 200, data ok, end, 3 response 200, 3 data ok, 3 end",
        ),
        program("agent sockets=1 & ask GET|/1 & end & ask POST|/2 & end hello & ask HEAD|/3 & end"),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, send("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2\n\nok")]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, Step::Close]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end").on([Step::Request, send("hello\n\n")]),
        program("agent free=0 & ask GET|/1 & end & wait over & free & total")
            .sends(
                rows::ZERO,
                "GET /1 HTTP/1.1\n{kept}\n[kept]",
                "GET /1 HTTP/1.1\n{kept}\n[closed]",
            )
            .tells(
                rows::ZERO,
                "response 200, data ok, end, free [\"127.0.0.1:P: 1\"], total 1",
                "response 200, data ok, end, free [], total 0",
            ),
        program("agent & ask GET|/1 & end & sockets & wait over & free & sockets & total"),
        program("agent & ask GET|/1 & end & wait over & agent-destroy & tick & free & ask GET|/2 & end"),
        program("agent & ask GET|/1 & end & wait finish & agent-destroy").on([Step::Request, Step::Left]),
        program("agent sockets=1 & ask GET|/1 & end & ask GET|/2 & end & switch 1 & wait finish & agent-destroy").on([Step::Request, Step::Left]),
        program("agent total=0 & ask GET|/1 & end"),
        program(&format!("agent scheduling=lifo & {two} & ask GET|/3 & end & wait over & ask GET|/4 & end")),
        program(&format!("agent scheduling=fifo & {two} & ask GET|/3 & end & wait over & ask GET|/4 & end")),
        program(&format!("agent free=1 & {two} & free & ask GET|/3 & end")),
        program("agent no-keep|sockets=5 & ask GET|/1 & end"),
        program("name localhost|80 & name 127.0.0.1|8080 & name ::1|80 & ask GET|/ & end"),
        program("name LocalHost|80 & ask GET|/ & end").tells(
            rows::CASE,
            "name LocalHost:80:, response 200, data ok, end",
            "name localhost:80:, response 200, data ok, end",
        ),
        program("name localhost|80|localAddress=127.0.0.1 & name localhost|80|family=4 & ask GET|/ & end"),
        program("name localhost|80|localAddress=127.0.0.1|family=6 & name localhost|80|socketPath=/a/b & ask GET|/ & end"),
    ]
}

/// Servers that say nothing.
pub(crate) fn timeouts() -> Vec<Case> {
    let silent = |text: &str| program(text).on([Step::Request, Step::Left]).full();
    const PART: &str = "HTTP/1.1 200 OK\nContent-Length: 5\n\nhel";
    vec![
        silent("ask GET|/|timeout=60 & end & wait timeout & destroy"),
        silent("ask GET|/|timeout=60 & end & wait timeout & destroy-with"),
        silent("ask GET|/ & set-timeout 60 & end & wait timeout & destroy"),
        silent("ask GET|/ & end & wait finish & set-timeout 60 & wait timeout & destroy"),
        silent("ask GET|/|timeout=60000 & set-timeout 60 & end & wait timeout & destroy"),
        silent("ask GET|/|timeout=60|off & end & wait timeout & destroy"),
        get("end & wait data & set-timeout 60 & wait timeout & destroy")
            .on([Step::Request, send(PART), Step::Left])
            .full(),
        get("end & wait data & set-timeout 60 & wait timeout & res-destroy-with")
            .on([Step::Request, send(PART), Step::Left])
            .tells(
                rows::ONCE,
                "response 200, data hel, timeout, aborted, req error ERR_USER, res error ERR_USER",
                "response 200, data hel, timeout, aborted, res error ERR_USER",
            ),
        program(
            "ask GET|/|silence & end & wait data & set-timeout 60 & wait timeout & tick & destroy",
        )
        .on([Step::Request, send(PART), Step::Left])
        .tells(
            87,
            "response 200, data hel, timeout, res timeout, aborted, res error ECONNRESET",
            "response 200, data hel, res timeout, timeout, aborted, res error ECONNRESET",
        ),
        program("ask GET|/|timeout=60000 & end").full(),
        program("ask POST|/ & set-timeout 60000 & write hello & end").full(),
        program("ask GET|/ & end & wait over & set-timeout 60 & ask GET|/2 & end").full(),
    ]
}
