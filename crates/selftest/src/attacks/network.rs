//! The network by each family of sockets, and names of hosts by each road.

use std::io::{Read, Write};
use std::net::ToSocketAddrs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use super::*;
use crate::attack::{Class::Dns, Class::Network, Need};

const STREAM: u32 = 1;
const DATAGRAM: u32 = 2;
const RAW: u32 = 3;
const SEQUENCED: u32 = 5;

/// Opens a socket of this family.
macro_rules! family {
    ($name:literal, $family:literal, $kind:ident, $protocol:literal) => {
        Attack::new($name, Network, BY_FILTER, &["socket"], |_| {
            make(Sysno::socket, &mut [n($family), n($kind as i32), n($protocol)])
        })
        .like("socket")
        .needs(Need::Family($family, $kind, $protocol))
    };
}

/// What an IPv4 socket can meet where a profile grants it for loopback.
const INET: Expected =
    &[(EPERM, SECCOMP), (ECONNREFUSED, "network-namespace"), (ENETUNREACH, "network-namespace"), (EACCES, LANDLOCK)];

/// A socket of the host that has a path, and is not there.
macro_rules! service {
    ($name:literal, $path:literal) => {
        Attack::new($name, Dns, NOT_THERE, &["connect"], |_| Seen::io(UnixStream::connect($path).map(drop)))
            .needs(Need::Path($path))
            .like("service-by-path")
    };
}

pub(super) static ATTACKS: &[Attack] = &[
    family!("inet-stream", 2, STREAM, 0).inet(),
    family!("inet-datagram", 2, DATAGRAM, 0).inet(),
    family!("inet-raw", 2, RAW, 1),
    family!("inet-ping", 2, DATAGRAM, 1),
    family!("inet-multipath", 2, STREAM, 262),
    family!("inet-sctp", 2, SEQUENCED, 132),
    family!("inet6-stream", 10, STREAM, 0).inet(),
    family!("inet6-datagram", 10, DATAGRAM, 0).inet(),
    family!("netlink-route", 16, RAW, 0),
    family!("netlink-events", 16, RAW, 15),
    family!("netlink-audit", 16, RAW, 9),
    family!("netlink-netfilter", 16, RAW, 12),
    family!("packet", 17, RAW, 0),
    family!("key", 15, RAW, 2),
    family!("appletalk", 5, DATAGRAM, 0),
    family!("x25", 9, SEQUENCED, 0),
    family!("rds", 21, SEQUENCED, 0),
    family!("pppox", 24, STREAM, 0),
    family!("llc", 26, STREAM, 0),
    family!("can", 29, RAW, 1),
    family!("tipc", 30, DATAGRAM, 0),
    family!("bluetooth", 31, RAW, 1),
    family!("rxrpc", 33, DATAGRAM, 0),
    family!("phonet", 35, DATAGRAM, 0),
    family!("ieee802154", 36, DATAGRAM, 0),
    family!("kernel-crypto", 38, SEQUENCED, 0),
    family!("nfc", 39, RAW, 0),
    family!("vsock-stream", 40, STREAM, 0),
    family!("kernel-multiplexor", 41, DATAGRAM, 0),
    family!("qualcomm-router", 42, DATAGRAM, 0),
    family!("smc", 43, STREAM, 0),
    family!("xdp", 44, RAW, 0),
    family!("mctp", 45, DATAGRAM, 0),
    Attack::new("socketpair-tipc", Network, BY_FILTER, &["socketpair"], |_| {
        make(Sysno::socketpair, &mut [n(30), n(DATAGRAM as i32), n(0), w(&mut [0; 8])])
    }),
    Attack::new("connect-to-host", Network, INET, &["socket"], |facts| inet(facts.number("tcp"), STREAM)),
    Attack::new("connect-beyond", Network, INET, &["socket"], |_| inet_to([192, 0, 2, 1], 443, STREAM)),
    Attack::new("connect-to-metadata", Network, INET, &["socket"], |_| inet_to([169, 254, 169, 254], 80, STREAM))
        .like("connect-beyond"),
    Attack::new("send-to-host", Network, INET, &["socket"], |facts| inet(facts.number("udp"), DATAGRAM)),
    Attack::new("sockets-in-sight", Network, &[(Seen::Nothing, "network-namespace")], &["openat"], |facts| {
        let shown = std::fs::read_to_string("/proc/self/net/unix");
        Seen::io_where(shown, |shown| shown.contains(facts.text("token")))
    }),
    Attack::new("interfaces-in-sight", Network, &[(Seen::Nothing, "network-namespace")], &["openat"], |_| {
        let shown = std::fs::read_to_string("/proc/self/net/dev");
        Seen::io_where(shown, |shown| shown.lines().filter(|line| line.contains(':')).count() > 1)
    })
    .like("sockets-in-sight"),
    Attack::new("dns-by-datagram", Dns, INET, &["socket"], |facts| inet(facts.number("udp"), DATAGRAM))
        .like("send-to-host"),
    Attack::new("dns-by-stream", Dns, INET, &["socket"], |facts| inet(facts.number("tcp"), STREAM))
        .like("connect-to-host"),
    Attack::new("dns-by-multicast", Dns, INET, &["socket"], |_| inet_to([224, 0, 0, 251], 5353, DATAGRAM)),
    Attack::new("dns-by-library", Dns, &[(Seen::Nothing, "network-namespace")], &["openat"], |_| {
        let found = ("hotcell-selftest.example.org", 80).to_socket_addrs();
        if found.is_ok_and(|mut found| found.next().is_some()) { Seen::Through } else { Seen::Nothing }
    }),
    Attack::new("names-of-resolvers", Dns, NOT_THERE, &["openat"], |_| read("/etc/resolv.conf"))
        .needs(Need::Path("/etc/resolv.conf")),
    service!("dns-by-cache", "/run/nscd/socket"),
    service!("dns-by-resolved", "/run/systemd/resolve/io.systemd.Resolve"),
    service!("dns-by-message-bus", "/run/dbus/system_bus_socket"),
    service!("dns-by-avahi", "/run/avahi-daemon/socket"),
    Attack::new("dns-by-own-service", Dns, NOT_THERE, &["connect"], |facts| {
        Seen::io(UnixStream::connect(facts.text("socket")).and_then(ask))
    })
    .like("service-by-path"),
    Attack::new(
        "abstract-socket-of-host",
        Network,
        &[(ECONNREFUSED, "network-namespace"), (EPERM, LANDLOCK)],
        &["connect"],
        |facts| abstract_socket(facts.text("token")),
    ),
];

