//! Rights: what a grant gives, as one list from which the sandbox is made.
//!
//! INVARIANT (nothing-beside-the-rights): a path, device or address that no right of the grant covers is neither mounted
//! nor allowed; `isolate` asks this list and nothing else.

use std::fmt;

use hotcell_types::{Destination, RightRecord, Wall};
use serde::Deserialize;

use crate::request::{Request, Runner};
use crate::{Profile, SYSTEM_VIEW, SystemView};

/// One kind of access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Access {
    /// To read, and to list names.
    Read,
    /// To write, make, rename and remove.
    Write,
    /// To run programs, and to map as one.
    Execute,
    /// To open a connection.
    Connect,
}

impl Access {
    const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Execute, Self::Connect];

    fn label(self) -> &'static str {
        match self {
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::Execute => "EXECUTE",
            Self::Connect => "CONNECT",
        }
    }
}

/// A set of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Accesses(u8);

impl Accesses {
    /// None at all.
    pub const NONE: Self = Self(0);
    /// Reading.
    pub const READ: Self = Self::of(Access::Read);
    /// Reading and writing.
    pub const READ_WRITE: Self = Self::READ.with(Access::Write);
    /// Reading and executing.
    pub const READ_EXECUTE: Self = Self::READ.with(Access::Execute);
    /// Everything that can be done with memory.
    pub(crate) const ALL_OF_MEMORY: Self = Self::READ_WRITE.with(Access::Execute);

    /// One.
    pub const fn of(access: Access) -> Self {
        Self(1 << access as u8)
    }

    /// With one more.
    pub const fn with(self, access: Access) -> Self {
        Self(self.0 | Self::of(access).0)
    }

    /// With one more, or not.
    fn with_if(self, access: Access, more: bool) -> Self {
        if more { self.with(access) } else { self }
    }

    /// Whether this one is among them.
    pub const fn has(self, access: Access) -> bool {
        self.0 & Self::of(access).0 != 0
    }

    /// Whether all of them are among the other ones.
    pub fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    fn labels(self) -> impl Iterator<Item = &'static str> {
        Access::ALL.into_iter().filter(move |access| self.has(*access)).map(Access::label)
    }
}

impl FromIterator<Access> for Accesses {
    fn from_iter<T: IntoIterator<Item = Access>>(accesses: T) -> Self {
        accesses.into_iter().fold(Self::NONE, Self::with)
    }
}

impl fmt::Display for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.labels().collect::<Vec<_>>().join(" "))
    }
}

impl fmt::Debug for Accesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// What a right is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// The names below a path inside, and not what they name.
    Names(String),
    /// A path inside, with everything below it.
    Path(String),
    /// A path of the host's system, seen under its own name.
    System(String),
    /// The files of the image.
    Image,
    /// A device of the host, by its exact node.
    Device(String),
    /// Terminals of the sandbox's own.
    Terminal,
    /// Memory of the workload's own; EXECUTE: also where it was written to.
    Memory,
    /// The sandbox itself, by IPv4 and IPv6.
    Localhost,
    /// A host outside, through the gateway.
    Host {
        /// Which.
        destination: Destination,
        /// Whether what goes there passes unopened.
        passes: bool,
    },
}

/// One right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    accesses: Accesses,
    object: Object,
}

/// All rights of a grant, or of a task that one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights(Vec<Right>);

impl Rights {
    /// What a task would have.
    pub(crate) fn of(request: &Request) -> Self {
        let profile = &request.profile;
        let mut rights = Self(Vec::new());
        rights.add(Accesses::READ, Object::Names("/".to_owned()));
        for path in ["/proc", "/etc"] {
            rights.add(Accesses::READ, Object::Path(path.to_owned()));
        }
        match request.image {
            Some(_) => rights.add(Accesses::READ_EXECUTE, Object::Image),
            None => rights.add_system(profile.system_view()),
        }
        rights.add_shown(request);
        rights.add_written(profile);
        for node in BASE_DEVICES {
            rights.add(Accesses::READ_WRITE, Object::Path((*node).to_owned()));
        }
        for (node, accesses) in profile.devices() {
            rights.add(*accesses, Object::Device(node.clone()));
        }
        if request.shown.terminal {
            rights.add(Accesses::READ_WRITE, Object::Terminal);
        }
        let memory = Accesses::READ_WRITE.with_if(Access::Execute, !profile.write_xor_execute());
        rights.add(memory, Object::Memory);
        if profile.loopback() {
            rights.add(Accesses::of(Access::Connect), Object::Localhost);
        }
        for (destination, passes) in profile.hosts() {
            let object = Object::Host { destination: destination.clone(), passes: *passes };
            rights.add(Accesses::of(Access::Connect), object);
        }
        rights
    }

    fn add(&mut self, accesses: Accesses, object: Object) {
        self.0.push(Right { accesses, object });
    }

    fn add_system(&mut self, view: &SystemView) {
        for path in view.paths() {
            // Configuration is read, and never a program.
            let accesses = if path.starts_with("/etc/") { Accesses::READ } else { Accesses::READ_EXECUTE };
            self.add(accesses, Object::System(path.to_owned()));
        }
    }

    fn add_shown(&mut self, request: &Request) {
        let profile = &request.profile;
        for name in &request.shown.inputs {
            let path = format!("/input/{name}");
            self.add(Accesses::READ.with_if(Access::Execute, profile.executes(&path)), Object::Path(path));
        }
        if request.shown.code {
            let accesses = Accesses::READ.with_if(Access::Execute, profile.code_exec());
            self.add(accesses, Object::Path("/code".to_owned()));
        }
        if request.shown.model {
            self.add(Accesses::READ, Object::Path("/model".to_owned()));
        }
        if request.runner == Runner::Builtin {
            self.add(Accesses::READ_EXECUTE, Object::Path(RUNNER_PATH.to_owned()));
        }
    }

