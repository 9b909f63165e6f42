//! Validators: what a pattern cannot say, by name.

mod china;
mod europe;
mod network;
mod numbers;
mod secrets;

/// A check of a match.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Validator {
    name: &'static str,
    holds: fn(&[u8]) -> bool,
    input: Input,
    /// Whether it computes a check digit, and so tells a true one from a chance one.
    checksum: bool,
}

/// What a validator is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Input {
    /// Letters in upper case and digits alone.
    Compact,
    /// The match as it stands.
    Text,
}

impl Validator {
    /// The validator of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        ALL.iter().copied().find(|validator| validator.name == name)
    }

    /// Every name, for an error.
    pub(crate) fn names() -> String {
        ALL.iter().map(|validator| validator.name).collect::<Vec<_>>().join(", ")
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        self.name
    }

    /// Whether it computes a check digit.
    pub(crate) fn is_checksum(self) -> bool {
        self.checksum
    }

    /// Judges a match.
    pub(crate) fn holds(self, matched: &[u8]) -> bool {
        match self.input {
            Input::Text => (self.holds)(matched),
            Input::Compact => {
                let mut compact = [0; 64];
                let mut length = 0;
                for byte in matched.iter().filter(|byte| byte.is_ascii_alphanumeric()) {
                    let Some(place) = compact.get_mut(length) else { return false };
                    *place = byte.to_ascii_uppercase();
                    length += 1;
                }
                (self.holds)(compact.get(..length).unwrap_or_default())
            }
        }
    }

    /// Judges digits that are compact already.
    pub(crate) fn holds_compact(self, compact: &[u8]) -> bool {
        (self.holds)(compact)
    }
}

macro_rules! validators {
    ($($name:literal = $holds:path, $input:ident, $checksum:literal;)*) => {
        const ALL: &[Validator] = &[
            $(Validator { name: $name, holds: $holds, input: Input::$input, checksum: $checksum },)*
        ];
    };
}

validators! {
    "luhn" = numbers::luhn, Compact, true;
    "payment-card" = numbers::payment_card, Compact, true;
    "iban" = numbers::iban, Compact, true;
    "us-ssn" = numbers::us_ssn, Compact, false;
    "us-itin" = numbers::us_itin, Compact, false;
    "uk-nhs" = numbers::uk_nhs, Compact, true;
    "uk-nino" = numbers::uk_nino, Compact, false;
    "phone" = numbers::phone, Text, false;
    "phone-north-america" = numbers::phone_north_america, Compact, false;
    "cn-resident-id" = china::resident_id, Compact, true;
    "cn-resident-id-15" = china::resident_id_15, Compact, false;
    "cn-bank-card" = china::bank_card, Compact, true;
    "cn-uscc" = china::uscc, Compact, true;
    "cn-landline" = china::landline, Compact, false;
    "cn-mobile" = china::mobile, Compact, false;
    "de-tax-id" = europe::de_tax_id, Compact, true;
    "de-social-insurance" = europe::de_social_insurance, Compact, true;
    "de-id-card" = europe::de_id_card, Compact, true;
    "fr-nir" = europe::fr_nir, Compact, true;
    "it-fiscal-code" = europe::it_fiscal_code, Compact, true;
    "es-dni" = europe::es_dni, Compact, true;
    "es-nie" = europe::es_nie, Compact, true;
    "nl-bsn" = europe::nl_bsn, Compact, true;
    "be-national" = europe::be_national, Compact, true;
    "pl-pesel" = europe::pl_pesel, Compact, true;
    "pt-nif" = europe::pt_nif, Compact, true;
    "se-personal" = europe::se_personal, Compact, true;
    "fi-personal" = europe::fi_personal, Compact, true;
    "dk-cpr" = europe::dk_cpr, Compact, false;
    "ro-cnp" = europe::ro_cnp, Compact, true;
    "bg-egn" = europe::bg_egn, Compact, true;
    "cz-birth" = europe::cz_birth, Compact, true;
    "hr-oib" = europe::hr_oib, Compact, true;
    "ee-personal" = europe::ee_personal, Compact, true;
    "si-emso" = europe::si_emso, Compact, true;
    "at-insurance" = europe::at_insurance, Compact, true;
    "ie-pps" = europe::ie_pps, Compact, true;
    "lv-personal" = europe::lv_personal, Compact, true;
    "lu-personal" = europe::lu_personal, Compact, true;
    "gr-amka" = europe::gr_amka, Compact, true;
    "hu-tax" = europe::hu_tax, Compact, true;
    "phone-plain" = numbers::phone_plain, Text, false;
    "email" = network::email, Text, false;
    "ipv4" = network::ipv4, Text, false;
    "ipv6" = network::ipv6, Text, false;
    "coordinates" = network::coordinates, Text, false;
    "random" = secrets::random, Text, false;
    "password" = secrets::password, Text, false;
    "jwt" = secrets::jwt, Text, false;
    "not-placeholder" = secrets::not_placeholder, Text, false;
}

/// The value of a digit; of what is none, something that no sum survives.
fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0'))
}

/// The digit at a place.
fn at(digits: &[u8], place: usize) -> u32 {
    digits.get(place).copied().map_or(0, digit)
}

/// A number of so many digits from a place on.
fn number(digits: &[u8], from: usize, count: usize) -> u32 {
    (from..from + count).fold(0, |number, place| number.wrapping_mul(10).wrapping_add(at(digits, place)))
}

/// The sum of digits, each times its weight.
fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(byte, weight)| digit(*byte).wrapping_mul(*weight)).sum()
}

fn all_digits(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Whether it is a day of the calendar.
fn is_date(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}

/// A day of this century or the last.
fn is_short_date(year: u32, month: u32, day: u32) -> bool {
    is_date(1900 + year, month, day) || is_date(2000 + year, month, day)
}
