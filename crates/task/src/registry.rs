//! The registry of models: one folder for each, named by the digest of its manifest, below `models/` of the state.
//!
//! A model comes in as a copy of ours, and what is hashed, scanned, signed and later shown to a task is that copy. Its state
//! is what the events say (added, approved, revoked); `state.json` beside it is written after the event and replaced by a
//! rename, so that a start need not read the log.
//!
//! INVARIANT (approved-as-scanned): a task gets a model of the registry only while it is approved and every byte is the one
//! that was scanned.

mod add;
mod error;

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_audit::{Durability, Log};
use hotcell_models::Manifest;
use hotcell_models::scan::list;
use hotcell_policy::{Ask, Engine, Signature, Value};
use hotcell_types::{Digest, Event, EventKind, Timestamp};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

pub use add::{AddModel, AddStep, Added, add_model};
pub use error::RegistryError;

use crate::TaskError;

/// Where a model of the registry stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelState {
    /// Taken in, and not to be used yet.
    Quarantined,
    /// To be used.
    Approved,
    /// Not to be used any more.
    Revoked,
}

impl ModelState {
    /// Its word.
    pub fn label(self) -> &'static str {
        match self {
            Self::Quarantined => "quarantined",
            Self::Approved => "approved",
            Self::Revoked => "revoked",
        }
    }
}

/// A model of the registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegisteredModel {
    /// The name by which people know it.
    pub name: String,
    /// The digest of its manifest, by which it is known for sure.
    pub digest: Digest,
    /// Where it stands.
    pub state: ModelState,
    /// `none`, or `trusted`: by a key that was named as trusted when it was taken in.
    pub signature: Signature,
    /// Who signed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
    /// When it was taken in.
    pub added: Timestamp,
    /// When its state last changed.
    pub changed: Timestamp,
    /// Number of its files.
    pub files: u64,
    /// Length of all of them.
    pub bytes: u64,
}

/// Who asks, and what is needed to decide and to record.
pub struct Keeper<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// The log.
    pub log: &'a Log,
    /// Decides.
    pub engine: &'a Engine,
    /// Who asks.
    pub principal: String,
    /// When.
    pub now: Timestamp,
}

/// All models, by name and age.
///
/// # Errors
/// When the registry cannot be read.
pub fn list_models(state: &Path) -> Result<Vec<RegisteredModel>, TaskError> {
    let folder = state.join(FOLDER);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(TaskError::file("read", &folder))?,
    };
    let mut models = Vec::new();
    for entry in entries {
        let path = entry.map_err(TaskError::file("read", &folder))?.path();
        let hex = path.file_name().and_then(|name| name.to_str()).filter(|name| name.len() == 64);
        // Others are being made, or are the lock.
        if hex.is_some() {
            models.push(read_state(&path)?);
        }
    }
    models.sort_by(|one, other| (&one.name, one.added).cmp(&(&other.name, other.added)));
    Ok(models)
}

/// The one model of this name, digest or beginning of a digest.
///
/// # Errors
/// [`RegistryError::NotThere`]; [`RegistryError::Several`] where the name stands for more than one.
pub fn find_model(state: &Path, wanted: &str) -> Result<RegisteredModel, TaskError> {
    let models = list_models(state)?;
    let by_digest = wanted.strip_prefix("sha256:").filter(|digits| digits.len() >= MIN_DIGITS);
    let fits = |model: &&RegisteredModel| match by_digest {
        Some(digits) => model.digest.hex().starts_with(digits),
        None => model.name == wanted,
    };
    let mut found: Vec<_> = models.iter().filter(fits).cloned().collect();
    // Of several versions under one name, the approved one is meant where there is one only.
    if found.len() > 1 && found.iter().filter(|model| model.state == ModelState::Approved).count() == 1 {
        found.retain(|model| model.state == ModelState::Approved);
    }
    match found.len() {
        1 => found.pop().ok_or_else(|| not_there(wanted)),
        0 => Err(not_there(wanted)),
        _ => Err(TaskError::part(RegistryError::Several { name: wanted.to_owned(), count: found.len() })),
    }
}

