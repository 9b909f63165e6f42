//! The policy in force: one file in the state, put there whole, which every start reads.
//!
//! INVARIANT (last-good-stays): the file is replaced by a rename, after what it holds was parsed, held against the schema
//! and has met its own cases. A policy that fails one of these is refused and leaves no trace but an event.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotcell_audit::{Durability, Envelope, Log};
use hotcell_crypto::{SigningKey, VerifyingKey, sha256};
use hotcell_policy::{
    CheckedPolicy, Engine, MAX_POLICY_BYTES, MAX_POLICY_FILES, Manifest, PolicyError, PolicyFiles, is_policy_file,
};
use hotcell_types::{Digest, Event, EventKind, Exit, Explain, Timestamp};
use rustix::fs::{FlockOperation, flock};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use serde::{Deserialize, Serialize};

use crate::TaskError;
use crate::views::views_of;

/// The payload type of a signed policy.
pub(crate) const POLICY_PAYLOAD: &str = "application/vnd.hotcell.policy+json";

/// Folder of the state.
const FOLDER: &str = "policy";
/// The policy in force.
const CURRENT: &str = "current";
/// The newest version that was ever in force.
const NEWEST: &str = "newest";
/// Whoever installs holds this.
const LOCK: &str = "lock";
/// The longest file that is read: a policy in base64 with what stands around it.
const MAX_BYTES: u64 = 2 * MAX_POLICY_BYTES as u64;
const FORMAT: &str = "hotcell-policy/1";

/// A policy as it lies in the state, or in a file that is handed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    format: String,
    /// Who signed it, of a signed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// The signed form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope: Option<Envelope>,
    /// The files of an unsigned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files: Option<PolicyFiles>,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    format: String,
    files: PolicyFiles,
}

/// The newest version that was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    name: String,
    version: u64,
    digest: Digest,
    signer: String,
}

/// The policy in force.
#[derive(Debug)]
pub struct InForce {
    /// Decides by it.
    pub engine: Engine,
    /// What it says of itself; none where nothing lies over the default policy.
    pub manifest: Option<Manifest>,
    /// Who signed it.
    pub signer: Option<String>,
    /// Digest of its file.
    pub digest: Option<Digest>,
}

/// A policy that cannot be put into force, or not be read where it lies.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyFileError {
    /// It has faults, all of which are listed.
    #[error("the policy is refused, {} in force stays: {}", .stays, .errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Faulty {
        /// The faults; there is one at least.
        errors: Vec<PolicyError>,
        /// What stays in force.
        stays: &'static str,
    },
    /// Not a policy of ours.
    #[error("`{}` is neither a policy folder nor a bundle: {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The signature is not by a key that is trusted.
    #[error("the bundle is not signed by a key that you named as trusted")]
    Signature,
    /// Unsigned, or by another key, where a signed one is in force.
    #[error("a policy signed by {signer} is in force, and this one is not by the same key")]
    OtherSigner {
        /// Whose is in force.
        signer: String,
    },
    /// An older version, or another content under the same version.
    #[error("version {version} of `{name}` was in force before: {asked} is no newer one")]
    Older {
        /// The policy.
        name: String,
        /// The newest version so far.
        version: u64,
        /// The version that was asked for.
        asked: u64,
    },
    /// The file of the policy in force cannot be read.
    #[error("the policy in force cannot be read, so nothing is allowed: {problem}")]
    Unreadable {
        /// Why.
        problem: String,
    },
}

impl Explain for PolicyFileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Faulty { errors, .. } => errors.first().map_or("POL-130", Explain::code),
            Self::Format { .. } => "POL-130",
            Self::Signature => "POL-131",
            Self::OtherSigner { .. } => "POL-132",
            Self::Older { .. } => "POL-133",
            Self::Unreadable { .. } => "POL-134",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Faulty { errors, .. } => errors.first().map(Explain::remedy).unwrap_or_default(),
            Self::Format { .. } => "give a folder with a `policy.toml`, or a signed bundle".to_owned(),
            Self::Signature => "compare the signer's key by another channel, then name it: --trust KEY".to_owned(),
            Self::OtherSigner { .. } => "ask the one who signed the policy in force for a newer version".to_owned(),
            Self::Older { version, .. } => format!("give it a version above {version}, and sign it"),
            Self::Unreadable { .. } => "install it once more: hotcell policy install FOLDER".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Faulty { .. } | Self::Format { .. } => Exit::No,
            Self::Signature | Self::OtherSigner { .. } | Self::Older { .. } => Exit::Integrity,
            Self::Unreadable { .. } => Exit::Refused,
        }
    }
}

