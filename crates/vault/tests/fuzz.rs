//! A package is refused, never a panic, and nothing altered opens as it was.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::io::Cursor;

use hotcell_crypto::{SecretKey, SigningKey};
use hotcell_testkit::fuzz::Target;
use hotcell_vault::{Package, SealSpec, Terms, seal_model};

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
