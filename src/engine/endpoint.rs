//! Where a client request goes: read from a URL once, and shared by all requests that are made from the same
//! options.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::agent::OriginName;
use crate::net::Family;

/// A place on the network and what requests to it say of it.
#[derive(Debug, Default)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Host`.
    pub(crate) authority: String,
    /// Path and query.
    pub(crate) target: String,
    /// The target was set by itself.
    pub(crate) has_path: bool,
    /// Connect from here.
    pub(crate) local: Option<SocketAddr>,
    /// Connect to addresses of this family only.
    pub(crate) family: Option<Family>,
    /// Connect here instead of to `host`.
    pub(crate) unix: Option<PathBuf>,
    /// Ask the host, which is a proxy, for a tunnel to there.
    pub(crate) tunnel: Option<TunnelRoute>,
    /// Of the URL's credentials.
    pub(crate) authorization: Option<String>,
    /// Which origin of which loop this was found to be, so that it need not be looked for again.
    pub(crate) hint: AtomicU64,
}

/// Where a tunnel is to lead, and what the proxy wants to know.
#[derive(Debug, Clone)]
pub(crate) struct TunnelRoute {
    /// Host and port.
    pub(crate) authority: String,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

impl Endpoint {
    pub(crate) fn hint(&self) -> OriginName {
        OriginName::unpack(self.hint.load(Ordering::Relaxed))
    }

    pub(crate) fn set_hint(&self, name: OriginName) {
        self.hint.store(name.pack(), Ordering::Relaxed);
    }

    /// It has changed: what was found of it is of no use.
    pub(crate) fn forget_findings(&mut self) {
        *self.hint.get_mut() = 0;
    }
}

impl Clone for Endpoint {
    /// Without the hint: a copy is made to be changed.
    fn clone(&self) -> Self {
        Endpoint {
            host: self.host.clone(),
            port: self.port,
            authority: self.authority.clone(),
            target: self.target.clone(),
            has_path: self.has_path,
            local: self.local,
            family: self.family,
            unix: self.unix.clone(),
            tunnel: self.tunnel.clone(),
            authorization: self.authorization.clone(),
            hint: AtomicU64::new(0),
        }
    }
}
