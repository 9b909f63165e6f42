//! A learned run: the command once, contained, with room; what it used becomes a proposal.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use hotcell_policy::calls::{GRANTABLE, NEVER};
use hotcell_policy::{Origin, Overlay};
use hotcell_task::{Context, RefusedCall, TaskInput, TaskReport, TaskSpec, Work, run_task};
use hotcell_types::{ByteSize, Outcome};

use super::draft::{Draft, Runs};
use crate::app::App;
use crate::failure::Failure;
use crate::print;
use crate::temporary::Temporary;
use crate::watch::Watch;

/// Limits of a learned run: wide, for the program is to show what it needs, but limits.
const WIDE: &[&str] =
    &["memory=8GiB", "pids=4096", "wall=1h", "scratch=2GiB", "output=2GiB", "output_files=10000", "output_bytes=2GiB"];
/// What a task has by default, in `strict`: a file can only go below.
const DEFAULT_MEMORY: u64 = 512 << 20;
const DEFAULT_WALL_MS: u64 = 15 * 60 * 1000;
const DEFAULT_FILES: usize = 100;
/// Most refused calls that are told one by one.
const MOST_CALLS: usize = 20;

/// Runs the command and adds what it needs to the draft.
pub(super) fn learn(draft: &mut Draft, app: &App) -> Result<(), Failure> {
    let Runs::Command(command) = &draft.runs else { return Ok(()) };
    let outputs = Temporary::new("learning", &app.state)?;
    let done = observe(command, &draft.inputs, &outputs.path().join("output"), app)?;
    if done.outcome != Outcome::Released {
        let why = done.problem.map(|problem| format!(": {}", problem.what)).unwrap_or_default();
        return Err(Failure::not_found(
            format!("nothing was learned, for the run ended with status {}{why}", done.status),
            "mend the command, or look at what it said; without --learn, a file is written from the folder alone",
        ));
    }
    propose(draft, &done);
    tell(&done)?;
    Ok(())
}

fn observe(command: &[String], inputs: &[(String, String)], outputs: &Path, app: &App) -> Result<TaskReport, Failure> {
    let mut spec = TaskSpec::new(Work::Command(command.iter().map(Into::into).collect()));
    spec.purpose = "learning what the command needs".to_owned();
    spec.code = Some(".".into());
    spec.output = Some(outputs.to_owned());
    spec.told = true;
    spec.inputs = inputs.iter().map(|(name, path)| TaskInput { name: name.clone(), path: path.into() }).collect();
    for limit in WIDE {
        let mut overlay = Overlay::default();
        overlay.set_limit(limit)?;
        spec.overlays.push((overlay, Origin::Flag(format!("--limit {limit}"))));
    }
    let cancel = crate::run::cancelled_by_signals()?;
    let mut watch = Watch::new(app.json, None);
    let policy = hotcell_task::policy_in_force(&app.state)?;
    let mut context = Context {
        state: &app.state,
        version: crate::VERSION,
        clock: &app.clock,
        principal: crate::run::principal(),
        engine: &policy.engine,
        cancel: Some(cancel.as_fd()),
        onwards: [None, None],
        observer: &mut watch,
        shell: None,
    };
    let result = run_task(spec, &mut context);
    watch.finish(|| ());
    Ok(result?)
}

/// Limits with room above what was used, where that is less than a task has anyway.
fn propose(draft: &mut Draft, done: &TaskReport) {
    draft.origin = "from a learned run";
    let used =
        |name: &str| done.body.limits.iter().find(|limit| limit.name == name).and_then(|limit| limit.used.clone());
    match used("memory").as_deref().and_then(ByteSize::from_shown) {
        Some(ByteSize(peak)) => {
            let proposal = (peak * 2).max(64 << 20).next_power_of_two();
            let why = format!("it used {}", ByteSize(peak));
            match proposal < DEFAULT_MEMORY {
                true => draft.limits.push(("memory", format!("\"{}MiB\"", proposal >> 20), why)),
                false if proposal > DEFAULT_MEMORY => draft.remarks.push(format!(
                    "{why} of memory, and a task file cannot ask for more than the profile's 512 MiB: run it with \
                     --limit memory={}MiB, or with a profile file of yours",
                    proposal >> 20
                )),
                false => {}
            }
        }
        None => draft.remarks.push("how much memory it used could not be seen on this host".to_owned()),
    }
    if let Some(elapsed) = done.timings.iter().find(|(step, _)| step.label() == "run").map(|(_, time)| time.as_millis())
    {
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let proposal = elapsed.saturating_mul(10).max(60_000).div_ceil(60_000);
        let why = format!("it took {:.1} s", elapsed as f64 / 1e3);
        match proposal * 60_000 < DEFAULT_WALL_MS {
            true => draft.limits.push(("wall", format!("\"{proposal}m\""), why)),
            false => {
                draft.remarks.push(format!("{why}: run it with --limit wall={proposal}m where that is too little"))
            }
        }
    }
    let files = done.body.outputs.len();
    if files < DEFAULT_FILES {
        draft.limits.push(("output_files", files.to_string(), format!("it left {files}")));
    }
    if files > 0 {
        let names: Vec<_> = done.body.outputs.iter().take(10).map(|output| output.path.as_str()).collect();
        draft.remarks.push(format!("it left {}; declare them, so that nothing else can leave", names.join(", ")));
    }
    draft.remarks.extend(done.refused_calls.iter().take(MOST_CALLS).map(on_refused_call));
    if let Some(more @ 1..) = done.refused_calls.len().checked_sub(MOST_CALLS) {
        draft.remarks.push(format!("{more} more calls were refused"));
    }
}

/// What the reader of a task file has to know of a call that was refused.
fn on_refused_call(call: &RefusedCall) -> String {
    let RefusedCall { name, times } = call;
    if let Some(rule) = GRANTABLE.iter().find(|rule| rule.name == name) {
        return format!(
            "`strict` refused it the call {name} ({times} times; {}). Where it does not do without, use a profile file of \
             yours with [system_calls] allow = [\"{name}\"]",
            rule.why
        );
    }
    match NEVER.iter().find(|(never, _)| never == name) {
        Some((_, why)) => format!("it was refused the call {name} ({times} times), which nothing permits: {why}"),
        None => format!(
            "it was refused the call {name} ({times} times) with what it asked for: only harmless arguments of it pass"
        ),
    }
}

fn tell(done: &TaskReport) -> io::Result<()> {
    let mut told = print::err();
    for limit in done.body.limits.iter().filter(|limit| limit.used.is_some()) {
        let used = limit.used.as_deref().unwrap_or_default();
        writeln!(told, "seen: {} {}", print::theirs(&limit.name), print::plain_line(used))?;
    }
    for output in &done.body.outputs {
        writeln!(told, "seen: left {} ({})", print::theirs(&output.path), ByteSize(output.bytes))?;
    }
    for RefusedCall { name, times } in done.refused_calls.iter().take(MOST_CALLS) {
        writeln!(told, "seen: refused {} {times} times", print::plain_line(name))?;
    }
    writeln!(told, "seen: no network, for there was none; what it read of this folder is not recorded")
}
