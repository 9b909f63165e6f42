//! `hotcell run`: one task, from the command line or a task file.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Args;
use hotcell_crypto::keyfile;
use hotcell_isolate::Shell;
use hotcell_policy::{Origin, Overlay};
use hotcell_sys::signal::{self, SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use hotcell_task::{
    Context, ImageSpec, RunnerSpec, TaskInput, TaskSpec, Work, dry_run, parse_task_file, policy_in_force, run_task,
};
use hotcell_types::{Exit, Outcome, Wall};

use crate::app::App;
use crate::failure::Failure;
use crate::feed::Feed;
use crate::receipt_file::ReceiptFile;
use crate::report;
use crate::terminal::Session;
use crate::watch::Watch;

/// Run a program or a model in a sandbox of its own, and let out only what may leave.
///
/// Without a command, the built-in runner scores the one input with the model. Inside, inputs are seen read-only at
/// /input/NAME, the model at /model, the code at /code; /output and /scratch can be written.
///
/// Exits with the status of the workload (128+n for a signal), or 0 and 1 where outputs are under inspection; 121
/// when policy or inspection refuses, 122 when the host lacks a control, 123 for a failed integrity check, 124 when a
/// limit was reached, 125 when Hotcell failed, 126 and 127 when the command cannot be executed or is not found.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Read the task from a file (docs/formats/task-file.md); options add to it.
    #[arg(long, value_name = "FILE")]
    task: Option<PathBuf>,
    /// Shape of the sandbox: strict, third-party, infer, train, baseline-5.10 (for hosts without Landlock), or a profile file.
    /// Default: infer for the built-in runner with declared outputs or a sealed model, else strict.
    #[arg(long, value_name = "NAME|FILE")]
    profile: Option<String>,
    /// Index of the inputs that `hotcell fingerprint` made ahead: what it recognises does not leave, whatever the profile
    /// says.
    #[arg(long, value_name = "INDEX")]
    fingerprints: Option<PathBuf>,
    /// Folder to show at /code, where the command then starts.
    #[arg(long, value_name = "DIR")]
    code: Option<PathBuf>,
    /// File or folder to show at /input/NAME.
    #[arg(long = "input", value_name = "NAME=PATH", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// Image whose files are seen in place of the host's /usr: REGISTRY/NAME@sha256:DIGEST, or the path of an OCI layout
    /// folder or of a tar, beginning with `./` or `/`. Without a command, its entry point is run (docs/images.md).
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Model to show at /model: an ONNX file; a sealed package, which is opened inside only; or an approved model of the
    /// registry, by name or digest, where no file has that name (hotcell model).
    #[arg(long, value_name = "FILE|NAME")]
    model: Option<PathBuf>,
    /// Key that opens the sealed model.
    #[arg(long, value_name = "FILE", requires = "model")]
    key: Option<PathBuf>,
    /// Public key of a vendor that you trust, or its file.
    #[arg(long, value_name = "KEY", requires = "model")]
    trust: Vec<String>,
    /// Folder for the results. Without it no file leaves.
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Choose a limit within the bounds of the profile: memory=512MiB, wall=60s, pids=64, cpu=1.5, scratch=256MiB.
    #[arg(long = "limit", value_name = "KEY=VALUE")]
    limits: Vec<String>,
    /// Let the task reach this host through the gateway, which reads each request; none is reached otherwise. The port is
    /// 443 unless one is given. With `,pass` what goes there passes unopened (docs/how-to/egress.md).
    #[arg(long = "egress", value_name = "HOST[:PORT][,pass]")]
    egress: Vec<String>,
    /// Set a variable of the workload's environment, which is otherwise nearly empty.
    #[arg(long = "env", value_name = "KEY=VALUE", value_parser = pair)]
    env: Vec<(String, String)>,
    /// Seal the results to this public key (age format), or to the one in this file.
    #[arg(long = "recipient", value_name = "KEY")]
    recipients: Vec<String>,
    /// Role in which inputs are seen and results are read: by the views that the policy has for it. Standard streams are then
    /// inspected.
    #[arg(long)]
    role: Option<String>,
    /// Key for hashes, tokens and encrypted fields of the view in which the role sees inputs and results.
    #[arg(long, value_name = "FILE")]
    view_key: Option<PathBuf>,
    /// Purpose of the task, for policy, log and receipt.
    #[arg(long)]
    purpose: Option<String>,
    /// Write the receipt to this file as well. An older receipt there is replaced, no other file.
    #[arg(long, value_name = "FILE")]
    receipt: Option<PathBuf>,
    /// Go on without this control where the host lacks it. The receipt says so.
    #[arg(long = "best-effort", value_name = "CONTROL", value_parser = wall)]
    best_effort: Vec<Wall>,
    /// Hand standard input on to the workload, of any size. Without it, or --tty, the workload's input is empty.
    #[arg(long, conflicts_with = "tty")]
    stdin: bool,
    /// Give the workload a terminal of its own, shown on ours: for shells and whatever asks. Control sequences pass as
    /// with any program; refused where streams are inspected.
    #[arg(long, conflicts_with = "dry_run")]
    tty: bool,
    /// Say what left and which limits were met, also where standard error is no terminal.
    #[arg(long, short)]
    verbose: bool,
    /// Ask policy and show the effective profile, but run nothing.
    #[arg(long)]
    dry_run: bool,
    /// The command and its arguments.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `NAME=VALUE`, with a name.
fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

pub(crate) fn wall(text: &str) -> Result<Wall, String> {
    text.parse().map_err(|_| {
        let names: Vec<_> = Wall::ALL.iter().map(|wall| wall.label()).collect();
        format!("no such control; there are: {}", names.join(", "))
    })
}

/// A shell for the task of this command line, before the line is read: one that waited in the pool, or one that builds
/// itself meanwhile. None where the
/// line asks for no task; what hinders it is told when the task needs it.
pub(crate) fn start_shell() -> Option<Shell> {
    let mut words = std::env::args_os().skip(1);
    let is_run = words.next().is_some_and(|word| word == "run");
    let options: Vec<_> = words.take_while(|word| word != "--").collect();
    // The first three only ask; an image needs a shell without the host's system.
    let without = ["--dry-run", "--help", "-h", "--image"];
    if !is_run || options.iter().any(|word| without.iter().any(|other| word == other)) {
        return None;
    }
    if let Some(shell) = crate::pool::claim_early() {
        return Some(shell);
    }
    // What these show is mounted from the host's files.
    let from_host = ["--task", "--input", "--code", "--model", "--tty"];
    let starts = |word: &OsString, with: &str| word.as_encoded_bytes().starts_with(with.as_bytes());
    let is_open = options.iter().any(|word| from_host.iter().any(|option| starts(word, option)));
    let seed = hotcell_crypto::random();
    if is_open { Shell::start(seed) } else { Shell::start_closed(seed) }.ok()
}

pub(crate) fn run(arguments: Arguments, app: &App, shell: Option<Shell>) -> Result<u8, Failure> {
    let is_dry = arguments.dry_run;
    let verbose = arguments.verbose || io::stderr().is_terminal();
    let tty = arguments.tty;
    if tty && app.json {
        return Err(Failure::usage("--tty and --json exclude each other", "give one of them"));
    }
    let mut spec = spec(arguments, app)?;
    let may_claim = !is_dry && spec.image.is_none();
    let shell = shell.or_else(|| may_claim.then(|| crate::pool::claim(&app.state)).flatten());
    let copy = spec.receipt.take().map(|path| ReceiptFile::at(path, spec.output.as_deref(), app)).transpose()?;
    let (cancel, session) = match tty {
        true => {
            let (read, write) = cancel_pipe()?;
            (read, Some(Session::begin(write)?))
        }
        false => (cancelled_by_signals()?, None),
    };
    let (out, err) = (io::stdout(), io::stderr());
    let feeds =
        if app.json { [None, None] } else { [Feed::to(&out), Feed::to(&err)].map(Result::ok).map(Option::flatten) };
    let writers = feeds.each_ref().map(|feed| feed.as_ref().and_then(|feed| feed.writer().ok()));
    let [to_out, to_err] = feeds.each_ref().map(|feed| feed.as_ref().map(AsFd::as_fd));
    let mut watch = Watch::new(app.json, session).by(writers);
    let policy = policy_in_force(&app.state)?;
    let mut context = Context {
        state: &app.state,
        version: crate::VERSION,
        clock: &app.clock,
        principal: principal(),
        engine: &policy.engine,
        shell,
        cancel: Some(cancel.as_fd()),
        onwards: match app.json {
            true => [None, None],
            false => [to_out.or(Some(out.as_fd())), to_err.or(Some(err.as_fd()))],
        },
        observer: &mut watch,
    };
    if is_dry {
        let dry = dry_run(spec, &context)?;
        report::dry(&dry, app.json)?;
        return Ok(Exit::Yes.status());
    }
    let output = spec.output.clone();
    crate::temporary::sweep(&app.state);
    let result = run_task(spec, &mut context);
    // Nobody waits for the reader of a workload that was stopped.
    let was_stopped = result
        .as_ref()
        .is_ok_and(|done| matches!(done.outcome, Outcome::LimitReached | Outcome::Cancelled | Outcome::Withdrawn));
    watch.finish(|| feeds.into_iter().flatten().filter(|_| !was_stopped).for_each(Feed::drain));
    let done = result?;
    match app.json {
        true => report::json(&done, &watch)?,
        false => report::text(&done, output.as_deref(), verbose)?,
    }
    if let Some(copy) = copy {
        copy.write(&done.receipt)?;
    }
    Ok(done.status)
}

/// Who asks: this machine's account.
pub(crate) fn principal() -> String {
    format!("local:{}", rustix::process::getuid().as_raw())
}

/// The task: what the file says, with the options added.
fn spec(arguments: Arguments, app: &App) -> Result<TaskSpec, Failure> {
    let mut spec = match &arguments.task {
        Some(path) => {
            let text =
                std::fs::read_to_string(path).map_err(|source| Failure::file("read the task file", path, source))?;
            let folder = path.parent().unwrap_or(path.as_ref());
            parse_task_file(&text, &path.to_string_lossy(), folder)?
        }
        None if arguments.image.is_some() => TaskSpec::new(Work::Command(Vec::new())),
        None if arguments.command.is_empty() && arguments.model.is_none() => {
            return Err(Failure::usage(
                "there is nothing to run",
                "give a command after `--`, or a model and a table: --model FILE --input data=FILE.csv",
            ));
        }
        None => TaskSpec::new(Work::Runner(RunnerSpec::default())),
    };
    if !arguments.command.is_empty() {
        spec.work = Work::Command(arguments.command);
    }
    if arguments.profile.is_some() {
        (spec.profile, spec.profile_of_task) = (arguments.profile, None);
    }
    for limit in &arguments.limits {
        let mut overlay = Overlay::default();
        overlay.set_limit(limit)?;
        spec.overlays.push((overlay, Origin::Flag(format!("--limit {limit}"))));
    }
    for host in &arguments.egress {
        let mut overlay = Overlay::default();
        overlay.add_host(host)?;
        spec.overlays.push((overlay, Origin::Flag(format!("--egress {host}"))));
    }
    if let Some(name) = arguments.image.or_else(|| spec.image.take().map(|image| image.name)) {
        spec.image = Some(ImageSpec { name, settings: crate::image_settings::read()? });
    }
    if let Some(path) = arguments.model {
        spec.model = Some(crate::model::named(path, &app.state)?);
    }
    if let Some(model) = &mut spec.model {
        if let Some(key) = &arguments.key {
            model.key = Some(keyfile::read_encryption(key)?);
        }
        for key in &arguments.trust {
            model.trust.push(keyfile::read_verifying(key)?);
        }
    }
    spec.inputs.extend(arguments.inputs.into_iter().map(|(name, path)| TaskInput { name, path: path.into() }));
    spec.fingerprints = arguments.fingerprints;
    spec.code = arguments.code.or(spec.code);
    spec.output = arguments.output.or(spec.output);
    spec.env.extend(arguments.env.into_iter().map(|(name, value)| (name.into(), value.into())));
    for key in &arguments.recipients {
        spec.recipients.push(keyfile::read_recipient(key)?);
    }
    spec.role = arguments.role.or(spec.role);
    spec.view_key = arguments.view_key.as_deref().map(keyfile::read_encryption).transpose()?;
    spec.purpose = arguments.purpose.unwrap_or(spec.purpose);
    spec.best_effort = BTreeSet::from_iter(arguments.best_effort);
    spec.receipt = arguments.receipt.or(spec.receipt);
    spec.terminal = arguments.tty;
    if arguments.tty {
        for (name, value) in terminal_environment() {
            if !spec.env.iter().any(|(there, _)| there == name) {
                spec.env.push((name.into(), value));
            }
        }
    }
    if arguments.stdin && !arguments.dry_run {
        spec.stdin = Some(standard_input()?);
    }
    Ok(spec)
}

/// The status of a task that was cancelled, when there is no time for its end.
pub(crate) const CANCELLED: i32 = 130;

/// A pipe that becomes readable when somebody wants the task to end, by its other end.
fn cancel_pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK)
        .map_err(|error| Failure::system("making a pipe", error.into()))
}

