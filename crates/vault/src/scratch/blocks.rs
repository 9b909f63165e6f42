//! Encrypted blocks in a file without a name.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use hotcell_crypto::{ChunkCipher, NONCE_BYTES, SymmetricKey, TAG_BYTES};
use rustix::io::Errno;

use super::BLOCK_BYTES;
use super::buffer::PageBuffer;

/// Where encrypted blocks lie.
pub trait Backing {
    /// Reads exactly these bytes.
    ///
    /// # Errors
    /// As the file has them.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of them.
    ///
    /// # Errors
    /// As the file has them.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
}

impl Backing for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }
}

/// How blocks are encrypted.
pub struct Cipher(Kind);

enum Kind {
    Gcm(ChunkCipher),
    #[cfg(feature = "danger")]
    Plain,
}

impl Cipher {
    /// AES-256-GCM under a new random key that nobody else ever has.
    pub fn with_new_key() -> Option<Self> {
        ChunkCipher::new(&SymmetricKey::generate()).map(Kind::Gcm).map(Self)
    }

    /// Encrypts nothing: for tests that prove that a search for a plain text would find it, and for nothing else.
    #[cfg(feature = "danger")]
    pub fn dangerous_plain() -> Self {
        // The marker by which a test sees that a release binary lacks this function.
        std::hint::black_box("HOTCELL-DANGEROUS-PLAIN-SCRATCH");
        Self(Kind::Plain)
    }

    fn seal(&self, nonce: [u8; NONCE_BYTES], block: &mut [u8]) -> Result<[u8; TAG_BYTES], Errno> {
        match &self.0 {
            Kind::Gcm(cipher) => cipher.seal(nonce, block).map_err(|_| Errno::IO),
            #[cfg(feature = "danger")]
            Kind::Plain => Ok([0; TAG_BYTES]),
        }
    }

    fn open(&self, nonce: [u8; NONCE_BYTES], sealed: &[u8], tag: &[u8; TAG_BYTES], plain: &mut [u8]) -> bool {
        match &self.0 {
            Kind::Gcm(cipher) => cipher.open(nonce, sealed, tag, plain).is_ok(),
            #[cfg(feature = "danger")]
            Kind::Plain => {
                plain.copy_from_slice(sealed);
                true
            }
        }
    }
}

/// A place for one block in the backing file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

/// What is known of a slot's block.
#[derive(Clone, Copy)]
enum Known {
    /// Never written since it was taken: zeros.
    Zeros,
    /// Written with this counter, authenticated by this tag.
    Written { counter: u64, tag: [u8; TAG_BYTES] },
    /// A write failed in the middle: neither the old block nor the new one.
    Lost,
}

/// The block store.
pub struct Blocks {
    backing: Box<dyn Backing + Send>,
    cipher: Cipher,
    known: Vec<Known>,
    /// Slots that were given back; the one given back last is taken first.
    free: Vec<Slot>,
    counter: u64,
    /// Encrypted blocks on their way in.
    incoming: PageBuffer,
    tampered: u64,
    failed: u64,
}

/// Blocks that are read from the backing file at once.
const RUN_BLOCKS: usize = 64;

impl Blocks {
    /// An empty store over an empty file.
    pub fn new(backing: Box<dyn Backing + Send>, cipher: Cipher) -> Self {
        let incoming = PageBuffer::new(0, RUN_BLOCKS * BLOCK_BYTES);
        Self { backing, cipher, known: Vec::new(), free: Vec::new(), counter: 0, incoming, tampered: 0, failed: 0 }
    }

    /// Takes a slot, which reads as zeros.
    pub(crate) fn take(&mut self) -> Result<Slot, Errno> {
        if let Some(slot) = self.free.pop() {
            return Ok(slot);
        }
        let slot = u32::try_from(self.known.len()).map(Slot).map_err(|_| Errno::NOSPC)?;
        self.known.push(Known::Zeros);
        Ok(slot)
    }

    /// Gives a slot back.
    pub(crate) fn give_back(&mut self, slot: Slot) {
        self.set(slot, Known::Zeros);
        self.free.push(slot);
    }

    /// Whether a slot still reads as zeros because nothing was ever written to it.
    pub(crate) fn is_unwritten(&self, slot: Slot) -> bool {
        matches!(self.of(slot), Known::Zeros)
    }

    /// How many blocks did not fit their tag when they were read.
    pub fn tampered(&self) -> u64 {
        self.tampered
    }

    /// How many reads and writes the backing file refused.
    pub fn failed(&self) -> u64 {
        self.failed
    }

