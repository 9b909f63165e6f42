//! Checksums, and a signature over them that everybody can check with the public tools `sha256sum` and `minisign`.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Release;
use crate::command::{Result, program, read, run, title};

/// The file of the checksums.
pub(super) const SUMS: &str = "SHA256SUMS";

/// Writes the checksums of these files of the folder.
pub(super) fn sums(files: &[PathBuf], folder: &Path) -> Result<PathBuf> {
    title("checksums");
    let names = files.iter().map(|file| Ok(file.strip_prefix(folder)?)).collect::<Result<Vec<_>>>()?;
    let text = read(Command::new("sha256sum").args(names).current_dir(folder))?;
    let to = folder.join(SUMS);
    fs::write(&to, text)?;
    Ok(to)
}

/// Signs the checksums. The tool asks for the key's passphrase if it has one; we never see the key.
pub(super) fn sign(release: &Release, key: &Path, folder: &Path) -> Result<PathBuf> {
    title("signature");
    if program("minisign").is_none() {
        return Err("signing needs the program `minisign` (Debian package minisign)".into());
    }
    let comment = format!("hotcell {}", release.version);
    let mut command = Command::new("minisign");
    command.args(["-S", "-t", &comment, "-m"]).arg(folder.join(SUMS)).arg("-s").arg(key);
    run(&mut command)?;
    Ok(folder.join(format!("{SUMS}.minisig")))
}

/// The SHA-256 of some bytes, in hexadecimal digits.
pub(super) fn sha256_of(bytes: &[u8]) -> Result<String> {
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().ok_or("sha256sum takes no input")?.write_all(bytes)?;
    let output = child.wait_with_output()?;
    Ok(String::from_utf8(output.stdout)?.split(' ').next().unwrap_or_default().to_owned())
}
