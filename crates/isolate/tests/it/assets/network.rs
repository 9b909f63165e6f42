//! The network and the host's abstract sockets.

use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

use hotcell_testkit::require_program;
use hotcell_types::Wall::{Landlock, NetworkNamespace, Seccomp};

use super::{EACCES, ECONNREFUSED, ENETUNREACH, EPERM, Scene, seen_outside};

#[test]
fn a_server_of_the_host_is_behind_the_network_namespace_the_filter_and_landlock() {
    require_program!("python3");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene { loopback: false, ..Scene::new() };
    scene.allows("a, b = socket.socketpair()\nseen = a.send(b'x')");
    let attack = connects_to(server.local_addr().unwrap().port());
    scene.stops(&attack, EPERM, &[(NetworkNamespace, ENETUNREACH), (Seccomp, EPERM), (Landlock, EACCES)]);
}

#[test]
fn with_loopback_a_server_of_the_host_is_behind_the_same_three_walls_and_one_inside_is_reached() {
    require_program!("python3");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let scene = Scene::new();
    for family in ["AF_INET, '127.0.0.1'", "AF_INET6, '::1'"] {
        scene.allows(&format!(
            "family, address = socket.{family}\n\
             a = socket.socket(family)\na.bind((address, 0))\na.listen()\n\
             b = socket.create_connection((address, a.getsockname()[1]))\n\
             seen = b.send(b'x') - len(a.accept()[0].recv(1))"
        ));
    }
    // The loopback inside is another one: nobody listens there.
    let attack = connects_to(server.local_addr().unwrap().port());
    scene.stops(&attack, ECONNREFUSED, &[(NetworkNamespace, ECONNREFUSED), (Seccomp, EPERM), (Landlock, EACCES)]);
    // And nothing else is there: what is not loopback has no way.
    let outside = "seen = attempt(lambda: socket.socket(socket.AF_INET).connect(('192.0.2.1', 80)))";
    assert_eq!(scene.seen(outside, &[]), ENETUNREACH);
}

/// An attack that connects to a port of this host.
fn connects_to(port: u16) -> String {
    format!("seen = attempt(lambda: socket.socket(socket.AF_INET).connect(('127.0.0.1', {port})))")
}

#[test]
fn datagrams_are_held_by_the_network_namespace_and_the_filter() {
    require_program!("python3");
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    // The second one meets the answer to the first: that nobody is there.
    let attack = format!(
        "s = None\ndef attack():\n    global s\n    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n    \
         s.connect(('127.0.0.1', {}))\n    s.send(b'x')\n    s.send(b'x')\nseen = attempt(attack)",
        server.local_addr().unwrap().port()
    );
    let datagrams = || std::iter::from_fn(|| server.recv(&mut [0u8; 8]).ok()).count();
    let closed = Scene { loopback: false, ..Scene::new() };
    closed.stops(&attack, EPERM, &[(NetworkNamespace, ENETUNREACH), (Seccomp, EPERM)]);
    assert_eq!(datagrams(), 2, "those of the attack without walls");
    Scene::new().stops(&attack, ECONNREFUSED, &[(NetworkNamespace, ECONNREFUSED), (Seccomp, EPERM)]);
    assert_eq!(datagrams(), 2, "those of the attack without walls");
}

#[test]
fn netlink_vsock_and_raw_sockets_are_refused_by_the_filter() {
    require_program!("python3");
    let scene = Scene::new();
    for (family, kind) in [
        ("AF_NETLINK", "SOCK_RAW"),
        ("AF_VSOCK", "SOCK_STREAM"),
        ("AF_ALG", "SOCK_SEQPACKET"),
        ("AF_INET", "SOCK_STREAM, 262"), // MPTCP
        ("AF_INET", "SOCK_STREAM, 132"), // SCTP
    ] {
        let attack = format!("seen = attempt(lambda: socket.socket(socket.{family}, socket.{kind}))");
        assert_eq!(scene.seen(&attack, &[]), EPERM, "{family}");
        // Where the host has no such sockets there is nothing to guard; the answer is the filter's all the same.
        let outside = seen_outside(&attack);
        assert_eq!(scene.seen(&attack, &[Seccomp]), outside, "{family}: as on the host");
        assert_ne!(outside, EPERM, "{family}");
    }
}

#[test]
fn an_abstract_socket_of_the_host_is_behind_the_network_namespace_and_landlock() {
    require_program!("python3");
    let name = format!("hotcell-test-{}", std::process::id());
    let _listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    let scene = Scene::new();
    scene.allows(
        "a = socket.socket(socket.AF_UNIX)\na.bind('\\0own')\na.listen()\n\
         seen = attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0own'))",
    );
    let attack = format!("seen = attempt(lambda: socket.socket(socket.AF_UNIX).connect('\\0{name}'))");
    scene.stops(&attack, ECONNREFUSED, &[(NetworkNamespace, ECONNREFUSED), (Landlock, EPERM)]);
}
