//! Makes a stream of text harmless to a terminal, chunk by chunk.

use crate::names::is_unprintable;

/// Replaces control sequences in a stream by visible signs.
///
/// Newline, tab and carriage return pass; other C0 controls become their control pictures (ESC `␛`), C1 controls,
/// direction characters and bytes that are no UTF-8 become `\u{FFFD}`. Characters that are split between chunks are put
/// together. At most three bytes are held back.
#[derive(Debug, Default)]
pub struct Neutralizer {
    /// The beginning of a character whose rest has not come yet.
    begun: Vec<u8>,
}

impl Neutralizer {
    /// A neutralizer at the beginning of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the harmless form of a chunk to `to`.
    pub fn push(&mut self, chunk: &[u8], to: &mut Vec<u8>) {
        let joined;
        let mut rest = if self.begun.is_empty() {
            chunk
        } else {
            joined = [std::mem::take(&mut self.begun).as_slice(), chunk].concat();
            joined.as_slice()
        };
        while !rest.is_empty() {
            let (valid, broken) = match std::str::from_utf8(rest) {
                Ok(text) => (text, None),
                Err(error) => {
                    let (valid, _) = rest.split_at(error.valid_up_to());
                    // The bytes up to here are UTF-8 by the error's own word.
                    (std::str::from_utf8(valid).unwrap_or_default(), Some(error.error_len()))
                }
            };
            push_text(valid, to);
            let after = rest.get(valid.len()..).unwrap_or_default();
            rest = match broken {
                None => return,
                Some(None) => {
                    self.begun = after.to_vec();
                    return;
                }
                Some(Some(length)) => {
                    push_sign(char::REPLACEMENT_CHARACTER, to);
                    after.get(length..).unwrap_or_default()
                }
            };
        }
    }

    /// Ends the stream: what was held back cannot become a character any more.
    pub fn finish(self, to: &mut Vec<u8>) {
        if !self.begun.is_empty() {
            push_sign(char::REPLACEMENT_CHARACTER, to);
        }
    }
}

fn push_text(text: &str, to: &mut Vec<u8>) {
    let mut clean_from = 0;
    for (place, character) in text.char_indices() {
        if !is_unprintable(character) || matches!(character, '\n' | '\t' | '\r') {
            continue;
        }
        to.extend_from_slice(text.get(clean_from..place).unwrap_or_default().as_bytes());
        clean_from = place + character.len_utf8();
        push_sign(
            match character {
                '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER),
                '\u{7f}' => '␡',
                _ => char::REPLACEMENT_CHARACTER,
            },
            to,
        );
    }
    to.extend_from_slice(text.get(clean_from..).unwrap_or_default().as_bytes());
}

fn push_sign(sign: char, to: &mut Vec<u8>) {
    to.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn neutralized(chunks: &[&[u8]]) -> String {
        let (mut neutralizer, mut to) = (Neutralizer::new(), Vec::new());
        chunks.iter().for_each(|chunk| neutralizer.push(chunk, &mut to));
        neutralizer.finish(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn control_sequences_become_visible() {
        for (bytes, text) in [
            (&b"plain\ttext\r\n"[..], "plain\ttext\r\n"),
            (b"\x1b[2J\x1b]0;title\x07", "␛[2J␛]0;title␇"),
            (b"a\x00\x08\x7fb", "a␀␈␡b"),
            (b"\xc2\x9b31m", "\u{FFFD}31m"),
            (b"\x9b31m", "\u{FFFD}31m"),
            (b"\xff\xfe", "\u{FFFD}\u{FFFD}"),
            ("\u{202E}txt".as_bytes(), "\u{FFFD}txt"),
            ("热室 é 🦀".as_bytes(), "热室 é 🦀"),
            (b"cut \xe7\x83", "cut \u{FFFD}"),
            (b"\xed\xa0\x80", "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ] {
            assert_eq!(neutralized(&[bytes]), text, "{bytes:?}");
        }
    }

    #[test]
    fn the_result_does_not_depend_on_where_chunks_are_cut() {
        let stream = b"a\x1b[1m\xe7\x83\xad\xc2\x9b\xf0\x9f\xa6\x80\xf0\x9f\xff\x1b\xe2\x80\xae end \xf0\x9f\xa6";
        let whole = neutralized(&[stream]);
        for cut in 0..=stream.len() {
            for second in cut..=stream.len() {
                let parts = [&stream[..cut], &stream[cut..second], &stream[second..]];
                assert_eq!(neutralized(&parts), whole, "cut at {cut} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(neutralized(&bytes), whole);
        assert!(!whole.chars().any(|c| is_unprintable(c) && !matches!(c, '\n' | '\t' | '\r')));
    }
}
