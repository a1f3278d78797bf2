//! Where a client request goes: read from a URL once, and shared by all requests that are made from the same
//! options.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use crate::engine::agent::OriginName;
use crate::net::Family;

/// A place on the network and what requests to it say of it.
#[derive(Default)]
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
    /// What the user has asked for, where this is the way to it through a proxy.
    pub(crate) proxied: Option<Proxied>,
    /// The way through a proxy that was found first, so that it need not be built again.
    pub(crate) detour: OnceLock<Detour>,
    /// Which origin of which loop this was found to be, so that it need not be looked for again.
    pub(crate) hint: AtomicU64,
}

/// The parts of an endpoint that are others on the way through a proxy, as they were.
#[derive(Clone)]
pub(crate) struct Proxied {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) target: String,
    /// What goes to the proxy with the request as `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

/// How one agent's requests get to an endpoint.
pub(crate) struct Detour {
    /// Which proxy options of the process these are.
    pub(crate) number: u64,
    /// A tunnel was asked for.
    pub(crate) by_tunnel: bool,
    /// `None` is without a proxy.
    pub(crate) endpoint: Option<Arc<Endpoint>>,
}

/// Where a tunnel is to lead, and what the proxy wants to know.
#[derive(Clone)]
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
        self.detour = OnceLock::new();
    }

    /// The host that is asked for, whatever way leads there.
    pub(crate) fn host_asked_for(&self) -> &str {
        self.proxied.as_ref().map_or(&self.host, |proxied| &proxied.host)
    }

    /// The same of the port.
    pub(crate) fn port_asked_for(&self) -> u16 {
        self.proxied.as_ref().map_or(self.port, |proxied| proxied.port)
    }

    /// A proxy gets the request itself, and what is meant for it with that.
    pub(crate) fn is_told_to_proxy(&self) -> bool {
        self.proxied.is_some() && self.tunnel.is_none()
    }

    /// The target that is asked for, whatever it looks like on the way.
    pub(crate) fn target_asked_for(&self) -> &str {
        self.proxied.as_ref().map_or(&self.target, |proxied| &proxied.target)
    }
}

impl fmt::Debug for Endpoint {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tunnel = self.tunnel.as_ref().map(|tunnel| &tunnel.authority);
        f.debug_struct("Endpoint")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("target", &self.target)
            .field("unix", &self.unix)
            .field("tunnel", &tunnel)
            .finish_non_exhaustive()
    }
}

impl Clone for Endpoint {
    /// Without what was found of it: a copy is made to be changed.
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
            proxied: self.proxied.clone(),
            detour: OnceLock::new(),
            hint: AtomicU64::new(0),
        }
    }
}
