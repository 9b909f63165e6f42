//! Death at any moment and a full disk, with processes of their own.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hotcell_audit::{Durability, Events, Filter, Log, verify};
use hotcell_types::Explain;

use crate::support::{Key, Random, event, folder, open, origin};

const CHILD: &str = "crash::a_child_acknowledges_only_what_it_appended";

/// Run by itself it appends a little; as a child of the other tests, until it is killed or cannot.
#[test]
fn a_child_acknowledges_only_what_it_appended() {
    let given = std::env::var("AUDIT_CHILD_DIR").ok();
    let own = folder();
    let dir = given.as_deref().map_or(own.path(), Path::new);
    let key = Key(std::env::var("AUDIT_CHILD_KEY").unwrap_or_else(|_| Key::new().0));
    let first: u64 = std::env::var("AUDIT_CHILD_FIRST").map_or(0, |text| text.parse().unwrap());
    let log = Log::open(dir, key.signing(), origin()).unwrap();
    let count = if given.is_some() { 1_000_000 } else { 5 };
    for number in first..first + count {
        let filler = event(number).with("filler", "x".repeat((number % 3000) as usize));
        log.append(&[event(0)], Durability::Lazy).ok();
        match log.append(&[filler, event(0)], Durability::Durable) {
            Ok(at) => {
                println!("ack {number}");
                if number % 4 == 0 {
                    log.checkpoint(&at).unwrap();
                }
            }
            Err(error) => {
                println!("error {}", error.code());
                return;
            }
        }
    }
    assert_eq!(numbers(dir), (first..first + count).filter(|number| *number > 0).collect());
}

fn child(dir: &Path, key: &Key, first: u64, shell: &str) -> Child {
    Command::new("sh")
        .args(["-c", &format!("{shell} exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env("AUDIT_CHILD_DIR", dir)
        .env("AUDIT_CHILD_KEY", &key.0)
        .env("AUDIT_CHILD_FIRST", first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The distinct numbers above 0 in the log.
fn numbers(dir: &Path) -> BTreeSet<u64> {
    let events = Events::open(dir, Filter::default()).unwrap();
    // What tells that the clock went back has none.
    let numbers = events.filter_map(|entry| entry.unwrap().event.data.get("number")?.as_u64());
    numbers.filter(|number| *number > 0).collect()
}

#[test]
fn killed_at_any_moment_the_log_holds_every_acknowledged_event() {
    let (dir, key) = (folder(), Key::new());
    let seed = 9_2026;
    let mut random = Random(seed);
    let mut acknowledged = BTreeSet::new();
    for round in 0..15u64 {
        let mut pair = [0, 1].map(|which| child(dir.path(), &key, 1 + round * 20_000 + which * 10_000, ""));
        for child in &mut pair {
            let mut wanted = 1 + random.below(25);
            let mut output = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            // After the kill whatever the child still said counts too.
            while output.read_line(&mut line).unwrap() > 0 {
                if let Some(number) = line.trim_end().rsplit_once("ack ").and_then(|(_, text)| text.parse().ok()) {
                    acknowledged.insert(number);
                    wanted = wanted.saturating_sub(1);
                    if wanted == 0 {
                        child.kill().unwrap();
                    }
                }
                line.clear();
            }
            child.wait().unwrap();
        }
        let log = open(dir.path(), &key);
        let at = log.end().unwrap();
        log.checkpoint(&at).unwrap();
        let report = verify(dir.path(), &key.verifying()).unwrap();
        assert_eq!((report.torn_bytes, report.signed.size), (0, at.size()), "seed {seed}, round {round}");
        let lost: Vec<_> = acknowledged.difference(&numbers(dir.path())).copied().collect();
        assert!(lost.is_empty(), "seed {seed}, round {round}: lost {lost:?}");
    }
    assert!(acknowledged.len() >= 30, "{}", acknowledged.len());
}

#[test]
fn when_the_disk_is_full_appends_fail_and_the_log_stays_true() {
    let (dir, key) = (folder(), Key::new());
    // 256 blocks of 512 bytes; the signal is ignored, so that the write fails as on a full disk.
    let output = child(dir.path(), &key, 1, "trap '' XFSZ; ulimit -f 256;").wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("error AUD-001"), "{said}");
    let acknowledged: BTreeSet<u64> =
        said.lines().filter_map(|line| line.rsplit_once("ack ")?.1.parse().ok()).collect();
    assert!(acknowledged.len() > 10, "{said}");
    verify(dir.path(), &key.verifying()).unwrap();
    assert!(acknowledged.is_subset(&numbers(dir.path())));
    let log = open(dir.path(), &key);
    let at = log.append(&[event(5)], Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().entries, at.size());
}
