//! Copies of inputs in memory, for root on hosts whose mounts cannot map ids (Linux before 5.12, some file systems).
//!
//! A sandbox of root runs as an id that owns nothing, so that it could not read what is not for everyone. What is for
//! everyone is shown as it is; the rest is copied into a file system in memory, with root's rights, before the sandbox
//! exists. No link is followed on the way: the owner of an input may try to let root read what is not his.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, mkdirat, openat, readlinkat, statat, symlinkat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen};

/// Most bytes that are copied for one sandbox: they are in memory, and of the host, not of the sandbox.
const MAX_BYTES: u64 = 2 << 30;
/// Most files, folders and links.
const MAX_ENTRIES: u64 = 100_000;
/// Most folders below one another.
const MAX_DEPTH: usize = 64;

/// A file system in memory that is attached nowhere yet.
#[derive(Debug)]
pub(crate) struct Copies {
    mount: OwnedFd,
    entries: u64,
    bytes: u64,
    roots: u32,
}

impl Copies {
    pub(crate) fn new() -> io::Result<Self> {
        let fs = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_string(fs.as_fd(), "size", (MAX_BYTES + MAX_ENTRIES * 4096).to_string())?;
        fsconfig_set_string(fs.as_fd(), "mode", "0755")?;
        fsconfig_create(fs.as_fd())?;
        let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
        let mount = fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)?;
        Ok(Self { mount, entries: 0, bytes: 0, roots: 0 })
    }

    /// Copies a file or a folder; gives its name in there. `found` is the device and the inode that were looked at.
    pub(crate) fn add(&mut self, source: &Path, found: (u64, u64)) -> io::Result<String> {
        let name = self.roots.to_string();
        self.roots += 1;
        let file = openat(CWD, source, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK, NONE)?;
        let mount = self.mount.try_clone()?;
        let opened = rustix::fs::fstat(&file)?;
        if (opened.st_dev, opened.st_ino) != found {
            return Err(io::Error::other("it was replaced meanwhile"));
        }
        match FileType::from_raw_mode(opened.st_mode) {
            FileType::Directory => self.folder(file, mount.as_fd(), &name, 0)?,
            FileType::RegularFile => self.file(file, mount.as_fd(), &name)?,
            _ => return Err(io::Error::other("it is neither a file nor a folder")),
        }
        Ok(name)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }

    fn folder(&mut self, source: OwnedFd, parent: BorrowedFd<'_>, name: &str, depth: usize) -> io::Result<()> {
        if depth == MAX_DEPTH {
            return Err(io::Error::other(format!("folders more than {MAX_DEPTH} deep are not copied")));
        }
        self.count(0)?;
        mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
        let target = openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, NONE)?;
        rustix::fs::fchmod(&target, Mode::from_raw_mode(0o755))?;
        for entry in Dir::read_from(&source)? {
            let entry = entry?;
            if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                self.entry(source.as_fd(), target.as_fd(), entry.file_name(), depth)?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, name: &CStr, depth: usize) -> io::Result<()> {
        let text = || name.to_str().map_err(|_| io::Error::other("a name that is not UTF-8 is not copied"));
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match FileType::from_raw_mode(statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode) {
            FileType::Symlink => {
                self.count(0)?;
                Ok(symlinkat(readlinkat(from, name, Vec::new())?, to, name)?)
            }
            FileType::Directory => {
                let folder = openat(from, name, flags | OFlags::DIRECTORY, NONE)?;
                self.folder(folder, to, text()?, depth + 1)
            }
            FileType::RegularFile => self.file(openat(from, name, flags, NONE)?, to, text()?),
            // Pipes, sockets and devices are no data.
            _ => Ok(()),
        }
    }

    fn file(&mut self, source: OwnedFd, parent: BorrowedFd<'_>, name: &str) -> io::Result<()> {
        let metadata = rustix::fs::fstat(&source)?;
        if FileType::from_raw_mode(metadata.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(ErrorKind::InvalidData, "a file was exchanged while it was copied"));
        }
        self.count(u64::try_from(metadata.st_size).unwrap_or(u64::MAX))?;
        let mode = Mode::from_raw_mode(if metadata.st_mode & 0o111 == 0 { 0o444 } else { 0o555 });
        let target = openat(parent, name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC, mode)?;
        rustix::fs::fchmod(&target, mode)?;
        // One that grows meanwhile meets the size of the file system.
        io::copy(&mut File::from(source), &mut File::from(target))?;
        Ok(())
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(bytes);
        if self.entries > MAX_ENTRIES || self.bytes > MAX_BYTES {
            return Err(io::Error::other(format!(
                "this file system cannot map ids, and more than {} or {MAX_ENTRIES} files are not copied into memory: \
                 make it readable for all (chmod -R o+rX), or move it to ext4 on Linux 5.12 or newer",
                hotcell_types::ByteSize(MAX_BYTES)
            )));
        }
        Ok(())
    }
}

/// No rights beyond those of what is there: for opening.
const NONE: Mode = Mode::empty();

/// Whether everyone may read a tree, as far as modes tell. What cannot be looked at may not be read.
pub(crate) fn is_for_everyone(path: &Path) -> bool {
    let mut left = MAX_ENTRIES;
    tree_is_for_everyone(path, MAX_DEPTH, &mut left).unwrap_or(false)
}

