//! Takes what a workload left in the output folder, by descriptor, after every process is dead.
//!
//! INVARIANT (look-before-open): a thing is first opened by its path alone (`O_PATH`), which neither waits on a pipe
//! nor wakes a device, and its kind is taken from that descriptor; only a regular file is then opened for reading, and
//! that descriptor must show the same file. Every step is `openat2` beneath the folder, without links and mounts.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use hotcell_types::{Bits, ByteSize, Exit, Explain};
use rustix::fs::{Dir, FileType, Mode, OFlags, ResolveFlags, SeekFrom, Stat};
use rustix::io::Errno;

use crate::names::{MAX_NAME_BYTES, check_name, visible};
use crate::{Finding, FindingKind};

/// What may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CollectRule {
    /// Exactly these files, each in the folder itself.
    Declared {
        /// Their names, as [`CheckedFile::name`](crate::CheckedFile::name) gives them.
        files: BTreeSet<String>,
        /// All together at most this many bytes.
        max_bytes: u64,
    },
    /// Whatever plain files there are: opaque, counted in full.
    Undeclared {
        /// At most this many files. Each takes a descriptor while it is held.
        max_files: u64,
        /// All together at most this many bytes.
        max_bytes: u64,
    },
}

/// One file that may leave as far as its kind, name and size go.
#[derive(Debug)]
pub struct Collected {
    /// Its path under the output folder; every part of it is a harmless name.
    pub path: String,
    /// The file itself, at its beginning: copy from here, never by path.
    pub file: File,
    /// Its size in bytes.
    pub bytes: u64,
}

/// An output folder from which nothing may leave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// It holds what may not leave.
    #[error("{}", describe(.findings, *.further))]
    Refused {
        /// What, in the order of the paths; at least one, at most 20.
        findings: Vec<Finding>,
        /// How many more there are at least.
        further: u64,
    },
    /// The kernel has no `openat2`.
    #[error("the kernel cannot open files beneath a folder safely (openat2, Linux 5.6)")]
    NoOpenat2,
    /// The folder cannot be walked.
    #[error("the output folder cannot be read")]
    Io {
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Deepest nesting of folders.
pub const MAX_DEPTH: usize = 8;
/// Most entries that are looked at: beyond it the walk ends, so that a million files cost no more than this.
const MAX_ENTRIES: u64 = 20_000;
/// Most findings that are told one by one.
const MAX_FINDINGS: usize = 20;
/// What the framing of an opaque file can carry: the choice of its size (48 bits) and of its path's length (16).
const FRAMING_BITS: f64 = 64.0;

impl CollectRule {
    /// The rule of the profile `strict` where a task declares nothing: 100 files and 100 MiB.
    pub fn strict() -> Self {
        Self::Undeclared { max_files: 100, max_bytes: 100 << 20 }
    }

    fn max_bytes(&self) -> u64 {
        match self {
            Self::Declared { max_bytes, .. } | Self::Undeclared { max_bytes, .. } => *max_bytes,
        }
    }
}

impl Collected {
    /// What the file can carry when it leaves as it is: eight bits for each byte of content and path, and its framing.
    pub fn opaque_capacity(&self) -> Bits {
        Bits(8.0 * (self.bytes as f64 + self.path.len() as f64) + FRAMING_BITS)
    }
}

/// What the files can carry together when they leave as they are.
pub fn opaque_capacity(files: &[Collected]) -> Bits {
    files.iter().map(Collected::opaque_capacity).sum()
}

/// Walks the output folder and gives the files that may leave, in the order of their paths.
///
/// Everything is refused if one thing is: links (symbolic, and files with further hard links), devices, pipes, sockets,
/// mounts, files with holes, harmful names, and whatever the rule does not let out. Empty folders do not leave.
///
/// # Errors
/// [`CollectError::Refused`] with what was found; the others when the walk itself fails.
///
/// # Requires
/// `openat2` (Linux 5.6). Every process that could write to the folder must be dead.
///
/// # Security
/// The findings show names that the workload chose, escaped, cut to 64 characters, at most 20 of them.
pub fn collect(folder: BorrowedFd<'_>, rule: &CollectRule) -> Result<Vec<Collected>, CollectError> {
    let mut walk = Walk { rule, files: Vec::new(), bytes: 0, entries: 0, folders: 0, findings: Vec::new(), further: 0 };
    let root = open_beneath(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY).map_err(of_errno)?;
    let mut waiting = VecDeque::from([(root, String::new(), 1)]);
    while let Some((folder, path, depth)) = waiting.pop_front() {
        for (name, folder) in walk.folder(&folder, &path, depth)? {
            waiting.push_back((folder, name, depth + 1));
        }
        if walk.is_over() {
            break;
        }
    }
    walk.finish()
}

struct Walk<'a> {
    rule: &'a CollectRule,
    files: Vec<Collected>,
    bytes: u64,
    entries: u64,
    folders: u64,
    findings: Vec<Finding>,
    further: u64,
}

