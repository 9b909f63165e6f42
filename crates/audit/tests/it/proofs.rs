//! Roots and proofs against a naive Merkle tree.

use hotcell_audit::merkle::{verify_consistency, verify_inclusion};
use hotcell_audit::{Durability, LogError, ProofError, TreeHead};

use crate::support::{Key, Random, event, folder, leaf, naive_root, open, origin};

#[test]
fn roots_and_proofs_agree_with_a_naive_tree_across_tile_borders() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let leaves: Vec<_> = (0..600).map(leaf).collect();
    let positions: Vec<_> = (0..600).map(|n| log.append(&[event(n)], Durability::Lazy).unwrap()).collect();
    for size in [1, 2, 3, 7, 255, 256, 257, 511, 512, 513, 600] {
        assert_eq!(positions[size - 1].root(), naive_root(&leaves[..size]), "size {size}");
    }
    let seed = 20_261_124;
    let mut random = Random(seed);
    for _ in 0..400 {
        let size = 1 + random.below(600);
        let at = &positions[size as usize - 1];
        let index = random.below(size);
        let proof = log.inclusion_proof(index, at).unwrap();
        let check = |index, leaf| verify_inclusion(index, size, leaf, &proof, &at.root());
        assert_eq!(check(index, &leaves[index as usize]), Ok(()), "seed {seed}: entry {index} of {size}");
        if size > 1 {
            let other = (index + 1 + random.below(size - 1)) % size;
            assert!(check(index, &leaves[other as usize]).is_err(), "seed {seed}: {other} as {index} of {size}");
            assert!(check(other, &leaves[index as usize]).is_err(), "seed {seed}: {index} at {other} of {size}");
        }
        let old = 1 + random.below(size);
        let earlier = TreeHead { origin: origin(), size: old, root: positions[old as usize - 1].root() };
        let proof = log.consistency_proof(&earlier, at).unwrap();
        assert_eq!(
            verify_consistency(old, size, &earlier.root, &at.root(), &proof),
            Ok(()),
            "seed {seed}: {old} to {size}"
        );
        if old < size {
            assert!(verify_consistency(old, size, &at.root(), &at.root(), &proof).is_err());
        }
    }
}

#[test]
fn proofs_of_what_is_not_in_the_log_are_refused() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let at = log.append(&[event(0), event(1)], Durability::Lazy).unwrap();
    let refused = log.inclusion_proof(2, &at);
    assert!(matches!(refused, Err(LogError::Proof(ProofError::OutOfRange { index: 2, size: 2 }))), "{refused:?}");
    let forged = TreeHead { origin: origin(), size: 1, root: leaf(7) };
    assert!(matches!(log.consistency_proof(&forged, &at), Err(LogError::Forked { size: 1 })));
    for size in [0, 3] {
        let head = TreeHead { origin: origin(), size, root: leaf(7) };
        assert!(matches!(log.consistency_proof(&head, &at), Err(LogError::Proof(_))), "size {size}");
    }
}

#[test]
fn lost_and_damaged_tiles_are_made_again_when_a_proof_needs_them() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let events: Vec<_> = (0..520).map(event).collect();
    let at = log.append(&events, Durability::Lazy).unwrap();
    let tile = dir.path().join("tile/0/000");
    let good = std::fs::read(&tile).unwrap();
    assert_eq!(good.len(), 8192);
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    for bad in [None, Some(flipped), Some(vec![]), Some(good[..8000].to_vec())] {
        match bad {
            None => std::fs::remove_file(&tile).unwrap(),
            Some(bytes) => std::fs::write(&tile, bytes).unwrap(),
        }
        let proof = log.inclusion_proof(0, &at).unwrap();
        assert_eq!(verify_inclusion(0, 520, &leaf(0), &proof, &at.root()), Ok(()));
        assert_eq!(std::fs::read(&tile).unwrap(), good);
    }
}

#[test]
fn a_published_log_has_the_tiles_and_bundles_of_the_specification() {
    let (dir, key) = (folder(), Key::new());
    let log = open(dir.path(), &key);
    let events: Vec<_> = (0..600).map(event).collect();
    let at = log.append(&events, Durability::Durable).unwrap();
    log.checkpoint(&at).unwrap();
    log.publish().unwrap();
    for (path, hashes) in [("tile/0/000", 256), ("tile/0/001", 256), ("tile/0/002.p/88", 88), ("tile/1/000.p/2", 2)] {
        assert_eq!(std::fs::read(dir.path().join(path)).unwrap().len(), hashes * 32, "{path}");
    }
    let level_one = std::fs::read(dir.path().join("tile/1/000.p/2")).unwrap();
    let leaves: Vec<_> = (0..256).map(leaf).collect();
    assert_eq!(level_one[..32], naive_root(&leaves).0);
    let bundle = std::fs::read(dir.path().join("tile/entries/002.p/88")).unwrap();
    let first = hotcell_audit::canonical(&event(512)).unwrap();
    assert_eq!(bundle[..2], (first.len() as u16).to_be_bytes());
    assert_eq!(bundle[2..2 + first.len()], first);
}
