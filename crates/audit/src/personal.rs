//! Personal particulars of events: told as a keyed hash and a ciphertext, so that destroying a key erases them.
//!
//! Each tenant has a key per epoch. A particular is written as `{"epoch", "id", "sealed"}`: `id` is an HMAC under the
//! epoch's key, by which events of one person can be found and counted; `sealed` is the value under AES-256-GCM. The
//! log, its projections and its exports hold nothing else. When the key of an epoch is destroyed, nobody can tell
//! any more who it was, and the tree still verifies.
//!
//! # Security
//! Destroying overwrites and removes the key's file. What a file system or a disk keeps of overwritten blocks is not
//! in our hands; nor are copies of the key, nor receipts, which name the principal to whom they were given.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hotcell_crypto::{ChunkCipher, NONCE_BYTES, SymmetricKey, TAG_BYTES, random};
use hotcell_types::{Event, Exit, Explain};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::files::Held;

/// The particulars that tell of a person, or by a name of theirs of what they work on; each with the word under which
/// its keyed hash is made, so that one input has one id wherever it stands.
pub const PERSONAL: &[(&str, &str)] = &[
    ("principal", "principal"),
    ("purpose", "purpose"),
    ("workload", "workload"),
    ("inputs", "input"),
    ("input", "input"),
    ("output", "output"),
    ("over", "over"),
    ("tried", "tried"),
    ("facts", FACTS),
    ("errors", "errors"),
];

/// What an installed policy was told: sealed as a whole, and JSON again when it is opened.
const FACTS: &str = "facts";

/// Longest name of a tenant.
const MAX_TENANT_BYTES: usize = 64;

/// Hexadecimal digits of a keyed hash: 128 bits.
const ID_DIGITS: usize = 32;

/// Why personal particulars cannot be written, read or erased.
#[derive(Debug, thiserror::Error)]
pub enum PersonalError {
    /// A name that cannot be a tenant's.
    #[error("`{}` is no tenant: 1 to {MAX_TENANT_BYTES} letters, digits, `-` and `_`", name.escape_debug())]
    BadTenant {
        /// What was given.
        name: String,
    },
    /// The tenant has no key of that epoch.
    #[error("the tenant `{tenant}` has no key of epoch {epoch}")]
    NoKey {
        /// Whose.
        tenant: String,
        /// Which.
        epoch: u64,
    },
    /// A key's file is not one.
    #[error("`{}` is not a key of an epoch", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// A file operation failed.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Explain for PersonalError {
    fn code(&self) -> &'static str {
        match self {
            Self::BadTenant { .. } => "AUD-501",
            Self::NoKey { .. } => "AUD-502",
            Self::NotAKey { .. } => "AUD-503",
            Self::File { .. } => "AUD-504",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::BadTenant { .. } => {
                "name the tenant as its keys are named in the state folder, in keys/personal".to_owned()
            }
            Self::NoKey { .. } => "nothing is left to erase: that key was destroyed, or never made".to_owned(),
            Self::NotAKey { path } => {
                format!("restore `{}` from a backup; without it, what it sealed stays unreadable", path.display())
            }
            Self::File { path, .. } => format!("make `{}` accessible to the user who runs this", path.display()),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::BadTenant { .. } => Exit::Usage,
            Self::NoKey { .. } => Exit::No,
            Self::NotAKey { .. } => Exit::Integrity,
            Self::File { .. } => Exit::Failed,
        }
    }
}

/// The keys of all tenants and epochs: a folder.
#[derive(Debug, Clone)]
pub struct PersonalKeys {
    folder: PathBuf,
}

/// The key of one epoch of a tenant.
#[derive(Debug)]
pub struct EpochKey {
    tenant: String,
    epoch: u64,
    key: SymmetricKey,
}

