//! Signs that look like others: full-width and other digits, invisible signs between them, odd dashes and spaces.

use unicode_normalization::char::decompose_compatible;

use super::super::place::{Map, SAME, Scale};
use super::Decoded;

/// Rewrites a stretch with the plain sign for each that only looks otherwise; nothing where there is none.
pub(crate) fn fold(text: &[u8], from: usize) -> Option<Decoded> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut map = Map::default();
    let (mut changed, mut at) = (false, from);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                map.push(bytes.len(), at, SAME);
                bytes.push(character as u8);
            } else {
                changed |= push_folded(character, at, &mut bytes, &mut map);
            }
            at += character.len_utf8();
        }
        for byte in chunk.invalid() {
            map.push(bytes.len(), at, SAME);
            bytes.push(*byte);
            at += 1;
        }
    }
    changed.then_some(Decoded { name: "unicode", bytes, map })
}

/// Adds the plain form of a sign; true if it is another.
fn push_folded(character: char, at: usize, bytes: &mut Vec<u8>, map: &mut Map) -> bool {
    let mut folded = [0; 4];
    let plain = match character {
        // Invisible: zero-width signs, the soft hyphen, marks of direction, the byte order mark.
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' | '\u{202a}'..='\u{202e}' => {
            return true;
        }
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' => '-',
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{3000}' => ' ',
        _ => match digit_of(character) {
            Some(digit) => char::from(b'0' + digit),
            None => {
                let (mut first, mut count) = (character, 0);
                decompose_compatible(character, |part| {
                    if count == 0 {
                        first = part;
                    }
                    count += 1;
                });
                // Only what becomes one plain sign: the rest of the text stays as it is.
                if count == 1 && first.is_ascii() { first } else { character }
            }
        },
    };
    let text = plain.encode_utf8(&mut folded).as_bytes();
    map.push(bytes.len(), at, Scale::Ratio { before: character.len_utf8(), after: text.len() });
    bytes.extend_from_slice(text);
    plain != character
}

/// The value of a decimal digit of another script.
fn digit_of(character: char) -> Option<u8> {
    const ZEROS: [u32; 20] = [
        0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50, 0xed0, 0xf20,
        0x1040, 0x17e0, 0x1810, 0xff10, 0x1d7ce,
    ];
    let code = u32::from(character);
    if (0x1d7ce..0x1d800).contains(&code) {
        return Some(((code - 0x1d7ce) % 10) as u8);
    }
    if (0x2460..=0x2468).contains(&code) {
        return Some((code - 0x2460 + 1) as u8);
    }
    ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code)).map(|zero| (code - zero) as u8)
}

/// The first bytes, in UTF-8, of what is folded.
pub(crate) fn marks() -> Vec<Vec<u8>> {
    let mut marks: Vec<Vec<u8>> = vec![
        vec![0xc2, 0xad],
        vec![0xc2, 0xa0],
        vec![0xe2, 0x81, 0xa0],
        vec![0xe2, 0x88, 0x92],
        vec![0xef, 0xbb, 0xbf],
        vec![0xe3, 0x80, 0x80],
        vec![0xf0, 0x9d, 0x9f],
        vec![0xe2, 0x91, 0xa0],
        vec![0xef, 0xbc, 0xa0],
    ];
    for last in [0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x91, 0x92, 0x93, 0x94, 0x95, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf] {
        marks.push(vec![0xe2, 0x80, last]);
    }
    // Full-width digits and letters, one by one: their first bytes also begin common punctuation.
    for code in (0xff10..=0xff19).chain(0xff21..=0xff3a).chain(0xff41..=0xff5a) {
        marks.extend(char::from_u32(code).map(|sign| sign.to_string().into_bytes()));
    }
    for zero in [0x660u32, 0x6f0, 0x966, 0x9e6, 0xe50] {
        for code in zero..zero + 10 {
            marks.extend(char::from_u32(code).map(|sign| sign.to_string().into_bytes()));
        }
    }
    for code in 0x2461..=0x2468u32 {
        marks.extend(char::from_u32(code).map(|sign| sign.to_string().into_bytes()));
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_a_digit_becomes_one() {
        for (text, plain) in [
            ("４１１１", "4111"),
            ("4\u{200b}1\u{ad}1", "411"),
            ("٤١١", "411"),
            ("𝟒𝟏", "41"),
            ("ａ＠ｂ．ｃ", "a@b.c"),
            ("41–11\u{a0}x", "41-11 x"),
        ] {
            assert_eq!(String::from_utf8_lossy(&fold(text.as_bytes(), 0).unwrap().bytes), plain, "{text}");
        }
        assert!(fold("热室不变。".as_bytes(), 0).is_none());
        let decoded = fold("x４１".as_bytes(), 10).unwrap();
        assert_eq!(decoded.map.before(&(1..3)), 11..17);
    }
}
