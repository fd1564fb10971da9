//! Where a webhook may go: to addresses of the public internet and to no other, lest Kvali be made to speak to what stands
//! beside it.

use reqwest::Url;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Whether this machine may be delivered to, without TLS too: for development and tests.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Loopback {
    #[default]
    Refused,
    Allowed,
}

#[derive(thiserror::Error, Clone, PartialEq, Eq, Debug)]
pub enum Forbidden {
    #[error("{0:?} is no URL; one looks like https://example.com/kvali")]
    NoUrl(String),
    #[error("only https is delivered to, not {0:?}")]
    Scheme(String),
    #[error("a URL with a name or a password in it is not delivered to; the signature says who sends")]
    Userinfo,
    #[error("{0:?} is not known to the name service")]
    Unknown(String),
    #[error("{0} is no address of the public internet")]
    Address(IpAddr),
}

/// Networks of version 4 that are not public (IANA special-purpose registry), and one address by which a cloud tells
/// its machines their secrets although it looks public.
const CLOSED: [(Ipv4Addr, u32); 17] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(168, 63, 129, 16), 32),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 31, 196, 0), 24),
    (Ipv4Addr::new(192, 52, 193, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    // Multicast, reserved, broadcast.
    (Ipv4Addr::new(224, 0, 0, 0), 3),
];

/// Of version 6 only global unicast is public, which leaves out what maps or translates version 4 (`::ffff:0:0/96`,
/// `64:ff9b::/96`); and of that, not these.
const GLOBAL: (Ipv6Addr, u32) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);
const CLOSED_6: [(Ipv6Addr, u32); 5] = [
    // Protocol assignments, Teredo among them.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    // 6to4: an address of version 4 within.
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
    (Ipv6Addr::new(0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0), 48),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !CLOSED.iter().any(|(net, bits)| (u32::from(address) ^ u32::from(*net)).leading_zeros() >= *bits)
        }
        IpAddr::V6(address) => {
            let within = |(net, bits): &(Ipv6Addr, u32)| {
                (u128::from(address) ^ u128::from(*net)).leading_zeros() >= *bits
            };
            within(&GLOBAL) && !CLOSED_6.iter().any(within)
        }
    }
}

impl Loopback {
    fn lets(self, address: IpAddr) -> bool {
        is_public(address) || (self == Self::Allowed && address.is_loopback())
    }
}

/// The URL, if it may be delivered to as far as can be told without the name service.
pub(crate) fn checked(text: &str, loopback: Loopback) -> Result<Url, Forbidden> {
    let url: Url = text.parse().map_err(|_| Forbidden::NoUrl(text.to_owned()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Forbidden::Userinfo);
    }
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| Forbidden::NoUrl(text.to_owned()))?;
    let address: Option<IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    if let Some(address) = address.filter(|address| !loopback.lets(*address)) {
        return Err(Forbidden::Address(address));
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback == Loopback::Allowed && address.is_some_and(|address| address.is_loopback()) => {
            Ok(url)
        }
        scheme => Err(Forbidden::Scheme(scheme.to_owned())),
    }
}

/// The addresses that the URL's host has now, each of which may be delivered to. The connection goes to one of them and
/// to nothing that the name may mean a moment later.
pub(crate) async fn resolved(url: &Url, loopback: Loopback) -> Result<Vec<SocketAddr>, Forbidden> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let found = tokio::net::lookup_host((host.as_str(), port)).await;
    let found: Vec<SocketAddr> = found.map_err(|_| Forbidden::Unknown(host.clone()))?.collect();
    match found.iter().find(|address| !loopback.lets(address.ip())) {
        Some(closed) => Err(Forbidden::Address(closed.ip())),
        None if found.is_empty() => Err(Forbidden::Unknown(host)),
        None => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::{Forbidden, Loopback, checked, is_public, resolved};

    #[test]
    fn public_addresses_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "223.255.255.254",
            "2606:4700::1111",
            "2a00::1",
        ] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    /// Each is refused before anything is connected to.
    const HOSTILE: [&str; 60] = [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "gopher://example.com/",
        "javascript:alert(1)",
        "data:text/plain,x",
        "//example.com/",
        "example.com",
        "https://",
        "https://user@example.com/",
        "https://user:password@example.com/",
        "https://example.com@127.0.0.1/",
        "https://127.0.0.1/",
        "https://127.0.0.1:5432/",
        "https://127.1/",
        "https://127.255.255.254/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://0177.0.0.1/",
        "https://017700000001/",
        "https://127.0.0.1./",
        "https://①②⑦.0.0.1/",
        "https://localhost/",
        "https://LOCALHOST./",
        "https://0/",
        "https://0.0.0.0/",
        "https://0.1.2.3/",
        "https://10.0.0.1/",
        "https://10.255.255.255/",
        "https://100.64.0.1/",
        "https://100.127.255.254/",
        "https://169.254.169.254/latest/meta-data/",
        "https://169.254.170.2/",
        "https://2852039166/",
        "https://168.63.129.16/",
        "https://172.16.0.1/",
        "https://172.31.255.255/",
        "https://192.0.0.192/",
        "https://192.0.2.1/",
        "https://192.168.1.1/",
        "https://198.18.0.1/",
        "https://198.51.100.1/",
        "https://203.0.113.1/",
        "https://224.0.0.1/",
        "https://239.255.255.255/",
        "https://240.0.0.1/",
        "https://255.255.255.255/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:a9fe:a9fe]/",
        "https://[::127.0.0.1]/",
        "https://[64:ff9b::a9fe:a9fe]/",
        "https://[64:ff9b:1::1]/",
        "https://[fc00::1]/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://[ff02::1]/",
        "https://[2002:7f00:1::]/",
    ];

    #[tokio::test]
    async fn hostile_urls_are_never_connected_to() {
        for text in HOSTILE {
            let refused = match checked(text, Loopback::Refused) {
                Ok(url) => resolved(&url, Loopback::Refused).await.err(),
                Err(forbidden) => Some(forbidden),
            };
            assert!(refused.is_some(), "{text} is let through");
        }
    }

    #[test]
    fn loopback_is_let_in_for_tests_and_nothing_else_with_it() {
        assert!(checked("http://127.0.0.1:9/", Loopback::Allowed).is_ok());
        assert!(checked("http://[::1]:9/", Loopback::Allowed).is_ok());
        for text in
            ["http://10.0.0.1/", "http://example.com/", "http://169.254.169.254/", "http://user@127.0.0.1/"]
        {
            assert!(checked(text, Loopback::Allowed).is_err(), "{text}");
        }
        let closed = "169.254.169.254".parse().unwrap();
        assert_eq!(checked("https://169.254.169.254/", Loopback::Allowed), Err(Forbidden::Address(closed)));
    }
}