fn inet(port: i32, kind: u32) -> Seen {
    inet_to([127, 0, 0, 1], u16::try_from(port).unwrap_or(0), kind)
}

/// Reaches for an address: connects, and for datagrams sends and waits for what comes back.
fn inet_to(address: [u8; 4], port: u16, kind: u32) -> Seen {
    let socket = match raw(Sysno::socket, &mut [n(2), n(kind as i32 | 0o4000), n(0)]) {
        Ok(socket) => n(socket as i32),
        Err(errno) => return Seen::Errno(errno.0),
    };
    let mut name = [0u8; 16];
    name[..2].copy_from_slice(&2u16.to_ne_bytes());
    name[2..4].copy_from_slice(&port.to_be_bytes());
    name[4..8].copy_from_slice(&address);
    let Word::Number(socket) = socket else { return Seen::NoAnswer };
    match raw(Sysno::connect, &mut [n(socket), b(&name), n(16)]) {
        // EINPROGRESS: the packet is on its way.
        Ok(_) | Err(hotcell_sys::Errno(115)) => {}
        Err(errno) => return Seen::Errno(errno.0),
    }
    let sent = raw(Sysno::sendto, &mut [n(socket), b(QUERY), n(QUERY.len() as i32), n(0), n(0), n(0)]);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let again = raw(Sysno::sendto, &mut [n(socket), b(QUERY), n(QUERY.len() as i32), n(0), n(0), n(0)]);
    Seen::call(sent.and(again))
}

/// A question for `example.org`, as DNS has it.
const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03org\x00\x00\x01\x00\x01";

fn ask(mut stream: UnixStream) -> std::io::Result<()> {
    stream.write_all(QUERY)?;
    stream.read(&mut [0; 1]).map(drop)
}

pub(super) fn abstract_socket(name: &str) -> Seen {
    let address = SocketAddr::from_abstract_name(format!("hotcell-{name}"));
    Seen::io(address.and_then(|address| UnixStream::connect_addr(&address)).map(drop))
}
