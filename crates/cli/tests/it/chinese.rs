//! The command line in Chinese: what is finished leaves no sentence in English.

use hotcell_testkit::english_in;
use serde_json::Value;

use crate::hotcell::{Place, text};

/// Runs in a Chinese locale, and gives status and all that was printed.
fn said(place: &Place, words: &[&str]) -> (i32, String) {
    let output = place.command(words).env("LC_ALL", "zh_CN.UTF-8").output().unwrap();
    (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_demo_speaks_chinese() {
    let place = Place::new();
    let (status, said) = said(&place, &["demo"]);
    assert_eq!(status, 0, "{said}");
    // What the preflight tried is written as system calls are, and a purpose as whoever asked wrote it.
    let lines =
        said.lines().filter(|line| !line.contains("立住") && !line.contains("目的：second reading of biopsies"));
    let english: Vec<_> = lines.filter_map(|line| Some((english_in(line)?, line))).collect();
    assert!(english.is_empty(), "not in crates/cli/src/zh-CN.txt: {english:#?}");
    for word in ["Hotcell（热室）演示", "每道隔离墙都已立住", "已放行", "离线核验", "恶意运行器的 10 次尝试中的 10 次"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn explanations_errors_and_doctor_speak_chinese() {
    let place = Place::new();
    place.file("table.csv", "a,b\n1,2\n");
    for (status, words) in [
        (0, &["explain", "--all"][..]),
        (0, &["explain", "CRY-044"]),
        (1, &["explain", "XYZ-999"]),
        (125, &["open", "--key", "k", "--output", "out", "missing"]),
        (2, &["run"]),
        (125, &["run", "--input", "x=/nowhere", "--", "true"]),
        (2, &["policy", "explain", "--profile", "no-such"]),
        (1, &["show", "t-aaaaaaaaaaaaaaaa"]),
        (1, &["audit", "verify"]),
        (123, &["receipt", "verify", "table.csv"]),
    ] {
        let (seen, said) = said(&place, words);
        assert_eq!(seen, status, "{words:?}: {said}");
        // The original stands in brackets where the phrase book has only the code's own words.
        let own: Vec<_> = said.lines().map(|line| line.split('（').next().unwrap()).collect();
        let english: Vec<_> = own.iter().filter_map(|line| english_in(line)).collect();
        assert!(english.is_empty(), "{words:?}: {english:?}\n{said}");
        assert!(said.contains(['。', '：']), "{words:?}: {said}");
    }
    let (_, said) = said(&place, &["doctor"]);
    let english: Vec<_> = said.lines().filter_map(english_in).collect();
    assert!(said.contains("控制") && english.is_empty(), "{english:?}\n{said}");
}

/// Of a task: its file from a learned run, and everything that `show` tells of one that was held up.
#[test]
fn init_and_show_speak_chinese() {
    let place = Place::new();
    place.file("table.csv", "a,b\n1,2\n");
    let (status, told) = said(&place, &["init", "--learn", "--", "sh", "-c", "cat /input/table > /output/x"]);
    assert_eq!(status, 0, "{told}");
    for (status, words) in [
        (2, &["init"][..]),
        (1, &["init", "--output", "o", "--learn", "--", "false"]),
        (0, &["init", "--output", "p", "--", "true"]),
        (124, &["run", "--limit", "wall=300ms", "--", "sleep", "600"]),
    ] {
        let (seen, told) = said(&place, words);
        let english: Vec<_> = told.lines().filter_map(english_in).collect();
        assert!(seen == status && english.is_empty(), "{words:?} {seen}: {english:?}\n{told}");
    }
    let listed = said(&place, &["ps", "--all"]).1;
    for task in listed.lines().filter_map(|line| line.split(' ').next()) {
        let told = said(&place, &["show", task]).1;
        // Events are told as they are in the log, and a purpose as it was given.
        let own =
            told.lines().take_while(|line| !line.contains("task-submitted")).filter(|line| !line.contains("目的："));
        let english: Vec<_> = own.filter_map(english_in).collect();
        assert!(english.is_empty(), "{english:?}\n{told}");
    }
    assert!(told.lines().filter_map(english_in).next().is_none(), "{told}");
}

#[test]
fn keys_seals_policies_and_the_log_speak_chinese() {
    let place = Place::new();
    place.file("plain", "text");
    let profile = place.file("own.toml", "name = 3\n").to_string_lossy().into_owned();
    assert_eq!(said(&place, &["keygen", "--output", "k"]).0, 0);
    assert_eq!(said(&place, &["run", "--", "true"]).0, 0);
    for (status, words, expected) in [
        (0, &["seal", "--recipient", "k.pub", "--output", "s", "plain"][..], "已密封给 1 个接收者"),
        (0, &["open", "--key", "k", "--output", "o", "s"], "已启封 4 字节"),
        (2, &["open", "--key", "k", "--output", "o", "s"], "输出已存在"),
        (0, &["audit", "verify"], "完好"),
        (0, &["ps", "--all"], "已放行"),
        (1, &["policy", "check", &profile], "1 处错误"),
        (3, &["run", "--verbose", "--", "sh", "-c", "exit 3"], "工作负载失败 · 放行 0 个文件 · 0 项发现"),
        (127, &["run", "--", "no-such-program"], "无法执行：没有那个文件或目录"),
    ] {
        let (seen, said) = said(&place, words);
        assert_eq!(seen, status, "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
        let own = said.lines().map(|line| line.split('（').next().unwrap());
        let english: Vec<_> = own.filter_map(english_in).collect();
        assert!(english.is_empty(), "{words:?}: {english:?}\n{said}");
    }
    // Lists of names, as of walls, are the same in each language.
    let (status, said) = said(&place, &["policy", "explain"]);
    assert!(status == 0 && said.contains("（内置配置档 `strict`；最多 64GiB）"), "{said}");
    assert!(!said.contains("built-in profile"), "{said}");
}

#[test]
fn commands_and_purposes_stay_as_they_were_given() {
    let place = Place::new();
    let dry = said(&place, &["run", "--dry-run", "--", "make", "a  b"]).1;
    assert!(dry.contains("将运行：make a  b\n"), "{dry}");
    let ran = said(&place, &["run", "--purpose", "read", "--", "make"]).1;
    let listed = said(&place, &["ps", "--all"]).1;
    assert!(listed.trim_end().ends_with("  make"), "{ran}{listed}");
    let shown = said(&place, &["show", listed.split(' ').next().unwrap()]).1;
    let cells = |label: &str| shown.lines().find_map(|line| Some(line.strip_prefix(label)?.trim().to_owned()));
    assert_eq!(cells("工作负载").as_deref(), Some("make"), "{shown}");
    assert!(shown.contains("，目的：read\n") && !shown.contains("创建"), "{shown}");
    let script = "printf x > /output/refused";
    let ran = said(&place, &["run", "--verbose", "--output", "o\u{1b}]0;x", "--", "sh", "-c", script]).1;
    assert!(ran.contains("o\\u{1b}]0;x/refused：1 字节") && !ran.contains('\u{1b}'), "{ran}");
    let listed = said(&place, &["ps", "--all"]).1;
    let shown = said(&place, &["show", listed.lines().last().unwrap().split(' ').next().unwrap()]).1;
    assert_eq!(
        shown.lines().find(|line| line.contains("字节，原样")).and_then(|line| line.find("refused：1 字节")),
        Some(14),
        "{shown}"
    );
}

#[test]
fn help_and_a_wrong_command_line_speak_chinese() {
    let place = Place::new();
    for words in [&["--help"][..], &["open", "--help"], &["audit", "show", "--help"], &["image", "pull", "--help"]] {
        let said = said(&place, words).1;
        assert!(said.contains("用法：hotcell") && said.contains("选项"), "{words:?}: {said}");
        assert!(
            english_in(&said.replace('\n', " ")).is_none(),
            "{words:?}: {:?}",
            english_in(&said.replace('\n', " "))
        );
    }
    assert!(said(&place, &["--help"]).1.contains("\n  policy\n"), "names of commands are the same in each language");
    for (words, expected) in [
        (&["keygen"][..], "缺少以下必需的参数"),
        (&["exlain"], "提示：有一个相近的子命令：'explain'"),
        (&["open", "--no-such"], "不认识的参数 '--no-such'"),
        (&["audit", "show", "--since", "x"], "应为 RFC 3339 日期"),
    ] {
        let (status, said) = said(&place, words);
        assert!(status == 2 && said.contains(expected) && said.contains("更多信息"), "{words:?}: {said}");
    }
}

#[test]
fn json_does_not_depend_on_the_language() {
    let place = Place::new();
    let (status, told) = said(&place, &["--json", "explain", "CRY-044"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["title"]), (0, &"not sealed to this key".into()));
    let (status, told) = said(&place, &["--json", "open", "--key", "k", "--output", "out", "missing"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["error"]["message"]), (125, &"cannot read `missing`".into()));
}

#[test]
fn a_locale_without_unicode_gets_english_in_plain_signs() {
    let place = Place::new();
    for locale in ["C", "zh_CN.GB18030"] {
        for words in [&["demo"][..], &["doctor"], &["explain", "--all"]] {
            let output = place.command(words).env("LC_ALL", locale).output().unwrap();
            assert!(output.stdout.is_ascii(), "{locale} {words:?}: {}", text(&output.stdout));
        }
    }
}
