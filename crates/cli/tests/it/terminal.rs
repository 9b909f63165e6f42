//! `hotcell run --tty`, on a terminal of the test's own.

use std::process::Command;

use hotcell_testkit::{require_program, skip};

use crate::hotcell::{Place, text};
use crate::screen::Screen;

const BASH: &[&str] = &["run", "--tty", "--", "bash", "--norc"];

/// A shell in a sandbox, at its first prompt.
fn shell(place: &Place) -> Screen {
    let mut screen = Screen::new(place, BASH);
    let greeting = screen.shows("hotcell:/scratch$ ");
    assert!(!greeting.contains("job control"), "{greeting}");
    screen
}

#[test]
fn a_shell_has_a_terminal_of_its_own_and_ends_with_its_status() {
    let place = Place::new();
    let mut screen = shell(&place);
    screen.types("tty; stty size; echo $TERM; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo a''ll; ls /dev/pts\n");
    let said = screen.shows("all");
    assert!(said.contains("/dev/pts/0") && said.contains("24 80") && said.contains("xterm"), "{said}");
    screen.types("echo to''tty > /dev/tty; exit 7\n");
    screen.shows("totty");
    let (status, rest) = screen.ends();
    assert_eq!(status, Some(7));
    // The closing line, behind everything else; broken where the terminal is narrower.
    let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
    let (_, last) = rest.rsplit_once("receipt: hotcell show ").unwrap();
    assert!(last.starts_with("t-") && !last.contains(' '), "{rest}");
}

#[test]
fn control_keys_reach_the_program_in_front_and_not_hotcell() {
    let place = Place::new();
    let mut screen = shell(&place);
    screen.types("sh -c \"echo re''ady; exec sleep 1000\"\n");
    screen.shows("ready");
    screen.types("\x03");
    screen.shows("hotcell:/scratch$ ");
    screen.types("echo st''atus $?\n");
    screen.shows("status 130");
    screen.types(
        "bash -c \"trap '' INT; trap 'echo st''opped; exit' QUIT; echo wa''iting; while :; do read -r; done\"\n",
    );
    screen.shows("waiting");
    screen.types("\x03\x1c");
    screen.shows("stopped");
    screen.types("echo bef''ore; cat; echo af''ter\n");
    screen.shows("before");
    screen.types("\x04");
    screen.shows("after");
    screen.types("exit 3\n");
    assert_eq!(screen.ends().0, Some(3));
    let mut screen = shell(&place);
    screen.types("\x04");
    assert_eq!(screen.ends().0, Some(0));
}

#[test]
fn a_shell_controls_jobs() {
    let place = Place::new();
    let mut screen = shell(&place);
    screen.types("sleep 1000 & jobs\n");
    screen.shows("Running");
    // It says when it is in front: what is typed is for it then.
    screen.types("sed -u s/x/in-fr''ont/\nx\n");
    screen.shows("in-front");
    screen.types("\x1a");
    screen.shows("Stopped");
    screen.types("fg\nx\n");
    screen.shows("in-front");
    screen.types("\x1a");
    screen.shows("Stopped");
    screen.types("kill %1 %2; fg %2; wait; jobs; echo g''one\n");
    screen.shows("gone");
    screen.types("exit 0\n");
    assert_eq!(screen.ends().0, Some(0));
}

#[test]
fn the_size_of_the_terminal_follows_ours() {
    let place = Place::new();
    let mut screen = shell(&place);
    screen.types("trap 'echo win''ch' WINCH; until [ \"$(stty size)\" = '40 100' ]; do :; done; echo follo''wed\n");
    screen.resize(40, 100);
    screen.shows("followed");
    screen.types("exit\n");
    assert_eq!(screen.ends().0, Some(0));
}

#[test]
fn less_and_vi_work() {
    let place = Place::new();
    require_program!("less");
    place.file("lines", &(1..=500).map(|line| format!("line-{line}\n")).collect::<String>());
    let mut screen = Screen::new(&place, &["run", "--tty", "--input", "data=lines", "--", "less", "/input/data"]);
    screen.shows("line-20");
    screen.types("G");
    screen.shows("line-500");
    screen.types("q");
    assert_eq!(screen.ends().0, Some(0));
    let Some(vi) = ["vim.tiny", "vim", "vi"].into_iter().find(|name| hotcell_testkit::have_program(name)) else {
        skip!("needs the program `vim.tiny`")
    };
    let edit = ["run", "--tty", "--output", "out", "--", vi, "-u", "NONE", "/output/text"];
    let mut screen = Screen::new(&place, &edit);
    screen.shows("~");
    screen.types("iwritten inside\x1b:wq\r");
    assert_eq!(screen.ends().0, Some(0));
    assert_eq!(std::fs::read_to_string(place.path("out/text")).unwrap(), "written inside\n");
}

