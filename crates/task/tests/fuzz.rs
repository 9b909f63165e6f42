//! A task file is refused, never a panic.

#![allow(missing_docs, reason = "tests")]

use std::path::Path;

use hotcell_task::parse_task_file;
use hotcell_testkit::fuzz::Target;

#[test]
fn no_task_file_makes_its_parser_panic() {
    Target::new(env!("CARGO_MANIFEST_DIR"), "task-file").run(3000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        if let Ok(spec) = parse_task_file(&text, "fuzz.toml", Path::new("/nowhere")) {
            assert!(spec.best_effort.is_empty(), "a task file gives up no wall");
        }
    });
}
