//! What is told when Hotcell itself is wrong: a plain sentence with a code, and never the text of a panic, which
//! could repeat what must not be seen.

use std::fmt;
use std::panic::{self, Location};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use hotcell_types::{Exit, Explain};

use crate::failure::Failure;

/// From now on a defect ends the process with 125 and a sentence.
pub(crate) fn tell_instead_of_panicking() {
    panic::set_hook(Box::new(|info| {
        let failure = Failure::from(Defect { reference: reference(info.location()) });
        failure.tell(IS_JSON.load(Ordering::Relaxed));
        std::process::exit(failure.status().into());
    }));
}

/// Whether a defect is told as JSON, like every other error.
pub(crate) fn tell_as_json(is_json: bool) {
    IS_JSON.store(is_json, Ordering::Relaxed);
}

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Something that we took for impossible.
#[derive(Debug)]
pub(crate) struct Defect {
    reference: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is a defect of Hotcell, not of your task (reference {})", self.reference)
    }
}

impl std::error::Error for Defect {}

impl Explain for Defect {
    fn code(&self) -> &'static str {
        "HOT-001"
    }

    fn remedy(&self) -> String {
        "report it with this reference and the command line; what was running has been ended, and the next task cleans up"
            .to_owned()
    }

    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// Version, file and line: enough to find the place, and nothing of what was worked on.
fn reference(place: Option<&Location<'_>>) -> String {
    let version = crate::VERSION;
    let Some(place) = place else { return version.to_owned() };
    let file = Path::new(place.file()).file_stem().unwrap_or_default().to_string_lossy();
    format!("{version}-{file}-{}", place.line())
}

#[cfg(test)]
mod tests {
    use std::env;
    use std::process::Command;

    use super::*;

    /// The body of the next test's child, and nothing at all in an ordinary run.
    #[test]
    fn fails_when_asked() {
        let Some(form) = env::var_os("HOTCELL_TEST_DEFECT") else { return };
        tell_instead_of_panicking();
        tell_as_json(form == "json");
        match form == "thread" {
            true => drop(std::thread::spawn(|| panic!("a secret: hunter2")).join()),
            false => panic!("a secret: hunter2"),
        }
    }

    #[test]
    fn a_defect_is_told_in_a_sentence_with_a_code_and_ends_with_125() {
        for form in ["text", "thread", "json"] {
            let output = Command::new(env::current_exe().unwrap())
                .args(["--exact", "defect::tests::fails_when_asked", "--nocapture"])
                .env("HOTCELL_TEST_DEFECT", form)
                .env("RUST_BACKTRACE", "full")
                .env("LC_ALL", "C.UTF-8")
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(125), "{form}");
            let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            let told = if form == "json" { &out } else { &err };
            assert!(told.contains("HOT-001") && told.contains("this is a defect of Hotcell"), "{form}: {told}");
            for word in ["panic", "hunter2", "backtrace", ".rs", "src/", "0x", "unwrap"] {
                assert!(!out.contains(word) && !err.contains(word), "{form}, {word}: {out}{err}");
            }
        }
    }
}
