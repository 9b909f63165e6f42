//! Tree ensembles, flattened for speed.
//!
//! Every comparison of the format becomes `value <= threshold`, so that a step is one compare and one
//! indexed load, without a branch; each row takes as many steps in a tree as the tree is deep, so the time
//! does not depend on the values.
//!
//! INVARIANT (tree-closed): children lie within `nodes`; a leaf is its own child; from each root, every
//! walk of `depth` steps ends at a leaf. [`Trees::build`] establishes it by walking each tree once and
//! refusing a node that is met twice (a cycle or a shared branch).

use std::collections::HashMap;

use super::attributes::Settings;

/// The trees and what their leaves hold.
#[derive(Debug)]
pub(super) struct Trees {
    nodes: Vec<Step>,
    roots: Vec<Root>,
    /// For each node, where its entries begin in `entries`; one more at the end.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    /// One more than the largest feature that is asked for.
    pub(super) features: usize,
}

/// One comparison; 16 bytes.
#[derive(Debug, Clone, Copy)]
struct Step {
    threshold: f32,
    /// The feature, and in the highest bit where a missing value goes.
    feature: u32,
    /// Where to go when `value <= threshold`, and where otherwise.
    children: [u32; 2],
}

#[derive(Debug, Clone, Copy)]
struct Root {
    node: u32,
    depth: u32,
}

/// What a leaf adds to one target or class.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) target: u32,
    pub(super) weight: f32,
}

/// A node as the file lists it.
struct Listed {
    leaf: bool,
    mode: Mode,
    feature: u32,
    threshold: f32,
    children: [i64; 2],
    missing_is_true: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Leq,
    Lt,
    Gte,
    Gt,
    Eq,
    Neq,
}

impl Trees {
    /// Reads the `nodes_…` attributes and the leaves' `{leaf}_…` attributes (`class` or `target`).
    pub(super) fn build(settings: &Settings<'_, '_>, leaf: &str, targets: usize) -> Result<Self, String> {
        let listed = Listing::read(settings)?;
        let mut leaves = listed.leaf_entries(settings, leaf, targets)?;
        let mut trees =
            Self { nodes: Vec::new(), roots: Vec::new(), starts: vec![0], entries: Vec::new(), features: 0 };
        let mut entries_of = Vec::new();
        for (tree, root) in listed.roots()? {
            let root = listed.flatten(&mut trees, tree, root, &mut entries_of)?;
            trees.roots.push(root);
        }
        for listed in entries_of {
            if let Some(listed) = listed {
                trees.entries.append(leaves.get_mut(listed).unwrap_or(&mut Vec::new()));
            }
            trees.starts.push(u32::try_from(trees.entries.len()).map_err(|_| "it has too many leaves")?);
        }
        Ok(trees)
    }

