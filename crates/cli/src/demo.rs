//! `hotcell demo`: the whole way of a task on bundled real data, explained as it goes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use hotcell_audit::receipt;
use hotcell_crypto::keyfile::{self, KeyPair};
use hotcell_crypto::{SecretKey, SigningKey};
use hotcell_policy::{Engine, Grant, Origin, Overlay};
use hotcell_task::{
    Context, ModelSpec, Observer, Step, TaskError, TaskInput, TaskReport, TaskSpec, Work, parse_task_file,
    read_or_create_signing_key, run_task,
};
use hotcell_types::{ByteSize, Clock, Exit, Explain, Observation, Outcome, TaskId};
use hotcell_vault::{SealSpec, Terms, seal_model};
use serde_json::{Value, json};

use crate::app::App;
use crate::failure::Failure;
use crate::hostile;
use crate::new_file::NewFile;
use crate::print;
use crate::report;
use crate::temporary::Temporary;
use crate::watch::Watch;

/// Show the whole way of a task on bundled real data: 569 biopsies, a sealed model, and a hostile runner.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Keep keys, model, results, receipt and log in this folder, which must not exist or be empty.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

const PATIENTS: &str = include_str!("../demo/patients.csv");
const MODEL: &[u8] = include_bytes!("../demo/model.onnx");
const TASK: &str = include_str!("../demo/task.toml");

/// What the hostile runner does beyond its attempts to get out, and what is expected to stop it.
const WALLS: &[(&str, &str, &str)] = &[
    ("read-home", "read the home folders and /etc/shadow", "mount-namespace: they are not there"),
    ("reach-network", "open a connection to the network", "seccomp, before the network-namespace"),
    ("trace-process", "trace a process", "seccomp"),
    ("write-input", "change the input", "read-only mount, and the owner of the file"),
    ("write-host", "write to the host's /usr/bin", "read-only mount"),
];

pub(crate) fn run(arguments: Arguments, app: &App) -> Result<Exit, Failure> {
    let begin = Instant::now();
    let temporary = match &arguments.keep {
        Some(_) => None,
        // Keys for one demo, which open nothing else.
        None => Some(Temporary::new("demo", &app.state)?),
    };
    let place = arguments.keep.clone().or(temporary.as_ref().map(|made| made.path().to_owned())).unwrap_or_default();
    if arguments.keep.is_some() {
        make_empty(&place)?;
    }
    let mut demo = Demo { place, is_kept: arguments.keep.is_some(), app, done: Vec::new() };
    demo.introduce()?;
    demo.seal()?;
    let honest = demo.honest()?;
    let stopped = demo.hostile()?;
    demo.conclude(&honest, &stopped, begin)
}

fn make_empty(place: &Path) -> Result<(), Failure> {
    let wrap = |source| Failure::file("make", place, source);
    fs::create_dir_all(place).map_err(wrap)?;
    if fs::read_dir(place).map_err(wrap)?.next().is_some() {
        return Err(Failure::usage(
            format!("the folder `{}` is not empty", place.display()),
            "name a new folder: --keep DIR",
        ));
    }
    Ok(())
}

struct Demo<'a> {
    place: PathBuf,
    is_kept: bool,
    app: &'a App,
    done: Vec<Stopped>,
}

/// One thing that the hostile runner tried.
#[derive(Debug, Clone, serde::Serialize)]
struct Stopped {
    attempt: String,
    /// Error name, signal or code.
    ended_with: String,
    stopped_by: String,
    held: bool,
}

