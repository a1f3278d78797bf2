//! Our side: the servers of `server.js`, step by step, through the public API.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use onloop::http::{Request, Response, Server, ServerOptions, Socket};
use onloop::{EventLoop, LoopHandle, Result};

use crate::views::{distinct, joined, raw, text};

/// What watched exchanges told, by the key that their program gave.
type Logs = Rc<RefCell<BTreeMap<String, Log>>>;

#[derive(Default)]
struct Log {
    lines: Vec<String>,
    closed: u32,
    over: Option<Box<dyn FnOnce()>>,
}

/// A program on its way.
struct Run {
    lp: LoopHandle,
    logs: Logs,
    req: Request,
    res: Response,
    steps: VecDeque<String>,
    /// What each step returned.
    seen: Vec<String>,
    content: Rc<RefCell<Vec<u8>>>,
    /// The log that is told of the end of the content, which has one callback.
    watched: Option<String>,
}

/// Starts the servers on a thread of their own, which goes with the test; their names and ports.
pub(crate) fn start() -> BTreeMap<String, u16> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut event_loop = EventLoop::new().expect("a loop");
        let servers = servers(event_loop.handle()).expect("servers");
        let ports = servers.iter().map(|(name, server)| (name.to_string(), server.port()));
        tell.send(ports.collect()).expect("the test waits for them");
        event_loop.run().expect("the loop runs");
    });
    told.recv().expect("the servers listen")
}

fn servers(lp: LoopHandle) -> Result<Vec<(&'static str, Server)>> {
    let logs = Logs::default();
    let options = || ServerOptions::new().keep_alive_timeout(Duration::from_secs(5));
    let all = [
        ("plain", options()),
        ("limited", options().max_requests_per_socket(2)),
        ("hasty", options().keep_alive_timeout(Duration::ZERO)),
        ("joined", options().join_duplicate_headers(true)),
        ("unique", options().unique_headers(["X-List", "set-cookie"])),
        ("rejecting", options().reject_non_standard_body_writes(true)),
        ("hostless", options().require_host_header(false)),
        ("halfopen", options()),
        ("small", options().max_header_size(1024)),
        ("listening", options()),
        ("telling", options()),
    ];
    let mut servers = Vec::new();
    for (name, options) in all {
        let server = Server::new(lp, options)?;
        server.on_request(handler(lp, &logs, None));
        match name {
            "listening" => {
                server.on_check_continue(handler(lp, &logs, Some("checkContinue")));
                server.on_check_expectation(handler(lp, &logs, Some("checkExpectation")));
                let line =
                    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo";
                server.on_upgrade(move |req, socket, head| match req.url() {
                    "/refused" => {
                        socket.write("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n");
                        socket.destroy();
                    }
                    _ => echo(line, &req, socket, head),
                });
                server.on_connect(|req, socket, head| echo("HTTP/1.1 200 OK", &req, socket, head));
            }
            "telling" => server.on_client_error(|error, socket| {
                socket.end(format!("code {}", error.code()));
            }),
            _ => {}
        }
        server.listen("127.0.0.1:0")?;
        servers.push((name, server));
    }
    Ok(servers)
}

fn handler(
    lp: LoopHandle,
    logs: &Logs,
    event: Option<&'static str>,
) -> impl FnMut(Request, Response) + 'static + use<> {
    let logs = Rc::clone(logs);
    move |req, res| {
        let Some(program) = req.url().strip_prefix("/do/") else {
            res.end(format!("{} {}", req.method(), req.url()));
            return;
        };
        let steps = decode(program).split(" & ").map(str::to_owned).collect();
        let seen = event.into_iter().map(str::to_owned).collect();
        go(Run {
            lp,
            logs: Rc::clone(&logs),
            req,
            res,
            steps,
            seen,
            content: Rc::default(),
            watched: None,
        });
    }
}

/// Sends back what comes, behind a head and what came with the request.
fn echo(head: &str, req: &Request, socket: Socket, rest: &[u8]) {
    socket.write(format!("{head}\r\nX-Url: {}\r\n\r\n", req.url()));
    socket.write(rest);
    socket.on_data(move |bytes| {
        socket.write(bytes);
    });
    socket.on_end(move || socket.end("bye"));
}

