//! Random bytes, from the kernel's generator.
//!
//! Not from aws-lc's: it measures jitter of the processor before its first number, which costs each process 40 ms.

use hpke::rand_core;
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes fit for keys.
///
/// A system that cannot give random numbers cannot keep a secret: then the process stops at once,
/// rather than hand out something guessable.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

pub(crate) fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // Without flags it waits until the generator is seeded.
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(_) => std::process::abort(),
        }
    }
}

/// The same source under the interface that `hpke` takes.
pub(crate) struct SystemRandom;

impl rand_core::RngCore for SystemRandom {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(random())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(random())
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        fill(bytes);
        Ok(())
    }
}

impl rand_core::CryptoRng for SystemRandom {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ_and_are_not_zero() {
        let (first, second) = (random::<32>(), random::<32>());
        assert_ne!(first, second);
        assert_ne!(first, [0; 32]);
    }
}
