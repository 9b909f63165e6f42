//! Builds the launcher as a static program without a C library, to be embedded in this crate.
//!
//! Cargo cannot build one crate for two kinds of program at once, so the three small sources are given to the
//! compiler directly: `sys` and `launcher` as libraries, then the program that joins them.

#![allow(clippy::panic, reason = "a build that cannot go on stops with the reason")]

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let out = PathBuf::from(variable("OUT_DIR"));
    let sys = PathBuf::from(variable("DEP_HOTCELL_SYS_SRC"));
    let launcher = PathBuf::from(variable("DEP_HOTCELL_LAUNCHER_SRC"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", sys.display());
    println!("cargo::rerun-if-changed={}", launcher.display());

    compile(&out, &sys.join("lib.rs"), &["--crate-type=rlib", "--crate-name=hotcell_sys", "--cfg=hotcell_rt"]);
    let extern_sys = format!("--extern=hotcell_sys={}", out.join("libhotcell_sys.rlib").display());
    let extern_launcher = format!("--extern=hotcell_launcher={}", out.join("libhotcell_launcher.rlib").display());
    compile(&out, &launcher.join("lib.rs"), &["--crate-type=rlib", "--crate-name=hotcell_launcher", &extern_sys]);
    compile(
        &out,
        &launcher.join("start.rs"),
        &[
            "--crate-type=bin",
            "--crate-name=launcher",
            &extern_sys,
            &extern_launcher,
            "-Clto=fat",
            "-Cstrip=symbols",
            "-Crelocation-model=static",
            "-Ctarget-feature=+crt-static",
            "-Clink-arg=-nostartfiles",
            "-Clink-arg=-nostdlib",
            "-Clink-arg=-static",
            "-Clink-arg=-Wl,--build-id=none",
            "-Clink-arg=-Wl,-z,noexecstack",
        ],
    );
}

fn compile(out: &Path, source: &Path, arguments: &[&str]) {
    let mut command = Command::new(variable("RUSTC"));
    command
        .args(["--edition=2024", "-Cpanic=abort", "-Copt-level=2", "-Ccodegen-units=1", "--cap-lints=allow"])
        .arg(format!("--target={}", variable("TARGET")))
        .arg("--out-dir")
        .arg(out)
        .arg(format!("-Ldependency={}", out.display()))
        .args(arguments)
        .arg(source);
    // What hides the building machine's folders in the rest of a release hides them here too.
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    command.args(flags.split('\u{1f}').filter(|flag| flag.starts_with("--remap-path-prefix=")));
    if let Ok(linker) = std::env::var("RUSTC_LINKER") {
        command.arg(format!("-Clinker={linker}"));
    }
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}
