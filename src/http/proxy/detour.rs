//! An agent's proxies, and endpoints that lead through them.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Proxy, ProxyOptions, Route, absolute_form, connect_authority};
use crate::engine::endpoint::{Detour, Endpoint, Proxied, TunnelRoute};

/// Proxy options are numbered, so that what was found by others is told apart.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The proxies of an agent.
pub(crate) struct AgentProxy {
    number: u64,
    options: ProxyOptions,
}

impl AgentProxy {
    /// Nothing where no proxy is named.
    pub(crate) fn new(options: ProxyOptions) -> Option<AgentProxy> {
        let is_used = options.http.is_some() || options.https.is_some();
        is_used.then(|| AgentProxy { number: NUMBERS.fetch_add(1, Ordering::Relaxed), options })
    }

    /// The way to an endpoint through a proxy; `None` where it is reached without. It is remembered, but only
    /// for the agent that asks first: most options are used with one.
    pub(crate) fn detour(&self, to: &Endpoint, by_tunnel: bool) -> Option<Arc<Endpoint>> {
        let find = || Detour { number: self.number, by_tunnel, endpoint: self.find(to, by_tunnel) };
        let known = to.detour.get_or_init(find);
        if known.number == self.number && known.by_tunnel == by_tunnel {
            return known.endpoint.clone();
        }
        self.find(to, by_tunnel)
    }

    fn find(&self, to: &Endpoint, by_tunnel: bool) -> Option<Arc<Endpoint>> {
        let route = match self.options.route(&to.host, to.port, false) {
            Route::Absolute(proxy) if by_tunnel => {
                Route::Tunnel(proxy, connect_authority(&to.host, to.port))
            }
            route => route,
        };
        match route {
            Route::Direct => None,
            Route::Absolute(proxy) => {
                let authorization = proxy.authorization.clone();
                let mut endpoint = through(proxy, to, authorization);
                endpoint.target = absolute_form(&to.authority, &to.target);
                Some(Arc::new(endpoint))
            }
            Route::Tunnel(proxy, authority) => {
                let mut endpoint = through(proxy, to, None);
                let authorization = proxy.authorization.clone();
                endpoint.tunnel = Some(TunnelRoute { authority, authorization });
                Some(Arc::new(endpoint))
            }
        }
    }
}

/// The same, by a connection to the proxy.
fn through(proxy: &Proxy, to: &Endpoint, authorization: Option<String>) -> Endpoint {
    let proxied =
        Proxied { host: to.host.clone(), port: to.port, target: to.target.clone(), authorization };
    Endpoint { host: proxy.host.clone(), port: proxy.port, proxied: Some(proxied), ..to.clone() }
}

impl fmt::Debug for AgentProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}
