//! Request targets and `Host`: which bytes and which forms are allowed.
//!
//! Nothing is decoded or repaired here; RFC 9112 §3.2 forbids the latter.

use std::net::Ipv6Addr;

use super::token::{HOST, NOT_HOST, NOT_TARGET, PERCENT, classes_of, decimal, is_name, run_of};
use super::violation::Violation;

/// Checks the target of a request line against its method.
///
/// # Errors
/// `Target` for bytes and percent-encodings, `TargetForm` for a form that does not fit the method.
#[inline(always)]
pub(super) fn check_target(method: &[u8], target: &[u8]) -> Result<(), Violation> {
    check_target_of(method, target, classes_of(target))
}

/// The same where the classes of the target's bytes are known.
#[inline(always)]
pub(super) fn check_target_of(method: &[u8], target: &[u8], any: u8) -> Result<(), Violation> {
    // Nearly every target is in origin form (RFC 9112 §3.2.1), which every method but one has.
    if any & (NOT_TARGET | PERCENT) == 0 && target.first() == Some(&b'/') && method.len() != 7 {
        return Ok(());
    }
    check_other_target(method, target, any)
}

#[cold]
fn check_other_target(method: &[u8], target: &[u8], any: u8) -> Result<(), Violation> {
    if any & NOT_TARGET != 0 {
        return Err(Violation::Target);
    }
    if any & PERCENT != 0 {
        check_percent(target)?;
    }
    // RFC 9112 §3.2.3: CONNECT has the authority form, and nothing else has it.
    if method == b"CONNECT" {
        return check_authority_form(target);
    }
    match target {
        [b'/', ..] => Ok(()),
        // RFC 9112 §3.2.4.
        [b'*'] if method == b"OPTIONS" => Ok(()),
        _ => check_absolute_form(target),
    }
}

