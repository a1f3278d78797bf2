//! Addresses that are not connected to: ranges, merged as they come.
//!
//! Deliberately not here: who asks, what is refused, and the errors of bad rules (`http::block_list`).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// IP addresses, ranges and networks. (Node: `net.BlockList`)
///
/// An IPv4-mapped IPv6 address (`::ffff:192.0.2.1`) counts as its IPv4 address, in a rule and in a question.
/// Rules of one family say nothing of the other otherwise: `::/0` blocks no IPv4 address, but every mapped one,
/// which lies in it as well.
///
/// What is asked takes the same time for one rule and for a hundred thousand, nearly.
///
/// ```
/// use onloop::http::BlockList;
///
/// let mut private = BlockList::new();
/// private.add_subnet("10.0.0.0".parse()?, 8)?;
/// private.add_range("192.168.0.0".parse()?, "192.168.255.255".parse()?)?;
/// private.add_address("::1".parse()?);
///
/// assert!(private.check(&"10.1.2.3".parse()?));
/// assert!(private.check(&"::ffff:192.168.7.7".parse()?));
/// assert!(!private.check(&"192.0.2.1".parse()?));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockList {
    v4: Ranges,
    v6: Ranges,
}

impl BlockList {
    /// A list that blocks nothing.
    pub fn new() -> BlockList {
        BlockList::default()
    }

    /// Blocks one address. (Node: `addAddress`)
    pub fn add_address(&mut self, address: IpAddr) {
        self.insert(address, address);
    }

    /// Whether the address is blocked. (Node: `check`)
    pub fn check(&self, address: &IpAddr) -> bool {
        let is_blocked = |number| match number {
            (true, number) => self.v4.holds(number),
            (false, number) => self.v6.holds(number),
        };
        is_blocked(numbered(*address)) || is_blocked(literally(*address))
    }

    /// Whether there is no rule in it.
    pub fn is_empty(&self) -> bool {
        self.v4.0.is_empty() && self.v6.0.is_empty()
    }

    /// Blocks all from `first` to `last`; false where those are no range.
    pub(crate) fn insert(&mut self, first: IpAddr, last: IpAddr) -> bool {
        let (mut from, mut to) = (numbered(first), numbered(last));
        if from.0 != to.0 {
            // `::` to `::ffff:1.2.3.4`: of IPv6 addresses, of which one happens to be a mapped one.
            (from, to) = (literally(first), literally(last));
        }
        if from.0 != to.0 || from.1 > to.1 {
            return false;
        }
        let ranges = if from.0 { &mut self.v4 } else { &mut self.v6 };
        ranges.insert(from.1, to.1);
        true
    }

    /// Blocks the network of `address`; false where `prefix` is longer than an address.
    pub(crate) fn insert_subnet(&mut self, address: IpAddr, prefix: u8) -> bool {
        let bits: u8 = if address.is_ipv4() { 32 } else { 128 };
        let Some(host_bits) = bits.checked_sub(prefix) else {
            return false;
        };
        let mask = u128::MAX.checked_shl(host_bits.into()).unwrap_or(0);
        match address {
            IpAddr::V4(address) => {
                let first = address.to_bits() & mask as u32;
                let last = first | !(mask as u32);
                self.insert(IpAddr::V4(first.into()), IpAddr::V4(last.into()))
            }
            IpAddr::V6(address) => {
                let first = address.to_bits() & mask;
                let last = first | !mask;
                self.insert(IpAddr::V6(first.into()), IpAddr::V6(last.into()))
            }
        }
    }
}

/// Whether it is an IPv4 address, mapped or not, and its number.
fn numbered(address: IpAddr) -> (bool, u128) {
    literally(address.to_canonical())
}

/// The same where a mapped address is an IPv6 one.
fn literally(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, address.to_bits().into()),
        IpAddr::V6(address) => (false, Ipv6Addr::to_bits(address)),
    }
}

/// Ranges that neither overlap nor touch, by their first numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges(BTreeMap<u128, u128>);