/// `~` and two hexadecimal digits are a character.
fn decode(text: &str) -> String {
    let mut parts = text.split('~');
    let mut decoded = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (hex, rest) = part.split_at(2);
        decoded.push(u8::from_str_radix(hex, 16).expect("two digits").into());
        decoded.push_str(rest);
    }
    decoded
}

fn go(mut run: Run) {
    while let Some(step) = run.steps.pop_front() {
        let (name, rest) = step.split_once(' ').unwrap_or((&step, ""));
        let words: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('|').collect() };
        match name {
            "read" => return read(run),
            "tick" => {
                let lp = run.lp;
                lp.set_timeout(Duration::from_millis(1), move || go(run));
                return;
            }
            "left" => {
                let res = run.res;
                res.on_half_close(move || go(run));
                return;
            }
            "show" => return show(run, words[0]),
            "note" => note(&run.logs, words[0], run.seen.join(" "), 2),
            "log" => {
                watch(&run, words[0]);
                run.watched = Some(words[0].to_owned());
                run.seen.push("ok".to_owned());
            }
            "report" => run.res.end(run.seen.join(" ")),
            _ => {
                let value = act(&run, name, &words);
                run.seen.push(value.unwrap_or_else(|error| error.code().to_owned()));
            }
        }
    }
}

fn read(run: Run) {
    let content = Rc::clone(&run.content);
    let body = run.req.body();
    body.on_data(move |bytes| content.borrow_mut().extend_from_slice(bytes));
    body.on_end(move || {
        if let Some(key) = &run.watched {
            note(&run.logs, key, "req end".to_owned(), 0);
        }
        go(run);
    });
}

/// Answers with the log of another exchange as soon as that is over.
fn show(run: Run, key: &str) {
    let (lp, logs, key) = (run.lp, Rc::clone(&run.logs), key.to_owned());
    let (own_logs, own_key) = (Rc::clone(&logs), key.clone());
    let show = move || {
        lp.set_immediate(move || {
            run.res.end(logs.borrow()[&key].lines.join(","));
            go(run);
        });
    };
    let mut logs = own_logs.borrow_mut();
    let log = logs.entry(own_key).or_default();
    if log.closed == 2 {
        drop(logs);
        show();
    } else {
        log.over = Some(Box::new(show));
    }
}

/// Adds to a log, which is over when both ends were closed.
fn note(logs: &Logs, key: &str, line: String, closed: u32) {
    let over = {
        let mut logs = logs.borrow_mut();
        let log = logs.entry(key.to_owned()).or_default();
        log.lines.push(line);
        log.closed += closed;
        if log.closed == 2 { log.over.take() } else { None }
    };
    if let Some(over) = over {
        over();
    }
}

fn watch(run: &Run, key: &str) {
    let event = |line: &'static str| {
        let (logs, key) = (Rc::clone(&run.logs), key.to_owned());
        move || note(&logs, &key, line.to_owned(), u32::from(line.ends_with(" close")))
    };
    let error = |what| {
        let (logs, key) = (Rc::clone(&run.logs), key.to_owned());
        move |error: onloop::Error| note(&logs, &key, format!("{what} {}", error.code()), 0)
    };
    let body = run.req.body();
    body.on_end(event("req end"));
    body.on_aborted(event("req aborted"));
    body.on_error(error("req"));
    body.on_close(event("req close"));
    run.res.on_finish(event("res finish"));
    run.res.on_error(error("res"));
    run.res.on_close(event("res close"));
}

/// What Node does not throw: it tells it later, by an event.
const TOLD_LATER: [&str; 3] =
    ["ERR_STREAM_WRITE_AFTER_END", "ERR_STREAM_ALREADY_FINISHED", "ERR_STREAM_DESTROYED"];

