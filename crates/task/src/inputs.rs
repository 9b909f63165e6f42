//! The inputs of a task: what they are, whose, and a commitment to their content.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hotcell_crypto::{Sha256Stream, sha256};
use hotcell_inspect::{CheckedSchema, Format, InputKeys, KeySet, SensitiveValues};
use hotcell_policy::DatasetFacts;
use hotcell_types::{Digest, InputRecord};

use crate::TaskError;
use crate::fields::View;
use crate::spec::TaskInput;

/// An input that is there.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    /// Whether it belongs to the principal, or everyone on this machine may read it anyway.
    pub(crate) owned: bool,
    is_folder: bool,
    /// Its columns, of a table, where policy decides by them.
    columns: Option<Vec<String>>,
}

/// Inputs of more bytes get no commitment: hashing them would hold up the start.
const MAX_COMMITTED_BYTES: u64 = 256 << 20;
/// Files of a folder beyond which it gets no commitment.
const MAX_COMMITTED_FILES: u64 = 10_000;
/// Bytes of a file's name, as Linux has it.
const MAX_NAME_BYTES: usize = 255;
/// Deepest nesting of folders that is counted.
const MAX_DEPTH: usize = 64;
/// What is read of an input, at most, to know its values in a stream.
const MAX_SENSITIVE_BYTES: u64 = 256 << 20;
/// The read permission of everybody.
const OTHERS_READ: u32 = 0o004;

impl Input {
    /// Looks at an input.
    ///
    /// # Errors
    /// When its name is none, or it is not there, or is neither a file nor a folder.
    fn look(input: TaskInput) -> Result<Self, TaskError> {
        if !is_name(&input.name) {
            return Err(TaskError::Spec {
                what: format!("`{}` cannot be the name of an input", input.name.escape_debug()),
                remedy: "name it as a file in a folder is named, without `/`: it is shown at /input/NAME",
            });
        }
        let found = fs::metadata(&input.path).map_err(TaskError::file("use the input", &input.path))?;
        if !found.is_file() && !found.is_dir() {
            return Err(TaskError::Spec {
                what: format!("the input `{}` is neither a file nor a folder", input.path.display()),
                remedy: "name a regular file or a folder",
            });
        }
        let me = rustix::process::geteuid();
        let owned = me.is_root() || found.uid() == me.as_raw() || found.mode() & OTHERS_READ != 0;
        Ok(Self { name: input.name, path: input.path, owned, is_folder: found.is_dir(), columns: None })
    }

    /// What policy is told of it.
    pub(crate) fn facts(&self) -> DatasetFacts {
        let path = fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        DatasetFacts {
            input: self.name.clone(),
            path: path.to_string_lossy().into_owned(),
            columns: self.columns.clone(),
        }
    }

    /// Reads which columns it has; one that is no table has none.
    ///
    /// # Errors
    /// When it cannot be read, or is a table that is broken.
    pub(crate) fn read_columns(&mut self) -> Result<(), TaskError> {
        let is_table =
            matches!(self.path.extension().and_then(|ending| ending.to_str()), Some("csv" | "jsonl" | "ndjson"));
        if is_table && !self.is_folder {
            self.columns = Some(crate::fields::columns_of(&self.path)?);
        }
        Ok(())
    }

    /// Every regular file of it, with its size.
    pub(crate) fn files(&self) -> Result<Vec<(PathBuf, u64)>, TaskError> {
        if !self.is_folder {
            let bytes = fs::metadata(&self.path).map_err(TaskError::file("read the input", &self.path))?.len();
            return Ok(vec![(self.path.clone(), bytes)]);
        }
        let mut files = Vec::new();
        list(&self.path, &self.path, 0, &mut files)?;
        Ok(files.into_iter().map(|(name, bytes)| (self.path.join(name), bytes)).collect())
    }

    /// What the receipt says of it.
    ///
    /// The commitment is SHA-256 over `hotcell input v1`, NUL, the salt, and the digest of the content; of a folder,
    /// the digest of its files' paths, sizes and digests in the order of the paths.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn record(&self, salt: &[u8; 32]) -> Result<InputRecord, TaskError> {
        let (bytes, files, digest) =
            if self.is_folder { digest_folder(&self.path)? } else { digest_file_bounded(&self.path)? };
        let commitment = digest.map(|digest| {
            let mut hash = Sha256Stream::new();
            hash.update(b"hotcell input v1\0");
            hash.update(salt);
            hash.update(&digest.0);
            hash.finish()
        });
        Ok(InputRecord { name: self.name.clone(), bytes, files, commitment })
    }
}

/// Whether a name is one entry of a folder, and shows as what it is.
///
/// INVARIANT (input-name): no name leads out of `/input`.
fn is_name(name: &str) -> bool {
    let is_one = !name.is_empty() && name.len() <= MAX_NAME_BYTES && name != "." && name != "..";
    is_one && !name.contains(|letter: char| letter == '/' || letter.is_control())
}

/// Looks at all inputs; no two have one name.
///
/// # Errors
/// As [`Input::look`], and when a name stands twice.
pub(crate) fn look(inputs: Vec<TaskInput>) -> Result<Vec<Input>, TaskError> {
    let mut names = BTreeSet::new();
    if let Some(twice) = inputs.iter().find(|input| !names.insert(input.name.as_str())) {
        return Err(TaskError::Spec {
            what: format!("two inputs are named `{}`", twice.name.escape_debug()),
            remedy: "give each input a name of its own",
        });
    }
    inputs.into_iter().map(Input::look).collect()
}

