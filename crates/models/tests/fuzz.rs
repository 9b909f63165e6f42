//! A model is refused, never a panic.

#![allow(missing_docs, clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use hotcell_models::Model;
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
