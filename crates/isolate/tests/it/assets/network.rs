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
    let scene = Scene::new();
    scene.allows("a, b = socket.socketpair()\nseen = a.send(b'x')");
    let attack = format!(
        "seen = attempt(lambda: socket.socket(socket.AF_INET).connect(('127.0.0.1', {})))",
        server.local_addr().unwrap().port()
    );
    scene.stops(&attack, EPERM, &[(NetworkNamespace, ENETUNREACH), (Seccomp, EPERM), (Landlock, EACCES)]);
}

#[test]
fn datagrams_are_held_by_the_network_namespace_and_the_filter() {
    require_program!("python3");
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_nonblocking(true).unwrap();
    let attack = format!(
        "seen = attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', {})))",
        server.local_addr().unwrap().port()
    );
    Scene::new().stops(&attack, EPERM, &[(NetworkNamespace, ENETUNREACH), (Seccomp, EPERM)]);
    assert_eq!(server.recv(&mut [0u8; 8]).unwrap(), 1, "one datagram, of the attack without walls");
    assert!(server.recv(&mut [0u8; 8]).is_err());
}

#[test]
fn netlink_vsock_and_raw_sockets_are_refused_by_the_filter() {
    require_program!("python3");
    let scene = Scene::new();
    for (family, kind) in [("AF_NETLINK", "SOCK_RAW"), ("AF_VSOCK", "SOCK_STREAM"), ("AF_ALG", "SOCK_SEQPACKET")] {
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
