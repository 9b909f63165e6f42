//! What can be wrong with a sealed package.

use std::fmt;
use std::io;

use hotcell_crypto::{VerifyingKey, WrapError};
use hotcell_types::{Exit, Explain};

use crate::header::MAX_HEADER_BYTES;

/// A package that could not be sealed or opened. Each way of damaging one has its own variant.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It does not begin like a sealed package.
    #[error("this is not a sealed package")]
    NotAPackage,
    /// A later format.
    #[error("the package has format version {found}, which this Hotcell does not know")]
    UnknownVersion {
        /// The version it claims.
        found: u16,
    },
    /// Algorithms that are not known here.
    #[error("the package uses the cipher suite {found:#06x}, which this Hotcell does not know")]
    UnknownSuite {
        /// The suite it claims.
        found: u16,
    },
    /// A header beyond the bound.
    #[error("the header claims {found} bytes, more than {MAX_HEADER_BYTES}")]
    HeaderTooLong {
        /// The length it claims.
        found: u32,
    },
    /// A header that is not of the form.
    #[error("the header is malformed")]
    HeaderMalformed {
        /// Where and why.
        source: serde_json::Error,
    },
    /// A header with a value out of bounds.
    #[error("the header is out of bounds: {what}")]
    HeaderOutOfBounds {
        /// Which value.
        what: &'static str,
    },
    /// It ends too early.
    #[error("the package is cut off in {part}")]
    Truncated {
        /// Where.
        part: Part,
    },
    /// The vendor did not sign this header.
    #[error("the header was changed: the signature of {vendor} does not fit it")]
    HeaderSignature {
        /// Who signed it, as the header claims.
        vendor: VerifyingKey,
    },
    /// Signed in order, by someone who is not trusted.
    #[error("the package is signed by {vendor}, who is not among the trusted vendors")]
    UntrustedVendor {
        /// Who signed it.
        vendor: VerifyingKey,
    },
    /// Sealed to others.
    #[error("the package was not sealed to the given key")]
    WrongKey,
    /// The header does not belong to the data key.
    #[error("the header was changed: it does not fit the key that it carries")]
    HeaderMac,
    /// Header and body of different packages.
    #[error("the body does not belong to this header")]
    ForeignBody,
    /// A chunk that fails its authentication.
    #[error("chunk {index} of {chunks} was changed")]
    ChunkTampered {
        /// Which, from 0.
        index: u64,
        /// How many there are.
        chunks: u64,
    },
    /// A genuine chunk in the wrong place: chunks were swapped, repeated or left out.
    #[error("chunk {found} stands in the place of chunk {index} of {chunks}")]
    ChunkMisplaced {
        /// The place, from 0.
        index: u64,
        /// Which chunk stands there.
        found: u64,
        /// How many there are.
        chunks: u64,
    },
    /// Chunks made by someone who had the data key but is not the vendor.
    #[error("the body was changed: the signature of {vendor} does not fit it")]
    BodySignature {
        /// Who signed the header.
        vendor: VerifyingKey,
    },
    /// Something follows the end.
    #[error("the package goes on after its end")]
    TrailingBytes,
    /// It could not be read.
    #[error("{part} cannot be read")]
    Read {
        /// Which part.
        part: Part,
        /// Why.
        source: io::Error,
    },
    /// What was sealed or opened could not be written.
    #[error("{part} cannot be written")]
    Write {
        /// Which part.
        part: Part,
        /// Why.
        source: io::Error,
    },
    /// A package that may not be made.
    #[error("this cannot be sealed: {what}")]
    Spec {
        /// What is wrong.
        what: &'static str,
    },
    /// The model file is not as long as it was said to be.
    #[error("the model changed while it was sealed: {expected} bytes were announced, and it has {}", if *.longer { "more" } else { "fewer" })]
    SizeChanged {
        /// The announced size.
        expected: u64,
        /// Whether it is longer.
        longer: bool,
    },
    /// A recipient to whom nothing can be sealed.
    #[error("the key cannot be sealed to recipient {index}")]
    Recipient {
        /// Which, from 0.
        index: usize,
        /// Why.
        source: WrapError,
    },
}

/// A part of a package, or what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// From the magic to the header's MAC.
    Header,
    /// The digest between header and body.
    Binding,
    /// One chunk of the body, from 0.
    Chunk(u64),
    /// The signature at the end.
    Trailer,
    /// The model itself.
    Model,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header => f.write_str("the header"),
            Self::Binding => f.write_str("the header's digest"),
            Self::Chunk(index) => write!(f, "chunk {index}"),
            Self::Trailer => f.write_str("the signature at the end"),
            Self::Model => f.write_str("the model"),
        }
    }
}

impl Explain for PackageError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAPackage => "VLT-001",
            Self::UnknownVersion { .. } => "VLT-002",
            Self::UnknownSuite { .. } => "VLT-003",
            Self::HeaderTooLong { .. } => "VLT-004",
            Self::HeaderMalformed { .. } => "VLT-005",
            Self::HeaderOutOfBounds { .. } => "VLT-006",
            Self::Truncated { .. } => "VLT-007",
            Self::HeaderSignature { .. } => "VLT-008",
            Self::UntrustedVendor { .. } => "VLT-009",
            Self::WrongKey => "VLT-010",
            Self::HeaderMac => "VLT-011",
            Self::ForeignBody => "VLT-012",
            Self::ChunkTampered { .. } => "VLT-013",
            Self::ChunkMisplaced { .. } => "VLT-014",
            Self::BodySignature { .. } => "VLT-015",
            Self::TrailingBytes => "VLT-016",
            Self::Read { .. } => "VLT-017",
            Self::Write { .. } => "VLT-018",
            Self::Spec { .. } => "VLT-020",
            Self::SizeChanged { .. } => "VLT-021",
            Self::Recipient { .. } => "VLT-022",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::NotAPackage => "give a file that `hotcell seal` made of a model".to_owned(),
            Self::UnknownVersion { .. } | Self::UnknownSuite { .. } => {
                "use a newer Hotcell, or get the package again: its beginning may be damaged".to_owned()
            }
            Self::UntrustedVendor { vendor } => {
                format!("compare {vendor} with the vendor by another way, and only then add it to the trusted ones")
            }
            Self::WrongKey => "use the key whose public part the vendor sealed to, or send the vendor yours".to_owned(),
            Self::Truncated { .. } => "get the whole package again, and compare its size with the vendor's".to_owned(),
            Self::HeaderTooLong { .. }
            | Self::HeaderMalformed { .. }
            | Self::HeaderOutOfBounds { .. }
            | Self::HeaderSignature { .. }
            | Self::HeaderMac
            | Self::ForeignBody
            | Self::ChunkTampered { .. }
            | Self::ChunkMisplaced { .. }
            | Self::BodySignature { .. }
            | Self::TrailingBytes => "throw away what was opened, and get the package again from the vendor".to_owned(),
            Self::Read { .. } => "check that the file exists and that you may read it".to_owned(),
            Self::Write { .. } => "check that the place exists, has room, and that you may write there".to_owned(),
            Self::Spec { .. } => "change what is named and seal again".to_owned(),
            Self::SizeChanged { .. } => "seal again when nothing writes to the model any more".to_owned(),
            Self::Recipient { source, .. } => source.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::SizeChanged { .. } => Exit::Failed,
            Self::Spec { .. } | Self::Recipient { .. } => Exit::Usage,
            _ => Exit::Integrity,
        }
    }
}
