//! Onboarding: files → a copy of ours → inventory → signature → scan → policy → quarantine.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hotcell_models::scan::{Entry, Report, list};
use hotcell_models::{Manifest, TrustedKey, scan_model, verify_model};
use hotcell_policy::Signature;
use hotcell_types::{Event, EventKind};
use rustix::fs::OFlags;

use super::{
    CONTENT, FOLDER, Keeper, MANIFEST, ModelState, RegisteredModel, RegistryError, append, decide, find_model, lock,
    make_folder, place, record, write_state,
};
use crate::TaskError;

/// What is to be taken in.
#[derive(Debug)]
pub struct AddModel {
    /// File or folder.
    pub source: PathBuf,
    /// The name by which it will be known.
    pub name: String,
    /// The text of a signature.
    pub signature: Option<String>,
    /// Keys that are trusted.
    pub trust: Vec<TrustedKey>,
    /// Whether it is taken in although nobody signed it.
    pub unsigned: bool,
}

/// A step that is done.
#[derive(Debug)]
#[non_exhaustive]
pub enum AddStep {
    /// It was listed: so many bytes are about to be read three times.
    Listed {
        /// Bytes of all files.
        bytes: u64,
    },
    /// Its manifest was made.
    Inventory {
        /// The manifest.
        manifest: Manifest,
    },
    /// Its signature holds, or nobody signed it.
    Signed {
        /// By whom.
        signer: Option<String>,
    },
    /// It was scanned.
    Scanned {
        /// What each file is.
        reports: Vec<(String, Report)>,
    },
}

/// A model that was taken in.
#[derive(Debug)]
pub struct Added {
    /// What it is in the registry.
    pub model: RegisteredModel,
}

/// Takes a model in, in quarantine. Each step can refuse; then nothing of it stays but an event.
///
/// # Errors
/// [`RegistryError`]; policy's denial; a signature that does not hold.
pub fn add_model(
    keeper: &Keeper<'_>,
    what: &AddModel,
    progress: &(dyn Fn(u64) + Sync),
    told: &mut dyn FnMut(AddStep),
) -> Result<Added, TaskError> {
    if !is_name(&what.name) {
        return Err(TaskError::part(RegistryError::Name { name: what.name.clone() }));
    }
    let _lock = lock(keeper.state)?;
    let folder = keeper.state.join(FOLDER);
    sweep(&folder)?;
    let coming = Coming::at(folder.join(format!(".coming-{}", std::process::id())))?;
    let added = try_add(keeper, what, &coming.0, progress, told);
    if let Err(error) = &added {
        let refused = Event { time: keeper.now, task: None, kind: EventKind::ModelRefused, data: Default::default() };
        let refused = refused.with("name", what.name.as_str()).with("action", "addModel");
        append(keeper, refused.with("code", hotcell_types::Explain::code(error)))?;
    }
    added
}

fn try_add(
    keeper: &Keeper<'_>,
    what: &AddModel,
    coming: &Path,
    progress: &(dyn Fn(u64) + Sync),
    told: &mut dyn FnMut(AddStep),
) -> Result<Added, TaskError> {
    let files = |source| TaskError::part(RegistryError::Files { source });
    let entries = list(&what.source).map_err(files)?;
    if entries.is_empty() {
        return Err(TaskError::part(RegistryError::Empty));
    }
    let bytes = entries.iter().map(|entry| entry.bytes).sum();
    told(AddStep::Listed { bytes });
    let content = coming.join(CONTENT);
    copy(&entries, &content, progress)?;
    // From here on it is our copy that is looked at: whoever has the source cannot change it any more.
    let entries = list(&content).map_err(files)?;
    let manifest = Manifest::make(&entries, progress).map_err(TaskError::file("read", &content))?;
    told(AddStep::Inventory { manifest: manifest.clone() });
    let signer = match &what.signature {
        Some(text) => Some(verify_model(text, &manifest, &what.trust).map_err(TaskError::part)?),
        None if what.unsigned => None,
        None => return Err(TaskError::part(RegistryError::Unsigned { name: what.name.clone() })),
    };
    told(AddStep::Signed { signer: signer.clone() });
    let reports = scan_model(&entries, progress).map_err(TaskError::file("read", &content))?;
    let refused: Vec<_> = reports.iter().flat_map(|report| &report.refused).cloned().collect();
    let reports = entries.iter().map(|entry| entry.name.clone()).zip(reports).collect();
    told(AddStep::Scanned { reports });
    if let Some(first) = refused.first().cloned() {
        return Err(TaskError::part(RegistryError::Scan { count: refused.len(), first }));
    }
    let digest = manifest.digest();
    if let Ok(there) = find_model(keeper.state, &digest.to_string()) {
        return Err(TaskError::part(RegistryError::There { name: there.name, state: there.state }));
    }
    let signature = if signer.is_some() { Signature::Trusted } else { Signature::None };
    decide(keeper, "addModel", &what.name, signature)?;
    let model = RegisteredModel {
        name: what.name.clone(),
        digest,
        state: ModelState::Quarantined,
        signature,
        signer,
        added: keeper.now,
        changed: keeper.now,
        files: manifest.files.len() as u64,
        bytes,
    };
    crate::policy::replace(coming, MANIFEST, &manifest.bytes()).map_err(TaskError::file("write", coming))?;
    write_state(coming, &model)?;
    record(keeper, EventKind::ModelAdded, &model)?;
    let to = place(keeper.state, digest);
    let publish = || fs::rename(coming, &to).and_then(|()| File::open(keeper.state.join(FOLDER))?.sync_all());
    publish().map_err(TaskError::file("make", &to))?;
    Ok(Added { model })
}

/// A folder that is gone with this value, unless it was renamed.
struct Coming(PathBuf);

impl Coming {
    fn at(path: PathBuf) -> Result<Self, TaskError> {
        make_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        // Where it cannot be removed, the next one who adds tries again.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what killed ones left; the lock is held.
fn sweep(folder: &Path) -> Result<(), TaskError> {
    for entry in fs::read_dir(folder).map_err(TaskError::file("read", folder))?.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(".coming-") || name.starts_with(".going-") {
            fs::remove_dir_all(entry.path()).map_err(TaskError::file("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// Copies plain files; a link that took the place of one in the meantime is not followed.
fn copy(entries: &[Entry], to: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<(), TaskError> {
    make_folder(to)?;
    let mut buffer = vec![0; 1 << 20];
    for entry in entries {
        let target = to.join(&entry.name);
        if let Some(parent) = target.parent() {
            make_folder(parent)?;
        }
        let mut one = || -> io::Result<()> {
            let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
            let mut from = fs::OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(&entry.path)?;
            let mut into = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&target)?;
            loop {
                let read = from.read(&mut buffer)?;
                if read == 0 {
                    return into.sync_all();
                }
                into.write_all(buffer.get(..read).unwrap_or_default())?;
                progress(read as u64);
            }
        };
        one().map_err(TaskError::file("copy", &entry.path))?;
    }
    Ok(())
}

/// Plain, so that it can stand on a command line and in a log.
fn is_name(name: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with(['.', '-'])
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    name.len() <= 128 && name.split('/').all(plain)
}
