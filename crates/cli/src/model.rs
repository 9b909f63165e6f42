//! `hotcell model`: what a model's files are, and the registry of those that may be used.

mod look;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use hotcell_audit::Log;
use hotcell_crypto::{ForeignKey, keyfile};
use hotcell_models::scan::{TreeError, list};
use hotcell_models::{Manifest, TrustedKey, sign_manifest};
use hotcell_task::{
    AddModel, AddStep, InForce, Keeper, ModelSpec, ModelState, RegisteredModel, RegistryError, TaskError, add_model,
    approved_model, change_model, find_model, list_models, open_log, policy_in_force, read_manifest, remove_model,
    verify_registered,
};
use hotcell_types::{ByteSize, Clock, Exit};
use serde_json::json;

use crate::app::App;
use crate::bar;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::print::{self, plain, theirs};

/// Look into models without loading them, and keep a registry of those that may be used.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Say what each file of a model is, and refuse what could do more than hold numbers. Nothing is loaded or executed.
    ///
    /// Exits with 1 when something is refused; each refusal is told with its kind, place, reason and remedy.
    Scan {
        /// Files, or folders with all that lies below them.
        #[arg(required = true, value_name = "PATH")]
        paths: Vec<PathBuf>,
    },
    /// Take a model into the registry, in quarantine: copy, inventory, signature, scan.
    Add(Add),
    /// List the models of the registry.
    List,
    /// Show a model of the registry, with its files.
    Show(Named),
    /// Read every byte of a model of the registry again, and hold it against what was scanned.
    Verify(Named),
    /// Let a model of the registry be used.
    Approve(Named),
    /// Let a model of the registry be used no longer, for good.
    Revoke(Named),
    /// Remove a model from the registry.
    Rm(Named),
    /// Sign a model: the digests of all its files, with a key of `hotcell keygen --signing`.
    Sign {
        /// The signing key.
        #[arg(long, value_name = "KEYFILE")]
        key: PathBuf,
        /// File to write. An existing one is not overwritten.
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
        /// The model: a file, or a folder.
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// The model: a file, or a folder.
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Name in the registry: letters, digits and `._-/`. Default: the name of the file or folder.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The author's signature: of `hotcell model sign`, or a bundle of OpenSSF Model Signing by key.
    #[arg(long, value_name = "FILE", requires = "trust")]
    signature: Option<PathBuf>,
    /// Public key of an author that you trust, or its file: of `hotcell keygen --signing`, or PEM.
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
    /// Take the model of this name in although nobody has signed it. Profiles that demand a signature refuse it later too.
    #[arg(long, value_name = "NAME", conflicts_with = "signature")]
    unsigned: Option<String>,
}

#[derive(Debug, Args)]
struct Named {
    /// Name, or digest (`sha256:…`; its first eight digits are enough).
    #[arg(value_name = "MODEL")]
    model: String,
}

impl Arguments {
    /// Whether it reads or writes the state folder.
    pub(crate) fn uses_state(&self) -> bool {
        !matches!(self.command, Command::Scan { .. } | Command::Sign { .. })
    }
}

pub(crate) fn run(arguments: Arguments, app: &App) -> Result<Exit, Failure> {
    match arguments.command {
        Command::Scan { paths } => look::scan(&paths, app),
        Command::Add(arguments) => add(&arguments, app),
        Command::List => show_list(app),
        Command::Show(named) => show(&named.model, app),
        Command::Verify(named) => verify(&named.model, app),
        Command::Approve(named) => change(&named.model, ModelState::Approved, app),
        Command::Revoke(named) => change(&named.model, ModelState::Revoked, app),
        Command::Rm(named) => remove(&named.model, app),
        Command::Sign { key, output, path } => sign(&key, &output, &path, app),
    }
}

/// The model of a run: a file or folder of this name, else one of the registry.
pub(crate) fn named(path: PathBuf, state: &Path) -> Result<ModelSpec, Failure> {
    let plain = |path| ModelSpec { path, key: None, trust: Vec::new(), registered: None };
    let Some(name) = path.to_str().filter(|_| path.symlink_metadata().is_err()) else { return Ok(plain(path)) };
    match approved_model(state, name) {
        Ok((model, path)) => Ok(ModelSpec { registered: Some((model.name, model.signature)), ..plain(path) }),
        // What looks like a path is told as a file that is not there.
        Err(error) if is_not_there(&error) && !name.starts_with("sha256:") => Ok(plain(path)),
        Err(error) => Err(error.into()),
    }
}

fn is_not_there(error: &TaskError) -> bool {
    hotcell_types::Explain::code(error) == "MDL-070"
}

