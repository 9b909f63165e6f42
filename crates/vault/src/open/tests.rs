use std::io;

use hotcell_crypto::{PublicKey, SigningKey};
use hotcell_types::{Exit, Explain, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::seal::{SealReport, SealSpec, seal_in_chunks, seal_model};
use crate::terms::Runners;

const SMALL_CHUNK: usize = 4096;
const SEALED_CHUNK: usize = SMALL_CHUNK + TAG_BYTES;
const TRAILER: usize = 64;

/// A vendor, a customer, and packages between them.
struct World {
    vendor: SigningKey,
    customer: SecretKey,
}

impl World {
    fn new() -> Self {
        Self { vendor: SigningKey::generate(), customer: SecretKey::generate() }
    }

    fn seal_to(&self, recipients: &[PublicKey], model: &[u8], terms: Terms) -> (Vec<u8>, SealReport) {
        let spec = SealSpec {
            model_id: "biopsy/gbt",
            version: 3,
            file_name: "model.onnx",
            file_bytes: model.len() as u64,
            terms,
            recipients,
            vendor: &self.vendor,
        };
        let mut package = Vec::new();
        let report = seal_in_chunks(model, &mut package, &spec, SMALL_CHUNK as u32).unwrap();
        assert_eq!(report.bytes, package.len() as u64);
        (package, report)
    }

    fn seal(&self, model: &[u8]) -> Vec<u8> {
        self.seal_to(&[self.customer.public()], model, Terms::default()).0
    }

    fn open(&self, package: &[u8]) -> Result<Vec<u8>, PackageError> {
        open_with(&self.customer, package).1
    }
}

/// What was written, and how it ended.
fn open_with(key: &SecretKey, mut package: &[u8]) -> (Vec<u8>, Result<Vec<u8>, PackageError>) {
    let mut model = Vec::new();
    let result = Package::read_header(&mut package)
        .and_then(|header| Package::unlock(header, key, None))
        .and_then(|unlocked| unlocked.open_body(&mut package, &mut model, &mut |_| ()));
    let result = result.map(|_| model.clone());
    (model, result)
}

fn model(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place * 7 + place / 251) as u8).collect()
}

/// Where the chunks of a package begin.
fn body_start(package: &[u8]) -> usize {
    let json = u32::from_be_bytes(package[12..16].try_into().unwrap()) as usize;
    16 + json + 64 + 32 + 32
}

#[test]
fn a_package_opens_as_sealed_at_every_size_around_a_chunk() {
    let world = World::new();
    for bytes in [0, 1, 4095, 4096, 4097, 8192, 20_000] {
        let model = model(bytes);
        let package = world.seal(&model);
        assert!(Package::is_package(&package));
        let chunks = bytes.div_ceil(SMALL_CHUNK).max(1);
        assert_eq!(package.len(), body_start(&package) + bytes + chunks * TAG_BYTES + TRAILER, "{bytes}");
        assert_eq!(world.open(&package).unwrap(), model, "{bytes}");
    }
}

#[test]
fn an_unlocked_package_says_what_it_is_and_opening_reports_progress() {
    let world = World::new();
    let other = SecretKey::generate();
    let terms = Terms { expires: Some(Timestamp(5)), ..Terms::default() };
    let (package, sealed) = world.seal_to(&[other.public(), world.customer.public()], &model(9000), terms.clone());
    for key in [&other, &world.customer] {
        let mut from = &package[..];
        let header = Package::read_header(&mut from).unwrap();
        let unlocked = Package::unlock(header, key, Some(&[world.vendor.verifying()])).unwrap();
        assert_eq!((unlocked.model_id(), unlocked.version()), ("biopsy/gbt", 3));
        assert_eq!((unlocked.file_name(), unlocked.file_bytes()), ("model.onnx", 9000));
        assert_eq!((unlocked.signer(), unlocked.terms()), (world.vendor.verifying(), &terms));
        let mut seen = Vec::new();
        let report = unlocked.open_body(from, io::sink(), &mut |bytes| seen.push(bytes)).unwrap();
        assert_eq!(report, OpenReport { digest: sealed.digest, bytes: 9000 });
        assert_eq!(seen, [4096, 8192, 9000]);
    }
}

