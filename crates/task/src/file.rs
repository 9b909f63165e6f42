//! Task files: a task as TOML (`docs/formats/task-file.md`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotcell_crypto::keyfile;
use hotcell_inspect::OutputSchema;
use hotcell_policy::{MAX_FILE_BYTES, Origin, Overlay, RawRight};
use serde::Deserialize;

use crate::TaskError;
use crate::spec::{ImageSpec, ModelSpec, RunnerSpec, TaskInput, TaskSpec, Work};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TaskFile {
    command: Option<Vec<String>>,
    runner: Option<RunnerSpec>,
    profile: Option<String>,
    narrow: Option<Overlay>,
    #[serde(default)]
    rights: Vec<RawRight>,
    image: Option<String>,
    model: Option<ModelTable>,
    #[serde(default)]
    inputs: BTreeMap<String, PathBuf>,
    code: Option<PathBuf>,
    output_folder: Option<PathBuf>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    recipients: Vec<String>,
    #[serde(default)]
    purpose: String,
    receipt: Option<PathBuf>,
    output: Option<OutputSchema>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelTable {
    file: PathBuf,
    key: Option<PathBuf>,
    #[serde(default)]
    trust: Vec<String>,
}

/// Reads a task file. Paths in it are relative to `folder`, the folder of the file.
///
/// # Errors
/// When it is too long, is not such a file, or names keys that cannot be read.
pub fn parse_task_file(text: &str, path: &str, folder: &Path) -> Result<TaskSpec, TaskError> {
    let wrong = |what: String| TaskError::Spec {
        what: format!("task file `{}`: {what}", path.escape_debug()),
        remedy: "correct the task file; docs/formats/task-file.md lists its keys",
    };
    if text.len() > MAX_FILE_BYTES {
        return Err(wrong(format!("{} bytes are more than {MAX_FILE_BYTES}", text.len())));
    }
    let file: TaskFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let work = match (file.command, file.runner) {
        (Some(command), None) => Work::Command(command.into_iter().map(Into::into).collect()),
        // The image says what it runs.
        (None, None) if file.image.is_some() => Work::Command(Vec::new()),
        (None, Some(runner)) => Work::Runner(runner),
        _ => return Err(wrong("exactly one of `command` and `[runner]` is needed".to_owned())),
    };
    let mut spec = TaskSpec::new(work);
    spec.profile = file.profile.map(|profile| match profile.ends_with(".toml") {
        true => folder.join(profile).to_string_lossy().into_owned(),
        false => profile,
    });
    spec.profile_of_task = spec.profile.is_some().then(|| path.to_owned());
    if !file.rights.is_empty() {
        spec.overlays.push((Overlay { rights: file.rights, ..Overlay::default() }, Origin::Task(path.to_owned())));
    }
    spec.overlays.extend(file.narrow.map(|overlay| (overlay, Origin::Task(path.to_owned()))));
    if let (Some(_), Work::Runner(_)) = (&file.image, &spec.work) {
        return Err(wrong("`image` and `[runner]` exclude each other: the built-in runner needs no image".to_owned()));
    }
    spec.image = file.image.map(|name| ImageSpec { name: image_name(name, folder), settings: Arc::default() });
    if let Some(model) = file.model {
        let key = model.key.map(|key| keyfile::read_encryption(&folder.join(key)).map_err(TaskError::part));
        let trust = model.trust.iter().map(|text| keyfile::read_verifying(&key_text(text, folder)));
        spec.model = Some(ModelSpec {
            path: folder.join(model.file),
            key: key.transpose()?,
            trust: trust.collect::<Result<_, _>>().map_err(TaskError::part)?,
            registered: None,
        });
    }
    spec.inputs = file.inputs.into_iter().map(|(name, path)| TaskInput { name, path: folder.join(path) }).collect();
    spec.code = file.code.map(|path| folder.join(path));
    spec.output = file.output_folder.map(|path| folder.join(path));
    spec.env = file.env.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
    let recipients = file.recipients.iter().map(|text| keyfile::read_recipient(&key_text(text, folder)));
    spec.recipients = recipients.collect::<Result<_, _>>().map_err(TaskError::part)?;
    spec.purpose = file.purpose;
    spec.receipt = file.receipt.map(|path| folder.join(path));
    spec.outputs = file.output;
    Ok(spec)
}

/// A path among the names of images is relative to the task file.
fn image_name(name: String, folder: &Path) -> String {
    let is_relative = matches!(name.as_str(), "." | "..") || name.starts_with("./") || name.starts_with("../");
    if !is_relative {
        return name;
    }
    let path = folder.join(&name).to_string_lossy().into_owned();
    if path.starts_with(['/', '.']) { path } else { format!("./{path}") }
}

/// A key stands for itself; anything else is a path beside the task file.
fn key_text(text: &str, folder: &Path) -> String {
    if text.starts_with("age1") || text.starts_with("hotcell-verify1") {
        return text.to_owned();
    }
    folder.join(text).to_string_lossy().into_owned()
}
