//! Our client and our proxy against nginx. Where it is not installed that is said; with
//! `ONLOOP_REQUIRE_INTEROP=1` it is a failure.

mod program;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use program::others::{Scratch, curl, fetch, field, has};
use program::{PATIENCE, Program, run, text_of};
use serde_json::{Value, json};

/// nginx on a port that was free a moment ago.
struct Nginx {
    child: Child,
    port: u16,
    _folder: Scratch,
}

impl Nginx {
    /// Tries again where somebody else was given the port meanwhile.
    fn start() -> Nginx {
        let mut started = (0..5).map(|_| Nginx::try_start());
        started.find_map(|nginx| nginx).expect("nginx runs")
    }

    fn try_start() -> Option<Nginx> {
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
        let mut nginx = Nginx {
            child,
            port,
            _folder: folder,
        };
        nginx.listens().then_some(nginx)
    }

    /// Waits until it listens; false where it ended instead.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let connected = TcpStream::connect(("127.0.0.1", self.port)).is_ok();
            if self.child.try_wait().expect("it is our child").is_some() {
                return false;
            }
            if connected {
                return true;
            }
            assert!(Instant::now() < deadline, "nginx does not listen");
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
    assert_eq!(
        output,
        format!("POST 127.0.0.1:{} keep-alive\n", nginx.port)
    );

    let report = fetch(&nginx.url("/file"));
    assert_eq!(
        (&report["status"], &report["error"]),
        (&json!(200), &Value::Null),
        "{report}"
    );
    assert_eq!(
        (&report["body_len"], field(&report, "content-length")),
        (&json!(3_000_000), Some("3000000"))
    );
    let whole = report["body_sha256"].clone();

    let report = fetch(&nginx.url("/chunked"));
    assert_eq!(
        field(&report, "transfer-encoding"),
        Some("chunked"),
        "{report}"
    );
    assert_eq!(
        (&report["body_sha256"], &report["error"]),
        (&whole, &Value::Null)
    );

    let report = fetch(&nginx.url("/short"));
    assert_eq!(
        (&report["body_len"], field(&report, "connection")),
        (&json!(5), Some("close"))
    );
    assert_eq!(fetch(&nginx.url("/nothing"))["status"], 404);

    let url = nginx.url("/told");
    for options in [&[][..], &["--post", "1000"][..], &["--fresh"][..]] {
        let text = text_of(
            &run("load", &[&[url.as_str(), "4", "0.3"], options].concat()),
            0,
        );
        let report: Value = serde_json::from_str(&text).expect("it prints JSON");
        assert_eq!(report["errors"], 0, "{options:?}: {report}");
        assert!(
            report["requests"].as_u64() > Some(20),
            "{options:?}: {report}"
        );
    }
}

#[test]
fn our_proxy_stands_between_curl_and_nginx() {
    if !has("curl") || !has("nginx") {
        return;
    }
    let nginx = Nginx::start();
    let proxy = Program::start("proxy", &["0", &format!("127.0.0.1:{}", nginx.port)]);
    assert_eq!(
        curl(&["-H", "Host: example.test", &proxy.url("/told")]),
        "GET example.test keep-alive"
    );
    assert_eq!(curl(&[&proxy.url("/file")]).len(), 3_000_000);
    assert_eq!(curl(&[&proxy.url("/chunked")]).len(), 3_000_000);
    assert_eq!(
        curl(&[&proxy.url("/short"), &proxy.url("/short")]),
        "shortshort"
    );
}
