//! The Debian package.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::build::{self, DEBIAN};
use super::{Release, files, notices};
use crate::command::{Result, program, read, root, run, title};

/// Puts the package together.
pub(super) fn package(release: &Release, binary: &Path, output: &Path) -> Result<PathBuf> {
    title("Debian package");
    if program("dpkg-deb").is_none() {
        return Err("a Debian package needs the program `dpkg-deb` (package dpkg)".into());
    }
    let architecture = match release.architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("Debian's name for `{other}` is not known").into()),
    };
    let folder = release.stage.join("deb");
    files::place(binary, &folder.join("usr/bin/hotcell"), 0o755)?;
    build::completions(binary, &folder.join("usr/share"), &DEBIAN)?;
    let manual = folder.join("usr/share/man/man1");
    build::manual(binary, &manual)?;
    let mut pages: Vec<_> = fs::read_dir(&manual)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    pages.sort();
    run(Command::new("gzip").args(["-9", "-n"]).args(pages))?;
    documents(&folder.join("usr/share/doc/hotcell"), release)?;

    let version = format!("{}-1", release.version);
    files::write(&folder.join("DEBIAN/control"), control(&folder, &version, architecture)?.as_bytes())?;
    files::write(&folder.join("DEBIAN/md5sums"), sums(&folder)?.as_bytes())?;
    release.times.settle(&folder)?;
    let to = output.join(format!("hotcell_{version}_{architecture}.deb"));
    let mut command = Command::new("dpkg-deb");
    command.args(["--root-owner-group", "-Zxz", "-z3", "--threads-max=1", "--build"]).arg(&folder).arg(&to);
    command.env("SOURCE_DATE_EPOCH", release.times.0.to_string());
    read(&mut command)?;
    Ok(to)
}

fn documents(folder: &Path, release: &Release) -> Result {
    for name in ["README.md", "THREAT_MODEL.md", "SECURITY.md"] {
        files::place(&root().join(name), &folder.join(name), 0o644)?;
    }
    files::write(&folder.join("copyright"), COPYRIGHT.as_bytes())?;
    files::write(&folder.join("THIRD-PARTY-LICENCES"), notices::text()?.as_bytes())?;
    files::place(&root().join("CHANGELOG.md"), &folder.join("changelog"), 0o644)?;
    let date = read(Command::new("date").args(["--utc", "--rfc-email", "--date", &format!("@{}", release.times.0)]))?;
    let entry = format!(
        "hotcell ({}-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {MAINTAINER}  {}\n",
        release.version,
        date.trim()
    );
    files::write(&folder.join("changelog.Debian"), entry.as_bytes())?;
    run(Command::new("gzip").args(["-9", "-n"]).args(["changelog", "changelog.Debian"]).current_dir(folder))
}

fn control(folder: &Path, version: &str, architecture: &str) -> Result<String> {
    let mut bytes = 0;
    for path in files::below(&folder.join("usr"))? {
        bytes += fs::symlink_metadata(path)?.len();
    }
    Ok(format!(
        "Package: hotcell\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: {MAINTAINER}\n\
         Installed-Size: {}\nSection: admin\nPriority: optional\nHomepage: https://github.com/hotcell/hotcell\n\
         Description: run models and code you do not trust on data you must not leak\n{DESCRIPTION}",
        bytes.div_ceil(1024)
    ))
}

/// What `dpkg --verify` holds the installed files against.
fn sums(folder: &Path) -> Result<String> {
    let mut sums = String::new();
    for path in files::below(&folder.join("usr"))? {
        if path.is_file() {
            let name = path.strip_prefix(folder)?;
            sums.push_str(&read(Command::new("md5sum").arg(name).current_dir(folder))?);
        }
    }
    Ok(sums)
}

const MAINTAINER: &str = "The Hotcell authors <hotcell@users.noreply.github.com>";

/// Every line begins with a space, as the format of control files has it.
const DESCRIPTION: &str = " Hotcell gives every task a sealed sandbox of its own. What comes out is an
 inspected, encrypted result and a signed receipt that an auditor can check
 offline; then the sandbox is destroyed and its keys are gone.
 .
 One static program without a daemon, for root and for ordinary users.
 `hotcell demo` shows the whole way of a task.
";

const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: hotcell
Source: https://github.com/hotcell/hotcell

Files: *
Copyright: The Hotcell authors
License: Apache-2.0
Comment: The program is linked with the crates whose licences stand in
 /usr/share/doc/hotcell/THIRD-PARTY-LICENCES.

License: Apache-2.0
 On Debian systems, the text of this licence stands in
 /usr/share/common-licenses/Apache-2.0.
";