/// The path of a model that is approved and unaltered, for a task.
///
/// # Errors
/// [`RegistryError::NotApproved`], [`RegistryError::Altered`].
pub fn approved_model(state: &Path, wanted: &str) -> Result<(RegisteredModel, PathBuf), TaskError> {
    let model = find_model(state, wanted)?;
    if model.state != ModelState::Approved {
        let refused = RegistryError::NotApproved { name: model.name, digest: model.digest, state: model.state };
        return Err(TaskError::part(refused));
    }
    let manifest = verify_registered(state, &model, &|_| {})?;
    let folder = place(state, model.digest).join(CONTENT);
    let path = match manifest.files.as_slice() {
        [only] if !only.name.contains('/') => folder.join(&only.name),
        _ => folder,
    };
    Ok((model, path))
}

/// Reads every byte of a model again, and holds it against what was scanned.
///
/// # Errors
/// [`RegistryError::Altered`].
pub fn verify_registered(
    state: &Path,
    model: &RegisteredModel,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Manifest, TaskError> {
    let folder = place(state, model.digest);
    let altered = |why: String| TaskError::part(RegistryError::Altered { name: model.name.clone(), why });
    let kept = fs::read(folder.join(MANIFEST)).map_err(TaskError::file("read", &folder.join(MANIFEST)))?;
    let kept: Manifest =
        serde_json::from_slice(&kept).map_err(|_| altered("its manifest cannot be read".to_owned()))?;
    if kept.digest() != model.digest || !kept.is_known() {
        return Err(altered("its manifest is another one".to_owned()));
    }
    let content = folder.join(CONTENT);
    let entries = list(&content).map_err(|error| altered(error.to_string()))?;
    let now = Manifest::make(&entries, progress).map_err(TaskError::file("read", &content))?;
    match now == kept {
        true => Ok(now),
        false => {
            let other = now
                .files
                .iter()
                .find(|file| !kept.files.contains(file))
                .or_else(|| kept.files.iter().find(|file| !now.files.contains(file)));
            let name = other.map(|file| file.name.escape_debug().to_string()).unwrap_or_default();
            Err(altered(format!("`{name}` is not as it was")))
        }
    }
}

/// What is known of each file of a model.
///
/// # Errors
/// When the manifest cannot be read.
pub fn read_manifest(state: &Path, model: &RegisteredModel) -> Result<Manifest, TaskError> {
    let path = place(state, model.digest).join(MANIFEST);
    let bytes = fs::read(&path).map_err(TaskError::file("read", &path))?;
    let broken = || {
        TaskError::part(RegistryError::Altered {
            name: model.name.clone(),
            why: "its manifest cannot be read".to_owned(),
        })
    };
    serde_json::from_slice(&bytes).map_err(|_| broken())
}

/// Lets a model be used, or be used no longer.
///
/// # Errors
/// Policy's denial; [`RegistryError::NotThere`].
pub fn change_model(keeper: &Keeper<'_>, wanted: &str, to: ModelState) -> Result<RegisteredModel, TaskError> {
    let _lock = lock(keeper.state)?;
    let mut model = find_model(keeper.state, wanted)?;
    let (action, kind) = match to {
        ModelState::Approved => ("approveModel", EventKind::ModelApproved),
        _ => ("revokeModel", EventKind::ModelRevoked),
    };
    if to == ModelState::Approved && model.state == ModelState::Revoked {
        return Err(TaskError::part(RegistryError::Final { name: model.name }));
    }
    decide(keeper, action, &model.name, model.signature)?;
    if to == ModelState::Approved {
        verify_registered(keeper.state, &model, &|_| {})?;
    }
    record(keeper, kind, &model)?;
    model.state = to;
    model.changed = keeper.now;
    write_state(&place(keeper.state, model.digest), &model)?;
    Ok(model)
}

/// Removes a model.
///
/// # Errors
/// Policy's denial; [`RegistryError::NotThere`]; when its files cannot be removed.
pub fn remove_model(keeper: &Keeper<'_>, wanted: &str) -> Result<RegisteredModel, TaskError> {
    let _lock = lock(keeper.state)?;
    let model = find_model(keeper.state, wanted)?;
    decide(keeper, "revokeModel", &model.name, model.signature)?;
    record(keeper, EventKind::ModelRemoved, &model)?;
    let folder = place(keeper.state, model.digest);
    // Out of the registry at once; what a crash leaves of it is swept by the next one who adds.
    let going = keeper.state.join(FOLDER).join(format!(".going-{}", model.digest.hex()));
    fs::rename(&folder, &going).map_err(TaskError::file("remove", &folder))?;
    fs::remove_dir_all(&going).map_err(TaskError::file("remove", &going))?;
    Ok(model)
}

/// Asks policy.
fn decide(keeper: &Keeper<'_>, action: &'static str, name: &str, signature: Signature) -> Result<(), TaskError> {
    let time = i64::try_from(keeper.now.0).unwrap_or(i64::MAX);
    let ask = Ask {
        principal: keeper.principal.clone(),
        local: true,
        roles: Vec::new(),
        user: Default::default(),
        action: action.into(),
        resource: name.to_owned(),
        attributes: [("signature".into(), Value::from(signature.label()))].into(),
        context: [("situation".into(), Value::Record([("time".to_owned(), time.into())].into()))].into(),
    };
    let answer = keeper.engine.answer(ask).map_err(|error| TaskError::Spec {
        what: format!("policy cannot be asked of the model `{name}`: {}", error.0),
        remedy: "give the model a plain name",
    })?;
    if let Err(denial) = answer {
        let event = Event { time: keeper.now, task: None, kind: EventKind::ModelRefused, data: Default::default() };
        append(
            keeper,
            event.with("name", name).with("action", action).with("code", hotcell_types::Explain::code(&denial)),
        )?;
        return Err(TaskError::part(denial));
    }
    Ok(())
}

/// Records what is about to be done.
fn record(keeper: &Keeper<'_>, kind: EventKind, model: &RegisteredModel) -> Result<(), TaskError> {
    let event = Event { time: keeper.now, task: None, kind, data: Default::default() }
        .with("name", model.name.as_str())
        .with("digest", model.digest.to_string())
        .with("signature", model.signature.label());
    append(keeper, event)
}

fn append(keeper: &Keeper<'_>, event: Event) -> Result<(), TaskError> {
    let mut event = event.with("principal", keeper.principal.as_str());
    crate::keys::epoch_key(keeper.state)?.seal(&mut event);
    keeper.log.append(&[event], Durability::Durable).map(drop).map_err(TaskError::part)
}

/// Whoever changes the registry holds this.
fn lock(state: &Path) -> Result<File, TaskError> {
    let folder = state.join(FOLDER);
    make_folder(&folder)?;
    let path = folder.join(LOCK);
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = file.map_err(TaskError::file("write", &path))?;
    flock(&file, FlockOperation::LockExclusive).map_err(|error| TaskError::file("lock", &path)(error.into()))?;
    Ok(file)
}

fn make_folder(folder: &Path) -> Result<(), TaskError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(TaskError::file("make", folder))
}