impl Walk<'_> {
    /// Looks at every entry of one folder and gives the folders inside it.
    fn folder(&mut self, folder: &OwnedFd, path: &str, depth: usize) -> Result<Vec<(String, OwnedFd)>, CollectError> {
        let mut folders = Vec::new();
        for name in self.names(folder)? {
            if self.is_over() {
                break;
            }
            let shown = if path.is_empty() { visible(&name) } else { format!("{path}/{}", visible(&name)) };
            let inner = match check_name(&name) {
                Ok(name) => self.entry(folder, name, path, depth)?,
                Err(kind) => Err(kind),
            };
            match inner {
                Ok(Some(inner)) => folders.push(inner),
                Ok(None) => {}
                Err(kind) => self.refuse(Finding::of_file(kind, &shown)),
            }
        }
        Ok(folders)
    }

    /// The names in a folder, sorted, so that what is reported does not depend on the workload's order.
    fn names(&mut self, folder: &OwnedFd) -> Result<Vec<Vec<u8>>, CollectError> {
        let mut names = Vec::new();
        for entry in Dir::read_from(folder).map_err(of_errno)? {
            let entry = entry.map_err(of_errno)?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                self.refuse_all(FindingKind::TooManyFiles, format!("more than {MAX_ENTRIES}"));
                return Ok(Vec::new());
            }
            names.push(name.to_vec());
        }
        names.sort();
        Ok(names)
    }

    /// One entry with a harmless name: takes a file, gives a folder.
    fn entry(
        &mut self,
        folder: &OwnedFd,
        name: &str,
        path: &str,
        depth: usize,
    ) -> Result<Result<Option<(String, OwnedFd)>, FindingKind>, CollectError> {
        let look = match open_beneath(folder.as_fd(), name, OFlags::PATH) {
            Ok(look) => look,
            Err(Errno::XDEV) => return Ok(Err(FindingKind::Mount)),
            Err(Errno::LOOP) => return Ok(Err(FindingKind::Symlink)),
            Err(errno) => return Err(of_errno(errno)),
        };
        let seen = rustix::fs::fstat(&look).map_err(of_errno)?;
        let full_path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        match FileType::from_raw_mode(seen.st_mode) {
            FileType::RegularFile => Ok(self.file(folder, name, full_path, &seen)?.map(|()| None)),
            FileType::Directory => Ok(self.inner_folder(folder, name, full_path, depth)?.map(Some)),
            FileType::Symlink => Ok(Err(FindingKind::Symlink)),
            FileType::Fifo => Ok(Err(FindingKind::Fifo)),
            FileType::Socket => Ok(Err(FindingKind::Socket)),
            _ => Ok(Err(FindingKind::Device)),
        }
    }

    fn inner_folder(
        &mut self,
        folder: &OwnedFd,
        name: &str,
        path: String,
        depth: usize,
    ) -> Result<Result<(String, OwnedFd), FindingKind>, CollectError> {
        match self.rule {
            CollectRule::Declared { files, .. } if files.contains(&path) => return Ok(Err(FindingKind::NotAFile)),
            CollectRule::Declared { .. } => return Ok(Err(FindingKind::Undeclared)),
            CollectRule::Undeclared { max_files, .. } => {
                if depth >= MAX_DEPTH {
                    return Ok(Err(FindingKind::TooDeep));
                }
                self.folders += 1;
                if self.folders > *max_files {
                    self.refuse_all(FindingKind::TooManyFiles, format!("at most {max_files} folders"));
                }
            }
        }
        match open_beneath(folder.as_fd(), name, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(inner) => Ok(Ok((path, inner))),
            Err(Errno::ACCESS | Errno::PERM) => Ok(Err(FindingKind::Unreadable)),
            Err(errno) => Err(of_errno(errno)),
        }
    }

    fn file(
        &mut self,
        folder: &OwnedFd,
        name: &str,
        path: String,
        seen: &Stat,
    ) -> Result<Result<(), FindingKind>, CollectError> {
        match self.rule {
            CollectRule::Declared { files, .. } if !files.contains(&path) => return Ok(Err(FindingKind::Undeclared)),
            CollectRule::Undeclared { max_files, .. } if self.files.len() as u64 >= *max_files => {
                self.refuse_all(FindingKind::TooManyFiles, format!("at most {max_files} files"));
                return Ok(Ok(()));
            }
            CollectRule::Declared { .. } | CollectRule::Undeclared { .. } => {}
        }
        if seen.st_nlink > 1 {
            return Ok(Err(FindingKind::HardLink));
        }
        let file = match open_beneath(folder.as_fd(), name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(file) => file,
            Err(Errno::ACCESS | Errno::PERM) => return Ok(Err(FindingKind::Unreadable)),
            Err(errno) => return Err(of_errno(errno)),
        };
        // INVARIANT (look-before-open): what was opened is what was looked at.
        let opened = rustix::fs::fstat(&file).map_err(of_errno)?;
        if (opened.st_dev, opened.st_ino, opened.st_mode) != (seen.st_dev, seen.st_ino, seen.st_mode) {
            return Err(of_errno(Errno::STALE));
        }
        let bytes = u64::try_from(opened.st_size).unwrap_or(u64::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.rule.max_bytes() {
            let limit = format!("at most {}", ByteSize(self.rule.max_bytes()));
            self.refuse_all(FindingKind::TooManyBytes, limit);
            return Ok(Ok(()));
        }
        if has_hole(&file, bytes).map_err(of_errno)? {
            return Ok(Err(FindingKind::Sparse));
        }
        self.files.push(Collected { path, file: File::from(file), bytes });
        Ok(Ok(()))
    }

    fn refuse(&mut self, finding: Finding) {
        if self.findings.len() < MAX_FINDINGS {
            self.findings.push(finding);
        } else {
            self.further += 1;
        }
    }

    /// Refuses the folder as a whole, which ends the walk: said first, whatever else was found.
    fn refuse_all(&mut self, kind: FindingKind, detail: String) {
        self.findings.insert(0, Finding::of_file(kind, "/output").with_detail(detail));
        self.entries = u64::MAX;
    }

    fn is_over(&self) -> bool {
        self.entries == u64::MAX
    }

    fn finish(mut self) -> Result<Vec<Collected>, CollectError> {
        if let CollectRule::Declared { files, .. } = self.rule
            && !self.is_over()
        {
            let refused: BTreeSet<String> = self.findings.iter().map(|finding| finding.file.clone()).collect();
            let found: BTreeSet<String> = self.files.iter().map(|file| file.path.clone()).collect();
            for name in files.difference(&found).map(|name| visible(name.as_bytes())) {
                if !refused.contains(&name) {
                    self.refuse(Finding::of_file(FindingKind::Missing, &name));
                }
            }
        }
        if !self.findings.is_empty() {
            return Err(CollectError::Refused { findings: self.findings, further: self.further });
        }
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(self.files)
    }
}

