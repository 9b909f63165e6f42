//! The hostile runner of the demo: a foreign program that tries to get out, and to carry data out.
//!
//! It is this very binary, copied to `hostile-runner` and shown at `/code`. It has no more rights than any other
//! workload, and outside of a sandbox it does nothing that its user could not do by hand.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The name under which the binary is the hostile runner.
pub(crate) const NAME: &str = "hostile-runner";

/// Everything that it tries from inside, by the name that stands in its report.
pub(crate) const ATTEMPTS: &[&str] =
    &["read-home", "reach-network", "trace-process", "write-input", "write-host", "outgrow-memory"];

/// Every result that it can report.
pub(crate) const RESULTS: &[&str] = &[
    "succeeded",
    "EPERM",
    "ENOENT",
    "EACCES",
    "EROFS",
    "ENOSYS",
    "ENOMEM",
    "ENOTDIR",
    "EAFNOSUPPORT",
    "ENETUNREACH",
    "ECONNREFUSED",
    "other",
];

/// Memory that it asks for at once.
const PIECE_BYTES: usize = 16 << 20;
/// Memory at which it gives up and says that it succeeded.
const ENOUGH_BYTES: usize = 8 << 30;

/// Whether this process was started as the hostile runner.
pub(crate) fn is_hostile(name: Option<&OsStr>) -> bool {
    name.and_then(|name| Path::new(name).file_name()).is_some_and(|name| name == NAME)
}

/// Runs one of its tricks.
pub(crate) fn main(trick: Option<OsString>) -> ExitCode {
    let done = match trick.as_deref().and_then(OsStr::to_str) {
        Some("attempts") => attempts(),
        Some("add-column") => add_column(),
        Some("hide-row") => hide_row(),
        Some("outgrow") => outgrow(),
        _ => Err(io::Error::other("the hostile runner's tricks are: attempts, add-column, hide-row, outgrow")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Its words are withheld anyway.
            let _ = writeln!(io::stderr().lock(), "{NAME}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Tries to get out, prints the patients, and reports how each attempt ended.
fn attempts() -> io::Result<()> {
    let mut report = String::from("attempt,result\n");
    for attempt in ATTEMPTS {
        let result = match *attempt {
            "read-home" => said(read_home()),
            "reach-network" => said(reach_network()),
            "trace-process" => trace(),
            "write-input" => said(OpenOptions::new().append(true).open("/input/data").map(drop)),
            "write-host" => said(File::create("/usr/bin/hotcell-was-here").map(drop)),
            _ => continue,
        };
        report.push_str(&format!("{attempt},{result}\n"));
    }
    io::stdout().lock().write_all(&fs::read("/input/data")?)?;
    fs::write("/output/attempts.csv", report)
}

fn read_home() -> io::Result<()> {
    let homes = ["/root/.ssh", "/root", "/home", "/etc/shadow"];
    let mut last = Ok(());
    for home in homes {
        last = fs::read_dir(home).map(drop).or_else(|_| File::open(home).map(drop));
        if last.is_ok() {
            break;
        }
    }
    last
}

fn reach_network() -> io::Result<()> {
    let address = ([192, 0, 2, 1], 443).into();
    TcpStream::connect_timeout(&address, Duration::from_secs(2)).map(drop)
}

fn trace() -> &'static str {
    match hotcell_sys::process::trace_me() {
        Ok(()) => "succeeded",
        Err(errno) => name(errno.0),
    }
}

/// Takes memory until it is killed, or gets no more and says so.
fn outgrow() -> io::Result<()> {
    let mut held: Vec<Vec<u8>> = Vec::new();
    while held.len() * PIECE_BYTES < ENOUGH_BYTES {
        let mut piece = Vec::new();
        if piece.try_reserve_exact(PIECE_BYTES).is_err() {
            drop(held);
            return fs::write("/output/attempts.csv", "attempt,result\noutgrow-memory,ENOMEM\n");
        }
        // Not zero, so that every page is really taken.
        piece.resize(PIECE_BYTES, 0x5a);
        held.push(piece);
    }
    fs::write("/output/attempts.csv", "attempt,result\noutgrow-memory,succeeded\n")
}

/// Writes a good table with one column more.
fn add_column() -> io::Result<()> {
    let table = fs::read_to_string("/input/data")?;
    let mut text = String::from("patient,probability_malignant,malignant,radius\n");
    for row in table.lines().skip(1) {
        let mut cells = row.split(',');
        let (patient, radius) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        text.push_str(&format!("{patient},0.5,0,{radius}\n"));
    }
    fs::write("/output/scores.csv", text)
}

/// Writes a good table whose digits and order of rows carry the first patient's measurements: a byte in the third to
/// fifth digit of each row, and a bit in the order of each pair of rows.
fn hide_row() -> io::Result<()> {
    let table = fs::read_to_string("/input/data")?;
    let secret = table.lines().nth(1).unwrap_or_default().as_bytes();
    let mut rows: Vec<String> = Vec::new();
    for (place, row) in table.lines().skip(1).enumerate() {
        let patient = row.split(',').next().unwrap_or_default();
        let byte = secret.get(place).copied().unwrap_or(0);
        rows.push(format!("{patient},0.50{byte:03},1\n"));
    }
    for (place, pair) in rows.chunks_exact_mut(2).enumerate() {
        let byte = secret.get(place / 8).copied().unwrap_or(0);
        if byte >> (place % 8) & 1 == 1 {
            pair.reverse();
        }
    }
    fs::write("/output/scores.csv", format!("patient,probability_malignant,malignant\n{}", rows.concat()))
}

/// What is left of the hidden row in a table that was let out: the bytes that the digits still carry.
pub(crate) fn hidden_bytes(table: &str) -> Vec<u8> {
    let digits = |row: &str| row.split(',').nth(1)?.get(4..7)?.parse().ok();
    table.lines().skip(1).filter_map(digits).collect()
}

fn said(result: io::Result<()>) -> &'static str {
    match result {
        Ok(()) => "succeeded",
        Err(error) => name(error.raw_os_error().unwrap_or(0)),
    }
}

/// The name of an error number.
fn name(errno: i32) -> &'static str {
    match errno {
        1 => "EPERM",
        2 => "ENOENT",
        12 => "ENOMEM",
        13 => "EACCES",
        20 => "ENOTDIR",
        30 => "EROFS",
        38 => "ENOSYS",
        97 => "EAFNOSUPPORT",
        101 => "ENETUNREACH",
        111 => "ECONNREFUSED",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_name_that_its_report_may_hold() {
        for errno in 0..200 {
            assert!(RESULTS.contains(&name(errno)), "{errno}");
        }
    }

    #[test]
    fn a_hidden_row_can_be_read_where_nothing_is_rewritten() {
        let written = "patient,probability_malignant,malignant\nP1,0.50080,1\nP2,0.50049,1\n";
        assert_eq!(hidden_bytes(written), b"P1");
        assert_eq!(hidden_bytes("patient,probability_malignant,malignant\nP1,0.50,1\nP2,0.50,1\n"), b"");
    }
}
