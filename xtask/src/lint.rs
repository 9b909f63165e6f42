//! Formatting, lints and documentation, with warnings as errors.
//!
//! Flags go behind `--` or into `RUSTDOCFLAGS`, never into `RUSTFLAGS`: that would replace the
//! flags of `.cargo/config.toml` and compile everything a second time.

use crate::command::{Result, cargo, no_arguments, root, run, title};

/// Formatting.
pub(crate) fn fmt(args: &[String]) -> Result {
    let fix = match args {
        [] => false,
        [arg] if arg == "--fix" => true,
        _ => return Err("fmt takes `--fix` or nothing".into()),
    };
    title("formatting");
    let mut command = std::process::Command::new("cargo");
    command.current_dir(root()).args(["fmt", "--all"]);
    if !fix {
        command.arg("--check");
    }
    run(&mut command)
}

/// Lints.
pub(crate) fn clippy(args: &[String]) -> Result {
    no_arguments(args)?;
    title("clippy");
    run(cargo("clippy").args(["--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"]))
}

/// Documentation. Only rustdoc's own warnings: the compiler's are clippy's business.
pub(crate) fn doc(args: &[String]) -> Result {
    no_arguments(args)?;
    title("documentation");
    run(cargo("doc").args(["--workspace", "--no-deps", "--keep-going"]).env("RUSTDOCFLAGS", "-D warnings"))
}
