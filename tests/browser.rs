//! The examples in a browser: what their pages show, and how it came there. Skipped, and that is said, where
//! there is no Chromium; with `ONLOOP_REQUIRE_INTEROP=1` that is a failure.

mod program;

use std::collections::BTreeSet;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use program::Program;
use program::browser::Browser;
use serde_json::json;

fn start(name: &str) -> Program {
    Program::start(name, &["127.0.0.1:0"])
}

/// Connections to a server that can be cut.
struct Line {
    url: String,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Line {
    fn to(server: &Program) -> Line {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
        let ends = Arc::new(Mutex::new(Vec::new()));
        let (made, port) = (ends.clone(), server.port);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                let Ok(far) = TcpStream::connect(("127.0.0.1", port)) else { return };
                let clone = |end: &TcpStream| end.try_clone().expect("a descriptor is left");
                for (mut from, mut to) in [(clone(&near), clone(&far)), (clone(&far), clone(&near))]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                made.lock().expect("nobody panics").push(near);
            }
        });
        Line { url, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().expect("nobody panics").drain(..) {
            // Some are over already.
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

/// Waits in the page of `server_sent_events` until `condition` holds of `items`, the texts of its list with
/// the newest first; looks again whenever the list has changed. Returns the items.
fn items_when(browser: &mut Browser, condition: &str) -> Vec<String> {
    let items = browser.evaluate(&format!(
        "new Promise((resolve) => {{
           const list = document.getElementById('events');
           const look = () => {{
             const items = [...list.children].map((item) => item.textContent);
             if ({condition}) resolve(items);
           }};
           new MutationObserver(look).observe(list, {{ childList: true }});
           look();
         }})"
    ));
    serde_json::from_value(items).expect("texts")
}

/// The numbers of the events that a page shows, the oldest first.
fn numbers(browser: &mut Browser) -> Vec<u64> {
    let numbers = browser.evaluate(
        "[...document.querySelectorAll('#events b')].map((b) => +b.textContent).reverse()",
    );
    serde_json::from_value(numbers).expect("numbers")
}

#[test]
fn events_arrive_live_in_the_page() {
    let Some(mut browser) = Browser::start() else { return };
    let server = start("server_sent_events");
    browser.open(&server.url("/"));

    let mut shown = items_when(&mut browser, "items.length > 0").len();
    for _ in 0..3 {
        let items = items_when(&mut browser, &format!("items.length > {shown}"));
        shown = items.len();
        // It is the answer of the first event still: none has ended, and none was begun again.
        let state = browser.evaluate(
            "[source.readyState, document.getElementById('state').textContent,
              performance.getEntriesByType('resource').filter((e) => e.name.endsWith('/events')).length]",
        );
        assert_eq!(state, json!([1, "connected", 0]));
    }
    // What the page has shown so far was sent when it was alone. So this event cannot have been on its way.
    items_when(&mut browser, "items[0].endsWith(' 1 reader')");
    let mut second = server.connect();
    second.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n");
    items_when(&mut browser, "items[0].endsWith(' 2 readers')");
    drop(second);
    items_when(&mut browser, "items[0].endsWith(' 1 reader')");
    let seen = numbers(&mut browser);
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "each once, in order: {seen:?}");
}

#[test]
fn a_page_whose_connection_is_lost_goes_on_where_it_was() {
    let Some(mut browser) = Browser::start() else { return };
    let server = start("server_sent_events");
    let line = Line::to(&server);
    browser.open(&line.url);
    let shown = items_when(&mut browser, "items.length > 1").len();

    // The server and its events go on, and some are over before the page has connected again.
    line.cut();
    browser.evaluate(
        "new Promise((resolve) => {
           source.addEventListener('error', resolve, { once: true });
           if (source.readyState !== 1) resolve();
         }).then(() => null)",
    );
    items_when(&mut browser, &format!("items.length > {shown} + 3"));
    assert_eq!(browser.evaluate("source.readyState"), 1);
    let seen = numbers(&mut browser);
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "none is missing: {seen:?}");
}

#[test]
fn content_that_a_page_posts_comes_back_on_kept_connections() {
    let Some(mut browser) = Browser::start() else { return };
    let server = start("echo");
    browser.open(&server.url("/"));
    let lengths = [5, 2_000_000, 0, 50, 500, 5000, 50_000, 5];
    for length in lengths {
        let report = browser.evaluate(&format!(
            "(async () => {{
               const sent = 'grün!'.repeat({length} / 5);
               const headers = {{ 'Content-Type': 'text/x-test; charset=utf-8' }};
               const answer = await fetch('/echo', {{ method: 'POST', headers, body: sent }});
               const received = await answer.text();
               return [answer.status, answer.headers.get('content-type'), received === sent];
             }})()"
        ));
        assert_eq!(report, json!([200, "text/x-test; charset=utf-8", true]), "{length}");
    }
    let connections: Vec<u64> = browser
        .events("Network.responseReceived")
        .filter(|event| event["response"]["url"] == server.url("/echo"))
        .filter_map(|event| event["response"]["connectionId"].as_u64())
        .collect();
    assert_eq!(connections.len(), lengths.len());
    // A browser opens one or two ahead, for the icon of the page for example, and takes the one that is free.
    let distinct: BTreeSet<&u64> = connections.iter().collect();
    assert!(distinct.len() <= 3, "{connections:?}");
}

#[test]
fn the_page_behind_early_hints_is_whole() {
    let Some(mut browser) = Browser::start() else { return };
    let server = start("early_hints");
    browser.open(&server.url("/"));
    let shown = browser.evaluate(
        "[document.querySelector('h1').textContent, getComputedStyle(document.body).color,
          document.getElementById('script').textContent]",
    );
    let expected = json!(["The page was slow", "rgb(34, 51, 68)", "The script was here early."]);
    assert_eq!(shown, expected);
}