impl Ranges {
    fn holds(&self, number: u128) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, last)| number <= *last)
    }

    fn insert(&mut self, mut first: u128, mut last: u128) {
        // Every range that begins before the end of the new one, or next to it, and ends behind its beginning.
        while let Some((&from, &to)) = self.0.range(..=last.saturating_add(1)).next_back() {
            if to < first.saturating_sub(1) {
                break;
            }
            self.0.remove(&from);
            first = first.min(from);
            last = last.max(to);
        }
        self.0.insert(first, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn ranges(list: &BlockList) -> Vec<(u128, u128)> {
        list.v4.0.iter().map(|(first, last)| (*first, *last)).collect()
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        let small = |number: u128| IpAddr::V4((number as u32).into());
        let mut list = BlockList::new();
        for (first, last, expected) in [
            (10, 20, &[(10, 20)][..]),
            (30, 40, &[(10, 20), (30, 40)]),
            (12, 15, &[(10, 20), (30, 40)]),
            (21, 21, &[(10, 21), (30, 40)]),
            (29, 29, &[(10, 21), (29, 40)]),
            (35, 50, &[(10, 21), (29, 50)]),
            (0, 5, &[(0, 5), (10, 21), (29, 50)]),
            (6, 28, &[(0, 50)]),
            (u32::MAX.into(), u32::MAX.into(), &[(0, 50), (0xffff_ffff, 0xffff_ffff)]),
            (0, u32::MAX.into(), &[(0, 0xffff_ffff)]),
        ] {
            assert!(list.insert(small(first), small(last)));
            assert_eq!(ranges(&list), expected, "{first} to {last}");
        }
    }

    #[test]
    fn a_list_agrees_with_a_plain_search_of_its_rules() {
        let mut state = 7u32;
        let mut number = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state >> 22
        };
        let mut list = BlockList::new();
        let mut rules = Vec::new();
        for _ in 0..40 {
            let (first, length) = (number(), number() % 16);
            rules.push(first..=first + length);
            assert!(list.insert(IpAddr::V4(first.into()), IpAddr::V4((first + length).into())));
        }
        for asked in 0..1100u32 {
            let expected = rules.iter().any(|rule| rule.contains(&asked));
            assert_eq!(list.check(&IpAddr::V4(asked.into())), expected, "{asked}");
        }
    }

    #[test]
    fn networks_begin_and_end_where_their_prefix_says() {
        for (network, prefix, inside, outside) in [
            ("10.0.0.0", 8, ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            // Bits behind the prefix do not matter.
            ("10.1.2.3", 8, ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0"]),
            ("192.0.2.4", 31, ["192.0.2.4", "192.0.2.5"], ["192.0.2.3", "192.0.2.6"]),
            ("192.0.2.4", 32, ["192.0.2.4", "::ffff:192.0.2.4"], ["192.0.2.3", "192.0.2.5"]),
            ("0.0.0.0", 0, ["0.0.0.0", "255.255.255.255"], ["::", "2001:db8::1"]),
            ("::ffff:10.0.0.0", 104, ["10.0.0.0", "::ffff:10.255.255.255"], ["11.0.0.0", "::1"]),
            ("::ffff:0:0", 96, ["0.0.0.0", "255.255.255.255"], ["::1:0:0:0", "::fffe:ffff:ffff"]),
            ("2001:db8::", 32, ["2001:db8::", "2001:db8:ffff::1"], ["2001:db7::", "2001:db9::"]),
            ("::1", 128, ["::1", "::1"], ["::", "::2"]),
            ("::", 0, ["::", "::ffff:1.2.3.4"], ["0.0.0.0", "1.2.3.4"]),
        ] {
            let mut list = BlockList::new();
            assert!(list.insert_subnet(ip(network), prefix));
            for address in inside {
                assert!(list.check(&ip(address)), "{network}/{prefix}: {address}");
            }
            for address in outside {
                assert!(!list.check(&ip(address)), "{network}/{prefix}: {address}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_refused_and_blocks_nothing() {
        let mut list = BlockList::new();
        assert!(!list.insert(ip("10.0.0.2"), ip("10.0.0.1")));
        assert!(!list.insert(ip("10.0.0.2"), ip("::1")));
        assert!(!list.insert(ip("::1"), ip("255.0.0.2")));
        assert!(!list.insert_subnet(ip("10.0.0.0"), 33));
        assert!(!list.insert_subnet(ip("::ffff:10.0.0.0"), 129));
        assert!(!list.insert_subnet(ip("::"), 255));
        assert!(list.is_empty());
        // Mapped and plain ends of one range are the same.
        assert!(list.insert(ip("10.0.0.1"), ip("::ffff:10.0.0.2")));
        assert!(list.check(&ip("10.0.0.2")) && !list.is_empty());
        // And one that only begins or ends among the mapped ones is of IPv6.
        let mut list = BlockList::new();
        assert!(list.insert(ip("::1"), ip("::ffff:0.0.0.9")));
        assert!(list.check(&ip("::ffff:0.0.0.8")) && !list.check(&ip("0.0.0.8")));
    }
}
