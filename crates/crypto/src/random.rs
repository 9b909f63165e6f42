//! Random bytes, from the operating system by way of aws-lc-rs.

use hpke::rand_core;

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
    if aws_lc_rs::rand::fill(bytes).is_err() {
        std::process::abort();
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