/// The digest of a plain model, a file or a folder, however large.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn digest_model(path: &Path) -> Result<Digest, TaskError> {
    if !path.is_dir() {
        return digest_file(path);
    }
    let mut files = Vec::new();
    list(path, path, 0, &mut files)?;
    digest_listing(path, files)
}

fn digest_file(path: &Path) -> Result<Digest, TaskError> {
    let read = || -> io::Result<Digest> {
        let mut file = File::open(path)?;
        let mut hash = Sha256Stream::new();
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hash.finish()),
                count => hash.update(buffer.get(..count).unwrap_or_default()),
            }
        }
    };
    read().map_err(TaskError::file("read", path))
}

fn digest_file_bounded(path: &Path) -> Result<(u64, u64, Option<Digest>), TaskError> {
    let bytes = fs::metadata(path).map_err(TaskError::file("read the input", path))?.len();
    let digest = (bytes <= MAX_COMMITTED_BYTES).then(|| digest_file(path)).transpose()?;
    Ok((bytes, 1, digest))
}

fn digest_folder(path: &Path) -> Result<(u64, u64, Option<Digest>), TaskError> {
    let mut files = Vec::new();
    list(path, path, 0, &mut files)?;
    let bytes: u64 = files.iter().map(|(_, bytes)| bytes).sum();
    let count = files.len() as u64;
    if bytes > MAX_COMMITTED_BYTES || count > MAX_COMMITTED_FILES {
        return Ok((bytes, count, None));
    }
    Ok((bytes, count, Some(digest_listing(path, files)?)))
}

/// One line for each file, in the order of the paths: path, size, digest.
fn digest_listing(folder: &Path, mut files: Vec<(PathBuf, u64)>) -> Result<Digest, TaskError> {
    files.sort();
    let mut listing = String::new();
    for (name, bytes) in files {
        let digest = digest_file(&folder.join(&name))?;
        listing.push_str(&format!("{} {bytes} {digest}\n", name.display().to_string().escape_debug()));
    }
    Ok(sha256(listing.as_bytes()))
}

/// Every regular file below a folder with its size; links and others count as nothing, the sandbox shows them as
/// they are.
fn list(root: &Path, folder: &Path, depth: usize, files: &mut Vec<(PathBuf, u64)>) -> Result<(), TaskError> {
    for entry in fs::read_dir(folder).map_err(TaskError::file("read the input", folder))? {
        let entry = entry.map_err(TaskError::file("read the input", folder))?;
        let path = entry.path();
        let kind = entry.file_type().map_err(TaskError::file("read the input", &path))?;
        if kind.is_dir() && depth < MAX_DEPTH {
            list(root, &path, depth + 1, files)?;
        } else if kind.is_file() {
            let bytes = entry.metadata().map_err(TaskError::file("read the input", &path))?.len();
            files.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), bytes));
        }
    }
    Ok(())
}

/// The key sets that the declared outputs speak of, read from the inputs.
///
/// # Errors
/// When an input is not there, is no table, or lacks the column.
pub(crate) fn read_keys(schema: &CheckedSchema, inputs: &[Input], views: &[View]) -> Result<InputKeys, TaskError> {
    let mut keys = InputKeys::new();
    for source in schema.files().iter().flat_map(|file| file.key_sources()) {
        if keys.contains_key(source) {
            continue;
        }
        let named = inputs.iter().find_map(|input| {
            let column = source.strip_prefix(input.name.as_str())?.strip_prefix('.')?;
            Some((input, column))
        });
        let Some((input, column)) = named.filter(|(input, _)| !input.is_folder) else {
            return Err(TaskError::Spec {
                what: format!("the declared output takes keys from `{source}`, and no input is a table of that name"),
                remedy: "write `from = \"INPUT.COLUMN\"` with the name of an input that is one file",
            });
        };
        // The keys that the workload sees: of a view, those of the view.
        let path = views.iter().find(|view| view.input() == input.name).map_or(&input.path, View::path);
        let file = File::open(path).map_err(TaskError::file("read the input", &input.path))?;
        let set = KeySet::read_column(format_of(&input.path), file, column).map_err(TaskError::part)?;
        keys.insert(source.to_owned(), set);
    }
    Ok(keys)
}

fn format_of(path: &Path) -> Format {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => Format::Jsonl,
        _ => Format::Csv,
    }
}

/// The lines and cells of the inputs that are text, as far as the bound reaches.
pub(crate) fn sensitive_values(inputs: &[Input]) -> SensitiveValues {
    let mut values = SensitiveValues::new();
    let mut left = MAX_SENSITIVE_BYTES;
    for input in inputs {
        let mut files = Vec::new();
        if !input.is_folder {
            files.push((PathBuf::new(), 0));
        } else if list(&input.path, &input.path, 0, &mut files).is_err() {
            continue;
        }
        for (name, _) in files {
            let path = if input.is_folder { input.path.join(name) } else { input.path.clone() };
            let mut bytes = Vec::new();
            let read = File::open(path).and_then(|file| file.take(left).read_to_end(&mut bytes));
            left -= read.map_or(0, |count| count as u64);
            for line in String::from_utf8_lossy(&bytes).lines() {
                values.add(line);
                line.split([',', ';', '\t', '"']).for_each(|cell| _ = values.add(cell));
            }
        }
    }
    values
}
