//! What a task wants shown of the host: inputs, code, a plain model, the runner.

use std::ffi::{CString, OsStr};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hotcell_launcher::message::Message;
use hotcell_launcher::plan::{MAX_MOUNTS, Step};
use hotcell_policy::{Access, Object, Rights};
use hotcell_sys::{Errno, mount};
use rustix::mount::{OpenTreeFlags, open_tree};

use crate::control::Control;
use crate::copies::{self, Copies};
use crate::error::IsolateError;
use crate::host::Host;
use crate::image::{self, Links};
use crate::plan::{COPIES, DATA, FIRST_PLACE, Plan, RUNNER, SHOW, c_os, c_text, mounts_below};
use crate::sandbox::{ModelMount, Program, Spec};

/// Everything that is shown, each in its place.
#[derive(Debug)]
pub(crate) struct Mounts {
    pub(crate) all: Vec<Mount>,
    /// Links of an image's root.
    pub(crate) links: Links,
    /// As root: the mounts themselves, to come along with the plan.
    trees: Vec<OwnedFd>,
    /// As root, where mounts cannot map ids: copies of what not everyone may read.
    copies: Option<Copies>,
}

/// A path of the host that will be shown.
#[derive(Debug)]
pub(crate) struct Mount {
    /// Path outside, without links.
    pub(crate) source: CString,
    device: u64,
    inode: u64,
    /// User and group on the disk.
    pub(crate) owner: (u32, u32),
    /// Whether the sandbox's own id can read it once it is there.
    is_readable: bool,
    pub(crate) is_dir: bool,
    /// Path inside, without the first `/`.
    pub(crate) at: String,
    /// Whether programs in it can be executed.
    pub(crate) executes: bool,
    /// Whether it is an entry of an image's root.
    pub(crate) is_of_image: bool,
    /// Whether the shell has its mount point already.
    is_there: bool,
    /// Place of the mount among what comes along with the plan; none where the sandbox mounts it itself.
    place: Option<u64>,
    /// Its name among the copies, where it is one.
    copy: Option<String>,
    /// Mounts below it, relative to it, where the kernel cannot set the attributes of a whole tree.
    below: Vec<String>,
}

impl Mounts {
    /// Looks at every path and, as root, opens it with the host's rights: the sandbox's own id may not enter the
    /// folders above it.
    ///
    /// # Errors
    /// When one is not there, or is neither a file nor a folder.
    pub(crate) fn open(spec: &Spec, rights: &Rights, host: &Host, outer: u32) -> Result<Self, IsolateError> {
        // INVARIANT (nothing-beside-the-rights): what no right covers is not mounted.
        let executes = |object: &Object| {
            let accesses = rights.over(object);
            let over = || format!("{object:?}");
            if accesses.has(Access::Read) { Ok(accesses.has(Access::Execute)) } else { Err(not_granted(over())) }
        };
        let path = |path: &str| Object::Path(path.to_owned());
        let (mut all, links) = match &spec.image {
            Some(image) => {
                executes(&Object::Image)?;
                image::look(image, spec)?
            }
            None => Default::default(),
        };
        for input in &spec.inputs {
            // Whoever asked has been told before: here it is the wall.
            if Path::new(&input.name).file_name() != Some(OsStr::new(&input.name)) {
                let why = "it is no name of one entry of a folder";
                return Err(IsolateError::Unrepresentable { what: format!("the input's name `{}`", input.name), why });
            }
            let executes = executes(&path(&format!("/input/{}", input.name)))?;
            all.push(Mount::look(&input.path, "an input", format!("input/{}", input.name), executes)?);
        }
        if let Some(code) = &spec.code {
            all.push(Mount::look(code, "the code", "code".into(), executes(&path("/code"))?)?);
        }
        if spec.model.is_some() {
            executes(&path("/model"))?;
        }
        if let Some(ModelMount::Plain { path }) = &spec.model {
            let name = path.file_name().unwrap_or(OsStr::new("model")).to_string_lossy().into_owned();
            all.push(Mount::look(path, "the model", format!("model/{name}"), false)?);
        }
        if let Program::Runner { .. } = &spec.program {
            let executes = executes(&path(RUNNER))?;
            all.push(Mount::look(&host.executable, "the runner", RUNNER.trim_start_matches('/').into(), executes)?);
        }
        let mut mounts = Self { all, links, trees: Vec::new(), copies: None };
        if !host.mount_attributes {
            let text = crate::host::mounts()
                .map_err(|source| IsolateError::Host { what: "reading the mounts of this host", source })?;
            for mount in &mut mounts.all {
                mount.below = mounts_below(&text, mount.path());
            }
        }
        if host.is_root {
            mounts.open_trees(outer, host.mount_attributes)?;
        }
        Ok(mounts)
    }