fn place(state: &Path, digest: Digest) -> PathBuf {
    state.join(FOLDER).join(digest.hex())
}

fn read_state(folder: &Path) -> Result<RegisteredModel, TaskError> {
    let path = folder.join(STATE);
    let bytes = fs::read(&path).map_err(TaskError::file("read", &path))?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let altered =
        || TaskError::part(RegistryError::Altered { name: name.clone(), why: "its state cannot be read".to_owned() });
    let model: RegisteredModel = serde_json::from_slice(&bytes).map_err(|_| altered())?;
    if model.digest.hex() == name { Ok(model) } else { Err(altered()) }
}

fn write_state(folder: &Path, model: &RegisteredModel) -> Result<(), TaskError> {
    let bytes = serde_json::to_vec(model).unwrap_or_default();
    crate::policy::replace(folder, STATE, &bytes).map_err(TaskError::file("write", &folder.join(STATE)))
}

fn not_there(wanted: &str) -> TaskError {
    TaskError::part(RegistryError::NotThere { name: wanted.to_owned() })
}

/// Folder of the state.
const FOLDER: &str = "models";
const LOCK: &str = "lock";
const STATE: &str = "state.json";
const MANIFEST: &str = "manifest.json";
/// The model's own files.
const CONTENT: &str = "model";
/// Digits of a digest that name a model.
const MIN_DIGITS: usize = 8;
