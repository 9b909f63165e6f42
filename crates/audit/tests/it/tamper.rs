//! What an operator could do to the log afterwards, and how it is found.

use std::fs;
use std::path::Path;

use hotcell_audit::merkle::leaf_hash;
use hotcell_audit::{Durability, Log, LogError, verify};
use hotcell_types::{Exit, Explain};

use crate::support::{Key, copy, event, folder, open, origin, signed_log};

fn lines(dir: &Path) -> Vec<String> {
    fs::read_to_string(dir.join("journal")).unwrap().lines().map(str::to_owned).collect()
}

fn write(dir: &Path, lines: &[String]) {
    fs::write(dir.join("journal"), lines.join("\n") + "\n").unwrap();
}

/// The line of an entry, with the check that fits it.
fn line(entry: &str) -> String {
    format!("{} {entry}", &leaf_hash(entry.as_bytes()).hex()[..16])
}

/// Line 0 is the header, so entry `n` is line `n + 1`.
type Alter = fn(&Path);

const CASES: &[(&str, Alter, &str)] = &[
    (
        "a byte edited",
        |dir| {
            let mut all = lines(dir);
            all[101] = all[101].replace("\"number\":100", "\"number\":109");
            write(dir, &all);
        },
        "entry 100 at byte",
    ),
    (
        "an entry edited with its check made to fit",
        |dir| {
            let mut all = lines(dir);
            all[101] = line(&all[101][17..].replace("\"number\":100", "\"number\":109"));
            write(dir, &all);
        },
        "entry 100 at byte",
    ),
    (
        "an entry of the unfinished tile edited so",
        |dir| {
            let mut all = lines(dir);
            all[591] = line(&all[591][17..].replace("\"number\":590", "\"number\":599"));
            write(dir, &all);
        },
        "entry 590 at byte",
    ),
    (
        "two entries exchanged",
        |dir| {
            let mut all = lines(dir);
            all.swap(31, 41);
            write(dir, &all);
        },
        "entry 30 at byte",
    ),
    (
        "an entry removed",
        |dir| {
            let mut all = lines(dir);
            all.remove(301);
            write(dir, &all);
        },
        "entry 300 at byte",
    ),
    (
        "an entry doubled",
        |dir| {
            let mut all = lines(dir);
            all.insert(301, all[300].clone());
            write(dir, &all);
        },
        "entry 300 at byte",
    ),
    (
        "something that is no event",
        |dir| {
            let mut all = lines(dir);
            all[6] = line("{}");
            write(dir, &all);
        },
        "entry 5 at byte",
    ),
    (
        "an entry set back in time, signed by the holder of the key",
        |dir| {
            let mut all = lines(dir);
            all[599] = line(&all[599][17..].replace("\"time\":598", "\"time\":1800000"));
            write(dir, &all);
        },
        "entry 598 at byte",
    ),
    (
        "cut below the checkpoint",
        |dir| write(dir, &lines(dir)[..500]),
        "the log has 499 entries, but its checkpoint was signed for 600",
    ),
    (
        "cut in the middle of a signed entry",
        |dir| {
            let bytes = fs::read(dir.join("journal")).unwrap();
            fs::write(dir.join("journal"), &bytes[..bytes.len() - 5]).unwrap();
        },
        "entry 599 at byte",
    ),
    (
        "edited, and every record of the hashes removed",
        |dir| {
            let mut all = lines(dir);
            all[101] = line(&all[101][17..].replace("\"number\":100", "\"number\":109"));
            write(dir, &all);
            fs::remove_dir_all(dir.join("tile")).unwrap();
            fs::remove_file(dir.join("head")).unwrap();
        },
        "the first 600 entries do not give the root hash",
    ),
    (
        "a tile edited",
        |dir| {
            let mut tile = fs::read(dir.join("tile/0/001")).unwrap();
            tile[77] ^= 1;
            fs::write(dir.join("tile/0/001"), tile).unwrap();
        },
        "tile `tile/0/001` does not fit",
    ),
    ("the checkpoint removed", |dir| fs::remove_file(dir.join("checkpoint")).unwrap(), "the log has no checkpoint"),
    ("the checkpoint emptied", |dir| fs::write(dir.join("checkpoint"), "").unwrap(), "the log has no checkpoint"),
    (
        "the checkpoint set back",
        |dir| {
            let note = fs::read_to_string(dir.join("checkpoint")).unwrap();
            fs::write(dir.join("checkpoint"), note.replace("\n600\n", "\n599\n")).unwrap();
        },
        "the signature of the checkpoint is wrong",
    ),
];

#[test]
fn each_alteration_is_found_and_named() {
    let (dir, key) = (folder(), Key::new());
    signed_log(dir.path(), &key, 600);
    assert_eq!(verify(dir.path(), &key.verifying()).unwrap().entries, 600);
    for (name, alter, want) in CASES {
        let altered = folder();
        copy(dir.path(), altered.path());
        alter(altered.path());
        let error = verify(altered.path(), &key.verifying()).unwrap_err();
        assert!(error.to_string().starts_with(want), "{name}: {error}");
        assert_eq!(error.exit(), Exit::Integrity, "{name}");
        assert!(!error.remedy().is_empty(), "{name}");
    }
}

#[test]
fn another_key_does_not_verify() {
    let (dir, key) = (folder(), Key::new());
    signed_log(dir.path(), &key, 3);
    let error = verify(dir.path(), &Key::new().verifying()).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("AUD-114", Exit::Integrity));
}

#[test]
fn a_log_cut_below_its_checkpoint_is_not_opened_nor_begun_anew() {
    let key = Key::new();
    for keep in [0, 1, 2, 300, 600] {
        for lose_head in [false, true] {
            let dir = folder();
            signed_log(dir.path(), &key, 600);
            match keep {
                0 => fs::write(dir.path().join("journal"), "").unwrap(),
                _ => write(dir.path(), &lines(dir.path())[..keep]),
            }
            if lose_head {
                fs::remove_file(dir.path().join("head")).unwrap();
            }
            let error = Log::open(dir.path(), key.signing(), origin()).err().unwrap();
            assert!(matches!(error, LogError::Truncated { signed: 600, .. }), "{keep} lines: {error}");
        }
    }
}

#[test]
fn a_rewritten_history_is_never_signed() {
    let (dir, key) = (folder(), Key::new());
    signed_log(dir.path(), &key, 10);
    let note = fs::read(dir.path().join("checkpoint")).unwrap();
    // Another history of the same length under the old checkpoint.
    let other = folder();
    let log = open(other.path(), &key);
    log.append(&(100..112).map(event).collect::<Vec<_>>(), Durability::Durable).unwrap();
    drop(log);
    fs::write(other.path().join("checkpoint"), &note).unwrap();
    let log = open(other.path(), &key);
    let at = log.append(&[event(5)], Durability::Durable).unwrap();
    assert!(matches!(log.checkpoint(&at), Err(LogError::Forked { size: 10 })));
    assert_eq!(fs::read(other.path().join("checkpoint")).unwrap(), note);
    drop(log);
    // Without the head file the whole journal is read, and it is found on opening.
    fs::remove_file(other.path().join("head")).unwrap();
    assert!(matches!(Log::open(other.path(), key.signing(), origin()), Err(LogError::Forked { size: 10 })));
}