#[test]
fn every_flipped_bit_of_a_small_package_is_an_integrity_error_and_nothing_wrong_is_written() {
    let world = World::new();
    let model = model(100);
    let package = world.seal(&model);
    for bit in 0..package.len() * 8 {
        let mut flipped = package.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (written, result) = open_with(&world.customer, &flipped);
        let error = result.expect_err(&format!("bit {bit} went unnoticed"));
        assert_eq!(error.exit(), Exit::Integrity, "bit {bit}: {error}");
        // Only the trailer comes after the one chunk, which was then genuine.
        assert!(written.is_empty() || (written == model && bit / 8 >= package.len() - TRAILER), "bit {bit}");
    }
}

#[test]
fn each_part_of_a_package_names_its_own_damage() {
    let world = World::new();
    let package = world.seal(&model(10_000));
    let body = body_start(&package);
    let text = |needle: &str| package.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
    for (name, place, code) in [
        ("magic", 0, "VLT-001"),
        ("version", 9, "VLT-002"),
        ("suite", 11, "VLT-003"),
        ("length", 12, "VLT-004"),
        ("brace", 16, "VLT-005"),
        ("model id", text("biopsy"), "VLT-008"),
        ("header signature", body - 128, "VLT-008"),
        ("header MAC", body - 64, "VLT-011"),
        ("binding", body - 1, "VLT-012"),
        ("first chunk", body, "VLT-013"),
        ("a tag", body + SEALED_CHUNK - 1, "VLT-013"),
        ("last chunk", package.len() - TRAILER - TAG_BYTES - 1, "VLT-013"),
        ("trailer", package.len() - 1, "VLT-015"),
    ] {
        let mut flipped = package.clone();
        flipped[place] ^= 0x01;
        let error = world.open(&flipped).unwrap_err();
        assert_eq!((error.code(), error.exit().status()), (code, 123), "{name}: {error}");
        assert!(!error.remedy().is_empty());
    }
}

#[test]
fn a_package_cut_at_any_length_is_named_as_cut_off() {
    let world = World::new();
    let package = world.seal(&model(5000));
    for length in 0..package.len() {
        let error = world.open(&package[..length]).unwrap_err();
        assert!(matches!(error, PackageError::Truncated { .. }), "{length}: {error}");
        assert_eq!(error.code(), "VLT-007");
    }
}

#[test]
fn anything_after_the_end_is_refused() {
    let world = World::new();
    for more in [&b"\0"[..], &world.seal(b"x")] {
        let package = [&world.seal(&model(5000))[..], more].concat();
        assert!(matches!(world.open(&package), Err(PackageError::TrailingBytes)));
    }
}

#[test]
fn chunks_swapped_repeated_or_left_out_are_named_by_their_place() {
    let world = World::new();
    let model = model(5 * SMALL_CHUNK);
    let package = world.seal(&model);
    let body = body_start(&package);
    let chunk = |index: usize| &package[body + index * SEALED_CHUNK..][..SEALED_CHUNK];
    let with_order = |order: &[usize]| {
        let chunks: Vec<&[u8]> = order.iter().map(|index| chunk(*index)).collect();
        [&package[..body], &chunks.concat(), &package[package.len() - TRAILER..]].concat()
    };
    assert_eq!(world.open(&with_order(&[0, 1, 2, 3, 4])).unwrap(), model);
    for (order, at, is) in [
        (&[1, 0, 2, 3, 4][..], 0, 1),
        (&[0, 1, 3, 2, 4], 2, 3),
        (&[0, 1, 2, 4, 3], 3, 4),
        (&[0, 0, 1, 2, 3, 4], 1, 0),
        (&[0, 2, 3, 4], 1, 2),
        (&[4], 0, 4),
    ] {
        let (written, result) = open_with(&world.customer, &with_order(order));
        let error = result.unwrap_err();
        assert!(
            matches!(error, PackageError::ChunkMisplaced { index, found, chunks: 5 } if (index, found) == (at, is)),
            "{order:?}: {error}"
        );
        assert_eq!(written, model[..at as usize * SMALL_CHUNK], "{order:?}: only what was in place is written");
    }
}

