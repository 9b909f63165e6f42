//! Submission: everything that can be known and refused before policy is asked.

use hotcell_inspect::CheckedSchema;
use hotcell_models::RunnerArgs;
use hotcell_policy::{
    CitedRule, Decision, Effective, Overlay, Principal, Profile, Request, Runner, Shown, SideChannelRule,
};
use hotcell_types::{Digest, GrantId, RightRecord, TaskId, Timestamp, Wall, WorkloadRecord};

use crate::TaskError;
use crate::image::Image;
use crate::inputs::{self, Input};
use crate::journey::Context;
use crate::model::Model;
use crate::spec::{RunnerSpec, TaskSpec, Work};

/// A task that makes sense.
#[derive(Debug)]
pub(crate) struct Submitted {
    pub(crate) task: TaskId,
    pub(crate) now: Timestamp,
    pub(crate) work: Work,
    pub(crate) profile: Profile,
    pub(crate) image: Option<Image>,
    pub(crate) model: Option<Model>,
    pub(crate) inputs: Vec<Input>,
    pub(crate) outputs: Option<CheckedSchema>,
    /// The rest, as it was asked for.
    pub(crate) spec: TaskSpec,
}

/// What a run would be, without running it.
#[derive(Debug, serde::Serialize)]
pub struct DryRun {
    /// Who asks.
    pub principal: String,
    /// What would be executed.
    pub workload: WorkloadRecord,
    /// The profile's name.
    pub profile: String,
    /// Its effective values, and where each comes from.
    pub settings: Vec<Effective>,
    /// The rights that it would have, each with the walls that enforce it.
    pub rights: Vec<RightRecord>,
    /// The rules that would allow it.
    pub rules: Vec<String>,
    /// `live` or `inspect`.
    pub streams: String,
    /// Why the streams would not pass live.
    pub stream_reasons: Vec<CitedRule>,
    /// The image it would run in, if any: its name, and the digest of its manifest.
    pub image: Option<DryImage>,
    /// Id of the model, if any.
    pub model: Option<String>,
    /// Names of the inputs.
    pub inputs: Vec<String>,
    /// Names of the declared outputs.
    pub outputs: Vec<String>,
}

/// The image of a run that was not made.
#[derive(Debug, serde::Serialize)]
pub struct DryImage {
    /// Its name.
    pub name: String,
    /// The digest of its manifest.
    pub digest: Digest,
}

/// Asks policy, and runs nothing; of an image, manifest and config are read and no layer.
///
/// # Errors
/// As [`run_task`](crate::run_task) gives them up to policy's decision.
pub fn dry_run(spec: TaskSpec, context: &Context<'_>) -> Result<DryRun, TaskError> {
    let submitted = submit(spec, context)?;
    let workload = submitted.workload();
    let image = submitted.image.as_ref();
    let image = image.map(|image| DryImage { name: image.name().to_owned(), digest: image.digest() });
    let model = submitted.model.as_ref().map(|model| model.facts().id);
    let inputs = submitted.inputs.iter().map(|input| input.name.clone()).collect();
    let outputs = submitted.outputs.iter().flat_map(|schema| schema.files()).map(|file| file.name().to_owned());
    let outputs = outputs.collect();
    let grant = match context.engine.decide(submitted.request(context)) {
        Decision::Allow(grant) => grant,
        Decision::Deny(denial) => return Err(TaskError::part(denial)),
    };
    Ok(DryRun {
        principal: context.principal.clone(),
        workload,
        profile: grant.profile().name().to_owned(),
        settings: grant.profile().effective(),
        rights: grant.rights().records(),
        rules: grant.rules().to_vec(),
        streams: grant.streams().to_string(),
        stream_reasons: grant.stream_reasons().to_vec(),
        image,
        model,
        inputs,
        outputs,
    })
}

/// Checks a task as far as it goes without asking policy.
pub(crate) fn submit(mut spec: TaskSpec, context: &Context<'_>) -> Result<Submitted, TaskError> {
    let now = context.clock.now();
    if let Some(code) = spec.code.as_deref().filter(|code| code.exists() && !code.is_dir()) {
        return Err(TaskError::Spec {
            what: format!("the code `{}` is no folder", code.display()),
            remedy: "name the folder that it lies in",
        });
    }
    let mut work = std::mem::replace(&mut spec.work, Work::Command(Vec::new()));
    let image = spec.image.take().map(|image| Image::look(image, &work, context.state)).transpose()?;
    if let (Work::Command(command), Some(image)) = (&mut work, &image)
        && command.is_empty()
    {
        *command = image.command()?;
    }
    if matches!(&work, Work::Command(command) if command.is_empty()) {
        return Err(TaskError::Spec {
            what: "there is nothing to run".to_owned(),
            remedy: "give a command after `--`, or a model for the built-in runner (--model FILE)",
        });
    }
    let model = match spec.model.take() {
        Some(model) => Some(Model::look(model, &work, spec.outputs.as_ref(), now)?),
        None => None,
    };
    let sealed = matches!(model, Some(Model::Sealed { .. }));
    let profile = profile(&spec, &work, sealed)?;
    let mut inputs = inputs::look(std::mem::take(&mut spec.inputs))?;
    if context.engine.decides_columns() {
        inputs.iter_mut().try_for_each(Input::read_columns)?;
    }
    let outputs = spec.outputs.take().map(|schema| schema.check().map_err(TaskError::part)).transpose()?;
    if outputs.is_some() && spec.output.is_none() {
        return Err(TaskError::Spec {
            what: "the task declares outputs, and no folder to put them in".to_owned(),
            remedy: "name the folder: --output DIR",
        });
    }
    let submitted = Submitted {
        task: TaskId::from_bytes(hotcell_crypto::random()),
        now,
        work,
        profile,
        image,
        model,
        inputs,
        outputs,
        spec,
    };
    if let Work::Runner(runner) = &submitted.work {
        if submitted.model.is_none() {
            return Err(TaskError::Spec {
                what: "the built-in runner needs a model".to_owned(),
                remedy: "give one: --model FILE",
            });
        }
        submitted.runner_args(runner)?;
    }
    Ok(submitted)
}

