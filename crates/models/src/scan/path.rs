//! Names within a model: plain, relative, below the model's own folder.

use super::refusal::{Bad, Why, shown};

/// Checks a relative name of a file: no root, no `..`, no empty part, no drive, no control character, UTF-8.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &str) -> Result<(), String> {
    let wrong = |what: &str| Err(format!("the name `{}` {what}", shown(name)));
    if name.is_empty() || name.len() > MAX_NAME {
        return wrong("is empty or too long");
    }
    if name.starts_with('/') {
        return wrong("is absolute");
    }
    if name.contains('\\') || name.contains(':') {
        return wrong("has a sign that some systems take for a path");
    }
    if name.chars().any(|letter| letter.is_control() || is_invisible(letter)) {
        return wrong("has an invisible character");
    }
    let mut parts = 0;
    for part in name.split('/') {
        parts += 1;
        match part {
            ".." => return wrong("leads out of its folder"),
            "" | "." => return wrong("has an empty part"),
            part if part.len() > MAX_PART => return wrong("has a part that is too long"),
            _ => {}
        }
    }
    if parts > MAX_PARTS { wrong("lies too deep") } else { Ok(()) }
}

pub(crate) fn checked(name: &str) -> Result<(), Bad> {
    check_name(name).map_err(|reason| Bad::new(Why::OutsideName, reason))
}

/// Letters that change how a name looks and not what it is.
fn is_invisible(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fffd}')
}

/// Of a whole name.
const MAX_NAME: usize = 1024;
/// Of a part, as file systems have it.
const MAX_PART: usize = 255;
/// Folders within each other.
const MAX_PARTS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_below_the_folder_pass_and_others_do_not() {
        for good in ["model.onnx", "a/b/c.bin", "模型/权重.npy", "..a", "a..", ".hidden"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(256);
        let deep = ["a"; 33].join("/");
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../b",
            "a/..",
            "a//b",
            "a/",
            "./a",
            "a/./b",
            "a\\..\\b",
            "C:x",
            "a\0b",
            "a\nb",
            "a\u{202e}b",
            &long,
            &deep,
        ] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