#[test]
fn the_header_of_one_package_does_not_open_the_body_of_another() {
    let world = World::new();
    let (first, second) = (world.seal(&model(5000)), world.seal(&model(5000)));
    let (start, other) = (body_start(&first), body_start(&second));
    let mixed = [&first[..start - 32], &second[other - 32..]].concat();
    assert!(matches!(world.open(&mixed), Err(PackageError::ForeignBody)));
    // With the binding forged to fit, the key still does not.
    let forged = [&first[..start], &second[other..]].concat();
    assert!(matches!(world.open(&forged), Err(PackageError::ChunkTampered { index: 0, chunks: 2 })));
}

#[test]
fn another_key_and_another_vendor_are_refused() {
    let world = World::new();
    let package = world.seal(b"model");
    let error = open_with(&SecretKey::generate(), &package).1.unwrap_err();
    assert_eq!((error.code(), error.exit().status()), ("VLT-010", 123), "{error}");

    let others = [SigningKey::generate().verifying()];
    for trusted in [&others[..], &[]] {
        let header = Package::read_header(&package[..]).unwrap();
        let error = Package::unlock(header, &world.customer, Some(trusted)).unwrap_err();
        assert!(matches!(error, PackageError::UntrustedVendor { vendor } if vendor == world.vendor.verifying()));
    }
}

/// The header of a package with its contents changed and signed anew by someone.
fn resigned(package: &[u8], signer: &SigningKey, change: impl FnOnce(&mut Contents)) -> Vec<u8> {
    let mut contents = Package::read_header(package).unwrap().contents;
    contents.vendor = signer.verifying().to_string();
    change(&mut contents);
    let json = serde_json::to_vec(&contents).unwrap();
    let signed = [&package[..12], &(json.len() as u32).to_be_bytes(), &json].concat();
    let signature = signer.sign(&Header::signature_message(&signed)).0;
    [&signed[..], &signature, &package[body_start(package) - 64..]].concat()
}

#[test]
fn a_thief_without_the_data_key_cannot_sign_a_package_as_his_own() {
    let world = World::new();
    let package = world.seal(b"model");
    let stolen = resigned(&package, &SigningKey::generate(), |_| ());
    assert!(matches!(world.open(&stolen), Err(PackageError::HeaderMac)));
}

#[test]
fn a_customer_cannot_loosen_the_terms() {
    let world = World::new();
    let package = world.seal(b"model");
    let looser = String::from_utf8_lossy(&package).find("builtin-only").unwrap();
    assert!(looser > 16);
    let mut header = Package::read_header(&package[..]).unwrap();
    header.contents.terms.runners = Runners::Digests(vec![Digest([0; 32])]);
    let json = serde_json::to_vec(&header.contents).unwrap();
    let signed = [&package[..12], &(json.len() as u32).to_be_bytes(), &json].concat();
    let changed = [&signed[..], &package[body_start(&package) - 128..]].concat();
    assert!(matches!(world.open(&changed), Err(PackageError::HeaderSignature { .. })));
}

#[test]
fn a_recipient_who_has_the_data_key_cannot_pass_off_another_model_as_the_vendors() {
    let world = World::new();
    let package = world.seal(&model(5000));
    let start = body_start(&package);
    let header = Package::read_header(&package[..]).unwrap();
    let unlocked = Package::unlock(header, &world.customer, None).unwrap();
    // The cipher of the genuine package, used to encrypt a model of the recipient's own.
    let cut = Cut::new(5000, SMALL_CHUNK as u32);
    let mut forged = package[..start].to_vec();
    for index in 0..2 {
        let mut chunk = vec![0x66; cut.length(index)];
        let tag = unlocked.cipher.seal(cut.nonce(index), &mut chunk).unwrap();
        forged.extend([&chunk[..], &tag].concat());
    }
    forged.extend(&package[package.len() - TRAILER..]);
    let error = world.open(&forged).unwrap_err();
    assert!(matches!(error, PackageError::BodySignature { .. }), "{error}");
}

