//! Which address is tried first.
//!
//! Deliberately not here: when the next one has its turn, which is a matter of clocks.

use std::net::SocketAddr;

/// One of the two kinds of IP addresses, where only one of them shall be used. (Node: `family`)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4. (Node: `4`)
    V4,
    /// IPv6. (Node: `6`)
    V6,
}

impl Family {
    fn of(address: &SocketAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

/// Those of one family, in their order; all where `family` is `None`.
pub(crate) fn of_family(mut addresses: Vec<SocketAddr>, family: Option<Family>) -> Vec<SocketAddr> {
    if let Some(family) = family {
        addresses.retain(|address| Family::of(address) == family);
    }
    addresses
}

/// The order of RFC 8305 §4: the first address stays first, then the families take turns, each in the order
/// that the resolver preferred (RFC 6724). So a family that does not work here costs one attempt, not all.
pub(crate) fn interleave(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(Family::of) else {
        return addresses;
    };
    let count = addresses.len();
    let (ours, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| Family::of(address) == first);
    let (mut ours, mut others) = (ours.into_iter(), others.into_iter());
    let mut ordered = Vec::with_capacity(count);
    while ordered.len() < count {
        ordered.extend(ours.next());
        ordered.extend(others.next());
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A digit is an IPv4 address, a letter an IPv6 one.
    fn addresses(text: &str) -> Vec<SocketAddr> {
        let address = |letter: char| match letter.is_ascii_digit() {
            true => format!("192.0.2.{letter}:80"),
            false => format!("[2001:db8::{letter}]:80"),
        };
        text.chars().map(|letter| address(letter).parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_first_stays_first() {
        for (found, ordered) in [
            ("", ""),
            ("1", "1"),
            ("a", "a"),
            ("123", "123"),
            ("abc12", "a1b2c"),
            ("12abc", "1a2bc"),
            ("1a", "1a"),
            ("a1", "a1"),
            ("ab123", "a1b23"),
            ("1ab2", "1a2b"),
            // Whatever comes twice is tried twice: nothing is lost here.
            ("aa1", "a1a"),
        ] {
            assert_eq!(interleave(addresses(found)), addresses(ordered), "{found}");
        }
    }

    #[test]
    fn one_family_alone_keeps_its_order() {
        let all = || addresses("ab12c");
        assert_eq!(of_family(all(), Some(Family::V4)), addresses("12"));
        assert_eq!(of_family(all(), Some(Family::V6)), addresses("abc"));
        assert_eq!(of_family(all(), None), all());
        assert!(of_family(addresses("12"), Some(Family::V6)).is_empty());
    }

    #[test]
    fn a_mapped_address_is_of_the_family_of_its_socket() {
        let mapped: Vec<SocketAddr> = vec!["[::ffff:192.0.2.1]:80".parse().unwrap()];
        assert_eq!(of_family(mapped.clone(), Some(Family::V6)), mapped);
    }
}