impl PersonalKeys {
    /// The keys in a folder, which need not exist.
    pub fn of(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The tenant's key of the epoch that runs; its first one is made when there is none.
    ///
    /// # Errors
    /// [`PersonalError`].
    pub fn current(&self, tenant: &str) -> Result<EpochKey, PersonalError> {
        let folder = self.tenant(tenant)?;
        let epoch = match last_epoch(&folder)? {
            Some(epoch) => epoch,
            None => self.begin(tenant, &folder)?,
        };
        self.key(tenant, epoch)
    }

    /// Begins an epoch, so that the key of the one before can be destroyed later, and gives its number.
    ///
    /// # Errors
    /// [`PersonalError`].
    pub fn rotate(&self, tenant: &str) -> Result<u64, PersonalError> {
        let folder = self.tenant(tenant)?;
        make(&folder)?;
        let _one = lock(&folder)?;
        let next = last_number(&folder)?.unwrap_or(0) + 1;
        write_key(&path_of(&folder, next), &SymmetricKey::generate())?;
        Ok(next)
    }

    /// Destroys the tenant's keys up to and with an epoch, or all, and gives the epochs. What they sealed is erased.
    ///
    /// # Errors
    /// [`PersonalError::NoKey`] when there is none of them.
    pub fn destroy(&self, tenant: &str, up_to: Option<u64>) -> Result<Vec<u64>, PersonalError> {
        let folder = self.tenant(tenant)?;
        let none = || PersonalError::NoKey { tenant: tenant.to_owned(), epoch: up_to.unwrap_or(1) };
        if !folder.is_dir() {
            return Err(none());
        }
        let _one = lock(&folder)?;
        let doomed: Vec<_> =
            epochs(&folder)?.into_iter().filter(|epoch| up_to.is_none_or(|last| *epoch <= last)).collect();
        if doomed.is_empty() {
            return Err(none());
        }
        // Numbers are not used again: an event of a destroyed epoch must not seem to be of a new one.
        let last = last_number(&folder)?.unwrap_or(0);
        replace(&folder.join("last"), format!("{last}\n").as_bytes())?;
        for epoch in &doomed {
            let path = path_of(&folder, *epoch);
            wipe(&path).map_err(file("destroy", &path))?;
        }
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(file("make durable", &folder))?;
        Ok(doomed)
    }

    /// The epochs of which the tenant has a key, oldest first.
    ///
    /// # Errors
    /// [`PersonalError`].
    pub fn epochs(&self, tenant: &str) -> Result<Vec<u64>, PersonalError> {
        epochs(&self.tenant(tenant)?)
    }

    /// Replaces sealed particulars by what they say, where the key is there; others by `erased` and their id.
    ///
    /// # Errors
    /// [`PersonalError`] when a key is there and cannot be read.
    pub fn reveal(&self, event: &mut Event) -> Result<(), PersonalError> {
        let mut known = Vec::new();
        for (name, value) in &mut event.data {
            self.reveal_value(name, value, &mut known)?;
        }
        Ok(())
    }

    /// What a sealed particular says; none where its key was destroyed, or it is not sealed.
    ///
    /// # Errors
    /// [`PersonalError`] when a key is there and cannot be read.
    pub fn opened(&self, value: &Value) -> Result<Option<String>, PersonalError> {
        match Sealed::read(value) {
            Some(sealed) => Ok(self.key_of(&sealed)?.and_then(|key| key.open(&sealed))),
            None => Ok(None),
        }
    }

    /// Replaces what is sealed in a value, or in the values of a list. `known` saves reading a key twice.
    fn reveal_value(&self, name: &str, value: &mut Value, known: &mut Vec<EpochKey>) -> Result<(), PersonalError> {
        if let Value::Array(values) = value {
            return values.iter_mut().try_for_each(|value| self.reveal_value(name, value, known));
        }
        let Some(sealed) = Sealed::read(value) else { return Ok(()) };
        let is_of = |key: &EpochKey| key.tenant == sealed.tenant && key.epoch == sealed.epoch;
        if !known.iter().any(is_of) {
            known.extend(self.key_of(&sealed)?);
        }
        *value = match known.iter().find(|key| is_of(key)).and_then(|key| key.open(&sealed)) {
            Some(text) if name == FACTS => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            Some(text) => text.into(),
            None => json!({ "erased": sealed.id }),
        };
        Ok(())
    }

    /// The key under which something is sealed; none where it was destroyed.
    fn key_of(&self, sealed: &Sealed) -> Result<Option<EpochKey>, PersonalError> {
        match self.key(&sealed.tenant, sealed.epoch) {
            Ok(key) => Ok(Some(key)),
            Err(PersonalError::NoKey { .. } | PersonalError::BadTenant { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Under which ids a value stands in the log, one for each epoch of the tenant whose key is there.
    ///
    /// # Errors
    /// [`PersonalError`].
    pub fn ids(&self, tenant: &str, name: &str, value: &str) -> Result<Vec<String>, PersonalError> {
        self.epochs(tenant)?.into_iter().map(|epoch| Ok(self.key(tenant, epoch)?.id(name, value))).collect()
    }

    fn begin(&self, tenant: &str, folder: &Path) -> Result<u64, PersonalError> {
        make(folder)?;
        let _one = lock(folder)?;
        // Another process may have been quicker.
        match last_epoch(folder)? {
            Some(epoch) => Ok(epoch),
            None => {
                let epoch = last_number(folder)?.unwrap_or(0) + 1;
                write_key(&path_of(folder, epoch), &SymmetricKey::generate())?;
                let _ = tenant;
                Ok(epoch)
            }
        }
    }

    fn key(&self, tenant: &str, epoch: u64) -> Result<EpochKey, PersonalError> {
        let path = path_of(&self.tenant(tenant)?, epoch);
        let mut bytes = Zeroizing::new([0; 32]);
        let read = File::open(&path).and_then(|mut file| file.read_exact(bytes.as_mut_slice()));
        match read {
            Ok(()) => Ok(EpochKey { tenant: tenant.to_owned(), epoch, key: SymmetricKey::from_bytes(bytes) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(PersonalError::NoKey { tenant: tenant.to_owned(), epoch })
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(PersonalError::NotAKey { path }),
            Err(source) => Err(file("read", &path)(source)),
        }
    }

    fn tenant(&self, tenant: &str) -> Result<PathBuf, PersonalError> {
        let fits = (1..=MAX_TENANT_BYTES).contains(&tenant.len())
            && tenant.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        match fits {
            true => Ok(self.folder.join(tenant)),
            false => Err(PersonalError::BadTenant { name: tenant.chars().take(MAX_TENANT_BYTES).collect() }),
        }
    }
}

impl EpochKey {
    /// Seals the particulars of an event that tell of a person or of what they work on.
    pub fn seal(&self, event: &mut Event) {
        for (name, word) in PERSONAL {
            if let Some(value) = event.data.get_mut(*name) {
                self.seal_value(word, value);
            }
        }
    }

    /// A text, each of a list, or all else as its JSON; what is sealed already stays.
    fn seal_value(&self, word: &str, value: &mut Value) {
        if let Value::Array(values) = value {
            return values.iter_mut().for_each(|value| self.seal_value(word, value));
        }
        if Sealed::read(value).is_none() {
            *value = match value.as_str() {
                Some(text) => self.sealed(word, text),
                None => self.sealed(word, &value.to_string()),
            };
        }
    }

    /// The keyed hash under which a value stands in the log.
    pub fn id(&self, name: &str, value: &str) -> String {
        let key = self.key.derive(b"hotcell audit", b"identifiers v1");
        let mut digits = hotcell_types::Digest(key.mac(format!("{name}\0{value}").as_bytes())).hex();
        digits.truncate(ID_DIGITS);
        digits
    }

    fn sealed(&self, name: &str, text: &str) -> Value {
        let id = self.id(name, text);
        let nonce: [u8; NONCE_BYTES] = random();
        let mut bytes = text.as_bytes().to_vec();
        let sealed = self.cipher(&id).and_then(|cipher| cipher.seal(nonce, &mut bytes).ok());
        // Without a tag (which GCM refuses for 64 GiB only) the value is not told at all.
        let sealed = sealed.map(|tag| BASE64.encode([&nonce[..], &bytes, &tag].concat()));
        json!({ "epoch": format!("{}/{}", self.tenant, self.epoch), "id": id, "sealed": sealed.unwrap_or_default() })
    }

    fn open(&self, sealed: &Sealed) -> Option<String> {
        let (nonce, rest) = sealed.bytes.split_first_chunk::<NONCE_BYTES>()?;
        let (bytes, tag) = rest.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = vec![0; bytes.len()];
        self.cipher(&sealed.id)?.open(*nonce, bytes, tag, &mut plain).ok()?;
        String::from_utf8(plain).ok()
    }

    /// Bound to the id, and so to the name of the particular: a ciphertext moved to another place does not open.
    fn cipher(&self, id: &str) -> Option<ChunkCipher> {
        ChunkCipher::new(&self.key.derive(id.as_bytes(), b"hotcell audit personal v1"))
    }
}

/// A particular as it stands in the log.
struct Sealed {
    tenant: String,
    epoch: u64,
    id: String,
    bytes: Vec<u8>,
}

impl Sealed {
    fn read(value: &Value) -> Option<Self> {
        let members = value.as_object().filter(|members| members.len() == 3)?;
        let text = |name: &str| members.get(name)?.as_str();
        let (tenant, epoch) = text("epoch")?.split_once('/')?;
        Some(Self {
            tenant: tenant.to_owned(),
            epoch: epoch.parse().ok()?,
            id: text("id")?.to_owned(),
            bytes: BASE64.decode(text("sealed")?).ok()?,
        })
    }
}

fn path_of(folder: &Path, epoch: u64) -> PathBuf {
    folder.join(format!("{epoch}.key"))
}

fn epochs(folder: &Path) -> Result<Vec<u64>, PersonalError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(file("read", folder))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(file("read", folder))?.file_name();
        found.extend(
            name.to_str().and_then(|name| name.strip_suffix(".key")).and_then(|number| number.parse::<u64>().ok()),
        );
    }
    found.sort_unstable();
    Ok(found)
}

fn last_epoch(folder: &Path) -> Result<Option<u64>, PersonalError> {
    Ok(epochs(folder)?.last().copied())
}

/// The last number that was used, by a key that is there or by one that was destroyed.
fn last_number(folder: &Path) -> Result<Option<u64>, PersonalError> {
    let noted = fs::read_to_string(folder.join("last")).ok().and_then(|text| text.trim().parse().ok());
    Ok(last_epoch(folder)?.max(noted))
}

fn make(folder: &Path) -> Result<(), PersonalError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(file("make", folder))
}

/// A lock between processes on a folder, given back with the file.
fn lock(folder: &Path) -> Result<File, PersonalError> {
    let open = File::open(folder).map_err(file("lock", folder))?;
    std::mem::forget(Held::exclusive(&open).map_err(file("lock", folder))?);
    Ok(open)
}

/// Durable before anything is sealed under it: a key that a loss of power takes would be an erasure nobody asked for.
fn write_key(path: &Path, key: &SymmetricKey) -> Result<(), PersonalError> {
    replace(path, key.expose_bytes())
}

fn replace(path: &Path, bytes: &[u8]) -> Result<(), PersonalError> {
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        to.write_all(bytes)?;
        to.sync_all()?;
        fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(file("write", path))
}

/// Overwrites a file with zeros, durably, and removes it.
fn wipe(path: &Path) -> io::Result<()> {
    let mut open = OpenOptions::new().write(true).open(path)?;
    let length = open.metadata()?.len();
    open.rewind()?;
    open.write_all(&vec![0; usize::try_from(length).unwrap_or(0)])?;
    open.sync_all()?;
    fs::remove_file(path)
}

fn file(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> PersonalError {
    let path = path.to_owned();
    move |source| PersonalError::File { operation, path: path.clone(), source }
}
