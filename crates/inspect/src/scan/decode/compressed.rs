//! Compressed streams and archives, within bounds.

use std::io::Read;

use super::super::place::Map;
use super::Decoded;

/// Most bytes that one stream or member is unpacked to.
pub(crate) const MAX_UNPACKED_BYTES: usize = 64 << 20;
/// Largest ratio that is believed: beyond it a stream is taken for a bomb, and told.
const MAX_RATIO: usize = 1100;
/// A stream without a magic number is tried from this size on.
const LEAST_UNMARKED: usize = 16;
/// The greatest window of Zstandard that is given memory.
const MAX_WINDOW_BYTES: u64 = 8 << 20;
/// Fewer unpacked bytes prove nothing where the end is missing.
const LEAST_UNPACKED: usize = 16;

/// What became of a stream.
#[derive(Debug)]
pub(crate) enum Unpacked {
    /// Its bytes, whole or as far as they are there.
    Bytes(Decoded),
    /// Its bytes up to the bound; the rest was not looked at.
    Cut(Decoded),
    /// It is none.
    Nothing,
}

/// The formats that say what they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zlib,
    Zstd,
    Zip,
}

/// What each begins with.
pub(crate) const MAGIC: &[(Packing, &[u8])] = &[
    (Packing::Gzip, b"\x1f\x8b\x08"),
    (Packing::Zstd, b"\x28\xb5\x2f\xfd"),
    (Packing::Zip, b"PK\x03\x04"),
    (Packing::Zlib, b"\x78\x01"),
    (Packing::Zlib, b"\x78\x5e"),
    (Packing::Zlib, b"\x78\x9c"),
    (Packing::Zlib, b"\x78\xda"),
];

/// Whether bytes begin as one of them.
pub(crate) fn has_magic(bytes: &[u8]) -> bool {
    MAGIC.iter().any(|(packing, magic)| bytes.starts_with(magic) && (*packing != Packing::Zlib || is_zlib(bytes)))
}

/// The two bytes of zlib are a multiple of 31.
fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, ..] if (u32::from(*first) * 256 + u32::from(*second)).is_multiple_of(31))
}

/// Unpacks the stream that begins at `at`, to at most `most` bytes. Also says how many bytes were read for it: what
/// only looks like a stream costs them too.
pub(crate) fn unpack(packing: Packing, bytes: &[u8], at: usize, most: usize) -> (Unpacked, usize) {
    let rest = bytes.get(at..).unwrap_or_default();
    let mut left = rest;
    let (name, read, from, least) = match packing {
        Packing::Gzip => ("gzip", take(flate2::bufread::GzDecoder::new(&mut left), most), at, 1),
        Packing::Zlib if is_zlib(rest) => {
            ("zlib", take(flate2::bufread::ZlibDecoder::new(&mut left), most), at, LEAST_UNPACKED)
        }
        Packing::Zlib => return (Unpacked::Nothing, 0),
        Packing::Zstd => match zstd(&mut left, most) {
            Some(read) => ("zstd", read, at, 1),
            None => return (Unpacked::Nothing, rest.len() - left.len()),
        },
        Packing::Zip => match deflated_member(rest) {
            Some(data) => {
                left = rest.get(data..).unwrap_or_default();
                ("zip", take(flate2::bufread::DeflateDecoder::new(&mut left), most), at + data, 1)
            }
            None => return (Unpacked::Nothing, 0),
        },
    };
    let consumed = rest.len() - left.len();
    (finish(name, read, from, consumed - (from - at), least), consumed)
}

/// A format without a magic number: any bytes may be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unmarked {
    Deflate,
    Brotli,
}

/// Tries a whole buffer as a stream without a magic number, to at most `most` bytes. Also says how many bytes were made
/// and thrown away, because they hold nothing that can be believed: they cost as much as those that are kept.
pub(crate) fn unpack_unmarked(
    format: Unmarked,
    bytes: &[u8],
    most: usize,
    believed: &dyn Fn(&[u8]) -> bool,
) -> (Unpacked, usize) {
    if bytes.len() < LEAST_UNMARKED {
        return (Unpacked::Nothing, 0);
    }
    let mut left = bytes;
    let (name, read) = match format {
        Unmarked::Deflate => ("deflate", take(flate2::bufread::DeflateDecoder::new(&mut left), most)),
        Unmarked::Brotli => ("brotli", take(brotli_decompressor::Decompressor::new(bytes, 4096), most)),
    };
    let made = read.0.len();
    match only_believed(finish(name, read, 0, bytes.len(), LEAST_UNPACKED), believed) {
        Unpacked::Nothing => (Unpacked::Nothing, made),
        unpacked => (unpacked, 0),
    }
}

/// Without a magic number only what holds something is believed; and what was cut, whatever it began with. Bytes that
/// are no stream break the format's rules within the first kilobytes, and a cut comes after sixteen at least: it is a
/// stream, most of which nobody has seen.
fn only_believed(unpacked: Unpacked, believed: &dyn Fn(&[u8]) -> bool) -> Unpacked {
    match unpacked {
        Unpacked::Bytes(decoded) if believed(&decoded.bytes) => Unpacked::Bytes(decoded),
        Unpacked::Cut(decoded) => Unpacked::Cut(decoded),
        _ => Unpacked::Nothing,
    }
}

