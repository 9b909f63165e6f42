//! ONNX: which operators a model uses, and which files it names.
//!
//! The engines read a model again and stricter when they load it; here it is enough that nothing in it leads elsewhere.

use std::collections::BTreeSet;

use super::kind::Scanner;
use super::path::check_name;
use super::refusal::{Bad, Why, shown};
use super::source::Source;
use crate::wire::{Fields, Value, WireError};

/// Goes through the whole file.
pub(crate) fn scan(scanner: &mut Scanner, source: &Source, place: &str) -> Result<(), Bad> {
    let bytes = source.whole(MAX_MODEL)?;
    let mut walk = Walk { items: MAX_ITEMS, ..Walk::default() };
    walk.model(&bytes)?;
    for (kind, reason) in walk.refused {
        scanner.refuse(Bad::new(kind, reason), place);
    }
    scanner.data_files.extend(walk.data_files);
    Ok(())
}

/// Whether bytes are a model, where the name does not say so.
pub(crate) fn begins_like_one(source: &Source) -> Result<bool, Bad> {
    // ir_version first, as every exporter writes it.
    if source.head(2)?.first() != Some(&0x08) || source.len() > MAX_MODEL {
        return Ok(false);
    }
    let bytes = source.whole(MAX_MODEL)?;
    let fields: Result<Vec<_>, _> = Fields::new(&bytes).map(|field| field.map(|(number, _)| number)).collect();
    Ok(fields.is_ok_and(|numbers| numbers.contains(&7) && numbers.contains(&8)))
}

/// Whether bytes are a model of SentencePiece: pieces, and how they were found.
pub(crate) fn is_sentencepiece(source: &Source) -> Result<bool, Bad> {
    if source.head(1)?.first() != Some(&0x0a) || source.len() > MAX_PIECES {
        return Ok(false);
    }
    let bytes = source.whole(MAX_PIECES)?;
    let piece = |bytes: &[u8]| {
        Fields::new(bytes).all(|field| {
            matches!(field, Ok((1, Value::Bytes(text))) if std::str::from_utf8(text).is_ok())
                || matches!(field, Ok((2, Value::Fixed32(_)) | (3, Value::Varint(_))))
        })
    };
    let mut pieces = 0;
    for field in Fields::new(&bytes) {
        match field {
            Ok((1, Value::Bytes(bytes))) if piece(bytes) => pieces += 1,
            Ok((2..=5, Value::Bytes(_))) => {}
            _ => return Ok(false),
        }
    }
    Ok(pieces > 0)
}

#[derive(Debug, Default)]
struct Walk {
    items: usize,
    refused: BTreeSet<(Why, String)>,
    data_files: BTreeSet<String>,
    own_domains: BTreeSet<String>,
    uses: BTreeSet<(String, String)>,
}

impl Walk {
    fn model(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let mut graphs = 0;
        for field in Fields::new(bytes) {
            match field? {
                (7, value) => {
                    graphs += 1;
                    self.graph(value.bytes()?, 0)?;
                }
                // Functions that the model brings along.
                (25, value) => self.function(value.bytes()?)?,
                (20, value) => {
                    for field in Fields::new(value.bytes()?) {
                        if let (1 | 2, value) = field? {
                            self.graph(value.bytes()?, 0)?;
                        }
                    }
                }
                _ => {}
            }
        }
        if graphs != 1 {
            return Err(Bad::malformed(format!("it has {graphs} graphs, not one")));
        }
        for (domain, operator) in std::mem::take(&mut self.uses) {
            if !DOMAINS.contains(&domain.as_str()) && !self.own_domains.contains(&domain) {
                let what =
                    format!("the operator `{}.{}` is one of a foreign library", shown(&domain), shown(&operator));
                self.refuse(Why::Operator, what);
            } else if RUNS_CODE.contains(&operator.as_str()) {
                self.refuse(Why::Operator, format!("the operator `{}` runs a program", shown(&operator)));
            }
        }
        Ok(())
    }

    fn refuse(&mut self, kind: Why, reason: String) {
        if self.refused.len() < MAX_REFUSED {
            self.refused.insert((kind, reason));
        }
    }

    fn spend(&mut self) -> Result<(), Bad> {
        self.items = self.items.checked_sub(1).ok_or_else(|| Bad::new(Why::TooLarge, "it has too many parts"))?;
        Ok(())
    }

