//! The hosts that are reached without a proxy: `NO_PROXY` as Node and curl read it, and what to do where they
//! differ.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A list of hosts, read once and shared by clones.
#[derive(Debug, Clone, Default)]
pub(super) struct Bypass {
    entries: Arc<[Entry]>,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    hosts: Hosts,
    /// Only at this port.
    port: Option<u16>,
}

/// Names are in lower case and have no dot at their end.
#[derive(Debug, PartialEq, Eq)]
enum Hosts {
    All,
    Name(Box<str>),
    /// The name and all below it.
    Domain(Box<str>),
    /// All below the name.
    Below(Box<str>),
    /// From the first to the last, of one family.
    Addresses(IpAddr, IpAddr),
}

impl Bypass {
    /// What an entry of the list has wrong is logged, and the entry left out.
    pub(super) fn parse(list: &str) -> Bypass {
        let mut entries = Vec::new();
        for item in list.split(',').map(str::trim) {
            // Node takes blanks around the dash of a range, curl takes them for the end of an entry.
            match range(item) {
                Some(hosts) => entries.push(Entry { hosts, port: None }),
                None => entries.extend(item.split_ascii_whitespace().filter_map(read)),
            }
        }
        Bypass { entries: entries.into() }
    }

    /// Whether this host at this port is one of them.
    pub(super) fn has(&self, host: &str, port: u16) -> bool {
        if self.entries.is_empty() {
            return false;
        }
        let name = host.strip_suffix('.').unwrap_or(host);
        let address = host.parse::<IpAddr>().ok().map(|address| address.to_canonical());
        self.entries.iter().any(|entry| {
            entry.port.is_none_or(|only| only == port) && entry.hosts.has(name, address)
        })
    }
}

impl Hosts {
    fn has(&self, name: &str, address: Option<IpAddr>) -> bool {
        match self {
            Hosts::All => true,
            Hosts::Name(known) => name.eq_ignore_ascii_case(known),
            Hosts::Domain(known) => name.eq_ignore_ascii_case(known) || is_below(name, known),
            Hosts::Below(known) => is_below(name, known),
            // Every IPv4 address is less than every IPv6 one, so those of the other family are not between.
            Hosts::Addresses(first, last) => {
                address.is_some_and(|address| *first <= address && address <= *last)
            }
        }
    }
}

/// Whether a name ends with a dot and another name.
fn is_below(name: &str, other: &str) -> bool {
    let (name, other) = (name.as_bytes(), other.as_bytes());
    let Some(dot) = name.len().checked_sub(other.len() + 1) else {
        return false;
    };
    match name.split_at(dot) {
        // What stands before the dot is a name as well.
        (before, [b'.', end @ ..]) => !before.is_empty() && end.eq_ignore_ascii_case(other),
        _ => false,
    }
}

fn read(text: &str) -> Option<Entry> {
    let entry = entry(text);
    if entry.is_none() {
        log::warn!(target: "onloop::client", "no_proxy: {text:?} is no host, domain or network: it matches nothing");
    }
    entry
}

fn entry(text: &str) -> Option<Entry> {
    let (host, port) = split_port(text)?;
    Some(Entry { hosts: hosts(host)?, port })
}

/// Host and port; a host with colons of its own is an IPv6 address, in brackets where a port follows.
fn split_port(text: &str) -> Option<(&str, Option<u16>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        host.parse::<Ipv6Addr>().ok()?;
        return match rest.strip_prefix(':') {
            Some(digits) => Some((host, Some(port(digits)?))),
            None => rest.is_empty().then_some((host, None)),
        };
    }
    match text.split_once(':') {
        Some((host, digits)) if !digits.contains(':') => Some((host, Some(port(digits)?))),
        _ => Some((text, None)),
    }
}

/// Digits only: the library's parser takes a sign.
fn port(digits: &str) -> Option<u16> {
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| is_number && *port != 0)
}

fn hosts(text: &str) -> Option<Hosts> {
    if text == "*" {
        return Some(Hosts::All);
    }
    if let Some(found) = range(text).or_else(|| network(text)) {
        return Some(found);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        return Some(Hosts::Addresses(address, address));
    }
    if let Some(below) = text.strip_prefix("*.") {
        return name(below).map(Hosts::Below);
    }
    match text.strip_prefix('.') {
        Some(domain) => name(domain).map(Hosts::Domain),
        None => name(text).map(Hosts::Name),
    }
}