    /// Encrypts whole blocks where they lie and writes them; `plain` is overwritten.
    ///
    /// What was written before an error stays written; a block whose writing failed is lost, and reads as `EIO`
    /// until it is written again.
    pub(crate) fn write(&mut self, slots: &[Slot], plain: &mut [u8]) -> Result<(), Errno> {
        let mut rest = plain;
        for run in runs(slots) {
            let (bytes, after) = rest.split_at_mut_checked(run.len() * BLOCK_BYTES).ok_or(Errno::INVAL)?;
            rest = after;
            let counter = self.counter;
            let mut tags = Vec::with_capacity(run.len());
            for (slot, block) in run.iter().zip(bytes.chunks_exact_mut(BLOCK_BYTES)) {
                let nonce = nonce(*slot, self.counter);
                // INVARIANT (fresh-nonce): counted before it is used, also where the writing then fails.
                self.counter += 1;
                tags.push(self.cipher.seal(nonce, block)?);
            }
            let Some(first) = run.first() else { continue };
            let written = self.backing.write_at(bytes, first.offset());
            for ((slot, tag), counter) in run.iter().zip(tags).zip(counter..) {
                self.set(*slot, if written.is_ok() { Known::Written { counter, tag } } else { Known::Lost });
            }
            if let Err(error) = written {
                self.failed += 1;
                return Err(errno_of(&error));
            }
        }
        Ok(())
    }

    /// Reads and decrypts whole blocks.
    pub(crate) fn read(&mut self, slots: &[Slot], plain: &mut [u8]) -> Result<(), Errno> {
        let mut rest = plain;
        for run in runs(slots).flat_map(|run| run.chunks(RUN_BLOCKS)) {
            let (bytes, after) = rest.split_at_mut_checked(run.len() * BLOCK_BYTES).ok_or(Errno::INVAL)?;
            rest = after;
            self.read_run(run, bytes)?;
        }
        Ok(())
    }

    /// Reads slots that lie one behind the other.
    fn read_run(&mut self, run: &[Slot], plain: &mut [u8]) -> Result<(), Errno> {
        if run.iter().all(|slot| self.is_unwritten(*slot)) {
            plain.fill(0);
            return Ok(());
        }
        let Some(first) = run.first() else { return Ok(()) };
        // The last slots of the file may never have been written: it ends before them.
        let used = run.iter().rposition(|slot| !self.is_unwritten(*slot)).map_or(0, |last| last + 1);
        let sealed = self.incoming.get_mut().get_mut(..used * BLOCK_BYTES).ok_or(Errno::INVAL)?;
        if let Err(error) = self.backing.read_at(sealed, first.offset()) {
            self.failed += 1;
            return Err(errno_of(&error));
        }
        let blocks = plain.chunks_exact_mut(BLOCK_BYTES).zip(run);
        for (number, (block, slot)) in blocks.enumerate() {
            let known = self.of(*slot);
            match known {
                Known::Zeros => block.fill(0),
                Known::Lost => return Err(Errno::IO),
                Known::Written { counter, tag } => {
                    let start = number * BLOCK_BYTES;
                    let sealed = self.incoming.get().get(start..start + BLOCK_BYTES).ok_or(Errno::INVAL)?;
                    // INVARIANT (known-tag)
                    if !self.cipher.open(nonce(*slot, counter), sealed, &tag, block) {
                        self.tampered += 1;
                        return Err(Errno::IO);
                    }
                }
            }
        }
        Ok(())
    }

    fn of(&self, slot: Slot) -> Known {
        self.known.get(slot.0 as usize).copied().unwrap_or(Known::Lost)
    }

    fn set(&mut self, slot: Slot, known: Known) {
        if let Some(place) = self.known.get_mut(slot.0 as usize) {
            *place = known;
        }
    }
}

impl std::fmt::Debug for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blocks({} slots, {} free)", self.known.len(), self.free.len())
    }
}

impl Slot {
    fn offset(self) -> u64 {
        u64::from(self.0) * BLOCK_BYTES as u64
    }
}

/// Place and count: no two encryptions under one key share it.
fn nonce(slot: Slot, counter: u64) -> [u8; NONCE_BYTES] {
    let [a, b, c, d] = slot.0.to_be_bytes();
    let [e, f, g, h, i, j, k, l] = counter.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l]
}

/// Cuts slots into runs that lie one behind the other in the file.
fn runs(slots: &[Slot]) -> impl Iterator<Item = &[Slot]> {
    slots.chunk_by(|one, next| one.0.checked_add(1) == Some(next.0))
}

fn errno_of(error: &io::Error) -> Errno {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => Errno::NOSPC,
        _ => Errno::IO,
    }
}
