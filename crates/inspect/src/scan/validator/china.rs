//! Identifiers of China.

use super::{at, digit, is_date, number, weighted};

/// Region, date and check digit of the 18 digits.
pub(super) fn resident_id(text: &[u8]) -> bool {
    let Some((body, [check])) = text.split_at_checked(17) else { return false };
    let sum = weighted(body, &[7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2]);
    let expected = b"10X98765432".get((sum % 11) as usize);
    let (year, month, day) = (number(body, 6, 4), number(body, 10, 2), number(body, 12, 2));
    expected == Some(check) && is_region(body) && (1850..=2100).contains(&year) && is_date(year, month, day)
}

/// Region and date of the 15 digits, of before 1999.
pub(super) fn resident_id_15(text: &[u8]) -> bool {
    let (year, month, day) = (1900 + number(text, 6, 2), number(text, 8, 2), number(text, 10, 2));
    text.len() == 15 && is_region(text) && is_date(year, month, day)
}

/// A province, and neither prefecture nor county beyond those that are numbered.
fn is_region(digits: &[u8]) -> bool {
    let province = matches!(
        number(digits, 0, 2),
        11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83 | 91
    );
    province && number(digits, 2, 2) <= 90
}

/// The ranges of China's banks, and the sum of Luhn.
pub(super) fn bank_card(digits: &[u8]) -> bool {
    let six = number(digits, 0, 6);
    let range = at(digits, 0) == 6 && matches!(number(digits, 0, 2), 62 | 60)
        || matches!(six, 356827..=356890 | 370246..=370249 | 376966..=376969 | 400360..=439227 | 451289..=498451)
        || matches!(six, 512425..=558916 | 622126..=622925 | 690755 | 940000..=990027 | 810000..=817199);
    range && matches!(digits.len(), 15..=19) && super::numbers::luhn(digits)
}

/// The 18 letters and digits of GB 32100, with both check digits' weights.
pub(super) fn uscc(text: &[u8]) -> bool {
    const SIGNS: &[u8] = b"0123456789ABCDEFGHJKLMNPQRTUWXY";
    const WEIGHTS: [u32; 17] = [1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28];
    let value = |byte: &u8| SIGNS.iter().position(|sign| sign == byte).map(|place| place as u32);
    let Some((body, [check])) = text.split_at_checked(17) else { return false };
    let kind = matches!(text.first(), Some(b'1'..=b'9' | b'A' | b'N' | b'Y'));
    let mut sum = 0;
    for (byte, weight) in body.iter().zip(WEIGHTS) {
        let Some(value) = value(byte) else { return false };
        sum += value * weight;
    }
    let region = body.get(2..8).is_some_and(|region| region.iter().all(u8::is_ascii_digit));
    kind && region && value(check) == Some((31 - sum % 31) % 31)
}

/// The prefixes of mobile networks.
pub(super) fn mobile(digits: &[u8]) -> bool {
    let digits = match digits.len() {
        13 => digits.strip_prefix(b"86").unwrap_or_default(),
        15 => digits.strip_prefix(b"0086").unwrap_or_default(),
        _ => digits,
    };
    let (three, repeated) = (number(digits, 0, 3), digits.windows(2).skip(3).all(|pair| pair.first() == pair.last()));
    digits.len() == 11
        && matches!(three, 130..=139 | 145..=149 | 150..=153 | 155..=159 | 162 | 165..=167 | 170..=178 | 180..=193 | 195..=199)
        && !repeated
}

/// Area codes as they are given out, with as many digits as the area has.
pub(super) fn landline(digits: &[u8]) -> bool {
    let digits = digits.strip_prefix(b"0086").or_else(|| digits.strip_prefix(b"86")).unwrap_or(digits);
    let digits = digits.strip_prefix(b"0").unwrap_or(digits);
    let two = number(digits, 0, 2);
    let (area, local) = match two {
        10 | 20..=29 => (2, digits.len().saturating_sub(2)),
        31..=39 | 41..=47 | 51..=59 | 63 | 66 | 69..=79 | 81..=89 | 91 | 93..=99 => (3, digits.len().saturating_sub(3)),
        _ => return false,
    };
    let first = digits.get(area).copied().map_or(0, digit);
    (2..=8).contains(&first) && (local == 8 || area == 3 && local == 7)
}
