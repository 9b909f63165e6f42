//! Unpacking one layer over those below it.
//!
//! What an entry may say is its path, its kind, one bit of its mode, its time, its content, and where a link points
//! to. Owners, set-id bits, all other bits and extended attributes are dropped; devices and pipes are left out and
//! counted, as no workload may have them; everything that only an attacker needs is refused.

use std::collections::HashSet;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno;
use tar::{Archive, Entry, EntryType};

use crate::blob::{CHUNK, read_bounded};
use crate::pax::Pax;
use crate::tree::{self, There, Tree};
use crate::{Bounds, OciError};

/// What unpacking has made so far, over all layers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Entries, and folders that were made for them.
    pub(crate) entries: u64,
    /// Devices and pipes that were left out.
    pub(crate) left_out: u64,
}

/// A layer being unpacked.
pub(crate) struct Unpacking<'a> {
    tree: &'a Tree,
    bounds: &'a Bounds,
    number: usize,
    count: &'a mut Count,
    /// What this layer made: whiteouts are for the layers below it.
    made: HashSet<Vec<u8>>,
    /// Bytes of these paths.
    made_bytes: u64,
}

/// What was said of the next entry before it.
#[derive(Default)]
struct Ahead {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

/// One entry, with all that was said of it.
struct Told {
    path: Vec<u8>,
    link: Option<Vec<u8>>,
    mtime: i64,
}

/// The file that marks something of the layers below as removed begins with this.
const WHITEOUT: &[u8] = b".wh.";
/// And this one all of a folder.
const OPAQUE: &[u8] = b".wh..wh..opq";
/// Other files of the storage driver that the format came from.
const DRIVER: &[u8] = b".wh..wh.";
/// What the tar reader says where the archive ends within what fills a block. A test by such a tool holds it.
const LAST_BLOCK_NOT_FILLED: &str = "unexpected EOF during skip";
/// The kernel's bound of one name.
const MAX_NAME_BYTES: usize = 255;

impl<'a> Unpacking<'a> {
    pub(crate) fn new(tree: &'a Tree, bounds: &'a Bounds, number: usize, count: &'a mut Count) -> Self {
        Self { tree, bounds, number, count, made: HashSet::new(), made_bytes: 0 }
    }

    /// Unpacks a tar up to its end.
    ///
    /// # Errors
    /// [`OciError::Entry`] for what is refused, [`OciError::Malformed`] for what is no tar, [`OciError::TooMuch`].
    pub(crate) fn unpack(mut self, from: impl Read) -> Result<(), OciError> {
        let mut archive = Archive::new(from);
        let number = self.number;
        let malformed = move |error: io::Error| {
            OciError::out_of(error, |error| OciError::malformed(format!("layer {number}"), error.to_string()))
        };
        let mut ahead = Ahead::default();
        // Raw: what extends an entry is read here, with bounds and without two meanings.
        for entry in archive.entries().map_err(malformed)?.raw(true) {
            let mut entry = match entry {
                // Some tools do not fill the last block, nor write the end; all contents were read in full by now.
                Err(error) if error.to_string() == LAST_BLOCK_NOT_FILLED => break,
                other => other.map_err(malformed)?,
            };
            let kind = entry.header().entry_type();
            let field = match kind {
                EntryType::GNULongName => &mut ahead.path,
                EntryType::GNULongLink => &mut ahead.link,
                EntryType::XHeader => {
                    let pax = self.extension(&mut entry).map_err(malformed)?;
                    let pax = Pax::parse(&pax).map_err(|why| self.refused(b"", why))?;
                    if ahead.pax.replace(pax).is_some() {
                        return Err(self.refused(b"", "has two extended headers"));
                    }
                    continue;
                }
                EntryType::XGlobalHeader => {
                    let pax = self.extension(&mut entry).map_err(malformed)?;
                    if !Pax::parse(&pax).is_ok_and(|pax| pax.is_plain()) {
                        return Err(self.refused(b"", "renames all entries behind it"));
                    }
                    continue;
                }
                _ => {
                    let told = self.told(&entry, std::mem::take(&mut ahead))?;
                    self.entry(&mut entry, kind, told).map_err(malformed)?;
                    continue;
                }
            };
            if field.is_some() {
                return Err(self.refused(b"", "has two long names"));
            }
            let limit = self.bounds.path_bytes as u64 + 1;
            let mut name = read_bounded(&mut entry, limit, "the length of a path").map_err(malformed)?;
            if name.last() == Some(&0) {
                name.pop();
            }
            *field = Some(name);
        }
        if ahead.path.is_some() || ahead.link.is_some() || ahead.pax.is_some() {
            return Err(self.refused(b"", "is said to follow, and does not"));
        }
        Ok(())
    }

