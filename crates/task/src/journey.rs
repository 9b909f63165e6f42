//! The way of one task, step by step.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hotcell_audit::personal::EpochKey;
use hotcell_audit::{Durability, Log};
use hotcell_disclosure::Report;
use hotcell_egress::{Refusal, Service};
use hotcell_inspect::{InputKeys, StreamVerdict};
use hotcell_isolate::{
    Ask, Beside, Building, Io, Prepared, Program, RefusedCall, Running, Sandbox, Shell, Spec, Withdrawal,
};
use hotcell_policy::{Decision, Denial, DenialKind, Engine, FingerprintRule, Grant, GrantUse, StreamRule, Tag};
use hotcell_types::{
    AuditLevel, Bits, Clock, Digest, Event, EventKind, Explain, InputRecord, ModelRecord, Observation, Outcome,
    PolicyRecord, ReceiptBody, TaskId, Timestamp, WorkloadRecord,
};

use crate::TaskError;
use crate::denials;
use crate::fields::{self, View};
use crate::image::ReadyImage;
use crate::inputs::{digest_model, read_keys};
use crate::judge::Left;
use crate::keys::{epoch_key, open_log};
use crate::model::Model;
use crate::network::{self, Notes};
use crate::observe::{Observer, ProgressFilter, Step};
use crate::policy::PolicyWatch;
use crate::prints::Prints;
use crate::receipt::{self, Account};
use crate::release::{self};
use crate::running::{self, Marker, RunningTask};
use crate::spec::{TaskSpec, Work};
use crate::store::TaskFolder;
use crate::streams::Captured;
use crate::submit::{Submitted, submit};
use crate::views::Seeing;

/// What a task needs of its surroundings.
pub struct Context<'a> {
    /// Hotcell's own folder: keys, log, receipts.
    pub state: &'a Path,
    /// Version of Hotcell, for the receipt.
    pub version: &'a str,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Who asks, for example `local:1000`; vouched for by this machine's own accounts.
    pub principal: String,
    /// Decides.
    pub engine: &'a Engine,
    /// A shell that was started ahead; the task starts one by itself where there is none, or this one does not fit.
    pub shell: Option<Shell>,
    /// Becomes readable when the task is to be cancelled.
    pub cancel: Option<BorrowedFd<'a>>,
    /// Where the observer passes live standard output and error on to, if somewhere: the workload waits while that
    /// cannot be written to.
    pub onwards: [Option<BorrowedFd<'a>>; 2],
    /// Looks on.
    pub observer: &'a mut dyn Observer,
}

/// A task that came to its end, whichever it was: there is a receipt of it.
#[derive(Debug)]
pub struct TaskReport {
    /// The task.
    pub task: TaskId,
    /// How it ended.
    pub outcome: Outcome,
    /// The exit status that says so: the workload's own, or one of [`hotcell_types::Exit`].
    pub status: u8,
    /// The receipt, as a file.
    pub receipt: Vec<u8>,
    /// What it says.
    pub body: ReceiptBody,
    /// How long each step took.
    pub timings: Vec<(Step, Duration)>,
    /// Streams that were inspected and released.
    pub streams: Vec<ReleasedStream>,
    /// What rewriting changed in each output.
    pub notes: Vec<(String, Vec<String>)>,
    /// What the gateway refused, each kind once.
    pub egress_refused: Vec<Refusal>,
    /// Why not everything went well, where it did not.
    pub problem: Option<Problem>,
    /// Calls that the filter refused, where [`TaskSpec::told`](crate::TaskSpec::told) or the audit level asked for them; else none.
    pub refused_calls: Vec<RefusedCall>,
}

/// The text of a stream that may leave.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReleasedStream {
    /// `stdout` or `stderr`.
    pub name: String,
    /// The text, with control sequences made visible.
    pub text: String,
}

/// Why a task did not end well.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// A stable code.
    pub code: String,
    /// What happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Takes a task from its submission to its receipt.
