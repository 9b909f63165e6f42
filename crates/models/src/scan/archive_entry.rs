//! One member of a zip archive, unpacked.

use super::archive::{MAX_RATIO, MAX_UNPACKED, SMALL, Sequence};
use super::kind::Scanner;
use super::refusal::{Bad, Why, shown};
use super::source::Source;
use super::zip::Member;

/// The bytes of a member: where they lie, or unpacked into memory. They have to be as long as the archive says, and fit
/// its checksum: some readers stop at one that does not, and others go on.
pub(crate) fn unpack(scanner: &mut Scanner, member: &Member) -> Result<Source, Bad> {
    let name = shown(&member.name);
    let inner = match member.deflated {
        false => member.packed.clone(),
        true => {
            let small = member.bytes <= SMALL || member.bytes / MAX_RATIO <= member.packed.len();
            if !small || member.bytes > MAX_UNPACKED.saturating_sub(scanner.unpacked) {
                return Err(Bad::new(Why::TooLarge, format!("`{name}` unpacks to {} bytes", member.bytes)));
            }
            scanner.unpacked += member.bytes;
            inflate(member)?
        }
    };
    match checksum(&inner)? == member.crc {
        true => Ok(inner),
        false => Err(Bad::new(Why::Ambiguous, format!("`{name}` does not fit its checksum"))),
    }
}

fn inflate(member: &Member) -> Result<Source, Bad> {
    use std::io::Read as _;
    let wrong = |why: String| Bad::malformed(format!("`{}` cannot be unpacked: {why}", shown(&member.name)));
    let mut packed = std::io::BufReader::new(Sequence { source: &member.packed, at: 0 });
    let mut inner = Vec::new();
    let mut unpacker = flate2::bufread::DeflateDecoder::new(&mut packed);
    unpacker
        .by_ref()
        .take(member.bytes.saturating_add(1))
        .read_to_end(&mut inner)
        .map_err(|error| wrong(error.to_string()))?;
    if inner.len() as u64 != member.bytes {
        return Err(wrong("it is longer or shorter than the archive says".to_owned()));
    }
    let mut rest = [0];
    match packed.read(&mut rest) {
        Ok(0) => Ok(Source::memory(inner)),
        _ => Err(wrong("more follows its end".to_owned())),
    }
}

fn checksum(source: &Source) -> Result<u32, Bad> {
    let mut crc = flate2::Crc::new();
    let (mut at, mut buffer) = (0, vec![0; 1 << 18]);
    loop {
        let read = source.read_at(at, &mut buffer)?;
        if read == 0 {
            return Ok(crc.sum());
        }
        crc.update(buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
}
