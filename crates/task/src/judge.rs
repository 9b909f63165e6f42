//! What is made of an ended workload: its outcome, what of its outputs leaves, what is withheld.

use std::path::Path;

use hotcell_audit::Durability;
use hotcell_inspect::scan::Scanner;
use hotcell_inspect::{InputKeys, SensitiveValues, StreamVerdict};
use hotcell_isolate::{Cause, Ended, Exit as WorkloadExit};
use hotcell_policy::{
    Access, DetectorRule, Form, GrantUse, ItemKind, LimitKey, Limits, Object, OutputRule, ReleaseItem, StreamRule,
};
use hotcell_types::{Bits, Event, EventKind, Exit, Explain, Outcome, OutputRecord, Refusal};

use crate::TaskError;
use crate::inputs::sensitive_values;
use crate::journey::{Journey, Problem};
use crate::observe::Step;
use crate::prints::Prints;
use crate::release::{self, Inspection};
use crate::spec::Work;
use crate::streams::Captured;
use crate::views::Seeing;

/// What the workload left behind.
pub(crate) struct Left {
    pub(crate) ended: Ended,
    pub(crate) streams: [Captured; 2],
}

/// What inspection and release made of it.
pub(crate) struct Judged {
    pub(crate) outcome: Outcome,
    pub(crate) status: u8,
    /// The workload's own status, where it exited by itself.
    pub(crate) exited: Option<u8>,
    pub(crate) outputs: Vec<OutputRecord>,
    pub(crate) notes: Vec<(String, Vec<String>)>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) problem: Option<Problem>,
    pub(crate) verdicts: Vec<StreamVerdict>,
    pub(crate) events: Vec<Event>,
    /// What left so far.
    used: Bits,
}

/// The status of a task that the user cancelled, as of a program that SIGINT ended.
const CANCELLED_STATUS: u8 = 130;

impl Journey<'_, '_> {
    /// Inspects what the workload left, and releases it where it may leave.
    pub(crate) fn judge(&mut self, grant: &GrantUse, left: &Left, keys: &InputKeys) -> Result<Judged, TaskError> {
        self.step(Step::Inspect);
        let (outcome, status, problem) = self.outcome(grant, left);
        let ended =
            self.event(EventKind::WorkloadEnded).with("cause", cause_text(left.ended.cause)).with("status", status);
        let mut judged = Judged {
            outcome,
            status,
            exited: matches!(outcome, Outcome::Released | Outcome::WorkloadFailed).then_some(status),
            outputs: Vec::new(),
            notes: Vec::new(),
            refusals: Vec::new(),
            problem,
            verdicts: Vec::new(),
            events: vec![ended],
            used: Bits(0.0),
        };
        if let Some(problem) = judged.problem.as_ref().filter(|_| outcome == Outcome::LimitReached) {
            judged.refusals.push(Refusal { code: problem.code.clone(), what: problem.what.clone() });
        }
        let undeclared = self.submitted.outputs.is_none() && grant.profile().outputs() == OutputRule::Any;
        let may_release = outcome == Outcome::Released || outcome == Outcome::WorkloadFailed && undeclared;
        let output = self.submitted.spec.output.clone().filter(|_| may_release);
        // Making the detectors takes time that a task without anything to look at does not pay.
        let captured =
            grant.streams() != StreamRule::Live && left.streams.iter().any(|stream| !stream.kept().is_empty());
        let scanner = match output.is_some() || captured {
            true => self.scanner(grant)?,
            false => None,
        };
        if let Some(output) = output {
            // What ended is told now: inspection may take longer than the log's entries may be late.
            self.log.append(&std::mem::take(&mut judged.events), Durability::Lazy).map_err(TaskError::part)?;
            self.release_files(grant, left, keys, scanner.as_ref(), &output, &mut judged)?;
        }
        self.judge_streams(grant, left, scanner.as_ref(), &mut judged)?;
        Ok(judged)
    }

