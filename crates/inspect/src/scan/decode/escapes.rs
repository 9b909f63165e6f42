//! Encodings that stand within text, sign by sign: percent, escapes of strings, entities.

use super::super::place::{Map, SAME, Scale};
use super::Decoded;
use super::base64::pair_value;

/// Text under construction, with the way back.
struct Writer {
    bytes: Vec<u8>,
    map: Map,
}

impl Writer {
    /// Adds what `before` bytes from `from` on stand for.
    fn push(&mut self, decoded: &[u8], from: usize, before: usize) {
        let scale =
            if decoded.len() == 1 && before == 1 { SAME } else { Scale::Ratio { before, after: decoded.len().max(1) } };
        self.map.push(self.bytes.len(), from, scale);
        self.bytes.extend_from_slice(decoded);
    }
}

/// Rewrites a stretch: `unit` gives what stands at the beginning of the rest, and how long it is there.
fn rewrite(
    name: &'static str,
    text: &[u8],
    from: usize,
    mut unit: impl FnMut(&[u8]) -> Option<([u8; 4], usize, usize)>,
) -> Option<Decoded> {
    let mut to = Writer { bytes: Vec::with_capacity(text.len()), map: Map::default() };
    let mut at = 0;
    let mut changed = false;
    while let Some(byte) = text.get(at) {
        match unit(text.get(at..).unwrap_or_default()) {
            Some((decoded, length, before)) if before > 0 => {
                to.push(decoded.get(..length).unwrap_or_default(), from + at, before);
                at += before;
                changed = true;
            }
            _ => {
                to.push(&[*byte], from + at, 1);
                at += 1;
            }
        }
    }
    changed.then_some(Decoded { name, bytes: to.bytes, map: to.map })
}

fn byte(value: u8, before: usize) -> Option<([u8; 4], usize, usize)> {
    Some(([value, 0, 0, 0], 1, before))
}

fn character(value: u32, before: usize) -> Option<([u8; 4], usize, usize)> {
    let mut bytes = [0; 4];
    let length = char::from_u32(value)?.encode_utf8(&mut bytes).len();
    Some((bytes, length, before))
}

/// `%41`, and `+` for a space, as forms have it; `%u0041` too.
pub(crate) fn percent(text: &[u8], from: usize) -> Option<Decoded> {
    rewrite("percent", text, from, |rest| match rest {
        [b'%', b'u' | b'U', a, b, c, d, ..] => character(hex_number(&[*a, *b, *c, *d])?, 6),
        [b'%', high, low, ..] => byte(pair_value(&[*high, *low])?, 3),
        [b'+', ..] => byte(b' ', 1),
        _ => None,
    })
}

/// `\n`, `\x41`, `\u0041` with its pairs, `\u{41}`, `\101`, and a backslash before any other sign.
pub(crate) fn backslash(text: &[u8], from: usize) -> Option<Decoded> {
    rewrite("escapes", text, from, |rest| match rest {
        [b'\\', b'u', b'{', digits @ ..] => {
            let length = digits.iter().take(6).take_while(|byte| byte.is_ascii_hexdigit()).count();
            (digits.get(length) == Some(&b'}')).then_some(())?;
            character(hex_number(digits.get(..length)?)?, length + 4)
        }
        [b'\\', b'u', a, b, c, d, after @ ..] => {
            let first = hex_number(&[*a, *b, *c, *d])?;
            match (first, after) {
                (0xd800..=0xdbff, [b'\\', b'u', a, b, c, d, ..]) => {
                    let second = hex_number(&[*a, *b, *c, *d]).filter(|low| (0xdc00..=0xdfff).contains(low))?;
                    character(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00), 12)
                }
                _ => character(first, 6),
            }
        }
        [b'\\', b'x', high, low, ..] => byte(pair_value(&[*high, *low])?, 4),
        [b'\\', a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            byte((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'), 4)
        }
        [b'\\', b'n', ..] => byte(b'\n', 2),
        [b'\\', b'r', ..] => byte(b'\r', 2),
        [b'\\', b't', ..] => byte(b'\t', 2),
        [b'\\', sign @ (b'"' | b'\'' | b'/' | b'\\' | b'-' | b'@' | b'.' | b' '), ..] => byte(*sign, 2),
        _ => None,
    })
}

/// `&#65;`, `&#x41;` and the five that XML has by name.
pub(crate) fn entities(text: &[u8], from: usize) -> Option<Decoded> {
    rewrite("entities", text, from, |rest| {
        rest.starts_with(b"&").then_some(())?;
        let end = rest.iter().take(10).position(|byte| *byte == b';')?;
        let name = rest.get(1..end)?;
        match name {
            [b'#', b'x' | b'X', digits @ ..] => character(hex_number(digits)?, end + 1),
            [b'#', digits @ ..] => {
                let digits = std::str::from_utf8(digits).ok()?;
                character(digits.parse().ok()?, end + 1)
            }
            b"amp" => byte(b'&', 5),
            b"lt" => byte(b'<', 4),
            b"gt" => byte(b'>', 4),
            b"quot" => byte(b'"', 6),
            b"nbsp" => byte(b' ', 6),
            _ => None,
        }
    })
}

fn hex_number(digits: &[u8]) -> Option<u32> {
    (!digits.is_empty()).then_some(())?;
    digits.iter().try_fold(0u32, |number, digit| Some(number.checked_mul(16)? + char::from(*digit).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_encoding_is_read_and_leads_back() {
        type Read = fn(&[u8], usize) -> Option<Decoded>;
        for (read, text, plain, place, before) in [
            (percent as Read, "a%34%31+1%zz", "a41 1%zz", 1..4, 1..8),
            (percent, "%u4e2d%u0041", "中A", 3..4, 6..12),
            (backslash, r"x\u0034\x31\n\u4e2d", "x41\n中", 1..2, 1..7),
            (backslash, r"\ud83e\udd80\101\q\u{41}", "🦀A\\qA", 4..5, 12..16),
            (entities, "&#52;&#x31;&amp;&none;", "41&&none;", 0..2, 0..11),
        ] {
            let decoded = read(text.as_bytes(), 0).unwrap();
            assert_eq!(String::from_utf8_lossy(&decoded.bytes), plain, "{text}");
            assert_eq!(decoded.map.before(&place), before, "{text}");
        }
        assert!(percent(b"100% plain", 0).is_none());
        assert!(backslash(br"C:\q", 0).is_none());
    }
}
