//! Conditions on the client's address.

use crate::ConfigError;
use std::fmt;
use std::net::IpAddr;

/// A block of addresses. An IPv4 address in IPv6 form counts as the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: u128,
    bits: u32,
    v4: bool,
}

impl Cidr {
    /// Reads `10.0.0.0/8`, `2001:db8::/32`, or one address.
    ///
    /// # Errors
    /// For anything else, and for addresses with bits set behind the prefix.
    pub fn new(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            let why = "expected an address or a block like \"10.0.0.0/8\" or \"2001:db8::/32\"";
            ConfigError::new("", format!("{why}, found {text:?}"))
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let (value, v4) = number(address.parse().map_err(|_| wrong())?);
        let width = if v4 { 32 } else { 128 };
        let bits = match length {
            None => width,
            Some(length) if length.bytes().all(|b| b.is_ascii_digit()) => length.parse().map_err(|_| wrong())?,
            Some(_) => return Err(wrong()),
        };
        if bits > width {
            return Err(wrong());
        }
        let block = Self { network: shifted(value, width - bits), bits, v4 };
        if block.network.checked_shl(width - bits).unwrap_or(0) != value {
            let why = format!("expected no bits set behind the first {bits}, found {text:?}");
            return Err(ConfigError::new("", why));
        }
        Ok(block)
    }

    /// Whether an address lies in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (value, v4) = number(address);
        let width = if v4 { 32 } else { 128 };
        v4 == self.v4 && shifted(value, width - self.bits) == self.network
    }

    /// Whether a block lies in this one.
    pub fn covers(&self, other: &Self) -> bool {
        self.v4 == other.v4 && self.bits <= other.bits && shifted(other.network, other.bits - self.bits) == self.network
    }
}

/// The whole width shifted out is 0, which `>>` does not do.
fn shifted(value: u128, by: u32) -> u128 {
    value.checked_shr(by).unwrap_or(0)
}

fn number(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(address) => (u32::from(address).into(), true),
        IpAddr::V6(address) => (address.into(), false),
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = if self.v4 { 32 } else { 128 };
        let value = self.network.checked_shl(width - self.bits).unwrap_or(0);
        match u32::try_from(value) {
            Ok(value) if self.v4 => write!(f, "{}/{}", std::net::Ipv4Addr::from(value), self.bits),
            _ => write!(f, "{}/{}", std::net::Ipv6Addr::from(value), self.bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_contain_addresses() {
        for (block, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "::1", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("2001:db8::/32", "2001:db8:1::", true),
            ("2001:db8::/32", "2001:db9::", false),
        ] {
            assert_eq!(Cidr::new(block).unwrap().contains(address.parse().unwrap()), expected, "{block} {address}");
        }
    }

    #[test]
    fn blocks_read_and_print_alike_and_cover_each_other() {
        for text in ["10.0.0.0/8", "0.0.0.0/0", "::/0", "2001:db8::/32", "1.2.3.4/32"] {
            assert_eq!(Cidr::new(text).unwrap().to_string(), text);
        }
        let block = |text| Cidr::new(text).unwrap();
        assert!(
            block("10.0.0.0/8").covers(&block("10.1.0.0/16")) && !block("10.1.0.0/16").covers(&block("10.0.0.0/8"))
        );
        assert!(block("0.0.0.0/0").covers(&block("1.2.3.4")) && !block("::/0").covers(&block("1.2.3.4")));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in ["", "10.0.0.0/33", "10.0.0.1/8", "a", "10.0.0.0/", "10.0.0.0/+8", "::/129", "10.0.0/8"] {
            assert!(Cidr::new(text).is_err(), "{text}");
        }
    }
}
