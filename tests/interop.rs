//! Our programs against Node and curl. What is not installed is skipped, and that is said; with
//! `ONLOOP_REQUIRE_INTEROP=1` it is a failure.

mod program;

use std::process::Command;

use program::others::{Scratch, curl, fetch, has};
use program::{Program, finish, run, text_of};
use serde_json::{Value, json};

/// Runs a script with the URL of a server of ours in `url`; returns the JSON that it prints.
fn node(script: &str, url: &str) -> Value {
    let program = format!("const http = require('http'); const url = process.argv[1];\n{script}");
    let text = text_of(&finish(Command::new("node").args(["-e", &program, url])), 0);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Node's server with this body of a request handler, on a port of its choice.
fn node_server(handler: &str) -> Program {
    let script = format!(
        "const server = require('http').createServer((req, res) => {{ {handler} }});
         server.listen(0, '127.0.0.1', () => console.log('port ' + server.address().port));"
    );
    Program::spawn(Command::new("node").args(["-e", &script]))
}

#[test]
fn node_client_talks_to_our_server() {
    if !has("node") {
        return;
    }
    let mut server = Program::start("server", &["127.0.0.1:0"]);
    let answers = node(
        "const agent = new http.Agent({ keepAlive: true });
         const answers = [];
         const ask = () => {
           const req = http.request(url, { method: 'POST', agent }, (res) => {
             let body = '';
             res.setEncoding('utf8').on('data', (chunk) => body += chunk).on('end', () => {
               answers.push([res.statusCode, body, req.reusedSocket]);
               if (answers.length < 3) return setImmediate(ask);
               agent.destroy();
               console.log(JSON.stringify(answers));
             });
           });
           req.end('Hi i am client');
         };
         ask();",
        &server.url("/path"),
    );
    let first = json!([200, "Hello from HTTP Server", false]);
    let later = json!([200, "Hello from HTTP Server", true]);
    assert_eq!(answers, json!([first, later, later]));
    for expected in ["got the request", "POST", "/path", "Hi i am client", "got the request"] {
        assert_eq!(server.line(), expected);
    }
}

#[test]
fn node_client_streams_through_our_server() {
    if !has("node") {
        return;
    }
    let testbed = Program::start("testbed", &["0"]);
    let report = node(
        "const hash = () => require('crypto').createHash('sha256');
         const block = Buffer.alloc(1 << 20, 'onloop');
         const [sent, received] = [hash(), hash()];
         let left = 20;
         const source = new (require('stream').Readable)({ read() {
           if (left-- > 0) { sent.update(block); this.push(block); } else this.push(null);
         } });
         const req = http.request(url, { method: 'POST' }, (res) => {
           res.on('data', (chunk) => received.update(chunk));
           res.on('end', () => console.log(JSON.stringify(
             [res.statusCode, sent.digest('hex') === received.digest('hex')])));
         });
         source.pipe(req);",
        &testbed.url("/pipe"),
    );
    assert_eq!(report, json!([200, true]));
}

#[test]
fn node_client_gets_trailers_hints_and_upgrades_right() {
    if !has("node") {
        return;
    }
    let testbed = Program::start("testbed", &["0"]);
    let report = node(
        "const report = {};
         const read = (res, then) => {
           let body = '';
           res.setEncoding('latin1').on('data', (chunk) => body += chunk).on('end', () => then(body));
         };
         const trailers = () => {
           const headers = { Trailer: 'X-Sum', 'Transfer-Encoding': 'chunked' };
           const req = http.request(url + 'trailers', { method: 'POST', headers }, (res) =>
             read(res, (body) => { report.trailers = body; expect(); }));
           req.write('abc');
           req.addTrailers({ 'X-Sum': '6' });
           req.end();
         };
         const expect = () => {
           const headers = { Expect: '100-continue', 'Content-Length': 3 };
           const req = http.request(url + 'body', { method: 'POST', headers }, (res) =>
             read(res, (body) => { report.continued = body; head(); }));
           req.on('continue', () => req.end('abc'));
           req.flushHeaders();
         };
         const head = () => http.request(url + 'bytes/7', { method: 'HEAD' }, (res) =>
           read(res, (body) => { report.head = [res.headers['content-length'], body]; upgrade(); })).end();
         const upgrade = () => {
           const headers = { Connection: 'upgrade', Upgrade: 'raw-echo' };
           const req = http.request(url + 'upgrade', { headers });
           req.on('upgrade', (res, socket, rest) => {
             socket.setEncoding('latin1').on('data', (chunk) => {
               report.upgrade = [res.statusCode, chunk];
               socket.end();
               console.log(JSON.stringify(report));
             });
             socket.write('bytes');
           });
           req.end();
         };
         trailers();",
        &testbed.url("/"),
    );
    let expected = json!({
        "trailers": "X-Sum: 6\n", "continued": "abc", "head": ["7", ""], "upgrade": [101, "bytes"],
    });
    assert_eq!(report, expected);
}

#[test]
fn curl_talks_to_our_server() {
    if !has("curl") {
        return;
    }
    let mut server = Program::start("server", &["127.0.0.1:0"]);
    assert_eq!(curl(&["-d", "Hi i am client", &server.url("/x")]), "Hello from HTTP Server");
    for expected in ["got the request", "POST", "/x", "Hi i am client"] {
        assert_eq!(server.line(), expected);
    }
    let url = server.url("/");
    let connects =
        curl(&["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url, &url]);
    assert_eq!(connects, "1 0 ", "the second request goes on the same connection");
    let told = curl(&["-w", " %{http_version} %{response_code}", "-0", &url]);
    assert_eq!(told, "Hello from HTTP Server 1.1 200");
}

#[test]
fn curl_uses_every_kind_of_framing() {
    if !has("curl") {
        return;
    }
    let testbed = Program::start("testbed", &["0"]);
    let content = "some content ".repeat(100_000);
    let file = Scratch::new("curl");
    let path = file.write("content", content.as_bytes());
    let data = format!("@{}", path.display());
    for path in ["/body", "/pipe"] {
        let url = testbed.url(path);
        let whole = curl(&["--data-binary", &data, &url]);
        let expects = curl(&["--data-binary", &data, "-H", "Expect: 100-continue", &url]);
        let chunked = curl(&["--data-binary", &data, "-H", "Transfer-Encoding: chunked", &url]);
        let old = curl(&["--data-binary", &data, "-0", &url]);
        for answer in [whole, expects, chunked, old] {
            assert!(answer == content, "{path}: {} bytes came back", answer.len());
        }
    }
    assert_eq!(curl(&[&testbed.url("/stream/300000")]).len(), 300_000);
    assert_eq!(curl(&["-0", &testbed.url("/stream/300000")]).len(), 300_000);
    let head = curl(&["-I", &testbed.url("/bytes/12")]);
    assert!(head.contains("Content-Length: 12\r\n"), "{head}");
}

#[test]
fn our_client_talks_to_nodes_server() {
    if !has("node") {
        return;
    }
    let server = node_server(
        "let body = '';
         req.on('data', (chunk) => body += chunk);
         req.on('end', () => res.end([req.method, req.url, req.headers.host, body].join(' ')));",
    );
    let output = text_of(&run("client", &[&server.url("/a?b")]), 0);
    assert_eq!(output, format!("POST /a?b 127.0.0.1:{} Hi i am client\n", server.port));
}

#[test]
fn our_client_reads_what_nodes_server_sends() {
    if !has("node") {
        return;
    }
    let server = node_server(
        "if (req.url === '/trailers') {
           res.writeHead(200, { Trailer: 'X-Sum' });
           res.write('abc');
           res.addTrailers({ 'X-Sum': '6' });
           return res.end();
         }
         if (req.url === '/hints') {
           res.writeEarlyHints({ link: '</a>; rel=preload' });
           return res.writeHead(200, { 'Content-Length': 3 }).end('abc');
         }
         if (req.url === '/close') {
           res.useChunkedEncodingByDefault = false;
           return res.writeHead(200, { Connection: 'close' }).end('abc');
         }
         if (req.url === '/cut') {
           res.writeHead(200, { 'Content-Length': 10 });
           return res.write('abc', () => res.destroy());
         }
         res.writeHead(204).end();",
    );
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for path in ["/trailers", "/hints", "/close"] {
        let report = fetch(&server.url(path));
        assert_eq!((&report["status"], &report["error"]), (&json!(200), &Value::Null), "{report}");
        assert_eq!(report["body_sha256"], ABC, "{report}");
        let trailers = if path == "/trailers" { json!([["X-Sum", "6"]]) } else { json!([]) };
        assert_eq!(report["trailers"], trailers);
    }
    let report = fetch(&server.url("/cut"));
    assert_eq!((&report["status"], &report["body_len"]), (&json!(200), &json!(3)), "{report}");
    assert!(report["error"].is_string(), "{report}");
    assert_eq!(fetch(&server.url("/"))["status"], 204);
}

#[test]
fn our_load_reuses_connections_to_nodes_server() {
    if !has("node") {
        return;
    }
    let server = node_server(
        "const connections = server.seen ??= new Set();
         connections.add(req.socket);
         req.resume().on('end', () => res.end(req.url === '/seen' ? String(connections.size) : 'ok'));",
    );
    for options in [&[][..], &["--post", "1000"][..]] {
        let url = server.url("/");
        let text = text_of(&run("load", &[&[url.as_str(), "4", "0.3"], options].concat()), 0);
        let report: Value = serde_json::from_str(&text).expect("it prints JSON");
        assert_eq!(report["errors"], 0, "{report}");
        assert!(report["requests"].as_u64() > Some(20), "{report}");
    }
    let mut wire = server.connect();
    assert_eq!(wire.ask("GET /seen").text(), "9", "four connections a run, and this one");
}
