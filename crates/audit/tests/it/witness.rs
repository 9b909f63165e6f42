//! Witnesses: what another machine countersigns, and what it refuses.

use std::fs;

use hotcell_audit::receipt::{issue, renew, verify as verify_receipt, verify_witnessed};
use hotcell_audit::witness::{Request, Witness, WitnessError, anchor, countersignature, read_anchors};
use hotcell_audit::{Durability, Log, LogError, Origin, VerifyError, verify, verify_against};
use hotcell_types::{Exit, Explain, Timestamp};

use crate::receipt::body;
use crate::support::{Key, copy, event, folder, open, signed_log};

const NOW: Timestamp = Timestamp(1_700_000_000_999);

struct Place {
    dir: tempfile::TempDir,
    key: Key,
    witness_key: Key,
    memory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: folder(), key: Key::new(), witness_key: Key::new(), memory: folder() }
    }
    fn witness(&self) -> Witness {
        Witness::new(Origin::parse("witness.example/w1").unwrap(), self.witness_key.signing(), self.memory.path())
    }
    fn log(&self) -> Log {
        open(self.dir.path(), &self.key)
    }
    /// Appends, signs, and lets the witness countersign.
    fn grow(&self, from: u64, to: u64) -> hotcell_audit::Checkpoint {
        let log = self.log();
        let before = log.last_checkpoint().unwrap().head().size;
        let at = log.append(&(from..to).map(event).collect::<Vec<_>>(), Durability::Durable).unwrap();
        log.checkpoint(&at).unwrap();
        let request = Request::parse(&log.request(before).unwrap().text()).unwrap();
        self.witness().countersign(&request, &self.key.verifying(), NOW).unwrap()
    }
    fn refusal(&self, dir: &std::path::Path, old: u64) -> WitnessError {
        let request = open(dir, &self.key).request(old).unwrap();
        self.witness().countersign(&request, &self.key.verifying(), NOW).unwrap_err()
    }
}

#[test]
fn a_witness_countersigns_what_extends_the_last_that_it_saw() {
    let place = Place::new();
    for (from, to) in [(0, 1), (1, 300), (300, 301), (301, 900)] {
        let signed = place.grow(from, to);
        let seen = countersignature(&signed, &place.key.verifying(), &place.witness_key.verifying()).unwrap();
        assert_eq!((seen.witness.as_str(), seen.time), ("witness.example/w1", Timestamp(1_700_000_000_000)));
        assert_eq!((signed.head().size, signed.signatures()), (to, 2));
        // The same once more changes nothing.
        let again = place.log().request(to).unwrap();
        place.witness().countersign(&again, &place.key.verifying(), NOW).unwrap();
    }
}

#[test]
fn a_log_cut_back_to_an_earlier_valid_checkpoint_is_found_by_the_witness() {
    let place = Place::new();
    place.grow(0, 500);
    let earlier = folder();
    copy(place.dir.path(), earlier.path());
    let kept = place.grow(500, 600);
    // By itself the older copy verifies.
    verify(earlier.path(), &place.key.verifying()).unwrap();
    let error = place.refusal(earlier.path(), 500);
    assert!(matches!(error, WitnessError::WentBack { offered: 500, seen: 600, .. }), "{error}");
    assert_eq!((error.code(), error.exit()), ("AUD-402", Exit::Integrity));
    // Who kept what the witness signed finds it too.
    let error = verify_against(earlier.path(), &place.key.verifying(), &[kept]).unwrap_err();
    assert!(matches!(error, VerifyError::Log(LogError::Truncated { entries: 500, signed: 600 })), "{error}");
}

