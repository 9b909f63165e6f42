//! Subscribers: every event at least once, to files, syslog and a real NATS server, and none lost while one is down.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hotcell_audit::export::{Cursor, ExportError, Format, Target, follow, hand_on};
use hotcell_audit::{Durability, Filter};
use hotcell_types::Explain;
use serde_json::Value;

use crate::support::{Key, event, folder, open};

/// A log to which the tests append.
struct Place {
    dir: tempfile::TempDir,
    log: hotcell_audit::Log,
}

impl Place {
    fn new(count: u64) -> Self {
        let dir = folder();
        let log = open(dir.path(), &Key::new());
        let place = Self { dir, log };
        place.grow(0, count);
        place
    }
    fn grow(&self, from: u64, to: u64) {
        self.log.append(&(from..to).map(event).collect::<Vec<_>>(), Durability::Lazy).unwrap();
    }
    fn hand_on(&self, target: &str, name: &str) -> Result<u64, ExportError> {
        let mut cursor = Cursor::open(self.dir.path(), name)?;
        hand_on(self.dir.path(), &Filter::default(), Format::JsonLines, &target.parse()?, &mut cursor)
    }
}

fn indices(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["index"].as_u64().unwrap()).collect()
}

#[test]
fn a_subscriber_gets_each_event_once_while_all_is_well_and_goes_on_where_it_was() {
    let place = Place::new(700);
    let file = place.dir.path().join("events.jsonl");
    let target = file.to_str().unwrap();
    assert_eq!(place.hand_on(target, "siem").unwrap(), 700);
    assert_eq!(place.hand_on(target, "siem").unwrap(), 0);
    place.grow(700, 1000);
    assert_eq!(place.hand_on(target, "siem").unwrap(), 300);
    assert_eq!(indices(&fs::read_to_string(&file).unwrap()), (0..1000).collect::<Vec<_>>());
    // Another subscriber has its own place.
    assert_eq!(place.hand_on("/dev/null", "other").unwrap(), 1000);
}

#[test]
fn a_filter_decides_what_is_handed_on_and_not_how_far_the_cursor_goes() {
    let place = Place::new(100);
    let file = place.dir.path().join("events.jsonl");
    let filter = Filter { task: event(3).task, ..Filter::default() };
    let target: Target = file.to_str().unwrap().parse().unwrap();
    let mut cursor = Cursor::open(place.dir.path(), "one-task").unwrap();
    let count = hand_on(place.dir.path(), &filter, Format::Ocsf, &target, &mut cursor).unwrap();
    assert_eq!((count, cursor.next()), (14, 100));
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.lines().all(|line| line.contains("\"class_uid\":6003")));
}

#[test]
fn two_do_not_hand_on_for_one_subscriber_and_a_bad_cursor_is_refused() {
    let place = Place::new(1);
    let held = Cursor::open(place.dir.path(), "siem").unwrap();
    assert_eq!(place.hand_on("/dev/null", "siem").unwrap_err().code(), "AUD-604");
    drop(held);
    for name in ["", "../x", "a b", &"x".repeat(65)] {
        assert_eq!(Cursor::open(place.dir.path(), name).unwrap_err().code(), "AUD-603", "{name}");
    }
    fs::write(place.dir.path().join("cursors/siem"), "many 5\n").unwrap();
    assert_eq!(place.hand_on("/dev/null", "siem").unwrap_err().code(), "AUD-605");
    fs::write(place.dir.path().join("cursors/siem"), "5000 500000\n").unwrap();
    assert_eq!(place.hand_on("/dev/null", "siem").unwrap_err().code(), "AUD-009");
}

#[test]
fn who_follows_gets_each_event_as_it_is_written_and_what_was_written_while_the_target_was_away() {
    let place = Place::new(300);
    let path = place.dir.path().join("away.sock");
    let target: Target = format!("syslog:unix:{}", path.display()).parse().unwrap();
    let (bound, receiver) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| {
            let mut cursor = Cursor::open(place.dir.path(), "siem").unwrap();
            let mut asked = 0;
            // The target is not there at first, then comes; when it is gone again, that is the end.
            let mut wait = |error: &ExportError, times: u32| {
                assert_eq!((error.code(), times), ("AUD-602", 1));
                asked += 1;
                if asked == 1 {
                    place.grow(300, 350);
                    bound.send(UnixDatagram::bind(&path).unwrap()).unwrap();
                }
                asked == 1
            };
            follow(place.dir.path(), &Filter::default(), Format::JsonLines, &target, &mut cursor, &mut wait)
        });
        let socket = receiver.recv().unwrap();
        let mut buffer = [0; 4096];
        let mut expect = |numbers: std::ops::Range<u64>| {
            for number in numbers {
                let length = socket.recv(&mut buffer).unwrap();
                let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
                assert_eq!(indices(&message[message.find('{').unwrap()..]), [number]);
            }
        };
        expect(0..350);
        place.grow(350, 351);
        expect(350..351);
        place.grow(351, 400);
        expect(351..400);
        drop(socket);
        fs::remove_file(&path).unwrap();
        place.grow(400, 401);
        let error = follower.join().unwrap().map(|never| match never {}).unwrap_err();
        assert_eq!(error.code(), "AUD-602");
    });
    // At least once: the last of them was not taken, and comes again.
    let file = place.dir.path().join("rest");
    place.hand_on(file.to_str().unwrap(), "siem").unwrap();
    assert_eq!(indices(&fs::read_to_string(file).unwrap()).last(), Some(&400));
}

