//! `cargo xtask kernels`: stock Debian kernels for the tests that boot them, in `target/kernels`.
//!
//! They are downloaded and unpacked, never installed. A series that this release of Debian does not have is looked for
//! in an older one on the same mirror, with lists of packages of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Result, no_arguments, target, title};

/// The series that are booted, and the older release of Debian that has it where this one does not.
const SERIES: &[(&str, &str)] = &[("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie")];

/// The recipe.
pub(crate) fn run(args: &[String]) -> Result {
    no_arguments(args)?;
    let missing = provide();
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n").into()) }
}

/// Brings what is missing; says what could not be brought, and why. The tests say so again.
pub(crate) fn provide() -> Vec<String> {
    let mut missing = Vec::new();
    for (series, release) in SERIES {
        let folder = target().join("kernels").join(series);
        if folder.join("vmlinuz").is_file() && folder.join(FUSE).is_file() {
            continue;
        }
        title(&format!("downloading a kernel {series}"));
        if let Err(error) = bring(series, release, &folder) {
            eprintln!("no kernel {series}: {error}");
            missing.push(format!("no kernel {series}: {error}"));
        }
    }
    missing
}

fn bring(series: &str, release: &str, folder: &Path) -> Result {
    fs::create_dir_all(folder)?;
    let (options, package) = match newest(&[], series)? {
        Some(package) => (Vec::new(), package),
        None => {
            let options = lists_of(release, folder)?;
            let package = newest(&options, series)?.ok_or("no release of Debian that can be reached has it")?;
            (options, package)
        }
    };
    apt("apt-get", &options, &["download", &package], folder)?;
    let archive = entry(folder, &|name| name.starts_with("linux-image-") && name.ends_with(".deb"))?;
    let unpacked = folder.join("unpacked");
    let status = Command::new("dpkg-deb").arg("--extract").arg(&archive).arg(&unpacked).status()?;
    if !status.success() {
        return Err(format!("dpkg-deb ended with {status}").into());
    }
    let kernel = entry(&unpacked.join("boot"), &|name| name.starts_with("vmlinuz-"))?;
    fs::rename(kernel, folder.join("vmlinuz"))?;
    if let Err(error) = keep_fuse(&unpacked, folder) {
        eprintln!("the kernel {series} without {FUSE}: {error}");
    }
    fs::remove_dir_all(unpacked)?;
    fs::remove_file(archive)?;
    Ok(())
}

/// The module that encrypted scratch needs, which these kernels do not have within.
const FUSE: &str = "fuse.ko";

/// Keeps that module of an unpacked kernel, unpacked itself.
fn keep_fuse(unpacked: &Path, folder: &Path) -> Result {
    let modules = entry(&unpacked.join("lib/modules"), &|_| true)?;
    let module = entry(&modules.join("kernel/fs/fuse"), &|name| name.starts_with(FUSE))?;
    if module.extension().is_some_and(|end| end == "ko") {
        fs::copy(&module, folder.join(FUSE))?;
        return Ok(());
    }
    let output = Command::new("xz").args(["--decompress", "--stdout"]).arg(&module).output()?;
    if !output.status.success() {
        return Err(format!("xz ended with {}", output.status).into());
    }
    Ok(fs::write(folder.join(FUSE), output.stdout)?)
}

/// The newest cloud kernel of a series in the lists of packages.
fn newest(options: &[String], series: &str) -> Result<Option<String>> {
    let pattern = format!("^linux-image-{}\\.[0-9]+[-+][-+.a-z0-9]*cloud-amd64$", series.replace('.', "\\."));
    let found = apt("apt-cache", options, &["search", "--names-only", &pattern], Path::new("."))?;
    let names = found.lines().filter_map(|line| line.split(' ').next());
    Ok(names.max_by_key(|name| numbers(name)).map(str::to_owned))
}

/// The numbers in a name, by which its version is compared.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Options for apt that make it see another release on the mirrors that this system uses, and nothing else.
fn lists_of(release: &str, folder: &Path) -> Result<Vec<String>> {
    let asked = ["indextargets", "--format", "$(SITE)", "Created-By: Packages"];
    let sites = apt("apt-get", &[], &asked, Path::new("."))?;
    let has = |end: &str| sites.lines().find(|site| site.trim_end_matches('/').ends_with(end)).map(str::to_owned);
    let main = has("/debian").ok_or("this system uses no mirror of Debian")?;
    let keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let mut sources = format!("deb [signed-by={keyring}] {main} {release} main\n");
    if let Some(security) = has("/debian-security") {
        sources.push_str(&format!("deb [signed-by={keyring}] {security} {release}-security main\n"));
    }
    let lists = folder.join("apt");
    for part in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(lists.join(part))?;
    }
    fs::write(lists.join("sources.list"), sources)?;
    let place = |key: &str, path: &str| format!("-o{key}={}", lists.join(path).display());
    let options = vec![
        place("Dir::Etc::sourcelist", "sources.list"),
        "-oDir::Etc::sourceparts=/dev/null".to_owned(),
        place("Dir::State::lists", "lists"),
        place("Dir::Cache", "cache"),
    ];
    apt("apt-get", &options, &["update"], Path::new("."))?;
    Ok(options)
}

fn entry(folder: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)?.flatten().map(|entry| entry.path());
    let name = |path: &PathBuf| path.file_name().is_some_and(|name| wanted(&name.to_string_lossy()));
    entries.into_iter().find(name).ok_or_else(|| format!("{} does not hold what was expected", folder.display()).into())
}

fn apt(program: &str, options: &[String], args: &[&str], folder: &Path) -> Result<String> {
    let output = Command::new(program).args(options).args(args).current_dir(folder).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program}: {}", said.lines().last().unwrap_or("failed without a word")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(numbers("linux-image-5.10.0-46-cloud-amd64") > numbers("linux-image-5.10.0-9-cloud-amd64"));
    }
}
