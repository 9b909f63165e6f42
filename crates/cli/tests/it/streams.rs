//! Standard streams of any size, readers that pause, and what Hotcell itself says beside them.

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, Stdio};

use hotcell_testkit::{full_only, is_full};

use crate::hotcell::{Place, text};

/// The most memory that a process had, in KiB, as the kernel counts.
fn peak_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads all of a stream; gives its length and, from the time when all but the end was there, the peak of memory.
fn read_all(child: &mut Child, bytes: u64) -> (u64, u64) {
    let mut stdout = child.stdout.take().unwrap();
    let mut buffer = vec![0u8; 1 << 16];
    let (mut read, mut peak) = (0, 0);
    loop {
        let count = stdout.read(&mut buffer).unwrap();
        if count == 0 {
            return (read, peak);
        }
        read += count as u64;
        if peak == 0 && read > bytes - (1 << 20) {
            peak = peak_kib(child);
        }
    }
}

/// Hotcell with its workload's first megabytes of output, which it keeps, is far below this.
const MOST_KIB: u64 = 96 << 10;

fn passes_output_of(bytes: u64) {
    let place = Place::new();
    let count = bytes.to_string();
    let mut child = place.start(&["run", "--", "head", "-c", &count, "/dev/zero"]);
    let (read, peak) = read_all(&mut child, bytes);
    assert!(child.wait().unwrap().success());
    assert_eq!(read, bytes);
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn much_output_does_not_grow_memory() {
    passes_output_of(if is_full() { 3 << 30 } else { 256 << 20 });
}

#[test]
fn ten_gigabytes_of_output_do_not_grow_memory() {
    full_only!();
    passes_output_of(10 << 30);
}

#[test]
fn standard_input_of_any_size_goes_in() {
    let place = Place::new();
    let bytes: u64 = if is_full() { 4 << 30 } else { 256 << 20 };
    let mut command = place.command(&["run", "--stdin", "--", "wc", "-c"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..bytes / block.len() as u64 {
        stdin.write_all(&block).unwrap();
    }
    let peak = peak_kib(&child);
    drop(stdin);
    assert_eq!(text(&child.wait_with_output().unwrap().stdout).trim(), bytes.to_string());
    assert!(peak < MOST_KIB, "{peak} KiB");
}

#[test]
fn a_reader_that_pauses_holds_up_neither_time_limit_nor_cancellation() {
    let place = Place::new();
    // Nobody reads these pipes until it is over.
    let mut limited = place.start(&["run", "--limit", "wall=500ms", "--", "yes"]);
    assert_eq!(limited.wait().unwrap().code(), Some(124));

    let mut cancelled = place.start(&["run", "--", "sh", "-c", "echo ready >&2; exec yes"]);
    let mut ready = [0; 6];
    cancelled.stderr.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let running = place.json(0, &["--json", "ps"]);
    place.expect(0, &["cancel", running[0]["task"].as_str().unwrap()]);
    assert_eq!(cancelled.wait().unwrap().code(), Some(130));
}

#[test]
fn one_reader_of_both_streams_that_pauses_holds_up_no_time_limit() {
    for _ in 0..4 {
        let place = Place::new();
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = place.command(&["run", "--limit", "wall=500ms", "--", "sh", "-c", "yes & exec yes >&2"]);
        command.stdout(writer.try_clone().unwrap()).stderr(writer);
        let mut child = command.spawn().unwrap();
        drop(command);
        place.awaits_a_receipt();
        // Now somebody reads, and Hotcell can say what it has to say.
        std::io::copy(&mut reader, &mut std::io::sink()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(124));
    }
}

#[test]
fn a_workload_that_takes_its_own_output_back_holds_up_no_time_limit() {
    let place = Place::new();
    // It writes, and reads the same bytes again. Where root started it, the pipe is not its own and it cannot.
    let script = "(: </proc/self/fd/1) 2>/dev/null || exec sleep 60; exec 3</proc/self/fd/1; \
                  while :; do echo bytes; timeout 0.01 cat <&3 >/dev/null; done";
    let mut child = place.start(&["run", "--limit", "wall=2s", "--", "sh", "-c", script]);
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || std::io::copy(&mut out, &mut std::io::sink()));
    assert_eq!(child.wait().unwrap().code(), Some(124));
    reader.join().unwrap().unwrap();
}

#[test]
fn a_reader_that_leaves_does_not_end_the_task() {
    let place = Place::new();
    let script = "head -c 1000000 /dev/zero; echo done > /output/done";
    let mut child = place.start(&["run", "--output", "out", "--", "sh", "-c", script]);
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
    assert!(place.path("out/done").exists());
}

#[test]
fn what_is_said_beside_the_workload_never_reaches_a_pipe_unless_it_was_asked_for() {
    let place = Place::new();
    let run = |verbose: &[&str]| {
        let arguments =
            [&["run"], verbose, &["--output", "out", "--", "sh", "-c", "echo 42 > /output/answer"]].concat();
        let output = place.output(&arguments);
        assert!(output.status.success());
        (text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(run(&[]), (String::new(), String::new()));
    let (stdout, stderr) = run(&["--verbose"]);
    assert_eq!(stdout, "");
    let closing = stderr.lines().last().unwrap();
    let expected = "1 file, 3 B, 136 bits of capacity left · 0 findings · receipt: hotcell show t-";
    assert!(closing.contains(expected), "{stderr}");
}

#[test]
fn a_limit_that_was_met_says_how_much_was_used_and_what_gives_more() {
    let place = Place::new();
    let hungry = "import sys\nblocks = []\nwhile True: blocks.append(bytearray(1 << 20))";
    hotcell_testkit::require_program!("python3");
    let output = place.output(&["run", "-v", "--limit", "memory=64MiB", "--", "python3", "-c", hungry]);
    let said = text(&output.stderr);
    if output.status.code() == Some(124) {
        assert!(said.contains("memory: 64 MiB of 64 MiB; more by --limit memory=256MiB"), "{said}");
        assert!(said.contains("help: give it more: --limit memory=256MiB"), "{said}");
    } else {
        // Without a control group the kernel refuses the memory, and the program fails by itself.
        assert!(said.contains("MemoryError"), "{said}");
    }
    let report = place.json(0, &["--json", "run", "--", "sh", "-c", "head -c 3000000 /dev/zero > /scratch/zeros"]);
    let limit = |name: &str| report["limits"].as_array().unwrap().iter().find(|limit| limit["name"] == name).unwrap();
    assert_eq!(limit("scratch")["used"], "2.9 MiB at the end");
    assert!(limit("wall")["used"].as_str().unwrap().ends_with(" s"));
    let output =
        place.output(&["run", "-v", "--limit", "scratch=1MiB", "--", "sh", "-c", "cat /dev/zero > /scratch/zeros"]);
    let said = text(&output.stderr);
    assert!(said.contains("scratch: 1 MiB at the end of 1 MiB; more by --limit scratch=4MiB"), "{said}");
}

#[test]
fn a_refusal_says_what_would_permit_it() {
    let place = Place::new();
    let output = place.output(&["run", "--output", "out", "--", "ln", "-s", "/etc/passwd", "/output/link"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(121));
    assert!(said.contains("INS-206") && said.contains("help: write the content itself"), "{said}");
    place.file("rows.csv", "secretvalue1\nsecretvalue2\n");
    let arguments = ["run", "--role", "reader", "--input", "data=rows.csv", "--", "cat", "/input/data"];
    let said = text(&place.output(&arguments).stderr);
    assert!(said.contains("INS-303") && said.contains("to permit it: do not print input data"), "{said}");
}

#[test]
fn a_running_task_is_cancelled_by_name_and_its_whole_story_is_told() {
    let place = Place::new();
    let mut child = place.start(&["run", "--purpose", "waiting", "--", "sh", "-c", "echo ready; sleep 600"]);
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    let running = place.json(0, &["--json", "ps"]);
    let task = running[0]["task"].as_str().unwrap().to_owned();
    // Two at once: whoever comes when the task has ended is told so.
    let other = place.start(&["cancel", &task]);
    let outputs = [place.output(&["cancel", &task]), other.wait_with_output().unwrap()];
    let cancelled = format!("{task}: cancelled\n");
    assert!(outputs.iter().any(|output| output.status.success()));
    for output in outputs {
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert!(if output.status.success() { out == cancelled } else { err.contains("CLI-004") }, "{out}{err}");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text(&place.output(&["cancel", &task]).stderr).contains("CLI-004"));
    let story = place.expect(0, &["show", &task]);
    for part in
        ["outcome     cancelled", "for: waiting", "the trusted key", "grant-issued", "workload-ended", "receipt-signed"]
    {
        assert!(story.contains(part), "{part}: {story}");
    }
    let events = place.json(0, &["--json", "show", &task]);
    assert!(events["events"].as_array().unwrap().len() >= 6, "{events}");
    assert_eq!(events["receipt"]["outcome"], "cancelled");
}
