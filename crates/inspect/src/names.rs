//! Names that a workload may have chosen: which are acceptable, and how any of them is shown.

use crate::FindingKind;

/// Longest file name in bytes: what the kernel's file systems allow.
pub(crate) const MAX_NAME_BYTES: usize = 255;

/// Longest part of a name that is shown, in characters: enough to recognise it, too little to carry much.
const SHOWN_NAME_CHARS: usize = 64;

/// Checks the name of one file or folder that is to leave.
///
/// Beside what no file system has (`/`, `.`), names are refused that act on the reader rather than inform: control
/// and direction characters, a leading `-` (an option to most programs), a leading `.` (hidden, and read
/// unasked by shells, editors and version control).
pub(crate) fn check_name(name: &[u8]) -> Result<&str, FindingKind> {
    let name = std::str::from_utf8(name).map_err(|_| FindingKind::NameNotUtf8)?;
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        Err(FindingKind::NameTooLong)
    } else if name.chars().any(is_unprintable) {
        Err(FindingKind::NameUnprintable)
    } else if name.starts_with('-') || name.contains(['/', '\\']) {
        Err(FindingKind::NameDangerous)
    } else if name.starts_with('.') {
        Err(FindingKind::NameHidden)
    } else {
        Ok(name)
    }
}

/// Whether a character has no shape of its own but an effect: control characters, line separators, direction
/// marks and overrides, the byte order mark.
pub(crate) fn is_unprintable(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// A name made safe to show: unprintable characters and broken bytes escaped, cut after 64 characters.
pub(crate) fn visible(name: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in name.utf8_chunks() {
        for character in chunk.valid().chars() {
            if is_unprintable(character) || character == '\\' || character == '`' {
                shown.extend(character.escape_unicode());
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
        if shown.len() > 4 * SHOWN_NAME_CHARS {
            break;
        }
    }
    match shown.char_indices().nth(SHOWN_NAME_CHARS) {
        Some((end, _)) => {
            shown.truncate(end);
            shown.push('…');
            shown
        }
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_names_are_accepted() {
        for name in ["scores.csv", "a", "a b", "模型.csv", "a-b_c.1", "é"] {
            assert_eq!(check_name(name.as_bytes()), Ok(name));
        }
        let long = "x".repeat(256);
        for (name, kind) in [
            (&b""[..], FindingKind::NameTooLong),
            (long.as_bytes(), FindingKind::NameTooLong),
            (b"a\xff", FindingKind::NameNotUtf8),
            (b"a\nb", FindingKind::NameUnprintable),
            (b"a\x1b[2Jb", FindingKind::NameUnprintable),
            ("a\u{202E}vsc".as_bytes(), FindingKind::NameUnprintable),
            ("a\u{9b}1m".as_bytes(), FindingKind::NameUnprintable),
            (b"-rf", FindingKind::NameDangerous),
            (b"a/b", FindingKind::NameDangerous),
            (b"a\\b", FindingKind::NameDangerous),
            (b".", FindingKind::NameHidden),
            (b"..", FindingKind::NameHidden),
            (b".envrc", FindingKind::NameHidden),
        ] {
            assert_eq!(check_name(name), Err(kind), "{}", visible(name));
        }
    }

    #[test]
    fn a_name_is_shown_without_effect_and_cut() {
        assert_eq!(visible(b"a\x1b[31m\xff`"), "a\\u{1b}[31m\\xff\\u{60}");
        let shown = visible("\u{202E}".repeat(100_000).as_bytes());
        assert_eq!(shown.chars().count(), SHOWN_NAME_CHARS + 1);
        assert!(shown.is_ascii() || shown.ends_with('…'));
    }
}
