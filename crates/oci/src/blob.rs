//! Blobs: bytes that are known by their digest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use hotcell_crypto::{Sha256Stream, sha256};
use hotcell_types::Digest;

use crate::manifest::Descriptor;
use crate::{OciError, Progress};

/// A blob that was held against its digest: a part of a file.
#[derive(Debug)]
pub(crate) struct Blob {
    file: File,
    start: u64,
    length: u64,
}

/// Bytes moved at once.
pub(crate) const CHUNK: usize = 256 << 10;

impl Blob {
    /// Holds a part of a file against digest and size.
    ///
    /// # Errors
    /// [`OciError::WrongDigest`], and the system's.
    pub(crate) fn verified(
        mut file: File,
        start: u64,
        descriptor: &Descriptor,
        what: &str,
        path: &Path,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> Result<Self, OciError> {
        let unreadable = |error| OciError::out_of(error, OciError::file("read", path));
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        copy_verified(&mut (&file).take(descriptor.size), &mut io::sink(), descriptor, what, progress)
            .map_err(unreadable)?;
        Ok(Self { file, start, length: descriptor.size })
    }

    /// Spools a stream into a file, and holds it against digest and size on the way.
    pub(crate) fn spooled(
        from: &mut dyn Read,
        mut file: File,
        descriptor: &Descriptor,
        what: &str,
        progress: &mut dyn FnMut(u64) -> bool,
    ) -> io::Result<Self> {
        copy_verified(from, &mut file, descriptor, what, progress)?;
        Ok(Self { file, start: 0, length: descriptor.size })
    }

    /// Its length.
    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    /// Its bytes, from the beginning.
    pub(crate) fn reader(&self) -> io::Result<impl Read> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(self.start))?;
        Ok(file.take(self.length))
    }
}

/// Copies what has to be exactly what the descriptor says; one byte more is as wrong as one less.
fn copy_verified(
    from: &mut dyn Read,
    to: &mut dyn io::Write,
    descriptor: &Descriptor,
    what: &str,
    progress: &mut dyn FnMut(u64) -> bool,
) -> io::Result<()> {
    let mut hash = Sha256Stream::new();
    let mut buffer = vec![0; CHUNK];
    let mut count = 0u64;
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let bytes = buffer.get(..read).unwrap_or_default();
        count += read as u64;
        if count > descriptor.size {
            break;
        }
        hash.update(bytes);
        to.write_all(bytes)?;
        if !progress(read as u64) {
            return Err(OciError::Cancelled.into_io());
        }
    }
    if count != descriptor.size {
        let (what, expected) = (what.to_owned(), descriptor.size);
        return Err(OciError::WrongSize { what, expected, found: count }.into_io());
    }
    let found = hash.finish();
    match found == descriptor.digest {
        true => Ok(()),
        false => Err(OciError::WrongDigest { what: what.to_owned(), expected: descriptor.digest, found }.into_io()),
    }
}

/// Reads a document that may have at most so many bytes.
pub(crate) fn read_bounded(from: &mut dyn Read, limit: u64, what: &'static str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(OciError::TooMuch { what, limit }.into_io()),
        false => Ok(bytes),
    }
}

/// Holds a document against its digest.
pub(crate) fn check_digest(bytes: &[u8], expected: Digest, what: &str) -> Result<(), OciError> {
    let found = sha256(bytes);
    match found == expected {
        true => Ok(()),
        false => Err(OciError::WrongDigest { what: what.to_owned(), expected, found }),
    }
}

/// Progress over several blobs, in one figure.
pub(crate) struct Tally<'a> {
    progress: Progress<'a>,
    done: u64,
    total: u64,
}

impl<'a> Tally<'a> {
    pub(crate) fn new(progress: Progress<'a>, total: u64) -> Self {
        Self { progress, done: 0, total }
    }

    pub(crate) fn add(&mut self, bytes: u64) -> bool {
        self.done += bytes;
        (self.progress)(self.done, self.total)
    }
}
