//! What the backing file shows, and what becomes of one that is changed or fails.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotcell_vault::scratch::{Backing, Blocks, Cipher, Ino, Limits, NewKind, Owner, Time, Volume};
use rustix::io::Errno;

const OWNER: Owner = Owner { user: 65534, group: 65534 };
const NOW: Time = Time { seconds: 1, nanoseconds: 2 };
const CANARY: &[u8] = b"canary: the patient of row 7 has a malignant tumour";

fn volume(backing: impl Backing + Send + 'static, cipher: Cipher) -> Volume {
    Volume::new(Blocks::new(Box::new(backing), cipher), Limits { bytes: 1 << 20, inodes: 100 }, OWNER, NOW)
}

fn make(volume: &mut Volume, name: &[u8]) -> Ino {
    volume.make(Ino::ROOT, name, NewKind::File, 0o600, OWNER, NOW).unwrap()
}

fn write(volume: &mut Volume, ino: Ino, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    volume.write(ino, offset, &mut bytes.to_vec(), false, NOW)
}

fn read(volume: &mut Volume, ino: Ino, length: usize) -> Result<Vec<u8>, Errno> {
    let mut out = vec![0; length];
    let count = volume.read(ino, 0, &mut out)?;
    out.truncate(count);
    Ok(out)
}

/// Whether a file holds the canary, or half of it.
fn shows_canary(file: &File) -> bool {
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let (left, right) = CANARY.split_at(CANARY.len() / 2);
    [left, right].iter().any(|half| bytes.windows(half.len()).any(|window| window == *half))
}

/// Writes the canary at odd and even places, over holes, over old content and in names.
fn fill(volume: &mut Volume) {
    let ino = make(volume, CANARY);
    for offset in [0, 1, 4096 - 20, 3 * 4096, 7 * 4096 + 5, 40_000] {
        write(volume, ino, offset, CANARY).unwrap();
    }
    write(volume, ino, 10 * 4096, &CANARY.repeat(1000)).unwrap();
    volume.make(Ino::ROOT, b"link", NewKind::Link(CANARY), 0o777, OWNER, NOW).unwrap();
    let content = read(volume, ino, 1 << 20).unwrap();
    assert_eq!(&content[3 * 4096..][..CANARY.len()], CANARY);
}

#[test]
fn the_backing_file_shows_nothing_of_contents_and_names() {
    let file = tempfile::tempfile().unwrap();
    let mut volume = volume(file.try_clone().unwrap(), Cipher::with_new_key().unwrap());
    fill(&mut volume);
    assert!(file.metadata().unwrap().len() >= 50_000, "the content lies there");
    assert!(!shows_canary(&file));
    drop(volume);
    assert!(!shows_canary(&file));
}

#[test]
fn without_encryption_the_same_search_finds_the_text() {
    let file = tempfile::tempfile().unwrap();
    fill(&mut volume(file.try_clone().unwrap(), Cipher::dangerous_plain()));
    assert!(shows_canary(&file), "the search would find it");
}

#[test]
fn two_volumes_and_two_writes_of_one_text_have_nothing_in_common() {
    let files = [tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap()];
    let mut seen = Vec::new();
    for file in &files {
        let mut volume = volume(file.try_clone().unwrap(), Cipher::with_new_key().unwrap());
        let ino = make(&mut volume, b"file");
        for _ in 0..3 {
            write(&mut volume, ino, 0, &[7; 4096]).unwrap();
            let mut block = vec![0; 4096];
            file.read_exact_at(&mut block, 0).unwrap();
            seen.push(block);
        }
    }
    for (place, one) in seen.iter().enumerate() {
        assert!(seen[place + 1..].iter().all(|other| other != one), "{place}");
    }
}

#[test]
fn a_changed_an_exchanged_and_an_older_block_are_errors_and_not_content() {
    type Damage = fn(&File, &[u8]);
    let damage: [(&str, Damage); 3] = [
        ("changed", |file, _| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, 100).unwrap();
            file.write_all_at(&[byte[0] ^ 1], 100).unwrap();
        }),
        ("exchanged", |file, _| {
            let mut blocks = vec![0; 8192];
            file.read_exact_at(&mut blocks, 0).unwrap();
            blocks.rotate_left(4096);
            file.write_all_at(&blocks, 0).unwrap();
        }),
        ("older", |file, old| file.write_all_at(old, 0).unwrap()),
    ];
    for (name, damage) in damage {
        let file = tempfile::tempfile().unwrap();
        let mut volume = volume(file.try_clone().unwrap(), Cipher::with_new_key().unwrap());
        let ino = make(&mut volume, b"file");
        write(&mut volume, ino, 0, &[1; 8192]).unwrap();
        let mut old = vec![0; 4096];
        file.read_exact_at(&mut old, 0).unwrap();
        write(&mut volume, ino, 0, &[2; 8192]).unwrap();
        assert_eq!(read(&mut volume, ino, 8192).unwrap(), [2; 8192], "{name}");
        damage(&file, &old);
        assert_eq!(read(&mut volume, ino, 8192), Err(Errno::IO), "{name}");
        assert!(volume.blocks().tampered() > 0, "{name}");
        write(&mut volume, ino, 0, &[3; 8192]).unwrap();
        assert_eq!(read(&mut volume, ino, 8192).unwrap(), [3; 8192], "written again, it is good again: {name}");
    }
}