///
/// # Errors
/// [`TaskError`] when it ended before its workload was started, or when Hotcell itself failed; then there is no
/// receipt, nothing was released, the sandbox is gone and the log says so. All other ends are a [`TaskReport`].
pub fn run_task(spec: TaskSpec, context: &mut Context<'_>) -> Result<TaskReport, TaskError> {
    let mut timer = Timer::start();
    let submitted = submit(spec, context)?;
    let task = submitted.task;
    let log = open_log(context.state, context.version, submitted.now)?;
    running::sweep(context.state, &log, submitted.now)?;
    let workload = submitted.workload();
    let what = workload.command.first().unwrap_or(&workload.kind).clone();
    let marker = Marker::take(
        context.state,
        RunningTask {
            task,
            process: std::process::id(),
            submitted: submitted.now,
            what,
            groups: Vec::new(),
            staging: None,
            interrupted: false,
        },
    )?;

    timer.step(context.observer, task, Step::Authorize);
    let key = epoch_key(context.state)?;
    let mut asked = submitted_event(&submitted, &workload, context);
    key.seal(&mut asked);
    let grant = match context.engine.decide(submitted.request(context)) {
        Decision::Allow(grant) => grant,
        Decision::Deny(denial) => {
            let mut denied = Event::of_task(context.clock.now(), task, EventKind::GrantDenied)
                .with("code", denial.code())
                .with("rules", rule_ids(&denial));
            if let DenialKind::Unevaluated(errors) = &denial.kind {
                denied = denied.with("errors", errors.clone());
                key.seal(&mut denied);
            }
            denials::record(context.state, &log, &[asked, denied], submitted.now)?;
            return Err(TaskError::part(denial));
        }
    };
    context.observer.granted(&grant);
    let mut granted = Event::of_task(context.clock.now(), task, EventKind::GrantIssued)
        .with("grant", grant.id().to_string())
        .with("rules", grant.rules().to_vec())
        .with("profile", grant.profile().name());
    let without: Vec<_> = grant.without().into_iter().map(|wall| wall.label()).collect();
    if !without.is_empty() {
        granted = granted.with("without", without);
    }
    if !grant.obligations().is_none() {
        granted = granted.with("obligations", serde_json::to_value(grant.obligations()).unwrap_or_default());
    }
    log.append(&[asked, granted], Durability::Lazy).map_err(TaskError::part)?;

    let level = grant.obligations().audit;
    let journey = Journey {
        context,
        log: &log,
        key,
        level,
        marker,
        timer,
        submitted,
        workload,
        watch: None,
        engine: None,
        views: Vec::new(),
        service: None,
        prints: None,
    };
    let clock = journey.context.clock;
    journey.go(grant).inspect_err(|error| {
        let failed = Event::of_task(clock.now(), task, EventKind::TaskFailed).with("code", error.code());
        // The error that is told to the user matters more than one of telling the log.
        let _ = log.append(&[failed], Durability::Durable);
    })
}

/// A task on its way.
pub(crate) struct Journey<'c, 'a> {
    pub(crate) context: &'c mut Context<'a>,
    pub(crate) log: &'c Log,
    /// Seals what events tell of persons and of what they work on.
    pub(crate) key: EpochKey,
    /// How much is recorded.
    pub(crate) level: AuditLevel,
    marker: Marker,
    timer: Timer,
    pub(crate) submitted: Submitted,
    pub(crate) workload: WorkloadRecord,
    /// Watches over the policy from the start of the workload on.
    watch: Option<PolicyWatch>,
    /// The engine that decides by the policy in force now, where that changed since the start.
    pub(crate) engine: Option<Engine>,
    /// Inputs of which the sandbox sees a part only.
    views: Vec<View>,
    /// The gateway, where the task may reach hosts.
    service: Option<Service>,
    /// Fingerprints in the making, where what leaves is held against them.
    pub(crate) prints: Option<Prints>,
}

/// A sandbox whose walls stand, with the record of its model and the digest of a sealed one.
struct Built {
    prepared: Prepared,
    record: Option<(ModelRecord, Option<Digest>)>,
    end: EndMatter,
}

