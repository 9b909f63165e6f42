//! Key texts and sealed files are refused, never a panic, and nothing altered opens as it was.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use hotcell_crypto::{PublicKey, SecretKey, SigningKey, VerifyingKey, age_seal, keyfile};
use hotcell_testkit::fuzz::Target;

#[test]
fn no_sealed_file_makes_opening_panic_and_what_opens_is_what_was_sealed() {
    let key = SecretKey::generate();
    let mut sealed = Vec::new();
    age_seal::seal(&[key.public()], &b"eleven bits"[..], &mut sealed).unwrap();
    Target::new(env!("CARGO_MANIFEST_DIR"), "age").with(sealed).run(1500, |bytes| {
        let mut opened = Vec::new();
        if age_seal::open(&key, bytes, &mut opened).is_ok() {
            assert_eq!(opened, b"eleven bits");
        }
    });
}

#[test]
fn no_key_text_and_no_key_file_makes_its_parser_panic() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    let (secret, signing) = (SecretKey::generate(), SigningKey::generate());
    let texts = [secret.public().to_string(), signing.verifying().to_string()];
    let mut target = Target::new(env!("CARGO_MANIFEST_DIR"), "key");
    for text in texts {
        target = target.with(text);
    }
    for (number, pair) in [keyfile::KeyPair::Encryption(secret), keyfile::KeyPair::Signing(signing)].iter().enumerate()
    {
        let path = folder.path().join(format!("pair-{number}"));
        keyfile::write_pair(&path, pair, hotcell_types::Timestamp(1)).unwrap();
        target = target.with(std::fs::read(path).unwrap());
    }
    target.run(1000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let _ = (text.parse::<PublicKey>(), text.parse::<VerifyingKey>());
        let _ = (SecretKey::from_text(&text), SigningKey::from_text(&text));
        std::fs::write(&path, bytes).unwrap();
        let _ = keyfile::read_secret(&path);
    });
}
