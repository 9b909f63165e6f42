//! The attacker as tasks: where it runs, with what it is given, under which limits.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotcell_policy::{Engine, Origin, OutputRule, Overlay, Profile};
use hotcell_selftest::{Attack, Judge, REPORT, Seen, Surroundings, attacks, inside, neighbour, read_report};
use hotcell_task::{Context, Silent, TaskInput, TaskReport, TaskSpec, Work, run_task};
use hotcell_types::{Outcome, Wall};
use serde_json::json;

use super::{Arguments, judge};
use crate::app::App;
use crate::failure::Failure;

/// No attack takes longer.
const TIME: &str = "wall=120s";

/// How long the neighbour may take to be there.
const PATIENCE: Duration = Duration::from_secs(100);

/// What every task of a selftest has in common.
pub(super) struct Attacker<'a> {
    folder: &'a Path,
    profile: &'a str,
    best_effort: &'a [Wall],
    only_declared: bool,
    app: &'a App,
    /// Becomes readable when somebody wants it to end: what was put up is taken down in order.
    cancel: OwnedFd,
    runs: usize,
}

/// A finished task, and where its outputs are.
pub(super) struct Ran {
    pub(super) report: TaskReport,
    pub(super) output: PathBuf,
}

impl<'a> Attacker<'a> {
    /// Puts program and facts where the sandboxes are given them.
    pub(super) fn new(
        folder: &'a Path,
        arguments: &'a Arguments,
        profile: &Profile,
        app: &'a App,
        surroundings: &mut Surroundings,
    ) -> Result<Self, Failure> {
        let code = folder.join("code");
        fs::create_dir(&code).map_err(|source| Failure::file("make", &code, source))?;
        let program = code.join(inside::NAME);
        let own = std::env::current_exe().map_err(|source| Failure::system("finding this program", source))?;
        fs::copy(&own, &program).map_err(|source| Failure::file("write", &program, source))?;
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&program, all).map_err(|source| Failure::file("write", &program, source))?;
        let only_declared = profile.outputs() == OutputRule::Declared;
        let facts = surroundings.facts();
        facts.set("neighbour", "yes");
        let path = folder.join("facts");
        fs::write(&path, facts.to_text()).map_err(|source| Failure::file("write", &path, source))?;
        let cancel = crate::run::cancelled_by_signals()?;
        let Arguments { profile, best_effort } = arguments;
        Ok(Self { folder, profile, best_effort, only_declared, app, cancel, runs: 0 })
    }

    /// Whether nobody wants to see how far it is.
    pub(super) fn is_quiet(&self) -> bool {
        self.app.json
    }

    /// Makes these attacks in one sandbox, while another one runs.
    pub(super) fn beside_a_neighbour(&mut self, attacks: &[&'static Attack]) -> Result<Vec<(String, Seen)>, Failure> {
        let wrap = |source| Failure::system("speaking to the second sandbox", source);
        let (mut ours, theirs) = UnixStream::pair().map_err(wrap)?;
        ours.set_read_timeout(Some(PATIENCE)).map_err(wrap)?;
        let mut spec = self.spec(&["neighbour"], &[], true)?;
        spec.stdin = Some(OwnedFd::from(theirs));
        let app = self.app;
        let cancel = self.cancel.try_clone().map_err(wrap)?;
        std::thread::scope(|scope| {
            let started = std::thread::Builder::new().spawn_scoped(scope, move || run_in(app, spec, cancel.as_fd()));
            let neighbour = started.map_err(|source| Failure::system("starting the second sandbox", source))?;
            let mut ready = [0; neighbour::READY.len()];
            let is_ready = ours.read_exact(&mut ready).is_ok() && ready == neighbour::READY;
            let seen = if is_ready { self.together(attacks, &[]) } else { Ok(Vec::new()) };
            // The word to go.
            let _ = ours.flush();
            drop(ours);
            let ended = neighbour.join().map_err(|_| Failure::system("the second sandbox", broken()))??;
            match is_ready {
                true => seen,
                false => Err(Failure::system(
                    format!("starting the second sandbox (it exited with {})", ended.status),
                    broken(),
                )),
            }
        })
    }

    /// Makes these attacks in one sandbox, one after the other.
    pub(super) fn together(
        &mut self,
        attacks: &[&'static Attack],
        limits: &[&str],
    ) -> Result<Vec<(String, Seen)>, Failure> {
        let mut words = vec!["attack"];
        words.extend(attacks.iter().map(|attack| attack.name));
        let ran = self.run(&words, limits, true)?;
        Ok(ran.seen())
    }

    /// Makes one attack in a sandbox of its own, and judges it from outside.
    pub(super) fn alone(
        &mut self,
        attack: &Attack,
        limits: &[&str],
        by: Judge,
        surroundings: &Surroundings,
    ) -> Result<Seen, Failure> {
        // Where everything may leave that is fit to, nothing is declared, so that it is judged as it is.
        let declared = self.only_declared || by != Judge::Output;
        let ran = self.run(&["alone", attack.name], limits, declared)?;
        let seen = ran.seen().first().map_or(Seen::NoAnswer, |(_, seen)| *seen);
        Ok(judge::judge(by, seen, &ran, &self.app.state, surroundings.token()))
    }

    fn run(&mut self, words: &[&str], limits: &[&str], declared: bool) -> Result<Ran, Failure> {
        let spec = self.spec(words, limits, declared)?;
        let output = spec.output.clone().unwrap_or_default();
        let report = run_in(self.app, spec, self.cancel.as_fd())?;
        match report.outcome {
            Outcome::Cancelled => Err(Failure::system("the selftest", std::io::ErrorKind::Interrupted.into())),
            _ => Ok(Ran { report, output }),
        }
    }

    fn spec(&mut self, words: &[&str], limits: &[&str], declared: bool) -> Result<TaskSpec, Failure> {
        self.runs += 1;
        let mut overlays = Vec::new();
        let timed = limits.iter().any(|limit| limit.starts_with("wall="));
        for limit in limits.iter().copied().chain((!timed).then_some(TIME)) {
            let mut overlay = Overlay::default();
            overlay.set_limit(limit)?;
            overlays.push((overlay, Origin::Flag(format!("--limit {limit}"))));
        }
        let outputs = declared.then(|| serde_json::from_value(report_schema())).transpose();
        let outputs = outputs.map_err(|error| Failure::system("the selftest's own declaration", error.into()))?;
        let mut command = vec![format!("/code/{}", inside::NAME).into()];
        command.extend(words.iter().map(Into::into));
        Ok(TaskSpec {
            profile: Some(self.profile.to_owned()),
            overlays,
            inputs: vec![TaskInput { name: "facts".to_owned(), path: self.folder.join("facts") }],
            code: Some(self.folder.join("code")),
            output: Some(self.folder.join(format!("out-{}", self.runs))),
            outputs,
            purpose: "selftest".to_owned(),
            best_effort: self.best_effort.iter().copied().collect(),
            ..TaskSpec::new(Work::Command(command))
        })
    }
}

impl Ran {
    /// What the attacker's report says, an output that was inspected like any other.
    fn seen(&self) -> Vec<(String, Seen)> {
        read_report(&fs::read_to_string(self.output.join(REPORT)).unwrap_or_default())
    }
}

fn broken() -> std::io::Error {
    std::io::ErrorKind::BrokenPipe.into()
}

fn run_in(app: &App, spec: TaskSpec, cancel: BorrowedFd<'_>) -> Result<TaskReport, Failure> {
    let mut context = Context {
        state: &app.state,
        version: crate::VERSION,
        clock: &app.clock,
        principal: crate::run::principal(),
        engine: &Engine::default(),
        cancel: Some(cancel),
        onwards: [None, None],
        observer: &mut Silent,
        shell: None,
    };
    Ok(run_task(spec, &mut context)?)
}

/// The report is declared: names of attacks, words and numbers, and nothing else.
fn report_schema() -> serde_json::Value {
    let names: Vec<_> = attacks().map(|attack| attack.name).collect();
    json!([{ "file": REPORT, "format": "csv", "max_rows": names.len(), "column": [
        { "name": "attack", "type": "category", "values": names },
        { "name": "seen", "type": "category", "values": Seen::WORDS },
        { "name": "number", "type": "integer", "min": 0, "max": 4095 },
    ]}])
}
