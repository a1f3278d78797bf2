//! The URL of a request that we make: `http` or `https`, taken apart and checked.
//!
//! Strict on purpose: nothing is repaired, encoded or guessed, because two readers of a repaired URL
//! may see two hosts. What is accepted can be sent as it stands: the target has only the bytes that
//! RFC 3986 allows. Deliberately not here: relative references, other schemes, international names
//! (the caller brings them in their ASCII form).

use std::net::{Ipv4Addr, Ipv6Addr};

/// An absolute `http` or `https` URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    /// Name or literal address to connect to: lower case, an IPv6 address without brackets.
    pub(crate) host: String,
    /// Port to connect to.
    pub(crate) port: u16,
    /// Value of the `Host` field: the host, in brackets if it is an IPv6 address, and the port
    /// unless it is the scheme's own.
    pub(crate) authority: String,
    /// Path and query as they stand in the URL, `/` for an empty path; never a fragment.
    pub(crate) target: String,
    /// User and password, percent-decoded, if there are any.
    pub(crate) userinfo: Option<(String, String)>,
    /// Whether the scheme is `https`.
    pub(crate) secure: bool,
}

/// Why a URL cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UrlError {
    /// Not `scheme://...`.
    Scheme,
    /// Another scheme than `http` and `https`.
    Protocol,
    /// A byte that has to be percent-encoded: a space, a control character, anything beyond ASCII
    /// and what RFC 3986 leaves out.
    Unescaped,
    /// A `%` without two hexadecimal digits after it.
    Escape,
    /// A backslash, which some readers take for a slash.
    Backslash,
    /// User or password have an `@`, or are no text when decoded, or text with control characters.
    Userinfo,
    /// No host.
    HostMissing,
    /// A host that is neither a name nor an address.
    Host,
    /// A port that is not a number from 1 to 65535.
    Port,
}

impl UrlError {
    /// One lower-case line that tells the user what to change.
    pub(crate) fn message(self) -> &'static str {
        match self {
            UrlError::Scheme => "the url does not begin with http:// or https://",
            UrlError::Protocol => "only the protocols http: and https: are supported",
            UrlError::Unescaped => "the url has a character that must be percent-encoded",
            UrlError::Escape => "the url has a % that is not followed by two hexadecimal digits",
            UrlError::Backslash => "the url has a backslash; use / or percent-encode it",
            UrlError::Userinfo => "user and password in the url must be percent-encoded text",
            UrlError::HostMissing => "the url has no host",
            UrlError::Host => "the host of the url is neither a name nor an ip address",
            UrlError::Port => "the port of the url is not a number from 1 to 65535",
        }
    }

    /// Node's code.
    pub(crate) fn code(self) -> &'static str {
        match self {
            UrlError::Protocol => "ERR_INVALID_PROTOCOL",
            UrlError::Unescaped => "ERR_UNESCAPED_CHARACTERS",
            _ => "ERR_INVALID_URL",
        }
    }
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// The first rule that it breaks; bytes that are allowed nowhere come first.
    pub(crate) fn parse(url: &str) -> Result<Url, UrlError> {
        check_bytes(url.as_bytes())?;
        let (scheme, rest) = url.split_once(':').ok_or(UrlError::Scheme)?;
        let secure = is_secure(scheme)?;
        let rest = rest.strip_prefix("//").ok_or(UrlError::Scheme)?;
        // The fragment is not sent, but its bytes have been checked like the others.
        let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end).ok_or(UrlError::Host)?;
        let (userinfo, host_port) = match authority.split_once('@') {
            Some((userinfo, rest)) => (parse_userinfo(userinfo)?, rest),
            None => (None, authority),
        };
        let (host, port) = parse_host(host_port)?;
        let own_port = if secure { 443 } else { 80 };
        let port = parse_port(port)?.unwrap_or(own_port);
        let shown = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        Ok(Url {
            authority: if port == own_port { shown } else { format!("{shown}:{port}") },
            host,
            port,
            target: parse_target(path)?,
            userinfo,
            secure,
        })
    }
}

/// Refuses what is allowed nowhere in a URL.
fn check_bytes(bytes: &[u8]) -> Result<(), UrlError> {
    for byte in bytes {
        match byte {
            b'\\' => return Err(UrlError::Backslash),
            b'!'..=b'~' => {}
            _ => return Err(UrlError::Unescaped),
        }
    }
    Ok(())
}

fn is_secure(scheme: &str) -> Result<bool, UrlError> {
    if scheme.eq_ignore_ascii_case("http") {
        return Ok(false);
    }
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(true);
    }
    // RFC 3986 §3.1. `localhost:8080` has the form of a scheme too, and Node says the same of it.
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    Err(if is_scheme { UrlError::Protocol } else { UrlError::Scheme })
}

fn parse_userinfo(userinfo: &str) -> Result<Option<(String, String)>, UrlError> {
    let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
    if user.is_empty() && password.is_empty() {
        return Ok(None);
    }
    Ok(Some((percent_decoded(user)?, percent_decoded(password)?)))
}

