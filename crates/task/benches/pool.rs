//! What a long-lived service gets of shells that wait: tasks in one process that claims from a pool of its own.
//!
//! Each task is whole: policy, all walls, preflight, events, the durable intent before its start, receipt. Times are
//! taken from three moments to the first byte that the workload writes, and to the receipt.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use hotcell_isolate::Shell;
use hotcell_isolate::pool::Pool;
use hotcell_policy::Engine;
use hotcell_task::{Context, Observer, Step, TaskSpec, Work, run_task};
use hotcell_types::{Clock, Observation, Outcome, TaskId, Timestamp};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// What the command line asks for.
struct Wishes {
    state: PathBuf,
    tasks: u64,
    at_once: usize,
    size: usize,
    command: Vec<std::ffi::OsString>,
}

fn main() -> Result<(), Error> {
    let Some(wishes) = wishes()? else { return Ok(()) };
    let engine = Engine::default();
    let waiting =
        Waiting { pool: Mutex::new(Pool::new(wishes.size)), changed: Condvar::new(), over: AtomicBool::new(false) };
    // The first ones make keys and log.
    for _ in 0..5 {
        one(&wishes, &engine, None)?;
    }
    let left = AtomicU64::new(wishes.tasks);
    let (mut taken, length) = std::thread::scope(|scope| -> Result<_, Error> {
        let filler = (wishes.size > 0).then(|| scope.spawn(|| waiting.fill()));
        waiting.await_full(wishes.size);
        let begin = Instant::now();
        let workers: Vec<_> = (0..wishes.at_once)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<Times>, Error> {
                    let mut taken = Vec::new();
                    while left.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                        taken.push(one(&wishes, &engine, Some(&waiting))?);
                    }
                    Ok(taken)
                })
            })
            .collect();
        let taken: Result<Vec<_>, Error> =
            workers.into_iter().map(|worker| worker.join().map_err(|_| "a worker panicked")?).collect();
        let length = begin.elapsed();
        waiting.end();
        if let Some(filler) = filler {
            filler.join().map_err(|_| "the filler panicked")??;
        }
        Ok((taken?.into_iter().flatten().collect::<Vec<_>>(), length))
    })?;
    let observations = taken.first().map_or(0, |times| times.observations);
    let from_pool = taken.iter().filter(|times| times.from_pool).count();
    let mut sorted = |of: &dyn Fn(&Times) -> Duration| {
        taken.sort_by_key(of);
        let at = |percent: usize| {
            let rank = (taken.len() * percent).div_ceil(100).max(1);
            taken.get(rank - 1).map_or(f64::NAN, |times| of(times).as_secs_f64() * 1e3)
        };
        serde_json::json!({ "p50_ms": at(50), "p95_ms": at(95), "p99_ms": at(99) })
    };
    let report = serde_json::json!({
        "claim_to_start": sorted(&|times| times.claim_to_start),
        "claim_to_first_byte": sorted(&|times| times.claim_to_first_byte),
        "request_to_first_byte": sorted(&|times| times.request_to_first_byte),
        "request_to_receipt": sorted(&|times| times.request_to_receipt),
        "tasks": wishes.tasks,
        "from_pool": from_pool,
        "at_once": wishes.at_once,
        "pool": wishes.size,
        "observations": observations,
        "per_second": wishes.tasks as f64 / length.as_secs_f64(),
    });
    println!("{report}");
    Ok(())
}

/// None where cargo only looks whether this runs.
fn wishes() -> Result<Option<Wishes>, Error> {
    let mut wishes = Wishes { state: PathBuf::new(), tasks: 200, at_once: 1, size: 8, command: Vec::new() };
    let mut words = std::env::args_os().skip(1);
    while let Some(word) = words.next() {
        let mut number =
            || words.next().and_then(|word| word.to_str()?.parse::<u64>().ok()).ok_or("a number is missing");
        match word.to_str() {
            Some("--tasks") => wishes.tasks = number()?,
            Some("--at-once") => wishes.at_once = usize::try_from(number()?)?,
            Some("--pool") => wishes.size = usize::try_from(number()?)?,
            Some("--state") => wishes.state = words.next().ok_or("a folder is missing")?.into(),
            Some("--") => wishes.command = words.by_ref().collect(),
            // What `cargo test` and `cargo bench` add.
            _ => {}
        }
    }
    Ok((!wishes.command.is_empty() && !wishes.state.as_os_str().is_empty()).then_some(wishes))
}