/// Reads the policy in force. Without one, the default policy decides alone; one that cannot be read denies everything.
///
/// # Errors
/// [`PolicyFileError::Unreadable`].
pub fn policy_in_force(state: &Path) -> Result<InForce, TaskError> {
    let path = state.join(FOLDER).join(CURRENT);
    let bytes = match read_bounded(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let engine = Engine::default().in_force(None);
            return Ok(InForce { engine, manifest: None, signer: None, digest: None });
        }
        Err(error) => return Err(unreadable(error.to_string())),
    };
    let digest = sha256(&bytes);
    let stored: Stored = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
    let signer = stored.signer.clone();
    let files = match (&stored.signer, &stored.envelope, stored.files) {
        (Some(signer), Some(envelope), None) => {
            let key: VerifyingKey = signer.parse().map_err(|_| unreadable("its signer is no key".to_owned()))?;
            opened(envelope, &key).ok_or_else(|| unreadable("its signature does not hold".to_owned()))?
        }
        (None, None, Some(files)) => files,
        _ => return Err(unreadable("it is neither signed nor unsigned".to_owned())),
    };
    let policy = CheckedPolicy::read(&files).map_err(|error| unreadable(error.to_string()))?;
    let manifest = Some(policy.manifest().clone());
    Ok(InForce { engine: policy.into_engine().in_force(Some(digest)), manifest, signer, digest: Some(digest) })
}

fn unreadable(problem: String) -> TaskError {
    TaskError::part(PolicyFileError::Unreadable { problem })
}

fn opened(envelope: &Envelope, key: &VerifyingKey) -> Option<PolicyFiles> {
    let payload: Payload = serde_json::from_slice(&envelope.open(POLICY_PAYLOAD, key)?).ok()?;
    (payload.format == FORMAT).then_some(payload.files)
}

/// Reads the files of a policy folder.
///
/// # Errors
/// When it cannot be read, or holds more than a policy may.
pub fn read_policy_folder(folder: &Path) -> Result<PolicyFiles, TaskError> {
    let wrong = |problem: String| TaskError::part(PolicyFileError::Format { path: folder.to_owned(), problem });
    let mut files = PolicyFiles::new();
    for entry in fs::read_dir(folder).map_err(TaskError::file("read the policy", folder))? {
        let entry = entry.map_err(TaskError::file("read the policy", folder))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !is_policy_file(&name) {
            continue;
        }
        if files.len() >= MAX_POLICY_FILES {
            return Err(wrong(format!("it has more than {MAX_POLICY_FILES} files")));
        }
        let path = entry.path();
        if !path.metadata().map_err(TaskError::file("read", &path))?.is_file() {
            return Err(wrong(format!("`{}` is no regular file", name.escape_debug())));
        }
        let bytes = read_bounded(&path).map_err(TaskError::file("read", &path))?;
        let text = String::from_utf8(bytes).map_err(|_| wrong(format!("`{}` is not UTF-8", name.escape_debug())))?;
        files.insert(name, text);
    }
    views_of(&files)?;
    Ok(files)
}

/// Signs the files of a policy: the bundle that is handed on.
pub fn bundle_policy(files: &PolicyFiles, key: &SigningKey) -> Vec<u8> {
    let payload = Payload { format: FORMAT.to_owned(), files: files.clone() };
    let payload = serde_json::to_vec(&payload).unwrap_or_default();
    let mut bytes = serde_json::to_vec_pretty(&Envelope::sign(POLICY_PAYLOAD, &payload, key)).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

/// Reads a policy: a folder, or a bundle that is signed by one of `trust`.
///
/// # Errors
/// When it is neither, or nobody trusted has signed it.
pub fn read_policy(path: &Path, trust: &[VerifyingKey]) -> Result<(PolicyFiles, Option<VerifyingKey>), TaskError> {
    if path.is_dir() {
        return Ok((read_policy_folder(path)?, None));
    }
    let (files, signer, _) = read_bundle(path, trust)?;
    Ok((files, Some(signer)))
}

fn read_bundle(path: &Path, trust: &[VerifyingKey]) -> Result<(PolicyFiles, VerifyingKey, Envelope), TaskError> {
    let bytes = read_bounded(path).map_err(TaskError::file("read the policy", path))?;
    let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|error| {
        TaskError::part(PolicyFileError::Format { path: path.to_owned(), problem: error.to_string() })
    })?;
    let found = trust.iter().find_map(|key| Some((opened(&envelope, key)?, *key)));
    let (files, signer) = found.ok_or_else(|| TaskError::part(PolicyFileError::Signature))?;
    views_of(&files)?;
    Ok((files, signer, envelope))
}

