//! National identifiers of Europe, by their check digits.

use super::numbers::luhn;
use super::{all_digits, at, digit, is_date, is_short_date, number, weighted};

/// ISO 7064 with moduli 11 and 10.
fn mod_11_10(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else { return false };
    let product = body.iter().fold(10, |product, byte| {
        let sum = (digit(*byte) + product) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    all_digits(digits) && (11 - product) % 10 == digit(*check)
}

pub(super) fn de_tax_id(digits: &[u8]) -> bool {
    let mut counts = [0u32; 10];
    for byte in digits.iter().take(10) {
        if let Some(count) = counts.get_mut(digit(*byte) as usize) {
            *count += 1;
        }
    }
    let repeated = counts.iter().filter(|count| **count > 1).count();
    let most = counts.iter().max().copied().unwrap_or(0);
    digits.len() == 11 && at(digits, 0) != 0 && repeated == 1 && (2..=3).contains(&most) && mod_11_10(digits)
}

pub(super) fn de_social_insurance(text: &[u8]) -> bool {
    let [a, b, c, d, e, f, g, h, letter @ b'A'..=b'Z', i, j, check] = text else { return false };
    let order = u32::from(letter - b'A') + 1;
    let values = [
        digit(*a),
        digit(*b),
        digit(*c),
        digit(*d),
        digit(*e),
        digit(*f),
        digit(*g),
        digit(*h),
        order / 10,
        order % 10,
        digit(*i),
        digit(*j),
    ];
    let sum: u32 = values
        .iter()
        .zip([2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1])
        .map(|(value, weight)| {
            let product = value * weight;
            product / 10 + product % 10
        })
        .sum();
    let (day, month) = (number(text, 2, 2), number(text, 4, 2));
    (1..=81).contains(&day) && (1..=12).contains(&month) && sum % 10 == digit(*check)
}

/// Weights 7, 3, 1 over letters and digits, as machine-readable documents have it.
pub(super) fn de_id_card(text: &[u8]) -> bool {
    let Some((check, body)) = text.split_last() else { return false };
    let sum: u32 = body
        .iter()
        .zip([7, 3, 1].into_iter().cycle())
        .map(|(byte, weight)| weight * if byte.is_ascii_digit() { digit(*byte) } else { u32::from(byte - b'A') + 10 })
        .sum();
    text.len() == 10 && check.is_ascii_digit() && sum % 10 == digit(*check) && text.iter().any(u8::is_ascii_alphabetic)
}

pub(super) fn fr_nir(text: &[u8]) -> bool {
    if text.len() != 15 || !matches!(at(text, 0), 1..=4 | 7 | 8) {
        return false;
    }
    let month = number(text, 3, 2);
    let corsica = match text.get(6) {
        Some(b'A') => 1_000_000,
        Some(b'B') => 2_000_000,
        _ => 0,
    };
    let body = text
        .iter()
        .take(13)
        .fold(0u64, |body, byte| body * 10 + if byte.is_ascii_digit() { u64::from(digit(*byte)) } else { 0 });
    let months = matches!(month, 1..=12 | 20..=42 | 50..=99);
    months && 97 - body.saturating_sub(corsica) % 97 == u64::from(number(text, 13, 2))
}

pub(super) fn it_fiscal_code(text: &[u8]) -> bool {
    const ODD: [u32; 26] =
        [1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23];
    let Some((check, body)) = text.split_last() else { return false };
    let order = |byte: &u8| if byte.is_ascii_digit() { digit(*byte) } else { u32::from(byte.wrapping_sub(b'A')) };
    let sum: u32 = body
        .iter()
        .enumerate()
        .map(|(place, byte)| match place % 2 {
            0 => ODD.get(order(byte) as usize).copied().unwrap_or(0),
            _ => order(byte),
        })
        .sum();
    text.len() == 16 && u32::from(check.wrapping_sub(b'A')) == sum % 26
}

fn dni_letter(number: u32) -> Option<u8> {
    b"TRWAGMYFPDXBNJZSQVHLCKE".get((number % 23) as usize).copied()
}

pub(super) fn es_dni(text: &[u8]) -> bool {
    text.len() == 9 && all_digits(&text[..8]) && dni_letter(number(text, 0, 8)) == text.last().copied()
}

pub(super) fn es_nie(text: &[u8]) -> bool {
    let Some((first @ b'X'..=b'Z', _)) = text.split_first() else { return false };
    let number = u32::from(first - b'X') * 10_000_000 + number(text, 1, 7);
    text.len() == 9 && dni_letter(number) == text.last().copied()
}

pub(super) fn nl_bsn(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) + 10 * at(digits, 8);
    digits.len() == 9 && sum.is_multiple_of(11) && number(digits, 0, 9) > 1_000_000
}

pub(super) fn be_national(digits: &[u8]) -> bool {
    let (month, day) = (number(digits, 2, 2), number(digits, 4, 2));
    let (body, check) = (u64::from(number(digits, 0, 9)), u64::from(number(digits, 9, 2)));
    let fits = |body: u64| 97 - body % 97 == check;
    digits.len() == 11 && month <= 52 && day <= 31 && (fits(body) || fits(2_000_000_000 + body))
}

pub(super) fn pl_pesel(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1]);
    let century = [1900, 2000, 2100, 2200, 1800].get((number(digits, 2, 2) / 20) as usize).copied().unwrap_or(0);
    let date = is_date(century + number(digits, 0, 2), number(digits, 2, 2) % 20, number(digits, 4, 2));
    digits.len() == 11 && date && sum.is_multiple_of(10)
}

