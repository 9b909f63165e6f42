//! Zip archives: read from the end as one does, and from the front, and only where both say the same.

use std::collections::BTreeSet;

use super::path::checked;
use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// A member of an archive.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) deflated: bool,
    /// Its bytes in the archive.
    pub(crate) packed: Source,
    pub(crate) bytes: u64,
    pub(crate) crc: u32,
}

/// Whether the file's last bytes end an archive.
pub(crate) fn ends_like_one(source: &Source) -> Result<bool, Bad> {
    Ok(end_record(source)?.is_some())
}

/// The members, in their order. Each one's own header has to say what the directory says of it, and they lie one after the
/// other from the first byte on.
pub(crate) fn members(source: &Source) -> Result<Vec<Member>, Bad> {
    let end = end_record(source)?.ok_or_else(|| Bad::malformed("it begins like a zip archive and has no directory"))?;
    let directory = source.part(end.offset, end.length)?.whole(MAX_DIRECTORY)?;
    let mut rest = directory.as_slice();
    let (mut members, mut names, mut at) = (Vec::new(), BTreeSet::new(), 0);
    for _ in 0..end.entries {
        let mut entry = Entry::read(&mut rest)?;
        checked(entry.name.strip_suffix('/').unwrap_or(&entry.name))?;
        // One system's two names can be another's one.
        if !names.insert(entry.name.to_lowercase()) {
            return Err(ambiguous(format!("two members have the name `{}`", shown(&entry.name))));
        }
        if entry.offset != at {
            return Err(ambiguous(format!("`{}` does not lie where the member before it ends", shown(&entry.name))));
        }
        let packed = entry.local(source)?;
        at = entry.end;
        if entry.name.ends_with('/') {
            continue;
        }
        members.push(Member {
            name: entry.name,
            deflated: entry.method == 8,
            packed,
            bytes: entry.bytes,
            crc: entry.crc,
        });
    }
    if !rest.is_empty() || at != end.offset {
        return Err(ambiguous("its directory and its members do not fit each other"));
    }
    Ok(members)
}

fn ambiguous(reason: impl Into<String>) -> Bad {
    Bad::new(Why::Ambiguous, reason)
}

struct End {
    entries: u64,
    offset: u64,
    length: u64,
}

fn end_record(source: &Source) -> Result<Option<End>, Bad> {
    let tail = source.tail(END + usize::from(u16::MAX))?;
    let tail_start = source.len() - tail.len() as u64;
    for place in (0..=tail.len().saturating_sub(END)).rev() {
        let Some(record) = tail.get(place..).filter(|rest| rest.starts_with(b"PK\x05\x06") && rest.len() >= END) else {
            continue;
        };
        if usize::from(u16_at(record, 20)) + END != record.len() {
            continue;
        }
        let here = tail_start + place as u64;
        return read_end(source, record, here).map(Some);
    }
    Ok(None)
}

fn read_end(source: &Source, record: &[u8], here: u64) -> Result<End, Bad> {
    if u16_at(record, 4) != 0 && u16_at(record, 4) != u16::MAX {
        return Err(ambiguous("it is spread over several disks"));
    }
    if u16_at(record, 20) != 0 {
        return Err(ambiguous("a comment follows its directory"));
    }
    let mut end = End {
        entries: u64::from(u16_at(record, 10)),
        length: u64::from(u32_at(record, 12)),
        offset: u64::from(u32_at(record, 16)),
    };
    let mut directory_end = here;
    // The record for large archives is read where it is there, needed or not; so do the others.
    if let Some(locator) = here.checked_sub(20) {
        let bytes = source.bytes(locator, 20)?;
        if bytes.starts_with(b"PK\x06\x07") {
            let large = u64_at(&bytes, 8);
            let record = source.bytes(large, 56)?;
            if !record.starts_with(b"PK\x06\x06")
                || record.len() < 56
                || u64_at(&record, 4) != 44
                || large.checked_add(56) != Some(locator)
            {
                return Err(ambiguous("its record for large archives is not in its place"));
            }
            let wide = End { entries: u64_at(&record, 32), length: u64_at(&record, 40), offset: u64_at(&record, 48) };
            let same = |short: u64, wide: u64, most: u64| short == wide || short == most;
            if !same(end.entries, wide.entries, 0xffff)
                || !same(end.length, wide.length, 0xffff_ffff)
                || !same(end.offset, wide.offset, 0xffff_ffff)
            {
                return Err(ambiguous("its two ends say different things"));
            }
            end = wide;
            directory_end = large;
        }
    }
    if end.entries > MAX_MEMBERS {
        return Err(Bad::new(Why::TooLarge, format!("it has more than {MAX_MEMBERS} members")));
    }
    match end.offset.checked_add(end.length) == Some(directory_end) {
        true => Ok(end),
        false => Err(ambiguous("its directory does not lie right before its end")),
    }
}

