//! Checkpoints, receipts and journals of others are refused, never a panic; nothing altered passes for what it was.

#![allow(missing_docs, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use hotcell_audit::receipt::{self, ReceiptError};
use hotcell_audit::{Checkpoint, Events, Filter};
use hotcell_testkit::fuzz::Target;

fn target(name: &'static str) -> Target {
    Target::new(env!("CARGO_MANIFEST_DIR"), name)
}

#[test]
fn no_checkpoint_makes_its_parser_panic_and_what_is_read_is_what_was_written() {
    let mut read = 0;
    target("checkpoint").run(4000, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let Ok(checkpoint) = text.parse::<Checkpoint>() else { return };
        read += 1;
        assert_eq!(checkpoint.text(), text);
        assert!(checkpoint.signatures() >= 1);
    });
    assert!(read > 0, "the checkpoints themselves are read");
}

#[test]
fn no_receipt_makes_its_check_panic_and_an_altered_one_is_none() {
    let kept = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/receipt/whole")).unwrap();
    let mut whole = 0;
    target("receipt").run(3000, |bytes| {
        // Without a key to trust, all being well is told as an unknown signer.
        if let Ok(_) | Err(ReceiptError::SignerUnknown { .. }) = receipt::verify(bytes, None) {
            assert_eq!(bytes, kept);
            whole += 1;
        }
    });
    assert!(whole > 0, "the receipt itself is one");
}

#[test]
fn no_journal_makes_its_reader_panic_and_its_entries_are_numbered_in_order() {
    let folder = tempfile::tempdir_in(hotcell_testkit::data_dir()).unwrap();
    let mut entries = 0;
    target("journal").run(1000, |bytes| {
        fs::write(folder.path().join("journal"), bytes).unwrap();
        let Ok(events) = Events::open(folder.path(), Filter::default()) else { return };
        for (number, entry) in events.map_while(Result::ok).enumerate() {
            assert_eq!(entry.index, number as u64);
            entries += 1;
        }
    });
    assert!(entries > 0, "the journals themselves are read");
}
