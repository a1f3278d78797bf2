//! Which requests go through a proxy, and which proxy that is.
//!
//! Pure: options in, a [`Route`] out, and an endpoint that leads there. What is said to the proxy, and when, is
//! the engine's. Deliberately not here: proxies that are reached by TLS or by SOCKS, and scripts that choose one
//! (PAC).

mod bypass;
mod detour;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::h1::{Url, UrlError};
use crate::http::credentials::basic;
use bypass::Bypass;
pub(crate) use detour::AgentProxy;

/// The proxies that requests go through, and the hosts that are reached without them. (Node: `proxyEnv`)
///
/// An http request is made in the absolute form (RFC 9112 §3.2.2), anything else through a tunnel that
/// `CONNECT` opens (RFC 9110 §9.3.6). User and password in a proxy's URL, percent-decoded, become its
/// `Proxy-Authorization`. Requests to Unix sockets take no proxy.
///
/// Without a variable or a call that names a proxy, everything goes direct. They are used by the agent that they
/// are given to: [`AgentOptions::proxy`](crate::http::AgentOptions::proxy).
///
/// ```
/// use onloop::http::ProxyOptions;
/// let in_house = ProxyOptions::new("http://user:secret@proxy.example:3128")?
///     .no_proxy("localhost, .example.com, 10.0.0.0/8");
/// let as_the_user_says = ProxyOptions::from_env()?;
/// # let _ = (in_house, as_the_user_says);
/// # Ok::<(), onloop::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct ProxyOptions {
    /// For http requests.
    http: Option<Arc<Proxy>>,
    /// For requests by TLS.
    https: Option<Arc<Proxy>>,
    bypass: Bypass,
    tunnel: bool,
}

/// A proxy, read from its URL.
pub(crate) struct Proxy {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`.
    pub(crate) authorization: Option<String>,
}

/// How a request gets to its host.
#[derive(Debug)]
pub(crate) enum Route<'a> {
    /// By a connection to the host.
    Direct,
    /// By a connection to the proxy, which is told the whole URL ([`absolute_form`]); `Host` stays what it is.
    /// The proxy's credentials go with the request.
    Absolute(&'a Proxy),
    /// By a connection to the proxy, which is asked to `CONNECT` to this authority and then passes bytes on. Its
    /// credentials go with that, and never with the request inside.
    Tunnel(&'a Proxy, String),
}

impl ProxyOptions {
    /// The proxy at this URL, for all requests: `http://[USER:PASSWORD@]HOST[:PORT]`. What is missing of it:
    /// the scheme is `http`, the port 80. A path does not matter.
    ///
    /// # Errors
    /// `ERR_PROXY_INVALID_CONFIG` for what is no such URL, for another scheme (a proxy that is reached by
    /// `https` needs TLS, which is not in this crate), and for a user name with a colon, which cannot be sent
    /// (RFC 7617 §2). The text says what is wrong and does not repeat the URL, which may hold a password.
    pub fn new(url: impl AsRef<str>) -> Result<ProxyOptions> {
        let proxy = Arc::new(Proxy::parse(url.as_ref(), "the proxy")?);
        Ok(ProxyOptions {
            http: Some(proxy.clone()),
            https: Some(proxy),
            ..ProxyOptions::default()
        })
    }

    /// What the environment says, as [`ProxyOptions::from_vars`] reads it. How all requests use it is shown at
    /// [`AgentOptions::proxy`](crate::http::AgentOptions::proxy).
    /// (Node: `setGlobalProxyFromEnv`, `NODE_USE_ENV_PROXY`)
    ///
    /// # Errors
    /// As [`ProxyOptions::from_vars`].
    pub fn from_env() -> Result<ProxyOptions> {
        // What is no text is no URL either, and is refused as such.
        ProxyOptions::from_vars(|name| Some(std::env::var_os(name)?.to_string_lossy().into_owned()))
    }