/// What the end needs and nothing of the workload can change.
struct EndMatter {
    policy: PolicyRecord,
    folder: TaskFolder,
}

/// A sandbox ready to start, and what is known of it.
struct Ready {
    prepared: Prepared,
    inputs: Vec<InputRecord>,
    keys: InputKeys,
    model: Option<ModelRecord>,
    /// Held until the end, so that nobody removes it meanwhile.
    image: Option<ReadyImage>,
    end: EndMatter,
}

impl Journey<'_, '_> {
    fn go(mut self, grant: Grant) -> Result<TaskReport, TaskError> {
        let task = self.submitted.task;
        self.step(Step::Prepare);
        // Leases go by the time that has passed, whatever the clock on the wall shows meanwhile.
        let grant = grant.begin(self.timer.steady(self.submitted.now)).map_err(TaskError::part)?;
        self.watch_policy(&grant)?;
        if self.submitted.spec.terminal && grant.streams() != StreamRule::Live {
            return Err(TaskError::NoTerminal { reasons: reasons(&grant) });
        }
        if let Some(output) = &self.submitted.spec.output {
            release::make_output_folder(output)?;
        }
        let salt: [u8; 32] = hotcell_crypto::random();
        let Ready { prepared, inputs, keys, model, image, end } = self.prepare(&grant, &salt)?;
        let walls = prepared.observations().to_vec();
        self.context.observer.observed(&walls);

        self.step(Step::Run);
        let started = self.context.clock.now();
        if let Some(controller) = prepared.terminal() {
            self.context.observer.terminal(controller);
        }
        let running = prepared.start().map_err(TaskError::part)?;
        let EndMatter { policy, folder } = end;
        let left = self.run(&grant, running)?;
        let egress = self.service.take().map(|service| self.notes().finish(service)).transpose()?;
        let judged = self.judge(&grant, &left, &keys)?;

        self.step(Step::Destroy);
        let limits = left.ended.limits();
        let scratch = left.ended.scratch_kind();
        let refused_calls = left.ended.refused_calls().to_vec();
        let destroyed = left.ended.destroy().inspect_err(|_| self.marker.leave()).map_err(TaskError::part)?;

        self.step(Step::Receipt);
        let now = self.context.clock.now();
        let mut events = judged.events;
        if self.records(EventKind::CallRefused) {
            events.extend(refused_calls.iter().map(|refused| {
                self.event(EventKind::CallRefused).with("call", refused.name.as_str()).with("times", refused.times)
            }));
        }
        if self.records(EventKind::ResourceUsed) {
            events.extend(limits.iter().map(|limit| {
                let event = self.event(EventKind::ResourceUsed).with("limit", limit.name.as_str());
                let event = event.with("of", limit.limit.as_str()).with("reached", limit.reached);
                event.with("used", limit.used.clone()).with("enforcement", limit.enforcement.as_str())
            }));
        }
        let jumped = self.timer.jumped(self.submitted.now, now);
        if let Some(millis) = jumped {
            events.push(Event::of_task(now, task, EventKind::ClockJumped).with("milliseconds", millis));
        }
        events.push(
            Event::of_task(now, task, EventKind::SandboxDestroyed)
                .with("parts", destroyed.len())
                .with("outcome", serde_json::to_value(judged.outcome).unwrap_or_default()),
        );
        let account = Account {
            version: self.context.version.to_owned(),
            policy,
            outcome: judged.outcome,
            exit_status: judged.exited,
            submitted: self.submitted.now,
            started,
            walls,
            limits,
            workload: self.workload.clone(),
            image: image.as_ref().map(ReadyImage::record),
            model,
            inputs,
            outputs: judged.outputs,
            streams: judged.verdicts.iter().map(|verdict| verdict.record.clone()).collect(),
            stream_capacity: judged.verdicts.iter().map(|verdict| verdict.capacity).sum::<Bits>(),
            refusals: judged.refusals,
            destroyed,
            scratch,
            jumped,
            egress: egress.as_ref().map(|ledger| ledger.record().clone()),
        };
        let (body, bytes) = receipt::issue(self.log, &grant, account, now, &events)?;
        let streams = self.keep(&folder, &bytes, &salt, &left.streams, &judged.verdicts, grant.streams())?;
        self.timer.end();
        Ok(TaskReport {
            task,
            outcome: judged.outcome,
            status: judged.status,
            receipt: bytes,
            body,
            timings: self.timer.times,
            streams,
            notes: judged.notes,
            egress_refused: egress.map(|ledger| ledger.refusals().to_vec()).unwrap_or_default(),
            problem: judged.problem,
            refused_calls,
        })
    }

