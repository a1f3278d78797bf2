//! An nginx of the test's own.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::others::Scratch;
use super::{PATIENCE, signal};

/// nginx on a port that was free a moment ago; killed when the test ends.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) port: u16,
    pub(crate) folder: Scratch,
}

impl Nginx {
    /// With one server, whose root is the folder, and these lines for it and for `http`; `ROOT` in them is the
    /// folder. Tries again where somebody else was given the port meanwhile.
    pub(crate) fn start(prepare: impl Fn(&Scratch), http: &str, server: &str) -> Nginx {
        let mut started = (0..5).map(|_| Nginx::try_start(&prepare, http, server));
        started.find_map(|nginx| nginx).expect("nginx runs")
    }

    fn try_start(prepare: impl Fn(&Scratch), http: &str, server: &str) -> Option<Nginx> {
        let folder = Scratch::new("nginx");
        prepare(&folder);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path ROOT/{name};"))
            .concat();
        let configuration = format!(
            "daemon off; master_process off; pid ROOT/pid; error_log ROOT/error.log;
             events {{ worker_connections 512; }}
             http {{
               access_log off; {temporary} {http}
               server {{ listen 127.0.0.1:{port}; root ROOT; {server} }}
             }}"
        )
        .replace("ROOT", &folder.0.display().to_string());
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
        let mut nginx = Nginx { child, port, folder };
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

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Lets it end what it has begun, and waits until it has ended.
    pub(crate) fn quit(&mut self) {
        signal(self.child.id(), "QUIT");
        self.child.wait().expect("it is our child");
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
