//! The launcher for AArch64, on any machine: it compiles and links. (The filter is tested as data, in `filter`.)

use std::path::Path;
use std::process::Command;

use hotcell_testkit::workspace;

const TARGET: &str = "aarch64-unknown-linux-gnu";

#[test]
fn the_launcher_builds_for_aarch64() {
    let rustc = || {
        let mut command = Command::new("rustc");
        command.current_dir(workspace());
        command
    };
    let root = rustc().args(["--print", "sysroot"]).output();
    let Ok(root) = root else {
        // Root's compiler may be out of the ordinary user's reach; the answer is the same for both.
        hotcell_testkit::require_root!();
        hotcell_testkit::skip!("needs the program `rustc`")
    };
    let root = String::from_utf8(root.stdout).unwrap();
    if !Path::new(root.trim()).join("lib/rustlib").join(TARGET).is_dir() {
        hotcell_testkit::skip!("needs the compiler's libraries for {TARGET}: rustup target add {TARGET}");
    }
    let out = tempfile::tempdir().unwrap();
    let crates = workspace().join("crates");
    let compile = |source: &str, arguments: &[&str]| {
        let mut command = rustc();
        command.args([
            "--edition=2024",
            "-Cpanic=abort",
            "-Copt-level=2",
            "-Ccodegen-units=1",
            "--cap-lints=allow",
            "--target",
            TARGET,
        ]);
        command.arg("--out-dir").arg(out.path()).arg(format!("-Ldependency={}", out.path().display()));
        let output = command.args(arguments).arg(crates.join(source)).output().unwrap();
        assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let library = |name: &str| format!("--extern={name}={}", out.path().join(format!("lib{name}.rlib")).display());
    let (sys, launcher) = (library("hotcell_sys"), library("hotcell_launcher"));
    compile("sys/src/lib.rs", &["--crate-type=rlib", "--crate-name=hotcell_sys", "--cfg=hotcell_rt"]);
    compile("launcher/src/lib.rs", &["--crate-type=rlib", "--crate-name=hotcell_launcher", &sys]);
    // As the build script does, but with the linker that comes with the compiler.
    let link = [
        "-Clto=fat",
        "-Clinker=rust-lld",
        "-Clinker-flavor=ld.lld",
        "-Crelocation-model=static",
        "-Ctarget-feature=+crt-static",
    ];
    let bin =
        ["--crate-type=bin", "--crate-name=launcher", &sys, &launcher, "-Clink-arg=-nostdlib", "-Clink-arg=-static"];
    compile("launcher/src/start.rs", &[&link[..], &bin[..], &["-Clink-self-contained=no"]].concat());
    let program = std::fs::read(out.path().join("launcher")).unwrap();
    // ELF, 64 bits, little-endian; machine 183 is AArch64.
    assert_eq!(&program[..6], b"\x7fELF\x02\x01");
    assert_eq!(u16::from_le_bytes([program[18], program[19]]), 183);
}