    /// Watches over the policy from now on. Between the decision and this, too, it may have changed.
    fn watch_policy(&mut self, grant: &GrantUse) -> Result<(), TaskError> {
        let Tag::InForce(known) = self.context.engine.tag() else { return Ok(()) };
        let mut watch = PolicyWatch::start(self.context.state, known)?;
        if let Some(changed) = watch.changed() {
            let engine = changed?;
            engine.still_allows(grant).map_err(TaskError::part)?;
            self.engine = Some(engine);
        }
        self.watch = Some(watch);
        Ok(())
    }

    /// What decides now: by the policy in force, also where it changed while the task ran.
    ///
    /// # Errors
    /// When the policy in force cannot be read: then nothing leaves.
    pub(crate) fn engine(&mut self) -> Result<&Engine, TaskError> {
        if let Some(changed) = self.watch.as_mut().and_then(PolicyWatch::changed) {
            self.engine = Some(changed?);
        }
        Ok(self.engine.as_ref().unwrap_or(self.context.engine))
    }

    pub(crate) fn step(&mut self, step: Step) {
        self.timer.step(self.context.observer, self.submitted.task, step);
    }

    fn notes(&self) -> Notes<'_> {
        Notes { log: self.log, clock: self.context.clock, task: self.submitted.task }
    }

    pub(crate) fn event(&self, kind: EventKind) -> Event {
        Event::of_task(self.context.clock.now(), self.submitted.task, kind)
    }

    /// Whether events of this kind are recorded of this task.
    pub(crate) fn records(&self, kind: EventKind) -> bool {
        kind.level() <= self.level
    }

    /// An event about something that has a name, which is sealed.
    pub(crate) fn event_of(&self, kind: EventKind, particular: &str, name: &str) -> Event {
        let mut event = self.event(kind).with(particular, name);
        self.key.seal(&mut event);
        event
    }

    /// Reads what is to be known of the inputs; then builds and locks the sandbox.
    fn prepare(&mut self, grant: &GrantUse, salt: &[u8; 32]) -> Result<Ready, TaskError> {
        let model = self.submitted.model.take();
        let image = self.fetch_image()?;
        let inputs = &self.submitted.inputs;
        // An index that was named is an order, whatever the profile says.
        let ahead = self.submitted.spec.fingerprints.as_deref();
        if grant.profile().fingerprints() == FingerprintRule::Refuse || ahead.is_some() {
            self.prints = Some(Prints::begin(inputs, ahead)?);
        }
        let records: Vec<_> = inputs.iter().map(|input| input.record(salt)).collect::<Result<_, _>>()?;
        let plain_model = model.as_ref().and_then(Model::plain_path);
        let model_digest = plain_model.as_deref().map(digest_model).transpose()?;
        let engine = self.engine.as_ref().unwrap_or(self.context.engine);
        let spec = &self.submitted.spec;
        let demanded = &grant.obligations().views;
        let seeing = Seeing::new(engine, demanded, spec.role.as_deref(), spec.view_key.as_ref())?;
        let views = fields::views(grant, engine, &seeing, inputs, self.submitted.task)?;
        let keys = self.submitted.outputs.as_ref().map(|schema| read_keys(schema, inputs, &views)).transpose()?;
        let applied: Vec<_> =
            views.iter().filter_map(|view| Some(self.view_event(view.input(), view.report()?))).collect();
        self.log.append(&applied, Durability::Lazy).map_err(TaskError::part)?;
        self.views = views;
        self.record_shown(&records)?;
        self.service = network::start(grant, self.prints.is_some())?;
        let spec = self.sandbox_spec(model.as_ref(), image.as_ref())?;
        let Built { prepared, record, end } = self.build(grant, spec, model)?;
        // The sandbox holds what it sees of them; their names are not needed any more.
        self.views.clear();
        let model = record
            .map(|(record, digest)| ModelRecord { digest: digest.or(model_digest).unwrap_or(record.digest), ..record });
        Ok(Ready { prepared, inputs: records, keys: keys.unwrap_or_default(), model, image, end })
    }

    /// What the log says of a view: names and numbers.
    fn view_event(&self, input: &str, report: &Report) -> Event {
        let event = self
            .event_of(EventKind::ViewApplied, "input", input)
            .with("view", report.view.as_str())
            .with("rows", report.rows_written)
            .with("left_out", report.rows_suppressed);
        match &report.anonymity {
            Some(reached) => event.with("k", reached.k_reached).with("l", reached.l_reached),
            None => event,
        }
    }

    /// Records what the workload will be shown of the inputs, where the level asks for it. Made durable with the intent.
    fn record_shown(&self, records: &[InputRecord]) -> Result<(), TaskError> {
        if !self.records(EventKind::DataShown) || records.is_empty() {
            return Ok(());
        }
        let shown = records.iter().map(|record| {
            let event = self.event_of(EventKind::DataShown, "input", &record.name);
            let event = event.with("files", record.files).with("bytes", record.bytes);
            let event = event.with("part", self.views.iter().any(|view| view.input() == record.name));
            match &record.commitment {
                Some(commitment) => event.with("commitment", commitment.to_string()),
                None => event,
            }
        });
        self.log.append(&shown.collect::<Vec<_>>(), Durability::Lazy).map_err(TaskError::part).map(drop)
    }

    /// What of the rights and the looks at the walls is recorded, where the level asks for it.
    fn right_events(&self, grant: &GrantUse, seen: &[Observation]) -> Vec<Event> {
        let mut events = Vec::new();
        if self.records(EventKind::RightGiven) {
            events.extend(grant.rights().records().iter().map(|right| {
                let event = self.event_of(EventKind::RightGiven, "over", &right.over);
                event.with("access", right.access.clone()).with("of", right.kind.as_str())
            }));
        }
        if self.records(EventKind::WallObserved) {
            events.extend(seen.iter().map(|look| {
                // What was tried may name an input.
                let event = self.event_of(EventKind::WallObserved, "tried", &look.tried);
                let event = event.with("wall", look.wall.label()).with("expected", look.expected.as_str());
                event.with("seen", look.seen.as_str()).with("holds", look.holds)
            }));
        }
        events
    }

    /// Brings the image's layers, now that policy has allowed the task.
    fn fetch_image(&mut self) -> Result<Option<ReadyImage>, TaskError> {
        let Some(image) = self.submitted.image.take() else { return Ok(None) };
        image.fetch(self.context.state, self.context.observer, self.context.cancel).map(Some)
    }

    fn build(&mut self, grant: &GrantUse, spec: Spec, model: Option<Model>) -> Result<Built, TaskError> {
        let mut building = Sandbox::build(grant, spec, self.context.shell.take()).map_err(TaskError::part)?;
        let scratch = building.scratch().label();
        let is_of_a_pool = building.is_of_a_pool();
        self.marker.note(&building.group_folders(), self.staging())?;
        let record = match model {
            Some(model) => Some(self.open_model(grant, &mut building, model)?),
            None => None,
        };
        self.step(Step::Preflight);
        // The durable intent, and what the end needs, are made while the sandbox looks at its walls. Once the workload is
        // started, the host only waits: the kernel likes to put it onto the host's processor.
        let intent = self.event(EventKind::TaskStarting);
        let locked = building.lock_while(grant, || self.make_ready(grant, intent)).map_err(TaskError::part);
        let (mut prepared, end) = locked.inspect_err(|_| {
            TaskFolder::of(self.context.state, self.submitted.task).remove_if_empty();
        })?;
        let end = end?;
        if let Some(mut service) = self.service.take() {
            // What leaves while the workload runs is held against what it was given: that is indexed before it starts.
            self.prints = self.prints.take().map(Prints::make).transpose()?;
            let prints = self.prints.as_ref().map(Prints::files).transpose()?.unwrap_or_default();
            network::serve(&mut service, prepared.take_sockets(), prints, &self.notes())?;
            self.service = Some(service);
        }
        let down = prepared.observations().iter().filter(|seen| !seen.holds).map(|seen| seen.wall.label());
        let mut seen = self
            .event(EventKind::PreflightObserved)
            .with("observations", prepared.observations().len())
            .with("scratch", scratch)
            .with("down", down.collect::<Vec<_>>());
        if is_of_a_pool {
            seen = seen.with("shell", "waited in a pool");
        }
        let mut events = vec![seen];
        events.append(&mut self.right_events(grant, prepared.observations()));
        self.log.append(&events, Durability::Lazy).map_err(TaskError::part)?;
        Ok(Built { prepared, record, end })
    }

    /// Writes the durable intent, and makes ready what the end needs.
    fn make_ready(&self, grant: &GrantUse, intent: Event) -> Result<EndMatter, TaskError> {
        self.log.append(&[intent], Durability::Durable).map_err(TaskError::part)?;
        let folder = TaskFolder::of(self.context.state, self.submitted.task);
        folder.make()?;
        Ok(EndMatter { policy: receipt::policy(grant, self.context.engine.tag()), folder })
    }

    fn open_model(
        &mut self,
        grant: &GrantUse,
        building: &mut Building,
        model: Model,
    ) -> Result<(ModelRecord, Option<Digest>), TaskError> {
        let record = model.record(Digest([0; 32]));
        if record.sealed {
            let lease = self.event(EventKind::LeaseIssued).with("model", record.id.as_str());
            self.log.append(&[lease], Durability::Lazy).map_err(TaskError::part)?;
        }
        if self.records(EventKind::DataShown) {
            let shown =
                self.event(EventKind::DataShown).with("model", record.id.as_str()).with("sealed", record.sealed);
            self.log.append(&[shown], Durability::Lazy).map_err(TaskError::part)?;
        }
        let observer = &mut *self.context.observer;
        let allowed = grant.model_use().ok_or(TaskError::Spec {
            what: "a model that policy was not asked for".to_owned(),
            remedy: "run the task again",
        })?;
        let prints = self.prints.as_mut().map(|prints| &mut prints.model);
        let digest = model
            .open_into(allowed, building.model_sink(), prints, &mut |bytes, total| observer.opening(bytes, total))?;
        Ok((record, digest))
    }

    fn staging(&self) -> Option<PathBuf> {
        self.submitted.spec.output.as_deref().map(|output| release::staging_of(output, self.submitted.task))
    }

    fn sandbox_spec(&mut self, model: Option<&Model>, image: Option<&ReadyImage>) -> Result<Spec, TaskError> {
        let program = match &self.submitted.work {
            Work::Command(command) => Program::Command(command.clone()),
            Work::Runner(runner) => Program::Runner { arguments: self.submitted.runner_args(runner)?.to_args() },
        };
        let mut environment = image.map(ReadyImage::environment).transpose()?.unwrap_or_default();
        environment.append(&mut self.submitted.spec.env);
        let inputs = self.submitted.inputs.iter();
        Ok(Spec {
            task: self.submitted.task,
            program,
            environment,
            code: self.submitted.spec.code.clone(),
            inputs: inputs
                .map(|input| {
                    let view = self.views.iter().find(|view| view.input() == input.name);
                    let path = view.map_or(&input.path, View::path).clone();
                    hotcell_isolate::Input { name: input.name.clone(), path }
                })
                .collect(),
            image: image.map(ReadyImage::mount),
            model: model.map(Model::mount),
            network: self.service.as_ref().map(network::network),
            stdin: self.submitted.spec.stdin.take(),
            terminal: self.submitted.spec.terminal,
            told: self.submitted.spec.told || self.records(EventKind::CallRefused),
            state: self.context.state.to_owned(),
            seed: hotcell_crypto::random(),
            omitted: Default::default(),
        })
    }

    /// Stays with the workload until every process of it is dead.
    fn run(&mut self, grant: &GrantUse, running: Running) -> Result<Left, TaskError> {
        let limit = grant.profile().limits().stream_bytes().bytes();
        let mut streams = [Captured::new("stdout", limit), Captured::new("stderr", limit)];
        let live = grant.streams() == StreamRule::Live;
        let is_runner = matches!(self.submitted.work, Work::Runner(_));
        let observer = RefCell::new(&mut *self.context.observer);
        let [stdout, stderr] = &mut streams;
        let mut filter = ProgressFilter::default();
        let mut rest = Vec::new();
        let mut withdrawn = Ok(());
        let mut renewed = None;
        let (log, clock, task) = (self.log, self.context.clock, self.submitted.task);
        let watched = self.watch.as_mut().map(|watch| watch.split()).transpose()?;
        let (happened, mut watch) = watched.unzip();
        let mut ask = |what| {
            if what == Ask::Happened {
                return watch.as_mut().is_some_and(|watch| watch.sees_another_file());
            }
            let Some(changed) = watch.as_mut().and_then(|watch| watch.changed()) else {
                return false;
            };
            let (code, rules) = match changed {
                Err(error) => (error.code(), Vec::new()),
                Ok(engine) => match engine.still_allows(grant) {
                    Ok(()) => {
                        renewed = Some(engine);
                        return false;
                    }
                    Err(denial) => (denial.code(), rule_ids(&denial)),
                },
            };
            let event = Event::of_task(clock.now(), task, EventKind::TaskWithdrawn).with("code", code);
            withdrawn = log.append(&[event.with("rules", rules)], Durability::Durable).map(drop);
            true
        };
        let withdrawal = happened.as_ref().map(|happened| Withdrawal { happened: happened.as_fd(), ask: &mut ask });
        let mut io = Io {
            stdout: &mut |bytes| {
                stdout.push(bytes);
                if live {
                    observer.borrow_mut().stdout(bytes);
                }
            },
            stderr: &mut |bytes| {
                rest.clear();
                let bytes = if is_runner {
                    if let Some((rows, total)) = filter.push(bytes, &mut rest) {
                        observer.borrow_mut().progress(rows, total);
                    }
                    &rest
                } else {
                    bytes
                };
                stderr.push(bytes);
                if live {
                    observer.borrow_mut().stderr(bytes);
                }
            },
            onwards: if live { self.context.onwards } else { [None, None] },
            cancel: self.context.cancel,
        };
        let notes = Notes { log, clock, task };
        let mut noted = Ok(true);
        // The loop looks at a descriptor while the service is heard by it.
        let watched =
            self.service.as_ref().and_then(Service::notes).map(|notes| notes.try_clone_to_owned()).transpose();
        let watched = watched.map_err(TaskError::file("watch", Path::new("the gateway")))?;
        let service = &mut self.service;
        let mut attend = || {
            noted = service.as_mut().map_or(Ok(false), |service| notes.hear(service));
            matches!(noted, Ok(true))
        };
        let beside = watched.as_ref().map(|notes| Beside { happened: notes.as_fd(), attend: &mut attend });
        let ended = running.wait_beside(&mut io, withdrawal, beside).map_err(TaskError::part)?;
        noted?;
        withdrawn.map_err(TaskError::part)?;
        if renewed.is_some() {
            self.engine = renewed;
        }
        rest.clear();
        filter.finish(&mut rest);
        stderr.push(&rest);
        Ok(Left { ended, streams })
    }

    /// Keeps the receipt, the salt, and what left by the streams.
    fn keep(
        &self,
        folder: &TaskFolder,
        receipt: &[u8],
        salt: &[u8; 32],
        streams: &[Captured],
        verdicts: &[StreamVerdict],
        rule: StreamRule,
    ) -> Result<Vec<ReleasedStream>, TaskError> {
        folder.write(&folder.receipt(), receipt)?;
        if !self.submitted.inputs.is_empty() {
            folder.write(&folder.salt(), Digest(*salt).hex().as_bytes())?;
        }
        let mut released = Vec::new();
        for (stream, verdict) in streams.iter().zip(verdicts) {
            if rule == StreamRule::Live && !stream.kept().is_empty() {
                folder.write(&folder.stream(stream.name), stream.kept())?;
            }
            if let Some(text) = verdict.text.as_ref().filter(|text| !text.is_empty()) {
                folder.write(&folder.stream(stream.name), text.as_bytes())?;
                released.push(ReleasedStream { name: stream.name.to_owned(), text: text.clone() });
            }
        }
        Ok(released)
    }
}