#[test]
fn a_log_that_was_rewritten_by_the_holder_of_its_key_is_found_by_the_witness() {
    let place = Place::new();
    let kept = place.grow(0, 500);
    let forked = folder();
    let log = open(forked.path(), &place.key);
    let at = log.append(&(1..=700).map(event).collect::<Vec<_>>(), Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    drop(log);
    verify(forked.path(), &place.key.verifying()).unwrap();
    let error = place.refusal(forked.path(), 500);
    assert_eq!((error.code(), error.exit()), ("AUD-403", Exit::Integrity), "{error}");
    let error = verify_against(forked.path(), &place.key.verifying(), &[kept]).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-302", Exit::Integrity), "{error}");
    // Of the same size too, without any proof.
    let same = folder();
    signed_log(same.path(), &place.key, 499);
    let log = open(same.path(), &place.key);
    let at = log.append(&[event(1_000)], Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    drop(log);
    assert_eq!(place.refusal(same.path(), 500).code(), "AUD-403");
}

#[test]
fn a_witness_signs_nothing_for_another_key_another_start_or_a_mutated_request() {
    let place = Place::new();
    place.grow(0, 300);
    let log = place.log();
    let at = log.append(&[event(1)], Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    let request = log.request(300).unwrap();
    let other = place.witness().countersign(&request, &Key::new().verifying(), NOW).unwrap_err();
    assert_eq!(other.code(), "AUD-114");
    let start = place.witness().countersign(&log.request(200).unwrap(), &place.key.verifying(), NOW).unwrap_err();
    assert_eq!((start.code(), start.exit()), ("AUD-404", Exit::No));
    assert!(start.remedy().contains("--since 300"));
    let first = Witness::new(place.witness().name().clone(), place.witness_key.signing(), folder().path());
    assert_eq!(first.countersign(&request, &place.key.verifying(), NOW).unwrap_err().code(), "AUD-404");
    let text = request.text();
    for place_of in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place_of] ^= 1;
        let accepted = String::from_utf8(bytes)
            .ok()
            .and_then(|text| Request::parse(&text).ok())
            .is_some_and(|request| place.witness().countersign(&request, &place.key.verifying(), NOW).is_ok());
        assert!(!accepted, "byte {place_of}");
    }
    place.witness().countersign(&request, &place.key.verifying(), NOW).unwrap();
}

#[test]
fn a_witness_whose_memory_is_damaged_signs_nothing() {
    let place = Place::new();
    place.grow(0, 5);
    let mut memory = fs::read_dir(place.memory.path()).unwrap().map(|entry| entry.unwrap().path());
    let memory = memory.find(|path| path.extension().is_some_and(|end| end == "checkpoint")).unwrap();
    fs::write(&memory, "").unwrap();
    assert_eq!(place.refusal(place.dir.path(), 5).exit(), Exit::Integrity);
}

#[test]
fn a_receipt_is_unwitnessed_until_it_is_renewed_for_a_countersigned_checkpoint() {
    let place = Place::new();
    let log = place.log();
    let receipt = issue(&log, &body(1), Timestamp(9), &[event(1)]).unwrap();
    let (owner, witness) = (place.key.verifying(), place.witness_key.verifying());
    let verified = verify_receipt(receipt.as_bytes(), Some(&owner)).unwrap();
    assert!(verified.witnessed.is_empty() && verified.countersigners.is_empty());
    let error = verify_witnessed(receipt.as_bytes(), Some(&owner), &[witness]).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-209", Exit::No));
    log.append(&[event(2)], Durability::Durable).unwrap();
    let request = log.request(0).unwrap();
    let signed = place.witness().countersign(&request, &owner, NOW).unwrap();
    let renewed = renew(receipt.as_bytes(), &log, &signed).unwrap();
    let verified = verify_witnessed(renewed.as_bytes(), Some(&owner), &[witness]).unwrap();
    assert_eq!(verified.witnessed[0].witness, "witness.example/w1");
    assert_eq!(verified.body, body(1));
    // A witness that nobody trusts counts for nothing; a countersignature moved to another checkpoint neither.
    let stranger = Key::new().verifying();
    assert_eq!(verify_witnessed(renewed.as_bytes(), Some(&owner), &[stranger]).unwrap_err().code(), "AUD-209");
    assert_eq!(verify_receipt(renewed.as_bytes(), Some(&owner)).unwrap().countersigners, ["witness.example/w1"]);
    let line = signed.text().lines().last().unwrap();
    let at = log.end().unwrap();
    let later = format!("{}{line}\n", log.checkpoint(&at).unwrap().text()).parse().unwrap();
    let moved = renew(receipt.as_bytes(), &log, &later).unwrap();
    assert_eq!(verify_witnessed(moved.as_bytes(), Some(&owner), &[witness]).unwrap_err().code(), "AUD-209");
}

#[test]
fn anchored_checkpoints_are_read_back_and_the_log_is_held_against_each() {
    let place = Place::new();
    let anchors = place.memory.path().join("anchors");
    for (from, to) in [(0, 10), (10, 300)] {
        anchor(&anchors, &place.grow(from, to)).unwrap();
        anchor(&anchors, &place.log().last_checkpoint().unwrap()).unwrap();
    }
    let kept = read_anchors(&anchors).unwrap();
    assert_eq!(kept.iter().map(|checkpoint| checkpoint.head().size).collect::<Vec<_>>(), [10, 10, 300, 300]);
    assert_eq!(verify_against(place.dir.path(), &place.key.verifying(), &kept).unwrap().kept, 300);
    let fresh = folder();
    signed_log(fresh.path(), &place.key, 299);
    assert!(verify_against(fresh.path(), &place.key.verifying(), &kept).is_err());
    fs::write(&anchors, "nonsense").unwrap();
    assert!(read_anchors(&anchors).is_err());
}
