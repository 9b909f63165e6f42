//! Noise drawn exactly: discrete Laplace and discrete Gaussian, from random bits and whole numbers alone.
//!
//! The algorithms are those of Canonne, Kamath and Steinke, *The Discrete Gaussian for Differential Privacy* (NeurIPS
//! 2020), algorithms 1 to 3. Floating point never enters: with it, the low bits of a noisy number tell what was under it
//! (Mironov 2012).
//!
//! # Security
//! How long a draw takes depends on what is drawn. Whoever can time single draws learns something of the noise; the
//! results of a table leave together, when all are drawn.

use crate::Rational;

/// Where random bits come from.
pub trait RandomBits {
    /// Fills the buffer.
    fn fill(&mut self, buffer: &mut [u8; 16]);
}

/// The kernel's generator.
#[derive(Debug)]
pub struct SystemBits {
    drawn: [u8; 256],
    used: usize,
}

impl Default for SystemBits {
    fn default() -> Self {
        Self { drawn: [0; 256], used: 256 }
    }
}

impl RandomBits for SystemBits {
    fn fill(&mut self, buffer: &mut [u8; 16]) {
        let next = self.drawn.get_mut(self.used..self.used + 16);
        let next = match next {
            Some(next) => next,
            None => {
                self.drawn = hotcell_crypto::random();
                self.used = 0;
                &mut self.drawn[..16]
            }
        };
        buffer.copy_from_slice(next);
        // What was used once is not kept.
        next.fill(0);
        self.used += 16;
    }
}

/// A number grew beyond 128 bits, which takes luck that nobody has: less than once in e^60000 draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Draws from the discrete Laplace distribution: `k` with a probability proportional to `exp(-|k| / scale)`.
///
/// # Errors
/// [`TooLarge`].
pub fn discrete_laplace(scale: Rational, bits: &mut dyn RandomBits) -> Result<i128, TooLarge> {
    let (t, s) = (u128::from(scale.numerator()), u128::from(scale.denominator()));
    loop {
        let u = below(t, bits);
        if !bernoulli_exp_below_one(u, t, bits)? {
            continue;
        }
        let mut v: u128 = 0;
        while bernoulli_exp_below_one(1, 1, bits)? {
            v += 1;
        }
        let x = t.checked_mul(v).and_then(|product| product.checked_add(u)).ok_or(TooLarge)?;
        let y = i128::try_from(x / s).map_err(|_| TooLarge)?;
        let negative = below(2, bits) == 1;
        if negative && y == 0 {
            continue;
        }
        return Ok(if negative { -y } else { y });
    }
}

/// Draws from the discrete Gaussian distribution: `k` with a probability proportional to `exp(-k² / (2 variance))`.
///
/// # Errors
/// [`TooLarge`].
pub fn discrete_gaussian(variance: Rational, bits: &mut dyn RandomBits) -> Result<i128, TooLarge> {
    let (a, b) = (u128::from(variance.numerator()), u128::from(variance.denominator()));
    let t = (a / b).isqrt() + 1;
    let scale = Rational::whole(u64::try_from(t).map_err(|_| TooLarge)?);
    loop {
        let y = discrete_laplace(scale, bits)?;
        // (|y| - variance / t)² / (2 variance), over one denominator.
        let scaled = y.unsigned_abs().checked_mul(b).and_then(|product| product.checked_mul(t)).ok_or(TooLarge)?;
        let distance = scaled.abs_diff(a);
        let numerator = distance.checked_mul(distance).ok_or(TooLarge)?;
        let denominator = a.checked_mul(b).and_then(|product| product.checked_mul(2 * t)?.checked_mul(t));
        if bernoulli_exp(numerator, denominator.ok_or(TooLarge)?, bits)? {
            return Ok(y);
        }
    }
}

/// True with the probability exp(-numerator / denominator).
fn bernoulli_exp(numerator: u128, denominator: u128, bits: &mut dyn RandomBits) -> Result<bool, TooLarge> {
    let mut whole = numerator / denominator;
    while whole > 0 {
        if !bernoulli_exp_below_one(1, 1, bits)? {
            return Ok(false);
        }
        whole -= 1;
    }
    bernoulli_exp_below_one(numerator % denominator, denominator, bits)
}

/// The same for a quotient of at most one.
fn bernoulli_exp_below_one(numerator: u128, denominator: u128, bits: &mut dyn RandomBits) -> Result<bool, TooLarge> {
    let mut k: u128 = 1;
    loop {
        let all = denominator.checked_mul(k).ok_or(TooLarge)?;
        if below(all, bits) >= numerator {
            return Ok(k % 2 == 1);
        }
        k += 1;
    }
}