impl CollectError {
    /// What was found, for the receipt.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Refused { findings, .. } => findings,
            Self::NoOpenat2 | Self::Io { .. } => &[],
        }
    }
}

impl Explain for CollectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Refused { findings, .. } => findings.first().map_or("INS-409", |finding| finding.kind.code()),
            Self::NoOpenat2 => "INS-410",
            Self::Io { .. } => "INS-411",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Refused { findings, .. } => {
                findings.first().map_or("correct the output", |finding| finding.kind.remedy()).to_owned()
            }
            Self::NoOpenat2 => "use Linux 5.6 or newer, and let no outer sandbox forbid openat2".into(),
            Self::Io { .. } => "look at the cause and run the task again".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Refused,
            Self::NoOpenat2 => Exit::HostLacks,
            Self::Io { .. } => Exit::Failed,
        }
    }
}

/// Opens one name beneath a folder, never through a link, never onto another file system.
fn open_beneath(folder: BorrowedFd<'_>, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
    debug_assert!(name.len() <= MAX_NAME_BYTES);
    let resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_XDEV;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        // EAGAIN: a rename somewhere made the kernel unsure; it is safe to ask again.
        match rustix::fs::openat2(folder, name, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            result => return result,
        }
    }
}

/// Whether a file has a hole before its end. The kernel is asked for holes themselves: the number of blocks would
/// also tell small, compressed and huge-page files apart, which are no concern here.
fn has_hole(file: &OwnedFd, bytes: u64) -> Result<bool, Errno> {
    if bytes == 0 {
        return Ok(false);
    }
    let hole = rustix::fs::seek(file, SeekFrom::Hole(0))?;
    rustix::fs::seek(file, SeekFrom::Start(0))?;
    Ok(hole < bytes)
}

fn of_errno(errno: Errno) -> CollectError {
    match errno {
        Errno::NOSYS => CollectError::NoOpenat2,
        errno => CollectError::Io { source: errno.into() },
    }
}

fn describe(findings: &[Finding], further: u64) -> String {
    let first = findings.first().map(ToString::to_string).unwrap_or_default();
    match findings.len() as u64 + further {
        0 | 1 => first,
        count => format!("{first}; and {} more", count - 1),
    }
}

#[cfg(test)]
#[path = "collect/tests.rs"]
mod tests;
