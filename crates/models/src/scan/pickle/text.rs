//! The texts of the old, readable instructions.

use super::super::refusal::Bad;

/// The content of `'…'` or `"…"` with Python's escapes.
pub(super) fn quoted(line: &[u8]) -> Result<String, Bad> {
    let wrong = || Bad::malformed("a text is not in quotes");
    let line = line.trim_ascii();
    let (first, rest) = line.split_first().ok_or_else(wrong)?;
    let (last, inner) = rest.split_last().ok_or_else(wrong)?;
    if first != last || !matches!(first, b'\'' | b'"') {
        return Err(wrong());
    }
    unescaped(inner, false)
}

/// A text with Unicode escapes only.
pub(super) fn raw_unicode(line: &[u8]) -> Result<String, Bad> {
    unescaped(line, true)
}

/// What an escape means has to be known: a name could be hidden in it.
fn unescaped(mut bytes: &[u8], unicode_only: bool) -> Result<String, Bad> {
    let wrong = || Bad::malformed("a text has an escape that is not known");
    let mut text = String::new();
    while let Some((byte, rest)) = bytes.split_first() {
        bytes = rest;
        if *byte != b'\\' {
            text.push(char::from(*byte));
            continue;
        }
        let letter = bytes.first().copied();
        let digits = match (letter, unicode_only) {
            (Some(b'u'), true) => 4,
            (Some(b'U'), true) => 8,
            (Some(b'x'), false) => 2,
            // Elsewhere a backslash stands for itself.
            (_, true) => {
                text.push('\\');
                continue;
            }
            (Some(b'n'), false) => 0,
            (Some(b't'), false) => 0,
            (Some(b'r'), false) => 0,
            (Some(b'\\' | b'\'' | b'"'), false) => 0,
            _ => return Err(wrong()),
        };
        if digits == 0 {
            text.push(match letter {
                Some(b'n') => '\n',
                Some(b't') => '\t',
                Some(b'r') => '\r',
                other => char::from(other.unwrap_or(b'\\')),
            });
            bytes = bytes.get(1..).unwrap_or_default();
            continue;
        }
        let number = bytes.get(1..=digits).and_then(|digits| std::str::from_utf8(digits).ok());
        let number = number.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let number = number.and_then(|digits| u32::from_str_radix(digits, 16).ok()).ok_or_else(wrong)?;
        // A lone half of a pair is a letter of its own in Python, and of no name.
        text.push(char::from_u32(number).unwrap_or(char::REPLACEMENT_CHARACTER));
        bytes = bytes.get(1 + digits..).unwrap_or_default();
    }
    Ok(text)
}

/// Python's integer in decimal digits; none where it is larger than anything that matters.
pub(super) fn integer(line: &[u8]) -> Result<Option<i64>, Bad> {
    let text = std::str::from_utf8(line).unwrap_or_default().trim();
    let text = text.strip_suffix('L').unwrap_or(text);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(Bad::malformed("a number is not decimal"));
    }
    Ok(text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_mean_what_python_means() {
        assert_eq!(quoted(br"'a\x5fb\\\'\n'").unwrap(), "a_b\\'\n");
        assert_eq!(raw_unicode(br"a\u005fb\n").unwrap(), "a_b\\n");
        assert_eq!(raw_unicode(br"\U0000005f").unwrap(), "_");
        for bad in [&b"abc"[..], b"'abc", b"'a\"", b"'", br"'\q'", br"'\x5'", br"'\x+5'"] {
            assert!(quoted(bad).is_err(), "{bad:?}");
        }
        assert!(raw_unicode(br"\u00+5").is_err());
    }

    #[test]
    fn numbers_are_decimal() {
        assert_eq!(integer(b"-12L").unwrap(), Some(-12));
        assert_eq!(integer(b"99999999999999999999999").unwrap(), None);
        for bad in [&b""[..], b"-", b"0x1", b"1_0", b"\xff"] {
            assert!(integer(bad).is_err(), "{bad:?}");
        }
    }
}
