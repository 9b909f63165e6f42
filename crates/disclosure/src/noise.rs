//! Noise on one column: numbers are brought to whole steps within a range, and noise of whole steps is added.

use crate::Rational;
use crate::sampler::{RandomBits, TooLarge, discrete_gaussian, discrete_laplace};

/// How a column of numbers is made noisy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Noise {
    kind: Kind,
    /// The step as its digits: `25` with two decimals is 0.25.
    step: i128,
    decimals: u32,
    /// The range, in steps.
    least: i128,
    most: i128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The scale, in steps.
    Laplace(Rational),
    /// The variance, in steps.
    Gaussian(Rational),
}

/// A decimal as its digits: `-1.25` is -125 with two decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    digits: i128,
    decimals: u32,
}

/// The most digits of a number, before and after the point.
const MAX_DIGITS: usize = 15;
/// The most steps from the least to the most value.
const MAX_STEPS: i128 = 1 << 24;

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (sign, rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text),
        };
        let (whole, part) = rest.split_once('.').unwrap_or((rest, ""));
        let sound = |digits: &str| digits.len() <= MAX_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !sound(whole) || !sound(part) || (rest.contains('.') && part.is_empty()) {
            return None;
        }
        let digits: i128 = format!("{whole}{part}").parse().ok()?;
        Some(Self { digits: sign * digits, decimals: u32::try_from(part.len()).ok()? })
    }

    /// The number of these steps, to the nearest one; half a step goes away from zero.
    fn steps(self, step: i128, decimals: u32) -> Option<i128> {
        let common = self.decimals.max(decimals);
        let scale = |digits: i128, from: u32| digits.checked_mul(10i128.checked_pow(common - from)?);
        let (value, step) = (scale(self.digits, self.decimals)?, scale(step, decimals)?);
        let rounded = value.abs().checked_mul(2)?.checked_add(step)?.div_euclid(step.checked_mul(2)?);
        Some(rounded * value.signum())
    }
}

