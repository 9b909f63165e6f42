//! `hotcell init`: what it writes, a run reads and does.

use hotcell_testkit::{require_program, workspace};

use crate::hotcell::{Place, text};
use crate::screen::Screen;

#[test]
fn a_folder_with_a_model_and_a_table_becomes_a_task_that_scores_it() {
    let place = Place::new();
    for file in ["model.onnx", "patients.csv"] {
        std::fs::copy(workspace().join("examples/biopsy").join(file), place.path(file)).unwrap();
    }
    let told = place.expect(0, &["init"]);
    assert!(told.contains("wrote task.toml; run it: hotcell run --task task.toml"), "{told}");
    let written = std::fs::read_to_string(place.path("task.toml")).unwrap();
    assert!(written.contains("keys = [\"patient\"]") && written.contains("# [[output]]"), "{written}");
    place.expect(0, &["run", "--task", "task.toml"]);
    assert!(std::fs::read_to_string(place.path("out/scores.csv")).unwrap().starts_with("patient,"));
}

#[test]
fn a_script_becomes_a_task_and_nothing_is_ever_overwritten() {
    let place = Place::new();
    place.file("count.sh", "wc -l < /input/data > /output/lines\n");
    place.file("data.csv", "a,b\n1,2\n");
    place.expect(0, &["init"]);
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("out/lines")).unwrap().trim(), "2");

    let before = std::fs::read_to_string(place.path("task.toml")).unwrap();
    let refused = place.output(&["init", "--", "true"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("init overwrites nothing"), "{}", text(&refused.stderr));
    assert_eq!(std::fs::read_to_string(place.path("task.toml")).unwrap(), before);
    std::os::unix::fs::symlink("nowhere", place.path("link.toml")).unwrap();
    assert_eq!(place.output(&["init", "--output", "link.toml"]).status.code(), Some(2));
    place.expect(0, &["init", "--output", "other.toml", "--", "echo", "a b"]);
    assert!(std::fs::read_to_string(place.path("other.toml")).unwrap().contains("command = [\"echo\", \"a b\"]"));
}

#[test]
fn an_empty_folder_gives_no_task_but_a_way_to_one() {
    let place = Place::new();
    let refused = place.output(&["init"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("hotcell init -- COMMAND"), "{}", text(&refused.stderr));
    assert_eq!(place.output(&["init", "--learn"]).status.code(), Some(2), "a command is needed to learn from");
    assert!(place.names().is_empty(), "{:?}", place.names());
}

#[test]
fn a_learned_run_is_contained_and_proposes_limits_that_the_command_keeps() {
    let place = Place::new();
    place.file("data.csv", "a,b\n1,2\n");
    place.file(
        "work.sh",
        "cat /input/data > /output/copy\nhead -c 20m /dev/zero | tail -c 20m | wc -c > /output/size\n\
                           touch /code/x 2>/dev/null && echo escaped > /output/escaped\ntrue\n",
    );
    let output = place.output(&["init", "--learn", "--", "sh", "work.sh"]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(err.contains("seen: left copy") && !err.contains("escaped"), "{err}");
    let written = std::fs::read_to_string(place.path("task.toml")).unwrap();
    assert!(written.contains("from a learned run") && written.contains("output_files = 2"), "{written}");
    assert!(written.contains("wall = \"1m\""), "{written}");
    assert!(!place.path("x").exists() && !place.path("out").exists(), "a learned run leaves nothing but the file");
    assert_eq!(
        std::fs::read_dir(place.state())
            .unwrap()
            .flatten()
            .filter(|entry| { entry.file_name().to_string_lossy().starts_with("learning-") })
            .count(),
        0
    );
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("out/copy")).unwrap(), "a,b\n1,2\n");
}