/// A name of the DNS. Its last label is no number: what looks so is meant to be an address, and is none.
fn name(text: &str) -> Option<Box<str>> {
    let name = text.strip_suffix('.').unwrap_or(text);
    let fits = name.split('.').all(|label| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    });
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_name = fits && !last.bytes().all(|byte| byte.is_ascii_digit());
    is_name.then(|| name.to_ascii_lowercase().into())
}

/// `FIRST-LAST`.
fn range(text: &str) -> Option<Hosts> {
    let (first, last) = text.split_once('-')?;
    addresses(first.trim().parse().ok()?, last.trim().parse().ok()?)
}

fn addresses(first: IpAddr, last: IpAddr) -> Option<Hosts> {
    let one_family = |first: IpAddr, last: IpAddr| {
        let fits = first.is_ipv4() == last.is_ipv4() && first <= last;
        fits.then_some(Hosts::Addresses(first, last))
    };
    // An IPv6 network may reach beyond the IPv4 addresses within it.
    one_family(first.to_canonical(), last.to_canonical()).or_else(|| one_family(first, last))
}

/// `ADDRESS/BITS` (RFC 4632 §3.1, RFC 4291 §2.3). Bits behind the prefix do not matter.
fn network(text: &str) -> Option<Hosts> {
    let (address, bits) = text.split_once('/')?;
    if !bits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bits: u32 = bits.parse().ok()?;
    match address.parse().ok()? {
        IpAddr::V4(address) if bits <= 32 => {
            let (address, rest) = (u32::from(address), u32::MAX.checked_shr(bits).unwrap_or(0));
            let ends = [address & !rest, address | rest].map(|end| IpAddr::V4(Ipv4Addr::from(end)));
            addresses(ends[0], ends[1])
        }
        IpAddr::V6(address) if bits <= 128 => {
            let (address, rest) = (u128::from(address), u128::MAX.checked_shr(bits).unwrap_or(0));
            let ends = [address & !rest, address | rest].map(|end| IpAddr::V6(Ipv6Addr::from(end)));
            addresses(ends[0], ends[1])
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hosts at ports.
    type Places = &'static [(&'static str, u16)];

    /// A list; what it has, and what it has not.
    #[rustfmt::skip]
    const LISTS: &[(&str, Places, Places)] = &[
        ("", &[], &[("a", 80), ("", 80), ("::", 80)]),
        (" , ,, ", &[], &[("a", 80), ("", 80)]),
        // All of them.
        ("*", &[("a", 80), ("127.0.0.1", 1), ("::1", 443)], &[]),
        ("a,*", &[("b", 80)], &[]),
        ("*:8080", &[("a", 8080)], &[("a", 80)]),
        // A name is itself only, as in Node; curl takes it for the domain, too.
        ("example.com", &[("example.com", 80), ("example.com", 8080), ("example.com.", 80)],
            &[("www.example.com", 80), ("notexample.com", 80), ("example.com.org", 80), ("example", 80), ("com", 80)]),
        ("localhost", &[("localhost", 80)], &[("127.0.0.1", 80), ("::1", 80), ("localhost.localdomain", 80)]),
        ("EXAMPLE.Com", &[("example.com", 80)], &[]),
        ("example.com", &[("Example.COM", 80)], &[]),
        ("example.com.", &[("example.com", 80), ("example.com.", 80)], &[("www.example.com", 80)]),
        // The domain, on its dots: Node takes the end of any name.
        (".example.com", &[("example.com", 80), ("www.example.com", 80), ("a.b.example.com", 80), ("www.example.com.", 80)],
            &[("notexample.com", 80), ("example.com.org", 80), (".example.com", 80), ("com", 80), ("", 80)]),
        (".Example.COM.", &[("www.example.com", 80)], &[("wwwexample.com", 80)]),
        ("*.example.com", &[("www.example.com", 80), ("a.b.example.com", 80)], &[("example.com", 80), ("notexample.com", 80), (".example.com", 80)]),
        // One port.
        ("example.com:8080", &[("example.com", 8080)], &[("example.com", 80), ("www.example.com", 8080)]),
        (".example.com:8080,a", &[("www.example.com", 8080), ("a", 1)], &[("www.example.com", 80)]),
        ("127.0.0.1:8080", &[("127.0.0.1", 8080)], &[("127.0.0.1", 80)]),
        ("[::1]:8080", &[("::1", 8080)], &[("::1", 80)]),
        ("10.0.0.0/8:8080", &[("10.1.2.3", 8080)], &[("10.1.2.3", 80)]),
        ("10.0.0.1-10.0.0.3:8080", &[("10.0.0.2", 8080)], &[("10.0.0.2", 80), ("10.0.0.4", 8080)]),
        // Addresses, however they are written.
        ("192.168.1.100", &[("192.168.1.100", 80), ("::ffff:192.168.1.100", 80)], &[("192.168.1.10", 80), ("192.168.1.1000", 80)]),
        ("::1", &[("::1", 80), ("0:0:0:0:0:0:0:1", 80)], &[("::2", 80), ("localhost", 80)]),
        ("[::1]", &[("::1", 80), ("::1", 443)], &[("::2", 80)]),
        ("2001:DB8:0::7", &[("2001:db8::7", 80)], &[("2001:db8::8", 80)]),
        ("::ffff:10.0.0.1", &[("10.0.0.1", 80), ("::ffff:a00:1", 80)], &[("10.0.0.2", 80)]),
        // Ranges, the ends included.
        ("192.168.1.1-192.168.1.100", &[("192.168.1.1", 80), ("192.168.1.50", 80), ("192.168.1.100", 80)],
            &[("192.168.1.0", 80), ("192.168.1.101", 80), ("192.168.2.50", 80), ("::ffff", 80), ("a", 80)]),
        ("10.0.0.1 - 10.0.0.5", &[("10.0.0.3", 80)], &[("10.0.0.6", 80)]),
        ("10.0.0.1-10.0.0.1", &[("10.0.0.1", 80)], &[("10.0.0.2", 80)]),
        ("2001:db8::1-2001:db8::ff", &[("2001:db8::80", 80)], &[("2001:db8::100", 80), ("10.0.0.1", 80)]),
        ("a-b", &[("a-b", 80)], &[("a", 80), ("b", 80)]),
        // Networks.
        ("192.168.0.0/16", &[("192.168.0.0", 80), ("192.168.255.255", 80), ("::ffff:192.168.1.1", 80)], &[("192.169.0.0", 80), ("192.167.255.255", 80)]),
        ("10.1.2.3/8", &[("10.9.9.9", 80)], &[("11.0.0.0", 80)]),
        ("10.1.2.3/32", &[("10.1.2.3", 80)], &[("10.1.2.4", 80)]),
        ("0.0.0.0/0", &[("1.2.3.4", 80), ("255.255.255.255", 80)], &[("::1", 80), ("a", 80)]),
        ("2001:db8::/32", &[("2001:db8:ffff::1", 80)], &[("2001:db9::", 80), ("1.2.3.4", 80)]),
        ("::/0", &[("::", 80), ("ffff::1", 80)], &[("1.2.3.4", 80)]),
        ("::1/128", &[("::1", 80)], &[("::2", 80), ("::", 80)]),
        ("::ffff:10.0.0.0/104", &[("10.9.9.9", 80)], &[("11.0.0.0", 80)]),
        // Commas and blanks.
        (" a ,\tb , c d\n", &[("a", 80), ("b", 80), ("c", 80), ("d", 80)], &[("a b", 80), ("", 80)]),
    ];

    #[test]
    fn lists_have_the_hosts_that_they_name() {
        for (list, inside, outside) in LISTS {
            let bypass = Bypass::parse(list);
            for (host, port) in *inside {
                assert!(bypass.has(host, *port), "{list:?} has {host:?} at {port}");
            }
            for (host, port) in *outside {
                assert!(!bypass.has(host, *port), "{list:?} has not {host:?} at {port}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_matches_nothing_and_harms_nothing() {
        for entry in [
            ".",
            "*.",
            "..",
            "a..b",
            "*.*",
            "*a",
            "a*",
            "ex*mple.com",
            "10.*",
            "10.0.0",
            "256.1.1.1",
            "1.2.3.4.5",
            "10.0.0.5-10.0.0.1",
            "10.0.0.1-::1",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "a/8",
            "/8",
            "a:",
            "a:0",
            "a:65536",
            "a:+80",
            "a:b",
            ":80",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[a]",
            "[10.0.0.1]",
            "[]",
            "http://a",
            "a/b",
            "\u{fc}.de",
            "\0",
            "-",
            "=",
        ] {
            let bypass = Bypass::parse(&format!("known,{entry},other"));
            assert_eq!(bypass.entries.len(), if entry == "-" { 3 } else { 2 }, "{entry:?}");
            assert!(bypass.has("known", 80) && bypass.has("other", 80), "{entry:?}");
            for host in ["a", "example.com", "10.0.0.1", "10.0.0.3", "::1", "", "xn--tda.de"] {
                assert!(!bypass.has(host, 80), "{entry:?} has {host:?}");
            }
        }
    }
}