    /// What looks at what would leave, as the profile has it.
    fn scanner(&mut self, grant: &GrantUse) -> Result<Option<Scanner>, TaskError> {
        let prints = self.prints.take().map(Prints::finish).transpose()?.unwrap_or_default();
        let scanner = match grant.profile().detectors() {
            DetectorRule::Refuse => Scanner::builtin().map_err(TaskError::part)?,
            DetectorRule::Off if prints.is_empty() => return Ok(None),
            DetectorRule::Off => Scanner::without_detectors(),
        };
        Ok(Some(prints.into_iter().fold(scanner, Scanner::with_fingerprints)))
    }

    fn release_files(
        &mut self,
        grant: &GrantUse,
        left: &Left,
        keys: &InputKeys,
        scanner: Option<&Scanner>,
        output: &Path,
        judged: &mut Judged,
    ) -> Result<(), TaskError> {
        // The policy in force now says what the view is.
        self.engine()?;
        let schema = self.submitted.outputs.as_ref();
        let spec = &self.submitted.spec;
        let engine = self.engine.as_ref().unwrap_or(self.context.engine);
        let demanded = &grant.obligations().views;
        let seeing = Seeing::new(engine, demanded, spec.role.as_deref(), spec.view_key.as_ref())?;
        let inspected = match release::inspect(left.ended.outputs(), grant, schema, keys, scanner, &seeing)? {
            Inspection::Fit(inspected) => inspected,
            Inspection::Refused { refusals, code, remedy } => {
                let what = refusals.first().map(|refusal| refusal.what.clone()).unwrap_or_default();
                let problem = Problem { code: code.to_owned(), what: format!("an output was refused: {what}"), remedy };
                self.refuse(judged, refusals, problem, Exit::Refused);
                return Ok(());
            }
        };
        judged.notes = inspected.iter().map(|file| (file.path.clone(), file.notes.clone())).collect();
        for file in &inspected {
            let event = self.event_of(EventKind::OutputInspected, "output", &file.path);
            judged.events.push(event.with("capacity_bits", file.capacity.0.ceil()));
        }
        let total: Bits = inspected.iter().map(|file| file.capacity).sum();
        let permitted = match release::permit(self.engine()?, grant, inspected) {
            Ok(permitted) => permitted,
            Err(denial) => {
                let refusal = Refusal { code: denial.code().to_owned(), what: denial.to_string() };
                let exit = denial.exit();
                self.refuse(judged, vec![refusal], problem_of(&denial), exit);
                return Ok(());
            }
        };
        let asked = permitted.iter().map(|(release, _)| release.obligations().audit).max();
        self.level = self.level.max(asked.unwrap_or_default());
        let cap = permitted.iter().filter_map(|(release, _)| release.obligations().capacity_bits).min();
        if let Some(cap) = cap.filter(|cap| exceeds(total, *cap)) {
            let problem = over_capacity(total, cap);
            let refusal = Refusal { code: problem.code.clone(), what: problem.what.clone() };
            self.refuse(judged, vec![refusal], problem, Exit::Refused);
            return Ok(());
        }
        judged.used = total;
        self.step(Step::Release);
        if permitted.is_empty() {
            return Ok(());
        }
        self.log.append(&std::mem::take(&mut judged.events), Durability::Lazy).map_err(TaskError::part)?;
        let staged = release::stage(output, self.submitted.task, &self.submitted.spec.recipients, permitted)?;
        for record in &staged.records {
            let event = self.event_of(EventKind::OutputReleased, "output", &record.path);
            judged.events.push(event.with("digest", record.digest.to_string()));
        }
        // In the log before it is done.
        self.log.append(&std::mem::take(&mut judged.events), Durability::Lazy).map_err(TaskError::part)?;
        judged.outputs = staged.release()?;
        Ok(())
    }

    fn refuse(&self, judged: &mut Judged, refusals: Vec<Refusal>, problem: Problem, exit: Exit) {
        for refusal in &refusals {
            judged.events.push(self.event(EventKind::OutputRefused).with("code", refusal.code.as_str()));
        }
        judged.outcome = Outcome::Refused;
        judged.status = exit.status();
        judged.refusals.extend(refusals);
        judged.problem = Some(problem);
    }