    /// What these variables say. An empty one is as one that is not set.
    ///
    /// | the first that is set of | is |
    /// |---|---|
    /// | `http_proxy`, `HTTP_PROXY`, `all_proxy`, `ALL_PROXY` | the proxy of http requests |
    /// | `https_proxy`, `HTTPS_PROXY`, `all_proxy`, `ALL_PROXY` | the proxy of https requests |
    /// | `no_proxy`, `NO_PROXY` | the list of [`ProxyOptions::no_proxy`] |
    ///
    /// Where `REQUEST_METHOD` is set, `HTTP_PROXY` is not read: that is a CGI program, and the variable is the
    /// field `Proxy` of a request that anybody may have sent (CVE-2016-5385).
    ///
    /// # Errors
    /// As [`ProxyOptions::new`]; the text names the variable.
    ///
    /// ```
    /// use onloop::http::ProxyOptions;
    /// ProxyOptions::from_vars(|name| match name {
    ///     "http_proxy" => Some("http://proxy.example:3128".to_string()),
    ///     "no_proxy" => Some("localhost,.example.com".to_string()),
    ///     _ => None,
    /// })?;
    /// let socks = ProxyOptions::from_vars(|name| (name == "ALL_PROXY").then(|| "socks5://p".into()));
    /// assert_eq!(socks.unwrap_err().code(), "ERR_PROXY_INVALID_CONFIG");
    /// # Ok::<(), onloop::Error>(())
    /// ```
    pub fn from_vars(var: impl Fn(&str) -> Option<String>) -> Result<ProxyOptions> {
        let is_cgi = var("REQUEST_METHOD").is_some();
        let first = |names: &[&'static str]| {
            let names = names.iter().filter(|name| !(is_cgi && **name == "HTTP_PROXY"));
            names.copied().find_map(|name| {
                Some((name, var(name)?)).filter(|(_, value)| !value.trim().is_empty())
            })
        };
        let proxy = |names: &[&'static str]| match first(names) {
            Some((name, url)) => Proxy::parse(&url, name).map(|proxy| Some(Arc::new(proxy))),
            None => Ok(None),
        };
        let no_proxy = first(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list).unwrap_or_default();
        let options = ProxyOptions {
            http: proxy(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])?,
            https: proxy(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])?,
            ..ProxyOptions::default()
        };
        Ok(options.no_proxy(no_proxy))
    }

    /// Hosts that are reached without a proxy, instead of those named before: a list with commas or blanks
    /// between its entries. Case does not matter, nor does the dot that may end a name. (Node: `NO_PROXY`)
    ///
    /// | entry | hosts |
    /// |---|---|
    /// | `*` | all |
    /// | `example.com` | this one |
    /// | `.example.com` | this one, and all names below it |
    /// | `*.example.com` | all names below it |
    /// | `192.0.2.7`, `2001:db8::7` | this address |
    /// | `192.0.2.1-192.0.2.9` | the addresses from the first to the last |
    /// | `192.0.2.0/24`, `2001:db8::/32` | the addresses of this network |
    /// | any of them and `:8080` | the same, only where the request goes to this port; `[2001:db8::7]:8080` |
    ///
    /// Addresses are compared with what stands in the URL: no name is looked up for it. An IPv4 address within
    /// an IPv6 one counts as what it is. Loopback is not exempt by itself. An entry of another form matches
    /// nothing, so the proxy is used; that is logged.
    pub fn no_proxy(mut self, list: impl AsRef<str>) -> ProxyOptions {
        self.bypass = Bypass::parse(list.as_ref());
        self
    }

    /// Whether http requests, too, go through a tunnel that `CONNECT` opens. Many proxies allow that to port 443
    /// only. Default: false.
    pub fn tunnel(mut self, tunnel: bool) -> ProxyOptions {
        self.tunnel = tunnel;
        self
    }

    /// How a request gets to this host: a name in lower case or an address, without brackets.
    pub(crate) fn route(&self, host: &str, port: u16, secure: bool) -> Route<'_> {
        let proxy = if secure { &self.https } else { &self.http };
        match proxy.as_deref() {
            Some(proxy) if !self.bypass.has(host, port) => match secure || self.tunnel {
                true => Route::Tunnel(proxy, connect_authority(host, port)),
                false => Route::Absolute(proxy),
            },
            _ => Route::Direct,
        }
    }
}

