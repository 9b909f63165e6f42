use std::fs;
use std::path::Path;
use std::process::Command;

use hotcell_types::Timestamp;

use super::*;
use crate::keyfile::{KeyPair, write_pair};

fn sealed_to(key: &SecretKey, content: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::new();
    assert_eq!(seal(&[key.public()], content, &mut sealed).unwrap(), content.len() as u64);
    sealed
}

fn opened(key: &SecretKey, sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    let mut plain = Vec::new();
    open(key, sealed, &mut plain).map(|bytes| {
        assert_eq!(bytes, plain.len() as u64);
        plain
    })
}

#[test]
fn what_was_sealed_opens_for_each_recipient_at_every_size_around_a_piece() {
    let keys = [SecretKey::generate(), SecretKey::generate()];
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let content: Vec<u8> = (0..size).map(|place| (place % 251) as u8).collect();
        let mut sealed = Vec::new();
        seal(&[keys[0].public(), keys[1].public()], &content[..], &mut sealed).unwrap();
        for key in &keys {
            assert_eq!(opened(key, &sealed).unwrap(), content, "{size} bytes");
        }
    }
}

#[test]
fn nothing_is_sealed_to_nobody_or_to_a_crowd() {
    let mut sealed = Vec::new();
    assert!(matches!(seal(&[], &b"x"[..], &mut sealed), Err(SealError::NoRecipients)));
    let crowd = vec![SecretKey::generate().public(); MAX_RECIPIENTS + 1];
    let error = seal(&crowd, &b"x"[..], &mut sealed).unwrap_err();
    assert!(matches!(error, SealError::TooManyRecipients { found: 65 }), "{error}");
    assert!(sealed.is_empty());
}

#[test]
fn the_longest_list_of_recipients_still_opens() {
    let key = SecretKey::generate();
    let mut crowd = vec![SecretKey::generate().public(); MAX_RECIPIENTS];
    crowd[MAX_RECIPIENTS - 1] = key.public();
    let mut sealed = Vec::new();
    seal(&crowd, &b"x"[..], &mut sealed).unwrap();
    assert_eq!(opened(&key, &sealed).unwrap(), b"x");
}

#[test]
fn another_key_opens_nothing() {
    let sealed = sealed_to(&SecretKey::generate(), b"scores");
    let error = opened(&SecretKey::generate(), &sealed).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey), "{error}");
    assert_eq!((error.code(), error.exit().status()), ("CRY-044", 123));
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_sealed_file_is_an_integrity_error() {
    let key = SecretKey::generate();
    let sealed = sealed_to(&key, b"patient,score\n1,0.98\n");
    for bit in 0..sealed.len() * 8 {
        let mut flipped = sealed.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = opened(&key, &flipped).unwrap_err();
        assert_eq!(error.exit(), Exit::Integrity, "bit {bit}: {error}");
    }
    for length in 0..sealed.len() {
        let error = opened(&key, &sealed[..length]).unwrap_err();
        assert_eq!(error.exit(), Exit::Integrity, "cut at {length}: {error}");
    }
    let mut appended = sealed.clone();
    appended.push(0);
    assert!(matches!(opened(&key, &appended), Err(OpenError::Tampered)));
}

#[test]
fn pieces_cut_off_or_swapped_are_noticed_where_they_are_missing() {
    let key = SecretKey::generate();
    let content = vec![7; 3 * 65_536];
    let sealed = sealed_to(&key, &content);
    let piece = 65_536 + 16;
    let body = sealed.len() - 3 * piece;

    let mut plain = Vec::new();
    let error = open(&key, &sealed[..body + 2 * piece], &mut plain).unwrap_err();
    assert!(matches!(error, OpenError::Truncated), "{error}");
    assert_eq!(plain.len(), 2 * 65_536, "what was written until then is genuine");

    let mut swapped = sealed.clone();
    swapped[body..body + 2 * piece].rotate_left(piece);
    let mut plain = Vec::new();
    assert!(matches!(open(&key, &swapped[..], &mut plain), Err(OpenError::Tampered)));
    assert!(plain.is_empty(), "a piece in the wrong place is not written");
}

