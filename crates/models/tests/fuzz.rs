//! A model is refused, never a panic.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use hotcell_models::Model;
use hotcell_models::scan::scan_bytes;
use hotcell_testkit::fuzz::Target;

#[test]
fn no_model_file_makes_loading_panic() {
    let model = std::fs::read(hotcell_testkit::workspace().join("examples/biopsy/model.onnx")).unwrap();
    Target::new(env!("CARGO_MANIFEST_DIR"), "onnx").with(model).run(400, |bytes| {
        if let Ok(model) = Model::load(bytes) {
            assert!(!model.outputs().is_empty());
        }
    });
}

/// Bytes of every format: each is looked at, and whatever becomes of it, nothing panics and nothing is called clean that has
/// no kind.
fn look(bytes: &[u8], name: &str) {
    let report = scan_bytes(bytes, name);
    assert!(report.kind.is_some() || !report.is_clean());
}

#[test]
fn no_pickle_makes_the_scan_panic() {
    let data = b"\x80\x04\x95\x14\0\0\0\0\0\0\0}\x94(\x8c\x01a\x94K\x01\x8c\x01b\x94](K\x02Neu.";
    let call = b"\x80\x02cnumpy\ndtype\nX\x02\0\0\0f8\x89\x88\x87R(K\x03X\x01\0\0\0<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb.";
    let old = b"(dp0\nS'a'\np1\nI1\nsS'b'\n(lp2\nL12L\naF1.5\nas.";
    Target::new(env!("CARGO_MANIFEST_DIR"), "pickle")
        .with(*data)
        .with(*call)
        .with(*old)
        .run(4000, |bytes| look(bytes, "m.pkl"));
}

#[test]
fn no_file_of_tensors_makes_the_scan_panic() {
    let header = br#"{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    let tensors = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 8]].concat();
    Target::new(env!("CARGO_MANIFEST_DIR"), "safetensors")
        .with(tensors)
        .run(2000, |bytes| look(bytes, "m.safetensors"));
    let array =
        [&b"\x93NUMPY\x01\0\x3a\0"[..], b"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1)}  ", &[0; 8]]
            .concat();
    Target::new(env!("CARGO_MANIFEST_DIR"), "npy").with(array).run(2000, |bytes| look(bytes, "m.npy"));
    let gguf = [
        &b"GGUF\x03\0\0\0"[..],
        &[0; 8],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        b"a\x04\0\0\0\x07\0\0\0",
    ]
    .concat();
    Target::new(env!("CARGO_MANIFEST_DIR"), "gguf").with(gguf).run(2000, |bytes| look(bytes, "m.gguf"));
}

#[test]
fn no_onnx_file_makes_the_scan_panic() {
    let model = std::fs::read(hotcell_testkit::workspace().join("examples/biopsy/model.onnx")).unwrap();
    Target::new(env!("CARGO_MANIFEST_DIR"), "onnx").with(model).run(400, |bytes| look(bytes, "m.onnx"));
}

#[test]
fn no_archive_or_template_makes_the_scan_panic() {
    let end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0\x2f\0\0\0\x20\0\0\0\0\0";
    let head = b"\x14\0\0\0\0\0\0\0\0\0\x43\xbe\xb7\xe8\x01\0\0\0\x01\0\0\0\x01\0\0\0";
    let zip = [&b"PK\x03\x04"[..], head, b"aa", b"PK\x01\x02\x14\0", head, &[0; 12], b"a", end].concat();
    Target::new(env!("CARGO_MANIFEST_DIR"), "zip").with(zip).run(2000, |bytes| look(bytes, "m.zip"));
    let template = b"{% for m in messages %}{{ m['role'] | trim }}{% if not loop.last %}, {% endif %}{% endfor %}";
    Target::new(env!("CARGO_MANIFEST_DIR"), "template")
        .with(*template)
        .run(2000, |bytes| look(bytes, "chat_template.jinja"));
}
