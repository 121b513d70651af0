//! Where a validator listens, as the ledger writes it: `/ip4/…/tcp/…`, `/ip6/…/tcp/…`, or a name with `/dns/`, `/dns4/` or `/dns6/`.

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::net::lookup_host;

/// The most addresses of one name that are tried.
const MAX_RESOLVED: usize = 4;

/// A host and a TCP port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListenAddress {
    host: Host,
    port: u16,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Host {
    Ip(IpAddr),
    /// A name, and whether only IPv4 (or only IPv6) addresses of it are meant.
    Name(String, Option<Family>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl ListenAddress {
    /// Reads one. What follows the port (`/p2p/…`) is not looked at: who is there is proven with a consensus key.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split('/');
        if words.next() != Some("") {
            return None;
        }
        let (kind, host) = (words.next()?, words.next()?);
        let host = match kind {
            "ip4" => Host::Ip(IpAddr::V4(host.parse().ok()?)),
            "ip6" => Host::Ip(IpAddr::V6(host.parse().ok()?)),
            "dns" if !host.is_empty() => Host::Name(host.into(), None),
            "dns4" if !host.is_empty() => Host::Name(host.into(), Some(Family::V4)),
            "dns6" if !host.is_empty() => Host::Name(host.into(), Some(Family::V6)),
            _ => return None,
        };
        let (Some("tcp"), Some(port)) = (words.next(), words.next()) else { return None };
        let port = port.parse().ok()?;
        match words.next() {
            None | Some("p2p") => Some(Self { host, port }),
            Some(_) => None,
        }
    }

    /// The socket address, if no name has to be looked up.
    pub(crate) const fn socket(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Ip(ip) => Some(SocketAddr::new(ip, self.port)),
            Host::Name(..) => None,
        }
    }

    pub(crate) fn is_at(&self, address: IpAddr) -> bool {
        matches!(self.host, Host::Ip(ip) if ip.to_canonical() == address.to_canonical())
    }

    /// The socket addresses; a name is looked up by the system.
    pub(crate) async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match &self.host {
            Host::Ip(ip) => Ok(vec![SocketAddr::new(*ip, self.port)]),
            Host::Name(name, family) => {
                let meant = |found: &SocketAddr| match family {
                    None => true,
                    Some(Family::V4) => found.is_ipv4(),
                    Some(Family::V6) => found.is_ipv6(),
                };
                Ok(lookup_host((name.as_str(), self.port)).await?.filter(meant).take(MAX_RESOLVED).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_tcp_port_and_nothing_else() {
        let socket = |text: &str| ListenAddress::parse(text).unwrap().socket().map(|socket| socket.to_string());
        assert_eq!(socket("/ip4/127.0.0.1/tcp/26656").as_deref(), Some("127.0.0.1:26656"));
        assert_eq!(socket("/ip6/::1/tcp/1/p2p/12D3KooW").as_deref(), Some("[::1]:1"));
        assert_eq!(socket("/dns4/mercy.example/tcp/26656"), None);
        for wrong in [
            "",
            "127.0.0.1:1",
            "/ip4/127.0.0.1",
            "/ip4/127.0.0.1/udp/1",
            "/ip4/127.0.0.1/tcp/1/ws",
            "/ip4/::1/tcp/1",
            "/dns4//tcp/1",
            "/ip4/127.0.0.1/tcp/65536",
        ] {
            assert_eq!(ListenAddress::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_validators_own_address_is_known_again_also_in_ipv6_form() {
        let address = ListenAddress::parse("/ip4/192.0.2.1/tcp/26656").unwrap();
        assert!(address.is_at("192.0.2.1".parse().unwrap()) && address.is_at("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!address.is_at("192.0.2.2".parse().unwrap()));
    }
}