#[derive(Debug)]
struct Entry {
    flags: u16,
    method: u16,
    crc: u32,
    packed: u64,
    bytes: u64,
    offset: u64,
    name: String,
    /// Where the member ends, with what follows its bytes.
    end: u64,
}

impl Entry {
    fn read(rest: &mut &[u8]) -> Result<Self, Bad> {
        let cut = || Bad::malformed("its directory is cut off");
        let (head, after) = rest.split_at_checked(46).ok_or_else(cut)?;
        if !head.starts_with(b"PK\x01\x02") {
            return Err(Bad::malformed("its directory has something else than members"));
        }
        let (name, extra, comment) =
            (usize::from(u16_at(head, 28)), usize::from(u16_at(head, 30)), usize::from(u16_at(head, 32)));
        let (name, after) = after.split_at_checked(name).ok_or_else(cut)?;
        let (extra, after) = after.split_at_checked(extra).ok_or_else(cut)?;
        let (_, after) = after.split_at_checked(comment).ok_or_else(cut)?;
        *rest = after;
        let name = plain_name(name)?;
        let mode = u32_at(head, 38) >> 16;
        if !matches!(mode & 0o170_000, 0 | 0o100_000 | 0o040_000) {
            return Err(Bad::new(Why::Link, format!("`{}` is a link or no file", shown(&name))));
        }
        let mut entry = Self {
            flags: u16_at(head, 8),
            method: u16_at(head, 10),
            crc: u32_at(head, 16),
            packed: u64::from(u32_at(head, 20)),
            bytes: u64::from(u32_at(head, 24)),
            offset: u64::from(u32_at(head, 42)),
            name,
            end: 0,
        };
        let [bytes, packed, offset] =
            wide(extra, [Some(&mut entry.bytes), Some(&mut entry.packed), Some(&mut entry.offset)]).ok_or_else(cut)?;
        (entry.bytes, entry.packed, entry.offset) = (bytes, packed, offset);
        if entry.flags & !(1 << 3 | 1 << 11 | 0b110) != 0 || !matches!(entry.method, 0 | 8) {
            let what = format!("`{}` is encrypted, or compressed in a way that is not looked into", shown(&entry.name));
            return Err(Bad::new(Why::Compressed, what));
        }
        Ok(entry)
    }