    fn extension(&self, entry: &mut Entry<'_, impl Read>) -> io::Result<Vec<u8>> {
        read_bounded(entry, self.bounds.extension_bytes, "the length of an extended header")
    }

    /// Everything that was said of an entry. Two meanings are none.
    fn told(&self, entry: &Entry<'_, impl Read>, ahead: Ahead) -> Result<Told, OciError> {
        let header = entry.header();
        let pax = ahead.pax.unwrap_or_default();
        let one = |long: Option<Vec<u8>>, extended: Option<Vec<u8>>, short: Option<Vec<u8>>| match (long, extended) {
            (Some(long), Some(extended)) if long != extended => Err(self.refused(&long, "has two names")),
            (Some(said), _) | (None, Some(said)) => Ok(Some(said)),
            (None, None) => Ok(short),
        };
        let path = one(ahead.path, pax.path, Some(header.path_bytes().into_owned()))?.unwrap_or_default();
        let link = one(ahead.link, pax.link, header.link_name_bytes().map(|name| name.into_owned()))?;
        if pax.size.is_some_and(|size| header.entry_size().ok() != Some(size)) {
            return Err(self.refused(&path, "has two sizes"));
        }
        let mtime = pax.mtime.or_else(|| header.mtime().ok().and_then(|time| i64::try_from(time).ok())).unwrap_or(0);
        Ok(Told { path, link, mtime: mtime.max(0) })
    }

    fn entry(&mut self, entry: &mut Entry<'_, impl Read>, kind: EntryType, told: Told) -> io::Result<()> {
        self.add(1).map_err(OciError::into_io)?;
        let path = self.clean(&told.path).map_err(OciError::into_io)?;
        let result = match kind {
            EntryType::Directory => self.folder(&path),
            // Of old archives: a file whose name ends in a slash is a folder.
            EntryType::Regular if told.path.ends_with(b"/") => self.folder(&path),
            EntryType::Regular | EntryType::Continuous => return self.file(entry, &path, told.mtime),
            EntryType::Symlink => self.symlink(&path, &told.link.unwrap_or_default()),
            EntryType::Link => self.hard_link(&path, &told.link.unwrap_or_default()),
            EntryType::Char | EntryType::Block | EntryType::Fifo => self.leave_out(&path),
            EntryType::GNUSparse => Err(self.refused(&path, "has holes, which is not taken")),
            _ => Err(self.refused(&path, "is of an unknown kind")),
        };
        result.map_err(OciError::into_io)
    }

    fn file(&mut self, entry: &mut Entry<'_, impl Read>, path: &[u8], mtime: i64) -> io::Result<()> {
        let (_, name) = tree::split(path);
        if name.starts_with(WHITEOUT) {
            return self.whiteout(path).map_err(OciError::into_io);
        }
        let is_program = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
        let (folder, name) = self.place(path).map_err(OciError::into_io)?;
        let unwritable = |error: io::Error| OciError::file("unpack", shown(path).as_ref())(error).into_io();
        let mut file = tree::new_file(&folder, name).map_err(|error| unwritable(error.into()))?;
        let mut buffer = vec![0; CHUNK];
        let mut left = entry.header().entry_size()?;
        while left > 0 {
            let count = entry.read(&mut buffer)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            file.write_all(buffer.get(..count).unwrap_or_default()).map_err(unwritable)?;
            left = left.saturating_sub(count as u64);
        }
        tree::finish_file(&file, is_program, mtime).map_err(|error| unwritable(error.into()))
    }

