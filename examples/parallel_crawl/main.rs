//! Many requests through one agent: `parallel_crawl [URL [PAGES] | --list FILE]`.
//!
//! From a URL it follows the links of that server breadth-first, up to so many pages (200 by default); with
//! `--list` it asks for the URLs of a file, one a line, and follows none. Without arguments it crawls a small
//! server of its own, on the same loop. There is no queue here: each request is made as soon as its URL is known,
//! and the agent has it wait for one of its connections, in order.
//!
//! At the end it prints how many answers of each status there were, the errors with their codes and with how
//! much of the request had been sent, bytes and time. It exits with 1 where no answer came at all.
//!
//! A redirect counts as a link. Nobody is asked for a `robots.txt`, so take servers that are yours.

mod links;
mod site;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::process::ExitCode;
use std::rc::Rc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use onloop::http::{self, Agent, AgentOptions, IncomingResponse, RequestOptions, Server};
use onloop::{Error, EventLoop, LoopHandle, Result};

/// Connections to one server, and to all of them.
const SOCKETS: usize = 8;
const TOTAL_SOCKETS: usize = 64;

const PAGES: usize = 200;

/// A list may be longer than a crawl.
const LIST_MAX: usize = 1_000_000;

/// More of a page than this is not looked at for links.
const PAGE_BYTES_MAX: usize = 1024 * 1024;

/// A request on whose connection nothing moves for so long is given up. It is told of requests that have no
/// connection yet, too; those go on.
const SILENCE_MAX: Duration = Duration::from_secs(10);

/// What is to be crawled.
enum Task {
    /// A server of our own.
    Demo,
    Site(String, usize),
    List(Vec<String>),
}

struct Crawl {
    lp: LoopHandle,
    agent: Agent,
    /// Scheme and authority of the server whose links are followed.
    origin: Option<String>,
    pages_max: usize,
    seen: HashSet<String>,
    waiting: usize,
    counts: Counts,
    bar: ProgressBar,
    /// To be closed at the end.
    server: Option<Server>,
}

#[derive(Default)]
struct Counts {
    statuses: BTreeMap<u16, usize>,
    failures: Vec<(String, Error)>,
    bytes: u64,
    connections: usize,
}

type Shared = Rc<RefCell<Crawl>>;

fn main() -> ExitCode {
    env_logger::init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let task = match &arguments[..] {
        [] => Ok(Task::Demo),
        [option, file] if option == "--list" => list(file).map(Task::List),
        [url] if !url.starts_with('-') => Ok(Task::Site(url.clone(), PAGES)),
        [url, pages] if !url.starts_with('-') => match pages.parse() {
            Ok(pages) if pages > 0 => Ok(Task::Site(url.clone(), pages)),
            _ => return usage(),
        },
        _ => return usage(),
    };
    match task.map_err(Error::from).and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("parallel_crawl: {error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: parallel_crawl [URL [PAGES] | --list FILE]");
    ExitCode::from(2)
}

/// The lines of a file that are not empty.
fn list(file: &str) -> std::io::Result<Vec<String>> {
    let text = std::fs::read_to_string(file)?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.map(str::to_string).collect())
}

/// True where at least one answer came.
fn run(task: Task) -> Result<bool> {
    let mut event_loop = EventLoop::new()?;
    let lp = event_loop.handle();
    let server = matches!(task, Task::Demo).then(|| site::serve(lp)).transpose()?;
    let (urls, pages_max, is_site) = match task {
        Task::Demo => {
            let port = server.map_or(0, |server| server.port());
            (vec![format!("http://127.0.0.1:{port}/")], PAGES, true)
        }
        // As links to it are told.
        Task::Site(url, pages) => (vec![links::resolve(&url, "").unwrap_or(url)], pages, true),
        Task::List(urls) => (urls, LIST_MAX, false),
    };
    let options = AgentOptions::new()
        .max_sockets(SOCKETS)
        .max_total_sockets(TOTAL_SOCKETS)
        .max_queued_requests(pages_max);
    let crawl = Rc::new(RefCell::new(Crawl {
        lp,
        agent: Agent::new(lp, options)?,
        origin: urls.first().filter(|_| is_site).and_then(|url| links::origin_of(url)),
        pages_max,
        seen: HashSet::new(),
        waiting: 0,
        counts: Counts::default(),
        bar: bar(),
        server,
    }));
    let started = Instant::now();
    for url in urls {
        visit(&crawl, url);
    }
    event_loop.run()?; // returns when nothing is left to wait for, as Node exits
    let crawl = crawl.borrow();
    crawl.bar.finish_and_clear();
    crawl.counts.print(started.elapsed());
    Ok(!crawl.counts.statuses.is_empty())
}

