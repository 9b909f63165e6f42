//! Keys as text: Bech32 with a prefix per kind, as age writes its own.

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};
use hotcell_types::{Exit, Explain};
use zeroize::Zeroizing;

/// The kinds of key text, each with its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// age's own.
    Secret,
    /// age's own.
    Public,
    /// Ours.
    Signing,
    /// Ours.
    Verifying,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Secret, Self::Public, Self::Signing, Self::Verifying];

    /// Bech32's human-readable part, in lower case. The text goes on with `1`.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Secret => "age-secret-key-",
            Self::Public => "age",
            Self::Signing => "hotcell-signing-key-",
            Self::Verifying => "hotcell-verify",
        }
    }

    const fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Signing)
    }

    /// What it is called in messages.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret encryption key",
            Self::Public => "public encryption key",
            Self::Signing => "secret signing key",
            Self::Verifying => "public signing key",
        }
    }

    /// How its texts begin; secret ones are in capitals, so that they catch the eye.
    pub(crate) fn start(self) -> String {
        let start = format!("{}1", self.prefix());
        if self.is_secret() { start.to_ascii_uppercase() } else { start }
    }

    /// The kind that a text begins like, if any.
    pub(crate) fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| text.starts_with(&kind.start()))
    }
}

/// A text that is not the key it should be. It never repeats the text, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseKeyError {
    /// Another kind of key, recognised by its prefix.
    #[error("a {expected} was expected, but this is a {found}")]
    WrongKind {
        /// What was asked for.
        expected: &'static str,
        /// What the text is.
        found: &'static str,
    },
    /// No kind of key.
    #[error("this is no {expected} (expected `{start}…`)")]
    NotAKey {
        /// What was asked for.
        expected: &'static str,
        /// How such a text begins.
        start: String,
    },
    /// The prefix fits, but checksum, length or case does not.
    #[error("the {kind} is mistyped or cut off: its checksum does not fit")]
    Damaged {
        /// Which kind of key.
        kind: &'static str,
    },
    /// A point of small order: whatever is sealed to it can be read by everybody.
    #[error("the public encryption key is not a usable point of the curve")]
    Weak,
}

impl Explain for ParseKeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::WrongKind { .. } => "CRY-001",
            Self::NotAKey { .. } => "CRY-002",
            Self::Damaged { .. } => "CRY-003",
            Self::Weak => "CRY-004",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::WrongKind { expected, .. } => {
                format!("give the {expected}; `keygen` wrote the public part to FILE.pub")
            }
            Self::NotAKey { start, .. } => {
                format!("give a text that begins with `{start}`, or make a key with `hotcell keygen`")
            }
            Self::Damaged { .. } => "copy the whole line again from where the key was made".to_owned(),
            Self::Weak => "ask the recipient for a key made by `hotcell keygen` or `age-keygen`".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// The text of a key.
pub(crate) fn encode(kind: Kind, key: &[u8; 32]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT_BYTES));
    // The prefixes are valid and 32 bytes are far below Bech32's longest text, so neither call can
    // fail; if one did, the text would be empty and no parser would take it.
    if let Ok(prefix) = Hrp::parse(kind.prefix()) {
        let _ = bech32::encode_lower_to_fmt::<Bech32, _>(&mut *text, prefix, key);
    }
    if kind.is_secret() {
        text.make_ascii_uppercase();
    }
    text
}

/// The key of a text, which must be exactly what [`encode`] writes.
pub(crate) fn decode(kind: Kind, text: &str) -> Result<Zeroizing<[u8; 32]>, ParseKeyError> {
    match Kind::of(text) {
        Some(found) if found == kind => {}
        Some(found) => return Err(ParseKeyError::WrongKind { expected: kind.name(), found: found.name() }),
        None => return Err(ParseKeyError::NotAKey { expected: kind.name(), start: kind.start() }),
    }
    let damaged = || ParseKeyError::Damaged { kind: kind.name() };
    if text.len() > MAX_TEXT_BYTES {
        return Err(damaged());
    }
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| damaged())?;
    let mut key = Zeroizing::new([0; 32]);
    let mut bytes = checked.byte_iter();
    for place in key.iter_mut() {
        *place = bytes.next().ok_or_else(damaged)?;
    }
    // One key, one text: this refuses surplus bytes, padding that is not zero, and mixed case.
    if *encode(kind, &key) != text { Err(damaged()) } else { Ok(key) }
}

/// Room for the longest text (a secret signing key has 79 characters), so that none is reallocated.
const MAX_TEXT_BYTES: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_key_reads_back_as_written() {
        for kind in Kind::ALL {
            for seed in 0..=255 {
                let key = [seed; 32];
                let text = encode(kind, &key);
                assert!(text.starts_with(&kind.start()) && text.len() < MAX_TEXT_BYTES, "{kind:?}");
                assert_eq!(*decode(kind, &text).unwrap(), key, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_text_with_any_one_character_changed_is_refused() {
        for kind in Kind::ALL {
            let text = encode(kind, &[0x5a; 32]);
            for place in 0..text.len() {
                let mut changed = text.as_bytes().to_vec();
                changed[place] = if changed[place] == b'q' { b'p' } else { b'q' };
                let changed = String::from_utf8(changed).unwrap();
                assert!(decode(kind, &changed).is_err(), "{kind:?} changed at {place}");
            }
        }
    }

    #[test]
    fn malformed_texts_are_refused_each_for_its_reason() {
        let public = encode(Kind::Public, &[9; 32]).to_string();
        let secret = encode(Kind::Secret, &[9; 32]).to_string();
        for (text, expected) in [
            (
                secret.clone(),
                ParseKeyError::WrongKind { expected: "public encryption key", found: "secret encryption key" },
            ),
            (String::new(), ParseKeyError::NotAKey { expected: "public encryption key", start: "age1".to_owned() }),
            (
                public.to_uppercase(),
                ParseKeyError::NotAKey { expected: "public encryption key", start: "age1".to_owned() },
            ),
            (public[..public.len() - 1].to_owned(), ParseKeyError::Damaged { kind: "public encryption key" }),
            (format!("{public}q"), ParseKeyError::Damaged { kind: "public encryption key" }),
            (format!("age1{}", "q".repeat(4096)), ParseKeyError::Damaged { kind: "public encryption key" }),
            ("age1é".to_owned(), ParseKeyError::Damaged { kind: "public encryption key" }),
        ] {
            assert_eq!(decode(Kind::Public, &text), Err(expected), "{text:.80}");
        }
    }

    #[test]
    fn an_error_never_repeats_the_key() {
        let secret = encode(Kind::Secret, &[9; 32]);
        let error = decode(Kind::Public, &secret).unwrap_err();
        let told = format!("{error} {error:?} {}", error.remedy());
        assert!(!told.contains(&secret[20..40]), "{told}");
    }
}