fn percent_decoded(text: &str) -> Result<String, UrlError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let value = hex_digit(*high)? << 4 | hex_digit(*low)?;
                bytes.push(value);
                rest = tail;
            }
            (b'%', _) => return Err(UrlError::Escape),
            // RFC 3986 §3.2.1; a second `:` belongs to the password.
            _ if is_unreserved(*byte) || is_sub_delimiter(*byte) || *byte == b':' => {
                bytes.push(*byte);
            }
            _ => return Err(UrlError::Userinfo),
        }
    }
    // RFC 7617 §2: neither may have control characters.
    match String::from_utf8(bytes) {
        Ok(text) if !text.contains(char::is_control) => Ok(text),
        _ => Err(UrlError::Userinfo),
    }
}

fn hex_digit(byte: u8) -> Result<u8, UrlError> {
    match char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
        Some(digit) => Ok(digit),
        None => Err(UrlError::Escape),
    }
}

/// Gives the host and what stands for the port after the colon, if there is one.
fn parse_host(host_port: &str) -> Result<(String, Option<&str>), UrlError> {
    if host_port.contains('@') {
        // Which of two `@` ends the userinfo is a matter of taste among readers.
        return Err(UrlError::Userinfo);
    }
    if let Some(literal) = host_port.strip_prefix('[') {
        let (address, rest) = literal.split_once(']').ok_or(UrlError::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| UrlError::Host)?;
        let port = match rest.strip_prefix(':') {
            None if rest.is_empty() => None,
            None => return Err(UrlError::Host),
            port => port,
        };
        return Ok((address.to_string(), port));
    }
    let (host, port) = match host_port.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host_port, None),
    };
    if host.is_empty() {
        return Err(UrlError::HostMissing);
    }
    if !is_name(host) {
        return Err(UrlError::Host);
    }
    Ok((host.to_ascii_lowercase(), port))
}

/// Whether a host is an IPv4 address or a name of the DNS: RFC 1123 §2.1, with the underscore that
/// some private names have and the dot that may end a name.
fn is_name(host: &str) -> bool {
    let name = host.strip_suffix('.').unwrap_or(host);
    let labels_fit = name.split('.').all(|label| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    if !labels_fit || name.len() > 253 {
        return false;
    }
    // System resolvers read `127.1`, `0x7f.1` and `2130706433` as addresses; filters do not. What
    // ends in a number is an address in four parts or nothing.
    let last = name.rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !is_number || host.parse::<Ipv4Addr>().is_ok()
}

/// A port of digits only; nothing if none is given, also after a colon (RFC 3986 §3.2.3).
fn parse_port(port: Option<&str>) -> Result<Option<u16>, UrlError> {
    let Some(digits) = port.filter(|port| !port.is_empty()) else {
        return Ok(None);
    };
    // The library's parser takes a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() > 5 {
        return Err(UrlError::Port);
    }
    match digits.parse() {
        Ok(0) | Err(_) => Err(UrlError::Port),
        Ok(number) => Ok(Some(number)),
    }
}

/// Path and query in the form of a request target: RFC 9112 §3.2.1.
fn parse_target(path: &str) -> Result<String, UrlError> {
    let mut rest = path.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, ..]) => {
                hex_digit(*high)?;
                hex_digit(*low)?;
            }
            (b'%', _) => return Err(UrlError::Escape),
            // Brackets in queries are no more than a custom, but everybody has it.
            _ if is_unreserved(*byte) || is_sub_delimiter(*byte) || b":@/?[]".contains(byte) => {}
            _ => return Err(UrlError::Unescaped),
        }
    }
    Ok(if path.starts_with('/') { path.to_string() } else { format!("/{path}") })
}