#[test]
fn a_learned_run_tells_which_calls_were_refused_and_what_would_permit_them() {
    require_program!("python3");
    let place = Place::new();
    // inotify_init1 may be granted, unshare never, a socket only of harmless families; each three times.
    place.file(
        "work.py",
        "import ctypes, socket, sys\nlibc = ctypes.CDLL(None, use_errno=True)\nrefused = 0\n\
         def netlink():\n    try: socket.socket(16, socket.SOCK_RAW, 0)\n    except PermissionError: return True\n\
         for _ in range(3):\n    refused += libc.inotify_init1(0) == -1 and ctypes.get_errno() == 1\n    \
         refused += libc.unshare(0x10000000) == -1 and ctypes.get_errno() == 1\n    refused += netlink()\n\
         open('/output/refused', 'w').write(str(refused))\n",
    );
    let output = place.output(&["init", "--learn", "--", "python3", "work.py"]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    for call in ["inotify_init1", "unshare", "socket"] {
        assert!(err.contains(&format!("seen: refused {call} 3 times")), "{call}: {err}");
    }
    let written = std::fs::read_to_string(place.path("task.toml")).unwrap();
    let written = written.replace("\n#", "").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(written.contains("[system_calls] allow = [\"inotify_init1\"]"), "{written}");
    assert!(written.contains("the call unshare (3 times), which nothing permits"), "{written}");
    assert!(written.contains("the call socket (3 times) with what it asked for"), "{written}");
    // Each refused call failed as it does without being told.
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("out/refused")).unwrap(), "9");
}

#[test]
fn a_run_that_fails_teaches_nothing() {
    let place = Place::new();
    let output = place.output(&["init", "--learn", "--", "sh", "-c", "exit 7"]);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(told.contains("nothing was learned") && told.contains("7"), "{told}");
    assert!(!place.path("task.toml").exists());
}

/// A folder from which a task could be made.
fn folder() -> Place {
    let place = Place::new();
    place.file("count.sh", "wc -l < /input/data > /output/lines\n");
    place.file("data.csv", "a,b\n1,2\n");
    place.file("notes.csv", "c\n");
    place
}

#[test]
fn on_a_terminal_it_asks_and_shows_what_it_would_write() {
    let place = folder();
    let mut screen = Screen::new(&place, &["init"]);
    screen.shows("What is to run? [sh count.sh] ");
    screen.types("\n");
    screen.shows("What for (the log and the receipt say so)? ");
    screen.types("counting lines\n");
    screen.shows("Where do results go? [out] ");
    screen.types("results\n");
    screen.shows("Show `data.csv` to it, as /input/data? [yes] ");
    screen.types("y\n");
    screen.shows("Show `notes.csv` to it, as /input/notes? [yes] ");
    screen.types("no\n");
    let file = screen.shows("Write this to `task.toml`? [yes] ");
    assert!(file.contains("purpose = \"counting lines\"") && !file.contains("notes"), "{file}");
    assert!(!place.path("task.toml").exists(), "it is asked before");
    screen.types("\n");
    screen.shows("wrote task.toml");
    assert_eq!(screen.ends().0, Some(0));
    place.expect(0, &["run", "--task", "task.toml"]);
    assert_eq!(std::fs::read_to_string(place.path("results/lines")).unwrap().trim(), "2");
}

#[test]
fn a_no_the_end_of_the_input_and_ctrl_c_write_nothing() {
    for (keys, status, told) in
        [("no\n", Some(1), "nothing was written"), ("\x04", Some(2), "--yes"), ("\x03", None, "")]
    {
        // At the first question, and at the last.
        for questions in [0, 5] {
            if keys == "no\n" && questions == 0 {
                continue;
            }
            let place = folder();
            let mut screen = Screen::new(&place, &["init"]);
            for _ in 0..questions {
                screen.shows("? ");
                screen.types("\n");
            }
            screen.shows(if questions == 0 { "? [" } else { "Write this to `task.toml`? [yes] " });
            screen.types(keys);
            let (seen, said) = screen.ends();
            assert_eq!(seen, status, "{said}");
            assert!(said.contains(told), "{said}");
            assert!(!place.path("task.toml").exists() && !place.path("state").exists(), "{said}");
        }
    }
}

#[test]
fn it_asks_in_chinese_where_that_is_the_language() {
    let place = folder();
    let mut hotcell = place.command(&["init"]);
    hotcell.env("LC_ALL", "zh_CN.UTF-8");
    let mut screen = Screen::of(hotcell);
    for question in [
        "要运行什么？ [sh count.sh] ",
        "目的是什么（日志和回执会写明）？ ",
        "结果放到哪里？ [out] ",
        "/input/data 给它看？ [yes] ",
    ] {
        screen.shows(question);
        screen.types("\n");
    }
    screen.shows("/input/notes 给它看？ [yes] ");
    screen.types("不\n");
    let file = screen.shows("是否把以上内容写入 `task.toml`？ [yes] ");
    assert!(file.contains("command = [\"sh\", \"count.sh\"]") && !file.contains("notes"), "{file}");
    screen.types("是\n");
    screen.shows("已写入 task.toml");
    assert_eq!(screen.ends().0, Some(0));
}