fn submitted_event(submitted: &Submitted, workload: &WorkloadRecord, context: &Context<'_>) -> Event {
    let inputs = submitted.inputs.iter().take(MAX_NAMED_INPUTS).map(|input| input.name.as_str());
    let unnamed = submitted.inputs.len().saturating_sub(MAX_NAMED_INPUTS);
    let event = Event::of_task(submitted.now, submitted.task, EventKind::TaskSubmitted)
        .with("principal", context.principal.as_str())
        .with("purpose", submitted.spec.purpose.as_str())
        .with("workload", workload.command.first().unwrap_or(&workload.kind).as_str())
        .with("profile", submitted.profile.name())
        .with("inputs", inputs.collect::<Vec<_>>());
    let event = if unnamed > 0 { event.with("more_inputs", unnamed) } else { event };
    // What policy was told, so that another one can be asked the same later.
    let facts = submitted.request(context).facts();
    let event = event.with("facts", serde_json::to_value(facts).unwrap_or_default());
    match &submitted.image {
        Some(image) => event.with("image", image.digest().to_string()),
        None => event,
    }
}

/// Why the streams do not pass live: by rule, or by profile.
fn reasons(grant: &GrantUse) -> String {
    let cited: Vec<_> = grant.stream_reasons().iter().map(|rule| rule.reason.clone()).collect();
    match cited.as_slice() {
        [] => format!("the profile `{}` inspects them", grant.profile().name()),
        _ => cited.join("; "),
    }
}

