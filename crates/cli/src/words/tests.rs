//! The phrase book.

use super::*;

fn book(text: &'static str) -> Book {
    Book::read(text)
}

#[test]
fn phrases_are_found_whole_with_values_and_within_each_other() {
    let book = book(
        "# comment\nreleased\n= 已放行\n\ntask {}: {}\n= 任务 {}：{}\n{}, sealed to {} recipients\n= {}，密封给 {} 个接收者\n{} of {}\n= 共 {2}，第 {1}\n{} rows\n= {} 行\n",
    );
    for (text, expected) in [
        ("released", "已放行"),
        ("task t-1: released", "任务 t-1：已放行"),
        ("  task t-1: released", "  任务 t-1：已放行"),
        ("569 rows, sealed to 2 recipients", "569 行，密封给 2 个接收者"),
        ("1 of 3", "共 3，第 1"),
        ("unknown words", "unknown words"),
        ("task t-1: ", "task t-1: "),
        ("", ""),
    ] {
        assert_eq!(book.line(text), expected, "{text}");
    }
}

#[test]
fn columns_keep_their_places_though_chinese_characters_are_wide() {
    let book = book("task\n= 任务\noutcome\n= 结果\nseccomp stands\n= 立住\n");
    assert_eq!(book.line("task        t-1  done"), "任务        t-1  done");
    assert_eq!(book.line("  outcome   seccomp stands   x"), "  结果      立住             x");
    // A translation that is wider than its column moves what follows by as little as it must.
    assert_eq!(super::Book::read("a\n= 很长的译文\n").line("a  b  c"), "很长的译文  b  c");
}

#[test]
fn what_stands_in_backticks_is_the_users_own() {
    let book = book("released\n= 已放行\ncannot read `{}`\n= 无法读取 `{}`\n");
    assert_eq!(book.line("cannot read `released`"), "无法读取 `released`");
}

#[test]
fn what_is_marked_as_others_is_one_value_and_never_touched() {
    let book = book("make\n= 创建\n{}: {} rows\n= {}：{} 行\n{}, for: {}\n= {}，用途：{}\nleft\n= 放行\n");
    let theirs = crate::print::theirs;
    for (text, expected) in [
        (theirs("make"), theirs("make")),
        (format!("{}: 3 rows", theirs("a: b rows")), format!("{}：3 行", theirs("a: b rows"))),
        (format!("make, for: {}", theirs("make")), format!("创建，用途：{}", theirs("make"))),
        (format!("left   {}  x", theirs("make  make")), format!("放行   {}  x", theirs("make  make"))),
        (format!("{}   left", theirs("一  b")), format!("{}   放行", theirs("一  b"))),
    ] {
        assert_eq!(book.line(&text), expected);
    }
    // A mark without its other half makes nothing fail.
    for text in ["\u{10fff0}", "make\u{10fff0}  make", "\u{10fff1}: 3 rows", "\u{10fff0}a: 3 rows"] {
        let _ = book.line(text);
    }
}

#[test]
fn the_line_that_closes_a_run_is_told_whole() {
    for (line, expected) in [
        (
            "1 file, 3 B, 136 bits of capacity left · 0 findings · receipt: hotcell show t-1",
            "放行 1 个文件，3 B，容量 136 比特 · 0 项发现 · 回执：hotcell show t-1",
        ),
        (
            "2 files, 3 B and 4 B live, uninspected, 136 bits of capacity left · 1 finding · receipt: hotcell show t-1",
            "放行 2 个文件，3 B，另有 4 B 直接输出，未经检查，容量 136 比特 · 1 项发现 · 回执：hotcell show t-1",
        ),
    ] {
        assert_eq!(Book::get().line(line), expected);
    }
}

#[test]
fn no_text_makes_the_book_fail_or_go_on_for_ever() {
    let book = book("{}{}{}\n= {}{}{}\n{}: {}\n= {}：{}\na{\n= {9}{}}\n");
    for text in ["a", "ab", "abc", ": : : :", "a{", "{}", "é", "\u{202e}", "`", "a: b: c: d: e: f: g: h"] {
        let _ = book.line(text);
    }
    let long = "a: ".repeat(100_000);
    assert_eq!(book.line(&long), long);
}

#[test]
fn every_entry_of_the_book_has_its_translation_and_loses_no_value() {
    let values = |text: &str| text.matches('{').count();
    let lines: Vec<_> = BOOK.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let mut seen = std::collections::HashSet::new();
    for pair in lines.chunks(2) {
        let [phrase, translation] = pair else { panic!("the last phrase has no translation") };
        assert!(!phrase.starts_with("= ") && translation.starts_with("= "), "{phrase}");
        assert!(seen.insert(*phrase), "`{phrase}` stands twice");
        assert_eq!(values(phrase), values(translation), "{phrase}");
        assert!(!phrase.contains("  "), "`{phrase}`: columns are looked up one by one");
        for typed in phrase.split('`').skip(1).step_by(2).filter(|typed| !typed.contains("{}")) {
            assert!(translation.contains(&format!("`{typed}`")), "{phrase} lacks `{typed}`");
        }
    }
}

#[test]
fn all_that_doctor_says_of_made_up_hosts_and_all_reasons_of_skipped_attacks_are_in_the_book() {
    let hosts =
        std::fs::read_to_string(hotcell_testkit::workspace().join("crates/isolate/testdata/doctor.txt")).unwrap();
    let names: Vec<_> = hosts.lines().filter(|line| line.starts_with("Linux ") || line.starts_with("WSL ")).collect();
    let reasons = hotcell_selftest::reasons().into_iter().collect::<Vec<_>>();
    for text in hosts.lines().filter(|line| !names.contains(line)).chain(reasons.iter().map(String::as_str)) {
        let told = Book::get().line(text);
        let is_chinese = told.chars().any(|character| ('\u{4e00}'..='\u{9fff}').contains(&character));
        // A distribution with its version, and `root`, are the same in each language.
        let words: Vec<_> = text.split(' ').collect();
        let is_name = matches!(words.as_slice(), ["root"])
            || matches!(words.as_slice(), [_, version] if version.starts_with(|c: char| c.is_ascii_digit()));
        assert!(is_name || is_chinese, "{text}: {told}");
        assert_eq!(hotcell_testkit::english_in(&told), None, "{text}: {told}");
    }
}