#[test]
fn the_terminal_is_given_back_however_the_task_ends() {
    let place = Place::new();
    // By its time.
    let mut screen =
        Screen::new(&place, &["run", "--tty", "--limit", "wall=1s", "--", "sh", "-c", "echo on; sleep 600"]);
    screen.shows("on");
    assert_eq!(screen.ends().0, Some(124));
    // By a signal from elsewhere; by its name; by somebody who asks twice.
    let asks: [fn(&Place, &Screen); 3] = [
        |_, screen| signal("TERM", screen),
        |place, _| {
            let running = place.json(0, &["--json", "ps"]);
            place.expect(0, &["cancel", running[0]["task"].as_str().unwrap()]);
        },
        |_, screen| {
            signal("HUP", screen);
            signal("INT", screen);
        },
    ];
    for ask in asks {
        let mut screen =
            Screen::new(&place, &["run", "--tty", "--", "sh", "-c", "trap '' HUP INT; echo on; sleep 600"]);
        screen.shows("on");
        ask(&place, &screen);
        assert_eq!(screen.ends().0, Some(130));
    }
    // What is not found never had it.
    let (status, shown) = Screen::new(&place, &["run", "--tty", "--", "no-such-program"]).ends();
    assert_eq!(status, Some(127), "{shown}");
}

fn signal(name: &str, screen: &Screen) {
    assert!(Command::new("kill").args([&format!("-{name}"), &screen.id()]).status().unwrap().success());
}

#[test]
fn the_workload_cannot_put_words_into_its_terminal() {
    require_program!("python3");
    let place = Place::new();
    let attack = "import fcntl, os\n\
                  for request in (0x5412, 0x541c, 0x541d, 0x5423):\n\
                  \x20   try: fcntl.ioctl(0, request, b'x')\n\
                  \x20   except OSError as error: print('seen', error.errno)\n\
                  \x20   else: print('typed')\n\
                  print('over', os.ttyname(0))";
    let mut screen = Screen::new(&place, &["run", "--tty", "--", "python3", "-c", attack]);
    let said = screen.shows("over /dev/pts/0");
    assert_eq!((said.matches("seen 1\r\n").count(), said.contains("typed")), (4, false), "{said}");
    assert_eq!(screen.ends().0, Some(0));
}

#[test]
fn control_sequences_reach_a_terminal_only_with_tty() {
    let place = Place::new();
    let script = "printf '\\033[31mred\\033]0;title\\007end\\n'";
    let (_, plain) = Screen::new(&place, &["run", "--", "sh", "-c", script]).ends();
    assert!(plain.contains("end") && !plain.contains("\x1b[31m") && !plain.contains("\x1b]0"), "{plain:?}");
    let (_, raw) = Screen::new(&place, &["run", "--tty", "--", "sh", "-c", script]).ends();
    assert!(raw.contains("\x1b[31mred\x1b]0;title\x07end"), "{raw:?}");
}

#[test]
fn a_terminal_is_refused_where_streams_are_inspected_and_where_there_is_none() {
    let place = Place::new();
    place.expect(0, &["keygen", "--output", "reader.key"]);
    for options in [&["--role", "reader"][..], &["--recipient", "reader.key.pub"], &["--profile", "infer"]] {
        let arguments = [&["run", "--tty"], options, &["--", "sh"]].concat();
        let (status, shown) = Screen::new(&place, &arguments).ends();
        assert_eq!(status, Some(121), "{shown}");
        assert!(shown.contains("TSK-003"), "{shown}");
    }
    let output = place.output(&["run", "--tty", "--", "true"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--stdin"), "{}", text(&output.stderr));
    place.expect(2, &["--json", "run", "--tty", "--", "true"]);
    place.expect(2, &["run", "--tty", "--stdin", "--", "true"]);
}

#[test]
fn what_a_terminal_showed_is_kept_and_counted_like_any_live_stream() {
    let place = Place::new();
    let (status, _) = Screen::new(&place, &["run", "--tty", "--receipt", "r.json", "--", "echo", "shown"]).ends();
    assert_eq!(status, Some(0));
    let receipt = place.json(1, &["--json", "receipt", "verify", "r.json"]);
    let streams = receipt["receipt"]["streams"].as_array().unwrap().clone();
    assert_eq!((streams[0]["name"].as_str(), streams[0]["bytes"].as_u64()), (Some("stdout"), Some(7)), "{streams:?}");
    assert_eq!(streams[0]["disposition"], "live-uninspected");
    let task = receipt["receipt"]["task"].as_str().unwrap();
    assert_eq!(place.expect(0, &["logs", task]), "shown\r\n");
}

#[test]
fn a_terminal_that_nobody_reads_holds_up_neither_time_limit_nor_cancellation() {
    for options in [&["run"][..], &["run", "--tty"]] {
        let place = Place::new();
        let arguments = [options, &["--limit", "wall=500ms", "--", "yes"]].concat();
        let screen = Screen::new(&place, &arguments);
        // It is not looked at before there is a receipt.
        place.awaits_a_receipt();
        assert_eq!(screen.ends().0, Some(124), "{options:?}");
    }
}