impl Demo<'_> {
    fn path(&self, name: &str) -> PathBuf {
        self.place.join(name)
    }

    /// One step: lines for people, one object for programs.
    fn say(&self, step: &str, title: &str, lines: &[String], data: Value) -> Result<(), Failure> {
        if self.app.json {
            let mut to = io::stdout().lock();
            let mut object = json!({ "step": step });
            if let (Some(object), Value::Object(data)) = (object.as_object_mut(), data) {
                object.extend(data);
            }
            writeln!(to, "{object}")?;
            to.flush()?;
        } else {
            let mut to = print::out();
            writeln!(to)?;
            to.heading(title)?;
            for line in lines {
                writeln!(to, "   {line}")?;
            }
            to.flush()?;
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, content).map_err(|source| Failure::file("write", &path, source))?;
        Ok(path)
    }

    fn introduce(&self) -> Result<(), Failure> {
        let lines = [
            "A hospital lets a foreign model read its biopsy measurements.".to_owned(),
            "Nothing may leave but one score per patient, sealed to the reader.".to_owned(),
            "Data: Wisconsin Diagnostic Breast Cancer, 569 patients, 30 measurements each".to_owned(),
            "(W. Wolberg and others 1995, UCI, CC BY 4.0). Model: 100 boosted trees.".to_owned(),
        ];
        self.write("patients.csv", PATIENTS.as_bytes())?;
        self.write("task.toml", TASK.as_bytes())?;
        self.say("begin", "Hotcell demo", &lines, json!({ "folder": self.place }))
    }

    /// The vendor seals the model to the hospital's key.
    fn seal(&self) -> Result<(), Failure> {
        let now = self.app.clock.now();
        let (vendor, hospital, reader) = (SigningKey::generate(), SecretKey::generate(), SecretKey::generate());
        let vendor_key = vendor.verifying();
        let recipient = hospital.public();
        let path = self.path("model.sealed");
        let file = fs::File::create(&path).map_err(|source| Failure::file("write", &path, source))?;
        let spec = SealSpec {
            model_id: "example/biopsy",
            version: 1,
            file_name: "model.onnx",
            file_bytes: MODEL.len() as u64,
            terms: Terms::default(),
            recipients: &[recipient],
            vendor: &vendor,
        };
        let sealed = seal_model(MODEL, io::BufWriter::new(file), &spec)?;
        for (name, pair) in [
            ("vendor.key", KeyPair::Signing(vendor)),
            ("hospital.key", KeyPair::Encryption(hospital)),
            ("reader.key", KeyPair::Encryption(reader)),
        ] {
            keyfile::write_pair(&self.path(name), &pair, now)?;
        }
        let lines = [
            format!("model.onnx, {}, is sealed to the hospital's key {recipient}", ByteSize(MODEL.len() as u64)),
            format!("and signed by the vendor, {vendor_key}"),
            "Terms: only the built-in runner may open it.".to_owned(),
        ];
        let data = json!({ "package": sealed.digest, "bytes": sealed.bytes, "vendor": vendor_key.to_string() });
        self.say("seal", "1. The vendor seals the model", &lines, data)
    }

    /// The task of `task.toml`.
    fn honest(&mut self) -> Result<TaskReport, Failure> {
        let task_file = self.path("task.toml");
        let spec = parse_task_file(TASK, &task_file.to_string_lossy(), &self.place)?;
        let mut teller = Teller { demo: self, watch: Watch::new(self.app.json, None), rows: 0, told: Ok(()) };
        let ran = run_in(&self.place, self.app, spec, &mut teller);
        teller.watch.finish(|| ());
        let (rows, told) = (teller.rows, teller.told);
        told?;
        let done = ran?;
        let seconds =
            done.timings.iter().find(|(step, _)| *step == Step::Run).map_or(0.0, |(_, time)| time.as_secs_f64());
        let lines = [format!("{rows} patients scored inside in {:.0} ms", seconds * 1e3)];
        let data = json!({ "rows_scored": rows, "seconds": seconds });
        self.say(
            "run",
            "4. The model was opened inside the sandbox only; the built-in runner scores there",
            &lines,
            data,
        )?;
        self.tell_release(&done)?;
        self.tell_receipt(&done)?;
        Ok(done)
    }

    fn tell_release(&self, done: &TaskReport) -> Result<(), Failure> {
        let mut lines = Vec::new();
        for output in &done.body.outputs {
            let notes = done.notes.iter().flat_map(|(_, notes)| notes.clone()).collect::<Vec<_>>();
            lines.push(report::left(output, None, &notes));
        }
        if let Some(problem) = &done.problem {
            lines.push(format!("{} [{}]: {}", problem.what, problem.code, problem.remedy));
        }
        let data = json!({ "outputs": done.body.outputs, "capacity_bits": done.body.capacity.0.ceil() });
        let title = "5. The output is checked against its declaration, written anew, sealed to the reader";
        self.say("release", title, &lines, data)
    }

    fn tell_receipt(&self, done: &TaskReport) -> Result<(), Failure> {
        let key = read_or_create_signing_key(&self.path("state"), self.app.clock.now())?.verifying();
        let verified = receipt::verify(&done.receipt, Some(&key))?;
        let mut file = NewFile::create(&self.path("receipt.json"), 0o644, false)?;
        file.write_all(&done.receipt)?;
        file.publish()?;
        let mut text = Vec::new();
        crate::receipt_text::write(&verified.body, &mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.push(format!("Verified offline with the given key {key}:"));
        lines.extend(verified.checks.iter().map(|check| format!("  {check}")));
        let data =
            json!({ "destroyed": done.body.destroyed, "receipt": verified.body, "verified_with": key.to_string() });
        self.say("receipt", "6. Everything is destroyed; the receipt says what was done, and verifies", &lines, data)
    }

    /// The same data in the hands of a hostile runner.
    fn hostile(&mut self) -> Result<Vec<Stopped>, Failure> {
        let code = self.path("hostile");
        fs::create_dir_all(&code).map_err(|source| Failure::file("make", &code, source))?;
        let program = code.join(hostile::NAME);
        let own = std::env::current_exe().map_err(|source| Failure::system("finding this program", source))?;
        fs::copy(&own, &program).map_err(|source| Failure::file("write", &program, source))?;
        let all = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&program, all).map_err(|source| Failure::file("write", &program, source))?;

        self.take_model()?;
        self.attempts()?;
        self.outgrow()?;
        self.add_column()?;
        self.hide_row()?;
        let mut lines = Vec::new();
        for stopped in &self.done {
            let mark = if stopped.held { "stopped" } else { "NOT STOPPED" };
            lines.push(format!("{mark}  {}", stopped.attempt));
            let how = format!("{}, by {}", stopped.ended_with, stopped.stopped_by);
            lines.push(format!("{:<width$}  {how}", "", width = mark.len()));
        }
        self.say("hostile", "7. Once more, with a hostile runner", &lines, json!({ "attempts": self.done }))?;
        Ok(std::mem::take(&mut self.done))
    }

    fn run_quietly(&self, spec: TaskSpec) -> Result<TaskReport, TaskError> {
        run_in(&self.place, self.app, spec, &mut hotcell_task::Silent)
    }

    /// The hostile runner as a command, with what it may write.
    fn hostile_task(&self, trick: &str, outputs: &Value) -> Result<TaskSpec, Failure> {
        let mut memory = Overlay::default();
        memory.set_limit("memory=256MiB")?;
        let command = vec![format!("/code/{}", hostile::NAME).into(), trick.into()];
        let outputs = serde_json::from_value(outputs.clone());
        Ok(TaskSpec {
            profile: Some("infer".to_owned()),
            overlays: vec![(memory, Origin::Flag("--limit memory=256MiB".to_owned()))],
            inputs: vec![TaskInput { name: "data".to_owned(), path: self.path("patients.csv") }],
            code: Some(self.path("hostile")),
            output: Some(self.path("hostile-out")),
            outputs: Some(outputs.map_err(|error| Failure::system("the demo's own declaration", error.into()))?),
            ..TaskSpec::new(Work::Command(command))
        })
    }

    /// It asks for the sealed model: the vendor's terms name the built-in runner only.
    fn take_model(&mut self) -> Result<(), Failure> {
        let mut spec = self.hostile_task("attempts", &attempts_schema())?;
        spec.model = Some(ModelSpec {
            path: self.path("model.sealed"),
            key: Some(keyfile::read_encryption(&self.path("hospital.key"))?),
            trust: Vec::new(),
            registered: None,
        });
        let (ended_with, held) = match self.run_quietly(spec) {
            Err(error) if error.exit() == Exit::Refused => (format!("exit status 121, {}", error.code()), true),
            Err(error) => (error.to_string(), false),
            Ok(done) => (report::outcome(done.outcome).to_owned(), false),
        };
        self.done.push(Stopped {
            attempt: "open the sealed model with a program of its own".to_owned(),
            ended_with,
            stopped_by: "policy: the vendor's terms name the built-in runner only".to_owned(),
            held,
        });
        Ok(())
    }

    /// It tries to get out, and prints the patients.
    fn attempts(&mut self) -> Result<(), Failure> {
        let done = self.run_quietly(self.hostile_task("attempts", &attempts_schema())?)?;
        for (attempt, words, wall) in WALLS {
            let result = self.reported(attempt)?;
            self.done.push(Stopped {
                attempt: (*words).to_owned(),
                held: !matches!(result.as_str(), "succeeded" | "other" | "no report"),
                ended_with: result,
                stopped_by: (*wall).to_owned(),
            });
        }
        let withheld = done.body.streams.iter().any(|stream| stream.disposition == "withheld" && stream.bytes > 0);
        let found = done.body.refusals.iter().find(|refusal| refusal.code == "INS-303");
        self.done.push(Stopped {
            attempt: "print the patients' rows to standard output".to_owned(),
            ended_with: found.map_or_else(|| "nothing found".to_owned(), |found| format!("{} withheld", found.code)),
            stopped_by: "inspection of the streams, against the input's values".to_owned(),
            held: withheld && found.is_some() && done.streams.is_empty(),
        });
        Ok(())
    }

    /// What the hostile runner's report, an output that was inspected like any other, says of an attempt.
    fn reported(&self, attempt: &str) -> Result<String, Failure> {
        let path = self.path("hostile-out").join("attempts.csv");
        let told = fs::read_to_string(&path).map_err(|source| Failure::file("read", &path, source))?;
        let result = told.lines().find_map(|line| line.strip_prefix(attempt)?.strip_prefix(','));
        Ok(result.unwrap_or("no report").to_owned())
    }

    fn outgrow(&mut self) -> Result<(), Failure> {
        let done = self.run_quietly(self.hostile_task("outgrow", &attempts_schema())?)?;
        let limited = done.outcome == Outcome::LimitReached;
        let ended_with = match done.outcome {
            Outcome::LimitReached => "SIGKILL, exit status 124".to_owned(),
            Outcome::Released => self.reported("outgrow-memory")?,
            other => report::outcome(other).to_owned(),
        };
        self.done.push(Stopped {
            attempt: "take 8 GiB of memory".to_owned(),
            held: limited || ended_with == "ENOMEM",
            ended_with,
            stopped_by: "memory-limit of 256 MiB".to_owned(),
        });
        Ok(())
    }

    fn add_column(&mut self) -> Result<(), Failure> {
        let done = self.run_quietly(self.hostile_task("add-column", &scores_schema()?)?)?;
        let code = done.problem.as_ref().map(|problem| problem.code.clone()).unwrap_or_default();
        self.done.push(Stopped {
            attempt: "add a column of measurements to the scores".to_owned(),
            ended_with: format!("exit status {}, {code}", done.status),
            stopped_by: "inspection: the column is not declared; nothing left".to_owned(),
            held: done.outcome == Outcome::Refused && done.body.outputs.is_empty(),
        });
        Ok(())
    }

    fn hide_row(&mut self) -> Result<(), Failure> {
        let done = self.run_quietly(self.hostile_task("hide-row", &scores_schema()?)?)?;
        let path = self.path("hostile-out").join("scores.csv");
        let table = fs::read_to_string(&path).map_err(|source| Failure::file("read", &path, source))?;
        let in_order =
            table.lines().zip(PATIENTS.lines()).all(|(left, own)| left.split(',').next() == own.split(',').next());
        let notes: Vec<_> = done.notes.iter().flat_map(|(_, notes)| notes.clone()).collect();
        self.done.push(Stopped {
            attempt: "hide a patient's row in float digits and row order".to_owned(),
            ended_with: notes.join(", "),
            stopped_by: "canonical output: no digit and no order of its own is left".to_owned(),
            held: in_order && hostile::hidden_bytes(&table).is_empty() && !notes.is_empty(),
        });
        Ok(())
    }

    fn conclude(&self, honest: &TaskReport, stopped: &[Stopped], begin: Instant) -> Result<Exit, Failure> {
        let rows = honest.body.outputs.iter().filter_map(|output| output.rows).sum::<u64>();
        let held = stopped.iter().filter(|stopped| stopped.held).count();
        let all_held = held == stopped.len();
        let good = all_held && honest.outcome == Outcome::Released;
        let capacity = honest.body.capacity;
        let times: Vec<_> = honest
            .timings
            .iter()
            .map(|(step, time)| format!("{} {:.1}", step.label(), time.as_secs_f64() * 1e3))
            .collect();
        let mut lines = vec![
            format!("left      {rows} scores, which carry at most {capacity}: sealed to one reader"),
            format!("stopped   {held} of {} attempts of the hostile runner", stopped.len()),
            format!("time      {} ms", times.join(", ")),
            format!("in all    {:.1} s", begin.elapsed().as_secs_f64()),
            String::new(),
            "Again, by hand, on your own model and table:".to_owned(),
            "   hotcell run --model MODEL.onnx --input data=TABLE.csv --output ./out".to_owned(),
            "   hotcell run --code . --input data=./csv --output ./out -- python3 job.py".to_owned(),
        ];
        if self.is_kept {
            let at = self.place.display();
            lines.push(format!("Or this task again, from {at}:"));
            lines.push(format!("   hotcell --state {at}/state run --task {at}/task.toml"));
            lines.push(format!("   hotcell open --key {at}/reader.key --output scores.csv {at}/out/scores.csv.age"));
            lines.push(format!("   hotcell receipt verify {at}/receipt.json --trust {at}/state/keys/signing.key.pub"));
            lines.push(format!("   hotcell audit verify --state {at}/state"));
        } else {
            lines.push("Keep keys, results, receipt and log of this demo: hotcell demo --keep DIR".to_owned());
        }
        let data = json!({
            "rows_scored": rows,
            "capacity_bits": capacity.0.ceil(),
            "attempts": stopped.len(),
            "attempts_stopped": held,
            "seconds": begin.elapsed().as_secs_f64(),
            "timings": report::value(honest)["timings"],
            "good": good,
        });
        self.say("summary", "What left, what was stopped, what it took", &lines, data)?;
        Ok(if good { Exit::Yes } else { Exit::No })
    }
}