/// Every `%` is followed by two hexadecimal digits, and before the query they do not mean NUL, CR or LF.
/// Decoded in a path, those three end strings and lines in whatever stands behind us; in a query, forms put
/// line ends there.
fn check_percent(target: &[u8]) -> Result<(), Violation> {
    let mut rest = target;
    while let Some(at) = rest.iter().position(|&byte| matches!(byte, b'%' | b'?')) {
        rest = match rest.get(at..) {
            Some([b'?', query @ ..]) => return check_percent_digits(query),
            Some([b'%', b'0', b'0' | b'a' | b'A' | b'd' | b'D', ..]) => {
                return Err(Violation::Target);
            }
            Some([b'%', high, low, tail @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                tail
            }
            _ => return Err(Violation::Target),
        };
    }
    Ok(())
}

fn check_percent_digits(query: &[u8]) -> Result<(), Violation> {
    let mut parts = query.split(|&byte| byte == b'%').skip(1);
    let encoded = |part: &[u8]| matches!(part, [high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    match parts.all(encoded) {
        true => Ok(()),
        false => Err(Violation::Target),
    }
}

/// `host:port`, the port required: RFC 9112 §3.2.3.
fn check_authority_form(target: &[u8]) -> Result<(), Violation> {
    match split_authority(target) {
        Some((_, Some(port))) if !port.is_empty() => Ok(()),
        _ => Err(Violation::TargetForm),
    }
}

/// `http://host[:port][/path][?query]`: RFC 9112 §3.2.2. Empty hosts and userinfo are refused:
/// RFC 9110 §4.2.1 and §4.2.4.
fn check_absolute_form(target: &[u8]) -> Result<(), Violation> {
    let rest = match target {
        [a, b, c, d, b':', b'/', b'/', rest @ ..] if is_name(&[*a, *b, *c, *d], b"http") => rest,
        [a, b, c, d, e, b':', b'/', b'/', rest @ ..]
            if is_name(&[*a, *b, *c, *d, *e], b"https") =>
        {
            rest
        }
        _ => return Err(Violation::TargetForm),
    };
    let end = rest.iter().position(|&byte| byte == b'/' || byte == b'?').unwrap_or(rest.len());
    match rest.get(..end).and_then(split_authority) {
        Some(_) => Ok(()),
        None => Err(Violation::TargetForm),
    }
}

/// Checks the value of a `Host` field. An empty one is valid only where the target has no
/// authority (RFC 9110 §7.2), which an http target always has.
#[inline(always)]
pub(super) fn check_host(value: &[u8]) -> Result<(), Violation> {
    // A name without port.
    if classes_of(value) & (NOT_HOST | PERCENT) == 0 && !value.is_empty() {
        return Ok(());
    }
    check_other_host(value)
}

#[inline(never)]
fn check_other_host(value: &[u8]) -> Result<(), Violation> {
    match split_authority(value) {
        Some(_) => Ok(()),
        None => Err(Violation::Host),
    }
}

/// Whether a value of `Host` names one host, with a port or without.
pub(crate) fn is_host(value: &[u8]) -> bool {
    check_host(value).is_ok()
}

/// Splits `uri-host [":" port]`; nothing if it is none. The host is not empty, the port may be.
fn split_authority(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (host, rest) = authority.split_at_checked(run_of(authority, HOST))?;
    if host.is_empty() {
        return split_literal(authority);
    }
    check_percent(host).ok()?;
    Some((host, port_of(rest)?))
}

/// `split_authority` for an IPv6 literal in brackets. Future versions and zones are not taken:
/// nobody sends the former, and the latter mean nothing to another machine.
#[cold]
fn split_literal(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let [b'[', rest @ ..] = authority else {
        return None;
    };
    let end = memchr::memchr(b']', rest)?;
    let (address, rest) = (rest.get(..end)?, rest.get(end.checked_add(1)?..)?);
    std::str::from_utf8(address).ok()?.parse::<Ipv6Addr>().ok()?;
    Some((address, port_of(rest)?))
}

/// The port after a host: nothing, or a colon and at most five digits below 65536.
#[inline]
fn port_of(rest: &[u8]) -> Option<Option<&[u8]>> {
    match rest {
        [] => Some(None),
        [b':'] => Some(Some(&[])),
        [b':', port @ ..] if port.len() <= 5 => match decimal(port) {
            Some(0..=65535) => Some(Some(port)),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for good in [
            "a",
            "example.com",
            "EXAMPLE.com:80",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "a_b-c.d:",
            "a%20b",
            "x!$&'()*+;=y",
            "[::ffff:1.2.3.4]:65535",
        ] {
            assert_eq!(check_host(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a:b",
            "a:80:80",
            "u@a",
            "a/b",
            "a?b",
            "a#b",
            "a,b",
            "a b",
            "a\tb",
            "[::1",
            "::1",
            "[]",
            "[v1.a]",
            "[fe80::1%25eth0]",
            "[::1]x",
            "a:65536",
            "a:000080",
            "a:-1",
            "a%",
            "a%zz",
            "a%00",
            "a\\b",
            "h\u{e9}",
            "[::1]:",
            "[::g]",
            "a[",
            "a]",
        ] {
            // An empty port after a literal is as valid as after a name.
            let expected = if bad == "[::1]:" { Ok(()) } else { Err(Violation::Host) };
            assert_eq!(check_host(bad.as_bytes()), expected, "{bad}");
        }
    }

    #[test]
    fn targets() {
        for (method, target) in [
            ("GET", "/"),
            ("GET", "/a?b=c&d[]=e/?@:"),
            ("GET", "/%41%0b%c3%a9"),
            ("OPTIONS", "*"),
            ("OPTIONS", "/"),
            ("GET", "http://a"),
            ("GET", "HTTP://a:80/b?c"),
            ("GET", "https://a?b"),
            ("GET", "http://[::1]:80/"),
            ("CONNECT", "a:443"),
            ("CONNECT", "[::1]:443"),
        ] {
            assert_eq!(check_target(method.as_bytes(), target.as_bytes()), Ok(()), "{target}");
        }
        for (method, target) in [
            ("GET", "*"),
            ("GET", "a"),
            ("GET", "a:443"),
            ("GET", "http://"),
            ("GET", "http:///a"),
            ("GET", "http://:80/"),
            ("GET", "http://u@a/"),
            ("GET", "http:/a"),
            ("GET", "ftp://a/"),
            ("CONNECT", "/"),
            ("CONNECT", "a"),
            ("CONNECT", "a:"),
            ("CONNECT", "http://a:1/"),
            ("CONNECT", "*"),
            ("OPTIONS", "**"),
            ("GET", "?a"),
            ("GET", "http://a,b/"),
            ("GET", "://a"),
        ] {
            let found = check_target(method.as_bytes(), target.as_bytes());
            assert_eq!(found, Err(Violation::TargetForm), "{method} {target}");
        }
        for target in [
            "/%", "/%a", "/%g0", "/%00", "/%0d", "/%0D", "/%0a", "/%0A", "/a b", "/\u{e9}", "/#",
            "/\\", "/{",
        ] {
            assert_eq!(check_target(b"GET", target.as_bytes()), Err(Violation::Target), "{target}");
        }
    }
}