#[test]
fn headers_out_of_bounds_are_refused_even_when_they_are_signed() {
    let world = World::new();
    let package = world.seal(b"model");
    type Change = Box<dyn FnOnce(&mut Contents)>;
    let changes: Vec<(&str, Change)> = vec![
        ("no model id", Box::new(|contents| contents.model.clear())),
        ("long model id", Box::new(|contents| contents.model = "m".repeat(129))),
        ("control in model id", Box::new(|contents| contents.model = "a\u{1b}[2J".to_owned())),
        ("version 0", Box::new(|contents| contents.version = 0)),
        ("chunk of 0", Box::new(|contents| contents.chunk_bytes = 0)),
        ("small chunk", Box::new(|contents| contents.chunk_bytes = 2048)),
        ("odd chunk", Box::new(|contents| contents.chunk_bytes = 5000)),
        ("huge chunk", Box::new(|contents| contents.chunk_bytes = 1 << 31)),
        ("no file", Box::new(|contents| contents.files.clear())),
        ("two files", Box::new(|contents| contents.files.push(contents.files[0].clone()))),
        ("huge file", Box::new(|contents| contents.files[0].bytes = u64::MAX)),
        ("parent folder", Box::new(|contents| contents.files[0].name = "..".to_owned())),
        ("path", Box::new(|contents| contents.files[0].name = "a/b".to_owned())),
        ("hidden file", Box::new(|contents| contents.files[0].name = ".m".to_owned())),
        ("option", Box::new(|contents| contents.files[0].name = "-rf".to_owned())),
        ("no file name", Box::new(|contents| contents.files[0].name.clear())),
        ("long file name", Box::new(|contents| contents.files[0].name = "m".repeat(256))),
        ("turned text", Box::new(|contents| contents.files[0].name = "m\u{202e}xno".to_owned())),
        ("no recipient", Box::new(|contents| contents.recipients.clear())),
        ("crowd", Box::new(|contents| contents.recipients = vec![contents.recipients[0].clone(); 65])),
        ("short sealed key", Box::new(|contents| contents.recipients[0] = "AAAA".to_owned())),
        ("no program", Box::new(|contents| contents.terms.runners = Runners::Digests(vec![]))),
        ("many programs", Box::new(|contents| contents.terms.runners = Runners::Digests(vec![Digest([0; 32]); 65]))),
    ];
    for (name, change) in changes {
        let error = Package::read_header(&resigned(&package, &world.vendor, change)[..]).unwrap_err();
        assert!(matches!(error, PackageError::HeaderOutOfBounds { .. }), "{name}: {error}");
    }
}

#[test]
fn header_contents_with_unknown_or_repeated_fields_are_malformed() {
    let package = World::new().seal(b"model");
    let json_end = body_start(&package) - 128;
    let json = std::str::from_utf8(&package[16..json_end]).unwrap();
    for changed in [
        json.replacen('{', "{\"budget\":1,", 1),
        json.replacen('{', "{\"version\":4,", 1),
        json.replace("\"version\":3,", ""),
        json.replace("\"version\":3", "\"version\":-3"),
        format!("{json} {{}}"),
        "[".repeat(100_000),
        String::new(),
    ] {
        let length = (changed.len() as u32).to_be_bytes();
        let package = [&package[..12], &length, changed.as_bytes(), &package[json_end..]].concat();
        let error = Package::read_header(&package[..]).unwrap_err();
        assert!(matches!(error, PackageError::HeaderMalformed { .. }), "{changed:.40}: {error}");
    }
}

#[test]
fn a_header_that_claims_too_much_is_refused_before_it_is_read() {
    let package = World::new().seal(b"model");
    let length = (256u32 * 1024 + 1).to_be_bytes();
    let claim = [&package[..12], &length].concat();
    let error = Package::read_header(&mut claim.chain(io::repeat(b' '))).unwrap_err();
    assert!(matches!(error, PackageError::HeaderTooLong { found: 262_145 }), "{error}");
}