/// A disk that can be full.
struct Full(File, Arc<AtomicBool>);

impl Backing for Full {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match self.1.load(Ordering::Relaxed) {
            true => Err(Errno::NOSPC.into()),
            false => self.0.write_all_at(bytes, offset),
        }
    }
}

#[test]
fn a_full_disk_is_no_space_inside_and_what_was_there_stays() {
    let full = Arc::new(AtomicBool::new(false));
    let disk = Full(tempfile::tempfile().unwrap(), Arc::clone(&full));
    let mut volume = volume(disk, Cipher::with_new_key().unwrap());
    let (old, new) = (make(&mut volume, b"old"), make(&mut volume, b"new"));
    write(&mut volume, old, 0, CANARY).unwrap();
    write(&mut volume, new, 0, b"begin").unwrap();
    let before = volume.usage();
    full.store(true, Ordering::Relaxed);
    assert_eq!(write(&mut volume, new, 4096, &[1; 9000]), Err(Errno::NOSPC));
    assert_eq!(volume.usage().blocks, before.blocks, "what could not be written takes no room");
    full.store(false, Ordering::Relaxed);
    assert_eq!(read(&mut volume, old, 100).unwrap(), CANARY);
    assert_eq!(read(&mut volume, new, 100).unwrap(), b"begin");
    write(&mut volume, new, 4096, &[1; 9000]).unwrap();
    let content = read(&mut volume, new, 20_000).unwrap();
    assert_eq!((content.len(), &content[..5], content[5], content[4096]), (4096 + 9000, &b"begin"[..], 0, 1));
}

#[test]
fn a_long_target_of_a_link_takes_a_block_and_gives_it_back() {
    let backing = tempfile::tempfile().unwrap();
    let mut volume = volume(backing.try_clone().unwrap(), Cipher::with_new_key().unwrap());
    let link = |volume: &mut Volume, name: &[u8], length| {
        volume.make(Ino::ROOT, name, NewKind::Link(&vec![b't'; length]), 0o777, OWNER, NOW)
    };
    link(&mut volume, b"short", 60).unwrap();
    assert_eq!((volume.usage().blocks, backing.metadata().unwrap().len()), (0, 0));
    let long = link(&mut volume, b"long", 4095).unwrap();
    assert_eq!((volume.usage().blocks, backing.metadata().unwrap().len()), (1, 4096));
    assert_eq!(volume.target(long).unwrap(), [b't'; 4095]);
    assert_eq!(link(&mut volume, b"longer", 4096), Err(Errno::NAMETOOLONG));
    volume.link(long, Ino::ROOT, b"again", NOW).unwrap();

    // All 256 blocks of the volume but the link's own.
    let ino = make(&mut volume, b"file");
    assert_eq!(volume.write(ino, 0, &mut vec![1; 1 << 20], true, NOW), Ok(255 * 4096));
    let before = volume.usage();
    assert_eq!(link(&mut volume, b"more", 61), Err(Errno::DQUOT));
    assert_eq!(volume.usage(), before, "what was refused takes nothing");
    link(&mut volume, b"another short", 60).unwrap();
    volume.unlink(Ino::ROOT, b"long", NOW).unwrap();
    assert_eq!(link(&mut volume, b"more", 61), Err(Errno::DQUOT), "it has a name left");
    volume.unlink(Ino::ROOT, b"again", NOW).unwrap();
    let more = link(&mut volume, b"more", 61).unwrap();
    assert_eq!(volume.target(more).unwrap(), [b't'; 61]);

    // It is as safe on the disk as contents are.
    backing.write_all_at(&[0; 1 << 20], 0).unwrap();
    assert_eq!((volume.target(more), volume.blocks().tampered()), (Err(Errno::IO), 1));
}

#[test]
fn the_size_and_the_number_of_inodes_are_hard() {
    let mut volume = volume(tempfile::tempfile().unwrap(), Cipher::with_new_key().unwrap());
    let ino = make(&mut volume, b"file");
    let mut long = vec![1; (1 << 20) + 5000];
    assert_eq!(volume.write(ino, 0, &mut long, false, NOW), Err(Errno::DQUOT), "all or nothing, where asked for");
    assert_eq!(volume.write(ino, 0, &mut long, true, NOW), Ok(1 << 20), "else as much as there is room for");
    assert_eq!(volume.write(ino, 1 << 20, &mut [1], true, NOW), Err(Errno::DQUOT));
    assert_eq!(write(&mut volume, ino, 0, b"over what is there"), Ok(18));
    assert_eq!(volume.allocate(ino, 1, 1 << 20, 1, NOW), Err(Errno::DQUOT));
    for number in 0..98 {
        volume.make(Ino::ROOT, format!("{number}").as_bytes(), NewKind::Folder, 0o700, OWNER, NOW).unwrap();
    }
    assert_eq!(volume.make(Ino::ROOT, b"more", NewKind::File, 0, OWNER, NOW), Err(Errno::DQUOT));
    assert_eq!(volume.link(ino, Ino::ROOT, b"more", NOW), Err(Errno::DQUOT), "names count too");
    volume.remove_folder(Ino::ROOT, b"7", NOW).unwrap();
    volume.link(ino, Ino::ROOT, b"more", NOW).unwrap();
}
