//! What a file is, by its bytes; its name only says what else it would have to be.

use std::fmt;

use serde::Serialize;

use super::refusal::{Bad, Refusal, Why};
use super::source::Source;
use super::{archive, gguf, json, numpy, onnx, pickle, safetensors, tar, text, zip};

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Tensors, by Hugging Face.
    Safetensors,
    /// A graph of operators.
    Onnx,
    /// Tensors and settings, by llama.cpp.
    Gguf,
    /// An array (`.npy`).
    NumpyArray,
    /// Arrays (`.npz`).
    NumpyArchive,
    /// Python's pickle, joblib's, or PyTorch's older files.
    Pickle,
    /// PyTorch's archive.
    PytorchArchive,
    /// Files in a zip.
    Zip,
    /// Files in a tar.
    Tar,
    /// Something compressed.
    Compressed,
    /// Settings.
    Json,
    /// A template of chats.
    Template,
    /// Pieces of words, by SentencePiece.
    Sentencepiece,
    /// Text that no program executes.
    Text,
    /// Nothing.
    Empty,
    /// Bytes that another file names as its data.
    Data,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Safetensors => "safetensors",
            Self::Onnx => "onnx",
            Self::Gguf => "gguf",
            Self::NumpyArray => "numpy-array",
            Self::NumpyArchive => "numpy-archive",
            Self::Pickle => "pickle",
            Self::PytorchArchive => "pytorch-archive",
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::Compressed => "compressed",
            Self::Json => "json",
            Self::Template => "template",
            Self::Sentencepiece => "sentencepiece",
            Self::Text => "text",
            Self::Empty => "empty",
            Self::Data => "data",
        })
    }
}

/// Looks at files within each other, and keeps what it refuses.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    pub(crate) refused: Vec<Refusal>,
    pub(crate) data_files: Vec<String>,
    depth: usize,
    /// Bytes that were unpacked so far.
    pub(crate) unpacked: u64,
    /// Members of archives so far.
    pub(crate) members: usize,
}

impl Scanner {
    /// Keeps a refusal.
    pub(crate) fn refuse(&mut self, bad: Bad, place: &str) {
        let refusal = bad.within(place);
        if self.refused.len() < MAX_REFUSED && !self.refused.contains(&refusal) {
            self.refused.push(refusal);
        }
    }

    /// Looks at a file, at this place within others.
    pub(crate) fn file(&mut self, source: &Source, place: &str) -> Option<Kind> {
        if self.depth >= MAX_DEPTH {
            self.refuse(Bad::new(Why::TooLarge, format!("files lie within each other deeper than {MAX_DEPTH}")), place);
            return None;
        }
        self.depth += 1;
        let looked = self.look(source, place);
        self.depth -= 1;
        match looked {
            Ok(kind) => Some(kind),
            Err(bad) => {
                self.refuse(bad, place);
                None
            }
        }
    }

    /// A pickle among the bytes of another.
    pub(crate) fn nested_pickle(&mut self, bytes: Vec<u8>, place: &str) {
        if self.depth >= MAX_DEPTH {
            self.refuse(
                Bad::new(Why::TooLarge, format!("pickles lie within each other deeper than {MAX_DEPTH}")),
                place,
            );
            return;
        }
        self.depth += 1;
        let source = Source::memory(bytes);
        let place = format!("{place} › bytes");
        let before = self.refused.len();
        pickle::scan(self, &source, &place);
        self.depth -= 1;
        // Bytes that only look like one are no pickle.
        let acts = self
            .refused
            .get(before..)
            .is_some_and(|new| new.iter().any(|new| !matches!(new.kind, Why::Malformed | Why::Ambiguous)));
        if !acts {
            self.refused.truncate(before);
        }
    }

    fn look(&mut self, source: &Source, place: &str) -> Result<Kind, Bad> {
        let name = place.rsplit(['/', '!']).next().unwrap_or(place);
        let name = name.to_ascii_lowercase();
        let ends = |endings: &[&str]| endings.iter().any(|ending| name.ends_with(ending));
        if source.len() == 0 {
            return match ends(CODE) {
                // Python takes an empty file for a module without content.
                false => Ok(Kind::Empty),
                true if name == "__init__.py" => Ok(Kind::Empty),
                true => Err(code(&name)),
            };
        }
        let head = source.head(512)?;
        if let Some(what) = text::program(&head) {
            return Err(Bad::new(Why::Code, format!("it is {what}")));
        }
        if ends(CODE) {
            return Err(code(&name));
        }
        if head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06") {
            return archive::zip_file(self, source, place);
        }
        // Readers that look for an archive at the end of a file would see another file than those that look at its start.
        if zip::ends_like_one(source)? {
            return Err(Bad::new(Why::Ambiguous, "it begins like something else and ends like a zip archive"));
        }
        if pickle::begins_like_one(&head) {
            pickle::scan(self, source, place);
            return Ok(Kind::Pickle);
        }
        if head.starts_with(b"\x93NUMPY") {
            return numpy::scan(source).map(|()| Kind::NumpyArray);
        }
        if head.starts_with(b"GGUF") {
            return gguf::scan(self, source, place).map(|()| Kind::Gguf);
        }
        if tar::begins_like_one(&head) {
            return archive::tar_file(self, source, place);
        }
        if let Some(kind) = archive::compressed(self, source, &head, place)? {
            return Ok(kind);
        }
        if ends(&[".safetensors"]) || safetensors::begins_like_one(&head, source.len()) {
            return safetensors::scan(source).map(|()| Kind::Safetensors);
        }
        if ends(&[".onnx"]) {
            return onnx::scan(self, source, place).map(|()| Kind::Onnx);
        }
        if ends(&[".jinja", ".jinja2", ".j2"]) {
            return json::template_file(source).map(|()| Kind::Template);
        }
        if let Some(kind) = text::scan(self, source, &name, place)? {
            return Ok(kind);
        }
        // Of protocol 0 and 1, a pickle has no mark at its beginning.
        if ends(PICKLES) || pickle::acts(source) {
            pickle::scan(self, source, place);
            return Ok(Kind::Pickle);
        }
        if onnx::begins_like_one(source)? {
            return onnx::scan(self, source, place).map(|()| Kind::Onnx);
        }
        if onnx::is_sentencepiece(source)? {
            return Ok(Kind::Sentencepiece);
        }
        Err(Bad::new(Why::UnknownFormat, "it is of no format that is known here"))
    }
}

fn code(name: &str) -> Bad {
    let ending = name.rsplit('.').next().unwrap_or_default();
    Bad::new(Why::Code, format!("it is a program, by its name `….{ending}`"))
}

/// Names of pickles.
const PICKLES: &[&str] = &[".pkl", ".pickle", ".p", ".joblib", ".pt", ".pth", ".ckpt", ".sav", ".dill"];
/// Names of what is executed.
const CODE: &[&str] = &[
    ".py", ".pyc", ".pyo", ".pyd", ".pyw", ".pyx", ".pth.py", ".so", ".dll", ".dylib", ".exe", ".sh", ".bash", ".bat",
    ".cmd", ".ps1", ".js", ".mjs", ".cjs", ".rb", ".pl", ".lua", ".php", ".jar", ".class", ".wasm", ".ipynb", ".egg",
    ".whl", ".desktop",
];
/// Files within each other.
const MAX_DEPTH: usize = 6;
/// Refusals that are told of one file.
const MAX_REFUSED: usize = 64;
