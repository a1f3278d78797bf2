//! A Chromium without a window, driven by the DevTools protocol: JSON over its WebSocket.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use super::PATIENCE;
use super::others::{Scratch, has};

/// A browser with one page; killed when the test ends.
pub(crate) struct Browser {
    child: Child,
    socket: WebSocket<TcpStream>,
    /// The page's session.
    session: String,
    last_id: u64,
    /// What the browser told while an answer was waited for.
    events: Vec<Value>,
    /// Where it keeps what it keeps.
    _profile: Scratch,
}

impl Browser {
    /// `None`, loudly, where there is no Chromium.
    pub(crate) fn start() -> Option<Browser> {
        if !has("chromium") {
            return None;
        }
        let profile = Scratch::new("browser");
        let mut child = Command::new("chromium")
            // Tests may run as root and in containers, where its sandbox cannot be made and `/dev/shm` is small.
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--disable-background-networking", "--no-proxy-server"])
            .args(["--remote-debugging-port=0", "about:blank"])
            .arg(format!("--user-data-dir={}", profile.0.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let url = devtools_url(&mut child);
        let (address, _) = url["ws://".len()..].split_once('/').expect("a host and a path");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let (socket, _) = tungstenite::client(&url, stream).expect("it speaks WebSocket");
        let (session, events) = (String::new(), Vec::new());
        let mut browser = Browser { child, socket, session, last_id: 0, events, _profile: profile };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attached);
        browser.session = session["sessionId"].as_str().expect("a session has a name").to_string();
        for domain in ["Page", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// A command of the protocol, to the page once there is one, and its result.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let mut command = json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = json!(self.session);
        }
        self.socket.send(Message::text(command.to_string())).expect("it listens");
        loop {
            let message = self.receive();
            if message["id"] != id {
                self.events.push(message);
                continue;
            }
            assert!(message["error"].is_null(), "{method}: {message}");
            return message["result"].clone();
        }
    }

    fn receive(&mut self) -> Value {
        loop {
            match self.socket.read().expect("it answers") {
                Message::Text(text) => {
                    return serde_json::from_str(&text).expect("it speaks JSON");
                }
                Message::Close(_) => panic!("the browser has closed the connection"),
                _ => {}
            }
        }
    }

    /// Opens a page and waits until all of it is loaded.
    pub(crate) fn open(&mut self, url: &str) {
        self.events.clear();
        let opened = self.call("Page.navigate", json!({ "url": url }));
        assert!(opened["errorText"].is_null(), "{url}: {opened}");
        self.event("Page.loadEventFired");
    }

    /// The first event of a name since the page was opened; waits for it where it has not come yet.
    fn event(&mut self, method: &str) -> Value {
        let come = self.events.iter().find(|event| event["method"] == method);
        if let Some(event) = come {
            return event["params"].clone();
        }
        loop {
            let message = self.receive();
            self.events.push(message.clone());
            if message["method"] == method {
                return message["params"].clone();
            }
        }
    }

    /// All events of a name that have come since the page was opened.
    pub(crate) fn events(&self, method: &str) -> impl Iterator<Item = &Value> {
        self.events
            .iter()
            .filter(move |event| event["method"] == method)
            .map(|event| &event["params"])
    }

    /// The value of an expression in the page; a promise is waited for.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let result = self.call("Runtime.evaluate", parameters);
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Asked, it ends its own processes first, which write to the profile, too.
        let command = json!({ "id": 0, "method": "Browser.close" }).to_string();
        let _ = self.socket.send(Message::text(command));
        let patience = Instant::now() + Duration::from_secs(10);
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = (self.child.kill(), self.child.wait());
    }
}

/// The address of its WebSocket, which it prints when it is ready.
fn devtools_url(child: &mut Child) -> String {
    let mut errors = BufReader::new(child.stderr.take().expect("it is piped"));
    let mut told = String::new();
    loop {
        let mut line = String::new();
        let count = errors.read_line(&mut line).expect("its output can be read");
        assert!(count > 0, "the browser ends: {told}");
        if let Some(url) = line.strip_prefix("DevTools listening on ") {
            let url = url.trim().to_string();
            // What it goes on to say has to go somewhere.
            std::thread::spawn(move || std::io::copy(&mut errors, &mut std::io::sink()));
            return url;
        }
        told += &line;
    }
}
