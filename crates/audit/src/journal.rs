//! The journal: the one file that is made durable; everything else in the log's folder follows from it.
//!
//! A text file. The first line names the format and the log's origin; each further line is one entry:
//! the first 16 hexadecimal digits of its leaf hash, a space, the canonical JSON, a newline. A write
//! that a crash tore leaves a last line that lacks its newline or does not fit its hash.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};

use hotcell_crypto::sha256;
use hotcell_types::{Digest, Timestamp};

use crate::canonical::MAX_ENTRY_BYTES;
use crate::merkle::leaf_hash;
use crate::note::Origin;

/// What the first line begins with; the version is part of it.
const HEADER: &str = "hotcell audit journal v1 ";

/// Hexadecimal digits of the leaf hash that stand before an entry.
const CHECK_DIGITS: usize = 16;

/// Most bytes of a line: digits, space, entry, newline.
pub(crate) const MAX_LINE_BYTES: usize = CHECK_DIGITS + 1 + MAX_ENTRY_BYTES + 1;

/// The first line of the journal of this log.
pub(crate) fn header(origin: &Origin) -> String {
    format!("{HEADER}{origin}\n")
}

/// The origin that a first line names, and the length of that line; none when it is no such line.
pub(crate) fn parse_header(start: &[u8]) -> Option<(Origin, u64)> {
    let line = start.split_inclusive(|byte| *byte == b'\n').next()?;
    let text = std::str::from_utf8(line).ok()?.strip_prefix(HEADER)?.strip_suffix('\n')?;
    Some((Origin::parse(text).ok()?, line.len() as u64))
}

/// The line of an entry, and its leaf hash.
pub(crate) fn encode(entry: &[u8]) -> (Vec<u8>, Digest) {
    let leaf = leaf_hash(entry);
    let mut line = Vec::with_capacity(CHECK_DIGITS + entry.len() + 2);
    line.extend_from_slice(&check(&leaf));
    line.push(b' ');
    line.extend_from_slice(entry);
    line.push(b'\n');
    (line, leaf)
}

/// The entry of a line, and its leaf hash; none when the line is torn or altered.
pub(crate) fn decode(line: &[u8]) -> Option<(&[u8], Digest)> {
    let (digits, rest) = line.split_at_checked(CHECK_DIGITS)?;
    let entry = rest.strip_prefix(b" ")?.strip_suffix(b"\n")?;
    let leaf = leaf_hash(entry);
    (check(&leaf) == digits).then_some((entry, leaf))
}

/// The same without copying: the space before the entry is, for the while, the zero byte that its hash begins with.
fn decode_in_place(line: &mut [u8]) -> Option<(&[u8], Digest)> {
    let (digits, rest) = line.split_at_mut_checked(CHECK_DIGITS)?;
    let [space @ b' ', .., b'\n'] = rest else { return None };
    *space = 0;
    let end = rest.len() - 1;
    let leaf = sha256(rest.get(..end)?);
    if let Some(space) = rest.first_mut() {
        *space = b' ';
    }
    (check(&leaf) == digits).then_some((rest.get(1..end)?, leaf))
}

fn check(leaf: &Digest) -> [u8; CHECK_DIGITS] {
    let mut digits = [0; CHECK_DIGITS];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(leaf.0) {
        *pair = [hex(byte >> 4), hex(byte & 15)];
    }
    digits
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

/// The time of an entry in its canonical form, where `time` is the last member.
pub(crate) fn time_of(entry: &[u8]) -> Option<Timestamp> {
    let rest = entry.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, digits) = rest.split_at_checked(rest.len() - digits)?;
    let digits = std::str::from_utf8(digits).ok().filter(|_| rest.ends_with(b"\"time\":"))?;
    digits.parse().ok().map(Timestamp)
}

