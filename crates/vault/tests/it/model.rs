//! Random operations on a volume and on a naive file system give the same answers and the same trees.

use std::collections::{BTreeMap, BTreeSet};

use hotcell_vault::scratch::{BLOCK_BYTES, Blocks, Changes, Cipher, Ino, Kind, Limits, NewKind, Owner, Time, Volume};
use proptest::prelude::*;
use rustix::io::Errno;

const OWNER: Owner = Owner { user: 1, group: 2 };
const NOW: Time = Time { seconds: 0, nanoseconds: 0 };
const BLOCKS: u64 = 12;
const INODES: u64 = 9;
const BLOCK: u64 = BLOCK_BYTES as u64;

/// A place: a folder (the root or one of two below it) and a name.
#[derive(Debug, Clone, Copy)]
struct Path(usize, usize);

const FOLDERS: [Option<&str>; 3] = [None, Some("d"), Some("e")];
const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    File(Path),
    Folder(Path),
    Link(Path, bool),
    HardLink(Path, Path),
    Unlink(Path),
    RemoveFolder(Path),
    Rename(Path, Path, u32),
    Write(Path, u64, usize, u8, bool),
    Truncate(Path, u64),
    Allocate(Path, u32, u64, u64),
    Open(Path),
    CloseAll,
}

fn step() -> impl Strategy<Value = Step> {
    let path = || (0..FOLDERS.len(), 0..NAMES.len()).prop_map(|(folder, name)| Path(folder, name));
    let offset = || prop_oneof![0..30_000u64, (0..8u64).prop_map(|block| block * BLOCK)];
    let length = || prop_oneof![1..3usize, 1..20_000usize, Just(BLOCK_BYTES), Just(2 * BLOCK_BYTES)];
    prop_oneof![
        2 => path().prop_map(Step::File),
        1 => path().prop_map(Step::Folder),
        2 => (path(), any::<bool>()).prop_map(|(path, is_long)| Step::Link(path, is_long)),
        1 => (path(), path()).prop_map(|(from, to)| Step::HardLink(from, to)),
        1 => path().prop_map(Step::Unlink),
        1 => path().prop_map(Step::RemoveFolder),
        2 => (path(), path(), 0..4u32).prop_map(|(from, to, flags)| Step::Rename(from, to, flags)),
        6 => (path(), offset(), length(), any::<u8>(), any::<bool>())
            .prop_map(|(path, offset, length, byte, short)| Step::Write(path, offset, length, byte, short)),
        2 => (path(), offset()).prop_map(|(path, size)| Step::Truncate(path, size)),
        2 => (path(), prop_oneof![Just(0u32), Just(1), Just(3), Just(16), Just(17), Just(8)], offset(), 1..20_000u64)
            .prop_map(|(path, mode, offset, length)| Step::Allocate(path, mode, offset, length)),
        1 => path().prop_map(Step::Open),
        1 => Just(Step::CloseAll),
    ]
}

/// The naive file system: nodes by number, contents as they are.
#[derive(Default)]
struct Naive {
    nodes: BTreeMap<usize, Node>,
    next: usize,
    open: Vec<usize>,
}

enum Node {
    File {
        data: Vec<u8>,
        blocks: BTreeSet<u64>,
    },
    Folder(BTreeMap<&'static str, usize>),
    /// To [`target`].
    Link(bool),
}

impl Naive {
    fn new() -> Self {
        Self { nodes: BTreeMap::from([(0, Node::Folder(BTreeMap::new()))]), next: 1, open: Vec::new() }
    }

    fn names(&self, folder: usize) -> Result<&BTreeMap<&'static str, usize>, Errno> {
        match &self.nodes[&folder] {
            Node::Folder(names) => Ok(names),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn names_mut(&mut self, folder: usize) -> &mut BTreeMap<&'static str, usize> {
        match self.nodes.get_mut(&folder) {
            Some(Node::Folder(names)) => names,
            _ => panic!("not a folder"),
        }
    }

    fn folder(&self, number: usize) -> Result<usize, Errno> {
        let Some(name) = FOLDERS[number] else { return Ok(0) };
        let folder = *self.names(0)?.get(name).ok_or(Errno::NOENT)?;
        self.names(folder).map(|_| folder)
    }

    fn find(&self, path: Path) -> Result<usize, Errno> {
        self.names(self.folder(path.0)?)?.get(NAMES[path.1]).copied().ok_or(Errno::NOENT)
    }

    fn links(&self, node: usize) -> u64 {
        let names = self.nodes.values().filter_map(|node| match node {
            Node::Folder(names) => Some(names),
            _ => None,
        });
        names.flat_map(BTreeMap::values).filter(|target| **target == node).count() as u64
    }