/// The pool, and whoever waits for it.
struct Waiting {
    pool: Mutex<Pool>,
    changed: Condvar,
    over: AtomicBool,
}

impl Waiting {
    /// Fills it until the end.
    fn fill(&self) -> Result<(), Error> {
        while !self.over.load(Ordering::Relaxed) {
            let pool = self.pool.lock().map_err(|_| "the pool is broken")?;
            let pool = self.changed.wait_while(pool, |pool| !pool.has_room() && !self.over.load(Ordering::Relaxed));
            drop(pool.map_err(|_| "the pool is broken")?);
            let shell = Shell::start_for_a_pool(hotcell_crypto::random())?;
            drop(self.pool.lock().map_err(|_| "the pool is broken")?.put(shell));
            self.changed.notify_all();
        }
        Ok(())
    }

    fn await_full(&self, size: usize) {
        if let Ok(pool) = self.pool.lock() {
            drop(self.changed.wait_while(pool, |pool| pool.ready() < size));
        }
    }

    fn take(&self) -> Option<Shell> {
        let shell = self.pool.lock().ok()?.take();
        self.changed.notify_all();
        shell
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

/// The times of one task.
struct Times {
    claim_to_start: Duration,
    claim_to_first_byte: Duration,
    request_to_first_byte: Duration,
    request_to_receipt: Duration,
    from_pool: bool,
    observations: usize,
}

fn one(wishes: &Wishes, engine: &Engine, waiting: Option<&Waiting>) -> Result<Times, Error> {
    let mut watch = Watch::default();
    let request = Instant::now();
    let shell = waiting.and_then(Waiting::take);
    let from_pool = shell.is_some();
    let mut context = Context {
        state: &wishes.state,
        version: env!("CARGO_PKG_VERSION"),
        clock: &Now,
        principal: "local:bench".to_owned(),
        engine,
        shell,
        cancel: None,
        onwards: [None, None],
        observer: &mut watch,
    };
    let report = run_task(TaskSpec::new(Work::Command(wishes.command.clone())), &mut context)?;
    let request_to_receipt = request.elapsed();
    let (Some(claimed), Some(started), Some(first)) = (watch.claimed, watch.started, watch.first_byte) else {
        return Err(format!("the program wrote nothing: {:?}, status {}", report.outcome, report.status).into());
    };
    if report.outcome != Outcome::Released || watch.fallen > 0 {
        return Err(format!("no result: {:?}, {} walls do not hold", report.outcome, watch.fallen).into());
    }
    Ok(Times {
        claim_to_start: started - claimed,
        claim_to_first_byte: first - claimed,
        request_to_first_byte: first - request,
        request_to_receipt,
        from_pool,
        observations: watch.observations,
    })
}

/// Notes moments.
#[derive(Default)]
struct Watch {
    claimed: Option<Instant>,
    started: Option<Instant>,
    first_byte: Option<Instant>,
    observations: usize,
    fallen: usize,
}

impl Observer for Watch {
    fn step(&mut self, _task: TaskId, step: Step) {
        match step {
            Step::Prepare => self.claimed = Some(Instant::now()),
            Step::Run => self.started = Some(Instant::now()),
            _ => {}
        }
    }

    fn observed(&mut self, observations: &[Observation]) {
        self.observations = observations.len();
        self.fallen = observations.iter().filter(|seen| !seen.holds).count();
    }

    fn stdout(&mut self, _bytes: &[u8]) {
        self.first_byte.get_or_insert_with(Instant::now);
    }
}

/// The machine's clock.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}