    fn folder(&mut self, path: &[u8]) -> Result<(), OciError> {
        if path.is_empty() {
            return Ok(());
        }
        let (above, name) = tree::split(path);
        let folder = self.above(above, path)?;
        let failed = self.failed(path);
        match tree::there(&folder, name).map_err(&failed)? {
            There::Folder => {}
            There::Nothing => tree::mkdir(&folder, name).map_err(&failed)?,
            // A folder takes the place of whatever else was there, also of a link to a folder.
            _ => {
                tree::remove(&folder, name).map_err(&failed)?;
                tree::mkdir(&folder, name).map_err(&failed)?;
            }
        }
        self.note(path)
    }

    fn symlink(&mut self, path: &[u8], target: &[u8]) -> Result<(), OciError> {
        if target.is_empty() || target.contains(&0) || target.len() > self.bounds.path_bytes {
            return Err(self.refused(path, "is a link to nowhere"));
        }
        if tree::split(path).1.starts_with(WHITEOUT) {
            return Err(self.refused(path, "is a whiteout that is no file"));
        }
        let (folder, name) = self.place(path)?;
        tree::symlink(&folder, name, target).map_err(self.failed(path))
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8]) -> Result<(), OciError> {
        let old = self.clean(target).map_err(|_| self.refused(path, "is a hard link out of the image"))?;
        if tree::split(path).1.starts_with(WHITEOUT) {
            return Err(self.refused(path, "is a whiteout that is no file"));
        }
        if old == path {
            return Err(self.refused(path, "is a hard link to itself"));
        }
        let (above, old_name) = tree::split(&old);
        let from = self.tree.folder(above).map_err(|error| match error {
            Errno::NOENT | Errno::NOTDIR => self.refused(path, "is a hard link to nothing"),
            error => self.failed(path)(error),
        })?;
        match tree::there(&from, old_name).map_err(self.failed(path))? {
            There::File | There::Link => {}
            _ => return Err(self.refused(path, "is a hard link to nothing that is a file")),
        }
        let (folder, name) = self.place(path)?;
        // To make room for it may have removed what it links to.
        tree::hard_link(&from, old_name, &folder, name).map_err(|error| match error {
            Errno::NOENT => self.refused(path, "is a hard link to what it replaces"),
            error => self.failed(path)(error),
        })
    }

    fn leave_out(&mut self, path: &[u8]) -> Result<(), OciError> {
        if tree::split(path).1.starts_with(WHITEOUT) {
            return Err(self.refused(path, "is a whiteout that is no file"));
        }
        self.count.left_out += 1;
        Ok(())
    }

