//! Programs timed against each other in one run: every round runs each of them once.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::command::{Error, Result};

/// Rounds that are not counted: caches fill, state folders come to be.
const WARM_UP: usize = 3;

/// One program of the contest.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// What it does, for the reader: a time without that says nothing.
    pub(crate) walls: String,
    /// The command of round number n.
    pub(crate) command: Box<dyn Fn(usize) -> Command>,
}

/// The times of one contender, sorted.
pub(crate) struct Times(Vec<Duration>);

/// What became of a contender.
pub(crate) enum Figure {
    /// It ran each time.
    Measured(Times),
    /// It does not work on this host, or for this user.
    Missing(String),
}

/// Runs every contender `rounds` times, each round in another order.
pub(crate) fn run(contenders: &[Contender], rounds: usize) -> Vec<Figure> {
    let mut failures: Vec<Option<String>> = contenders.iter().map(|_| None).collect();
    let mut times: Vec<Vec<Duration>> = contenders.iter().map(|_| Vec::with_capacity(rounds)).collect();
    for round in 0..rounds + WARM_UP {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len();
            let (Some(contender), Some(failure), Some(times)) =
                (contenders.get(at), failures.get_mut(at), times.get_mut(at))
            else {
                continue;
            };
            if failure.is_some() {
                continue;
            }
            match timed(&mut (contender.command)(round)) {
                Ok(time) if round >= WARM_UP => times.push(time),
                Ok(_) => {}
                Err(error) => *failure = Some(error.to_string()),
            }
        }
    }
    let figure = |(failure, times): (Option<String>, Vec<Duration>)| match failure {
        Some(why) => Figure::Missing(why),
        None => Figure::Measured(Times::new(times)),
    };
    failures.into_iter().zip(times).map(figure).collect()
}

/// Runs a program to its end. One that fails is looked at again for what it says, untimed.
pub(crate) fn timed(command: &mut Command) -> Result<Duration> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begin = Instant::now();
    let status = command.spawn().and_then(|mut child| child.wait());
    let time = begin.elapsed();
    let status = status.map_err(|error| format!("cannot be started: {error}"))?;
    if status.success() { Ok(time) } else { Err(complaint(command, &status.to_string())) }
}

fn complaint(command: &mut Command, status: &str) -> Error {
    let said = command.stderr(Stdio::piped()).output().map(|output| output.stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    format!("{status}: {}", last.trim()).into()
}

impl Times {
    pub(crate) fn new(mut times: Vec<Duration>) -> Self {
        times.sort();
        Self(times)
    }

    /// The smallest time that `percent` of all times do not exceed.
    pub(crate) fn percentile(&self, percent: usize) -> Duration {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).or(self.0.last()).copied().unwrap_or_default()
    }

    pub(crate) fn median(&self) -> Duration {
        self.percentile(50)
    }
}

/// A table of times, with the ratio of each median to that of the contender named `base`.
pub(crate) fn table(contenders: &[Contender], figures: &[Figure], base: &str) -> String {
    let base_median = median_of(contenders, figures, base);
    let mut text = format!("{:<28} {:>9} {:>9} {:>9} {:>7}  walls\n", "", "p50 ms", "p95 ms", "p99 ms", "ratio");
    for (contender, figure) in contenders.iter().zip(figures) {
        match figure {
            Figure::Measured(times) => {
                let [p50, p95, p99] = [50, 95, 99].map(|percent| milliseconds(times.percentile(percent)));
                let ratio = base_median.map_or("-".to_owned(), |base| format!("{:.2}", p50 / milliseconds(base)));
                let (name, walls) = (&contender.name, &contender.walls);
                text.push_str(&format!("{name:<28} {p50:>9.2} {p95:>9.2} {p99:>9.2} {ratio:>7}  {walls}\n"));
            }
            Figure::Missing(why) => text.push_str(&format!("{:<28} not measured: {why}\n", contender.name)),
        }
    }
    text
}

/// The same as data.
pub(crate) fn data(contenders: &[Contender], figures: &[Figure], base: &str) -> Value {
    let base_median = median_of(contenders, figures, base);
    let entry = |(contender, figure): (&Contender, &Figure)| match figure {
        Figure::Measured(times) => json!({
            "name": contender.name,
            "walls": contender.walls,
            "p50_ms": milliseconds(times.percentile(50)),
            "p95_ms": milliseconds(times.percentile(95)),
            "p99_ms": milliseconds(times.percentile(99)),
            "ratio": base_median.map(|base| milliseconds(times.median()) / milliseconds(base)),
        }),
        Figure::Missing(why) => json!({"name": contender.name, "not_measured": why}),
    };
    contenders.iter().zip(figures).map(entry).collect()
}

/// A duration for people.
pub(crate) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn median_of(contenders: &[Contender], figures: &[Figure], name: &str) -> Option<Duration> {
    contenders.iter().zip(figures).find_map(|(contender, figure)| match figure {
        Figure::Measured(times) if contender.name == name => Some(times.median()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(name: &str, script: &'static str) -> Contender {
        let command = move |_| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        Contender { name: name.into(), walls: "none".into(), command: Box::new(command) }
    }

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let times = Times::new((1..=100).rev().map(Duration::from_millis).collect());
        for (percent, expected) in [(50, 50), (95, 95), (99, 99), (100, 100), (0, 1)] {
            assert_eq!(times.percentile(percent), Duration::from_millis(expected));
        }
        assert_eq!(Times::new(vec![Duration::from_millis(7)]).percentile(99), Duration::from_millis(7));
        assert_eq!(Times::new(Vec::new()).median(), Duration::ZERO);
    }

    #[test]
    fn a_contender_that_fails_has_no_time_but_a_reason() {
        let contenders = [shell("good", "exit 0"), shell("bad", "echo too hot >&2; exit 3")];
        let figures = run(&contenders, 2);
        assert!(matches!(&figures[0], Figure::Measured(times) if times.median() > Duration::ZERO));
        assert!(matches!(&figures[1], Figure::Missing(why) if why.contains("3") && why.contains("too hot")));
        let table = table(&contenders, &figures, "good");
        assert!(table.contains("1.00") && table.contains("not measured: exit status: 3: too hot"), "{table}");
        assert!(data(&contenders, &figures, "good")[1]["p50_ms"].is_null());
    }
}