impl Noise {
    /// Noise of a kind (`laplace` or `gaussian`) with this spread (the scale, or the standard deviation) in units of the
    /// column, for values of a range that are brought to whole steps.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn new(kind: &str, spread: &str, least: &str, most: &str, step: &str) -> Result<Self, String> {
        let number = |name: &str, text: &str| {
            Decimal::parse(text).ok_or_else(|| format!("`{name}` is no number such as `-1.25`"))
        };
        let width = number("step", step)?;
        if width.digits <= 0 {
            return Err("`step` is not above zero".to_owned());
        }
        let bound = |name: &str, text: &str| {
            number(name, text)?.steps(width.digits, width.decimals).ok_or_else(|| format!("`{name}` is too large"))
        };
        let (least, most) = (bound("min", least)?, bound("max", most)?);
        if least >= most || most - least > MAX_STEPS {
            return Err(format!("from `min` to `max` there are not between 1 and {MAX_STEPS} steps"));
        }
        let spread: Rational = spread.parse().map_err(|why| format!("`spread`: {why}"))?;
        let below = u64::try_from(width.digits).ok();
        let above = 10u64.checked_pow(width.decimals);
        let in_steps = above.zip(below).and_then(|(above, below)| spread.times(above, below));
        let in_steps = in_steps.ok_or("`spread` is no fraction of `step` with parts below 2^24")?;
        let kind = match kind {
            "laplace" => Kind::Laplace(in_steps),
            "gaussian" => {
                let square = in_steps.times(in_steps.numerator(), in_steps.denominator());
                Kind::Gaussian(square.ok_or("`spread` is too large or too fine a fraction of `step`")?)
            }
            _ => return Err("`noise` is neither `laplace` nor `gaussian`".to_owned()),
        };
        Ok(Self { kind, step: width.digits, decimals: width.decimals, least, most })
    }

    /// What differential privacy one noisy cell has, in words: of Laplace noise the exact ε, of Gaussian noise the exact ρ.
    pub(crate) fn promise(&self) -> String {
        let range = u64::try_from(self.most - self.least).unwrap_or(u64::MAX);
        let quotient = |above: u128, below: u128| {
            let mut parts = (above, below);
            while parts.1 > 0 {
                parts = (parts.1, parts.0 % parts.1);
            }
            match below / parts.0 {
                1 => format!("{}", above / parts.0),
                rest => format!("{}/{rest}", above / parts.0),
            }
        };
        let range = u128::from(range);
        match self.kind {
            Kind::Laplace(scale) => {
                let epsilon = quotient(range * u128::from(scale.denominator()), u128::from(scale.numerator()));
                format!("epsilon {epsilon} for each cell")
            }
            Kind::Gaussian(variance) => {
                let rho =
                    quotient(range * range * u128::from(variance.denominator()), 2 * u128::from(variance.numerator()));
                format!("rho {rho} for each cell (zero-concentrated)")
            }
        }
    }

    /// The value with noise; none where it is no number.
    ///
    /// # Errors
    /// [`TooLarge`].
    pub(crate) fn apply(&self, text: &str, bits: &mut dyn RandomBits) -> Result<Option<String>, TooLarge> {
        let Some(steps) = Decimal::parse(text.trim()).and_then(|value| value.steps(self.step, self.decimals)) else {
            return Ok(None);
        };
        let drawn = match self.kind {
            Kind::Laplace(scale) => discrete_laplace(scale, bits)?,
            Kind::Gaussian(variance) => discrete_gaussian(variance, bits)?,
        };
        let noisy = (steps.clamp(self.least, self.most) + drawn).clamp(self.least, self.most);
        Ok(Some(self.shown(noisy)))
    }

    fn shown(&self, steps: i128) -> String {
        let digits = steps * self.step;
        let sign = if digits < 0 { "-" } else { "" };
        let scale = 10i128.pow(self.decimals);
        let (whole, part) = (digits.abs() / scale, digits.abs() % scale);
        match self.decimals {
            0 => format!("{sign}{whole}"),
            width => format!("{sign}{whole}.{part:0width$}", width = width as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;

    impl RandomBits for Zeros {
        fn fill(&mut self, buffer: &mut [u8; 16]) {
            hotcell_crypto::random::<16>().clone_into(buffer);
        }
    }

    #[test]
    fn noisy_numbers_are_whole_steps_within_the_range() {
        let noise = Noise::new("laplace", "1.5", "-1", "3", "0.25").unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..300 {
            let text = noise.apply("0.3", &mut Zeros).unwrap().unwrap();
            let value: f64 = text.parse().unwrap();
            assert!((-1.0..=3.0).contains(&value) && (value * 4.0).fract() == 0.0, "{text}");
            seen.insert(text);
        }
        assert!(seen.len() > 10, "{seen:?}");
        assert_eq!(noise.apply("many", &mut Zeros), Ok(None));
        assert_eq!(noise.promise(), "epsilon 8/3 for each cell");
        let noise = Noise::new("gaussian", "2", "0", "8", "1").unwrap();
        assert_eq!(noise.promise(), "rho 8 for each cell (zero-concentrated)");
    }

    #[test]
    fn numbers_are_rounded_to_steps_by_their_digits() {
        let steps = |text, step: &str| {
            let step = Decimal::parse(step).unwrap();
            Decimal::parse(text).and_then(|value| value.steps(step.digits, step.decimals))
        };
        for (text, step, seen) in [
            ("0.30", "0.25", Some(1)),
            ("0.375", "0.25", Some(2)),
            ("-0.375", "0.25", Some(-2)),
            ("7", "5", Some(1)),
            ("0", "1", Some(0)),
            ("1e3", "1", None),
            ("", "1", None),
            ("1.", "1", None),
            ("0x1", "1", None),
            ("9999999999999999", "1", None),
        ] {
            assert_eq!(steps(text, step), seen, "{text} in {step}");
        }
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (kind, spread, least, most, step) in [
            ("normal", "1", "0", "9", "1"),
            ("laplace", "0", "0", "9", "1"),
            ("laplace", "1", "9", "0", "1"),
            ("laplace", "1", "0", "9", "0"),
            ("laplace", "1", "0", "99999999999", "1"),
            ("laplace", "1", "a", "9", "1"),
        ] {
            assert!(Noise::new(kind, spread, least, most, step).is_err(), "{kind} {spread} {least} {most} {step}");
        }
    }
}
