//! Heads in the types of the `http` crate, both ways over a real connection.
#![cfg(feature = "http")]

use std::cell::RefCell;
use std::rc::Rc;

use onloop::{EventLoop, http as web};

#[test]
fn heads_survive_the_way_there_and_back() {
    let mut event_loop = EventLoop::new().unwrap();
    let lp = event_loop.handle();
    let seen = Rc::new(RefCell::new(Vec::new()));
    let requests = seen.clone();
    let server = web::create_server(lp, move |req, res| {
        requests.borrow_mut().push(req.to_http()?);
        let head = http::Response::builder()
            .status(207)
            .header("X-Twice", "one")
            .header("X-Twice", "two")
            .body(())
            .unwrap();
        res.set_header("X-Twice", "replaced")?;
        res.set_http(&head)?;
        res.end("");
        Ok(())
    });
    server.listen("127.0.0.1:0").unwrap();
    let head = http::Request::put(format!("http://127.0.0.1:{}/a?b=c", server.port()))
        .header("X-Latin", http::HeaderValue::from_bytes(b"caf\xe9").unwrap())
        .header("X-Twice", "1")
        .header("X-Twice", "2")
        .body(())
        .unwrap();
    let request = web::request_from_http(lp, &head).unwrap();
    let answer = Rc::new(RefCell::new(None));
    let answered = answer.clone();
    request.on_response(move |response| {
        *answered.borrow_mut() = Some(response.to_http()?);
        server.close();
        Ok(())
    });
    request.end("");
    event_loop.run().unwrap();

    let requests = seen.borrow();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method(), http::Method::PUT);
    assert_eq!(requests[0].uri(), "/a?b=c");
    assert_eq!(requests[0].headers()["x-latin"].as_bytes(), b"caf\xe9");
    let twice: Vec<_> = requests[0].headers().get_all("x-twice").iter().collect();
    assert_eq!(twice, ["1", "2"]);

    let answer = answer.borrow();
    let answer = answer.as_ref().unwrap();
    assert_eq!(answer.status(), 207);
    let twice: Vec<_> = answer.headers().get_all("x-twice").iter().collect();
    assert_eq!(twice, ["one", "two"]);
}

#[test]
fn what_cannot_be_sent_is_refused_at_the_call() {
    let event_loop = EventLoop::new().unwrap();
    let relative = http::Request::get("/no-host").body(()).unwrap();
    let error = web::request_from_http(event_loop.handle(), &relative).unwrap_err();
    assert_eq!(error.code(), "ERR_INVALID_URL");
}