    /// Whether a path inside is a folder; what is not mounted is one of the sandbox's own.
    pub(crate) fn is_dir(&self, path: &str) -> bool {
        let at = path.trim_start_matches('/');
        self.all.iter().find(|mount| mount.at == at).is_none_or(|mount| mount.is_dir)
    }

    /// A folder of the image, to look whether it can be written to.
    pub(crate) fn image_folder(&self) -> Option<&str> {
        self.all.iter().find(|mount| mount.is_of_image && mount.is_dir).map(|mount| mount.at.as_str())
    }

    /// What comes along with the plan, from [`FIRST_PLACE`] on.
    pub(crate) fn trees(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.trees.iter().map(AsFd::as_fd).chain(self.copies.as_ref().map(Copies::as_fd))
    }

    /// Place of the copies, where there are any.
    pub(crate) fn copies_place(&self) -> Option<u64> {
        self.copies.as_ref().map(|_| FIRST_PLACE + self.trees.len() as u64)
    }

    fn open_trees(&mut self, outer: u32, can_map: bool) -> Result<(), IsolateError> {
        // One more comes with the copies.
        if let Some(extra) = self.all.get(MAX_MOUNTS - 1) {
            let why = format!("more than {} mounts: put some inputs into one folder", MAX_MOUNTS - 1);
            return Err(extra.error(std::io::Error::other(why)));
        }
        let to_map: Vec<&Mount> = self.all.iter().filter(|mount| !mount.is_open_to(outer)).collect();
        let mut mapped = match (to_map.is_empty(), can_map) {
            (true, _) => Some(Vec::new()),
            (false, true) => id_mounts(outer, &to_map)?,
            (false, false) => None,
        }
        .map(Vec::into_iter);
        for mount in &mut self.all {
            let tree = if mount.is_open_to(outer) {
                mount.clone_tree()?
            } else if let Some(mapped) = &mut mapped {
                mapped.next().ok_or(IsolateError::Launcher { what: "left out a mount" })?
            } else if copies::is_for_everyone(mount.path()) {
                mount.clone_tree()?
            } else {
                if self.copies.is_none() {
                    self.copies = Some(Copies::new().map_err(|error| mount.error(error))?);
                }
                let found = (mount.device, mount.inode);
                let copied = self.copies.as_mut().map(|copies| copies.add(mount.path(), found)).transpose();
                mount.copy = copied.map_err(|error| mount.error(error))?;
                mount.below.clear();
                continue;
            };
            mount.check(&tree)?;
            mount.place = Some(FIRST_PLACE + self.trees.len() as u64);
            self.trees.push(tree);
        }
        Ok(())
    }
}

fn not_granted(over: String) -> IsolateError {
    IsolateError::NotGranted { over }
}

/// Mounts on which one owner appears as the sandbox's id, made by a launcher of their own; nothing where the kernel or
/// one of the file systems cannot map ids.
fn id_mounts(outer: u32, mounts: &[&Mount]) -> Result<Option<Vec<OwnedFd>>, IsolateError> {
    let plan = Plan::id_mounts(outer, mounts);
    let (control, mut launcher) = Control::start(&plan.bytes)?;
    let mut trees = Some(Vec::new());
    let mut received_all = || -> Result<(), IsolateError> {
        for _ in mounts {
            let received = control.receive()?;
            match (received.message, received.fd, &mut trees) {
                (Message::Handed { .. }, Some(fd), Some(trees)) => trees.push(fd),
                // Step 0 says for whom.
                (Message::Failed { step: 1.., errno }, ..) if cannot_map(errno) => {
                    trees = None;
                    return Ok(());
                }
                (Message::Failed { step, errno }, ..) => {
                    return Err(crate::sandbox::step_error(plan.step_name(step), errno));
                }
                _ => return Err(IsolateError::Launcher { what: "spoke out of turn" }),
            }
        }
        Ok(())
    };
    let result = received_all();
    launcher.wait()?;
    result.map(|()| trees)
}