/// Such a pipe that signals write to.
pub(crate) fn cancelled_by_signals() -> Result<OwnedFd, Failure> {
    let wrap = |source: io::Error| Failure::system("watching for signals", source);
    let (read, write) = cancel_pipe()?;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        // `nohup` and a shell's background: what is ignored is not for us.
        if signal::is_ignored(signal).unwrap_or(false) {
            continue;
        }
        let signal = signal.cast_signed();
        // Whoever asks twice does not want to wait: the kernel ends the sandbox, the next start cleans up.
        signal_hook::flag::register_conditional_shutdown(signal, CANCELLED, Arc::clone(&asked)).map_err(wrap)?;
        signal_hook::flag::register(signal, Arc::clone(&asked)).map_err(wrap)?;
        let write = write.try_clone().map_err(wrap)?;
        signal_hook::low_level::pipe::register(signal, write).map_err(wrap)?;
    }
    // How `hotcell cancel` asks: as often as it likes.
    signal_hook::low_level::pipe::register(SIGUSR1.cast_signed(), write).map_err(wrap)?;
    signal::unblock(&[SIGUSR1]).map_err(|error| wrap(io::Error::from_raw_os_error(error.0)))?;
    Ok(read)
}

/// What programs on a terminal want to know: its kind; and a prompt that says where one is.
fn terminal_environment() -> [(&'static str, OsString); 2] {
    let kind = std::env::var_os("TERM").unwrap_or_else(|| "dumb".into());
    [("TERM", kind), ("PS1", "hotcell:${PWD}$ ".into())]
}

/// A pipe of ours that carries our standard input: the workload never holds a descriptor that was inherited.
fn standard_input() -> Result<OwnedFd, Failure> {
    let made = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
    let (read, write) = made.map_err(|error| Failure::system("making a pipe", error.into()))?;
    let carry = move || {
        // A workload that stops reading ends this with EPIPE, which is as it should be.
        let _ = io::copy(&mut io::stdin().lock(), &mut File::from(write));
    };
    let started = std::thread::Builder::new().spawn(carry);
    started.map_err(|source| Failure::system("starting a thread for standard input", source))?;
    Ok(read)
}
