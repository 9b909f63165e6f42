//! Payment, banking, telephone, and the identifiers of the United States and the United Kingdom.

use super::{all_digits, at, digit, number, weighted};

/// The sum of Luhn.
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, byte)| {
            let value = digit(*byte);
            let value = if place % 2 == 1 { value * 2 } else { value };
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    all_digits(digits) && digits.len() > 1 && sum.is_multiple_of(10) && digits.iter().any(|byte| *byte != b'0')
}

/// A length that the issuer of its range uses, and the sum of Luhn.
pub(super) fn payment_card(digits: &[u8]) -> bool {
    let (two, three, four) = (number(digits, 0, 2), number(digits, 0, 3), number(digits, 0, 4));
    let fits = match digits.len() {
        13 => at(digits, 0) == 4 || matches!(two, 50 | 56..=58 | 63 | 67),
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131),
        16 => {
            at(digits, 0) == 4
                || matches!(two, 51..=55 | 60 | 62 | 64 | 65 | 81)
                || matches!(two, 50 | 56..=58 | 63 | 67)
                || matches!(four, 2221..=2720 | 3528..=3589 | 2200..=2204)
                || matches!(two, 36 | 38)
        }
        19 => at(digits, 0) == 4 || matches!(two, 62 | 64 | 65 | 60) || matches!(two, 50 | 56..=58 | 63 | 67),
        12 | 17 | 18 => matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763 | 6212),
        _ => false,
    };
    fits && luhn(digits)
}

/// Length of its country, and the remainder of ISO 7064.
pub(super) fn iban(text: &[u8]) -> bool {
    let country = text.get(..2).unwrap_or_default();
    let Some((_, length)) = IBAN_LENGTHS.iter().find(|(code, _)| code.as_bytes() == country) else { return false };
    if text.len() != *length {
        return false;
    }
    let (head, tail) = text.split_at(4);
    let remainder = tail.iter().chain(head).fold(0u32, |rest, byte| match byte {
        b'0'..=b'9' => (rest * 10 + digit(*byte)) % 97,
        _ => (rest * 100 + u32::from(byte.wrapping_sub(b'A')) + 10) % 97,
    });
    remainder == 1
}

const IBAN_LENGTHS: &[(&str, usize)] = &[
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NL", 18),
    ("NO", 15),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("SA", 24),
    ("SC", 31),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("ST", 25),
    ("SV", 28),
    ("TL", 23),
    ("TN", 24),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("VG", 24),
    ("XK", 20),
];

/// Areas, groups and serials that are given out.
pub(super) fn us_ssn(digits: &[u8]) -> bool {
    let (area, group, serial) = (number(digits, 0, 3), number(digits, 3, 2), number(digits, 5, 4));
    let shown = matches!((area, group, serial), (78, 5, 1120) | (219, 9, 9999) | (123, 45, 6789));
    digits.len() == 9 && !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0 && !shown
}

/// Groups of taxpayer numbers.
pub(super) fn us_itin(digits: &[u8]) -> bool {
    digits.len() == 9 && at(digits, 0) == 9 && matches!(number(digits, 3, 2), 50..=65 | 70..=88 | 90..=92 | 94..=99)
}

/// Ten digits, the last by 11.
pub(super) fn uk_nhs(digits: &[u8]) -> bool {
    let check = 11 - weighted(digits.get(..9).unwrap_or_default(), &[10, 9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    digits.len() == 10 && check != 10 && at(digits, 9) == check % 11 && digits.iter().any(|byte| *byte != b'0')
}

/// Prefixes that are given out.
pub(super) fn uk_nino(text: &[u8]) -> bool {
    let [first, second, .., last] = text else { return false };
    let never = matches!(
        (first, second),
        (b'B', b'G') | (b'G', b'B') | (b'N', b'K') | (b'K', b'N') | (b'T', b'N') | (b'N', b'T') | (b'Z', b'Z')
    );
    text.len() == 9
        && !matches!(first, b'D' | b'F' | b'I' | b'Q' | b'U' | b'V')
        && !matches!(second, b'D' | b'F' | b'I' | b'O' | b'Q' | b'U' | b'V')
        && !never
        && matches!(last, b'A'..=b'D')
}

/// A number with its country's code, as the plans of all countries have it.
pub(super) fn phone(text: &[u8]) -> bool {
    let digits: String = text.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| char::from(*byte)).collect();
    let digits = digits.strip_prefix("00").unwrap_or(&digits);
    phonelib::is_valid_phone_number(&format!("+{digits}"))
}

/// What a word beside it calls a number, unless it is written as nobody writes one of a telephone: a day, an address of
/// a network, a social security number, the number of a book.
pub(super) fn phone_plain(text: &[u8]) -> bool {
    let parts: Vec<&[u8]> = text.split(|byte| !byte.is_ascii_digit()).filter(|part| !part.is_empty()).collect();
    let widths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    let only = |sign: u8| text.iter().all(|byte| byte.is_ascii_digit() || *byte == sign);
    let first = parts.first().copied().unwrap_or_default();
    let address = only(b'.') && widths.len() == 4 && widths.iter().all(|width| *width <= 3) && !first.starts_with(b"0");
    let day = widths == [4, 2, 2] && (only(b'-') || only(b'.') || only(b'/')) && matches!(number(first, 0, 2), 19 | 20);
    let social = widths == [3, 2, 4] && only(b'-');
    let book = widths.iter().sum::<usize>() == 13 && matches!(first, b"978" | b"979");
    !(address || day || social || book)
}

/// Ten digits of the plan of North America, a leading 1 apart.
pub(super) fn phone_north_america(digits: &[u8]) -> bool {
    let digits = match digits.len() {
        11 => digits.strip_prefix(b"1").unwrap_or_default(),
        _ => digits,
    };
    let (area, exchange) = (number(digits, 0, 3), number(digits, 3, 3));
    digits.len() == 10
        && area >= 200
        && exchange >= 200
        && area % 100 != 11
        && exchange % 100 != 11
        && area / 10 % 10 != 9
}