    /// The member's own header, which has to say the same; gives its bytes.
    fn local(&mut self, source: &Source) -> Result<Source, Bad> {
        let differs =
            || ambiguous(format!("`{}` has a header that says something else than the directory", shown(&self.name)));
        let head = source.bytes(self.offset, 30)?;
        if head.len() < 30 || !head.starts_with(b"PK\x03\x04") {
            return Err(differs());
        }
        let (name, extra) = (u64::from(u16_at(&head, 26)), u64::from(u16_at(&head, 28)));
        let start = self.offset.checked_add(30 + name + extra).ok_or_else(differs)?;
        let name = source.part(self.offset + 30, name)?.whole(u64::from(u16::MAX))?;
        let extra = source.part(start - extra, extra)?.whole(u64::from(u16::MAX))?;
        if plain_name(&name)? != self.name || u16_at(&head, 8) != self.method || u16_at(&head, 6) != self.flags {
            return Err(differs());
        }
        let (mut bytes, mut packed) = (u64::from(u32_at(&head, 22)), u64::from(u32_at(&head, 18)));
        [bytes, packed, _] = wide(&extra, [Some(&mut bytes), Some(&mut packed), None]).ok_or_else(differs)?;
        let follows = self.flags & (1 << 3) != 0;
        let same = |here: u64, there: u64| here == there || (follows && here == 0);
        if !same(bytes, self.bytes)
            || !same(packed, self.packed)
            || !same(u64::from(u32_at(&head, 14)), u64::from(self.crc))
        {
            return Err(differs());
        }
        if self.method == 0 && self.packed != self.bytes {
            return Err(differs());
        }
        let data = source.part(start, self.packed)?;
        self.end = start + self.packed;
        if follows {
            self.end = self.descriptor(source).ok_or_else(differs)?;
        }
        Ok(data)
    }

    /// The end of what follows the bytes of a member whose lengths were not known before: lengths in 32 bits or in 64.
    fn descriptor(&self, source: &Source) -> Option<u64> {
        let bytes = source.bytes(self.end, 24).ok()?;
        if !bytes.starts_with(b"PK\x07\x08") || u32_at(&bytes, 4) != self.crc {
            return None;
        }
        let short = u64::from(u32_at(&bytes, 8)) == self.packed && u64::from(u32_at(&bytes, 12)) == self.bytes;
        let wide = bytes.len() == 24 && u64_at(&bytes, 8) == self.packed && u64_at(&bytes, 16) == self.bytes;
        // What follows tells which of the two it is.
        let next = |length: u64| source.bytes(self.end + length, 2).is_ok_and(|bytes| bytes == b"PK");
        match (wide && next(24), short && next(16)) {
            (true, false) => Some(self.end + 24),
            (false, true) => Some(self.end + 16),
            _ => None,
        }
    }
}

/// The lengths of the field for large files, in place of those that say they are there.
fn wide(mut extra: &[u8], short: [Option<&mut u64>; 3]) -> Option<[u64; 3]> {
    let mut values = short.map(|value| value.map_or(0, |value| *value));
    let mut seen = false;
    // Less than a head is padding.
    while extra.len() >= 4 {
        let (kind, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let (mut field, rest) = extra.get(4..)?.split_at_checked(length)?;
        if kind == 1 {
            if std::mem::replace(&mut seen, true) {
                return None;
            }
            for value in values.iter_mut().filter(|value| **value == 0xffff_ffff) {
                let (wide, rest) = field.split_first_chunk::<8>()?;
                *value = u64::from_le_bytes(*wide);
                field = rest;
            }
        }
        // Another name, by which some programs know the member.
        if kind == 0x7075 {
            return None;
        }
        extra = rest;
    }
    Some(values)
}

fn plain_name(bytes: &[u8]) -> Result<String, Bad> {
    let name = std::str::from_utf8(bytes).map_err(|_| Bad::new(Why::OutsideName, "a member's name is not UTF-8"))?;
    Ok(name.to_owned())
}

fn u16_at(bytes: &[u8], place: usize) -> u16 {
    bytes.get(place..).and_then(<[_]>::first_chunk).map_or(0, |bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], place: usize) -> u32 {
    bytes.get(place..).and_then(<[_]>::first_chunk).map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn u64_at(bytes: &[u8], place: usize) -> u64 {
    bytes.get(place..).and_then(<[_]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Bytes of the end record without a comment.
const END: usize = 22;
const MAX_MEMBERS: u64 = 1 << 16;
const MAX_DIRECTORY: u64 = 64 << 20;
