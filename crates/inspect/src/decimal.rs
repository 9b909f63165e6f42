//! Decimal numbers as their text means them: read and rounded exactly, never through binary floating point.

/// A decimal rounded to a number of decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rounded {
    /// The value times ten to the power of the precision.
    pub(crate) scaled: i64,
    /// Whether nothing was rounded away.
    pub(crate) exact: bool,
}

/// Why a text gives no decimal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecimalError {
    /// It is not a number (NaN and infinity included).
    NotANumber,
    /// Its scaled value has more than [`MAX_DIGITS`] digits.
    TooLarge,
}

/// Most digits of a value, decimals included: what an `i64` always holds, with room for differences of two values.
pub(crate) const MAX_DIGITS: u32 = 18;

/// The largest magnitude of a scaled value.
pub(crate) const MAX_SCALED: i64 = 10i64.pow(MAX_DIGITS);

/// Beyond this an exponent makes zero or too large a number of any cell that is read; larger ones are cut to it.
const MAX_EXPONENT: i64 = 1_000_000;

/// Reads `[+-]digits[.digits][e[+-]digits]` and rounds it half to even at `precision` decimals.
pub(crate) fn read_decimal(text: &str, precision: u32) -> Result<Rounded, DecimalError> {
    let (negative, unsigned) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = match unsigned.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => {
            (unsigned.get(..at).unwrap_or_default(), read_exponent(unsigned.get(at + 1..).unwrap_or_default())?)
        }
        None => (unsigned, 0),
    };
    let (whole, decimals) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => (mantissa.get(..at).unwrap_or_default(), mantissa.get(at + 1..).unwrap_or_default()),
        None => (mantissa, &[][..]),
    };
    if whole.is_empty() && decimals.is_empty() {
        return Err(DecimalError::NotANumber);
    }

    // How many of the digits stand left of the place where it is rounded; may be negative or beyond the last digit.
    let kept = whole.len() as i64 + exponent + i64::from(precision);
    let (mut scaled, mut first_dropped, mut rest_dropped) = (0i64, 0u8, false);
    for (place, byte) in (0i64..).zip(whole.iter().chain(decimals)) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(DecimalError::NotANumber);
        }
        if place < kept {
            scaled = append_digit(scaled, digit)?;
        } else if place == kept {
            first_dropped = digit;
        } else {
            rest_dropped |= digit != 0;
        }
    }
    if scaled != 0 {
        for _ in (whole.len() + decimals.len()) as i64..kept {
            scaled = append_digit(scaled, 0)?;
        }
    }
    let up = first_dropped > 5 || first_dropped == 5 && (rest_dropped || scaled % 2 == 1);
    scaled += i64::from(up);
    if scaled > MAX_SCALED {
        return Err(DecimalError::TooLarge);
    }
    Ok(Rounded { scaled: if negative { -scaled } else { scaled }, exact: first_dropped == 0 && !rest_dropped })
}

/// Writes a scaled value with exactly `precision` decimals; zero has no sign.
pub(crate) fn write_decimal(scaled: i64, precision: u32, to: &mut Vec<u8>) {
    // 20 bytes hold sign and digits of any i64; written from the end.
    let mut digits = [b'0'; 20];
    let mut rest = scaled.unsigned_abs();
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        if rest == 0 && used > precision as usize {
            break;
        }
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
        used += 1;
    }
    if scaled < 0 {
        to.push(b'-');
    }
    let (_, digits) = digits.split_at(digits.len() - used);
    let (whole, decimals) = digits.split_at(digits.len().saturating_sub(precision as usize));
    to.extend_from_slice(whole);
    if precision > 0 {
        to.push(b'.');
        to.extend_from_slice(decimals);
    }
}

/// The text of a scaled value.
pub(crate) fn decimal_text(scaled: i64, precision: u32) -> String {
    let mut text = Vec::new();
    write_decimal(scaled, precision, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

fn append_digit(scaled: i64, digit: u8) -> Result<i64, DecimalError> {
    // INVARIANT: scaled <= MAX_SCALED before, so that the product fits.
    let next = scaled.checked_mul(10).ok_or(DecimalError::TooLarge)? + i64::from(digit);
    if next > MAX_SCALED { Err(DecimalError::TooLarge) } else { Ok(next) }
}

fn read_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotANumber);
    }
    let size = digits.iter().fold(0i64, |size, digit| (size * 10 + i64::from(digit - b'0')).min(MAX_EXPONENT));
    Ok(if negative { -size } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_round_half_to_even_on_their_text() {
        for (text, precision, written) in [
            ("0", 0, "0"),
            ("-0", 0, "0"),
            ("-0.0004", 3, "0.000"),
            ("-0.0005", 3, "0.000"),
            ("-0.0015", 3, "-0.002"),
            ("0.0005", 3, "0.000"),
            ("0.00050000000000000000000000000000000000001", 3, "0.001"),
            ("0.0015", 3, "0.002"),
            ("0.0025", 3, "0.002"),
            // As binary numbers these two lie a little below and above the half; as texts they are the half.
            ("1.005", 2, "1.00"),
            ("0.285", 2, "0.28"),
            ("2.675", 2, "2.68"),
            ("0.9995", 3, "1.000"),
            ("9.5", 0, "10"),
            ("8.5", 0, "8"),
            ("1e3", 2, "1000.00"),
            ("1E-3", 3, "0.001"),
            ("12.5e-1", 2, "1.25"),
            ("5e-1", 0, "0"),
            ("51e-2", 0, "1"),
            ("5e-2", 0, "0"),
            ("1e-999999999999", 3, "0.000"),
            ("0e999999999999", 3, "0.000"),
            ("+7", 1, "7.0"),
            ("007", 0, "7"),
            (".5", 1, "0.5"),
            ("5.", 1, "5.0"),
            ("1000000000000000000", 0, "1000000000000000000"),
            ("-0.999999999999999999", 18, "-0.999999999999999999"),
        ] {
            let rounded = read_decimal(text, precision).unwrap_or_else(|error| panic!("{text}: {error:?}"));
            assert_eq!(decimal_text(rounded.scaled, precision), written, "{text} at {precision}");
        }
    }

    #[test]
    fn exactness_is_of_the_value_not_of_the_spelling() {
        for (text, exact) in [("1.50", true), ("1.5", true), ("15e-1", true), ("1.51", false), ("1.5000001", false)] {
            assert_eq!(read_decimal(text, 1).unwrap().exact, exact, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_or_too_large_is_refused() {
        for text in
            ["", "-", "+", ".", "e5", "1e", "1e+", "nan", "NaN", "inf", "-Infinity", "1.2.3", "1,5", " 1", "1 ", "--1"]
        {
            assert_eq!(read_decimal(text, 2), Err(DecimalError::NotANumber), "{text}");
        }
        for text in ["0x10", "1_000", "１", "1e5.5", "1e5e5", "١"] {
            assert_eq!(read_decimal(text, 2), Err(DecimalError::NotANumber), "{text}");
        }
        for text in ["1e18", "1e999999999999", "99999999999999999999", "1000000000000000000.01"] {
            assert_eq!(read_decimal(text, 2), Err(DecimalError::TooLarge), "{text}");
        }
        assert_eq!(read_decimal("1000000000000000000.6", 0), Err(DecimalError::TooLarge));
    }
}
