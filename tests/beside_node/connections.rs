//! How long connections last, and what is handed over.

use crate::case::{Case, Step, get, get_with, raw, send, steps, until};

pub(crate) fn persistence() -> Vec<Case> {
    vec![
        raw("GET /1 HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\n"),
        raw("GET {tick & end 1} HTTP/1.1\nHost: h\n\nGET {end 2} HTTP/1.1\nHost: h\n\nGET {tick & end 3} HTTP/1.1\nHost: h\n\n"),
        raw("GET {write a & tick & end b} HTTP/1.1\nHost: h\n\nHEAD {end} HTTP/1.1\nHost: h\n\nGET {status 204 & end} HTTP/1.1\nHost: h\n\n"),
        raw("POST {read & content & report} HTTP/1.1\nHost: h\nContent-Length: 3\n\nabcPOST {read & content & report} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n3\ndef\n0\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\n\n\n\nGET /2 HTTP/1.1\nHost: h\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\nConnection: close\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\nConnection: x\nConnection: close\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\nConnection: closed\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\nConnection: keep-alive, close\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\nProxy-Connection: close\n\n").differs(
            49,
            "{ok, close}Content-Length: 6\n\nGET /1[closed]",
            "{ok}Content-Length: 6\n\nGET /1[kept]",
        ),
        raw("GET {set Connection|close & end 1} HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\n"),
        raw("GET {set Content-Length|1 & write 1 & end} HTTP/1.0\nConnection: keep-alive\n\nGET {write 2 & end} HTTP/1.0\n\n"),
        raw("GET /1 HTTP/1.1\nHost: h\n\n").to("limited"),
        raw("GET /1 HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\n").to("limited").then(Step::Shut),
        raw("GET /1 HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\nGET /3 HTTP/1.1\nHost: h\n\n").to("limited").then(Step::Shut).differs(
            31,
            "HTTP/1.1 200 OK\nDate: D\nConnection: keep-alive\nKeep-Alive: timeout=5, max=2\nContent-Length: 6\n\nGET /1{ok, close}Content-Length: 6\n\nGET /2HTTP/1.1 503 Service Unavailable\n{last}Transfer-Encoding: chunked\n\n0\n\n[closed]",
            "HTTP/1.1 200 OK\nDate: D\nConnection: keep-alive\nKeep-Alive: timeout=5, max=2\nContent-Length: 6\n\nGET /1{ok, close}Content-Length: 6\n\nGET /2[closed]",
        ),
        raw("GET {set Keep-Alive|mine & end} HTTP/1.1\nHost: h\n\n").to("limited"),
        raw("GET /1 HTTP/1.1\nHost: h\n\n").then(Step::Shut),
        raw("GET {left & end late} HTTP/1.1\nHost: h\n\n").answers(0).then(Step::Shut).differs(
            6,
            "[closed]",
            "{ok}Content-Length: 4\n\nlate[closed]",
        ),
        raw("GET {left & end late} HTTP/1.1\nHost: h\n\n").answers(0).then(Step::Shut).to("halfopen"),
        raw("GET {write a & left & end b} HTTP/1.1\nHost: h\n\nGET /2 HTTP/1.1\nHost: h\n\n").answers(0).then(Step::Shut).to("halfopen"),
        steps("an end without a request", vec![Step::Shut]),
        steps("an end in a head", vec![send("GET / HTTP/1.1\nHost: h\n"), Step::Shut]).differs(
            20,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{400}",
        ),
        steps("an end in content", vec![send("POST {read & end} HTTP/1.1\nHost: h\nContent-Length: 5\n\nabc"), Step::Shut]).differs(
            20,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{400}",
        ),
        steps("an end in chunks", vec![send("POST {read & end} HTTP/1.1\nHost: h\nTransfer-Encoding: chunked\n\n5\nab"), Step::Shut]).differs(
            20,
            "HTTP/1.1 400 Bad Request\nConnection: close\n\n[closed]",
            "{400}",
        ),
        get("destroy"),
        get("write hello & tick & destroy"),
        get("destroy-request"),
        get("processing & tick & destroy"),
    ]
}