    fn add_written(&mut self, profile: &Profile) {
        for (path, executes) in [("/output", profile.executes("/output")), ("/scratch", profile.scratch_exec())] {
            let accesses = Accesses::READ_WRITE.with_if(Access::Execute, executes);
            self.add(accesses, Object::Path(path.to_owned()));
        }
    }

    /// Each of them, in the order in which they are shown.
    pub fn iter(&self) -> impl Iterator<Item = &Right> {
        self.0.iter()
    }

    /// What may be done with this.
    pub fn over(&self, object: &Object) -> Accesses {
        let right = self.0.iter().find(|right| right.object == *object);
        right.map_or(Accesses::NONE, |right| right.accesses)
    }

    /// What may be done with this path inside.
    pub fn over_path(&self, path: &str) -> Accesses {
        let right = self.0.iter().find(|right| matches!(&right.object, Object::Path(there) if there == path));
        right.map_or(Accesses::NONE, |right| right.accesses)
    }

    /// What of the host's system may be seen.
    pub fn system_view(&self) -> SystemView {
        let paths: Vec<_> = self.0.iter().filter_map(Right::system_path).collect();
        match paths.as_slice() {
            [] => SystemView::None,
            paths if paths.iter().copied().eq(SYSTEM_VIEW.iter().map(|rule| rule.path)) => SystemView::Host,
            paths => SystemView::Paths(paths.iter().map(|path| (*path).to_owned()).collect()),
        }
    }

    /// The devices of the host.
    pub fn devices(&self) -> impl Iterator<Item = (&str, Accesses)> {
        self.0.iter().filter_map(|right| match &right.object {
            Object::Device(node) => Some((node.as_str(), right.accesses)),
            _ => None,
        })
    }

    /// The hosts that may be reached, and whether what goes there passes unopened.
    pub fn hosts(&self) -> impl Iterator<Item = (&Destination, bool)> {
        self.0.iter().filter_map(|right| match &right.object {
            Object::Host { destination, passes } => Some((destination, *passes)),
            _ => None,
        })
    }

    /// As reports have them.
    pub fn records(&self) -> Vec<RightRecord> {
        self.0.iter().map(Right::record).collect()
    }
}

impl Right {
    /// What may be done.
    pub fn accesses(&self) -> Accesses {
        self.accesses
    }

    /// With what.
    pub fn object(&self) -> &Object {
        &self.object
    }

    fn system_path(&self) -> Option<&str> {
        match &self.object {
            Object::System(path) => Some(path),
            _ => None,
        }
    }

    /// The walls that hold a task to this right: it can do no more than that with this, and nothing with its neighbours.
    pub fn walls(&self) -> Vec<Wall> {
        let has = |access| self.accesses.has(access);
        let mut walls = Vec::new();
        let mut add = |wall: Wall, applies: bool| walls.extend(applies.then_some(wall));
        match &self.object {
            Object::Names(_) | Object::System(_) | Object::Image => {
                add(Wall::MountNamespace, true);
                add(Wall::ReadOnly, true);
                add(Wall::Landlock, true);
            }
            Object::Path(path) => {
                let is_device = path.starts_with("/dev/");
                add(Wall::MountNamespace, true);
                add(Wall::ReadOnly, !has(Access::Write) && path != "/proc");
                // The root, which holds /etc, has programs of the system in it.
                add(Wall::NoExec, !has(Access::Execute) && path != "/etc");
                add(Wall::Landlock, true);
                add(Wall::StorageLimit, has(Access::Write) && !is_device);
            }
            Object::Device(_) => {
                add(Wall::MountNamespace, true);
                add(Wall::Landlock, true);
                // Which keep other nodes from being made.
                add(Wall::Capabilities, true);
                add(Wall::Seccomp, true);
            }
            Object::Terminal => {
                add(Wall::MountNamespace, true);
                add(Wall::Landlock, true);
                add(Wall::Seccomp, true);
            }
            Object::Memory => {
                add(Wall::Seccomp, !has(Access::Execute));
                add(Wall::WriteXorExecute, !has(Access::Execute));
                add(Wall::MemoryLimit, true);
            }
            Object::Localhost | Object::Host { .. } => {
                add(Wall::NetworkNamespace, true);
                add(Wall::Landlock, true);
                add(Wall::Seccomp, true);
            }
        }
        walls
    }

    fn record(&self) -> RightRecord {
        let host;
        let (kind, over) = match &self.object {
            Object::Host { destination, passes } => {
                host = format!("{destination}{}", if *passes { ", passed" } else { "" });
                ("host", host.as_str())
            }
            Object::Names(path) => ("names", path.as_str()),
            Object::Path(path) => ("path", path.as_str()),
            Object::System(path) => ("system", path.as_str()),
            Object::Image => ("image", "/"),
            Object::Device(node) => ("device", node.as_str()),
            Object::Terminal => ("terminal", "/dev/pts"),
            Object::Memory => ("memory", "its own"),
            Object::Localhost => ("host", "localhost"),
        };
        RightRecord {
            access: self.accesses.labels().map(str::to_owned).collect(),
            kind: kind.to_owned(),
            over: over.to_owned(),
            walls: self.walls(),
        }
    }
}

/// Where the built-in runner appears.
pub const RUNNER_PATH: &str = "/hotcell-runner";

/// The nodes that every program expects: no device of anybody's.
pub const BASE_DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

#[cfg(test)]
mod tests;
