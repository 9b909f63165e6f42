//! Packages and requests of the kernel are refused, never a panic; nothing altered opens as it was.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::io::{Cursor, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use hotcell_crypto::{SecretKey, SigningKey};
use hotcell_testkit::fuzz::Target;
use hotcell_vault::scratch::{Blocks, Cipher, Ended, Limits, Owner, Server, Time, Volume};
use hotcell_vault::{Package, SealSpec, Terms, seal_model};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

#[test]
fn no_package_makes_opening_panic_and_what_opens_is_what_was_sealed() {
    let (customer, vendor) = (SecretKey::generate(), SigningKey::generate());
    let spec = SealSpec {
        model_id: "m",
        version: 1,
        file_name: "m.onnx",
        file_bytes: 5,
        terms: Terms::default(),
        recipients: &[customer.public()],
        vendor: &vendor,
    };
    let mut package = Vec::new();
    seal_model(&b"model"[..], &mut package, &spec).unwrap();
    let mut opened_whole = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "package").with(package).run(5000, |bytes| {
        let mut from = Cursor::new(bytes);
        let Ok(header) = Package::read_header(&mut from) else { return };
        let Ok(unlocked) = Package::unlock(header, &customer, Some(&[vendor.verifying()])) else { return };
        let mut opened = Vec::new();
        if unlocked.open_body(&mut from, &mut opened, &mut |_| {}).is_ok() {
            assert_eq!(opened, b"model");
            opened_whole += 1;
        }
    });
    assert!(opened_whole > 0, "the package itself opens");
}

/// A volume behind a socket in place of the kernel's device.
struct Served {
    server: Server<'static>,
    kernel: OwnedFd,
    host: UnixStream,
    control: UnixStream,
}

const VOLUME: Limits = Limits { bytes: 256 << 10, inodes: 40 };

fn now() -> Time {
    Time { seconds: 1, nanoseconds: 0 }
}

impl Served {
    fn new() -> Self {
        let flags = SocketFlags::CLOEXEC;
        let (kernel, device) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        rustix::fs::fcntl_setfl(&kernel, rustix::fs::OFlags::NONBLOCK).unwrap();
        let (host, control) = UnixStream::pair().unwrap();
        let blocks = Blocks::new(Box::new(tempfile::tempfile().unwrap()), Cipher::with_new_key().unwrap());
        let volume = Volume::new(blocks, VOLUME, Owner { user: 65534, group: 65534 }, now());
        Self { server: Server::new(device, volume, &now).unwrap(), kernel, host, control }
    }

    /// Has it serve one request. Gives the answer, or what the server ended with.
    fn ask(&mut self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        rustix::io::write(&self.kernel, request)?;
        // Once nothing waits at the device, the host's word ends the loop.
        self.host.write_all(b"x")?;
        let ended = self.server.serve(self.control.as_fd());
        self.control.read_exact(&mut [0])?;
        assert_eq!(ended?, Ended::Told);
        let mut answer = vec![0; 2 << 20];
        let length = rustix::io::read(&self.kernel, &mut answer).unwrap_or(0);
        answer.truncate(length);
        Ok(answer)
    }
}

/// Cuts bytes into requests by the lengths that they state; a last one may state anything.
fn requests(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut requests = Vec::new();
    while let Some(length) = bytes.first_chunk().map(|length| u32::from_ne_bytes(*length) as usize) {
        let Some((request, rest)) = bytes.split_at_checked(length).filter(|_| length > 0) else { break };
        requests.push(request);
        bytes = rest;
    }
    if !bytes.is_empty() && bytes.len() < 64 << 10 {
        requests.push(bytes);
    }
    requests
}

#[test]
fn no_request_of_the_kernel_makes_the_server_panic_or_answer_wrongly_or_hold_more_than_it_may() {
    let mut answered = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "fuse").run(400, |bytes| {
        let mut served = Served::new();
        for request in requests(bytes).into_iter().take(64) {
            let answer = match served.ask(request) {
                Ok(answer) => answer,
                // Longer than a socket takes in one piece; a device does.
                Err(error) if error.raw_os_error() == Some(Errno::MSGSIZE.raw_os_error()) => break,
                // What is no request ends the server: the kernel sends none.
                Err(error) => {
                    let is_none = request.len() < 40 || request[..4] != (request.len() as u32).to_ne_bytes();
                    assert!(is_none, "{error}");
                    break;
                }
            };
            let usage = served.server.volume().usage();
            assert!(usage.blocks <= usage.blocks_limit && usage.inodes <= usage.inodes_limit, "{usage:?}");
            if answer.is_empty() {
                continue;
            }
            answered += 1;
            assert_eq!(answer[..4], (answer.len() as u32).to_ne_bytes(), "its own length");
            let error = i32::from_ne_bytes(answer[4..8].try_into().unwrap());
            assert!((-4095..=0).contains(&error), "{error}");
            assert!(error == 0 || answer.len() == 16, "an error carries nothing");
            assert_eq!(answer[8..16], request[8..16], "the request's own number");
        }
    });
    assert!(answered > 100, "most requests get an answer: {answered}");
}
