//! Compressed layers, as plain bytes within bounds.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use hotcell_crypto::Sha256Stream;
use hotcell_types::Digest;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};

use crate::bounds::FREE_BYTES;
use crate::manifest::Compression;
use crate::{Bounds, OciError};

/// The plain bytes of a layer.
pub(crate) fn plain<'a>(from: impl Read + 'a, compression: Compression) -> Box<dyn Read + 'a> {
    let from = BufReader::with_capacity(64 << 10, from);
    match compression {
        Compression::Gzip => Box::new(MultiGzDecoder::new(from)),
        Compression::Zstd => Box::new(Zstd { state: State::Between(from) }),
        Compression::None => Box::new(from),
    }
}

/// Zstandard frames one after another, those to skip among them.
struct Zstd<R: BufRead> {
    state: State<R>,
}

enum State<R: BufRead> {
    Between(R),
    Within(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Over,
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Where an error ends it, it stays ended.
            self.state = match std::mem::replace(&mut self.state, State::Over) {
                State::Over => return Ok(0),
                State::Between(mut from) => {
                    if from.fill_buf()?.is_empty() {
                        return Ok(0);
                    }
                    next_frame(from)?
                }
                State::Within(mut decoder) => match decoder.read(buffer)? {
                    0 if !buffer.is_empty() => State::Between(decoder.into_inner()),
                    count => {
                        self.state = State::Within(decoder);
                        return Ok(count);
                    }
                },
            };
        }
    }
}

fn next_frame<R: BufRead>(mut from: R) -> io::Result<State<R>> {
    // The decoder takes its reader along when it fails, so the header of a frame to skip is looked at before.
    let begin: [u8; 4] = match from.fill_buf()?.get(..4) {
        Some(begin) => begin.try_into().map_err(io::Error::other)?,
        None => [0; 4],
    };
    if begin[1..] == [0x2a, 0x4d, 0x18] && begin[0] & 0xf0 == 0x50 {
        let mut header = [0u8; 8];
        from.read_exact(&mut header)?;
        let [_, _, _, _, length @ ..] = header;
        let length = u64::from(u32::from_le_bytes(length));
        if io::copy(&mut (&mut from).take(length), &mut io::sink())? != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        return Ok(State::Between(from));
    }
    match StreamingDecoder::new(from) {
        Ok(decoder) => Ok(State::Within(Box::new(decoder))),
        Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::MagicNumberReadError(error))) => Err(error),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Counts and hashes what is read, and ends it at a bound.
pub(crate) struct Measured<R: Read> {
    from: R,
    hash: Sha256Stream,
    count: u64,
    /// What the layer may unpack to, by what is left of the image's bound and by its own ratio.
    limit: u64,
    what: &'static str,
}

impl<R: Read> Measured<R> {
    /// `compressed` is the length of the blob, `left` what the image may still unpack to.
    pub(crate) fn new(from: R, compressed: u64, left: u64, bounds: &Bounds) -> Self {
        let by_ratio = compressed.saturating_mul(bounds.ratio).max(FREE_BYTES);
        let (limit, what) = match by_ratio < left {
            true => (by_ratio, "what the layer unpacks to for its size"),
            false => (left, "what the image unpacks to"),
        };
        Self { from, hash: Sha256Stream::new(), count: 0, limit, what }
    }

    /// Reads to the end, and gives digest and length of all that was read.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hash.finish(), self.count))
    }
}

impl<R: Read> Read for Measured<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.count += count as u64;
        match self.count > self.limit {
            true => Err(OciError::TooMuch { what: self.what, limit: self.limit }.into_io()),
            false => Ok(count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `hotcell\n` by `zstd`.
    const FRAME: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x41, 0x00, 0x00, b'h', b'o', b't', b'c', b'e', b'l', b'l', b'\n', 0xc8,
        0xb7, 0x8c, 0x4c,
    ];

    fn all(bytes: &[u8], compression: Compression) -> io::Result<String> {
        let mut text = String::new();
        plain(bytes, compression).read_to_string(&mut text)?;
        Ok(text)
    }

    #[test]
    fn frames_follow_each_other_and_those_to_skip_are_skipped() {
        // Without the checksum, which is not ours to compute.
        let mut frame = FRAME[..17].to_vec();
        frame[4] = 0x00;
        let skipped = [0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let stream = [&frame[..], &skipped, &frame].concat();
        assert_eq!(all(&stream, Compression::Zstd).unwrap(), "hotcell\nhotcell\n");
        assert!(all(&stream[..stream.len() - 3], Compression::Zstd).is_err());
        assert!(all(&[&frame[..], b"junk"].concat(), Compression::Zstd).is_err());
        assert!(all(b"junk", Compression::Gzip).is_err());
    }

    #[test]
    fn what_unpacks_to_more_than_the_bound_ends_there() {
        let bounds = Bounds { ratio: 1, ..Bounds::default() };
        let endless = io::repeat(0);
        let (mut by_ratio, mut by_size) =
            (Measured::new(endless, 10, u64::MAX, &bounds), Measured::new(io::repeat(0), 10, 1000, &bounds));
        for (reader, limit) in [(&mut by_ratio, FREE_BYTES), (&mut by_size, 1000)] {
            let error = io::copy(reader, &mut io::sink()).unwrap_err();
            let error = OciError::out_of(error, |error| panic!("{error}"));
            assert!(matches!(error, OciError::TooMuch { limit: seen, .. } if seen == limit), "{error}");
        }
    }
}