/// One step of reading a journal.
pub(crate) enum Line<'a> {
    /// An entry that fits its hash.
    Entry {
        /// Where the line begins.
        offset: u64,
        /// Length of the line.
        length: u64,
        /// The entry.
        entry: &'a [u8],
        /// Its leaf hash.
        leaf: Digest,
    },
    /// A line that is torn or altered; nothing after it can be relied on.
    Bad {
        /// Where it begins.
        offset: u64,
        /// Whether it has a zero byte, which no line has: what a loss of power leaves of writes that did not
        /// reach the disk while later ones did.
        hole: bool,
    },
    /// The end.
    End,
}

/// Reads lines between two offsets, in constant memory.
pub(crate) struct Lines {
    reader: BufReader<std::io::Take<File>>,
    offset: u64,
    end: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Reads `file` from `offset` up to `end`.
    pub(crate) fn new(mut file: File, offset: u64, end: u64) -> std::io::Result<Self> {
        file.seek(SeekFrom::Start(offset))?;
        let reader = BufReader::with_capacity(READ_BUFFER_BYTES, file.take(end.saturating_sub(offset)));
        Ok(Self { reader, offset, end, line: Vec::new() })
    }

    /// The next line.
    pub(crate) fn next(&mut self) -> std::io::Result<Line<'_>> {
        if self.offset >= self.end {
            return Ok(Line::End);
        }
        let offset = self.offset;
        self.line.clear();
        (&mut self.reader).take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(Line::Bad { offset, hole: false }); // shorter than it was a moment ago
        }
        let length = self.line.len() as u64;
        self.offset += length;
        let hole = self.line.contains(&0);
        Ok(match decode_in_place(&mut self.line) {
            Some((entry, leaf)) => Line::Entry { offset, length, entry, leaf },
            None => Line::Bad { offset, hole },
        })
    }

    /// Whether an entry that fits its hash follows anywhere: then a bad line before it is no torn end.
    pub(crate) fn any_entry_follows(&mut self) -> std::io::Result<bool> {
        loop {
            let before = self.offset;
            match self.next()? {
                Line::Entry { .. } => return Ok(true),
                Line::End => return Ok(false),
                Line::Bad { .. } => {}
            }
            if self.offset == before {
                return Ok(false);
            }
        }
    }
}

/// Reading in pieces of this size keeps the cost of system calls below that of hashing.
const READ_BUFFER_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_any_byte_changed_added_or_missing_is_not_an_entry() {
        let (line, leaf) = encode(b"{\"time\":1}");
        assert_eq!(decode(&line), Some((&b"{\"time\":1}"[..], leaf)));
        assert_eq!(decode_in_place(&mut line.clone()), Some((&b"{\"time\":1}"[..], leaf)));
        assert_eq!(
            (decode_in_place(&mut []), decode_in_place(&mut [b'0'; 17]), decode_in_place(&mut [b'\n'; 18])),
            (None, None, None)
        );
        for place in 0..line.len() {
            for change in 1..=255u8 {
                let mut altered = line.clone();
                altered[place] ^= change;
                assert_eq!(decode(&altered), None, "byte {place} xor {change}");
                assert_eq!(decode_in_place(&mut altered), None, "byte {place} xor {change}");
            }
            let mut shorter = line.clone();
            shorter.remove(place);
            assert_eq!(decode(&shorter), None, "without byte {place}");
            assert_eq!(decode(&line[..place]), None, "cut at {place}");
            let mut longer = line.clone();
            longer.insert(place, b'0');
            if longer != line {
                assert_eq!(decode(&longer), None, "with a byte more at {place}");
            }
        }
    }

    #[test]
    fn a_first_line_of_another_format_or_version_is_refused() {
        let good = header(&Origin::parse("example.org/log").unwrap());
        assert_eq!(parse_header(good.as_bytes()).unwrap().1, good.len() as u64);
        for bad in [
            "",
            "\n",
            "hotcell audit journal v1 example.org/log",
            "hotcell audit journal v2 example.org/log\n",
            "hotcell audit journal v1 \n",
            "hotcell audit journal v1 two words\n",
            " hotcell audit journal v1 example.org/log\n",
        ] {
            assert!(parse_header(bad.as_bytes()).is_none(), "{bad:?}");
        }
    }
}
