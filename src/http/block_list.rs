//! The rules of a [`BlockList`] that can be wrong.

use std::net::IpAddr;

use crate::error::{Error, Result};
pub use crate::net::BlockList;

impl BlockList {
    /// Blocks all addresses from `first` to `last`, both included. (Node: `addRange`)
    ///
    /// # Errors
    /// `ERR_INVALID_ARG_VALUE` where `first` comes behind `last`, or the two are of different families.
    pub fn add_range(&mut self, first: IpAddr, last: IpAddr) -> Result<()> {
        if self.insert(first, last) {
            return Ok(());
        }
        let message = format!(
            "{first} to {last} is no range: give two addresses of one family, the lower one first"
        );
        Err(Error::local("ERR_INVALID_ARG_VALUE", message))
    }

    /// Blocks all addresses that begin with the first `prefix` bits of `network`; its other bits do not matter.
    /// (Node: `addSubnet`)
    ///
    /// # Errors
    /// `ERR_OUT_OF_RANGE` where `prefix` is above 32, of an IPv6 address above 128.
    pub fn add_subnet(&mut self, network: IpAddr, prefix: u8) -> Result<()> {
        if self.insert_subnet(network, prefix) {
            return Ok(());
        }
        let most = if network.is_ipv4() { 32 } else { 128 };
        let message = format!("{network}/{prefix} is no network: a prefix has {most} bits at most");
        Err(Error::local("ERR_OUT_OF_RANGE", message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bad_rules_are_refused_at_the_call() {
        let mut list = BlockList::new();
        let error = list.add_range(ip("10.0.0.2"), ip("10.0.0.1")).unwrap_err();
        assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
        let error = list.add_range(ip("10.0.0.2"), ip("::2")).unwrap_err();
        assert_eq!(error.code(), "ERR_INVALID_ARG_VALUE");
        let error = list.add_subnet(ip("10.0.0.0"), 33).unwrap_err();
        assert_eq!(error.code(), "ERR_OUT_OF_RANGE");
        assert!(error.to_string().contains("10.0.0.0/33"), "{error}");
        assert!(list.add_subnet(ip("::"), 129).is_err() && list.is_empty());
    }
}
