//! An image as the sandbox's system: what of its root is shown, and where.
//!
//! Each entry of the image's root is a mount of its own on the sandbox's root, which stays ours: so that our folders
//! need no place in the image, and a link that the image brings is never on the way while mounts are made.

use std::ffi::{CString, OsStr};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use hotcell_launcher::plan::Step;

use crate::error::IsolateError;
use crate::plan::{Plan, Source, Sources, c_os, c_text};
use crate::sandbox::{Image, Spec};

/// What stands at the root of a sandbox and may be read and executed.
#[derive(Debug)]
pub(crate) struct AtRoot {
    /// Its path inside.
    pub(crate) path: String,
    pub(crate) is_dir: bool,
}

/// The entries of an image's root that are shown.
pub(crate) struct Shown {
    mounts: Vec<(String, Source)>,
    links: Vec<(String, CString)>,
}

/// Names that are ours in every sandbox: what an image has there is not shown.
const OURS: &[&str] = &["proc", "sys", "dev", "tmp", "input", "output", "scratch", ".hotcell", "hotcell-runner"];

impl Shown {
    /// Looks at the image's root, and prepares a mount of each entry.
    pub(crate) fn look(
        image: &Image,
        spec: &Spec,
        plan: &mut Plan,
        sources: &mut Sources,
    ) -> Result<Self, IsolateError> {
        let wrap = |source| IsolateError::Source { role: "an image", path: image.root.clone(), source };
        let mut shown = Self { mounts: Vec::new(), links: Vec::new() };
        let mut names = fs::read_dir(&image.root)
            .and_then(|entries| {
                entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()
            })
            .map_err(wrap)?;
        names.sort();
        for name in names {
            let path = image.root.join(&name);
            let name = text(&name)?;
            let is_ours = OURS.contains(&name.as_str())
                || (name == "code" && spec.code.is_some())
                || (name == "model" && spec.model.is_some());
            if is_ours {
                continue;
            }
            let kind = fs::symlink_metadata(&path).map_err(wrap)?.file_type();
            if kind.is_symlink() {
                let target = fs::read_link(&path).map_err(wrap)?;
                shown.links.push((name, c_os(target.as_os_str())?));
            } else if kind.is_dir() || kind.is_file() {
                shown.mounts.push((name, sources.open_as_it_is(plan, &path, "an image")?));
            }
        }
        Ok(shown)
    }

    /// Mounts it, and gives what may be read and executed.
    pub(crate) fn mount(&self, plan: &mut Plan, attributes: u64) -> Result<Vec<AtRoot>, IsolateError> {
        for (name, target) in &self.links {
            plan.push(Step::Link { target, path: &c_text(name)? });
        }
        let mut at_root = Vec::new();
        for (name, source) in &self.mounts {
            plan.mount_point(name, source.is_dir)?;
            source.attach(plan, name, attributes)?;
            at_root.push(AtRoot { path: format!("/{name}"), is_dir: source.is_dir });
        }
        if !self.has("etc") {
            plan.push(Step::Dir { path: c"etc", mode: 0o755 });
        }
        Ok(at_root)
    }

    /// Whether a name at the root is the image's.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.mounts.iter().any(|(there, _)| there == name) || self.links.iter().any(|(there, _)| there == name)
    }

    /// A folder of it, to look whether it can be written to.
    pub(crate) fn folder(&self) -> Option<&str> {
        self.mounts.iter().find(|(_, source)| source.is_dir).map(|(name, _)| name.as_str())
    }
}

fn text(name: &OsStr) -> Result<String, IsolateError> {
    name.to_str().map(str::to_owned).ok_or_else(|| IsolateError::Unrepresentable {
        what: format!("`{}` at an image's root", String::from_utf8_lossy(name.as_bytes()).escape_debug()),
        why: "it is no text",
    })
}