/// Drawn to standard error, where that is a terminal.
fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} pages, {per_sec}, {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Asks for a page that was not asked for before.
fn visit(crawl: &Shared, url: String) {
    let mut known = crawl.borrow_mut();
    if known.seen.len() >= known.pages_max || !known.seen.insert(url.clone()) {
        return;
    }
    known.waiting += 1;
    let found = known.seen.len() as u64;
    known.bar.set_length(found);
    let (lp, agent) = (known.lp, known.agent);
    drop(known); // what follows may be an error at once
    if let Err(error) = ask(crawl, lp, agent, &url) {
        crawl.borrow_mut().counts.failures.push((url, error));
        finished(crawl);
    }
}

fn ask(crawl: &Shared, lp: LoopHandle, agent: Agent, url: &str) -> Result<()> {
    let options = RequestOptions::new("GET", url)
        .header("User-Agent", "onloop-parallel-crawl")
        .timeout(SILENCE_MAX)
        .agent(agent);
    let request = http::request_with(lp, options)?;
    let counting = crawl.clone();
    request.on_socket(move |_connection| {
        let is_new = !request.is_reused();
        counting.borrow_mut().counts.connections += usize::from(is_new);
    });
    let (receiving, base) = (crawl.clone(), url.to_string());
    request.on_response(move |response| receive(&receiving, base, &response));
    request.on_timeout(move || {
        if request.connection().is_some() {
            request.destroy_with(Error::other("nothing came for 10 s"));
        }
    });
    let (failing, failed) = (crawl.clone(), url.to_string());
    request.on_error(move |error| {
        failing.borrow_mut().counts.failures.push((failed, error));
    });
    // Comes once and last, whatever became of the request.
    let ending = crawl.clone();
    request.on_close(move || finished(&ending));
    request.end("");
    Ok(())
}

/// An answer: what it links to is asked for when all of it is there.
fn receive(crawl: &Shared, base: String, response: &IncomingResponse) {
    let mut known = crawl.borrow_mut();
    *known.counts.statuses.entry(response.status()).or_default() += 1;
    let follows = known.origin.is_some();
    drop(known);
    let moved = match response.status() {
        300..400 => response.header("location").map(str::to_string),
        _ => None,
    };
    let is_html = response.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    let page = Rc::new(RefCell::new(Vec::new()));
    let (counting, keeping) = (crawl.clone(), page.clone());
    response.on_data(move |chunk| {
        counting.borrow_mut().counts.bytes += chunk.len() as u64;
        let mut page = keeping.borrow_mut();
        if follows && is_html && page.len() + chunk.len() <= PAGE_BYTES_MAX {
            page.extend_from_slice(chunk);
        }
    });
    let linking = crawl.clone();
    response.on_end(move || {
        if follows {
            let page = page.borrow();
            let links = links::links_of(&page);
            follow(&linking, &base, moved.into_iter().chain(links));
        }
    });
}

/// Asks for those that lead to pages of the same server.
fn follow(crawl: &Shared, base: &str, links: impl Iterator<Item = String>) {
    for link in links {
        let url = links::resolve(base, &link);
        let is_ours = |url: &String| {
            let known = crawl.borrow();
            known.origin.is_some() && links::origin_of(url) == known.origin
        };
        if let Some(url) = url.filter(is_ours) {
            visit(crawl, url);
        }
    }
}

/// One request less. After the last one nobody needs our own server any more.
fn finished(crawl: &Shared) {
    let mut known = crawl.borrow_mut();
    known.waiting -= 1;
    known.bar.inc(1);
    let sockets = known.agent.total_socket_count();
    known.bar.set_message(format!("{sockets} connections"));
    if known.waiting == 0 {
        if let Some(server) = known.server.take() {
            server.close();
        }
    }
}

impl Counts {
    fn print(&self, time: Duration) {
        for (status, count) in &self.statuses {
            println!("{status} {count}");
        }
        for (url, error) in &self.failures {
            let sent = error.sent().map_or("-".to_string(), |sent| format!("{sent:?}"));
            println!("{} {sent} {url}: {error}", error.code());
        }
        let answers: usize = self.statuses.values().sum();
        println!(
            "{answers} answers, {} errors, {} bytes, {} connections, {:.3} s",
            self.failures.len(),
            self.bytes,
            self.connections,
            time.as_secs_f64()
        );
    }
}
