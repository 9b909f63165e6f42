//! A policy folder that appears whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use hotcell_policy::PolicyFiles;

use crate::failure::Failure;

/// Writes a folder that is not there yet.
pub(crate) fn folder(path: &Path, files: &PolicyFiles) -> Result<(), Failure> {
    let failed = |source| Failure::file("write", path, source);
    if path.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let name = path.file_name().ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
    let mut part = std::ffi::OsString::from(".");
    part.push(name);
    part.push(format!(".{}.part", std::process::id()));
    let part = path.with_file_name(part);
    let written = write(&part, files).and_then(|()| fs::rename(&part, path));
    written.map_err(|source| {
        let _ = fs::remove_dir_all(&part);
        failed(source)
    })
}

fn write(folder: &Path, files: &PolicyFiles) -> io::Result<()> {
    fs::create_dir(folder)?;
    for (name, text) in files {
        let mut file = File::create_new(folder.join(name))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
    }
    Ok(())
}

/// A name for a policy, of the folder that it is written to.
pub(crate) fn name(path: &Path) -> Result<String, Failure> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match !name.is_empty() && name.len() <= 64 && name.bytes().all(plain) && !name.starts_with('.') {
        true => Ok(name.to_owned()),
        false => Err(Failure::usage(
            format!("`{}` cannot be the name of a policy", path.display()),
            "name a folder of letters, digits, `-`, `_` and `.`, at most 64",
        )),
    }
}
