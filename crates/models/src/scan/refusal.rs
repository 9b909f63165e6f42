//! Why something is refused, in words that help whoever made the model.

use std::fmt;

use serde::Serialize;

/// One thing that is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// What kind of thing.
    pub kind: Why,
    /// Where: names of members within each other, a byte, a line.
    pub place: String,
    /// What is there.
    pub reason: String,
    /// What can be done about it.
    pub remedy: &'static str,
}

/// The kinds of what is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The bytes are not what they begin like, or are cut off.
    Malformed,
    /// More of something than is looked at.
    TooLarge,
    /// A pickle names something that is on no list.
    Global,
    /// A pickle calls something in a way that is on no list.
    Call,
    /// A pickle uses an instruction that ordinary ones have no need of.
    Opcode,
    /// Two programs could read the file in two ways.
    Ambiguous,
    /// A NumPy array holds objects, and so a pickle.
    ObjectArray,
    /// A name leads out of its folder.
    OutsideName,
    /// A link, a device or the like.
    Link,
    /// A program.
    Code,
    /// A template does more than arrange text.
    Template,
    /// An operator that only a foreign library has.
    Operator,
    /// Data in another file that may not be named so.
    ExternalData,
    /// Compressed or encrypted in a way that is not looked into.
    Compressed,
    /// A format that nothing here knows.
    UnknownFormat,
}

impl Why {
    /// What can be done about one of this kind.
    pub(crate) const fn remedy(self) -> &'static str {
        match self {
            Self::Malformed => "get the file again from its author: it is damaged, or not what it pretends to be",
            Self::TooLarge => {
                "have the author split the file, or export it in a format without such bounds (safetensors)"
            }
            Self::Global | Self::Call | Self::Opcode | Self::ObjectArray => {
                "ask the author for the weights in a format that holds no program (safetensors, ONNX), or for an export of \
                 the plain estimator"
            }
            Self::Ambiguous => "have the author write the archive anew with one tool; do not use this one",
            Self::OutsideName | Self::Link => "have the author pack plain files below one folder",
            Self::Code => {
                "leave the program out; a model that needs one is a command in an image, with a sandbox of its own"
            }
            Self::Template => "ask the author for a template of plain loops, conditions and the usual filters",
            Self::Operator => "have the author export the model with the operators of the standard",
            Self::ExternalData => {
                "have the author save the model into one file, or its data beside it under a plain name"
            }
            Self::Compressed => "have the author save it uncompressed, or with zlib, gzip or deflate",
            Self::UnknownFormat => {
                "ask the author for safetensors, ONNX, GGUF or NumPy, and keep other files out of the model's folder"
            }
        }
    }

    /// Its name, as `--json` has it.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Global => "global",
            Self::Call => "call",
            Self::Opcode => "opcode",
            Self::Ambiguous => "ambiguous",
            Self::ObjectArray => "object-array",
            Self::OutsideName => "outside-name",
            Self::Link => "link",
            Self::Code => "code",
            Self::Template => "template",
            Self::Operator => "operator",
            Self::ExternalData => "external-data",
            Self::Compressed => "compressed",
            Self::UnknownFormat => "unknown-format",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.label())
    }
}

/// A refusal that ends the reading of a file; its place is known to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) kind: Why,
    pub(crate) reason: String,
    /// The byte in the file, where it says something.
    pub(crate) at: Option<u64>,
}

impl Bad {
    pub(crate) fn new(kind: Why, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into(), at: None }
    }

    pub(crate) fn malformed(reason: impl Into<String>) -> Self {
        Self::new(Why::Malformed, reason)
    }

    pub(crate) fn at(self, at: u64) -> Self {
        Self { at: Some(at), ..self }
    }

    pub(crate) fn within(self, place: &str) -> Refusal {
        let place = match self.at {
            Some(at) => format!("{place} at byte {at}"),
            None => place.to_owned(),
        };
        Refusal { kind: self.kind, place, reason: self.reason, remedy: self.kind.remedy() }
    }
}

/// A text of the file, short and harmless enough to be shown.
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        short.push('…');
    }
    short
}

/// Letters of a foreign text in a message.
const MAX_SHOWN: usize = 80;
