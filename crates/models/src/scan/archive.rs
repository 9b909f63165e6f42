//! Archives and what is compressed: unpacked into memory within bounds, each member looked at as a file of its own.

use std::io::Read;

use super::archive_entry::unpack;
use super::kind::{Kind, Scanner};
use super::refusal::{Bad, Why, shown};
use super::source::Source;
use super::storages::Storages;
use super::zip::Member;
use super::{numpy, pickle, tar, zip};

/// A zip: of PyTorch's, of NumPy's, or of files.
pub(crate) fn zip_file(scanner: &mut Scanner, source: &Source, place: &str) -> Result<Kind, Bad> {
    let members = zip::members(source)?;
    count(scanner, members.len())?;
    if let Some(root) = members.iter().find_map(|member| member.name.strip_suffix("/data.pkl")) {
        return pytorch(scanner, &members, root, place).map(|()| Kind::PytorchArchive);
    }
    let arrays = !members.is_empty() && members.iter().all(|member| member.name.ends_with(".npy"));
    for member in &members {
        let inner = unpack(scanner, member)?;
        let place = format!("{place}!{}", member.name);
        match arrays {
            true => {
                // NumPy takes for a pickle what does not begin like an array.
                let array = match inner.head(6)?.as_slice() == b"\x93NUMPY" {
                    true => numpy::scan(&inner),
                    false => Err(Bad::malformed("it is no array")),
                };
                if let Err(bad) = array {
                    scanner.refuse(bad, &place);
                }
            }
            false => drop(scanner.file(&inner, &place)),
        }
    }
    Ok(if arrays { Kind::NumpyArchive } else { Kind::Zip })
}

/// PyTorch's archive: one folder, one pickle, the storages that it names, and a few lines about them.
fn pytorch(scanner: &mut Scanner, members: &[Member], root: &str, place: &str) -> Result<(), Bad> {
    let mut storages = Storages::default();
    let mut found = 0;
    for member in members {
        let inside = member.name.strip_prefix(root).and_then(|rest| rest.strip_prefix('/'));
        let Some(inside) = inside else {
            return Err(Bad::new(Why::Ambiguous, format!("`{}` lies outside its one folder", shown(&member.name))));
        };
        if inside == "data.pkl" {
            let inner = unpack(scanner, member)?;
            storages = pickle::scan_torch(scanner, &inner, &format!("{place}!{}", member.name));
        }
    }
    for member in members {
        let inside = member.name.get(root.len() + 1..).unwrap_or_default();
        let place = format!("{place}!{}", member.name);
        match inside {
            "data.pkl" => {}
            "version" | "byteorder" | ".format_version" | ".storage_alignment" | ".data/serialization_id" => {
                let plain = member.bytes <= 64
                    && unpack(scanner, member)?.whole(64)?.iter().all(|byte| byte.is_ascii_graphic() || *byte == b'\n');
                if !plain {
                    scanner.refuse(Bad::new(Why::UnknownFormat, "it is no line about the archive"), &place);
                }
            }
            _ => match inside.strip_prefix("data/").and_then(|key| storages.get(key)) {
                Some(storage) if storage.bytes <= member.bytes => {
                    found += 1;
                    if member.deflated {
                        unpack(scanner, member)?;
                    }
                }
                Some(_) => scanner.refuse(Bad::malformed("it is shorter than the tensors that use it"), &place),
                None if inside.starts_with("code/") || inside == "constants.pkl" => {
                    scanner.refuse(Bad::new(Why::Code, "it is a program (TorchScript)"), &place);
                }
                None => scanner.refuse(Bad::new(Why::UnknownFormat, "nothing in the archive names it"), &place),
            },
        }
    }
    if found < storages.len() && scanner.refused.is_empty() {
        return Err(Bad::malformed("a storage that it names is not there"));
    }
    Ok(())
}