fn rule_ids(denial: &Denial) -> Vec<String> {
    denial.rules().iter().map(|rule| rule.id.clone()).collect()
}

/// Inputs that the first event of a task names, so that it stays within the bounds of an entry.
const MAX_NAMED_INPUTS: usize = 64;

/// A clock that is this far from what has passed was set; less is what time services do to it all the time.
const CLOCK_JUMP_MS: u64 = 2000;

/// Takes the time of each step.
#[derive(Debug)]
struct Timer {
    begun: Instant,
    step: Step,
    since: Instant,
    times: Vec<(Step, Duration)>,
}

impl Timer {
    fn start() -> Self {
        let now = Instant::now();
        Self { begun: now, step: Step::Submit, since: now, times: Vec::new() }
    }

    /// The time now, by what has passed since the task was submitted.
    fn steady(&self, submitted: Timestamp) -> Timestamp {
        let passed = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp(submitted.0.saturating_add(passed))
    }

    /// By how many milliseconds the clock was set forward, or back, since the task was submitted; none where it just went.
    fn jumped(&self, submitted: Timestamp, now: Timestamp) -> Option<i64> {
        let by = i128::from(now.0) - i128::from(self.steady(submitted).0);
        let by = i64::try_from(by).unwrap_or(if by < 0 { i64::MIN } else { i64::MAX });
        (by.unsigned_abs() >= CLOCK_JUMP_MS).then_some(by)
    }

    fn step(&mut self, observer: &mut dyn Observer, task: TaskId, next: Step) {
        observer.step(task, next);
        self.end();
        self.step = next;
    }

    fn end(&mut self) {
        self.times.push((self.step, self.since.elapsed()));
        self.since = Instant::now();
    }
}