fn add(arguments: &Add, app: &App) -> Result<Exit, Failure> {
    let own = arguments.source.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = arguments.name.clone().or(own).unwrap_or_default();
    if arguments.unsigned.as_ref().is_some_and(|unsigned| *unsigned != name) {
        return Err(Failure::usage(
            format!("--unsigned names another model than `{name}`"),
            format!("say it of this one, if you mean it: --unsigned {name}"),
        ));
    }
    let what = AddModel {
        source: arguments.source.clone(),
        name,
        signature: arguments.signature.as_deref().map(read_text).transpose()?,
        trust: arguments.trust.iter().map(|key| trusted(key)).collect::<Result<_, _>>()?,
        unsigned: arguments.unsigned.is_some(),
    };
    let mut steps = Vec::new();
    let mut told = Ok(());
    let bytes = list(&what.source).map(|entries| entries.iter().map(|entry| entry.bytes).sum()).unwrap_or(0);
    let bar = bar::bar(bytes * 3, "onboarding", bar::BYTES);
    let progress = |read: u64| {
        if let Some(bar) = &bar {
            bar.inc(read);
        }
    };
    let registry = Registry::open(app)?;
    let added = add_model(&registry.keeper(app), &what, &progress, &mut |step| {
        let line = match (app.json, &bar) {
            (true, _) => {
                steps.push(as_json(&step));
                Ok(())
            }
            (false, Some(bar)) => bar.suspend(|| tell(&step)),
            (false, None) => tell(&step),
        };
        if told.is_ok() {
            told = line;
        }
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    told?;
    let model = match added {
        Ok(added) => added.model,
        Err(error) => {
            if app.json {
                print::json(&json!({ "steps": steps, "error": crate::failure::error_json(&error) }))?;
                return Ok(hotcell_types::Explain::exit(&error));
            }
            return Err(error.into());
        }
    };
    match app.json {
        true => print::json(&json!({ "steps": steps, "model": model }))?,
        false => {
            let mut to = print::out();
            writeln!(to, "model {} is in quarantine: {}", theirs(&model.name), model.digest)?;
            writeln!(to, "to let it be used: hotcell model approve {}", theirs(&model.name))?;
        }
    }
    Ok(Exit::Yes)
}

fn as_json(step: &AddStep) -> serde_json::Value {
    match step {
        AddStep::Listed { bytes } => json!({ "step": "list", "bytes": bytes }),
        AddStep::Inventory { manifest } => {
            json!({ "step": "inventory", "digest": manifest.digest(), "files": manifest.files })
        }
        AddStep::Signed { signer } => json!({ "step": "signature", "signer": signer }),
        AddStep::Scanned { reports } => {
            let files = reports.iter().map(|(name, report)| look::as_json(name, report)).collect::<Vec<_>>();
            json!({ "step": "scan", "files": files })
        }
        _ => json!({ "step": "other" }),
    }
}

fn tell(step: &AddStep) -> std::io::Result<()> {
    let mut to = print::out();
    match step {
        AddStep::Listed { .. } => Ok(()),
        AddStep::Inventory { manifest } => {
            let bytes = manifest.files.iter().map(|file| file.bytes).sum();
            writeln!(to, "inventory  {} files, {}, {}", manifest.files.len(), ByteSize(bytes), manifest.digest())
        }
        AddStep::Signed { signer: Some(signer) } => writeln!(to, "signature  holds, by {}", theirs(signer)),
        AddStep::Signed { signer: None } => writeln!(to, "signature  none, taken in by name"),
        AddStep::Scanned { reports } => {
            let refused = reports.iter().map(|(_, report)| report.refused.len()).sum::<usize>();
            writeln!(to, "scan       {} files, {refused} refusals", reports.len())?;
            reports.iter().try_for_each(|(_, report)| look::tell_refusals(report))
        }
        _ => Ok(()),
    }
}

fn show_list(app: &App) -> Result<Exit, Failure> {
    let models = list_models(&app.state)?;
    match app.json {
        true => print::json(&models)?,
        false if models.is_empty() => writeln!(print::out(), "no models")?,
        false => {
            let mut table = print::table(&["model", "state", "signature", "size", "digest"]);
            for model in &models {
                let digest: String = model.digest.to_string().chars().take(19).collect();
                let size = ByteSize(model.bytes).to_string();
                table.add_row([
                    &theirs(&model.name),
                    &plain(model.state.label()),
                    &plain(model.signature.label()),
                    &plain(&size),
                    &plain(&digest),
                ]);
            }
            writeln!(print::out(), "{table}")?;
        }
    }
    Ok(Exit::Yes)
}

fn show(name: &str, app: &App) -> Result<Exit, Failure> {
    let model = find_model(&app.state, name)?;
    let manifest = read_manifest(&app.state, &model)?;
    match app.json {
        true => print::json(&json!({ "model": model, "files": manifest.files }))?,
        false => {
            let mut to = print::out();
            writeln!(to, "{}  {}  {}", theirs(&model.name), model.state.label(), model.digest)?;
            let signer = model.signer.as_deref().unwrap_or("nobody");
            writeln!(to, "signed by  {}", theirs(signer))?;
            for file in &manifest.files {
                writeln!(to, "{:>12}  {}  {}", file.bytes, file.sha256, theirs(&file.name))?;
            }
        }
    }
    Ok(Exit::Yes)
}

fn verify(name: &str, app: &App) -> Result<Exit, Failure> {
    let model = find_model(&app.state, name)?;
    let bar = bar::bar(model.bytes, "reading", bar::BYTES);
    let progress = |read: u64| {
        if let Some(bar) = &bar {
            bar.inc(read);
        }
    };
    let verified = verify_registered(&app.state, &model, &progress);
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    verified?;
    told(&model, "is as it was scanned", app)
}

fn change(name: &str, to: ModelState, app: &App) -> Result<Exit, Failure> {
    let registry = Registry::open(app)?;
    let model = change_model(&registry.keeper(app), name, to)?;
    told(&model, if to == ModelState::Approved { "is approved" } else { "is revoked" }, app)
}

fn remove(name: &str, app: &App) -> Result<Exit, Failure> {
    let registry = Registry::open(app)?;
    let model = remove_model(&registry.keeper(app), name)?;
    told(&model, "is removed", app)
}

fn told(model: &RegisteredModel, what: &str, app: &App) -> Result<Exit, Failure> {
    match app.json {
        true => print::json(model)?,
        false => writeln!(print::out(), "model {} {what}: {}", theirs(&model.name), model.digest)?,
    }
    Ok(Exit::Yes)
}

fn sign(key: &Path, output: &Path, path: &Path, app: &App) -> Result<Exit, Failure> {
    let key = keyfile::read_signing(key)?;
    let entries = list(path).map_err(files)?;
    let manifest = Manifest::make(&entries, &|_| {}).map_err(|source| Failure::file("read", path, source))?;
    let mut to = NewFile::create(output, 0o666, false)?;
    to.write_all(sign_manifest(&manifest, &key).as_bytes()).map_err(|source| Failure::file("write", output, source))?;
    to.publish()?;
    match app.json {
        true => print::json(&json!({ "digest": manifest.digest(), "signer": key.verifying().to_string() }))?,
        false => {
            let output = theirs(output.display());
            writeln!(print::out(), "{output}: {} files signed, {}", manifest.files.len(), manifest.digest())?;
        }
    }
    Ok(Exit::Yes)
}

pub(super) fn files(source: TreeError) -> Failure {
    TaskError::Part(Box::new(RegistryError::Files { source })).into()
}

/// A key of ours, by its text or file; else PEM of another program's.
fn trusted(text: &str) -> Result<TrustedKey, Failure> {
    let pem = fs::read_to_string(text).ok().filter(|text| text.trim_start().starts_with("-----BEGIN"));
    match pem.map(|pem| ForeignKey::from_pem(&pem)) {
        Some(Some(key)) => Ok(TrustedKey::Foreign(key)),
        Some(None) => Err(Failure::usage(
            format!("`{text}` is no public key of a kind that is known"),
            "give ECDSA over P-256, P-384 or P-521, or Ed25519: openssl pkey -in KEY -pubout",
        )),
        None => Ok(TrustedKey::Own(keyfile::read_verifying(text)?)),
    }
}

fn read_text(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_SIGNATURE).read_to_string(&mut text))
        .map_err(|source| Failure::file("read", path, source))?;
    Ok(text)
}

/// The log and the policy that a change of the registry needs.
struct Registry {
    log: Log,
    policy: InForce,
}

impl Registry {
    fn open(app: &App) -> Result<Self, Failure> {
        let log = open_log(&app.state, crate::VERSION, app.clock.now())?;
        Ok(Self { log, policy: policy_in_force(&app.state)? })
    }

    fn keeper<'a>(&'a self, app: &'a App) -> Keeper<'a> {
        let principal = crate::run::principal();
        Keeper { state: &app.state, log: &self.log, engine: &self.policy.engine, principal, now: app.clock.now() }
    }
}

/// A bundle over a hundred thousand files has some megabytes.
const MAX_SIGNATURE: u64 = 64 << 20;