/// RFC 3986 §2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// RFC 3986 §2.2.
fn is_sub_delimiter(byte: u8) -> bool {
    b"!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// URL, host, port, authority, target.
    #[rustfmt::skip]
    const GOOD: &[(&str, &str, u16, &str, &str)] = &[
        ("http://localhost:8080/", "localhost", 8080, "localhost:8080", "/"),
        ("http://a", "a", 80, "a", "/"),
        ("HTTP://EXAMPLE.Com/Path", "example.com", 80, "example.com", "/Path"),
        ("http://a:80/", "a", 80, "a", "/"),
        ("http://a:/x", "a", 80, "a", "/x"),
        ("http://a:00081/x", "a", 81, "a:81", "/x"),
        ("http://a?b", "a", 80, "a", "/?b"),
        ("http://a#b", "a", 80, "a", "/"),
        ("http://a/b?c=d&e[]=f#g?h/i", "a", 80, "a", "/b?c=d&e[]=f"),
        ("http://a/?u=http://x@y:z/", "a", 80, "a", "/?u=http://x@y:z/"),
        ("http://a/%00%c3%A9/../.", "a", 80, "a", "/%00%c3%A9/../."),
        ("http://a//b", "a", 80, "a", "//b"),
        ("http://[::1]", "::1", 80, "[::1]", "/"),
        ("http://[::1]:81/", "::1", 81, "[::1]:81", "/"),
        ("http://[0:0:0:0:0:0:0:A]:/", "::a", 80, "[::a]", "/"),
        ("http://127.0.0.1:65535/x", "127.0.0.1", 65535, "127.0.0.1:65535", "/x"),
        ("http://a_b-c.d./", "a_b-c.d.", 80, "a_b-c.d.", "/"),
    ];

    #[test]
    fn good_urls() {
        for (url, host, port, authority, target) in GOOD {
            let parsed = Url::parse(url).unwrap();
            assert_eq!(parsed.host, *host, "{url}");
            assert_eq!(parsed.port, *port, "{url}");
            assert_eq!(parsed.authority, *authority, "{url}");
            assert_eq!(parsed.target, *target, "{url}");
            assert_eq!((parsed.userinfo, parsed.secure), (None, false), "{url}");
        }
    }

    #[test]
    fn secure_urls() {
        let url = Url::parse("hTTps://a/").unwrap();
        assert_eq!((url.secure, url.port, url.authority.as_str()), (true, 443, "a"));
        let url = Url::parse("https://a:80/").unwrap();
        assert_eq!((url.secure, url.port, url.authority.as_str()), (true, 80, "a:80"));
    }

    #[test]
    fn userinfo_is_decoded_and_kept_out_of_the_authority() {
        for (url, expected) in [
            ("http://u:p@a:81/", Some(("u", "p"))),
            ("http://u@a:81/", Some(("u", ""))),
            ("http://:p@a:81/", Some(("", "p"))),
            ("http://u%40x:p%3a:q@a:81/", Some(("u@x", "p::q"))),
            ("http://%C3%A9@a:81/", Some(("\u{e9}", ""))),
            ("http://@a:81/", None),
            ("http://:@a:81/", None),
        ] {
            let parsed = Url::parse(url).unwrap();
            let found = parsed.userinfo.as_ref().map(|(u, p)| (u.as_str(), p.as_str()));
            assert_eq!(found, expected, "{url}");
            assert_eq!(parsed.authority, "a:81", "{url}");
        }
    }

    #[rustfmt::skip]
    const BAD: &[(&[&str], UrlError)] = &[
        (&["", "a", "/a", "//a/", "http", "http:", "http:/a", "http:a", "://a", "1:/", "[::1]:80"], UrlError::Scheme),
        (&["ftp://a/", "ws://a/", "httpx://a", "localhost:80", "mailto:a@b", "unix:/a"], UrlError::Protocol),
        (&["http://a/ b", " http://a", "http://a ", "http://a\t/", "http://a/\r\nX: y", "http://a\0/",
           "http://a/\u{7f}", "http://\u{e9}/", "http://a/\u{e9}", "http://a/#\u{e9}", "http://a/\"",
           "http://a/<", "http://a/{b}", "http://a/?a|b", "http://a/^", "http://a/`"], UrlError::Unescaped),
        (&["http://a/%", "http://a/%1", "http://a/%g0", "http://a/?%zz", "http://%@a/", "http://u:%4@a/"], UrlError::Escape),
        (&["http:\\\\a", "http://a\\b", "http://a/\\"], UrlError::Backslash),
        (&["http://a%0Ab@h/", "http://a:%00@h/", "http://a:%C2%85@h/", "http://u@v@a/", "http://u[@a/", "http://%ff@a/"], UrlError::Userinfo),
        (&["http://", "http:///a", "http://:80/", "http://u@/", "http://?a", "http://#a", "http://u:p@:80", "http://::1/x"], UrlError::HostMissing),
        (&["http://a..b/", "http://.a/", "http://./", "http://a%41/", "http://a,b/", "http://a!/", "http://[::1/",
           "http://[]/", "http://[::g]/", "http://[::1]x/", "http://[::1%25eth0]/", "http://[1.2.3.4]/",
           "http://256.1.1.1/", "http://127.1/", "http://1.2.3.4.5/", "http://0x7f.1/", "http://2130706433/",
           "http://1.2.3.0x4/", "http://a.0x/", "http://1.2.3.4./", "http://[v1.a]/", "http://]/", "http://a]/"], UrlError::Host),
        (&["http://a:0/", "http://a:65536/", "http://a:+80/", "http://a:-1/", "http://a:8x/", "http://a:80:80/",
           "http://a:000080/", "http://[::1]:0/"], UrlError::Port),
    ];

    #[test]
    fn bad_urls() {
        for (urls, error) in BAD {
            for url in *urls {
                assert_eq!(Url::parse(url), Err(*error), "{url:?}");
            }
            assert!(error.code().starts_with("ERR_") && !error.message().is_empty());
        }
        let label = "a".repeat(63);
        let long = [label.as_str(); 4].join(".");
        assert_eq!(Url::parse(&format!("http://{long}/")), Err(UrlError::Host));
        assert_eq!(Url::parse(&format!("http://{label}a/")), Err(UrlError::Host));
        assert!(Url::parse(&format!("http://{}/", &long[1..])).is_err(), "254 bytes");
        assert!(Url::parse(&format!("http://{}/", &long[2..])).is_ok());
    }
}