/// A tar of files.
pub(crate) fn tar_file(scanner: &mut Scanner, source: &Source, place: &str) -> Result<Kind, Bad> {
    let members = tar::members(source)?;
    count(scanner, members.len())?;
    let mut names = std::collections::BTreeSet::new();
    for (name, inner) in &members {
        if !names.insert(name.to_lowercase()) {
            return Err(Bad::new(Why::Ambiguous, format!("two members have the name `{}`", shown(name))));
        }
        scanner.file(inner, &format!("{place}!{name}"));
    }
    Ok(Kind::Tar)
}

/// Something that is compressed as a whole; none where it is not.
pub(crate) fn compressed(
    scanner: &mut Scanner,
    source: &Source,
    head: &[u8],
    place: &str,
) -> Result<Option<Kind>, Bad> {
    let mut inner = Vec::new();
    let limit = MAX_UNPACKED.saturating_sub(scanner.unpacked);
    let reader = Sequence { source, at: 0 };
    let most = limit.min(source.len().saturating_mul(MAX_RATIO).max(SMALL));
    let rest = match head {
        [0x1f, 0x8b, 8, ..] => {
            let mut unpacker = flate2::bufread::GzDecoder::new(std::io::BufReader::new(reader));
            take(&mut unpacker, &mut inner, most)?;
            left(&mut unpacker.into_inner())?
        }
        [0x78, second, ..] if (0x7800 | u16::from(*second)) % 31 == 0 => {
            let mut unpacker = flate2::bufread::ZlibDecoder::new(std::io::BufReader::new(reader));
            take(&mut unpacker, &mut inner, most)?;
            left(&mut unpacker.into_inner())?
        }
        [b'B', b'Z', b'h', ..]
        | [0xfd, b'7', b'z', b'X', b'Z', 0, ..]
        | [b'7', b'z', 0xbc, 0xaf, 0x27, 0x1c, ..]
        | [0x28, 0xb5, 0x2f, 0xfd, ..]
        | [0x04, 0x22, 0x4d, 0x18, ..]
        | [0x5d, 0, 0, ..]
        | [b'R', b'a', b'r', b'!', ..] => {
            return Err(Bad::new(Why::Compressed, "it is compressed in a way that is not looked into"));
        }
        _ => return Ok(None),
    };
    if rest > 0 {
        return Err(Bad::new(Why::Ambiguous, "more follows the end of what is compressed"));
    }
    scanner.unpacked += inner.len() as u64;
    let name = place.to_owned();
    let name = [".gz", ".z", ".tgz"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(&name);
    scanner.file(&Source::memory(inner), name);
    Ok(Some(Kind::Compressed))
}

fn take(from: &mut impl Read, into: &mut Vec<u8>, most: u64) -> Result<(), Bad> {
    let read = from.by_ref().take(most + 1).read_to_end(into);
    read.map_err(|error| Bad::malformed(format!("it cannot be unpacked: {error}")))?;
    match into.len() as u64 > most {
        true => Err(Bad::new(Why::TooLarge, format!("unpacked it has more than {most} bytes"))),
        false => Ok(()),
    }
}

fn left(reader: &mut impl Read) -> Result<u64, Bad> {
    std::io::copy(reader, &mut std::io::sink()).map_err(|error| Bad::malformed(format!("it cannot be read: {error}")))
}

fn count(scanner: &mut Scanner, members: usize) -> Result<(), Bad> {
    scanner.members += members;
    match scanner.members > MAX_MEMBERS {
        true => Err(Bad::new(Why::TooLarge, format!("its archives have more than {MAX_MEMBERS} members"))),
        false => Ok(()),
    }
}

/// Reads a source in its order.
pub(crate) struct Sequence<'a> {
    pub(crate) source: &'a Source,
    pub(crate) at: u64,
}

impl Read for Sequence<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.source.read_at(self.at, into).map_err(|bad| std::io::Error::other(bad.reason))?;
        self.at += read as u64;
        Ok(read)
    }
}

/// All that is unpacked of one file.
pub(crate) const MAX_UNPACKED: u64 = 2 << 30;
/// How many times larger something may be unpacked.
pub(crate) const MAX_RATIO: u64 = 200;
/// Up to this, zeros may be packed as small as they get.
pub(crate) const SMALL: u64 = 64 << 20;
const MAX_MEMBERS: usize = 1 << 17;
