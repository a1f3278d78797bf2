//! Our side: the client of `client.js`, step by step, through the public API.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use onloop::http::{
    self, Agent, AgentOptions, ClientRequest, Family, IncomingResponse, RequestOptions, Scheduling,
    Socket,
};
use onloop::{Error, EventLoop, LoopHandle, Result};

use crate::views::{distinct, joined, quoted, raw, text};

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program on its way.
struct Run {
    lp: LoopHandle,
    port: u16,
    agent: Cell<Agent>,
    steps: RefCell<VecDeque<String>>,
    exchanges: RefCell<Vec<Rc<Exchange>>>,
    current: RefCell<Option<Rc<Exchange>>>,
    /// The exchange that a line is about, and the line.
    log: RefCell<Vec<(usize, String)>>,
    waiting: RefCell<Option<Waiting>>,
    done: Cell<bool>,
}

/// What the program goes on with.
struct Waiting {
    exchange: Rc<Exchange>,
    word: String,
    count: usize,
}

struct Exchange {
    run: Rc<Run>,
    at: usize,
    words: Vec<String>,
    request: ClientRequest,
    response: RefCell<Option<IncomingResponse>>,
    socket: Cell<Option<Socket>>,
    lines: RefCell<Vec<String>>,
    /// How many things of it are not over.
    open: Cell<usize>,
}

/// Carries out a program; what was seen.
pub(crate) fn carry_out(
    event_loop: &mut EventLoop,
    port: u16,
    program: &str,
    probe: bool,
) -> Vec<String> {
    let lp = event_loop.handle();
    let run = Rc::new(Run {
        lp,
        port,
        agent: Cell::new(http::global_agent(lp)),
        steps: RefCell::new(program.split(" & ").map(str::to_owned).collect()),
        exchanges: RefCell::default(),
        current: RefCell::default(),
        log: RefCell::default(),
        waiting: RefCell::default(),
        done: Cell::new(false),
    });
    let started = Rc::clone(&run);
    lp.set_immediate(move || go(&started));
    if !turn_until(event_loop, &run.done) {
        run.log.borrow_mut().push((0, "hangs".to_owned()));
    }
    if probe {
        let probed = Rc::new(Cell::new(false));
        let url = format!("http://127.0.0.1:{port}/probe");
        let options = RequestOptions::new("GET", url).agent(run.agent.get());
        let request = http::request_with(lp, options).expect("a request");
        request.end("");
        let over = Rc::clone(&probed);
        request.on_close(move || over.set(true));
        turn_until(event_loop, &probed);
    }
    let log = run.log.borrow();
    let lines = log.iter().map(|(at, line)| match at {
        0 => line.clone(),
        _ => format!("{} {line}", at + 1),
    });
    let lines = lines.collect();
    // Exchanges and their run hold each other.
    run.exchanges.borrow_mut().clear();
    run.current.borrow_mut().take();
    lines
}

/// Turns the loop until something is so, or it hangs.
fn turn_until(event_loop: &mut EventLoop, done: &Cell<bool>) -> bool {
    let patience = Instant::now() + PATIENCE;
    while !done.get() && Instant::now() < patience {
        event_loop.turn(Some(Duration::from_millis(50))).expect("a turn");
    }
    done.get()
}

impl Exchange {
    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    fn note(self: &Rc<Self>, line: impl Into<String>) {
        let line = line.into();
        self.lines.borrow_mut().push(line.clone());
        let mut log = self.run.log.borrow_mut();
        // How content is cut into pieces means nothing.
        match (log.last_mut(), line.strip_prefix("data ")) {
            (Some((at, last)), Some(more)) if *at == self.at && last.starts_with("data ") => {
                last.push_str(more);
            }
            _ => log.push((self.at, line)),
        }
        drop(log);
        proceed(&self.run);
    }

    fn closed(self: &Rc<Self>, line: &str) {
        self.open.set(self.open.get() - 1);
        self.note(line);
        if self.open.get() == 0 {
            finish_soon(&self.run);
        }
    }