#[test]
fn a_header_that_does_not_end_is_refused_without_reading_on() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let intro = b"age-encryption.org/v1\n";
            for (place, byte) in buffer.iter_mut().enumerate() {
                let place = self.0 as usize + place;
                *byte = intro.get(place).copied().unwrap_or_else(|| b"-> a b\n\n"[(place - intro.len()) % 8]);
            }
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let mut endless = Endless(0);
    let error = open(&SecretKey::generate(), &mut endless, io::sink()).unwrap_err();
    assert!(matches!(error, OpenError::HeaderTooLong), "{error}");
    assert!(endless.0 <= MAX_HEADER_BYTES + READ_AHEAD_BYTES as u64, "{} bytes were read", endless.0);
}

#[test]
fn what_is_no_age_file_is_named_as_what_it_is() {
    let key = SecretKey::generate();
    for (content, code) in [
        (&b""[..], "CRY-047"),
        (b"PK\x03\x04", "CRY-040"),
        (b"age-encryption.org/v1\nnonsense\n", "CRY-040"),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\n", "CRY-040"),
        (b"age-encryption.org/v9\n-> X25519 a\nb\n--- c\n", "CRY-040"),
    ] {
        let error = opened(&key, content).unwrap_err();
        assert_eq!(error.code(), code, "{}: {error}", String::from_utf8_lossy(content));
    }
}

#[test]
fn a_failing_reader_or_writer_is_not_mistaken_for_tampering() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(ErrorKind::InvalidData, "disk error"))
        }
    }
    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::from(ErrorKind::StorageFull))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let key = SecretKey::generate();
    let sealed = sealed_to(&key, b"scores");
    let error = open(&key, sealed[..sealed.len() - 5].chain(Broken), io::sink()).unwrap_err();
    assert!(matches!(error, OpenError::Read { .. }), "{error}");
    assert!(matches!(open(&key, &sealed[..], Broken), Err(OpenError::Write { .. })));
    assert!(matches!(seal(&[key.public()], Broken, io::sink()), Err(SealError::Read { .. })));
    assert!(matches!(seal(&[key.public()], &b"x"[..], Broken), Err(SealError::Write { .. })));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with a key file of ours and a table of more than two pieces.
fn folder_with_key_and_table(key: SecretKey) -> (tempfile::TempDir, Vec<u8>) {
    let folder = tempfile::tempdir().unwrap();
    let table: Vec<u8> = (0..150_000u32).map(|place| (place * 7 % 256) as u8).collect();
    write_pair(&folder.path().join("key"), &KeyPair::Encryption(key), Timestamp(0)).unwrap();
    fs::write(folder.path().join("table"), &table).unwrap();
    (folder, table)
}

#[test]
fn the_public_age_tool_opens_what_we_seal_with_our_key_file() {
    hotcell_testkit::require_program!("age");
    let key = SecretKey::generate();
    let public = key.public();
    let (folder, table) = folder_with_key_and_table(key);
    let at = |name: &str| folder.path().join(name);
    seal(&[public], &table[..], fs::File::create(at("table.age")).unwrap()).unwrap();
    run(Command::new("age").args(["--decrypt", "--identity"]).args([
        at("key"),
        "-o".into(),
        at("plain"),
        at("table.age"),
    ]));
    assert!(fs::read(at("plain")).unwrap() == table, "age opened something else");
}

#[test]
fn we_open_what_the_public_age_tool_seals_to_our_recipient_file() {
    hotcell_testkit::require_program!("age");
    let key = SecretKey::generate();
    let secret = SecretKey::from_text(&key.expose_text()).unwrap();
    let (folder, table) = folder_with_key_and_table(key);
    let at = |name: &str| folder.path().join(name);
    run(Command::new("age").arg("--recipients-file").args([at("key.pub"), "-o".into(), at("table.age"), at("table")]));
    assert!(opened(&secret, &fs::read(at("table.age")).unwrap()).unwrap() == table, "we opened something else");
    assert!(Path::new(&at("key.pub")).exists());
}