    pub(super) fn count(&self) -> usize {
        self.roots.len()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Walks `rows` of `stride` values each through every tree, and calls `visit(row, leaf's entries)` tree by tree.
    pub(super) fn walk(&self, rows: &[f32], stride: usize, mut visit: impl FnMut(usize, &[Entry])) {
        let missing = rows.iter().any(|value| value.is_nan());
        for (block, values) in rows.chunks(stride.max(1) * BLOCK).enumerate() {
            let count = values.len() / stride.max(1);
            for root in &self.roots {
                let mut at = [root.node; BLOCK];
                let at = at.get_mut(..count).unwrap_or_default();
                for _ in 0..root.depth {
                    if missing {
                        self.step::<true>(values, stride, at);
                    } else {
                        self.step::<false>(values, stride, at);
                    }
                }
                for (row, leaf) in at.iter().enumerate() {
                    visit(block * BLOCK + row, self.entries_of(*leaf));
                }
            }
        }
    }

    #[inline(always)]
    fn step<const MISSING: bool>(&self, values: &[f32], stride: usize, at: &mut [u32]) {
        for (row, at) in values.chunks_exact(stride).zip(at) {
            // tree-closed: the node exists; features < stride was checked by the caller
            let Some(node) = self.nodes.get(*at as usize) else { continue };
            let Some(value) = row.get((node.feature & !MISSING_TRUE) as usize) else { continue };
            let mut side = 1 - usize::from(*value <= node.threshold);
            if MISSING && value.is_nan() {
                side = usize::from(node.feature & MISSING_TRUE == 0);
            }
            *at = node.children[side & 1];
        }
    }

    fn entries_of(&self, node: u32) -> &[Entry] {
        let node = node as usize;
        match (self.starts.get(node), self.starts.get(node + 1)) {
            (Some(from), Some(to)) => self.entries.get(*from as usize..*to as usize).unwrap_or_default(),
            _ => &[],
        }
    }
}

/// The nodes of all trees in file order.
struct Listing {
    nodes: Vec<Listed>,
    trees: Vec<i64>,
    index: HashMap<(i64, i64), usize>,
}

impl Listing {
    fn read(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let trees = settings.ints("nodes_treeids");
        let ids = settings.ints("nodes_nodeids");
        let features = settings.ints("nodes_featureids");
        let modes = settings.texts("nodes_modes")?;
        let thresholds = settings.floats_or_tensor("nodes_values")?;
        let yes = settings.ints("nodes_truenodeids");
        let no = settings.ints("nodes_falsenodeids");
        let tracks = settings.ints("nodes_missing_value_tracks_true");
        let count = trees.len();
        let same = [ids.len(), features.len(), modes.len(), thresholds.len(), yes.len(), no.len()];
        if count == 0 || same.iter().any(|length| *length != count) || !(tracks.is_empty() || tracks.len() == count) {
            return Err("the lists of its nodes differ in length or are empty".into());
        }
        if count > MAX_NODES {
            return Err(format!("it has more than {MAX_NODES} nodes"));
        }
        let mut index = HashMap::with_capacity(count);
        let mut nodes = Vec::with_capacity(count);
        for at in 0..count {
            let pick = |list: &[i64]| list.get(at).copied().unwrap_or(0);
            if index.insert((pick(trees), pick(ids)), at).is_some() {
                return Err(format!("node {} of tree {} is listed twice", pick(ids), pick(trees)));
            }
            let (leaf, mode) = mode(modes.get(at).copied().unwrap_or_default())?;
            let feature = u32::try_from(pick(features)).ok().filter(|feature| *feature < MAX_FEATURES);
            nodes.push(Listed {
                leaf,
                mode,
                feature: feature.ok_or_else(|| format!("node {} has no sensible feature", pick(ids)))?,
                threshold: thresholds.get(at).copied().unwrap_or(f32::NAN),
                children: [pick(yes), pick(no)],
                missing_is_true: pick(tracks) == 1,
            });
        }
        Ok(Self { nodes, trees: trees.to_vec(), index })
    }

    /// Tree and first node of each tree; the nodes of a tree must stand together.
    fn roots(&self) -> Result<Vec<(i64, usize)>, String> {
        let mut roots: Vec<(i64, usize)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (at, tree) in self.trees.iter().enumerate() {
            if roots.last().is_some_and(|(last, _)| last == tree) {
                continue;
            }
            if !seen.insert(*tree) {
                return Err(format!("the nodes of tree {tree} do not stand together"));
            }
            roots.push((*tree, at));
        }
        Ok(roots)
    }

    /// The entries of each listed node.
    fn leaf_entries(&self, settings: &Settings<'_, '_>, leaf: &str, targets: usize) -> Result<Vec<Vec<Entry>>, String> {
        let trees = settings.ints(&format!("{leaf}_treeids"));
        let nodes = settings.ints(&format!("{leaf}_nodeids"));
        let ids = settings.ints(&format!("{leaf}_ids"));
        let weights = settings.floats_or_tensor(&format!("{leaf}_weights"))?;
        if [nodes.len(), ids.len(), weights.len()].iter().any(|length| *length != trees.len()) {
            return Err("the lists of its leaves differ in length".into());
        }
        let mut entries: Vec<Vec<Entry>> = Vec::new();
        entries.resize_with(self.nodes.len(), Vec::new);
        for (((tree, node), id), weight) in trees.iter().zip(nodes).zip(ids).zip(weights.iter()) {
            let at =
                self.index.get(&(*tree, *node)).ok_or_else(|| format!("leaf {node} of tree {tree} is not a node"))?;
            let target = u32::try_from(*id).ok().filter(|id| (*id as usize) < targets);
            let target = target.ok_or_else(|| format!("a leaf names {id}, but there are {targets}"))?;
            if let Some(entries) = entries.get_mut(*at) {
                entries.push(Entry { target, weight: *weight });
            }
        }
        Ok(entries)
    }

