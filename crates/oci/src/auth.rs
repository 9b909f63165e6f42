//! How a registry says what it wants to be shown (`WWW-Authenticate`), and what is shown to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::Plaintext;
use serde::Deserialize;

use crate::settings::RegistrySettings;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// Name and password.
    Basic,
    /// A token that somebody else gives out.
    Bearer { realm: String, service: Option<String> },
}

/// The value of an `Authorization` header.
pub(crate) type Authorization = Plaintext<Vec<u8>>;

/// Most bytes of a challenge that are read.
const MAX_CHALLENGE_BYTES: usize = 4096;
/// Most bytes of a token: headers of servers end at 8 to 64 KiB.
const MAX_TOKEN_BYTES: usize = 32 << 10;

impl Challenge {
    /// Reads one header.
    pub(crate) fn parse(header: &str) -> Option<Self> {
        let (scheme, mut rest) = header.get(..header.len().min(MAX_CHALLENGE_BYTES))?.trim().split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let (mut realm, mut service) = (None, None);
        while let Some((key, after)) = rest.split_once("=\"") {
            let (value, after) = after.split_once('"')?;
            match key.trim_matches([',', ' ']) {
                "realm" => realm = Some(value.to_owned()),
                "service" => service = Some(value.to_owned()),
                _ => {}
            }
            rest = after;
        }
        Some(Self::Bearer { realm: realm?, service })
    }
}

/// Name and password of a registry, if there are any, as a header's value.
pub(crate) fn basic(settings: Option<&RegistrySettings>) -> Option<Authorization> {
    let settings = settings?;
    let (user, password) = (settings.user.as_ref()?, settings.password.as_ref()?);
    let mut pair = Plaintext::new(Vec::with_capacity(user.len() + 1 + password.expose_bytes().len()));
    pair.expose_secret_mut().extend_from_slice(user.as_bytes());
    pair.expose_secret_mut().push(b':');
    pair.expose_secret_mut().extend_from_slice(password.expose_bytes());
    // What is shown to the registry and nobody else.
    let mut value = String::with_capacity(6 + pair.expose_bytes().len().div_ceil(3) * 4);
    value.push_str("Basic ");
    BASE64.encode_string(pair.expose_bytes(), &mut value);
    Some(Plaintext::new(value.into_bytes()))
}

/// The header's value for the token in an answer.
pub(crate) fn bearer(answer: &[u8]) -> Option<Authorization> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let Answer { token, access_token } = serde_json::from_slice(answer).ok()?;
    let token = Plaintext::new(token.or(access_token)?.into_bytes());
    let fits = |bytes: &[u8]| bytes.len() <= MAX_TOKEN_BYTES && bytes.iter().all(u8::is_ascii_graphic);
    if token.expose_bytes().is_empty() || !fits(token.expose_bytes()) {
        return None;
    }
    let mut value = Vec::with_capacity(7 + token.expose_bytes().len());
    value.extend_from_slice(b"Bearer ");
    value.extend_from_slice(token.expose_bytes());
    Some(Plaintext::new(value))
}

/// A text within a query: everything but letters, digits and `-._~` by its number.
pub(crate) fn in_query(text: &str) -> String {
    let mut shown = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => shown.push(char::from(byte)),
            _ => shown.push_str(&format!("%{byte:02X}")),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read_and_others_are_none() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.into(), service: service.map(str::to_owned) })
        };
        for (header, expected) in [
            ("Basic realm=\"x\"", Some(Challenge::Basic)),
            (
                "Bearer realm=\"https://a.org/token\",service=\"b\",scope=\"c:d:e,f\"",
                bearer("https://a.org/token", Some("b")),
            ),
            ("bearer realm=\"https://a.org/token\"", bearer("https://a.org/token", None)),
            ("Bearer service=\"b\"", None),
            ("Bearer realm=\"unclosed", None),
            ("Negotiate", None),
            ("Digest realm=\"x\"", None),
            ("", None),
        ] {
            assert_eq!(Challenge::parse(header), expected, "{header}");
        }
    }

    #[test]
    fn only_a_token_that_can_stand_in_a_header_is_taken() {
        let token = bearer(b"{\"token\":\"abc.DEF\"}").unwrap();
        assert_eq!(token.expose_bytes(), b"Bearer abc.DEF");
        assert!(bearer(b"{\"access_token\":\"x\"}").is_some());
        for answer in [&b"{}"[..], b"{\"token\":\"\"}", b"{\"token\":\"a\\r\\nb: c\"}", b"not json", b"{\"token\":7}"] {
            assert!(bearer(answer).is_none());
        }
    }

    #[test]
    fn name_and_password_are_encoded_as_the_scheme_wants() {
        let password = Some(Plaintext::new(b"open sesame".to_vec()));
        let settings = RegistrySettings { user: Some("Aladdin".into()), password, ..RegistrySettings::default() };
        assert_eq!(basic(Some(&settings)).unwrap().expose_bytes(), b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert!(basic(None).is_none());
    }
}