/// The profile that was named, or the one that fits, narrowed by every layer.
fn profile(spec: &TaskSpec, work: &Work, sealed: bool) -> Result<Profile, TaskError> {
    let fitting = match work {
        Work::Runner(_) if sealed || spec.outputs.is_some() => "infer",
        _ => "strict",
    };
    let name = spec.profile.as_deref().unwrap_or(fitting);
    let mut profile = match name.ends_with(".toml") {
        true => {
            let path = std::path::Path::new(name);
            let text = std::fs::read_to_string(path).map_err(TaskError::file("read the profile", path))?;
            match &spec.profile_of_task {
                Some(task) => Profile::from_foreign_file(&text, name, task).map_err(TaskError::part)?,
                None => Profile::from_file(&text, name).map_err(TaskError::part)?,
            }
        }
        false => Profile::builtin(name).map_err(TaskError::part)?,
    };
    // What the user lets it reach comes first: a task file may ask for nothing else.
    for (overlay, origin) in spec.overlays.iter().filter(|(_, origin)| origin.is_own_choice()) {
        let hosts = overlay.rights.iter().filter(|right| right.host.is_some()).cloned().collect();
        let hosts = Overlay { rights: hosts, ..Overlay::default() };
        profile = profile.narrow(&hosts, origin).map_err(TaskError::part)?;
    }
    for (overlay, origin) in &spec.overlays {
        profile = profile.narrow(overlay, origin).map_err(TaskError::part)?;
    }
    if spec.image.is_some() && !profile.hosts().is_empty() {
        return Err(TaskError::Spec {
            what: "a task in an image cannot reach hosts yet: the image's own `/etc` names no resolver".to_owned(),
            remedy: "run it without --image, or without --egress",
        });
    }
    Ok(profile)
}

impl Submitted {
    /// The question for policy.
    pub(crate) fn request(&self, context: &Context<'_>) -> Request {
        Request {
            grant: GrantId::from_bytes(hotcell_crypto::random()),
            task: self.task,
            now: self.now,
            principal: Principal { id: context.principal.clone(), local: true, roles: Vec::new() },
            owner: context.principal.clone(),
            purpose: self.spec.purpose.clone(),
            profile: self.profile.clone(),
            isolation: "process".to_owned(),
            runner: match self.work {
                Work::Runner(_) => Runner::Builtin,
                Work::Command(_) => Runner::Command,
            },
            shown: Shown {
                inputs: self.inputs.iter().map(|input| input.name.clone()).collect(),
                code: self.spec.code.is_some(),
                model: self.model.is_some(),
                terminal: self.spec.terminal,
            },
            best_effort: self.spec.best_effort.clone(),
            image: self.image.as_ref().map(Image::digest),
            model: self.model.as_ref().map(Model::facts),
            datasets: self.inputs.iter().map(Input::facts).collect(),
            inputs_owned: self.inputs.iter().all(|input| input.owned),
            recipients: self.spec.recipients.iter().map(ToString::to_string).collect(),
            role: self.spec.role.clone(),
        }
    }

    /// What the log and the receipt say of the workload.
    pub(crate) fn workload(&self) -> WorkloadRecord {
        let (kind, command) = match &self.work {
            Work::Command(command) => {
                ("command", command.iter().map(|part| part.to_string_lossy().into_owned()).collect())
            }
            Work::Runner(_) => ("builtin-runner", Vec::new()),
        };
        WorkloadRecord { kind: kind.to_owned(), command, digest: None }
    }

    /// The built-in runner's command line.
    pub(crate) fn runner_args(&self, runner: &RunnerSpec) -> Result<RunnerArgs, TaskError> {
        let wrong = |what: &str, remedy| TaskError::Spec { what: what.to_owned(), remedy };
        let [input] = self.inputs.as_slice() else {
            return Err(wrong("the built-in runner takes exactly one input", "give one table: --input data=FILE.csv"));
        };
        let declared = self.outputs.as_ref().and_then(|schema| schema.files().first()).map(|file| file.name());
        let file = runner.file.as_deref().or(declared).unwrap_or("scores.csv");
        if file.contains('/') {
            return Err(wrong("the runner's `file` is a path", "give a plain name: it is written into /output"));
        }
        let mut args = RunnerArgs::new("/model", format!("/input/{}", input.name), format!("/output/{file}"));
        args.keys.clone_from(&runner.keys);
        args.features.clone_from(&runner.features);
        args.columns = (runner.columns.iter().map(|text| text.parse()))
            .collect::<Result<_, String>>()
            .map_err(|why| wrong(&why, "write columns as NAME=OUTPUT or NAME=OUTPUT[CLASS]"))?;
        args.allow_missing = runner.allow_missing;
        args.without_clocks = self.profile.side_channels() == SideChannelRule::Hardened
            && !self.spec.best_effort.contains(&Wall::NoClocks);
        args.threads = runner.threads.unwrap_or_else(|| self.granted_processors()).clamp(1, MAX_RUNNER_THREADS);
        Ok(args)
    }

    fn granted_processors(&self) -> usize {
        let host = std::thread::available_parallelism().map_or(1, usize::from);
        usize::try_from(self.profile.limits().cpu_millis() / 1000).unwrap_or(host).min(host)
    }
}

/// As many as the runner takes.
const MAX_RUNNER_THREADS: usize = 256;