/// Runs a task with the demo's own state.
fn run_in(place: &Path, app: &App, spec: TaskSpec, observer: &mut dyn Observer) -> Result<TaskReport, TaskError> {
    let mut context = Context {
        state: &place.join("state"),
        version: crate::VERSION,
        clock: &app.clock,
        principal: crate::run::principal(),
        engine: &Engine::default(),
        shell: None,
        cancel: None,
        onwards: [None, None],
        observer,
    };
    run_task(spec, &mut context)
}

/// The declaration of the task file.
fn scores_schema() -> Result<Value, Failure> {
    let task: toml::Table =
        toml::from_str(TASK).map_err(|error| Failure::system("the demo's own task file", io::Error::other(error)))?;
    let outputs = task.get("output").map(serde_json::to_value).transpose();
    outputs.map(Option::unwrap_or_default).map_err(|error| Failure::system("the demo's own task file", error.into()))
}

/// The hostile runner's report is an output like any other: declared, and of known values only.
fn attempts_schema() -> Value {
    json!([{ "file": "attempts.csv", "format": "csv", "max_rows": 100, "column": [
        { "name": "attempt", "type": "category", "values": hostile::ATTEMPTS },
        { "name": "result", "type": "category", "values": hostile::RESULTS },
    ]}])
}

