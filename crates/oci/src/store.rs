//! The cache: unpacked images by the digest of their manifest, shared by all runs, changed by none.
//!
//! `sha256-HEX/` holds an image, whole: it gets that name once all of it is there and fits its digests. Until then it
//! is `.sha256-HEX.part`. Whoever makes or removes an image holds the lock of `.sha256-HEX.lock` alone, whoever uses
//! it shares it; the kernel gives it back however a process ends.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_types::Digest;
use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, openat, syncfs};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::blob::Tally;
use crate::config::{ImageConfig, ImageUser};
use crate::decompress::{Measured, plain};
use crate::layer::{Count, Unpacking};
use crate::resolve::FoundImage;
use crate::tree::{self, Tree};
use crate::{OciError, Progress};

/// The folder of all images.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// An image that is here. While this value lives it is not removed.
#[derive(Debug)]
pub struct StoredImage {
    folder: PathBuf,
    about: About,
    _shared: File,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CachedImage {
    /// The digest of its manifest.
    pub digest: Digest,
    /// The name by which it was fetched first.
    pub name: String,
    /// Compressed bytes that were fetched.
    pub bytes: u64,
    /// Files, folders and links.
    pub entries: u64,
}

/// What is written beside an image's files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    format: String,
    digest: Digest,
    name: String,
    bytes: u64,
    entries: u64,
    left_out: u64,
    config_digest: Digest,
    config: ImageConfig,
}

const FORMAT: &str = "hotcell-image/v1";
/// Most bytes of an image's `/etc/passwd` that are read.
const MAX_PASSWD_BYTES: u64 = 1 << 20;

