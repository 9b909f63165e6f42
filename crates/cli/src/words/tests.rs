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