/// The target of a request through a proxy: `http`, the authority that is in `Host`, and path and query
/// (RFC 9112 §3.2.2).
pub(crate) fn absolute_form(authority: &str, target: &str) -> String {
    match target {
        // Of `OPTIONS *` nothing follows the authority, and the last proxy makes the star of it again
        // (RFC 9112 §3.2.4).
        "*" => format!("http://{authority}"),
        target if target.starts_with('/') => format!("http://{authority}{target}"),
        // It was given in this form.
        target => target.to_string(),
    }
}

/// The target of a `CONNECT`: host and port, whichever port it is (RFC 9112 §3.2.3).
fn connect_authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

impl Proxy {
    fn parse(text: &str, named: &str) -> Result<Proxy> {
        let refused =
            |why: &str| Error::local("ERR_PROXY_INVALID_CONFIG", format!("{named}: {why}"));
        let text = text.trim_matches([' ', '\t']);
        let url = match text.contains("://") {
            true => Cow::Borrowed(text),
            // As curl reads it; taking it for no proxy at all would send requests where they must not go.
            false => Cow::Owned(format!("http://{text}")),
        };
        let url = Url::parse(&url).map_err(|error| match error {
            UrlError::Protocol => refused(
                "only proxies that are reached by http are supported: begin it with http://",
            ),
            error => refused(error.message()),
        })?;
        if url.secure {
            return Err(refused(
                "a proxy that is reached by https needs TLS, which is not supported: name one that is reached by http://",
            ));
        }
        let authorization = match &url.userinfo {
            // Whoever reads it takes the first colon for the end of the name.
            Some((user, _)) if user.contains(':') => {
                return Err(refused("a user name cannot have a colon"));
            }
            Some((user, password)) => Some(basic(user, password)),
            None => None,
        };
        Ok(Proxy { host: url.host, port: url.port, authorization })
    }
}