    /// Inodes, and names beyond the first.
    fn inodes(&self) -> u64 {
        self.nodes.keys().map(|node| self.links(*node).max(1)).sum()
    }

    fn blocks(&self) -> u64 {
        let blocks = self.nodes.values().map(|node| match node {
            Node::File { blocks, .. } => blocks.len() as u64,
            Node::Link(is_long) => u64::from(*is_long),
            Node::Folder(_) => 0,
        });
        blocks.sum()
    }

    fn collect(&mut self) {
        let gone: Vec<_> = self.nodes.keys().copied().filter(|node| *node != 0 && self.links(*node) == 0).collect();
        for node in gone.into_iter().filter(|node| !self.open.contains(node)) {
            self.nodes.remove(&node);
        }
    }

    fn make(&mut self, path: Path, node: Node) -> Result<(), Errno> {
        let folder = self.folder(path.0)?;
        if self.names(folder)?.contains_key(NAMES[path.1]) {
            return Err(Errno::EXIST);
        }
        let is_full = matches!(node, Node::Link(true)) && self.blocks() >= BLOCKS;
        if self.inodes() >= INODES || is_full {
            return Err(Errno::DQUOT);
        }
        self.nodes.insert(self.next, node);
        let next = self.next;
        self.names_mut(folder).insert(NAMES[path.1], next);
        self.next += 1;
        Ok(())
    }

    fn is_folder(&self, node: usize) -> bool {
        matches!(self.nodes[&node], Node::Folder(_))
    }

    /// Whether `folder` lies in `node`, or is it.
    fn is_below(&self, folder: usize, node: usize) -> bool {
        folder == node || self.names(node).is_ok_and(|names| names.values().any(|child| self.is_below(folder, *child)))
    }

    fn rename(&mut self, from: Path, to: Path, flags: u32) -> Result<(), Errno> {
        let (old, new) = (self.folder(from.0), self.folder(to.0));
        let (old, new) = (old?, new?);
        let moved = self.find(from)?;
        let target = self.names(new)?.get(NAMES[to.1]).copied();
        if self.is_folder(moved) && self.is_below(new, moved) {
            return Err(Errno::INVAL);
        }
        match (flags, target) {
            (2, Some(target)) => {
                if self.is_folder(target) && self.is_below(old, target) {
                    return Err(Errno::INVAL);
                }
                self.names_mut(old).insert(NAMES[from.1], target);
                self.names_mut(new).insert(NAMES[to.1], moved);
                return Ok(());
            }
            (2, None) => return Err(Errno::NOENT),
            (1, Some(_)) => return Err(Errno::EXIST),
            (0 | 1, _) => {}
            _ => return Err(Errno::INVAL),
        }
        if let Some(target) = target {
            if target == moved {
                return Ok(());
            }
            match (self.is_folder(target), self.is_folder(moved)) {
                (true, false) => return Err(Errno::ISDIR),
                (false, true) => return Err(Errno::NOTDIR),
                (true, true) if !self.names(target)?.is_empty() => return Err(Errno::NOTEMPTY),
                _ => {}
            }
        }
        self.names_mut(old).remove(NAMES[from.1]);
        self.names_mut(new).insert(NAMES[to.1], moved);
        Ok(())
    }

    fn file(&mut self, path: Path) -> Result<(&mut Vec<u8>, &mut BTreeSet<u64>), Errno> {
        let node = self.find(path)?;
        match self.nodes.get_mut(&node) {
            Some(Node::File { data, blocks }) => Ok((data, blocks)),
            Some(Node::Folder(_)) => Err(Errno::ISDIR),
            _ => Err(Errno::INVAL),
        }
    }

    fn write(&mut self, path: Path, offset: u64, length: usize, byte: u8, short: bool) -> Result<usize, Errno> {
        let mut room = BLOCKS - self.blocks();
        let (data, blocks) = self.file(path)?;
        let mut end = offset + length as u64;
        let mut taken = Vec::new();
        for block in offset / BLOCK..end.div_ceil(BLOCK) {
            if blocks.contains(&block) {
                continue;
            }
            if room == 0 {
                if !short || block * BLOCK <= offset {
                    return Err(Errno::DQUOT);
                }
                end = block * BLOCK;
                break;
            }
            room -= 1;
            taken.push(block);
        }
        blocks.extend(taken);
        if data.len() < end as usize {
            data.resize(end as usize, 0);
        }
        data[offset as usize..end as usize].fill(byte);
        Ok((end - offset) as usize)
    }

    fn truncate(&mut self, path: Path, size: u64) -> Result<(), Errno> {
        let (data, blocks) = self.file(path)?;
        data.resize(size as usize, 0);
        blocks.retain(|block| *block < size.div_ceil(BLOCK));
        Ok(())
    }

