//! What is sent again is what the user wrote: however it was written, whenever the answer came that sent it elsewhere.

mod common;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use common::{Log, World, url_of};
use onloop::LoopHandle;
use onloop::http::{self, ClientRequest, Request, RequestOptions, Response, Retries};

/// Ways to write `CONTENT`, each with what frames it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Whole,
    Pieces,
    Corked,
    Uncorked,
    Late,
    Announced,
    Trailers,
    Flushed,
    Large,
}

const WAYS: [Way; 9] = [
    Way::Whole,
    Way::Pieces,
    Way::Corked,
    Way::Uncorked,
    Way::Late,
    Way::Announced,
    Way::Trailers,
    Way::Flushed,
    Way::Large,
];

fn content(way: Way) -> String {
    match way {
        Way::Large => "large ".repeat(9_000),
        _ => "first second third".to_string(),
    }
}

fn write(lp: LoopHandle, request: ClientRequest, way: Way) {
    match way {
        Way::Whole => request.end("first second third"),
        Way::Pieces => {
            request.write("first ");
            request.write("second ");
            request.end("third");
        }
        Way::Corked => {
            request.cork();
            request.write("first ");
            request.write("second ");
            request.end("third");
        }
        Way::Uncorked => {
            request.flush_headers();
            request.write("first ");
            request.cork();
            request.write("second ");
            lp.set_timeout(Duration::from_millis(20), move || {
                request.write("th");
                request.uncork();
                request.end("ird");
            });
        }
        Way::Late => {
            request.write("first ");
            lp.set_timeout(Duration::from_millis(3), move || {
                request.write("second ");
            });
            lp.set_timeout(Duration::from_millis(30), move || request.end("third"));
        }
        Way::Announced => {
            request.set_header("Content-Length", "18").expect("a header");
            request.write("first ");
            lp.set_timeout(Duration::from_millis(10), move || request.end("second third"));
        }
        Way::Trailers => {
            request.set_header("Trailer", "X-Sum").expect("a header");
            request.write("first second ");
            lp.set_timeout(Duration::from_millis(10), move || {
                request.add_trailers([("X-Sum", "18")]).expect("a trailer");
                request.end("third");
            });
        }
        Way::Flushed => {
            request.flush_headers();
            lp.set_timeout(Duration::from_millis(20), move || request.end("first second third"));
        }
        Way::Large => {
            request.write("large ".repeat(3_000).into_bytes());
            request.end("large ".repeat(6_000).into_bytes());
        }
    }
}

/// What a server made of a request that it read to its end.
fn seen(request: &Request, content: &[u8]) -> String {
    let field = |name: &str| request.header(name).map(|value| value.to_string());
    format!(
        "{} {:?} {:?} {:?} {}",
        request.method(),
        field("Content-Length"),
        field("Transfer-Encoding"),
        field("X-Kept"),
        String::from_utf8_lossy(content),
    )
}

/// Reads all of a request, then notes what it was and goes on.
fn read(request: Request, notes: Rc<RefCell<Vec<String>>>, then: impl FnOnce() + 'static) {
    let content: Rc<RefCell<Vec<u8>>> = Rc::default();
    let taken = content.clone();
    let request = Rc::new(request);
    let whole = request.clone();
    request.on_data(move |piece| taken.borrow_mut().extend_from_slice(piece));
    request.on_end(move || {
        let trailers =
            whole.trailers().pop().map(|(_, sum)| String::from_utf8_lossy(&sum).into_owned());
        notes.borrow_mut().push(format!("{} {trailers:?}", seen(&whole, &content.borrow())));
        then();
    });
}

fn refuse(response: Response, url: &str, status: u16) {
    response.set_status(status);
    response.set_header("Location", url).expect("a header");
    response.set_header("Retry-After", "0").expect("a header");
    response.end("elsewhere");
}

/// Each way, answered by this status first: at once, or after all of it came.
fn sweep(status: u16, method: &str) {
    for (way, early) in WAYS.into_iter().flat_map(|way| [(way, true), (way, false)]) {
        let mut world = World::new();
        let lp = world.lp;
        let second = Rc::new(RefCell::new(Vec::new()));
        let notes = second.clone();
        let goal = world.serve(move |request: Request, response: Response| {
            read(request, notes.clone(), move || response.end("done"));
        });
        let url = url_of(&goal);
        let first = Rc::new(RefCell::new(Vec::new()));
        let notes = first.clone();
        let count = Cell::new(0);
        let again = second.clone();
        let start = world.serve(move |request: Request, response: Response| {
            count.set(count.get() + 1);
            if count.get() > 1 {
                return read(request, again.clone(), move || response.end("done"));
            }
            let url = url.clone();
            match early {
                true => refuse(response, &url, status),
                false => read(request, notes.clone(), move || refuse(response, &url, status)),
            }
        });
        let options = RequestOptions::new(method, url_of(&start))
            .header("X-Kept", "kept")
            .redirects(2)
            .retries(Retries::new(2).delay(Duration::from_millis(20)).on_status(true));
        let log = Log::new();
        let request = http::request_with(lp, options).expect("a request");
        let answers = log.clone();
        request.on_response(move |response| {
            answers.note(response.status().to_string());
            response.resume();
        });
        request.on_error(log.noting_error("error"));
        request.on_close(log.noting("closed"));
        write(lp, request, way);
        world.until("the end", || log.has("closed"));
        let what = format!("{status} {method} {way:?} {early}");
        assert_eq!(log.all(), ["200", "closed"], "{what}");
        let seen = second.borrow();
        assert_eq!(seen.len(), 1, "{what}: {seen:?}");
        if !early {
            assert_eq!(first.borrow().len(), 1, "{what}");
        }
        let expected_sum = if way == Way::Trailers { "Some(\"18\")" } else { "None" };
        let becomes_get = status == 303 || (status < 303 && method == "POST");
        match becomes_get {
            true => assert_eq!(seen[0], "GET None None Some(\"kept\")  None", "{what}"),
            false => {
                let content = content(way);
                assert!(
                    seen[0].ends_with(&format!("{content} {expected_sum}")),
                    "{what}: {seen:?}"
                );
                assert!(seen[0].starts_with(method), "{what}: {seen:?}");
                if !early {
                    assert_eq!(first.borrow()[0], seen[0], "{what}");
                }
            }
        }
    }
}

#[test]
fn a_redirect_that_keeps_the_content_sends_all_of_it() {
    sweep(307, "POST");
    sweep(308, "PUT");
}

#[test]
fn a_redirect_that_drops_the_content_sends_none_of_it() {
    sweep(303, "PUT");
    sweep(302, "POST");
}

#[test]
fn a_retry_sends_all_of_it() {
    sweep(503, "PUT");
}
