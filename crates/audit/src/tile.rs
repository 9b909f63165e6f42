//! Tiles: the tree and its entries as C2SP tlog-tiles files, so that public tools can read the log.
//!
//! All of them follow from the journal. A full tile is written when its last entry is appended, since
//! proofs read it; bundles of entries and partial tiles are written when the log is published.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hotcell_types::Digest;

use crate::edge::TILE_WIDTH;

/// Where the hashes of a tile are, below the log's folder; `width` is 256 for a full tile.
pub(crate) fn hash_path(level: u32, index: u64, width: u64) -> PathBuf {
    PathBuf::from(format!("tile/{level}/{}", place(index, width)))
}

/// Where a bundle of entries is, below the log's folder; `width` is 256 for a full bundle.
pub(crate) fn entries_path(index: u64, width: u64) -> PathBuf {
    PathBuf::from(format!("tile/entries/{}", place(index, width)))
}

/// Three digits each, all but the last with an `x`, so that folders and files never collide.
fn place(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < TILE_WIDTH {
        path.push_str(&format!(".p/{width}"));
    }
    path
}

/// Reads a full tile; none when it is absent or not whole.
pub(crate) fn read_full(dir: &Path, level: u32, index: u64) -> io::Result<Option<Vec<Digest>>> {
    let path = dir.join(hash_path(level, index, TILE_WIDTH));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    // One byte more than a full tile, so that a longer file is seen to be none.
    let bytes = crate::files::read_at(&file, 0, FULL_TILE_BYTES + 1)?;
    let (hashes, rest) = bytes.as_chunks::<32>();
    // Tiles are not made durable: of one that was lost with the power, zeros may be left.
    let full = rest.is_empty() && bytes.len() == FULL_TILE_BYTES && !hashes.contains(&[0; 32]);
    Ok(full.then(|| hashes.iter().map(|hash| Digest(*hash)).collect()))
}

/// The bytes of a tile.
pub(crate) fn hash_bytes(hashes: &[Digest]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

/// The bytes of a bundle: each entry after its length in two bytes.
pub(crate) fn bundle_bytes(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        // INVARIANT (entry-size): an entry is at most 65,535 bytes, or `canonical` had refused it.
        let length = u16::try_from(entry.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// Puts a file in place at once, so that a reader sees all of it or nothing.
///
/// `suffix` keeps writers apart that hold different locks.
pub(crate) fn put(dir: &Path, below: &Path, bytes: &[u8], suffix: &str) -> io::Result<()> {
    let path = dir.join(below);
    let mut name = path.clone().into_os_string();
    name.push(suffix);
    let new = PathBuf::from(name);
    let mut file = match File::create(&new) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            File::create(&new)?
        }
        other => other?,
    };
    file.write_all(bytes)?;
    fs::rename(&new, &path)
}

/// Bytes of a full tile.
const FULL_TILE_BYTES: usize = TILE_WIDTH as usize * 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tile_paths_are_those_of_the_specification() {
        for (level, index, width, path) in [
            (0, 0, 256, "tile/0/000"),
            (0, 273, 112, "tile/0/273.p/112"),
            (1, 1, 17, "tile/1/001.p/17"),
            (2, 999, 1, "tile/2/999.p/1"),
            (0, 1000, 256, "tile/0/x001/000"),
            (0, 1_234_067, 256, "tile/0/x001/x234/067"),
            (7, 1_000_000_000, 255, "tile/7/x001/x000/x000/000.p/255"),
        ] {
            assert_eq!(hash_path(level, index, width), Path::new(path));
        }
        assert_eq!(entries_path(1_234_067, 3), Path::new("tile/entries/x001/x234/067.p/3"));
    }
}