/// Tells of the honest task while it runs.
struct Teller<'d, 'a> {
    demo: &'d Demo<'a>,
    watch: Watch,
    rows: u64,
    told: Result<(), Failure>,
}

impl Teller<'_, '_> {
    fn tell(&mut self, step: &str, title: &str, lines: &[String], data: Value) {
        if self.told.is_ok() {
            self.told = self.demo.say(step, title, lines, data);
        }
    }
}

impl Observer for Teller<'_, '_> {
    fn step(&mut self, task: TaskId, step: Step) {
        self.watch.step(task, step);
    }

    fn granted(&mut self, grant: &Grant) {
        let lines = [
            format!("grant {} for task {}, to start before {}", grant.id(), grant.task(), grant.expires()),
            format!(
                "{} may, for the purpose `{}`, in the profile `{}`",
                grant.principal(),
                grant.purpose(),
                grant.profile().name()
            ),
            format!("allowed by {}", grant.rules().join(", ")),
            format!("standard streams: {}; results: sealed to 1 recipient", grant.streams()),
        ];
        let data = json!({
            "grant": grant.id(), "task": grant.task(), "profile": grant.profile().name(), "rules": grant.rules(),
            "streams": grant.streams().to_string(),
        });
        self.tell("authorize", "2. The hospital submits the task; policy decides", &lines, data);
    }

    fn observed(&mut self, walls: &[Observation]) {
        let line = |wall: &Observation| {
            let mark = if wall.holds { "stands" } else { "DOWN" };
            format!("{:<18} {mark:<7} {}: {}", wall.wall.label(), wall.tried, wall.seen)
        };
        let lines: Vec<_> = walls.iter().map(line).collect();
        self.tell(
            "preflight",
            "3. The sandbox is built; seen from inside, each wall stands",
            &lines,
            json!({ "walls": walls }),
        );
    }

    fn opening(&mut self, bytes: u64, total: u64) {
        self.watch.opening(bytes, total);
    }

    fn progress(&mut self, rows: u64, total: u64) {
        self.rows = rows;
        self.watch.progress(rows, total);
    }
}
