//! Where a connection comes from, and with whom it shares its places.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The bits of an IPv6 address that are one customer's: providers give a household, a small office or a rented server a /56 or a /64 (RIPE-690
/// §4.2). By /64 a household had 256 shares, by /48 hundreds of households one. Telephones have a /64 each, so that by /56 up to
/// 256 of them have one share, as by IPv4 whoever is behind one address.
const IPV6_PREFIX: u32 = 56;

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// From the other end of its own socket.
    Direct(IpAddr),
    /// From a client, as an edge says that forwards it.
    Forwarded(TrustedEdge, IpAddr),
}

/// An edge whose word on client addresses is taken: one of this hospital's own, on a connection from its inside. There is none yet, so that nobody can make
/// one, and no address is believed but a socket's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedEdge {}

impl Origin {
    /// With whom it shares its places.
    #[must_use]
    pub const fn neighbourhood(self) -> Neighbourhood {
        match self {
            Self::Direct(address) | Self::Forwarded(_, address) => Neighbourhood::of(address),
        }
    }
}

/// An address, as far as one customer of a network has only one: of IPv4 all of it, of IPv6 the first 56 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbourhood(IpAddr);

impl Neighbourhood {
    /// The one that an address is in.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let bits = address.to_bits() & (u128::MAX << (u128::BITS - IPV6_PREFIX));
                Self(IpAddr::V6(Ipv6Addr::from_bits(bits)))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// As its first address.
impl fmt::Display for Neighbourhood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_of_ipv6_is_one_neighbourhood_and_so_is_an_address_of_ipv4() {
        let of = |text: &str| Origin::Direct(text.parse().unwrap()).neighbourhood();
        assert_eq!(of("2001:db8:1:200::1"), of("2001:db8:1:2ff:ffff::2"));
        assert_ne!(of("2001:db8:1:200::1"), of("2001:db8:1:300::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:1:2ff::1").to_string(), "2001:db8:1:200::");
    }
}