    fn allocate(&mut self, path: Path, mode: u32, offset: u64, length: u64) -> Result<(), Errno> {
        let room = BLOCKS - self.blocks();
        let (data, blocks) = self.file(path)?;
        let end = offset + length;
        if !matches!(mode, 0 | 1 | 3 | 16 | 17) {
            return Err(Errno::OPNOTSUPP);
        }
        let mut room = room;
        if mode & 18 != 0 {
            let last = (end as usize).min(data.len());
            if let Some(hole) = data.get_mut(offset as usize..last.max(offset as usize)) {
                hole.fill(0);
            }
            let whole = offset.div_ceil(BLOCK)..end / BLOCK;
            let before = blocks.len();
            blocks.retain(|block| !whole.contains(block));
            room += (before - blocks.len()) as u64;
        }
        if mode & 2 == 0 {
            let missing: Vec<_> =
                (offset / BLOCK..end.div_ceil(BLOCK)).filter(|block| !blocks.contains(block)).collect();
            if missing.len() as u64 > room {
                return Err(Errno::DQUOT);
            }
            blocks.extend(missing);
        }
        if mode & 1 == 0 && data.len() < end as usize {
            data.resize(end as usize, 0);
        }
        Ok(())
    }

    fn apply(&mut self, step: &Step) -> Result<usize, Errno> {
        let done = match *step {
            Step::File(path) => self.make(path, Node::File { data: Vec::new(), blocks: BTreeSet::new() }),
            Step::Folder(path) => self.make(path, Node::Folder(BTreeMap::new())),
            Step::Link(path, is_long) => self.make(path, Node::Link(is_long)),
            Step::HardLink(from, to) => {
                let folder = self.folder(to.0)?;
                let node = self.find(from)?;
                if self.names(folder)?.contains_key(NAMES[to.1]) {
                    return Err(Errno::EXIST);
                }
                if self.is_folder(node) {
                    return Err(Errno::PERM);
                }
                if self.inodes() >= INODES {
                    return Err(Errno::DQUOT);
                }
                self.names_mut(folder).insert(NAMES[to.1], node);
                Ok(())
            }
            Step::Unlink(path) => {
                let node = self.find(path)?;
                if self.is_folder(node) {
                    return Err(Errno::ISDIR);
                }
                let folder = self.folder(path.0)?;
                self.names_mut(folder).remove(NAMES[path.1]);
                Ok(())
            }
            Step::RemoveFolder(path) => {
                let node = self.find(path)?;
                if !self.names(node)?.is_empty() {
                    return Err(Errno::NOTEMPTY);
                }
                let folder = self.folder(path.0)?;
                self.names_mut(folder).remove(NAMES[path.1]);
                Ok(())
            }
            Step::Rename(from, to, flags) => self.rename(from, to, flags),
            Step::Write(path, offset, length, byte, short) => return self.write(path, offset, length, byte, short),
            Step::Truncate(path, size) => self.truncate(path, size),
            Step::Allocate(path, mode, offset, length) => self.allocate(path, mode, offset, length),
            Step::Open(path) => self.find(path).map(|node| self.open.push(node)),
            Step::CloseAll => {
                self.open.clear();
                Ok(())
            }
        };
        done.map(|()| 0)
    }
}

/// The volume, with what the kernel would know of it.
struct Real {
    volume: Volume,
    open: Vec<Ino>,
}

impl Real {
    fn new() -> Self {
        let blocks = Blocks::new(Box::new(tempfile::tempfile().unwrap()), Cipher::with_new_key().unwrap());
        let limits = Limits { bytes: BLOCKS * BLOCK + 17, inodes: INODES };
        Self { volume: Volume::new(blocks, limits, OWNER, NOW), open: Vec::new() }
    }

    fn folder(&self, number: usize) -> Result<Ino, Errno> {
        let Some(name) = FOLDERS[number] else { return Ok(Ino::ROOT) };
        let ino = self.volume.lookup(Ino::ROOT, name.as_bytes())?;
        match self.volume.attributes(ino)?.kind {
            Kind::Folder => Ok(ino),
            _ => Err(Errno::NOTDIR),
        }
    }

    fn find(&self, path: Path) -> Result<Ino, Errno> {
        self.volume.lookup(self.folder(path.0)?, NAMES[path.1].as_bytes())
    }

    fn make(&mut self, path: Path, kind: NewKind<'_>) -> Result<(), Errno> {
        let folder = self.folder(path.0)?;
        self.volume.make(folder, NAMES[path.1].as_bytes(), kind, 0o644, OWNER, NOW).map(drop)
    }

