//! Pickles, interpreted symbolically and never executed.
//!
//! A pickle is a program for a stack machine. This one goes through the program with values that stand for what Python
//! would make, so that at each call it knows what is called and with what. Names come from the list in `allow/`, and each
//! with the shapes of its call; whatever is not there is refused, as are instructions that no ordinary pickle needs.
//!
//! Where the programs that read such files differ, a file on which they would differ is refused: frames that overlap or end
//! elsewhere, joblib's arrays that a plain reader would take for instructions, anything after the end.

mod allow;
mod array;
mod machine;
mod text;
mod value;

use machine::{Machine, Reader};

use super::cursor::Cursor;
use super::kind::Scanner;
use super::refusal::{Bad, Why};
use super::source::Source;
use super::storages::{Storages, legacy_tail};

/// Whether these first bytes begin like a pickle of protocol 2 or newer.
pub(crate) fn begins_like_one(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

/// Looks at a whole file of one pickle or several.
pub(crate) fn scan(scanner: &mut Scanner, source: &Source, place: &str) {
    let mut cursor = Cursor::new(source);
    let first = run(scanner, &mut cursor, place, Reader::Joblib);
    let Some(first) = first else { return };
    if first.is_torch_magic {
        return torch_legacy(scanner, &mut cursor, place);
    }
    while cursor.rest() > 0 {
        if !begins_like_one(&source.bytes(cursor.at(), 2).unwrap_or_default()) {
            let after = Bad::new(Why::Ambiguous, format!("{} bytes follow the end of the pickle", cursor.rest()));
            scanner.refuse(after.at(cursor.at()), place);
            return;
        }
        if run(scanner, &mut cursor, place, Reader::Joblib).is_none() {
            return;
        }
    }
}

/// Looks at the pickle of a PyTorch archive; gives the storages that it names.
pub(crate) fn scan_torch(scanner: &mut Scanner, source: &Source, place: &str) -> Storages {
    let mut cursor = Cursor::new(source);
    let ended = run(scanner, &mut cursor, place, Reader::Torch);
    if ended.is_some() && cursor.rest() > 0 {
        let after = Bad::new(Why::Ambiguous, format!("{} bytes follow the end of the pickle", cursor.rest()));
        scanner.refuse(after.at(cursor.at()), place);
    }
    ended.map(|ended| ended.storages).unwrap_or_default()
}

/// Whether a text could be a pickle that does something: it names something that can be named, and calls it.
pub(crate) fn acts(source: &Source) -> bool {
    let mut machine = Machine::new(Reader::Plain);
    let _ = machine.run(&mut Cursor::new(source));
    machine.acts()
}

/// PyTorch's form before archives: magic, version, system, the object, the storages' keys, then their bytes.
fn torch_legacy(scanner: &mut Scanner, cursor: &mut Cursor<'_>, place: &str) {
    let mut storages = Storages::default();
    for part in 0..4 {
        let reader = if part == 2 { Reader::Torch } else { Reader::Plain };
        let Some(ended) = run(scanner, cursor, place, reader) else { return };
        storages.join(ended.storages);
    }
    if let Err(bad) = legacy_tail(cursor, &storages) {
        scanner.refuse(bad, place);
    }
}

/// Runs one pickle; none where its end was not reached.
fn run(scanner: &mut Scanner, cursor: &mut Cursor<'_>, place: &str, reader: Reader) -> Option<machine::Ended> {
    let mut machine = Machine::new(reader);
    let ended = machine.run(cursor);
    for bad in machine.take_refused() {
        scanner.refuse(bad, place);
    }
    for nested in machine.take_nested() {
        scanner.nested_pickle(nested, place);
    }
    match ended {
        Ok(ended) => Some(ended),
        Err(bad) => {
            scanner.refuse(bad, place);
            None
        }
    }
}
