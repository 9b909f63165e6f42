//! A plan is refused, never a panic, and what is read of it is what was written.

#![allow(missing_docs, reason = "tests")]

use hotcell_launcher::plan::{Step, VERSION, read};
use hotcell_testkit::fuzz::Target;

#[test]
fn no_plan_makes_its_reader_panic_and_what_is_read_is_what_was_written() {
    let mut read_whole = 0;
    Target::new(env!("CARGO_MANIFEST_DIR"), "plan").run(4000, |bytes| {
        let Some(steps) = read(bytes) else { return };
        let steps: Vec<Result<Step<'_>, ()>> = steps.collect();
        assert!(steps.len() <= bytes.len(), "each step takes a byte at least");
        assert!(steps.iter().rev().skip(1).all(Result::is_ok), "nothing is read behind what is no step");
        if steps.iter().all(Result::is_ok) {
            let mut again = VERSION.to_le_bytes().to_vec();
            steps.iter().flatten().for_each(|step| step.encode(&mut |piece| again.extend_from_slice(piece)));
            assert_eq!(again, bytes);
            read_whole += 1;
        }
    });
    assert!(read_whole > 0, "the plans themselves are read");
}
