//! An image as the sandbox's system: what of its root is shown, and where.
//!
//! Each entry of the image's root is a mount of its own on the sandbox's root, which stays ours: so that our folders
//! need no place in the image, and a link that the image brings is never on the way while mounts are made.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use hotcell_launcher::plan::Step;

use crate::error::IsolateError;
use crate::mounts::Mount;
use crate::plan::{Plan, c_os, c_text};
use crate::sandbox::{Image, Spec};

/// The links of an image's root that are shown, by name.
#[derive(Debug, Default)]
pub(crate) struct Links(Vec<(String, CString)>);

/// Names that are ours in every sandbox: what an image has there is not shown.
const OURS: &[&str] = &["proc", "sys", "dev", "tmp", "input", "output", "scratch", ".hotcell", "hotcell-runner"];
/// Folders that a shell has already, and that an image's own are mounted over.
const IN_THE_SHELL: &[&str] = &["etc", "var", "model"];

/// Looks at the root of an image: a mount for each folder and file, and the links.
///
/// # Errors
/// When it cannot be read, or a name in it is no text.
pub(crate) fn look(image: &Image, spec: &Spec) -> Result<(Vec<Mount>, Links), IsolateError> {
    let wrap = |source| IsolateError::Source { role: "an image", path: image.root.clone(), source };
    let entries = fs::read_dir(&image.root).map_err(wrap)?;
    let names: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.file_name())).collect();
    let mut names = names.map_err(wrap)?;
    names.sort();
    let (mut mounts, mut links) = (Vec::new(), Vec::new());
    for name in names {
        let path = image.root.join(&name);
        let name = text(&name)?;
        let is_of_the_task = name == "code" && spec.code.is_some() || name == "model" && spec.model.is_some();
        if OURS.contains(&name.as_str()) || is_of_the_task {
            continue;
        }
        let kind = fs::symlink_metadata(&path).map_err(wrap)?.file_type();
        let is_there = IN_THE_SHELL.contains(&name.as_str());
        if kind.is_dir() || kind.is_file() && !is_there {
            mounts.push(Mount::of_image(&path, name, is_there)?);
        } else if kind.is_symlink() && !is_there {
            let target = fs::read_link(&path).map_err(wrap)?;
            links.push((name, c_os(target.as_os_str())?));
        }
    }
    Ok((mounts, Links(links)))
}

impl Links {
    /// The steps that make them.
    pub(crate) fn make(&self, plan: &mut Plan) -> Result<(), IsolateError> {
        for (name, target) in &self.0 {
            plan.push(Step::Link { target, path: &c_text(name)? });
        }
        Ok(())
    }
}

fn text(name: &OsStr) -> Result<String, IsolateError> {
    name.to_str().map(str::to_owned).ok_or_else(|| IsolateError::Unrepresentable {
        what: format!("`{}` at an image's root", String::from_utf8_lossy(name.as_bytes()).escape_debug()),
        why: "it is no text",
    })
}
