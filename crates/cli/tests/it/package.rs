//! `hotcell seal --model`: sealed packages.

use std::fs;

use hotcell_crypto::keyfile;
use hotcell_types::{Digest, Timestamp};
use hotcell_vault::{Custody, Isolation, Package, Runners, Terms};

use crate::hotcell::Place;

const MODEL: &[u8] = b"not quite an ONNX model";

/// A place with the customer's key, the vendor's key and a model.
fn place() -> Place {
    let place = Place::new();
    place.expect(0, &["keygen", "--output", "customer"]);
    place.expect(0, &["keygen", "--output", "vendor", "--signing"]);
    fs::write(place.path("model.onnx"), MODEL).unwrap();
    place
}

fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let always =
        ["--json", "seal", "--recipient", "customer.pub", "--output", "out", "--model", "example/scorer", "model.onnx"];
    [&always[..], more].concat()
}

#[test]
fn a_package_carries_the_model_and_the_terms_that_were_given() {
    let place = place();
    let runner = Digest([7; 32]).to_string();
    let schema = Digest([8; 32]).to_string();
    let signed = ["--model-version", "3", "--sign", "vendor"];
    let all = ["--allow-runner", &runner, "--expires", "2027-01-31T12:00:00Z", "--custody", "service"];
    let rest = ["--isolation", "microvm", "--output-schema", &schema];
    let given = Terms {
        runners: Runners::Digests(vec![Digest([7; 32])]),
        custody: Custody::Service,
        isolation: Isolation::Microvm,
        expires: Some(Timestamp(1_801_396_800_000)),
        output_schema: Some(Digest([8; 32])),
    };
    for (more, terms) in [(signed.to_vec(), Terms::default()), ([&signed[..], &all, &rest].concat(), given)] {
        let told = place.json(0, &words(&more));
        let bytes = fs::read(place.path("out")).unwrap();
        let mut from = &bytes[..];
        let key = keyfile::read_encryption(&place.path("customer")).unwrap();
        let vendor = keyfile::read_verifying(place.path("vendor.pub").to_str().unwrap()).unwrap();
        let header = Package::read_header(&mut from).unwrap();
        let unlocked = Package::unlock(header, &key, Some(&[vendor])).unwrap();
        assert_eq!((unlocked.model_id(), unlocked.version()), ("example/scorer", 3));
        assert_eq!((unlocked.file_name(), unlocked.terms()), ("model.onnx", &terms));
        let mut model = Vec::new();
        let report = unlocked.open_body(from, &mut model, &mut |_| ()).unwrap();
        assert_eq!(model, MODEL);
        assert_eq!(told["digest"], report.digest.to_string());
        assert_eq!(told["bytes"], bytes.len());
        place.remove(&["out"]);
    }
}

#[test]
fn a_sealed_model_is_not_opened_to_a_file_whoever_asks() {
    let place = place();
    place.expect(0, &words(&["--model-version", "1", "--sign", "vendor"]));
    let before = place.names();
    for key in ["customer", "vendor", "missing"] {
        let told = place.json(121, &["--json", "open", "--key", key, "--output", "model", "out"]);
        assert_eq!(told["error"]["code"], "CLI-012");
        assert!(told["error"]["remedy"].as_str().unwrap().contains("hotcell run --model out"), "{told}");
    }
    assert_eq!(place.names(), before);
}

#[test]
fn what_makes_no_package_is_refused_and_leaves_nothing() {
    for (more, status) in [
        (&[][..], 2),
        (&["--model-version", "1"], 2),
        (&["--sign", "vendor"], 2),
        (&["--model-version", "0", "--sign", "vendor"], 2),
        (&["--model-version", "-1", "--sign", "vendor"], 2),
        (&["--model-version", "latest", "--sign", "vendor"], 2),
        (&["--model-version", "1", "--sign", "customer"], 2),
        (&["--model-version", "1", "--sign", "vendor.pub"], 2),
        (&["--model-version", "1", "--sign", "missing"], 125),
        (&["--model-version", "1", "--sign", "vendor", "--expires", "soon"], 2),
        (&["--model-version", "1", "--sign", "vendor", "--expires", "2027-02-30"], 2),
        (&["--model-version", "1", "--sign", "vendor", "--custody", "mine"], 2),
        (&["--model-version", "1", "--sign", "vendor", "--isolation", "none"], 2),
        (&["--model-version", "1", "--sign", "vendor", "--allow-runner", "sha256:12"], 2),
        (&["--model-version", "1", "--sign", "vendor", "--query-budget", "5"], 2),
    ] {
        let place = place();
        let before = place.names();
        place.expect(status, &words(more));
        assert_eq!(place.names(), before, "{more:?}");
    }
}

#[test]
fn a_model_has_a_size_and_a_proper_name() {
    let place = place();
    place.file("-odd;name", "x");
    let before = place.names();
    for (id, file, code) in [
        ("example", "-", "CLI-001"),
        ("example", "./-odd;name", "VLT-020"),
        ("not an id", "model.onnx", "VLT-020"),
        ("", "model.onnx", "VLT-020"),
    ] {
        let told = place.json(
            2,
            &[
                "--json",
                "seal",
                "--recipient",
                "customer.pub",
                "--output",
                "out",
                "--model",
                id,
                "--model-version",
                "1",
                "--sign",
                "vendor",
                file,
            ],
        );
        assert_eq!(told["error"]["code"], code, "{id} {file}: {told}");
        assert_eq!(place.names(), before);
    }
}

#[test]
fn terms_without_a_model_are_a_slip() {
    let place = place();
    for term in [
        &["--sign", "vendor"][..],
        &["--model-version", "1"],
        &["--custody", "service"],
        &["--expires", "2027-01-01"],
        &["--allow-runner", &Digest([7; 32]).to_string()],
    ] {
        let plain = ["seal", "--recipient", "customer.pub", "--output", "out", "model.onnx"];
        place.expect(2, &[&plain[..], term].concat());
        assert!(!place.path("out").exists(), "{term:?}");
    }
}