fn tree_is_for_everyone(path: &Path, depth: usize, left: &mut u64) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let metadata = std::fs::symlink_metadata(path)?;
    *left = left.saturating_sub(1);
    if *left == 0 || depth == 0 {
        return Ok(false);
    }
    if metadata.is_file() {
        return Ok(metadata.mode() & 0o004 != 0);
    }
    if !metadata.is_dir() {
        return Ok(true);
    }
    if metadata.mode() & 0o005 != 0o005 {
        return Ok(false);
    }
    for entry in std::fs::read_dir(path)? {
        if !tree_is_for_everyone(&entry?.path(), depth - 1, left)? {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn identity(path: &Path) -> (u64, u64) {
        use std::os::unix::fs::MetadataExt as _;
        let found = std::fs::symlink_metadata(path).unwrap();
        (found.dev(), found.ino())
    }

    fn read(copies: &Copies, path: &str) -> io::Result<String> {
        let file = openat(copies.as_fd(), path, OFlags::RDONLY | OFlags::NOFOLLOW, NONE)?;
        io::read_to_string(File::from(file))
    }

    #[test]
    fn a_tree_is_copied_for_everyone_to_read_and_no_link_is_followed() {
        hotcell_testkit::require_root!();
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        std::fs::create_dir_all(tree.join("deep/er")).unwrap();
        std::fs::write(tree.join("deep/er/file"), "content").unwrap();
        std::fs::set_permissions(tree.join("deep"), PermissionsExt::from_mode(0o700)).unwrap();
        std::fs::write(place.path().join("secret"), "secret").unwrap();
        symlink(place.path().join("secret"), tree.join("link")).unwrap();
        rustix::fs::mknodat(CWD, tree.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o644), 0).unwrap();
        let mut copies = Copies::new().unwrap();
        assert_eq!(copies.add(&tree, identity(&tree)).unwrap(), "0");
        let file = tree.join("deep/er/file");
        assert_eq!(copies.add(&file, identity(&file)).unwrap(), "1");
        assert_eq!(read(&copies, "0/deep/er/file").unwrap(), "content");
        assert_eq!(read(&copies, "1").unwrap(), "content");
        let mode = |path| statat(copies.as_fd(), path, AtFlags::SYMLINK_NOFOLLOW).unwrap().st_mode & 0o777;
        assert_eq!((mode("0/deep"), mode("0/deep/er/file")), (0o755, 0o444));
        let link = readlinkat(copies.as_fd(), "0/link", Vec::new()).unwrap();
        assert_eq!(link.to_bytes(), place.path().join("secret").as_os_str().as_encoded_bytes());
        assert_eq!(read(&copies, "0/link").unwrap_err().raw_os_error(), Some(40), "a link, not what it points to");
        assert!(statat(copies.as_fd(), "0/pipe", AtFlags::empty()).is_err());
        let link = tree.join("link");
        assert!(copies.add(&link, identity(&link)).is_err(), "nor is a link copied in place of an input");
    }

    #[test]
    fn what_took_the_place_of_an_input_is_not_copied() {
        hotcell_testkit::require_root!();
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        for (kind, make) in [
            ("file", &(|path: &Path| std::fs::write(path, "secret")) as &dyn Fn(&Path) -> io::Result<()>),
            ("folder", &|path| std::fs::create_dir(path)),
        ] {
            let (input, other) = (path(kind), path(&format!("other {kind}")));
            make(&input).unwrap();
            make(&other).unwrap();
            let found = identity(&input);
            std::fs::rename(&input, path(&format!("old {kind}"))).unwrap();
            std::fs::rename(&other, &input).unwrap();
            let mut copies = Copies::new().unwrap();
            let error = copies.add(&input, found).unwrap_err().to_string();
            assert_eq!(error, "it was replaced meanwhile", "{kind}");
            assert!(statat(copies.as_fd(), "0", AtFlags::empty()).is_err(), "{kind}: nothing was copied");
            copies.add(&input, identity(&input)).unwrap();
        }
    }

    #[test]
    fn what_is_too_much_is_refused_with_a_way_out() {
        hotcell_testkit::require_root!();
        let place = tempfile::tempdir().unwrap();
        let large = place.path().join("large");
        File::create(&large).unwrap().set_len(MAX_BYTES + 1).unwrap();
        let error = Copies::new().unwrap().add(&large, identity(&large)).unwrap_err().to_string();
        assert!(error.contains("2 GiB") && error.contains("chmod -R o+rX"), "{error}");
    }

    #[test]
    fn one_closed_folder_or_file_makes_a_tree_not_for_everyone() {
        let place = tempfile::tempdir().unwrap();
        let tree = place.path().join("tree");
        std::fs::create_dir_all(tree.join("deep")).unwrap();
        std::fs::write(tree.join("deep/file"), "").unwrap();
        let set = |path: &str, mode| {
            std::fs::set_permissions(tree.join(path), PermissionsExt::from_mode(mode)).unwrap();
        };
        ["", "deep"].iter().for_each(|path| set(path, 0o755));
        set("deep/file", 0o644);
        assert!(is_for_everyone(&tree));
        set("deep/file", 0o640);
        assert!(!is_for_everyone(&tree));
        set("deep/file", 0o644);
        set("deep", 0o750);
        assert!(!is_for_everyone(&tree));
        assert!(!is_for_everyone(&tree.join("missing")));
    }
}