pub(super) fn pt_nif(digits: &[u8]) -> bool {
    let rest = weighted(digits, &[9, 8, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest < 2 { 0 } else { 11 - rest };
    digits.len() == 9 && matches!(at(digits, 0), 1..=3 | 5 | 6 | 8 | 9) && at(digits, 8) == check
}

pub(super) fn se_personal(digits: &[u8]) -> bool {
    let short = match digits.len() {
        12 if matches!(number(digits, 0, 2), 18..=20) => &digits[2..],
        10 => digits,
        _ => return false,
    };
    let day = number(short, 4, 2);
    let day = if day > 60 { day - 60 } else { day };
    is_short_date(number(short, 0, 2), number(short, 2, 2), day) && luhn(short)
}

pub(super) fn fi_personal(text: &[u8]) -> bool {
    // The sign of the century is dropped where it is no letter.
    let (date, rest) = text.split_at_checked(6).unwrap_or_default();
    let rest = match rest.len() {
        5 => &rest[1..],
        _ => rest,
    };
    let Some((check, individual)) = rest.split_last() else { return false };
    if individual.len() != 3 || !all_digits(date) || !all_digits(individual) {
        return false;
    }
    let rest = (u64::from(number(date, 0, 6)) * 1000 + u64::from(number(individual, 0, 3))) % 31;
    let sign = b"0123456789ABCDEFHJKLMNPRSTUVWXY".get(rest as usize);
    is_short_date(number(date, 4, 2), number(date, 2, 2), number(date, 0, 2)) && sign == Some(check)
}

/// The date only: numbers of today carry no check digit.
pub(super) fn dk_cpr(digits: &[u8]) -> bool {
    digits.len() == 10 && is_short_date(number(digits, 4, 2), number(digits, 2, 2), number(digits, 0, 2))
}

pub(super) fn ro_cnp(digits: &[u8]) -> bool {
    let rest = weighted(digits, &[2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9]) % 11;
    let check = if rest == 10 { 1 } else { rest };
    let date = is_short_date(number(digits, 1, 2), number(digits, 3, 2), number(digits, 5, 2));
    digits.len() == 13 && at(digits, 0) != 0 && date && at(digits, 12) == check
}

pub(super) fn bg_egn(digits: &[u8]) -> bool {
    let check = weighted(digits, &[2, 4, 8, 5, 10, 9, 7, 3, 6]) % 11 % 10;
    let month = number(digits, 2, 2);
    let month = if month > 40 {
        month - 40
    } else if month > 20 {
        month - 20
    } else {
        month
    };
    digits.len() == 10 && is_short_date(number(digits, 0, 2), month, number(digits, 4, 2)) && at(digits, 9) == check
}

pub(super) fn cz_birth(digits: &[u8]) -> bool {
    let month = number(digits, 2, 2);
    let month = match month {
        71.. => month - 70,
        51.. => month - 50,
        21.. => month - 20,
        _ => month,
    };
    let whole = digits.iter().fold(0u64, |whole, byte| whole * 10 + u64::from(digit(*byte)));
    digits.len() == 10 && is_short_date(number(digits, 0, 2), month, number(digits, 4, 2)) && whole % 11 == 0
}

pub(super) fn hr_oib(digits: &[u8]) -> bool {
    digits.len() == 11 && mod_11_10(digits)
}

/// Estonia and Lithuania.
pub(super) fn ee_personal(digits: &[u8]) -> bool {
    let first = weighted(digits, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 1]) % 11;
    let second = weighted(digits, &[3, 4, 5, 6, 7, 8, 9, 1, 2, 3]) % 11 % 10;
    let check = if first < 10 { first } else { second };
    let date = is_short_date(number(digits, 1, 2), number(digits, 3, 2), number(digits, 5, 2));
    digits.len() == 11 && (1..=8).contains(&at(digits, 0)) && date && at(digits, 10) == check
}

pub(super) fn si_emso(digits: &[u8]) -> bool {
    let rest = weighted(digits, &[7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2]) % 11;
    let check = if rest == 0 { 0 } else { 11 - rest };
    let date = is_short_date(number(digits, 5, 2), number(digits, 2, 2), number(digits, 0, 2));
    digits.len() == 13 && date && check < 10 && at(digits, 12) == check
}

pub(super) fn at_insurance(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[3, 7, 9, 0, 5, 8, 4, 2, 1, 6]);
    let date = is_short_date(number(digits, 8, 2), number(digits, 6, 2), number(digits, 4, 2));
    digits.len() == 10 && at(digits, 0) != 0 && date && sum % 11 == at(digits, 3)
}

