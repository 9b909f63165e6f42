//! Fields under a key, as texts: `h:` a hash, `t:` a token, `e:` an encrypted value.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hotcell_crypto::{FieldKey, MIN_TOKEN_DIGITS, SecretKey};

use crate::error::DisclosureError;
use crate::rules::{Method, View};

/// What a hash begins with.
const HASH: &str = "h:";
/// What a token begins with.
const TOKEN: &str = "t:";
/// What an encrypted value begins with.
const SEALED: &str = "e:";

/// The key of a column, where its rule needs one.
///
/// # Errors
/// [`DisclosureError::NoKey`].
pub(crate) fn key_of(
    view: &View,
    column: &str,
    method: &Method,
    key: Option<&SecretKey>,
) -> Result<Option<FieldKey>, DisclosureError> {
    if !method.needs_key() {
        return Ok(None);
    }
    let key = key.ok_or_else(|| DisclosureError::NoKey { column: column.to_owned() })?;
    let domain = match method {
        Method::Hash { domain } | Method::Token { domain, .. } => domain.clone(),
        _ => format!("{}\0{column}", view.dataset),
    };
    Ok(Some(key.field_key(&domain)))
}

pub(crate) fn hash(key: &FieldKey, value: &str) -> String {
    let hex: String = key.hash(value.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{HASH}{hex}")
}

/// A token; none for a value whose format cannot be kept.
pub(crate) fn token(key: &FieldKey, value: &str, keeps_format: bool) -> Option<String> {
    if keeps_format {
        return with_digits(value, |digits| key.token_digits(digits).ok());
    }
    Some(format!("{TOKEN}{}", URL_SAFE_NO_PAD.encode(key.token(value.as_bytes()).ok()?)))
}

/// The value of a token.
pub(crate) fn open_token(key: &FieldKey, token: &str, keeps_format: bool) -> Option<String> {
    if keeps_format {
        return with_digits(token, |digits| key.open_token_digits(digits).ok());
    }
    let token = URL_SAFE_NO_PAD.decode(token.strip_prefix(TOKEN)?).ok()?;
    String::from_utf8(key.open_token(&token).ok()?.to_vec()).ok()
}

/// The text with its digits replaced, and all else where it was. None with too few digits, or with none but those.
fn with_digits(text: &str, replace: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<String> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    // Letters would leave as they are.
    let letters = text.chars().filter(|letter| letter.is_alphanumeric() && !letter.is_ascii_digit()).count();
    if digits.len() < MIN_TOKEN_DIGITS || letters > MAX_LETTERS {
        return None;
    }
    let mut other = replace(&digits)?.into_iter();
    let put = |letter: char| match letter.is_ascii_digit() {
        true => other.next().map(|digit| char::from(b'0' + digit)),
        false => Some(letter),
    };
    text.chars().map(put).collect()
}

/// Letters that a format may have: the check letter of a resident's id, and no name.
const MAX_LETTERS: usize = 1;

pub(crate) fn seal(key: &FieldKey, place: &[u8], value: &str) -> Option<String> {
    Some(format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(key.seal(place, value.as_bytes()).ok()?)))
}

pub(crate) fn open(key: &FieldKey, place: &[u8], sealed: &str) -> Option<String> {
    let sealed = URL_SAFE_NO_PAD.decode(sealed.strip_prefix(SEALED)?).ok()?;
    String::from_utf8(key.open(place, &sealed).ok()?.to_vec()).ok()
}

/// Where a field stands: what an encrypted value is bound to.
pub(crate) fn place(view: &View, column: &str, row: &RowName<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    add(view.dataset.as_bytes());
    add(column.as_bytes());
    match row {
        RowName::Number(number) => add(&number.to_le_bytes()),
        RowName::Key(key) => {
            add(b"key");
            add(key.as_bytes());
        }
    }
    bytes
}

/// What a row is known by.
pub(crate) enum RowName<'a> {
    /// Its number in the view, from 1.
    Number(u64),
    /// The value of the column that the view names, as it leaves.
    Key(&'a str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_become_digits_and_all_else_stays_where_it_was() {
        let key = SecretKey::generate().field_key("phone");
        for value in ["+86 138-0013-8000", "11010519491231002X", "000000"] {
            let token = token(&key, value, true).unwrap();
            let shape = |text: &str| text.replace(|letter: char| letter.is_ascii_digit(), "0");
            assert_eq!(shape(&token), shape(value));
            assert_ne!(token, value);
            assert_eq!(open_token(&key, &token, true).unwrap(), value);
        }
        for value in ["12345", "call me", "Li Wei 13800138000", ""] {
            assert_eq!(token(&key, value, true), None, "{value}");
        }
    }

    #[test]
    fn a_token_of_a_name_leads_back_and_is_told_from_others() {
        let key = SecretKey::generate().field_key("name");
        let token = token(&key, "王芳", false).unwrap();
        assert!(token.starts_with("t:") && !token.contains('王'));
        assert_eq!(open_token(&key, &token, false).unwrap(), "王芳");
        for other in ["王芳", "t:", "t:AAAA", "t:*", "e:AAAA"] {
            assert_eq!(open_token(&key, other, false), None, "{other}");
        }
    }
}
