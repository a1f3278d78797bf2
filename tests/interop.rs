//! Our programs against others that speak HTTP: Node, curl, nginx. What is not installed is skipped, and
//! said so; with `ONLOOP_REQUIRE_INTEROP=1` it is a failure.

mod program;

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use program::{PATIENCE, Program, finish, run, text_of};
use serde_json::{Value, json};

/// Whether a program is there. If not, that is said past the test harness, which shows only what failing
/// tests print.
fn has(name: &str) -> bool {
    let version = if name == "nginx" { "-v" } else { "--version" };
    let found = Command::new(name).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return true;
    }
    let required = std::env::var("ONLOOP_REQUIRE_INTEROP").is_ok_and(|value| value == "1");
    assert!(!required, "{name} is not installed, and ONLOOP_REQUIRE_INTEROP forbids to skip");
    let _ = writeln!(std::io::stderr(), "skipped: {name} not installed");
    false
}

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

fn curl(arguments: &[&str]) -> String {
    text_of(&finish(Command::new("curl").args(["-sS", "--max-time", "20"]).args(arguments)), 0)
}

fn fetch(url: &str) -> Value {
    let text = text_of(&run("fetch", &[url]), 0);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A field of what `fetch` reports, by its name in lower case.
fn field<'a>(report: &'a Value, name: &str) -> Option<&'a str> {
    let fields = report["headers"].as_array()?;
    let is_it = |field: &&Value| field[0].as_str().is_some_and(|n| n.eq_ignore_ascii_case(name));
    fields.iter().find(is_it)?[1].as_str()
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
    let connects = curl(&["-o", "/dev/null", "-o", "/dev/null", "-w", "%{num_connects} ", &url, &url]);
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

/// A folder of the test's own, gone after it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("onloop-{name}-{process}-{number}"));
        std::fs::create_dir_all(&path).expect("there is a place for temporary files");
        Scratch(path)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).expect("it can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// nginx on a port that was free a moment ago.
struct Nginx {
    child: Child,
    port: u16,
    _folder: Scratch,
}

impl Nginx {
    fn start() -> Nginx {
        let folder = Scratch::new("nginx");
        folder.write("file", &vec![b'x'; 3_000_000]);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let root = folder.0.display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {root}/{name};"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;
             events {{ worker_connections 64; }}
             http {{
               access_log off; {temporary}
               server {{
                 listen 127.0.0.1:{port}; root {root};
                 location = /told {{ return 200 \"$request_method $http_host $http_connection\"; }}
                 location = /chunked {{ ssi on; ssi_types *; alias {root}/file; }}
                 location = /short {{ keepalive_timeout 0; return 200 short; }}
               }}
             }}"
        );
        let file = folder.write("nginx.conf", configuration.as_bytes());
        let child = Command::new("nginx")
            .arg("-c")
            .arg(file)
            .arg("-e")
            .arg(folder.0.join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it is installed");
        let mut nginx = Nginx { child, port, _folder: folder };
        nginx.wait_until_it_listens();
        nginx
    }

    fn wait_until_it_listens(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let status = self.child.try_wait().expect("it is our child");
            assert!(status.is_none() && Instant::now() < deadline, "nginx does not run: {status:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn our_client_talks_to_nginx() {
    if !has("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let output = text_of(&run("client", &[&nginx.url("/told")]), 0);
    assert_eq!(output, format!("POST 127.0.0.1:{} keep-alive\n", nginx.port));

    let report = fetch(&nginx.url("/file"));
    assert_eq!((&report["status"], &report["error"]), (&json!(200), &Value::Null), "{report}");
    assert_eq!((&report["body_len"], field(&report, "content-length")), (&json!(3_000_000), Some("3000000")));
    let whole = report["body_sha256"].clone();

    let report = fetch(&nginx.url("/chunked"));
    assert_eq!(field(&report, "transfer-encoding"), Some("chunked"), "{report}");
    assert_eq!((&report["body_sha256"], &report["error"]), (&whole, &Value::Null));

    let report = fetch(&nginx.url("/short"));
    assert_eq!((&report["body_len"], field(&report, "connection")), (&json!(5), Some("close")));
    assert_eq!(fetch(&nginx.url("/nothing"))["status"], 404);

    let url = nginx.url("/told");
    for options in [&[][..], &["--post", "1000"][..], &["--fresh"][..]] {
        let text = text_of(&run("load", &[&[url.as_str(), "4", "0.3"], options].concat()), 0);
        let report: Value = serde_json::from_str(&text).expect("it prints JSON");
        assert_eq!(report["errors"], 0, "{options:?}: {report}");
        assert!(report["requests"].as_u64() > Some(20), "{options:?}: {report}");
    }
}

#[test]
fn our_proxy_stands_between_curl_and_nginx() {
    if !has("curl") || !has("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let proxy = Program::start("proxy", &["0", &format!("127.0.0.1:{}", nginx.port)]);
    assert_eq!(curl(&["-H", "Host: example.test", &proxy.url("/told")]), "GET example.test keep-alive");
    assert_eq!(curl(&[&proxy.url("/file")]).len(), 3_000_000);
    assert_eq!(curl(&[&proxy.url("/chunked")]).len(), 3_000_000);
    assert_eq!(curl(&[&proxy.url("/short"), &proxy.url("/short")]), "shortshort");
}