/// Whether a kernel or a file system without mapped ids says so.
fn cannot_map(errno: i64) -> bool {
    [Errno::ENOSYS, Errno::EINVAL, Errno::EOPNOTSUPP].iter().any(|no| i64::from(no.0) == errno)
}

impl Mount {
    fn look(path: &Path, role: &'static str, at: String, executes: bool) -> Result<Self, IsolateError> {
        let wrap = |source| IsolateError::Source { role, path: path.to_owned(), source };
        let real = std::fs::canonicalize(path).map_err(wrap)?;
        let found = std::fs::metadata(&real).map_err(wrap)?;
        if !found.is_dir() && !found.is_file() {
            return Err(wrap(std::io::Error::other("it is neither a file nor a folder")));
        }
        Ok(Self {
            source: c_os(real.as_os_str())?,
            device: found.dev(),
            inode: found.ino(),
            owner: (found.uid(), found.gid()),
            is_readable: found.is_file() && found.mode() & 0o004 != 0,
            is_dir: found.is_dir(),
            at,
            executes,
            is_of_image: false,
            is_there: false,
            place: None,
            copy: None,
            below: Vec::new(),
        })
    }

    /// An entry of an image's root. Everyone may read it, though not everyone may enter the folders above it.
    pub(crate) fn of_image(path: &Path, at: String, is_there: bool) -> Result<Self, IsolateError> {
        Ok(Self { is_readable: true, is_of_image: true, is_there, ..Self::look(path, "an image", at, true)? })
    }

    fn clone_tree(&self) -> Result<OwnedFd, IsolateError> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE;
        open_tree(rustix::fs::CWD, self.source.as_c_str(), flags).map_err(|error| self.error(error.into()))
    }

    /// The path may have come to mean something else since it was looked at.
    fn check(&self, tree: &OwnedFd) -> Result<(), IsolateError> {
        let found = tree.try_clone().map(File::from).and_then(|file| file.metadata());
        let found = found.map_err(|error| self.error(error))?;
        if (found.dev(), found.ino()) == (self.device, self.inode) {
            return Ok(());
        }
        Err(self.error(std::io::Error::other("it was replaced meanwhile")))
    }

    fn error(&self, source: std::io::Error) -> IsolateError {
        IsolateError::Source { role: "an input", path: self.path().to_owned(), source }
    }

    fn path(&self) -> &Path {
        Path::new(<OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(self.source.to_bytes()))
    }

    /// Whether the sandbox's own id can read it as it is.
    fn is_open_to(&self, outer: u32) -> bool {
        self.is_readable || self.owner.0 == outer
    }

    /// Where a path of the host is seen inside, without the first `/`; none where this mount does not hold it.
    pub(crate) fn path_inside(&self, path: &Path) -> Option<String> {
        let below = path.strip_prefix(self.path()).ok().filter(|_| self.is_dir)?.to_str()?;
        Some(if below.is_empty() { self.at.clone() } else { format!("{}/{below}", self.at) })
    }

    /// The steps that make the mount point and mount.
    pub(crate) fn attach(&self, plan: &mut Plan, read_only: bool, noexec: bool) -> Result<(), IsolateError> {
        let attributes = if self.executes || !noexec { SHOW } else { DATA };
        let attributes = if read_only { attributes } else { attributes & !mount::ATTR_RDONLY };
        if !self.is_there {
            plan.mount_point(&self.at, self.is_dir)?;
        }
        let path = c_text(&self.at)?;
        match (self.place, &self.copy) {
            (Some(place), _) => plan.push(Step::Attach { place, path: &path, attributes }),
            (None, Some(name)) => {
                let source = c_text(&format!("{}/{name}", COPIES.to_string_lossy()))?;
                plan.push(Step::Bind { source: &source, path: &path, attributes, device: 0, inode: 0 });
            }
            (None, None) => plan.push(Step::Bind {
                source: &self.source,
                path: &path,
                attributes,
                device: self.device,
                inode: self.inode,
            }),
        }
        for below in &self.below {
            plan.push(Step::Restrict { path: &c_text(&format!("{}/{below}", self.at))?, attributes });
        }
        Ok(())
    }
}
