//! What a task names, looked at before anything is made: names of inputs, and places that have to be what they are for.

use std::collections::BTreeSet;
use std::path::Path;

use crate::TaskError;
use crate::spec::TaskSpec;

/// Longest name of a file.
const NAME_BYTES: usize = 255;

/// Refuses what could only fail later, with something half made.
pub(crate) fn check(spec: &TaskSpec) -> Result<(), TaskError> {
    let mut names = BTreeSet::new();
    for input in &spec.inputs {
        let name = input.name.as_str();
        if !is_one_part(name) {
            return Err(wrong(
                format!("`{}` cannot be the name of an input", name.escape_debug()),
                "give it a plain name, by which it is seen as /input/NAME: without `/`, not `.` or `..`",
            ));
        }
        if !names.insert(name) {
            return Err(wrong(format!("two inputs have the name `{name}`"), "give each input a name of its own"));
        }
    }
    if let Some(code) = spec.code.as_deref().filter(|code| code.exists() && !code.is_dir()) {
        return Err(wrong(format!("the code `{}` is no folder", code.display()), "name the folder that it lies in"));
    }
    spec.receipt.as_deref().map_or(Ok(()), check_receipt)
}

fn check_receipt(path: &Path) -> Result<(), TaskError> {
    if path.is_dir() {
        return Err(wrong(format!("the receipt `{}` is a folder", path.display()), "name a file in it"));
    }
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => Err(wrong(
            format!("there is no folder `{}` for the receipt", folder.display()),
            "make it, or name another place for the receipt",
        )),
        _ => Ok(()),
    }
}

/// Whether a name is one part of a path, and stays where it is put.
fn is_one_part(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= NAME_BYTES && !name.contains(['/', '\0'])
}

fn wrong(what: String, remedy: &'static str) -> TaskError {
    TaskError::Spec { what, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_an_input_leads_nowhere_else() {
        for good in ["data", "data.csv", "..data", "日记", " "] {
            assert!(is_one_part(good), "{good}");
        }
        for bad in ["", ".", "..", "../a", "a/b", "/a", "a/", "a\0", &"n".repeat(256)] {
            assert!(!is_one_part(bad), "{bad}");
        }
    }
}
