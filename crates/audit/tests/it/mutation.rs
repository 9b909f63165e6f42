//! Seeded mutation of everything that is parsed: nothing panics, nothing altered passes.

use std::fs;

use hotcell_audit::receipt::{issue, verify as verify_receipt};
use hotcell_audit::{Checkpoint, Log, verify};
use hotcell_types::Timestamp;

use crate::receipt::body;
use crate::support::{Key, Random, copy, folder, open, origin, signed_log};

/// How often each parser is tried; a whole log, on disk, less often.
const TIMES: usize = 3000;
const TIMES_ON_DISK: usize = 150;
const SEED: u64 = 6962;

#[test]
fn a_mutated_checkpoint_never_verifies_for_other_text() {
    let (dir, key) = (folder(), Key::new());
    signed_log(dir.path(), &key, 5);
    let note = fs::read(dir.path().join("checkpoint")).unwrap();
    let text = std::str::from_utf8(&note).unwrap();
    let head = text.parse::<Checkpoint>().unwrap().head().clone();
    let mut random = Random(SEED);
    for _ in 0..TIMES {
        let altered = random.mutate(&note);
        let Ok(parsed) = String::from_utf8_lossy(&altered).parse::<Checkpoint>() else { continue };
        if parsed.verify(&key.verifying()).is_ok() {
            assert_eq!(parsed.head(), &head, "seed {SEED}: {altered:?}");
        }
    }
}

#[test]
fn a_mutated_receipt_never_verifies() {
    let (dir, key) = (folder(), Key::new());
    let receipt = issue(&open(dir.path(), &key), &body(2), Timestamp(3), &[]).unwrap();
    let mut random = Random(SEED);
    for _ in 0..TIMES {
        let altered = random.mutate(receipt.as_bytes());
        if altered != receipt.as_bytes() {
            assert!(verify_receipt(&altered, Some(&key.verifying())).is_err(), "seed {SEED}");
        }
    }
}

#[test]
fn a_log_with_a_mutated_file_never_gives_other_signed_entries() {
    let (dir, key) = (folder(), Key::new());
    signed_log(dir.path(), &key, 260);
    let before = verify(dir.path(), &key.verifying()).unwrap();
    let mut random = Random(SEED);
    for _ in 0..TIMES_ON_DISK {
        let altered = folder();
        copy(dir.path(), altered.path());
        let name = ["journal", "head", "checkpoint", "tile/0/000"][random.below(4) as usize];
        let bytes = random.mutate(&fs::read(dir.path().join(name)).unwrap());
        fs::write(altered.path().join(name), bytes).unwrap();
        let seen = verify(altered.path(), &key.verifying());
        if let Ok(report) = &seen {
            assert_eq!(report.signed, before.signed, "seed {SEED}: {name}");
        }
        // Opening may mend what follows from the journal; what it opens must then hold the signed entries.
        if let Ok(log) = Log::open(altered.path(), key.signing(), origin()) {
            assert!(log.end().unwrap().size() >= before.signed.size, "seed {SEED}: {name}");
        }
    }
}
