//! The image of a task: found when it is submitted, fetched once policy allows, shown by the sandbox.

use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::Path;

use hotcell_oci::{ImageRef, OciError, Resolved, Store, StoredImage};
use hotcell_types::{Digest, ImageRecord};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::TaskError;
use crate::observe::Observer;
use crate::spec::{ImageSpec, Work};

/// An image whose digest is known.
#[derive(Debug)]
pub(crate) struct Image {
    name: String,
    resolved: Resolved,
}

/// An image that is here.
#[derive(Debug)]
pub(crate) struct ReadyImage {
    name: String,
    stored: StoredImage,
}

/// Where the images of a state folder are kept.
pub fn image_store(state: &Path) -> Store {
    Store::new(state.join("images"))
}

/// Folders of a sandbox below which an image cannot start a workload: they are Hotcell's own.
const OURS: &[&str] = &["proc", "sys", "dev", "tmp", "input", "output", "scratch"];

impl Image {
    /// Finds the image, and what its config and manifest say; none of its layers is fetched.
    ///
    /// # Errors
    /// [`OciError`]; where the name has no digest and is not a file of this machine, among others.
    pub(crate) fn look(spec: ImageSpec, work: &Work, state: &Path) -> Result<Self, TaskError> {
        if matches!(work, Work::Runner(_)) {
            return Err(TaskError::Spec {
                what: "the built-in runner needs no image".to_owned(),
                remedy: "leave out the image, or the `[runner]`",
            });
        }
        let reference = ImageRef::parse(&spec.name, &spec.settings).map_err(TaskError::part)?;
        reference.demand_digest().map_err(TaskError::part)?;
        let resolved =
            hotcell_oci::resolve(&reference, &spec.settings, &image_store(state)).map_err(TaskError::part)?;
        refuse_our_folder(resolved.config().working_dir.as_deref())?;
        Ok(Self { name: reference.to_string(), resolved })
    }

    /// The digest of its manifest.
    pub(crate) fn digest(&self) -> Digest {
        self.resolved.digest()
    }

    /// Its name as it was asked for.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What it runs by itself.
    pub(crate) fn command(&self) -> Result<Vec<OsString>, TaskError> {
        let command = self.resolved.config().default_command().map_err(TaskError::part)?;
        Ok(command.into_iter().map(Into::into).collect())
    }

    /// Brings its layers, where they are not here yet.
    pub(crate) fn fetch(
        self,
        state: &Path,
        observer: &mut dyn Observer,
        cancel: Option<BorrowedFd<'_>>,
    ) -> Result<ReadyImage, TaskError> {
        let mut progress = |bytes: u64, total: u64| {
            observer.fetching(bytes, total);
            !cancel.is_some_and(is_readable)
        };
        let stored = self.resolved.fetch(&image_store(state), &mut progress).map_err(TaskError::part)?;
        Ok(ReadyImage { name: self.name, stored })
    }
}

impl ReadyImage {
    /// What the sandbox is told of it.
    pub(crate) fn mount(&self) -> hotcell_isolate::Image {
        hotcell_isolate::Image { root: self.stored.root(), working_dir: self.stored.config().working_dir.clone() }
    }

    /// Its variables, below those of the task. Who the image says it runs as shows in two of them, and in nothing
    /// else: inside, every workload has one id and no rights.
    pub(crate) fn environment(&self) -> Result<Vec<(OsString, OsString)>, TaskError> {
        let mut environment: Vec<(OsString, OsString)> = Vec::new();
        let user = self.stored.user().map_err(TaskError::part)?;
        if !user.is_root {
            environment.extend(user.name.map(|name| ("USER".into(), name.into())));
            environment.extend(user.home.map(|home| ("HOME".into(), home.into())));
        }
        let variables = self.stored.config().variables();
        environment.extend(variables.into_iter().map(|(name, value)| (name.into(), value.into())));
        Ok(environment)
    }

    /// What the receipt says of it.
    pub(crate) fn record(&self) -> ImageRecord {
        let user = &self.stored.config().user;
        ImageRecord {
            name: self.name.clone(),
            digest: self.stored.digest(),
            config: self.stored.config_digest(),
            user: if user.is_empty() { "root".to_owned() } else { user.clone() },
            left_out: self.stored.left_out(),
        }
    }
}

fn refuse_our_folder(working_dir: Option<&str>) -> Result<(), TaskError> {
    let mut parts = working_dir.unwrap_or_default().split('/').filter(|part| !part.is_empty() && *part != ".");
    let first = parts.next().unwrap_or_default();
    match OURS.contains(&first) && (parts.next().is_some() || first == "sys") {
        true => Err(TaskError::part(OciError::Unsupported {
            what: format!("the image's working directory in `/{first}`"),
            why: "a sandbox has a folder of its own there",
        })),
        false => Ok(()),
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd, PollFlags::IN)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
}