/// Puts a policy into force: at once, for every start from now on, and for every task that runs.
///
/// # Errors
/// [`PolicyFileError`]; the policy in force stays, and the log says that this one was refused.
pub fn install_policy(
    state: &Path,
    path: &Path,
    trust: &[VerifyingKey],
    log: &Log,
    now: Timestamp,
) -> Result<InForce, TaskError> {
    let done = try_install(state, path, trust, log, now);
    if let Err(error) = &done {
        let refused = Event { time: now, task: None, kind: EventKind::PolicyRefused, data: Default::default() };
        log.append(&[refused.with("code", error.code())], Durability::Durable).map_err(TaskError::part)?;
    }
    done
}

fn try_install(
    state: &Path,
    path: &Path,
    trust: &[VerifyingKey],
    log: &Log,
    now: Timestamp,
) -> Result<InForce, TaskError> {
    let folder = state.join(FOLDER);
    make_folder(&folder).map_err(TaskError::file("make", &folder))?;
    let lock_path = folder.join(LOCK);
    let lock = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&lock_path);
    let lock = lock.map_err(TaskError::file("write", &lock_path))?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|error| TaskError::file("lock", &lock_path)(error.into()))?;

    let (files, stored) = match path.is_dir() {
        true => {
            let files = read_policy_folder(path)?;
            let unsigned =
                Stored { format: FORMAT.to_owned(), signer: None, envelope: None, files: Some(files.clone()) };
            (files, unsigned)
        }
        false => {
            let (files, signer, envelope) = read_bundle(path, trust)?;
            let signed = Stored {
                format: FORMAT.to_owned(),
                signer: Some(signer.to_string()),
                envelope: Some(envelope),
                files: None,
            };
            (files, signed)
        }
    };
    let stays = if folder.join(CURRENT).exists() { "the one" } else { "the default policy" };
    let faulty = |errors| TaskError::part(PolicyFileError::Faulty { errors, stays });
    let policy = CheckedPolicy::check(&files).map_err(faulty)?;
    let failed: Vec<_> = policy.test().iter().filter_map(|case| case.error()).collect();
    if !failed.is_empty() {
        return Err(faulty(failed));
    }
    let bytes = serde_json::to_vec(&stored).unwrap_or_default();
    let digest = sha256(&bytes);
    keep_newest(&folder, policy.manifest(), stored.signer.as_deref(), digest)?;
    let installed = Event { time: now, task: None, kind: EventKind::PolicyInstalled, data: Default::default() }
        .with("name", policy.manifest().name.as_str())
        .with("version", policy.manifest().version)
        .with("digest", digest.to_string())
        .with("signed", stored.signer.is_some());
    log.append(&[installed], Durability::Durable).map_err(TaskError::part)?;
    let current = folder.join(CURRENT);
    replace(&folder, CURRENT, &bytes).map_err(TaskError::file("write", &current))?;
    let manifest = Some(policy.manifest().clone());
    let engine = policy.into_engine().in_force(Some(digest));
    Ok(InForce { engine, manifest, signer: stored.signer, digest: Some(digest) })
}