impl Store {
    /// The store in this folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The image of this digest, or of the index of this digest.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn find(&self, digest: Digest) -> Result<Option<StoredImage>, OciError> {
        if !self.folder.is_dir() {
            return Ok(None);
        }
        let digest = self.behind(digest)?;
        if !self.image(digest).is_dir() {
            return Ok(None);
        }
        let lock = self.lock(digest, FlockOperation::LockShared)?;
        self.open(digest, lock)
    }

    /// Every image, in the order of their digests.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn list(&self) -> Result<Vec<CachedImage>, OciError> {
        let mut images = Vec::new();
        for digest in self.digests()? {
            if let Some(StoredImage { about, .. }) = self.find(digest)? {
                let About { digest, name, bytes, entries, .. } = about;
                images.push(CachedImage { digest, name, bytes, entries });
            }
        }
        images.sort_by_key(|image| image.digest);
        Ok(images)
    }

    /// Removes an image, named by its digest or a beginning of it, and what interrupted fetches left.
    ///
    /// # Errors
    /// [`OciError::NotKept`], [`OciError::InUse`]; [`OciError::Ambiguous`] for a beginning that fits several.
    pub fn remove(&self, text: &str) -> Result<Digest, OciError> {
        let begins = |digest: &Digest| {
            !text.is_empty() && { digest.to_string().starts_with(text) || digest.hex().starts_with(text) }
        };
        let mut fitting = self.digests()?;
        fitting.retain(begins);
        let digest = match fitting.as_slice() {
            [one] => *one,
            [] => return Err(OciError::NotKept { text: crate::reference::brief(text) }),
            several => {
                let images = several.iter().map(Digest::to_string).collect();
                return Err(OciError::Ambiguous { place: self.folder.display().to_string(), images });
            }
        };
        let Some(_alone) = self.try_lock(digest)? else { return Err(OciError::InUse { digest }) };
        let (image, part) = (self.image(digest), self.part(digest));
        remove_folder(&part)?;
        // First out of the way as a whole: half an image never has the name of one.
        fs::rename(&image, &part).map_err(OciError::file("remove", &image))?;
        remove_folder(&part)?;
        self.forget_indexes(digest)?;
        let lock = self.lock_path(digest);
        fs::remove_file(&lock).map_err(OciError::file("remove", &lock))?;
        self.sweep()?;
        Ok(digest)
    }

    /// Fetches and unpacks an image, unless somebody else has done so meanwhile.
    pub(crate) fn keep(&self, image: &FoundImage, progress: Progress<'_>) -> Result<StoredImage, OciError> {
        make_private(&self.folder)?;
        self.sweep()?;
        let lock = self.lock(image.digest, FlockOperation::LockExclusive)?;
        if !self.image(image.digest).is_dir() {
            let part = Part::begin(self.part(image.digest))?;
            let about = part.fill(image, progress)?;
            part.publish(&about, &self.image(image.digest))?;
        }
        if let Some(index) = image.index {
            self.remember_index(index, image.digest)?;
        }
        // Another one may take the lock in between, and remove the image: then there is nothing to open.
        flock(&lock, FlockOperation::LockShared).map_err(|error| self.unlockable(image.digest, error))?;
        let gone = || OciError::NotKept { text: image.digest.to_string() };
        self.open(image.digest, lock)?.ok_or_else(gone)
    }

    fn open(&self, digest: Digest, shared: File) -> Result<Option<StoredImage>, OciError> {
        let folder = self.image(digest);
        let path = folder.join("image.json");
        let text = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(OciError::file("read", &path))?,
        };
        let wrong = |why: &str| OciError::malformed(format!("`{}`", path.display()), why);
        let about: About = serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
        if about.format != FORMAT || about.digest != digest {
            return Err(wrong("it is of another version, or about another image"));
        }
        Ok(Some(StoredImage { folder, about, _shared: shared }))
    }

    fn digests(&self) -> Result<Vec<Digest>, OciError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(OciError::file("read", &self.folder))?,
        };
        let mut digests = Vec::new();
        for entry in entries {
            let name = entry.map_err(OciError::file("read", &self.folder))?.file_name();
            let digest = name.to_str().and_then(|name| name.strip_prefix("sha256-"));
            digests.extend(digest.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()));
        }
        Ok(digests)
    }

    /// Removes what fetches left that were killed.
    fn sweep(&self) -> Result<(), OciError> {
        let entries = fs::read_dir(&self.folder).map_err(OciError::file("read", &self.folder))?;
        for entry in entries {
            let name = entry.map_err(OciError::file("read", &self.folder))?.file_name();
            let hex = name.to_str().and_then(|name| name.strip_prefix(".sha256-")?.strip_suffix(".part"));
            let Some(digest) = hex.and_then(|hex| format!("sha256:{hex}").parse::<Digest>().ok()) else { continue };
            // Whoever is at work on it holds the lock.
            if let Some(_alone) = self.try_lock(digest)? {
                remove_folder(&self.part(digest))?;
                if !self.image(digest).is_dir() {
                    let lock = self.lock_path(digest);
                    fs::remove_file(&lock).map_err(OciError::file("remove", &lock))?;
                }
            }
        }
        Ok(())
    }

    fn image(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!("sha256-{}", digest.hex()))
    }

    fn part(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!(".sha256-{}.part", digest.hex()))
    }

    fn lock_path(&self, digest: Digest) -> PathBuf {
        self.folder.join(format!(".sha256-{}.lock", digest.hex()))
    }

    /// The file that says which image an index stands for on this machine.
    fn index_path(&self, index: Digest) -> PathBuf {
        self.folder.join(format!(".sha256-{}.index", index.hex()))
    }

    fn behind(&self, digest: Digest) -> Result<Digest, OciError> {
        let path = self.index_path(digest);
        match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().map_err(|why: String| OciError::malformed(path.display().to_string(), why)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(digest),
            Err(error) => Err(OciError::file("read", &path)(error)),
        }
    }

    fn remember_index(&self, index: Digest, digest: Digest) -> Result<(), OciError> {
        let path = self.index_path(index);
        let new = path.with_extension(format!("new-{}", std::process::id()));
        fs::write(&new, format!("{digest}\n")).map_err(OciError::file("write", &new))?;
        fs::rename(&new, &path).map_err(OciError::file("write", &path))
    }

    fn forget_indexes(&self, digest: Digest) -> Result<(), OciError> {
        for entry in fs::read_dir(&self.folder).map_err(OciError::file("read", &self.folder))? {
            let path = entry.map_err(OciError::file("read", &self.folder))?.path();
            let is_index = path.extension().is_some_and(|ending| ending == "index");
            if is_index && fs::read_to_string(&path).is_ok_and(|text| text.trim() == digest.to_string()) {
                fs::remove_file(&path).map_err(OciError::file("remove", &path))?;
            }
        }
        Ok(())
    }

    fn lock(&self, digest: Digest, how: FlockOperation) -> Result<File, OciError> {
        loop {
            let file = self.lock_file(digest)?;
            match flock(&file, how) {
                Ok(()) if is_named(&file) => return Ok(file),
                // Removed between the opening and the locking: another file has its name by now.
                Ok(()) | Err(Errno::INTR) => {}
                Err(error) => return Err(self.unlockable(digest, error)),
            }
        }
    }

    /// The lock for oneself alone, unless somebody has it.
    fn try_lock(&self, digest: Digest) -> Result<Option<File>, OciError> {
        let file = self.lock_file(digest)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(is_named(&file).then_some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(self.unlockable(digest, error)),
        }
    }

    fn lock_file(&self, digest: Digest) -> Result<File, OciError> {
        let path = self.lock_path(digest);
        let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        opened.map_err(OciError::file("lock", &path))
    }

    fn unlockable(&self, digest: Digest, error: Errno) -> OciError {
        OciError::file("lock", &self.lock_path(digest))(error.into())
    }
}

