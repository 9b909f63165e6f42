//! The program itself, and what it says of its own command line.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::files;
use crate::command::{Result, cargo, read, root, run, target, title};

/// Where completions stand: shell, the file that the program writes, and its place below `share`.
pub(super) type Places = [(&'static str, &'static str, &'static str); 3];

/// The places that the shells themselves document.
pub(super) const COMMON: Places = [
    ("bash", "hotcell.bash", "bash-completion/completions/hotcell"),
    ("zsh", "_hotcell", "zsh/site-functions/_hotcell"),
    ("fish", "hotcell.fish", "fish/vendor_completions.d/hotcell.fish"),
];

/// Those of Debian.
pub(super) const DEBIAN: Places = [COMMON[0], ("zsh", "_hotcell", "zsh/vendor-completions/_hotcell"), COMMON[2]];

/// The flags of `.cargo/config.toml` stand beside these.
const FLAGS_OF: &str = "target.'cfg(all(target_os = \"linux\", target_env = \"gnu\"))'.rustflags";

/// The version of the workspace.
pub(super) fn version() -> Result<String> {
    let manifest: toml::Table = fs::read_to_string(root().join("Cargo.toml"))?.parse()?;
    let version = manifest.get("workspace").and_then(|table| table.get("package")?.get("version")?.as_str());
    Ok(version.ok_or("Cargo.toml names no version")?.to_owned())
}

/// Builds the program as it is shipped: static, and without a word about the machine that built it.
pub(super) fn static_binary() -> Result<PathBuf> {
    title("the program, for release");
    let folder = target().join("dist-build");
    let flags: Vec<_> = hidden()?
        .iter()
        .map(|(path, name)| format!("{:?}", format!("--remap-path-prefix={}={name}", path.display())))
        .collect();
    let mut command = cargo("build");
    command.args(["--release", "--package", "hotcell", "--target-dir"]).arg(&folder);
    command.args(["--config", &format!("{FLAGS_OF}=[{}]", flags.join(","))]).args(["--target", "host-tuple"]);
    let maps: Vec<_> =
        hidden()?.iter().map(|(path, name)| format!("-ffile-prefix-map={}={name}", path.display())).collect();
    command.env("CFLAGS", maps.join(" ")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut command)?;
    let triple = read(Command::new("rustc").arg("-vV"))?;
    let triple = triple.lines().find_map(|line| line.strip_prefix("host: ")).ok_or("rustc names no host")?;
    let binary = folder.join(triple).join("release/hotcell");
    // The home folder itself may be `/root`, which the demo's hostile runner tries to read on any machine.
    let [_, (cargo_home, _), (checkout, _)] = hidden()?;
    let told = told(&fs::read(&binary)?, &[cargo_home, checkout]);
    match told.as_slice() {
        [] => Ok(binary),
        _ => Err(format!("the program names folders of this machine: {}", told.join(", ")).into()),
    }
}

/// Folders of this machine, and what stands for them in the program.
fn hidden() -> Result<[(PathBuf, &'static str); 3]> {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()));
    let cargo_home = std::env::var_os("CARGO_HOME").map_or_else(|| home.join(".cargo"), PathBuf::from);
    // The last one that fits counts.
    Ok([(home, "home"), (cargo_home, "cargo"), (root().to_owned(), "hotcell")])
}

/// Which of these folders the bytes name.
pub(super) fn told(bytes: &[u8], folders: &[PathBuf]) -> Vec<String> {
    let names = folders.iter().map(|folder| format!("{}/", folder.display()));
    names.filter(|name| bytes.windows(name.len()).any(|window| window == name.as_bytes())).collect()
}

/// Writes the completions below a `share`.
pub(super) fn completions(binary: &Path, share: &Path, places: &Places) -> Result {
    for (shell, _, place) in places {
        let text = read(Command::new(binary).args(["completions", shell]))?;
        files::write(&share.join(place), text.as_bytes())?;
    }
    Ok(())
}

/// Writes the manual pages.
pub(super) fn manual(binary: &Path, folder: &Path) -> Result {
    fs::create_dir_all(folder)?;
    run(Command::new(binary).args(["completions", "man", "--output"]).arg(folder))
}

/// Cargo's answer about all packages that this machine's kind needs.
pub(super) fn metadata() -> Result<Value> {
    let mut command = cargo("metadata");
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    command.args(["--format-version", "1", "--filter-platform", &platform]);
    Ok(serde_json::from_str(&read(&mut command)?)?)
}