    fn function(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        for field in Fields::new(bytes) {
            match field? {
                (7, value) => self.node(value.bytes()?, 0)?,
                (10, value) => {
                    self.own_domains.insert(value.text()?.to_owned());
                }
                (11, value) => self.attribute(value.bytes()?, 0)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn graph(&mut self, bytes: &[u8], depth: usize) -> Result<(), Bad> {
        if depth > MAX_DEPTH {
            return Err(Bad::new(Why::TooLarge, "its graphs are nested too deeply"));
        }
        for field in Fields::new(bytes) {
            self.spend()?;
            match field? {
                (1, value) => self.node(value.bytes()?, depth)?,
                (5, value) => self.tensor(value.bytes()?)?,
                (15, value) => self.sparse(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn node(&mut self, bytes: &[u8], depth: usize) -> Result<(), Bad> {
        let (mut domain, mut operator) = ("", "");
        for field in Fields::new(bytes) {
            self.spend()?;
            match field? {
                (4, value) => operator = value.text()?,
                (5, value) => self.attribute(value.bytes()?, depth)?,
                (7, value) => domain = value.text()?,
                _ => {}
            }
        }
        if operator.is_empty() {
            return Err(Bad::malformed("an operator has no name"));
        }
        if self.uses.len() < MAX_OPERATORS {
            self.uses.insert((domain.to_owned(), operator.to_owned()));
            return Ok(());
        }
        Err(Bad::new(Why::TooLarge, "it uses too many kinds of operators"))
    }

    fn attribute(&mut self, bytes: &[u8], depth: usize) -> Result<(), Bad> {
        for field in Fields::new(bytes) {
            self.spend()?;
            match field? {
                (5 | 10, value) => self.tensor(value.bytes()?)?,
                (6 | 11, value) => self.graph(value.bytes()?, depth + 1)?,
                (22 | 23, value) => self.sparse(value.bytes()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn sparse(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        for field in Fields::new(bytes) {
            if let (1 | 2, value) = field? {
                self.tensor(value.bytes()?)?;
            }
        }
        Ok(())
    }

    fn tensor(&mut self, bytes: &[u8]) -> Result<(), Bad> {
        let (mut name, mut kind, mut raw, mut dims, mut external) = ("", 0, None, Vec::new(), Vec::new());
        for field in Fields::new(bytes) {
            match field? {
                (1, value) => value.extend_ints(&mut dims)?,
                (2, value) => kind = value.int()?,
                (8, value) => name = value.text()?,
                (9, value) => raw = Some(value.bytes()?.len() as u64),
                (13, value) => external.push(value.bytes()?),
                _ => {}
            }
        }
        if let (Some(raw), true, Some(bits)) = (raw, external.is_empty(), element_bits(kind)) {
            let elements = dims.iter().try_fold(1u64, |all, size| all.checked_mul(u64::try_from(*size).ok()?));
            let bytes = elements.and_then(|elements| elements.checked_mul(bits)).map(|bits| bits.div_ceil(8));
            if bytes != Some(raw) {
                return Err(Bad::malformed(format!("the constant `{}` is not as long as its shape says", shown(name))));
            }
        }
        for entry in external {
            self.external(name, entry)?;
        }
        Ok(())
    }

    /// `location`: a plain name beside the model. `offset` and `length`: numbers.
    fn external(&mut self, tensor: &str, entry: &[u8]) -> Result<(), Bad> {
        let (mut key, mut said) = ("", "");
        for field in Fields::new(entry) {
            match field? {
                (1, value) => key = value.text()?,
                (2, value) => said = value.text()?,
                _ => {}
            }
        }
        let tensor = shown(tensor);
        match key {
            "location" => match check_name(said) {
                Ok(()) => drop(self.data_files.insert(said.to_owned())),
                Err(why) => self.refuse(Why::ExternalData, format!("the data of `{tensor}` lie elsewhere: {why}")),
            },
            "offset" | "length" if said.parse::<u64>().is_ok() => {}
            "checksum" => {}
            _ => self
                .refuse(Why::ExternalData, format!("the data of `{tensor}` have an unknown setting `{}`", shown(key))),
        }
        Ok(())
    }
}

impl From<WireError> for Bad {
    fn from(error: WireError) -> Self {
        Self::malformed(error.to_string())
    }
}

/// Bits of one element of ONNX's types, of those that have raw data.
fn element_bits(kind: i64) -> Option<u64> {
    Some(match kind {
        21..=23 => 4,
        2 | 3 | 9 | 17..=20 | 24 => 8,
        4 | 5 | 10 | 16 => 16,
        1 | 6 | 12 => 32,
        7 | 11 | 13 | 14 => 64,
        15 => 128,
        _ => return None,
    })
}

/// The domains of the standard, and the one of the reference runtime, whose operators only reckon.
const DOMAINS: &[&str] = &["", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft"];
/// Operators that bring a program along.
const RUNS_CODE: &[&str] = &["PyOp", "EPContext", "PythonOp", "ATen"];
const MAX_MODEL: u64 = (1 << 31) - 1;
const MAX_PIECES: u64 = 64 << 20;
const MAX_ITEMS: usize = 50_000_000;
const MAX_DEPTH: usize = 16;
const MAX_OPERATORS: usize = 4096;
const MAX_REFUSED: usize = 32;