/// What the step returned, as text.
fn act(run: &Run, name: &str, words: &[&str]) -> Result<String> {
    let (req, res) = (&run.req, &run.res);
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    let number = || word(0).parse::<u16>().expect("a number");
    let seen = |flag: bool| Ok(flag.to_string());
    match name {
        "status" => done(|| {
            res.set_status(number());
        }),
        "reason" => done(|| res.set_status_message(word(0))),
        "set" => done(|| res.set_header(word(0), word(1))),
        "set-all" => done(|| res.set_header_all(word(0), &words[1..])),
        "set-many" => done(|| res.set_headers(pairs(words))),
        "append" => done(|| res.append_header(word(0), word(1))),
        "append-all" => {
            done(|| words[1..].iter().try_for_each(|value| res.append_header(word(0), value)))
        }
        "remove" => done(|| res.remove_header(word(0))),
        "head" => done(|| match words {
            [_, reason, fields @ ..] if !reason.is_empty() => {
                res.write_head_with_reason(number(), reason, pairs(fields))
            }
            _ => res.write_head(number(), pairs(words.get(2..).unwrap_or_default())),
        }),
        "head-flat" | "head-pairs" => done(|| res.write_head(number(), pairs(&words[1..]))),
        "flush" => done(|| res.flush_headers()),
        "write" => match res.try_write(word(0)) {
            Err(error) if TOLD_LATER.contains(&error.code()) => seen(false),
            taken => seen(taken?),
        },
        "end" => match res.try_end(word(0)) {
            Err(error) if TOLD_LATER.contains(&error.code()) => done(|| ()),
            ended => done(|| ended),
        },
        "trailers" => done(|| res.add_trailers(pairs(words))),
        "continue" => done(|| res.write_continue()),
        "processing" => done(|| res.write_processing()),
        "hints" => done(|| res.write_early_hints(pairs(words))),
        "information" => done(|| res.write_information(number(), pairs(&words[1..]))),
        "strict" => done(|| res.set_strict_content_length(true)),
        "undated" => done(|| res.set_send_date(false)),
        "cork" => done(|| res.cork()),
        "uncork" => done(|| res.uncork()),
        "corked" => Ok(res.writable_corked().to_string()),
        "destroy" => done(|| res.destroy()),
        "destroy-request" => done(|| req.destroy()),
        "get" => Ok(match res.header_all(word(0)) {
            values if values.is_empty() => "none".to_owned(),
            values => text(&values.join(&b","[..])),
        }),
        "has" => seen(res.has_header(word(0))),
        "names" => Ok(res.header_names().join(",")),
        "raw-names" => Ok(res.raw_header_names().join(",")),
        "sent" => seen(res.headers_sent()),
        "ended" => seen(res.writable_ended()),
        "get-status" => Ok(res.status().to_string()),
        "get-reason" => Ok(res.status_message()),
        "content" => Ok(text(&run.content.borrow())),
        _ => Ok(view(req, name)),
    }
}

/// What methods return that only do something.
trait Done {
    fn done(self) -> Result<()>;
}

impl Done for () {
    fn done(self) -> Result<()> {
        Ok(())
    }
}

impl Done for Result<()> {
    fn done(self) -> Result<()> {
        self
    }
}

fn done<T: Done>(act: impl FnOnce() -> T) -> Result<String> {
    act().done().map(|()| "ok".to_owned())
}

/// What the handler sees of the request.
fn view(req: &Request, name: &str) -> String {
    match name {
        "method" => req.method().to_owned(),
        "url" => req.url().to_owned(),
        "version" => {
            let (major, minor) = (req.http_version_major(), req.http_version_minor());
            format!("{},{major},{minor}", req.http_version())
        }
        "complete" => req.is_complete().to_string(),
        "raw" => raw(req.headers().map(|(name, value)| (name.to_owned(), value.to_vec()))),
        "joined" => joined(req.headers_joined()),
        "distinct" => distinct(req.headers_distinct()),
        "raw-trailers" => raw(req.trailers().into_iter()),
        "joined-trailers" => joined(req.trailers_joined()),
        "distinct-trailers" => distinct(req.trailers_distinct()),
        _ => panic!("no step {name}"),
    }
}

/// `name=value` words.
fn pairs<'a>(words: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    words.iter().map(|word| word.split_once('=').expect("name=value")).collect()
}