#[test]
fn a_model_that_is_longer_or_shorter_than_announced_is_not_sealed() {
    let world = World::new();
    let recipients = [world.customer.public()];
    for (announced, longer) in [(4, true), (6, false), (1 << 30, false)] {
        let spec = SealSpec {
            model_id: "m",
            version: 1,
            file_name: "m.onnx",
            file_bytes: announced,
            terms: Terms::default(),
            recipients: &recipients,
            vendor: &world.vendor,
        };
        let error = seal_model(&b"model"[..], io::sink(), &spec).unwrap_err();
        assert!(matches!(error, PackageError::SizeChanged { longer: found, .. } if found == longer), "{error}");
    }
}

#[test]
fn a_spec_out_of_bounds_is_a_usage_error_and_writes_nothing() {
    let world = World::new();
    let recipients = [world.customer.public()];
    for (model_id, version, file_name, recipients) in [
        ("", 1, "m.onnx", &recipients[..]),
        ("m", 0, "m.onnx", &recipients[..]),
        ("m", 1, "../m.onnx", &recipients[..]),
        ("m", 1, "m.onnx", &[]),
    ] {
        let spec = SealSpec {
            model_id,
            version,
            file_name,
            file_bytes: 5,
            terms: Terms::default(),
            recipients,
            vendor: &world.vendor,
        };
        let mut package = Vec::new();
        let error = seal_model(&b"model"[..], &mut package, &spec).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("VLT-020", Exit::Usage), "{error}");
        assert!(package.is_empty());
    }
}

#[test]
fn a_full_disk_is_not_mistaken_for_tampering() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let world = World::new();
    let package = world.seal(b"model");
    let mut from = &package[..];
    let unlocked = Package::unlock(Package::read_header(&mut from).unwrap(), &world.customer, None).unwrap();
    let error = unlocked.open_body(from, Full, &mut |_| ()).unwrap_err();
    assert!(matches!(error, PackageError::Write { part: Part::Model, .. }), "{error}");
    assert_eq!(error.exit(), Exit::Failed);
}

#[test]
fn the_same_model_sealed_twice_shares_no_key_and_no_digest() {
    let world = World::new();
    let recipients = [world.customer.public()];
    let (first, first_report) = world.seal_to(&recipients, &model(5000), Terms::default());
    let (second, second_report) = world.seal_to(&recipients, &model(5000), Terms::default());
    assert_ne!(first_report.digest, second_report.digest);
    assert_ne!(first[body_start(&first)..], second[body_start(&second)..]);
}

#[test]
fn the_committed_package_of_version_1_opens_for_ever() {
    let package = include_bytes!("../../testdata/v1.sealed");
    let key = SecretKey::from_text(include_str!("../../testdata/v1.key").trim()).unwrap();
    let vendor: VerifyingKey = include_str!("../../testdata/v1.vendor.pub").trim().parse().unwrap();
    let mut from = &package[..];
    let unlocked = Package::unlock(Package::read_header(&mut from).unwrap(), &key, Some(&[vendor])).unwrap();
    assert_eq!((unlocked.model_id(), unlocked.version()), ("biopsy/gbt", 3));
    let mut opened = Vec::new();
    let report = unlocked.open_body(from, &mut opened, &mut |_| ()).unwrap();
    assert_eq!(opened, model(9000));
    assert_eq!(report.digest.to_string(), include_str!("../../testdata/v1.digest").trim());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sealing_and_opening_is_the_identity(model in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        let world = World::new();
        prop_assert_eq!(world.open(&world.seal(&model)).unwrap(), model);
    }

    #[test]
    fn no_edit_of_a_package_of_several_chunks_goes_unnoticed(place in 0usize..20_000, bits in 1u8..) {
        let world = World::new();
        let mut package = world.seal(&model(15_000));
        let place = place % package.len();
        package[place] ^= bits;
        prop_assert_eq!(world.open(&package).unwrap_err().exit(), Exit::Integrity);
    }
}