    fn judge_streams(
        &mut self,
        grant: &GrantUse,
        left: &Left,
        scanner: Option<&Scanner>,
        judged: &mut Judged,
    ) -> Result<(), TaskError> {
        let live = grant.streams() == StreamRule::Live;
        let mut sensitive = None;
        for stream in &left.streams {
            let verdict = if live {
                stream.passed()
            } else if stream.kept().is_empty() {
                stream.judge(false, &SensitiveValues::new(), None)
            } else {
                let may = self.may_release_stream(grant, stream, &mut judged.used)?;
                let sensitive = sensitive.get_or_insert_with(|| sensitive_values(&self.submitted.inputs));
                stream.judge(may, sensitive, scanner)
            };
            judged.refusals.extend(verdict.findings.iter().map(|finding| finding.refusal()));
            if self.records(EventKind::StreamJudged) {
                let event = self.event(EventKind::StreamJudged).with("stream", verdict.record.name.as_str());
                let event = event.with("bytes", verdict.record.bytes).with("findings", verdict.findings.len());
                judged.events.push(event.with("disposition", verdict.record.disposition.as_str()));
            }
            judged.verdicts.push(verdict);
        }
        Ok(())
    }

    /// A stream has no recipient: with recipients it stays. It counts with what left before it.
    fn may_release_stream(&mut self, grant: &GrantUse, stream: &Captured, used: &mut Bits) -> Result<bool, TaskError> {
        let capacity = Bits(8.0 * stream.kept().len() as f64);
        let item = ReleaseItem { name: stream.name.to_owned(), kind: ItemKind::Stream, form: Form::Opaque, capacity };
        if !self.submitted.spec.recipients.is_empty() {
            return Ok(false);
        }
        let Ok(release) = self.engine()?.decide_release(grant, item) else { return Ok(false) };
        let total = *used + capacity;
        if release.obligations().capacity_bits.is_some_and(|cap| exceeds(total, cap)) {
            return Ok(false);
        }
        *used = total;
        Ok(true)
    }

    /// How it ended, as far as the workload itself goes.
    fn outcome(&self, grant: &GrantUse, left: &Left) -> (Outcome, u8, Option<Problem>) {
        let problem = |code: &str, what: String, remedy: String| Some(Problem { code: code.to_owned(), what, remedy });
        let ended = &left.ended;
        let limits = grant.profile().limits();
        if let Some(report) = ended.scratch_report().filter(|report| report.tampered > 0) {
            return (
                Outcome::IntegrityFailure,
                Exit::Integrity.status(),
                problem(
                    "TSK-015",
                    format!("{} blocks of the encrypted scratch were changed on the disk", report.tampered),
                    "see who else writes to the disk of the state folder; run it again".to_owned(),
                ),
            );
        }
        match ended.cause {
            Cause::Itself if ended.exit == WorkloadExit::Code(0) => (Outcome::Released, 0, None),
            Cause::Itself => {
                // Under inspection the status is an output too: one bit of it leaves.
                let live = grant.streams() == StreamRule::Live;
                let status = if live { ended.exit.status() } else { Exit::No.status() };
                (
                    Outcome::WorkloadFailed,
                    status,
                    self.runner_problem(left).or_else(|| no_code_problem(grant, ended.exit)),
                )
            }
            Cause::WallLimit => (
                Outcome::LimitReached,
                Exit::Limit.status(),
                problem(
                    "TSK-010",
                    format!("the time limit of {:?} was reached", limits.wall()),
                    more(limits, LimitKey::Wall),
                ),
            ),
            Cause::MemoryLimit => (
                Outcome::LimitReached,
                Exit::Limit.status(),
                problem(
                    "TSK-011",
                    format!("the memory limit of {} was reached", limits.memory()),
                    more(limits, LimitKey::Memory),
                ),
            ),
            Cause::Cancelled => (
                Outcome::Cancelled,
                CANCELLED_STATUS,
                problem("TSK-012", "the task was cancelled".to_owned(), "run it again".to_owned()),
            ),
            Cause::Withdrawn => (
                Outcome::Withdrawn,
                Exit::Refused.status(),
                problem(
                    "POL-128",
                    "the policy changed, and allows the task no longer".to_owned(),
                    "run it again in a shape that the policy allows, or ask whoever writes it".to_owned(),
                ),
            ),
            Cause::ScratchLost => (
                Outcome::Failed,
                Exit::Failed.status(),
                problem(
                    "TSK-014",
                    "the server of the encrypted scratch ended early, and the scratch with it".to_owned(),
                    "run it again; see whether the host is short of memory".to_owned(),
                ),
            ),
            Cause::NotExecuted(errno) => {
                let exit = if errno == 2 { Exit::NotFound } else { Exit::NotExecutable };
                let program = self.workload.command.first().cloned().unwrap_or_default();
                let why = std::io::Error::from_raw_os_error(errno);
                (
                    Outcome::NotExecuted,
                    exit.status(),
                    problem(
                        "TSK-013",
                        format!("`{}` cannot be executed: {why}", program.escape_debug()),
                        "name a program that is seen inside: of the host's /usr, or below --code DIR".to_owned(),
                    ),
                )
            }
        }
    }