impl fmt::Debug for Proxy {
    /// Without the credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&connect_authority(&self.host, self.port))
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyOptions")
            .field("http", &self.http)
            .field("https", &self.https)
            .field("no_proxy", &self.bypass)
            .field("tunnel", &self.tunnel)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What environment there is.
    fn vars(vars: &[(&str, &str)]) -> Result<ProxyOptions> {
        ProxyOptions::from_vars(|name| {
            vars.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string())
        })
    }

    /// A route in one line.
    fn route(options: &ProxyOptions, host: &str, port: u16, secure: bool) -> String {
        let show = |proxy: &Proxy| {
            let authorization = proxy.authorization.as_deref().unwrap_or("-");
            format!("{}:{} {authorization}", proxy.host, proxy.port)
        };
        match options.route(host, port, secure) {
            Route::Direct => "direct".to_string(),
            Route::Absolute(proxy) => format!("absolute by {}", show(proxy)),
            Route::Tunnel(proxy, authority) => format!("tunnel to {authority} by {}", show(proxy)),
        }
    }

    #[test]
    fn http_is_asked_for_in_absolute_form_and_https_by_a_tunnel() {
        let options = ProxyOptions::new("http://p:3128").unwrap();
        assert_eq!(route(&options, "a", 80, false), "absolute by p:3128 -");
        assert_eq!(route(&options, "a", 443, true), "tunnel to a:443 by p:3128 -");
        assert_eq!(route(&options, "::1", 8443, true), "tunnel to [::1]:8443 by p:3128 -");
        let options = options.tunnel(true);
        assert_eq!(route(&options, "a", 80, false), "tunnel to a:80 by p:3128 -");
        assert_eq!(route(&options, "a", 443, true), "tunnel to a:443 by p:3128 -");
    }

    #[test]
    fn loopback_is_not_exempt_by_itself() {
        let options = ProxyOptions::new("http://p").unwrap();
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(route(&options, host, 80, false), "absolute by p:80 -");
        }
    }

    #[test]
    fn nobody_named_a_proxy() {
        assert_eq!(route(&ProxyOptions::default(), "a", 80, false), "direct");
        assert_eq!(route(&vars(&[("no_proxy", "a")]).unwrap(), "b", 443, true), "direct");
    }

    /// The URL of a proxy, and where it is and what it is told.
    #[rustfmt::skip]
    const PROXIES: &[(&str, &str)] = &[
        ("http://p", "p:80 -"),
        ("HTTP://Proxy.Example:3128/", "proxy.example:3128 -"),
        ("http://p:3128/some/path?query", "p:3128 -"),
        ("  http://p:3128\t", "p:3128 -"),
        ("http://[::1]:3128", "::1:3128 -"),
        ("http://127.0.0.1:3128", "127.0.0.1:3128 -"),
        // Without a scheme, as in many environments.
        ("p", "p:80 -"),
        ("p:3128", "p:3128 -"),
        ("u:x@p:3128", "p:3128 Basic dTp4"),
        ("[::1]:3128", "::1:3128 -"),
        ("http://Aladdin:open%20sesame@p", "p:80 Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("http://user@p", "p:80 Basic dXNlcjo="),
        ("http://:x@p", "p:80 Basic Ong="),
        ("http://u:%40%3a%2f%c3%bc@p", "p:80 Basic dTpAOi/DvA=="),
        ("http://@p", "p:80 -"),
    ];

    #[test]
    fn proxies_are_read_from_urls() {
        for (url, expected) in PROXIES {
            let options = ProxyOptions::new(url).unwrap_or_else(|error| panic!("{url:?}: {error}"));
            assert_eq!(route(&options, "a", 80, false), format!("absolute by {expected}"), "{url}");
        }
    }

    /// What is no proxy, and a part of what is said of it.
    #[rustfmt::skip]
    const REFUSED: &[(&str, &str)] = &[
        ("", "no host"),
        ("http://", "no host"),
        ("http://:8080", "no host"),
        ("https://p:3128", "TLS"),
        ("HTTPS://p", "TLS"),
        ("socks5://p:1080", "only proxies that are reached by http"),
        ("ftp://p", "only proxies that are reached by http"),
        ("://p", "does not begin with"),
        ("http://p:port", "port"),
        ("http://p:0", "port"),
        ("p:65536", "port"),
        ("http://256.256.256.256:8080", "neither a name nor an ip address"),
        ("http://::1:8080", "no host"),
        ("http://p q", "percent-encoded"),
        ("http://p\r\nX: y", "percent-encoded"),
        ("http://p:3128\n", "percent-encoded"),
        ("http://u:se%cret@p", "%"),
        ("http://u:secret@@p", "percent-encoded"),
        ("http://u%3ax:secret@p", "colon"),
        ("http://u:secret@p:x", "port"),
    ];

    #[test]
    fn what_is_no_proxy_is_refused_without_telling_secrets() {
        for (url, expected) in REFUSED {
            let error = ProxyOptions::new(url).expect_err(url);
            assert_eq!(error.code(), "ERR_PROXY_INVALID_CONFIG", "{url:?}");
            let text = error.to_string();
            assert!(text.starts_with("the proxy: ") && text.contains(expected), "{url:?}: {text}");
            assert!(!text.contains("secret") && !text.contains('\n'), "{url:?}: {text}");
        }
    }

    #[test]
    fn debug_output_has_no_credentials() {
        let options = ProxyOptions::new("http://user:secret@p:3128").unwrap().no_proxy("a,.b:80");
        let text = format!("{options:?} {:?}", options.route("c", 80, false));
        assert!(text.contains("p:3128"), "{text}");
        for hidden in ["secret", "user", "Basic", "dXNlcjpzZWNyZXQ="] {
            assert!(!text.contains(hidden), "{text}");
        }
    }

    /// An environment, and the proxies of http and of https in it.
    type Environment = (&'static [(&'static str, &'static str)], &'static str, &'static str);

    #[rustfmt::skip]
    const ENVIRONMENTS: &[Environment] = &[
        (&[], "direct", "direct"),
        (&[("http_proxy", "a")], "a", "direct"),
        (&[("HTTP_PROXY", "A")], "a", "direct"),
        (&[("https_proxy", "a")], "direct", "a"),
        (&[("HTTPS_PROXY", "A")], "direct", "a"),
        (&[("all_proxy", "a")], "a", "a"),
        (&[("ALL_PROXY", "A")], "a", "a"),
        // Lower case wins.
        (&[("HTTP_PROXY", "b"), ("http_proxy", "a"), ("HTTPS_PROXY", "d"), ("https_proxy", "c")], "a", "c"),
        (&[("ALL_PROXY", "b"), ("all_proxy", "a")], "a", "a"),
        // What is said of one scheme wins over what is said of all.
        (&[("HTTP_PROXY", "a"), ("all_proxy", "b")], "a", "b"),
        (&[("HTTPS_PROXY", "a"), ("all_proxy", "b")], "b", "a"),
        // An empty one is not set.
        (&[("http_proxy", ""), ("HTTP_PROXY", "a"), ("https_proxy", " "), ("all_proxy", "b")], "a", "b"),
        // What a client of a CGI program says in its field `Proxy`.
        (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "evil")], "direct", "direct"),
        (&[("REQUEST_METHOD", "GET"), ("HTTP_PROXY", "http://"), ("http_proxy", "a"), ("HTTPS_PROXY", "b")], "a", "b"),
        (&[("REQUEST_METHOD", ""), ("HTTP_PROXY", "evil"), ("ALL_PROXY", "a")], "a", "a"),
        // Other spellings are other variables.
        (&[("Http_Proxy", "a"), ("proxy", "a"), ("ftp_proxy", "a")], "direct", "direct"),
    ];

    #[test]
    fn the_environment_is_read() {
        for (environment, http, https) in ENVIRONMENTS {
            let options = vars(environment).unwrap();
            let host = |secure| match options.route("x", 1, secure) {
                Route::Direct => "direct".to_string(),
                Route::Absolute(proxy) | Route::Tunnel(proxy, _) => proxy.host.clone(),
            };
            assert_eq!(
                (host(false).as_str(), host(true).as_str()),
                (*http, *https),
                "{environment:?}"
            );
        }
    }

    #[test]
    fn the_environment_names_exceptions() {
        for (list, expected) in [
            (&[("http_proxy", "p"), ("no_proxy", "a")][..], ["direct", "absolute by p:80 -"]),
            (&[("http_proxy", "p"), ("NO_PROXY", "a")], ["direct", "absolute by p:80 -"]),
            (
                &[("http_proxy", "p"), ("NO_PROXY", "b"), ("no_proxy", "a")],
                ["direct", "absolute by p:80 -"],
            ),
            (
                &[("http_proxy", "p"), ("NO_PROXY", "b"), ("no_proxy", "")],
                ["absolute by p:80 -", "direct"],
            ),
            (&[("http_proxy", "p"), ("no_proxy", "*")], ["direct", "direct"]),
        ] {
            let options = vars(list).unwrap();
            let routes = ["a", "b"].map(|host| route(&options, host, 80, false));
            assert_eq!(routes, expected, "{list:?}");
        }
    }

    #[test]
    fn an_error_names_the_variable() {
        for name in
            ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]
        {
            let error = vars(&[(name, "https://user:secret@p")]).unwrap_err();
            assert_eq!(error.code(), "ERR_PROXY_INVALID_CONFIG");
            assert!(error.to_string().starts_with(&format!("{name}: ")), "{error}");
        }
        // One that is not asked for is not looked at.
        assert!(
            vars(&[("http_proxy", "a"), ("https_proxy", "a"), ("all_proxy", "socks5://b")]).is_ok()
        );
    }

    #[test]
    fn a_list_of_exceptions_replaces_the_one_before() {
        let options = ProxyOptions::new("p").unwrap().no_proxy("a").no_proxy("b");
        assert_eq!(route(&options, "a", 80, false), "absolute by p:80 -");
        assert_eq!(route(&options, "b", 80, false), "direct");
        assert_eq!(route(&options, "b", 443, true), "direct");
    }

    #[test]
    fn targets_are_made_absolute() {
        for (authority, target, expected) in [
            ("a", "/", "http://a/"),
            ("a:8080", "/b?c=d", "http://a:8080/b?c=d"),
            ("[::1]:81", "//x", "http://[::1]:81//x"),
            ("a:81", "*", "http://a:81"),
            ("a", "http://b/c", "http://b/c"),
        ] {
            assert_eq!(absolute_form(authority, target), expected);
        }
    }
}