    /// A callback that notes this.
    fn noting(self: &Rc<Self>, line: &'static str) -> impl Fn() + 'static {
        let exchange = Rc::clone(self);
        move || exchange.note(line)
    }

    fn noting_close(self: &Rc<Self>, line: &'static str) -> impl Fn() + 'static {
        let exchange = Rc::clone(self);
        move || exchange.closed(line)
    }

    fn noting_error(self: &Rc<Self>, what: &'static str) -> impl Fn(Error) + 'static {
        let exchange = Rc::clone(self);
        move |error| exchange.note(format!("{what} error {}", error.code()))
    }

    fn noting_data(self: &Rc<Self>) -> impl Fn(&[u8]) + 'static {
        let exchange = Rc::clone(self);
        move |chunk| exchange.note(format!("data {}", text(chunk)))
    }
}

/// Goes on where that is what was waited for.
fn proceed(run: &Rc<Run>) {
    let seen = match &*run.waiting.borrow() {
        None => return,
        Some(waiting) => {
            let lines = waiting.exchange.lines.borrow();
            lines.iter().filter(|line| line.starts_with(&waiting.word)).count() >= waiting.count
        }
    };
    if seen {
        run.waiting.borrow_mut().take();
        go(run);
    }
}

/// All exchanges may be over, once what happens now has happened.
fn finish_soon(run: &Rc<Run>) {
    let run = Rc::clone(run);
    let lp = run.lp;
    lp.set_immediate(move || {
        lp.set_immediate(move || finished(&run));
    });
}

fn finished(run: &Rc<Run>) {
    if run.exchanges.borrow().iter().any(|exchange| exchange.open.get() > 0) {
        return;
    }
    let waiting = run.waiting.borrow_mut().take();
    match waiting {
        Some(waiting) => {
            if waiting.word != "over" {
                run.log.borrow_mut().push((0, format!("never {}", waiting.word)));
            }
            go(run);
        }
        None if run.steps.borrow().is_empty() => run.done.set(true),
        None => {}
    }
}

fn go(run: &Rc<Run>) {
    loop {
        let Some(step) = run.steps.borrow_mut().pop_front() else {
            return finish_soon(run);
        };
        let (name, rest) = step.split_once(' ').unwrap_or((&step, ""));
        let words: Vec<&str> = if rest.is_empty() { Vec::new() } else { rest.split('|').collect() };
        match name {
            "tick" => {
                let again = Rc::clone(run);
                run.lp.set_timeout(Duration::from_millis(1), move || go(&again));
                return;
            }
            "wait" => {
                let exchange = run.current.borrow().clone().expect("something to wait for");
                let count = words.get(1).map_or(1, |count| count.parse().expect("a number"));
                let word = words[0].to_owned();
                let over = word == "over";
                *run.waiting.borrow_mut() = Some(Waiting { exchange, word, count });
                return if over { finish_soon(run) } else { proceed(run) };
            }
            _ => act(run, name, &words),
        }
    }
}

/// What Node does not throw: it tells it later, by an event.
const TOLD_LATER: [&str; 3] =
    ["ERR_STREAM_WRITE_AFTER_END", "ERR_STREAM_ALREADY_FINISHED", "ERR_STREAM_DESTROYED"];

fn act(run: &Rc<Run>, name: &str, words: &[&str]) {
    let result = match name {
        "ask" => ask(run, words).map(|()| None),
        "agent" => new_agent(run, words).map(|()| None),
        "sockets" => told(counts(run.agent.get().sockets())),
        "free" => told(counts(run.agent.get().free_sockets())),
        "requests" => told(counts(run.agent.get().requests())),
        "total" => told(run.agent.get().total_socket_count()),
        "name" => name_of(run, words),
        "agent-destroy" => {
            run.agent.get().destroy();
            Ok(None)
        }
        "switch" => {
            let at: usize = words[0].parse().expect("a number");
            *run.current.borrow_mut() = Some(Rc::clone(&run.exchanges.borrow()[at - 1]));
            Ok(None)
        }
        _ => {
            let current = run.current.borrow().clone();
            match current {
                Some(current) => step(&current, name, words),
                None => return,
            }
        }
    };
    let told = match result {
        Ok(None) => return,
        Ok(Some(told)) => told,
        Err(error) => error.code().to_owned(),
    };
    let at = run.current.borrow().as_ref().map_or(0, |current| current.at);
    run.log.borrow_mut().push((at, format!("{name} {told}")));
}

fn new_agent(run: &Run, words: &[&str]) -> Result<()> {
    let mut options = AgentOptions::new();
    for word in words {
        let (name, value) = word.split_once('=').unwrap_or((word, "0"));
        let number = || value.parse().expect("a number");
        options = match name {
            "no-keep" => options.keep_alive(false),
            "sockets" => options.max_sockets(number()),
            "total" => options.max_total_sockets(number()),
            "free" => options.max_free_sockets(number()),
            "scheduling" if value == "fifo" => options.scheduling(Scheduling::Fifo),
            "scheduling" => options.scheduling(Scheduling::Lifo),
            _ => panic!("no option {name}"),
        };
    }
    run.agent.set(Agent::new(run.lp, options)?);
    Ok(())
}

/// How an agent calls connections to here.
fn name_of(run: &Run, words: &[&str]) -> Result<Option<String>> {
    let mut options = RequestOptions::new("GET", "http://nobody.invalid/")
        .host(words[0])
        .port(words[1].parse().expect("a number"));
    for (name, value) in pairs(&words[2..]) {
        options = match name {
            "family" if value == "4" => options.family(Family::V4),
            "family" => options.family(Family::V6),
            "localAddress" => options.local_address(value.parse().expect("an address")),
            _ => options.unix_socket(value),
        };
    }
    told(run.agent.get().name(&options)?)
}

/// How many there are, by name.
fn counts(mut named: Vec<(String, usize)>) -> String {
    named.sort();
    let words = named.iter().map(|(name, count)| format!("\"{name} {count}\""));
    format!("[{}]", words.collect::<Vec<_>>().join(","))
}

fn ask(run: &Rc<Run>, words: &[&str]) -> Result<()> {
    let [method, path, words @ ..] = words else { panic!("a method and a path") };
    let mut userinfo = String::new();
    for word in words {
        if let Some(before) = word.strip_prefix("userinfo=") {
            userinfo = format!("{before}@");
        }
    }
    let url = match path.starts_with('/') {
        true => format!("http://{userinfo}127.0.0.1:{}{path}", run.port),
        false => path.replace("PORT", &run.port.to_string()),
    };
    let mut options = RequestOptions::new(method, url);
    if !words.contains(&"off") {
        options = options.agent(run.agent.get());
    }
    for word in words {
        let word = word.replace("PORT", &run.port.to_string());
        let (name, value) = word.split_once('=').unwrap_or((&word, "0"));
        let number = || value.parse().expect("a number");
        options = match name {
            "off" => options.keep_alive(false),
            "timeout" => options.timeout(milliseconds(value)),
            "header-size" => options.max_header_size(number()),
            "fields" => options.max_headers_count(number()),
            "join" => options.join_duplicate_headers(true),
            "host" => options.host(value),
            "port" => options.port(value.parse().expect("a number")),
            "path" => options.path(value),
            "auth" => options.auth(value),
            "header" => {
                let (name, value) = value.split_once(": ").expect("a name and a value");
                options.header(name, value)
            }
            _ => options,
        };
    }
    let request = http::request_with(run.lp, options)?;
    let exchange = Rc::new(Exchange {
        run: Rc::clone(run),
        at: run.exchanges.borrow().len(),
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        request,
        response: RefCell::default(),
        socket: Cell::default(),
        lines: RefCell::default(),
        open: Cell::new(1),
    });
    run.exchanges.borrow_mut().push(Rc::clone(&exchange));
    *run.current.borrow_mut() = Some(Rc::clone(&exchange));
    listen(&exchange);
    Ok(())
}

fn milliseconds(text: &str) -> Duration {
    Duration::from_millis(text.parse().expect("a number"))
}

fn listen(exchange: &Rc<Exchange>) {
    let request = exchange.request;
    request.on_finish(exchange.noting("finish"));
    request.on_continue(exchange.noting("continue"));
    request.on_timeout(exchange.noting("timeout"));
    request.on_drain(exchange.noting("drain"));
    let told = Rc::clone(exchange);
    request.on_information(move |information| {
        let (status, reason) = (information.status(), information.status_message());
        let fields = information.headers().map(|(name, value)| (name.to_owned(), value.to_vec()));
        told.note(format!("information {status} {reason} {}", raw(fields)));
    });
    request.on_error(exchange.noting_error("req"));
    request.on_close(exchange.noting_close("req close"));
    if !exchange.has("ignored") {
        let exchange = Rc::clone(exchange);
        request.on_response(move |response| respond(&exchange, response));
    }
    if exchange.has("socket") {
        let exchange = Rc::clone(exchange);
        request.on_socket(move |_| exchange.note("socket"));
    }
    if exchange.has("upgrade") {
        let exchange = Rc::clone(exchange);
        request.on_upgrade(move |response, socket, head| {
            hand_over(&exchange, "upgrade", response, socket, head);
        });
    }
    if exchange.has("connect") {
        let exchange = Rc::clone(exchange);
        request.on_connect(move |response, socket, head| {
            hand_over(&exchange, "connect", response, socket, head);
        });
    }
}

fn respond(exchange: &Rc<Exchange>, response: IncomingResponse) {
    exchange.open.set(exchange.open.get() + 1);
    if !exchange.has("unread") {
        response.on_data(exchange.noting_data());
    }
    if exchange.has("paused") {
        response.pause();
    }
    if exchange.has("silence") {
        response.on_timeout(exchange.noting("res timeout"));
    }
    response.on_end(exchange.noting("end"));
    response.on_aborted(exchange.noting("aborted"));
    response.on_error(exchange.noting_error("res"));
    response.on_close(exchange.noting_close("res close"));
    let status = response.status();
    *exchange.response.borrow_mut() = Some(response);
    exchange.note(format!("response {status}"));
}

fn hand_over(
    exchange: &Rc<Exchange>,
    event: &str,
    response: IncomingResponse,
    socket: Socket,
    head: &[u8],
) {
    exchange.open.set(exchange.open.get() + 1);
    socket.on_data(exchange.noting_data());
    socket.on_end(exchange.noting("end"));
    socket.on_error(exchange.noting_error("socket"));
    socket.on_close(exchange.noting_close("socket close"));
    let status = response.status();
    *exchange.response.borrow_mut() = Some(response);
    exchange.socket.set(Some(socket));
    exchange.note(format!("{event} {status} {}", quoted(head)));
}

/// Steps that return nothing; false for all others.
fn is_done(req: ClientRequest, name: &str, word: &str) -> bool {
    match name {
        "flush" => req.flush_headers(),
        "strict" => req.set_strict_content_length(true),
        "cork" => req.cork(),
        "uncork" => req.uncork(),
        "destroy" => req.destroy(),
        "destroy-with" => req.destroy_with(Error::other("of the program")),
        "set-timeout" => req.set_timeout(milliseconds(word)),
        _ => return false,
    }
    true
}

/// What the step returned, as text.
fn step(exchange: &Rc<Exchange>, name: &str, words: &[&str]) -> Result<Option<String>> {
    let req = exchange.request;
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    if is_done(req, name, word(0)) {
        return Ok(None);
    }
    match name {
        "set" => done(req.set_header(word(0), word(1))),
        "set-all" => done(req.set_header_all(word(0), &words[1..])),
        "set-many" => done(req.set_headers(pairs(words))),
        "append" => done(req.append_header(word(0), word(1))),
        "remove" => done(req.remove_header(word(0))),
        "get" => told(match req.header_all(word(0)) {
            values if values.is_empty() => "none".to_owned(),
            values => text(&values.join(&b","[..])),
        }),
        "has" => told(req.has_header(word(0))),
        "names" => told(req.header_names().join(",")),
        "raw-names" => told(req.raw_header_names().join(",")),
        "sent" => told(req.headers_sent()),
        "ended" => told(req.writable_ended()),
        "finished" => told(req.writable_finished()),
        "destroyed" => told(req.is_destroyed()),
        "reused" => told(req.is_reused()),
        "req-method" => told(req.method()),
        "req-path" => told(req.path()),
        "req-host" => told(req.host()),
        "req-protocol" => told(req.protocol()),
        "keeps" => told(req.should_keep_alive()),
        "corked" => told(req.writable_corked()),
        "write" => match req.try_write(word(0)) {
            Err(error) if TOLD_LATER.contains(&error.code()) => told(false),
            Ok(true) => Ok(None),
            taken => told(taken?),
        },
        "much" => {
            req.try_write("x".repeat(word(0).parse().expect("a number")))?;
            Ok(None)
        }
        "end" => end(exchange, word(0)),
        "end-told" => {
            let told = end(exchange, word(0));
            let exchange = Rc::clone(exchange);
            req.on_written(move |_| exchange.note("ended"))?;
            told
        }
        "write-told" => {
            req.try_write(word(0))?;
            let exchange = Rc::clone(exchange);
            done(req.on_written(move |_| exchange.note("written")))
        }
        "trailers" => done(req.add_trailers(pairs(words))),
        "socket-write" | "socket-end" | "socket-destroy" => {
            let socket = exchange.socket.get().expect("a connection was handed over");
            match name {
                "socket-write" => drop(socket.write(latin1(word(0)))),
                "socket-end" => socket.end(word(0)),
                _ => socket.destroy(),
            }
            Ok(None)
        }
        _ => match &*exchange.response.borrow() {
            Some(response) => view(response, name),
            None => told("none"),
        },
    }
}

fn end(exchange: &Exchange, content: &str) -> Result<Option<String>> {
    match exchange.request.try_end(content) {
        Err(error) if TOLD_LATER.contains(&error.code()) => Ok(None),
        ended => done(ended),
    }
}

fn done(result: Result<()>) -> Result<Option<String>> {
    result.map(|()| None)
}

fn told(value: impl ToString) -> Result<Option<String>> {
    Ok(Some(value.to_string()))
}

/// What is seen of the response, and what is done to it.
fn view(res: &IncomingResponse, name: &str) -> Result<Option<String>> {
    match name {
        "res-destroy" => res.destroy(),
        "res-destroy-with" => res.destroy_with(Error::other("of the program")),
        "pause" => res.pause(),
        "resume" => res.resume(),
        _ => {}
    }
    told(match name {
        "status" => res.status().to_string(),
        "reason" => quoted(res.status_message().as_bytes()),
        "version" => res.http_version().to_owned(),
        "complete" => res.is_complete().to_string(),
        "raw" => raw(res.headers().map(|(name, value)| (name.to_owned(), value.to_vec()))),
        "joined" => joined(res.headers_joined()),
        "distinct" => distinct(res.headers_distinct()),
        "raw-trailers" => raw(res.trailers().into_iter()),
        "joined-trailers" => joined(res.trailers_joined()),
        "distinct-trailers" => distinct(res.trailers_distinct()),
        "res-destroy" | "res-destroy-with" | "pause" | "resume" => return Ok(None),
        _ => panic!("no step {name}"),
    })
}

/// `name=value` words.
fn pairs<'a>(words: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    words.iter().map(|word| word.split_once('=').expect("name=value")).collect()
}

/// One byte for each character.
fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).expect("a byte")).collect()
}