#[test]
fn syslog_messages_are_those_of_rfc_5424_by_datagram_and_stream() {
    let place = Place::new(3);
    let path = place.dir.path().join("log.sock");
    let datagrams = UnixDatagram::bind(&path).unwrap();
    place.hand_on(&format!("syslog:unix:{}", path.display()), "unix").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    place.hand_on(&format!("syslog:udp:{}", udp.local_addr().unwrap()), "udp").unwrap();
    let mut buffer = [0; 4096];
    for number in 0..3 {
        for length in [datagrams.recv(&mut buffer).unwrap(), udp.recv(&mut buffer).unwrap()] {
            let message = String::from_utf8(buffer[..length].to_vec()).unwrap();
            assert_message(&message, number);
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    place.hand_on(&format!("syslog:tcp:{address}"), "tcp").unwrap();
    let mut rest = reader.join().unwrap();
    for number in 0..3 {
        let (length, after) = rest.split_once(' ').unwrap();
        let (message, after) = after.split_at(length.parse().unwrap());
        assert_message(message, number);
        rest = after.to_owned();
    }
    assert!(rest.is_empty());
}

fn assert_message(message: &str, number: u64) {
    // Facility 13 (log audit), severity 6 (informational).
    let rest = message.strip_prefix("<110>1 1970-01-01T00:00:00.00").unwrap_or_else(|| panic!("{message}"));
    let (head, json) = rest.split_at(rest.find('{').unwrap());
    assert_eq!(head, format!("{number}Z - hotcell - task-submitted - "));
    assert_eq!(serde_json::from_str::<Value>(json).unwrap()["index"], number);
}

/// A real server on a port of its own, ended with the test.
struct Server(Child, u16);

impl Server {
    fn start(dir: &Path) -> Option<Self> {
        let mut command = Command::new("nats-server");
        command.args(["-a", "127.0.0.1", "-p", "-1", "--ports_file_dir"]).arg(dir);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        // It says so when it is ready, and what port it has.
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut found = 0;
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some((_, address)) = line.split_once("Listening for client connections on ") {
                found = address.trim().rsplit_once(':').unwrap().1.parse().unwrap();
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self(child, found))
    }

    /// A subscription that is known to the server when this returns.
    fn subscribe(&self, subject: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.1)).unwrap();
        write!(stream, "CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        let mut line = String::new();
        while line.trim_end() != "PONG" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0);
        }
        reader
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// So many payloads of a subscription.
fn messages(reader: &mut BufReader<TcpStream>, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0);
        if line.starts_with("MSG ") {
            let mut payload = String::new();
            reader.read_line(&mut payload).unwrap();
            found.push(payload.trim_end().to_owned());
        }
    }
    found
}

#[test]
fn a_nats_server_that_was_down_loses_nothing() {
    let place = Place::new(600);
    let dir = folder();
    if Command::new("nats-server").arg("--version").stdout(Stdio::null()).status().is_err() {
        hotcell_testkit::skip!("nats-server is not installed");
    }
    let hand_on = |server: &Server| place.hand_on(&format!("nats://127.0.0.1:{}/hotcell.audit", server.1), "siem");
    let server = Server::start(dir.path()).unwrap();
    let mut subscription = server.subscribe("hotcell.audit");
    assert_eq!(hand_on(&server).unwrap(), 600);
    let got = messages(&mut subscription, 600);
    assert_eq!(indices(&got.join("\n")), (0..600).collect::<Vec<_>>());
    drop(subscription);
    drop(server);
    place.grow(600, 1300);
    // Nothing listens on port 1.
    assert_eq!(place.hand_on("nats://127.0.0.1:1/hotcell.audit", "siem").unwrap_err().code(), "AUD-602");
    assert_eq!(Cursor::open(place.dir.path(), "siem").unwrap().next(), 600);
    // It chooses another port each time, so that no other test's is taken.
    let server = Server::start(dir.path()).unwrap();
    let mut subscription = server.subscribe("hotcell.audit");
    assert_eq!(hand_on(&server).unwrap(), 700);
    let got = messages(&mut subscription, 700);
    assert_eq!(indices(&got.join("\n")), (600..1300).collect::<Vec<_>>());
}

#[test]
fn a_sink_that_fails_in_the_middle_gets_its_batch_again() {
    let place = Place::new(1000);
    // A server that hangs up after some bytes, and then one that takes all.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("syslog:tcp:{}", listener.local_addr().unwrap());
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    let reader = std::thread::spawn(move || {
        let mut taken = String::new();
        let (first, _) = listener.accept().unwrap();
        first.take(40_000).read_to_string(&mut taken).unwrap();
        let mut all = String::new();
        listener.accept().unwrap().0.read_to_string(&mut all).unwrap();
        (taken, all)
    });
    let first = place.hand_on(&target, "siem");
    let reached = Cursor::open(place.dir.path(), "siem").unwrap().next();
    if first.is_ok() {
        // The kernel's buffers took everything before the hang-up was known: the stream has no acknowledgement.
        assert_eq!(reached, 1000);
        drop(TcpStream::connect(target.strip_prefix("syslog:tcp:").unwrap()).unwrap());
        reader.join().unwrap();
        return;
    }
    place.hand_on(&target, "siem").unwrap();
    let (_, all) = reader.join().unwrap();
    for part in all.split("\"index\":").skip(1) {
        let number: String = part.chars().take_while(char::is_ascii_digit).collect();
        *counts.entry(number.parse().unwrap()).or_default() += 1;
    }
    assert_eq!(counts.keys().copied().collect::<Vec<_>>(), (reached..1000).collect::<Vec<_>>());
    assert!(reached < 1000 && reached.is_multiple_of(256));
}