pub(crate) fn handover() -> Vec<Case> {
    const UPGRADE: &str = "Connection: upgrade\nUpgrade: echo\n";
    let upgrade = |text: &str| raw(&text.replace("{upgrade}", UPGRADE)).to("listening");
    let connect = |text: &str| raw(text).to("listening").answers(0).then(until("\n\n"));
    vec![
        upgrade("GET /up HTTP/1.1\nHost: h\n{upgrade}\n").then(send("abc")).then(until("abc")).then(Step::Shut),
        upgrade("GET /up HTTP/1.1\nHost: h\n{upgrade}\nabc").then(until("abc")).then(Step::Shut),
        upgrade("GET /1 HTTP/1.1\nHost: h\n\nGET /up HTTP/1.1\nHost: h\n{upgrade}\n").then(Step::Shut),
        upgrade("GET {tick & end 1} HTTP/1.1\nHost: h\n\nGET /up HTTP/1.1\nHost: h\n{upgrade}\n").then(Step::Shut).differs(
            26,
            "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nX-Url: /up\n\n{ok}Content-Length: 1\n\n1bye[closed]",
            "{ok}Content-Length: 1\n\n1HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nX-Url: /up\n\nbye[closed]",
        ),
        upgrade("GET /up HTTP/1.1\nHost: h\nConnection: Upgrade, keep-alive\nUpgrade: echo\n\n").then(Step::Shut),
        upgrade("GET /up HTTP/1.1\nHost: h\nUpgrade: echo\n\n"),
        upgrade("GET /up HTTP/1.1\nHost: h\nConnection: upgrade\n\n"),
        upgrade("GET {write hello & end} HTTP/1.0\n{upgrade}\n").then(Step::Shut).differs(
            104,
            "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nX-Url: /do/write~20hello~20~26~20end\n\nbye[closed]",
            "{ok, close}\nhello[closed]",
        ),
        upgrade("POST {read & content & report} HTTP/1.1\nHost: h\n{upgrade}Content-Length: 3\n\nabc").then(Step::Shut).varies(
            25,
            &[
                "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nX-Url: /do/read~20~26~20content~20~26~20report\n\nabcbye[closed]",
                "HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: echo\nX-Url: /do/read~20~26~20content~20~26~20report\n\nbye[closed]",
            ],
            "{ok}Content-Length: 3\n\nabc[closed]",
        ),
        upgrade("POST /up HTTP/1.1\nHost: h\n{upgrade}Content-Length: 0\n\n").then(Step::Shut),
        // Refused, as a library for WebSockets does it.
        upgrade("GET /refused HTTP/1.1\nHost: h\n{upgrade}\n"),
        get_with("end hello", UPGRADE),
        get_with("raw & report", UPGRADE),
        connect("CONNECT a:1 HTTP/1.1\nHost: a:1\n\nabc").then(until("abc")).then(Step::Shut),
        connect("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").then(send("abc")).then(until("abc")).then(Step::Shut),
        connect("CONNECT [::1]:443 HTTP/1.1\nHost: [::1]:443\n\n").then(Step::Shut),
        connect("CONNECT /x HTTP/1.1\nHost: h\n\n").then(Step::Shut).differs(
            24,
            "HTTP/1.1 200 OK\nX-Url: /x\n\nbye[closed]",
            "{400}",
        ),
        connect("CONNECT a:1 HTTP/1.1\nHost: a:1\nContent-Length: 3\n\nabc").then(Step::Shut).differs(
            24,
            "HTTP/1.1 200 OK\nX-Url: a:1\n\nabcbye[closed]",
            "{400}",
        ),
        raw("CONNECT a:1 HTTP/1.1\nHost: a:1\n\n").differs(
            24,
            "[closed]",
            "HTTP/1.1 405 Method Not Allowed\nAllow: \n{last}Content-Length: 0\n\n[closed]",
        ),
    ]
}