    /// Removes what lower layers have at the name, or all that they have in the folder.
    fn whiteout(&mut self, path: &[u8]) -> Result<(), OciError> {
        let (above, mark) = tree::split(path);
        let name = mark.get(WHITEOUT.len()..).unwrap_or_default();
        if matches!(name, b"" | b"." | b"..") {
            return Err(self.refused(path, "is a whiteout of no name"));
        }
        let failed = self.failed(path);
        let folder = match self.tree.folder(above) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            other => other.map_err(&failed)?,
        };
        if mark == OPAQUE {
            return self.clear(&folder, above, path);
        }
        if mark.starts_with(DRIVER) {
            return Ok(());
        }
        let removed = join(above, name);
        match self.made.contains(&removed) {
            true => Ok(()),
            false => tree::remove(&folder, name).map_err(&failed),
        }
    }

    /// Removes what this layer did not make, at any depth.
    fn clear(&self, folder: impl AsFd, path: &[u8], entry: &[u8]) -> Result<(), OciError> {
        let failed = self.failed(entry);
        for name in tree::names(folder.as_fd()).map_err(&failed)? {
            let below = join(path, &name);
            if !self.made.contains(&below) {
                tree::remove(folder.as_fd(), &name).map_err(&failed)?;
            } else if tree::there(folder.as_fd(), &name).map_err(&failed)? == There::Folder {
                self.clear(self.tree.folder(&below).map_err(&failed)?, &below, entry)?;
            }
        }
        Ok(())
    }

    /// Makes room for a new file or link at a path, whatever is there, and gives its folder and name.
    fn place<'p>(&mut self, path: &'p [u8]) -> Result<(OwnedFd, &'p [u8]), OciError> {
        let (above, name) = tree::split(path);
        if name.is_empty() {
            return Err(self.refused(path, "takes the place of the root"));
        }
        let folder = self.above(above, path)?;
        tree::remove(&folder, name).map_err(self.failed(path))?;
        self.note(path)?;
        Ok((folder, name))
    }

    /// The folder of an entry, made where the layer did not bother to list it.
    fn above(&mut self, above: &[u8], path: &[u8]) -> Result<OwnedFd, OciError> {
        let (folder, made) = self.tree.make_folder(above).map_err(self.failed(path))?;
        self.add(made)?;
        Ok(folder)
    }

    /// Notes a path, and the folders above it, as made by this layer.
    fn note(&mut self, path: &[u8]) -> Result<(), OciError> {
        let mut path = path;
        while !path.is_empty() && !self.made.contains(path) {
            self.made_bytes = self.made_bytes.saturating_add(path.len() as u64);
            if self.made_bytes > self.bounds.made_bytes {
                let limit = self.bounds.made_bytes;
                return Err(OciError::TooMuch { what: "the length of all paths of a layer", limit });
            }
            self.made.insert(path.to_vec());
            path = tree::split(path).0;
        }
        Ok(())
    }

    fn add(&mut self, entries: u64) -> Result<(), OciError> {
        self.count.entries += entries;
        match self.count.entries > self.bounds.entries {
            true => Err(OciError::TooMuch { what: "the number of entries", limit: self.bounds.entries }),
            false => Ok(()),
        }
    }

    /// A path as names with `/` in between: no way up, not from the top.
    fn clean(&self, path: &[u8]) -> Result<Vec<u8>, OciError> {
        let mut names = Vec::new();
        if path.len() > self.bounds.path_bytes {
            return Err(OciError::TooMuch { what: "the length of a path", limit: self.bounds.path_bytes as u64 });
        }
        if path.first() == Some(&b'/') {
            return Err(self.refused(path, "has an absolute path"));
        }
        for name in path.split(|byte| *byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(self.refused(path, "leads upwards")),
                name if name.contains(&0) => return Err(self.refused(path, "has a NUL in its path")),
                name if name.len() > MAX_NAME_BYTES => return Err(self.refused(path, "has a name of over 255 bytes")),
                name => names.push(name),
            }
        }
        if names.len() > self.bounds.depth {
            return Err(OciError::TooMuch { what: "the depth of a path", limit: self.bounds.depth as u64 });
        }
        Ok(names.join(&b'/'))
    }

    fn refused(&self, path: &[u8], why: &'static str) -> OciError {
        OciError::Entry { layer: self.number, entry: shown(path), why }
    }

    fn failed(&self, path: &[u8]) -> impl Fn(Errno) -> OciError + use<> {
        let (layer, entry) = (self.number, shown(path));
        move |error| match error {
            Errno::LOOP => OciError::Entry {
                layer,
                entry: entry.clone(),
                why: "lies behind a symbolic link, which is not followed",
            },
            Errno::NOTDIR => {
                OciError::Entry { layer, entry: entry.clone(), why: "lies below something that is no folder" }
            }
            error => OciError::File { operation: "unpack", path: entry.clone().into(), source: error.into() },
        }
    }
}

fn join(above: &[u8], name: &[u8]) -> Vec<u8> {
    if above.is_empty() { name.to_vec() } else { [above, b"/", name].concat() }
}

/// A path for an error: short and harmless.
fn shown(path: &[u8]) -> String {
    crate::reference::brief(&String::from_utf8_lossy(path))
}
