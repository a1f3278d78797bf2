//! What a server may be told to listen on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::net::Address;

/// Where a server can listen: see [`Server::listen`](crate::http::Server::listen).
pub trait ListenAddress {
    /// The address in full.
    ///
    /// # Errors
    /// `ERR_INVALID_ADDRESS` where the text is no address, `ERR_SOCKET_BAD_PORT` where its port is beyond 65535.
    /// Names other than `localhost` are not looked up.
    fn to_address(&self) -> Result<Address>;
}

impl ListenAddress for str {
    fn to_address(&self) -> Result<Address> {
        if let Some(path) = self.strip_prefix("unix:") {
            return Ok(Address::Unix(PathBuf::from(path)));
        }
        if let Ok(address) = self.parse::<SocketAddr>() {
            return Ok(Address::Ip(address));
        }
        let invalid = || {
            let message = format!(
                "cannot listen on {self:?}: give an IP address and a port, such as \"127.0.0.1:8080\""
            );
            Error::local("ERR_INVALID_ADDRESS", message)
        };
        let (host, port) = self.rsplit_once(':').ok_or_else(invalid)?;
        let digits = port.strip_prefix('-').unwrap_or(port);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let port: u16 = port.parse().map_err(|_| {
            let message = format!("the port must be from 0 to 65535 (got {port})");
            Error::local("ERR_SOCKET_BAD_PORT", message)
        })?;
        match host {
            "" => port.to_address(),
            "localhost" => Ok(Address::Ip(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))),
            _ => Err(invalid()),
        }
    }
}

impl ListenAddress for String {
    fn to_address(&self) -> Result<Address> {
        self.as_str().to_address()
    }
}

impl ListenAddress for u16 {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(SocketAddr::from((Ipv6Addr::UNSPECIFIED, *self))))
    }
}

impl ListenAddress for SocketAddr {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(*self))
    }
}

impl ListenAddress for Address {
    fn to_address(&self) -> Result<Address> {
        Ok(self.clone())
    }
}

impl ListenAddress for (IpAddr, u16) {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Ip(SocketAddr::from(*self)))
    }
}

impl ListenAddress for (&str, u16) {
    fn to_address(&self) -> Result<Address> {
        match self.0.parse::<IpAddr>() {
            Ok(ip) => Ok(Address::Ip(SocketAddr::from((ip, self.1)))),
            Err(_) => format!("{}:{}", self.0, self.1).to_address(),
        }
    }
}

impl ListenAddress for Path {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.to_path_buf()))
    }
}

impl ListenAddress for PathBuf {
    fn to_address(&self) -> Result<Address> {
        Ok(Address::Unix(self.clone()))
    }
}

impl<T: ListenAddress + ?Sized> ListenAddress for &T {
    fn to_address(&self) -> Result<Address> {
        (**self).to_address()
    }
}
