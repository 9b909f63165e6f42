//! What a task names, looked at before anything is made: places that have to be what they are for.

use std::path::Path;

use crate::TaskError;
use crate::spec::TaskSpec;

/// Refuses what could only fail later, with something half made.
pub(crate) fn check(spec: &TaskSpec) -> Result<(), TaskError> {
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

fn wrong(what: String, remedy: &'static str) -> TaskError {
    TaskError::Spec { what, remedy }
}
