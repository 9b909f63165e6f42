//! What a release consists of: a static program with its completions and manual pages as a tarball and as a Debian
//! package, the sources with everything that a machine without network needs to build them, a bill of materials,
//! checksums and a signature over them.
//!
//! Two runs over the same commit give the same bytes, but for the signature. `docs/how-to/release.md` says how.

mod build;
mod deb;
mod files;
mod notices;
mod sbom;
mod sign;
mod sources;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{Result, target, title};
use files::Times;

/// What is to be made.
struct Wishes {
    /// Folder for the results, which is emptied before.
    output: PathBuf,
    /// Packs this program instead of building one.
    binary: Option<PathBuf>,
    /// Signs with this minisign key.
    sign: Option<PathBuf>,
    /// Whether the sources are bundled with their dependencies.
    sources: bool,
}

/// What is being released.
struct Release {
    version: String,
    /// As Rust names it: `x86_64`.
    architecture: &'static str,
    times: Times,
    /// Folder for what is being put together.
    stage: PathBuf,
}

/// The recipe.
pub(crate) fn recipe(args: &[String]) -> Result {
    make(&wishes(args)?).map(drop)
}

fn wishes(args: &[String]) -> Result<Wishes> {
    let mut wishes = Wishes { output: target().join("dist"), binary: None, sign: None, sources: true };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let mut path = || args.next().map(PathBuf::from).ok_or_else(|| format!("`{arg}` needs a path"));
        match arg.as_str() {
            "--output" => wishes.output = path()?,
            "--binary" => wishes.binary = Some(path()?),
            "--sign" => wishes.sign = Some(path()?),
            "--no-sources" => wishes.sources = false,
            _ => {
                return Err(format!(
                    "`{arg}` is not understood; there are --output DIR, --binary FILE, --sign KEY and --no-sources"
                )
                .into());
            }
        }
    }
    Ok(wishes)
}

/// Makes all files, and gives their paths.
fn make(wishes: &Wishes) -> Result<Vec<PathBuf>> {
    let output = &wishes.output;
    if output.exists() && !output.join(sign::SUMS).exists() && fs::read_dir(output)?.next().is_some() {
        return Err(format!("{} holds something else than a release; name another folder", output.display()).into());
    }
    let binary = match &wishes.binary {
        Some(binary) => binary.clone(),
        None => build::static_binary()?,
    };
    let stage = output.with_extension("stage");
    for folder in [output, &stage] {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
    }
    let release =
        Release { version: build::version()?, architecture: std::env::consts::ARCH, times: Times::of_commit()?, stage };
    let mut made = vec![tarball(&release, &binary, output)?, deb::package(&release, &binary, output)?];
    made.push(sbom::write(&release, output)?);
    if wishes.sources {
        made.push(sources::bundle(&release, output)?);
    }
    made.push(sign::sums(&made, output)?);
    if let Some(key) = &wishes.sign {
        made.push(sign::sign(&release, key, output)?);
    }
    fs::remove_dir_all(&release.stage)?;
    for file in &made {
        println!("{:>10} {}", fs::metadata(file)?.len(), file.display());
    }
    Ok(made)
}

/// The program with all that belongs to it, in one folder.
fn tarball(release: &Release, binary: &Path, output: &Path) -> Result<PathBuf> {
    title("tarball");
    let name = format!("hotcell-{}-{}-linux", release.version, release.architecture);
    let folder = release.stage.join(&name);
    files::place(binary, &folder.join("bin/hotcell"), 0o755)?;
    build::completions(binary, &folder.join("share"), &build::COMMON)?;
    build::manual(binary, &folder.join("share/man/man1"))?;
    documents(&folder)?;
    files::tar_gz(release, &release.stage, &name, &output.join(format!("{name}.tar.gz")))
}

/// What the licence asks to be passed on, and what a user wants to read.
fn documents(folder: &Path) -> Result {
    for name in ["README.md", "LICENSE", "CHANGELOG.md", "THREAT_MODEL.md", "SECURITY.md"] {
        files::place(&crate::command::root().join(name), &folder.join(name), 0o644)?;
    }
    files::write(&folder.join("THIRD-PARTY-LICENCES"), notices::text()?.as_bytes())
}