/// A number below `bound`, each as likely.
fn below(bound: u128, bits: &mut dyn RandomBits) -> u128 {
    let mask = bound.checked_sub(1).filter(|most| *most > 0).map_or(0, |most| u128::MAX >> most.leading_zeros());
    if mask == 0 {
        return 0;
    }
    loop {
        let mut buffer = [0; 16];
        bits.fill(&mut buffer);
        let drawn = u128::from_le_bytes(buffer) & mask;
        if drawn < bound {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SplitMix64: a fixed stream, so that the tests below always see the same draws.
    struct Fixed(u64);

    impl Fixed {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        }
    }

    impl RandomBits for Fixed {
        fn fill(&mut self, buffer: &mut [u8; 16]) {
            buffer[..8].copy_from_slice(&self.next().to_le_bytes());
            buffer[8..].copy_from_slice(&self.next().to_le_bytes());
        }
    }

    /// The chi-square statistic of drawn counts against exact weights; the outer cells hold the tails.
    fn chi_square(draws: &[i128], reach: i128, weight: impl Fn(i128) -> f64) -> (f64, f64) {
        let total: f64 = (-2000..=2000).map(&weight).sum();
        let cells = usize::try_from(2 * reach + 1).unwrap();
        let mut seen = vec![0.0; cells];
        let mut expected = vec![0.0; cells];
        let cell = |k: i128| usize::try_from(k.clamp(-reach, reach) + reach).unwrap();
        draws.iter().for_each(|k| seen[cell(*k)] += 1.0);
        (-2000..=2000).for_each(|k| expected[cell(k)] += weight(k) / total * draws.len() as f64);
        assert!(expected.iter().all(|count| *count > 5.0), "too few draws for the test to mean something");
        let chi = seen.iter().zip(&expected).map(|(seen, expected)| (seen - expected).powi(2) / expected).sum();
        // Wilson and Hilferty: one in 10,000 draws of a true distribution lies above.
        let free = (cells - 1) as f64;
        let limit = free * (1.0 - 2.0 / (9.0 * free) + 3.719 * (2.0 / (9.0 * free)).sqrt()).powi(3);
        (chi, limit)
    }

    #[test]
    fn laplace_draws_have_the_exact_distribution() {
        for (seed, numerator, denominator) in [(1, 1, 1), (2, 3, 2), (3, 5, 1), (4, 1, 3)] {
            let scale = Rational::new(numerator, denominator).unwrap();
            let mut bits = Fixed(seed);
            let draws: Vec<_> = (0..40_000).map(|_| discrete_laplace(scale, &mut bits).unwrap()).collect();
            let of = numerator as f64 / denominator as f64;
            let reach = (of * 5.0).ceil() as i128;
            let (chi, limit) =
                chi_square(&draws, reach.min((of * 6.0) as i128).max(1), |k| (-(k.abs() as f64) / of).exp());
            assert!(chi < limit, "scale {numerator}/{denominator}: {chi} is not below {limit}");
            // The test can fail: against a scale that is a tenth off, it does.
            let (chi, limit) =
                chi_square(&draws, reach.min((of * 6.0) as i128).max(1), |k| (-(k.abs() as f64) / of / 1.1).exp());
            assert!(chi > limit, "scale {numerator}/{denominator}: a wrong one passes too");
        }
    }

    #[test]
    fn gaussian_draws_have_the_exact_distribution() {
        for (seed, numerator, denominator) in [(5, 1, 1), (6, 9, 4), (7, 30, 1), (8, 1, 2)] {
            let variance = Rational::new(numerator, denominator).unwrap();
            let mut bits = Fixed(seed);
            let draws: Vec<_> = (0..40_000).map(|_| discrete_gaussian(variance, &mut bits).unwrap()).collect();
            let of = numerator as f64 / denominator as f64;
            let reach = ((of.sqrt() * 3.0) as i128).max(1);
            let (chi, limit) = chi_square(&draws, reach, |k| (-(k as f64).powi(2) / 2.0 / of).exp());
            assert!(chi < limit, "variance {numerator}/{denominator}: {chi} is not below {limit}");
            let (chi, limit) = chi_square(&draws, reach, |k| (-(k as f64).powi(2) / 2.0 / of / 1.2).exp());
            assert!(chi > limit, "variance {numerator}/{denominator}: a wrong one passes too");
        }
    }

    #[test]
    fn the_largest_scales_neither_overflow_nor_stop() {
        let mut bits = Fixed(9);
        for _ in 0..200 {
            discrete_laplace(Rational::new(Rational::MOST, 1).unwrap(), &mut bits).unwrap();
            discrete_laplace(Rational::new(1, Rational::MOST).unwrap(), &mut bits).unwrap();
            discrete_gaussian(Rational::new(Rational::MOST, 1).unwrap(), &mut bits).unwrap();
            discrete_gaussian(Rational::new(Rational::MOST, Rational::MOST - 1).unwrap(), &mut bits).unwrap();
        }
    }

    #[test]
    fn every_number_below_a_bound_is_as_likely() {
        let mut bits = Fixed(10);
        let mut seen = [0u32; 6];
        (0..60_000).for_each(|_| seen[usize::try_from(below(6, &mut bits)).unwrap()] += 1);
        assert!(seen.iter().all(|count| count.abs_diff(10_000) < 400), "{seen:?}");
        assert_eq!(below(1, &mut bits), 0);
    }

    #[test]
    fn the_kernels_bits_are_never_handed_out_twice() {
        let mut bits = SystemBits::default();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let mut buffer = [0; 16];
            bits.fill(&mut buffer);
            assert!(seen.insert(buffer) && buffer != [0; 16]);
        }
    }
}