impl StoredImage {
    /// The digest of its manifest.
    pub fn digest(&self) -> Digest {
        self.about.digest
    }

    /// The digest of its config.
    pub fn config_digest(&self) -> Digest {
        self.about.config_digest
    }

    /// What it says about running it.
    pub fn config(&self) -> &ImageConfig {
        &self.about.config
    }

    /// The folder with its files.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Files, folders and links of its layers.
    pub fn entries(&self) -> u64 {
        self.about.entries
    }

    /// Devices and pipes that were left out.
    pub fn left_out(&self) -> u64 {
        self.about.left_out
    }

    /// Who it wants to run as.
    ///
    /// # Errors
    /// [`OciError::User`] for a name that its own `/etc/passwd` does not have.
    pub fn user(&self) -> Result<ImageUser, OciError> {
        let root = self.root();
        let tree = Tree::open(&root).map_err(|error| OciError::file("open", &root)(error.into()))?;
        let passwd = tree.read("etc/passwd", MAX_PASSWD_BYTES).map_err(OciError::file("read", &root))?;
        self.config().user_in(&String::from_utf8_lossy(&passwd.unwrap_or_default()))
    }
}

/// An image in the making, removed when it does not become one.
struct Part {
    path: PathBuf,
    published: bool,
}

impl Part {
    fn begin(path: PathBuf) -> Result<Self, OciError> {
        remove_folder(&path)?;
        make_private(&path)?;
        let root = path.join("root");
        // Others may enter it by way of a mount, never by its path: the folders above are closed.
        DirBuilder::new().create(&root).map_err(OciError::file("make", &root))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&root, mode).map_err(OciError::file("make", &root))?;
        Ok(Self { path, published: false })
    }

    /// Fetches, verifies and unpacks every layer, from the lowest.
    fn fill(&self, image: &FoundImage, progress: Progress<'_>) -> Result<About, OciError> {
        let root = self.path.join("root");
        let tree = Tree::open(&root).map_err(|error| OciError::file("open", &root)(error.into()))?;
        let (bounds, total) = (&image.bounds, image.bytes());
        let mut tally = Tally::new(progress, total);
        let mut count = Count::default();
        let mut left = bounds.unpacked_bytes;
        for (place, (layer, expected)) in image.manifest.layers.iter().zip(&image.config.diff_ids).enumerate() {
            let number = place + 1;
            let blob = image.layer(place, || self.spool(), &mut |bytes| tally.add(bytes))?;
            let unreadable = |error| {
                OciError::out_of(error, |error| OciError::malformed(format!("layer {number}"), error.to_string()))
            };
            let reader = plain(blob.reader().map_err(unreadable)?, layer.compression);
            let mut measured = Measured::new(reader, blob.len(), left, bounds);
            Unpacking::new(&tree, bounds, number, &mut count).unpack(&mut measured)?;
            let (found, bytes) = measured.finish().map_err(unreadable)?;
            if found != *expected {
                let what = format!("layer {number}, unpacked,");
                return Err(OciError::WrongDigest { what, expected: *expected, found });
            }
            left = left.saturating_sub(bytes);
        }
        self.finish(&tree, image)?;
        Ok(About {
            format: FORMAT.to_owned(),
            digest: image.digest,
            name: image.name.clone(),
            bytes: total,
            entries: count.entries,
            left_out: count.left_out,
            config_digest: image.manifest.config.digest,
            config: image.config.clone(),
        })
    }

    /// Looks at the whole: the root can be shown, and the working directory is there.
    fn finish(&self, tree: &Tree, image: &FoundImage) -> Result<(), OciError> {
        let failed = |error: Errno| OciError::file("read", &self.path)(error.into());
        let names = tree::names(tree.folder(b"").map_err(failed)?).map_err(failed)?;
        if names.len() > image.bounds.root_entries {
            let limit = image.bounds.root_entries as u64;
            return Err(OciError::TooMuch { what: "the number of entries in the image's root", limit });
        }
        let Some(folder) = &image.config.working_dir else { return Ok(()) };
        let parts: Vec<_> = folder.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        // What is made here has to be removable too: a descriptor for each level.
        if parts.len() > image.bounds.depth {
            return Err(OciError::TooMuch { what: "the depth of a path", limit: image.bounds.depth as u64 });
        }
        // Other tools make it when they start a container. Behind a link it is the image's own affair.
        match tree.make_folder(parts.join("/").as_bytes()) {
            Ok(_) | Err(Errno::LOOP) => Ok(()),
            Err(Errno::NOTDIR) => Err(OciError::malformed("the image", "its working directory is no folder")),
            Err(error) => Err(failed(error)),
        }
    }

    /// A file without a name, gone with its last descriptor.
    fn spool(&self) -> Result<File, OciError> {
        let failed = |error: Errno| OciError::file("make a file in", &self.path)(error.into());
        let (flags, mode) = (OFlags::RDWR | OFlags::CLOEXEC, Mode::from_raw_mode(0o600));
        match openat(CWD, &self.path, flags | OFlags::TMPFILE, mode) {
            Ok(file) => Ok(file.into()),
            Err(Errno::OPNOTSUPP | Errno::ISDIR) => {
                let path = self.path.join("spool");
                let file = openat(CWD, &path, flags | OFlags::CREATE | OFlags::EXCL, mode).map_err(failed)?;
                fs::remove_file(&path).map_err(OciError::file("remove", &path))?;
                Ok(file.into())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Makes it durable and gives it its name.
    fn publish(mut self, about: &About, name: &Path) -> Result<(), OciError> {
        let path = self.path.join("image.json");
        let text = serde_json::to_vec_pretty(about).map_err(|error| OciError::file("write", &path)(error.into()))?;
        let write = || OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path)?.write_all(&text);
        write().map_err(OciError::file("write", &path))?;
        // Whole also after a loss of power: its content is on the disk before its name is.
        let folder = File::open(&self.path).map_err(OciError::file("open", &self.path))?;
        syncfs(folder.as_fd()).map_err(|error| OciError::file("write", &self.path)(error.into()))?;
        fs::rename(&self.path, name).map_err(OciError::file("write", name))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.published {
            // What stays is removed by the next fetch.
            let _ = remove_folder(&self.path);
        }
    }
}

fn is_named(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.nlink() > 0)
}

fn make_private(folder: &Path) -> Result<(), OciError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(OciError::file("make", folder))
}

/// Removes a folder and all below it, without following a link; nothing where there is none.
fn remove_folder(path: &Path) -> Result<(), OciError> {
    let failed = |error: Errno| OciError::file("remove", path)(error.into());
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Ok(()) };
    let above = match openat(CWD, above, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        other => other.map_err(failed)?,
    };
    tree::remove(&above, std::os::unix::ffi::OsStrExt::as_bytes(name)).map_err(failed)
}