/// Refuses to go back; notes how far we are. Noted before the policy is in force: a crash between the two costs nothing.
fn keep_newest(folder: &Path, manifest: &Manifest, signer: Option<&str>, digest: Digest) -> Result<(), TaskError> {
    let path = folder.join(NEWEST);
    let newest: Option<Newest> = match read_bounded(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(TaskError::file("read", &path)(error)),
    };
    if let Some(newest) = &newest {
        if signer != Some(newest.signer.as_str()) {
            return Err(TaskError::part(PolicyFileError::OtherSigner { signer: newest.signer.clone() }));
        }
        let same = manifest.version == newest.version && digest == newest.digest;
        if manifest.version <= newest.version && !same {
            let (name, version) = (newest.name.clone(), newest.version);
            return Err(TaskError::part(PolicyFileError::Older { name, version, asked: manifest.version }));
        }
    }
    let Some(signer) = signer else { return Ok(()) };
    let newest = Newest { name: manifest.name.clone(), version: manifest.version, digest, signer: signer.to_owned() };
    let bytes = serde_json::to_vec(&newest).unwrap_or_default();
    replace(folder, NEWEST, &bytes).map_err(TaskError::file("write", &path))
}

fn make_folder(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file whole or not at all, also when the power goes.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let unnamed = folder.join(format!(".{name}"));
    let mut file = fs::OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&unnamed)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&unnamed, folder.join(name))?;
    File::open(folder)?.sync_all()
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > MAX_BYTES {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {MAX_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

/// How often a running task looks whether another policy is in force.
const LOOK: Duration = Duration::from_millis(250);

/// Watches over the policy in force while a task runs.
///
/// It looks at the file now and then. inotify would tell at once, but its end waits for the kernel's grace period:
/// 15 ms and more, of a task of 7.
#[derive(Debug)]
pub(crate) struct PolicyWatch {
    timer: OwnedFd,
    state: PathBuf,
    known: Option<Digest>,
    /// The file that was read last; none before the first look.
    seen: Option<Seen>,
}

/// By what a file is known to be another one than before, without reading it; none where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen(Option<(u64, u64, u64, i64, i64, i64, i64)>);

impl Seen {
    fn look(state: &Path) -> io::Result<Self> {
        match fs::metadata(state.join(FOLDER).join(CURRENT)) {
            Ok(there) => Ok(Self(Some((
                there.dev(),
                there.ino(),
                there.size(),
                there.mtime(),
                there.mtime_nsec(),
                there.ctime(),
                there.ctime_nsec(),
            )))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(error),
        }
    }
}

impl PolicyWatch {
    /// Begins to watch, for an engine that decides by the policy of this digest.
    pub(crate) fn start(state: &Path, known: Option<Digest>) -> Result<Self, TaskError> {
        let begin = || -> rustix::io::Result<OwnedFd> {
            let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            let pause = Timespec::try_from(LOOK).map_err(|_| rustix::io::Errno::INVAL)?;
            let times = Itimerspec { it_interval: pause, it_value: pause };
            timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times)?;
            Ok(timer)
        };
        let timer = begin().map_err(|error| TaskError::file("watch", state)(error.into()))?;
        Ok(Self { timer, state: state.to_owned(), known, seen: None })
    }

    /// A descriptor that is readable when it is time to look, and the watch itself.
    pub(crate) fn split(&mut self) -> Result<(OwnedFd, &mut Self), TaskError> {
        let happened = self.timer.try_clone().map_err(TaskError::file("watch", &self.state))?;
        Ok((happened, self))
    }

    /// Whether there is something to read: another file, or one that cannot be looked at.
    pub(crate) fn sees_another_file(&self) -> bool {
        let mut expirations = [0; 8];
        let _ = rustix::io::read(&self.timer, &mut expirations);
        !Seen::look(&self.state).is_ok_and(|seen| self.seen == Some(seen))
    }

    /// Another policy than the known one, if it is in force now.
    pub(crate) fn changed(&mut self) -> Option<Result<Engine, TaskError>> {
        // Looked at before it is read: what comes into force after the reading is another file.
        let seen = match Seen::look(&self.state) {
            Ok(seen) if self.seen == Some(seen) => return None,
            Ok(seen) => seen,
            Err(error) => return Some(Err(unreadable(error.to_string()))),
        };
        match policy_in_force(&self.state) {
            Ok(other) => {
                self.seen = Some(seen);
                let is_another = other.digest != self.known;
                self.known = other.digest;
                is_another.then_some(Ok(other.engine))
            }
            // Not noted as seen: it is read again, and denies again, until it can be read.
            Err(error) => Some(Err(error)),
        }
    }
}
