//! A proxy between two ends that are plain sockets.

use std::net::TcpListener;

use super::{Program, Wire};

/// A proxy, and the listener that it takes for the upstream.
pub(crate) struct Rig {
    pub(crate) proxy: Program,
    pub(crate) upstream: TcpListener,
}

impl Rig {
    pub(crate) fn new() -> Rig {
        let upstream = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = upstream.local_addr().expect("it is bound").to_string();
        Rig { proxy: Program::start("proxy", &["0", &address]), upstream }
    }

    /// The next connection that the proxy makes.
    pub(crate) fn accept(&self) -> Wire {
        Wire::over(self.upstream.accept().expect("the proxy connects").0)
    }
}

/// The lines of a request's head as the upstream received it.
pub(crate) fn head_of(wire: &mut Wire) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = wire.line();
        if line.is_empty() {
            return lines;
        }
        lines.push(line);
    }
}
