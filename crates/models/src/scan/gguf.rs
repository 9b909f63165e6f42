//! GGUF: settings, a list of tensors, their bytes.

use super::cursor::Cursor;
use super::jinja;
use super::kind::Scanner;
use super::refusal::{Bad, Why, shown};
use super::source::Source;

/// Goes through settings and tensors; every count is backed by bytes, every tensor lies within the file.
pub(crate) fn scan(scanner: &mut Scanner, source: &Source, place: &str) -> Result<(), Bad> {
    let mut cursor = Cursor::new(source);
    cursor.skip(4)?;
    match cursor.u32()? {
        2 | 3 => {}
        other => return Err(Bad::new(Why::UnknownFormat, format!("its version {other} is not known"))),
    }
    let (tensors, settings) = (cursor.u64()?, cursor.u64()?);
    if tensors > MAX_ITEMS || settings > MAX_ITEMS {
        return Err(Bad::new(Why::TooLarge, format!("it says {tensors} tensors and {settings} settings")));
    }
    let mut alignment = 32;
    for _ in 0..settings {
        let key = text(&mut cursor, MAX_KEY)?;
        let kind = cursor.u32()?;
        match (key.as_str(), kind) {
            ("general.alignment", U32) => alignment = u64::from(cursor.u32()?),
            (key, STRING) if key.starts_with("tokenizer.chat_template") => {
                if let Err(bad) = jinja::check(&text(&mut cursor, MAX_TEMPLATE)?) {
                    scanner.refuse(bad, &format!("{place} › {}", shown(key)));
                }
            }
            _ => skip_value(&mut cursor, kind, 0)?,
        }
    }
    if !alignment.is_power_of_two() || alignment > MAX_ALIGNMENT {
        return Err(Bad::malformed(format!("its alignment {alignment} is none")));
    }
    let mut ends = Vec::new();
    for _ in 0..tensors {
        ends.push(tensor(&mut cursor, alignment)?);
    }
    let data = cursor.at().next_multiple_of(alignment);
    for (name, offset, bytes) in ends {
        let end = data.checked_add(offset).and_then(|start| start.checked_add(bytes));
        if end.is_none_or(|end| end > source.len()) {
            return Err(Bad::malformed(format!("the tensor `{name}` lies beyond the end of the file")));
        }
    }
    Ok(())
}

/// Name, place and length of a tensor.
fn tensor(cursor: &mut Cursor<'_>, alignment: u64) -> Result<(String, u64, u64), Bad> {
    let name = shown(&text(cursor, MAX_KEY)?);
    let dimensions = cursor.u32()?;
    if dimensions > 8 {
        return Err(Bad::malformed(format!("the tensor `{name}` has {dimensions} dimensions")));
    }
    let mut elements = 1u64;
    for _ in 0..dimensions {
        let size = cursor.u64()?;
        elements =
            elements.checked_mul(size).ok_or_else(|| Bad::malformed(format!("the tensor `{name}` is too large")))?;
    }
    let kind = cursor.u32()?;
    let (block, bytes) =
        block(kind).ok_or_else(|| Bad::malformed(format!("the tensor `{name}` has the unknown type {kind}")))?;
    let offset = cursor.u64()?;
    if !elements.is_multiple_of(block) || !offset.is_multiple_of(alignment) {
        return Err(Bad::malformed(format!("the tensor `{name}` has an impossible shape or place")));
    }
    let bytes = (elements / block).checked_mul(bytes);
    Ok((name.clone(), offset, bytes.ok_or_else(|| Bad::malformed(format!("the tensor `{name}` is too large")))?))
}

fn skip_value(cursor: &mut Cursor<'_>, kind: u32, depth: u32) -> Result<(), Bad> {
    match kind {
        0 | 1 | 7 => cursor.skip(1),
        2 | 3 => cursor.skip(2),
        U32 | 5 | 6 => cursor.skip(4),
        10..=12 => cursor.skip(8),
        STRING => {
            let length = cursor.u64()?;
            cursor.skip(length)
        }
        9 if depth < 4 => {
            let (kind, count) = (cursor.u32()?, cursor.u64()?);
            // Each item takes a byte at least, so that the count is bounded by the file.
            if count > cursor.rest() {
                return Err(
                    Bad::malformed(format!("a list says {count} items, and fewer bytes follow")).at(cursor.at())
                );
            }
            (0..count).try_for_each(|_| skip_value(cursor, kind, depth + 1))
        }
        other => Err(Bad::malformed(format!("a setting has the unknown type {other}")).at(cursor.at())),
    }
}

fn text(cursor: &mut Cursor<'_>, most: u64) -> Result<String, Bad> {
    let length = cursor.u64()?;
    let bytes = cursor.take(length, most)?;
    String::from_utf8(bytes).map_err(|_| Bad::malformed("a text is not UTF-8").at(cursor.at()))
}

/// Elements and bytes of one block of a type.
fn block(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        24 => (1, 1),
        27 | 28 => (1, 8),
        2 => (32, 18),
        3 => (32, 20),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        20 => (32, 18),
        21 => (256, 110),
        22 => (256, 82),
        23 => (256, 136),
        29 => (256, 56),
        34 => (256, 54),
        35 => (256, 66),
        39 => (32, 17),
        _ => return None,
    })
}

const U32: u32 = 4;
const STRING: u32 = 8;
/// Tensors or settings: the largest models have some thousand.
const MAX_ITEMS: u64 = 1 << 20;
const MAX_KEY: u64 = 1 << 16;
const MAX_TEMPLATE: u64 = 1 << 20;
const MAX_ALIGNMENT: u64 = 1 << 20;