    fn apply(&mut self, step: &Step) -> Result<usize, Errno> {
        let done = match *step {
            Step::File(path) => self.make(path, NewKind::File),
            Step::Folder(path) => self.make(path, NewKind::Folder),
            Step::Link(path, is_long) => self.make(path, NewKind::Link(&target(is_long))),
            Step::HardLink(from, to) => {
                let folder = self.folder(to.0)?;
                let ino = self.find(from)?;
                self.volume.link(ino, folder, NAMES[to.1].as_bytes(), NOW)
            }
            Step::Unlink(path) => {
                let folder = self.folder(path.0)?;
                self.volume.unlink(folder, NAMES[path.1].as_bytes(), NOW)
            }
            Step::RemoveFolder(path) => {
                let folder = self.folder(path.0)?;
                self.volume.remove_folder(folder, NAMES[path.1].as_bytes(), NOW)
            }
            Step::Rename(from, to, flags) => {
                let (old, new) = (self.folder(from.0)?, self.folder(to.0)?);
                let (old, new) = ((old, NAMES[from.1].as_bytes()), (new, NAMES[to.1].as_bytes()));
                self.volume.rename(old, new, flags, NOW)
            }
            Step::Write(path, offset, length, byte, short) => {
                let ino = self.find(path)?;
                return self.volume.write(ino, offset, &mut vec![byte; length], short, NOW);
            }
            Step::Truncate(path, size) => {
                let ino = self.find(path)?;
                self.volume.set_attributes(ino, &Changes { size: Some(size), ..Changes::default() }, NOW)
            }
            Step::Allocate(path, mode, offset, length) => {
                let ino = self.find(path)?;
                self.volume.allocate(ino, mode, offset, length, NOW)
            }
            Step::Open(path) => {
                let ino = self.find(path)?;
                self.volume.remember(ino);
                self.open.push(ino);
                Ok(())
            }
            Step::CloseAll => {
                for ino in std::mem::take(&mut self.open) {
                    self.volume.forget(ino, 1);
                }
                Ok(())
            }
        };
        done.map(|()| 0)
    }
}

/// What links point to: the longest target that costs no block, or the shortest that costs one.
fn target(is_long: bool) -> Vec<u8> {
    vec![b't'; if is_long { 61 } else { 60 }]
}

/// Both trees, as far as they differ.
fn compare(naive: &Naive, node: usize, real: &mut Real, ino: Ino, at: &str) {
    let attributes = real.volume.attributes(ino).unwrap();
    match &naive.nodes[&node] {
        Node::File { data, blocks } => {
            assert_eq!((attributes.kind, attributes.size), (Kind::File, data.len() as u64), "{at}");
            assert_eq!(u64::from(attributes.links), naive.links(node), "{at}");
            assert_eq!(attributes.blocks, blocks.len() as u64, "{at}");
            for (offset, length) in [(0, data.len() + 10), (1, 5000), (4095, 4098), (4096, 8192), (8000, 1)] {
                let mut out = vec![0xee; length];
                let count = real.volume.read(ino, offset as u64, &mut out).unwrap();
                let expected = data.get(offset..).unwrap_or_default();
                let expected = &expected[..expected.len().min(length)];
                assert!(out[..count] == *expected, "{at}: {offset}+{length} differs");
            }
        }
        Node::Link(is_long) => {
            let target = target(*is_long);
            assert_eq!((attributes.size, attributes.blocks), (target.len() as u64, u64::from(*is_long)), "{at}");
            assert_eq!(real.volume.target(ino).unwrap(), target, "{at}");
        }
        Node::Folder(names) => {
            let mut listed = Vec::new();
            let mut take = |_, name: &[u8], ino, _| {
                listed.push((String::from_utf8(name.to_vec()).unwrap(), ino));
                true
            };
            real.volume.entries(ino, 2, &mut take).unwrap();
            listed.sort();
            let expected: Vec<_> = names.keys().map(|name| (*name).to_owned()).collect();
            assert_eq!(listed.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), expected, "{at}");
            let folders = names.values().filter(|node| naive.is_folder(**node)).count();
            assert_eq!(attributes.links as usize, 2 + folders, "{at}");
            for (name, child) in listed {
                compare(naive, names[name.as_str()], real, child, &format!("{at}/{name}"));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_volume_does_what_a_naive_file_system_does(steps in proptest::collection::vec(step(), 1..80)) {
        let (mut naive, mut real) = (Naive::new(), Real::new());
        for (number, step) in steps.iter().enumerate() {
            let (expected, seen) = (naive.apply(step), real.apply(step));
            naive.collect();
            prop_assert_eq!(expected, seen, "step {}: {:?}", number, step);
            let usage = real.volume.usage();
            prop_assert_eq!((usage.blocks, usage.inodes), (naive.blocks(), naive.inodes()), "step {}: {:?}", number, step);
        }
        compare(&naive, 0, &mut real, Ino::ROOT, "");
    }
}