    /// Appends one tree to `trees`, parents before children.
    fn flatten(
        &self,
        trees: &mut Trees,
        tree: i64,
        root: usize,
        entries_of: &mut Vec<Option<usize>>,
    ) -> Result<Root, String> {
        let mut met = std::collections::HashSet::new();
        let first = reserve(trees, entries_of)?;
        let mut open = vec![(root, first, 0u32)];
        let mut deepest = 0;
        while let Some((at, place, depth)) = open.pop() {
            if !met.insert(at) {
                return Err(format!("tree {tree} has a node that is reached twice"));
            }
            if depth > MAX_TREE_DEPTH {
                return Err(format!("tree {tree} is deeper than {MAX_TREE_DEPTH}"));
            }
            let Some(node) = self.nodes.get(at) else { return Err("a node is not listed".into()) };
            deepest = deepest.max(depth);
            if node.leaf {
                put(entries_of, place, Some(at));
                continue; // reserved as a leaf already
            }
            trees.features = trees.features.max(node.feature as usize + 1);
            let mut children = [0; 2];
            for (child, id) in children.iter_mut().zip(node.children) {
                let found = self.index.get(&(tree, id)).copied();
                let found = found.ok_or_else(|| format!("tree {tree} has no node {id}"))?;
                *child = reserve(trees, entries_of)?;
                open.push((found, *child, depth + 1 + u32::from(node.takes_two_steps())));
            }
            node.emit(trees, entries_of, place, children)?;
        }
        Ok(Root { node: first, depth: deepest })
    }
}

impl Listed {
    fn takes_two_steps(&self) -> bool {
        matches!(self.mode, Mode::Eq | Mode::Neq)
    }

    /// Writes the comparison at `place`, with `<=` alone.
    fn emit(
        &self,
        trees: &mut Trees,
        entries_of: &mut Vec<Option<usize>>,
        place: u32,
        [yes, no]: [u32; 2],
    ) -> Result<(), String> {
        let threshold = self.threshold;
        // The largest number below the threshold: `v < t` is `v <= below`. NaN makes a comparison that no
        // number passes, as does a NaN threshold by itself.
        let below = if threshold == f32::NEG_INFINITY { f32::NAN } else { threshold.next_down() };
        let missing = if self.missing_is_true || self.mode == Mode::Neq { yes } else { no };
        let (threshold, children) = match self.mode {
            Mode::Gte | Mode::Gt if threshold.is_nan() => (f32::NAN, [no, no]),
            Mode::Leq => (threshold, [yes, no]),
            Mode::Lt => (below, [yes, no]),
            Mode::Gt => (threshold, [no, yes]),
            Mode::Gte => (below, [no, yes]),
            Mode::Eq | Mode::Neq => {
                // v == t is v <= t and not v <= below: a second step decides among those that passed the first.
                let (equal, other) = if self.mode == Mode::Eq { (yes, no) } else { (no, yes) };
                let second = reserve(trees, entries_of)?;
                let step = self.step(below, [other, equal], missing);
                put(&mut trees.nodes, second, step);
                (threshold, [second, other])
            }
        };
        let step = if children.contains(&missing) {
            self.step(threshold, children, missing)
        } else {
            // A missing value must go where only the second step leads: send it through it.
            self.step(threshold, children, children[0])
        };
        put(&mut trees.nodes, place, step);
        Ok(())
    }

    fn step(&self, threshold: f32, children: [u32; 2], missing: u32) -> Step {
        let first = if missing == children[0] { MISSING_TRUE } else { 0 };
        Step { threshold, feature: self.feature | first, children }
    }
}

/// A new node that is a leaf until it is written.
fn reserve(trees: &mut Trees, entries_of: &mut Vec<Option<usize>>) -> Result<u32, String> {
    let place = u32::try_from(trees.nodes.len()).map_err(|_| "it has too many nodes".to_owned())?;
    trees.nodes.push(Step { threshold: f32::NAN, feature: 0, children: [place, place] });
    entries_of.push(None);
    Ok(place)
}

fn put<T>(list: &mut [T], place: u32, value: T) {
    if let Some(slot) = list.get_mut(place as usize) {
        *slot = value;
    }
}

fn mode(text: &str) -> Result<(bool, Mode), String> {
    Ok(match text {
        "LEAF" => (true, Mode::Leq),
        "BRANCH_LEQ" => (false, Mode::Leq),
        "BRANCH_LT" => (false, Mode::Lt),
        "BRANCH_GTE" => (false, Mode::Gte),
        "BRANCH_GT" => (false, Mode::Gt),
        "BRANCH_EQ" => (false, Mode::Eq),
        "BRANCH_NEQ" => (false, Mode::Neq),
        other => return Err(format!("`{}` is not a kind of node", crate::onnx::clip(other))),
    })
}

/// Rows that walk a tree side by side, so that one row's loads hide behind the others'.
const BLOCK: usize = 32;
/// The highest bit of [`Step::feature`]: a missing value goes to the first child.
const MISSING_TRUE: u32 = 1 << 31;
/// More features than any table that the runner reads.
const MAX_FEATURES: u32 = 1 << 24;
/// 4 million nodes are 64 MB; the largest forests seen have some hundred thousand.
const MAX_NODES: usize = 1 << 22;
/// A tree this deep separates the rows of any training set; onnxruntime stops at 1000 too.
const MAX_TREE_DEPTH: u32 = 1000;
