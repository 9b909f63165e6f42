//! Tar archives of plain files: no link, no device, no extension that changes a name or a length.

use super::path::checked;
use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// Whether a file begins like one.
pub(crate) fn begins_like_one(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// The plain files: their names and bytes.
pub(crate) fn members(source: &Source) -> Result<Vec<(String, Source)>, Bad> {
    let (mut members, mut at) = (Vec::new(), 0u64);
    while at < source.len() {
        let block = source.bytes(at, 512)?;
        let block = block.first_chunk::<512>().ok_or_else(|| Bad::malformed("it ends in a header").at(at))?;
        if block.iter().all(|byte| *byte == 0) {
            return match is_zero(&source.part(at, source.len() - at)?)? {
                true => Ok(members),
                false => Err(Bad::new(Why::Ambiguous, "more follows its end").at(at)),
            };
        }
        let header = ::tar::Header::from_byte_slice(block);
        check_sum(header, at)?;
        let size = header.entry_size().map_err(|_| Bad::malformed("a header has no length").at(at))?;
        let data = source.part(at + 512, size)?;
        let name = header.path_bytes();
        let name = std::str::from_utf8(&name).map_err(|_| Bad::new(Why::OutsideName, "a name is not UTF-8").at(at))?;
        match header.entry_type() {
            ::tar::EntryType::Regular => {
                checked(name)?;
                members.push((name.to_owned(), data));
            }
            ::tar::EntryType::Directory => {
                let name = name.trim_end_matches('/');
                if !matches!(name, "." | "./") {
                    checked(name)?;
                }
            }
            ::tar::EntryType::XHeader => pax(&data, at)?,
            other => {
                let reason = format!("`{}` is no plain file (type {:?})", shown(name), char::from(other.as_byte()));
                return Err(Bad::new(Why::Link, reason).at(at));
            }
        }
        if members.len() > MAX_MEMBERS {
            return Err(Bad::new(Why::TooLarge, format!("it has more than {MAX_MEMBERS} members")));
        }
        let blocks = size.checked_next_multiple_of(512).and_then(|size| at.checked_add(512)?.checked_add(size));
        at = blocks.ok_or_else(|| Bad::malformed("a length is too large").at(at))?;
    }
    Err(Bad::malformed("it has no end"))
}

fn check_sum(header: &::tar::Header, at: u64) -> Result<(), Bad> {
    let sum: u32 = header
        .as_bytes()
        .iter()
        .enumerate()
        .map(|(place, byte)| if (148..156).contains(&place) { 32 } else { u32::from(*byte) })
        .sum();
    match header.cksum() {
        Ok(said) if said == sum => Ok(()),
        _ => Err(Bad::malformed("a header does not fit its sum").at(at)),
    }
}

/// Extended headers may say times and owners; a name or a length said twice is read in two ways.
fn pax(data: &Source, at: u64) -> Result<(), Bad> {
    let bytes = data.whole(MAX_PAX)?;
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let wrong = || Bad::malformed("an extended header is not one").at(at);
        let space = rest.iter().position(|byte| *byte == b' ').ok_or_else(wrong)?;
        let length =
            std::str::from_utf8(rest.get(..space).unwrap_or_default()).ok().and_then(|text| text.parse::<usize>().ok());
        let (record, after) = length.and_then(|length| rest.split_at_checked(length)).ok_or_else(wrong)?;
        let field = record.get(space + 1..).and_then(|field| field.strip_suffix(b"\n")).ok_or_else(wrong)?;
        let key = field.split(|byte| *byte == b'=').next().unwrap_or_default();
        if !matches!(key, b"mtime" | b"atime" | b"ctime" | b"uid" | b"gid" | b"uname" | b"gname" | b"comment") {
            let reason = format!("an extended header says `{}`", shown(&String::from_utf8_lossy(key)));
            return Err(Bad::new(Why::Ambiguous, reason).at(at));
        }
        rest = after;
    }
    Ok(())
}

fn is_zero(source: &Source) -> Result<bool, Bad> {
    // Padding to whole records: no more than one of the largest.
    Ok(source.len() <= MAX_PADDING && source.whole(MAX_PADDING)?.iter().all(|byte| *byte == 0))
}

const MAX_MEMBERS: usize = 1 << 16;
const MAX_PAX: u64 = 1 << 16;
const MAX_PADDING: u64 = 1 << 20;