pub(super) fn ie_pps(text: &[u8]) -> bool {
    let second = match text.get(8) {
        None | Some(b'W') => 0,
        Some(letter) => u32::from(letter.wrapping_sub(b'A')) + 1,
    };
    let rest = (weighted(text, &[8, 7, 6, 5, 4, 3, 2]) + 9 * second) % 23;
    matches!(text.len(), 8 | 9) && text.get(7).copied() == b"WABCDEFGHIJKLMNOPQRSTUV".get(rest as usize).copied()
}

pub(super) fn lv_personal(digits: &[u8]) -> bool {
    let rest = (1101 - weighted(digits, &[1, 6, 3, 7, 9, 10, 5, 8, 4, 2])) % 11;
    let date = is_short_date(number(digits, 4, 2), number(digits, 2, 2), number(digits, 0, 2));
    digits.len() == 11 && date && at(digits, 10) == rest % 10
}

/// The first of its two check digits, which is Luhn's, and the date.
pub(super) fn lu_personal(digits: &[u8]) -> bool {
    let date = is_date(number(digits, 0, 4), number(digits, 4, 2), number(digits, 6, 2));
    digits.len() == 13 && date && digits.get(..12).is_some_and(luhn)
}

pub(super) fn gr_amka(digits: &[u8]) -> bool {
    let date = is_short_date(number(digits, 4, 2), number(digits, 2, 2), number(digits, 0, 2));
    digits.len() == 11 && date && luhn(digits)
}

pub(super) fn hu_tax(digits: &[u8]) -> bool {
    let sum = weighted(digits, &[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    digits.len() == 10 && at(digits, 0) == 8 && sum % 11 == at(digits, 9)
}
