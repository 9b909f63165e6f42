//! Texts: settings, vocabularies, licences. And programs, which are refused.

use super::kind::{Kind, Scanner};
use super::refusal::Bad;
use super::source::Source;
use super::{json, pickle};

/// What kind of program this begins like.
pub(crate) fn program(head: &[u8]) -> Option<&'static str> {
    match head {
        [0x7f, b'E', b'L', b'F', ..] => Some("a program or library of Linux (ELF)"),
        [b'M', b'Z', ..] => Some("a program or library of Windows (PE)"),
        [0xfe, 0xed, 0xfa, 0xce | 0xcf, ..] | [0xce | 0xcf, 0xfa, 0xed, 0xfe, ..] | [0xca, 0xfe, 0xba, 0xbe, ..] => {
            Some("a program or library (Mach-O or Java)")
        }
        [0x00, b'a', b's', b'm', ..] => Some("WebAssembly"),
        [b'#', b'!', ..] => Some("a script"),
        _ => None,
    }
}

/// Looks at a file that may be text; none where it is none.
pub(crate) fn scan(scanner: &mut Scanner, source: &Source, name: &str, place: &str) -> Result<Option<Kind>, Bad> {
    if !is_text(&source.head(4096)?, true) || source.len() > MAX_TEXT {
        return Ok(None);
    }
    let bytes = source.whole(MAX_TEXT)?;
    if !is_text(&bytes, false) {
        return Ok(None);
    }
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if matches!(first, Some(b'{' | b'[')) && json::scan(scanner, &bytes, name, place)? {
        return Ok(Some(Kind::Json));
    }
    // The oldest pickles are plain text.
    let pickled = [".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".sav", ".dill"];
    if pickled.iter().any(|ending| name.ends_with(ending)) || pickle::acts(source) {
        pickle::scan(scanner, source, place);
        return Ok(Some(Kind::Pickle));
    }
    Ok(Some(Kind::Text))
}

/// UTF-8 without control characters; of a beginning, the last letter may be cut.
fn is_text(bytes: &[u8], cut: bool) -> bool {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    !text.chars().any(|letter| letter.is_control() && !matches!(letter, '\n' | '\r' | '\t' | '\u{c}'))
}

/// The longest text: boosters write forests as such.
const MAX_TEXT: u64 = 512 << 20;