    /// Why the built-in runner stopped: only the code of its error leaves where its words are withheld.
    fn runner_problem(&self, left: &Left) -> Option<Problem> {
        let [_, stderr] = &left.streams;
        let said = String::from_utf8_lossy(stderr.kept());
        if !matches!(self.submitted.work, Work::Runner(_)) {
            return None;
        }
        let place = said.find("MDL-")?;
        let code = said.get(place..place + 7).filter(|code| code[4..].bytes().all(|byte| byte.is_ascii_digit()))?;
        Some(Problem {
            code: code.to_owned(),
            what: format!("the runner stopped with {code}"),
            remedy: format!("read what it means: hotcell explain {code}"),
        })
    }
}

/// Programs that make code while they run are ended by themselves, and seldom say why.
fn no_code_problem(grant: &GrantUse, exit: WorkloadExit) -> Option<Problem> {
    const SIGILL: u8 = 4;
    const SIGTRAP: u8 = 5;
    const SIGABRT: u8 = 6;
    const SIGSEGV: u8 = 11;
    let crashed = matches!(exit, WorkloadExit::Signal(SIGILL | SIGTRAP | SIGABRT | SIGSEGV));
    let forbidden = !grant.rights().over(&Object::Memory).has(Access::Execute);
    (crashed && forbidden).then(|| Problem {
        code: "TSK-040".to_owned(),
        what:
            "the workload crashed where memory that was written to never becomes code: a compiler that works while its \
               program runs (node, the JVM) cannot work so"
                .to_owned(),
        remedy:
            "let it interpret (`node --jitless`, `java -Xint`), or choose a profile without `memory.write_xor_execute`"
                .to_owned(),
    })
}

/// How to get more of what was not enough.
fn more(limits: &Limits, key: LimitKey) -> String {
    let limit = limits.of(key);
    let ample = limit.value().saturating_mul(4).min(limit.max());
    match ample > limit.value() {
        true => format!("give it more: --limit {key}={}", key.show(ample)),
        false => format!("the profile allows no more than {}: let it need less", key.show(limit.max())),
    }
}

/// Whether more left than the cap lets; what is not a number is too much.
fn exceeds(capacity: Bits, cap: u64) -> bool {
    capacity.0.is_nan() || capacity.0.ceil() > cap as f64
}

fn over_capacity(total: Bits, cap: u64) -> Problem {
    Problem {
        code: "POL-125".to_owned(),
        what: format!("the outputs can carry {} bits, and the policy lets {cap} leave", total.0.ceil()),
        remedy: "declare fewer rows, a coarser precision or narrower ranges; or ask whoever writes the policy"
            .to_owned(),
    }
}

fn problem_of(error: &impl Explain) -> Problem {
    Problem { code: error.code().to_owned(), what: error.to_string(), remedy: error.remedy() }
}

fn cause_text(cause: Cause) -> String {
    match cause {
        Cause::Itself => "by itself".to_owned(),
        Cause::WallLimit => "time limit".to_owned(),
        Cause::MemoryLimit => "memory limit".to_owned(),
        Cause::ScratchLost => "scratch lost".to_owned(),
        Cause::Cancelled => "cancelled".to_owned(),
        Cause::Withdrawn => "withdrawn by policy".to_owned(),
        Cause::NotExecuted(errno) => format!("not executed, errno {errno}"),
    }
}