fn zstd(left: &mut &[u8], most: usize) -> Option<(Vec<u8>, bool, bool)> {
    let mut decoder = ruzstd::decoding::FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW_BYTES);
    let decoder = ruzstd::decoding::StreamingDecoder::new_with_decoder(left, decoder).ok()?;
    Some(take(decoder, most))
}

/// Where the bytes of a member of an archive begin, by the header before it; none where they are stored as they are,
/// and so found where they stand.
fn deflated_member(rest: &[u8]) -> Option<usize> {
    let short =
        |place: usize| rest.get(place..place + 2).map_or(0, |pair| usize::from(u16::from_le_bytes([pair[0], pair[1]])));
    let data = 30 + short(26) + short(28);
    (short(8) == 8 && data <= rest.len()).then_some(data)
}

/// What was read, and whether the bound cut it.
fn take(mut from: impl Read, most: usize) -> (Vec<u8>, bool, bool) {
    let mut bytes = Vec::new();
    let read = from.by_ref().take(most as u64 + 1).read_to_end(&mut bytes);
    let cut = bytes.len() > most;
    bytes.truncate(most);
    (bytes, cut, read.is_ok())
}

fn finish(name: &'static str, read: (Vec<u8>, bool, bool), at: usize, consumed: usize, least: usize) -> Unpacked {
    let (bytes, cut, whole) = read;
    // A stream that breaks off still gave what it gave.
    if bytes.is_empty() || !whole && bytes.len() < least {
        return Unpacked::Nothing;
    }
    let decoded = Decoded { name, bytes, map: Map::whole(at..at + consumed.max(1)) };
    if cut { Unpacked::Cut(decoded) } else { Unpacked::Bytes(decoded) }
}

/// What a stream of so many bytes may be unpacked to.
pub(crate) fn bound(packed: usize, left: usize) -> usize {
    packed.saturating_mul(MAX_RATIO).min(MAX_UNPACKED_BYTES).min(left)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn a_stream_in_the_middle_is_unpacked_and_its_place_is_all_of_it() {
        let packed = gzip(b"hello, hello, hello");
        let bytes = [b"before".as_slice(), &packed, b"after"].concat();
        let (Unpacked::Bytes(decoded), _) = unpack(Packing::Gzip, &bytes, 6, 1000) else { panic!() };
        assert_eq!(decoded.bytes, b"hello, hello, hello");
        assert_eq!(decoded.map.before(&(3..5)), 6..6 + packed.len());
    }

    #[test]
    fn a_bomb_is_cut_at_the_bound_and_said() {
        let packed = gzip(&vec![0; 10 << 20]);
        let (Unpacked::Cut(decoded), _) = unpack(Packing::Gzip, &packed, 0, 1 << 20) else { panic!() };
        assert_eq!(decoded.bytes.len(), 1 << 20);
        assert!(bound(packed.len(), usize::MAX) < 16 << 20);
    }

    #[test]
    fn what_an_attempt_made_and_threw_away_is_said() {
        let packed = |bytes: &[u8]| {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let (unpacked, thrown_away) =
            unpack_unmarked(Unmarked::Deflate, &packed(&vec![1; 1 << 20]), 1 << 24, &super::super::is_plausible);
        assert!(matches!(unpacked, Unpacked::Nothing));
        assert_eq!(thrown_away, 1 << 20);
        let (unpacked, thrown_away) =
            unpack_unmarked(Unmarked::Deflate, &packed(&vec![b'a'; 1 << 20]), 1 << 24, &super::super::is_plausible);
        assert!(matches!(unpacked, Unpacked::Bytes(_)));
        assert_eq!(thrown_away, 0);
    }

    #[test]
    fn an_unmarked_stream_that_is_cut_is_told_whatever_it_begins_with() {
        // Nothing to read in the first part, and a card behind the bound.
        let mut plain = vec![1u8; 1 << 20];
        plain.extend_from_slice(b"card 4111 1111 1111 1111");
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&plain).unwrap();
        let packed = encoder.finish().unwrap();
        let (unpacked, _) = unpack_unmarked(Unmarked::Deflate, &packed, 1 << 19, &super::super::is_plausible);
        assert!(matches!(unpacked, Unpacked::Cut(decoded) if decoded.bytes.len() == 1 << 19));
    }

    #[test]
    fn bytes_that_are_no_stream_are_never_taken_for_one_that_is_cut() {
        let mut state = 7u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 24) as u8
        };
        for length in (0..3000).map(|round| 16 + round * round % 4001) {
            let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
            for format in [Unmarked::Deflate, Unmarked::Brotli] {
                let (unpacked, _) =
                    unpack_unmarked(format, &bytes, bound(bytes.len(), usize::MAX), &super::super::is_plausible);
                assert!(!matches!(unpacked, Unpacked::Cut(_)), "{format:?} of {length} bytes");
            }
        }
    }

    #[test]
    fn a_stream_that_breaks_off_gives_what_is_there() {
        let text: Vec<u8> = (0..2000u32).flat_map(|number| format!("{number} ").into_bytes()).collect();
        let packed = gzip(&text);
        let (Unpacked::Bytes(decoded), _) = unpack(Packing::Gzip, &packed[..packed.len() / 2], 0, 1 << 20) else {
            panic!()
        };
        assert!(text.starts_with(&decoded.bytes) && decoded.bytes.len() > 1000);
        assert!(matches!(unpack(Packing::Gzip, b"\x1f\x8b\x08 no gzip at all", 0, 100), (Unpacked::Nothing, _)));
    }
}
