//! What every test of a sandbox needs.

use std::ffi::OsString;

use hotcell_isolate::{Cause, Exit, Io, IsolateError, Program, RefusedCall, Sandbox, Shell, Spec};
use hotcell_policy::{Decision, Engine, GrantUse, Principal, Profile, Request, Runner, Shown};
use hotcell_types::{Digest, GrantId, Observation, TaskId, Timestamp, Wall};

/// What a model that is opened inside holds.
pub(crate) const OPENED: &[u8] = b"1234";

/// What came of a run.
pub(crate) struct Ran {
    pub(crate) exit: Exit,
    pub(crate) cause: Cause,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) observations: Vec<Observation>,
    pub(crate) refused_calls: Vec<RefusedCall>,
}

/// A grant for the strict profile, with these walls given up.
pub(crate) fn grant(spec: &Spec, profile: Profile, best_effort: &[Wall]) -> GrantUse {
    let request = Request {
        grant: GrantId::from_bytes([1; 10]),
        task: spec.task,
        now: Timestamp(1),
        principal: Principal { id: "local:test".into(), local: true, roles: Vec::new() },
        owner: "local:test".into(),
        purpose: "test".into(),
        profile,
        isolation: "process".into(),
        runner: if matches!(spec.program, Program::Runner { .. }) { Runner::Builtin } else { Runner::Command },
        shown: Shown {
            inputs: spec.inputs.iter().map(|input| input.name.clone()).collect(),
            code: spec.code.is_some(),
            model: spec.model.is_some(),
            terminal: spec.terminal,
        },
        best_effort: best_effort.iter().copied().collect(),
        image: spec.image.as_ref().map(|_| Digest([7; 32])),
        model: None,
        datasets: Vec::new(),
        inputs_owned: true,
        recipients: Vec::new(),
        role: None,
    };
    match Engine::default().decide(request) {
        Decision::Allow(grant) => grant.begin(Timestamp(2)).unwrap(),
        Decision::Deny(denial) => panic!("{denial}"),
    }
}

/// A task of this shape, in a fresh state folder.
pub(crate) fn spec(command: &[&str], state: &std::path::Path) -> Spec {
    let seed: [u8; 8] =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos().to_le_bytes()[..8]
            .try_into()
            .unwrap();
    let mut id = [0u8; 10];
    id[..8].copy_from_slice(&seed);
    id[8..].copy_from_slice(&(std::process::id() as u16).to_le_bytes());
    Spec {
        task: TaskId::from_bytes(id),
        program: Program::Command(command.iter().map(OsString::from).collect()),
        environment: Vec::new(),
        code: None,
        image: None,
        inputs: Vec::new(),
        model: None,
        network: None,
        stdin: None,
        terminal: false,
        told: false,
        state: state.to_owned(),
        seed,
        omitted: Default::default(),
    }
}

/// Runs it to its end.
pub(crate) fn run_with(spec: Spec, profile: Profile, best_effort: &[Wall]) -> Result<Ran, IsolateError> {
    run_in(None, spec, profile, best_effort)
}

/// The same in this shell, if it fits.
pub(crate) fn run_in(
    shell: Option<Shell>,
    spec: Spec,
    profile: Profile,
    best_effort: &[Wall],
) -> Result<Ran, IsolateError> {
    let grant = grant(&spec, profile, best_effort);
    run_granted_in(shell, spec, &grant)
}

/// The same under this grant.
pub(crate) fn run_granted(spec: Spec, grant: &GrantUse) -> Result<Ran, IsolateError> {
    run_granted_in(None, spec, grant)
}

fn run_granted_in(shell: Option<Shell>, spec: Spec, grant: &GrantUse) -> Result<Ran, IsolateError> {
    let mut building = Sandbox::build(grant, spec, shell)?;
    if let Some(mut sink) = building.model_sink() {
        std::io::Write::write_all(&mut sink, OPENED).unwrap();
    }
    let prepared = building.lock(grant)?;
    let observations = prepared.observations().to_vec();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let running = prepared.start()?;
    let ended = running.wait(&mut Io {
        stdout: &mut |bytes| stdout.extend_from_slice(bytes),
        stderr: &mut |bytes| stderr.extend_from_slice(bytes),
        onwards: [None, None],
        cancel: None,
    })?;
    let (exit, cause) = (ended.exit, ended.cause);
    let refused_calls = ended.refused_calls().to_vec();
    ended.destroy()?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { exit, cause, stdout: text(stdout), stderr: text(stderr), observations, refused_calls })
}

/// Runs a command in `strict`.
pub(crate) fn run(command: &[&str]) -> Ran {
    let state = tempfile::tempdir().unwrap();
    let result = run_with(spec(command, state.path()), Profile::builtin("strict").unwrap(), &[]);
    result.unwrap_or_else(|error| panic!("{error}"))
}
