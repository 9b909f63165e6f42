//! Which addresses may be dialled: those of hosts on the internet, and no others.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};

/// Why an address is not dialled; none where it may be.
pub(crate) fn fault(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => fault_v4(address),
        IpAddr::V6(address) => fault_v6(address),
    }
    .or_else(|| is_own(address).then_some("an address of this machine"))
}

/// Whether it is one of this machine's own: only those can be bound. Where the kernel lets any be bound, every address
/// counts as own, and nothing is dialled.
fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

/// The special-purpose blocks (IANA's registry), each with its length.
const RESERVED_V4: &[(Ipv4Addr, u32, &str)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, "this network"),
    (Ipv4Addr::new(10, 0, 0, 0), 8, "a private network"),
    (Ipv4Addr::new(100, 64, 0, 0), 10, "a provider's private network"),
    (Ipv4Addr::new(127, 0, 0, 0), 8, "this machine"),
    (Ipv4Addr::new(169, 254, 0, 0), 16, "a link's own network, where clouds keep their metadata"),
    (Ipv4Addr::new(172, 16, 0, 0), 12, "a private network"),
    (Ipv4Addr::new(192, 0, 0, 0), 24, "set aside for protocols"),
    (Ipv4Addr::new(192, 0, 2, 0), 24, "set aside for documentation"),
    (Ipv4Addr::new(192, 88, 99, 0), 24, "a relay to IPv6"),
    (Ipv4Addr::new(192, 168, 0, 0), 16, "a private network"),
    (Ipv4Addr::new(198, 18, 0, 0), 15, "set aside for measurements"),
    (Ipv4Addr::new(198, 51, 100, 0), 24, "set aside for documentation"),
    (Ipv4Addr::new(203, 0, 113, 0), 24, "set aside for documentation"),
    (Ipv4Addr::new(224, 0, 0, 0), 4, "a group of hosts"),
    (Ipv4Addr::new(240, 0, 0, 0), 4, "reserved"),
];

fn fault_v4(address: Ipv4Addr) -> Option<&'static str> {
    let within = |(block, length, _): &&(Ipv4Addr, u32, &str)| {
        (address.to_bits() ^ block.to_bits()).checked_shr(32 - length) == Some(0)
    };
    RESERVED_V4.iter().find(within).map(|(_, _, what)| *what)
}

/// Blocks of the one that is for hosts on the internet (2000::/3) that are not.
const RESERVED_V6: &[(Ipv6Addr, u32, &str)] = &[
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, "set aside for protocols"),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, "set aside for documentation"),
    (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16, "an IPv4 address in another form"),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, "set aside for documentation"),
];

fn fault_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.to_bits() >> 125 != 0b001 {
        return Some("no address of a host on the internet");
    }
    let within = |(block, length, _): &&(Ipv6Addr, u32, &str)| {
        (address.to_bits() ^ block.to_bits()).checked_shr(128 - length) == Some(0)
    };
    RESERVED_V6.iter().find(within).map(|(_, _, what)| *what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_no_hosts_on_the_internet_are_refused() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "10.255.255.255",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:93.184.216.34",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "100::1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "2001::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(fault(text.parse().unwrap()).is_some(), "{text}");
        }
    }

    #[test]
    fn addresses_of_hosts_on_the_internet_are_dialled() {
        for text in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.1",
            "100.63.255.255",
            "100.128.0.1",
            "93.184.216.34",
            "172.15.255.255",
            "172.32.0.1",
            "192.0.1.1",
            "192.167.1.1",
            "192.169.1.1",
            "198.17.255.255",
            "198.20.0.1",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "2a00::1",
            "3ffe::1",
        ] {
            assert_eq!(fault(text.parse().unwrap()), None, "{text}");
        }
    }
}
