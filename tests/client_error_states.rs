//! A request that breaks off while its response is in any state: what is held back gives way to the answer of
//! `on_client_error`, what has left is never followed by another response.

mod common;

use std::fs::File;

use common::{Ending, Log, World, get};
use onloop::http::{Request, Response};

const LARGE: usize = 3_000_000;

fn large_file() -> File {
    let path = std::env::temp_dir().join(format!("onloop-states-{}", std::process::id()));
    std::fs::write(&path, vec![b'x'; LARGE]).expect("a place for a file");
    let file = File::open(&path).expect("it was written");
    std::fs::remove_file(&path).expect("it was written");
    file
}

fn handle(req: &Request, res: Response) -> onloop::Result<()> {
    req.resume();
    match req.url() {
        "/set" => res.set_header("X-Set", "1")?,
        "/sealed" => res.write_head(201, [("X-Sealed", "1")])?,
        "/corked" => {
            res.cork();
            res.flush_headers();
            res.write("held");
            res.on_written(|result| assert!(result.is_err()))?;
        }
        "/informed" => {
            res.write_processing()?;
            res.cork();
            res.write(vec![b'x'; 50_000]);
        }
        "/begun" => drop(res.write("begun")),
        "/begun-and-corked" => {
            res.write("begun");
            res.cork();
            res.write("held");
        }
        "/ended" => {
            res.cork();
            res.end("ended");
        }
        "/file" => res.send_file(large_file(), ..)?,
        other => panic!("{other}"),
    }
    Ok(())
}

#[test]
fn a_client_error_is_answered_where_nothing_of_the_response_has_left() {
    for listens in [false, true] {
        for (path, open) in [
            ("/set", true),
            ("/sealed", true),
            ("/corked", true),
            ("/informed", true),
            ("/begun", false),
            ("/begun-and-corked", false),
            ("/ended", false),
            ("/file", false),
        ] {
            let context = format!("{path}, listens: {listens}");
            let mut world = World::new();
            let log = Log::new();
            let notes = log.clone();
            let server = world.serve(move |req, res| {
                res.on_close(notes.noting("close"));
                handle(&req, res)
            });
            let notes = log.clone();
            if listens {
                server.on_client_error(move |error, socket| {
                    notes.note(format!("{} {}", error.code(), socket.is_open()));
                    socket.end("HTTP/1.1 400 Mine\r\nConnection: close\r\n\r\n");
                });
            }
            let head = get(path, "Transfer-Encoding: chunked\r\n");
            let mut peer = world.connect(&server);
            peer.send(head + "2\r\nab\r\nz");
            let ending = world.until_end(&mut peer);
            let end = log.clone();
            world.until(&context, || end.has("close"));
            let text = peer.text();
            let answers = text.matches("HTTP/1.1 ").count() - text.matches("HTTP/1.1 102").count();
            // What has begun is dropped where it was not out, and nothing else comes in its place.
            assert!(
                answers == 1 || path.starts_with("/begun") && text.is_empty(),
                "{context}: {text}"
            );
            match (open, listens) {
                (true, true) => assert!(text.ends_with("400 Mine\r\nConnection: close\r\n\r\n")),
                (true, false) => assert!(text.contains("HTTP/1.1 400 Bad Request\r\n"), "{text}"),
                (false, _) => assert!(!text.contains("HTTP/1.1 400"), "{context}"),
            }
            assert!(!open || !text.contains("held") && !text.contains("X-Set"), "{context}");
            // What is ended goes out whole.
            match path {
                "/ended" => assert!(text.ends_with("ended"), "{context}: {text}"),
                "/file" => assert!(text.ends_with(&"x".repeat(LARGE)), "{context}"),
                _ => {}
            }
            assert!(ending == Ending::End || !["/ended", "/file"].contains(&path), "{context}");
            let told = log.all();
            let expected = format!("HPE_INVALID_CHUNK_SIZE {open}");
            assert_eq!(told.contains(&expected), listens, "{context}: {told:?}");
            assert_eq!(log.count("close"), 1, "{context}");
            drop(peer);
            world.until("the end of the connection", || server.connections() == 0);
        }
    }
}

#[test]
fn a_client_error_behind_a_begun_answer_has_no_socket_while_answers_before_it_go_out() {
    let mut world = World::new();
    let log = Log::new();
    let notes = log.clone();
    let server = world.serve(move |req, res| {
        if req.url() == "/first" {
            res.end(vec![b'x'; LARGE]);
            return Ok(());
        }
        res.on_error(notes.noting_error("error"));
        res.on_close(notes.noting("close"));
        handle(&req, res)
    });
    let notes = log.clone();
    server.on_client_error(move |error, socket| {
        notes.note(format!("{} {}", error.code(), socket.is_open()));
        socket.end("HTTP/1.1 400 Mine\r\nConnection: close\r\n\r\n");
        socket.write("more");
        socket.destroy();
    });
    let begun = get("/begun", "Transfer-Encoding: chunked\r\n") + "2\r\nab\r\nz";
    let mut peer = world.connect(&server);
    peer.stop_reading();
    peer.send(get("/first", "") + &begun);
    peer.send(vec![b'z'; 500_000]);
    world.until("the connection", || server.connections() == 1);
    peer.read_on();
    assert_eq!(world.answer(&mut peer).content.len(), LARGE);
    assert_eq!(world.until_end(&mut peer), Ending::End);
    assert!(!peer.text().contains("Mine") && !peer.text().contains("0\r\n\r\n"), "{}", peer.text());
    let expected = ["error HPE_INVALID_CHUNK_SIZE", "close", "HPE_INVALID_CHUNK_SIZE false"];
    let mut told = log.all();
    told.sort_by_key(|line| expected.iter().position(|expected| expected == line));
    assert_eq!(told, expected);
    drop(peer);
    world.until("the end of the connection", || server.connections() == 0);
}
