//! Hostile models: refused with a reason, never a panic, a huge allocation or an endless loop.

use std::time::{Duration, Instant};

use hotcell_models::{Batch, Data, Model, ModelError, Tensor};
use hotcell_types::Explain;

use crate::vectors::cases;

// --- a writer of the wire format, just enough to say wrong things

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push((value as u8) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value.cast_unsigned())].concat()
}

fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn text(number: u64, content: &str) -> Vec<u8> {
    bytes(number, content.as_bytes())
}

fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| int(8, *value)).collect();
    bytes(5, &[text(1, name), values].concat())
}

fn floats(name: &str, values: &[f32]) -> Vec<u8> {
    let packed: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes(5, &[text(1, name), bytes(7, &packed)].concat())
}

fn texts(name: &str, values: &[&str]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|value| text(9, value)).collect();
    bytes(5, &[text(1, name), values].concat())
}

fn node(operator: &str, domain: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let inputs: Vec<u8> = inputs.iter().flat_map(|name| text(1, name)).collect();
    let outputs: Vec<u8> = outputs.iter().flat_map(|name| text(2, name)).collect();
    bytes(1, &[inputs, outputs, text(4, operator), text(7, domain), attributes.concat()].concat())
}

/// A model with the float input `x` and the output `y`.
fn model(parts: &[Vec<u8>]) -> Vec<u8> {
    let float = bytes(2, &bytes(1, &int(1, 1)));
    let input = bytes(11, &[text(1, "x"), float.clone()].concat());
    let output = bytes(12, &[text(1, "y"), float].concat());
    let graph = [parts.concat(), input, output].concat();
    [int(1, 8), bytes(7, &graph), bytes(8, &[text(1, ""), int(2, 17)].concat())].concat()
}

/// One tree of three nodes, with these children of the root, kinds, feature and leaf.
fn tree(children: [i64; 2], modes: [&str; 3], feature: i64, leaf: i64, target: i64) -> Vec<u8> {
    let attributes = [
        ints("nodes_treeids", &[0; 3]),
        ints("nodes_nodeids", &[0, 1, 2]),
        ints("nodes_featureids", &[feature, 0, 0]),
        floats("nodes_values", &[0.5; 3]),
        ints("nodes_truenodeids", &[children[0], 0, 0]),
        ints("nodes_falsenodeids", &[children[1], 2, 0]),
        texts("nodes_modes", &modes),
        ints("target_treeids", &[0; 2]),
        ints("target_nodeids", &[1, leaf]),
        ints("target_ids", &[0, target]),
        floats("target_weights", &[1.0, 2.0]),
    ];
    model(&[node("TreeEnsembleRegressor", "ai.onnx.ml", &["x"], &["y"], &attributes)])
}

fn constant(dims: &[i64], kind: i64, raw: &[u8]) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|size| int(1, *size)).collect();
    bytes(5, &[dims, int(2, kind), text(8, "c"), bytes(9, raw)].concat())
}

fn rows(columns: usize) -> Batch {
    Batch { inputs: vec![Tensor::new([2, columns], Data::Float(vec![0.25; 2 * columns])).unwrap()] }
}

fn identity() -> Vec<u8> {
    node("Identity", "", &["x"], &["y"], &[])
}

const LEQ: [&str; 3] = ["BRANCH_LEQ", "LEAF", "LEAF"];

#[test]
fn the_writer_makes_models_that_work() {
    let good = Model::load(&tree([1, 2], LEQ, 0, 2, 0)).unwrap();
    let predictions = good.predict(&rows(1)).unwrap();
    assert_eq!(predictions.outputs[0].tensor.data(), &Data::Float(vec![1.0, 1.0]));
    assert!(Model::load(&model(&[identity(), constant(&[2], 1, &[0; 8])])).is_ok());
}

#[test]
fn bad_trees_are_refused() {
    let inner = ["BRANCH_LEQ", "BRANCH_LT", "LEAF"];
    for (what, file, says) in [
        ("a child that is not there", tree([1, 7], LEQ, 0, 2, 0), "has no node 7"),
        ("a negative child", tree([-1, 2], LEQ, 0, 2, 0), "has no node -1"),
        ("itself as child", tree([0, 2], LEQ, 0, 2, 0), "reached twice"),
        ("a cycle", tree([1, 2], inner, 0, 2, 0), "reached twice"),
        ("one node as both children", tree([1, 1], LEQ, 0, 2, 0), "reached twice"),
        ("a negative feature", tree([1, 2], LEQ, -1, 2, 0), "no sensible feature"),
        ("an absurd feature", tree([1, 2], LEQ, 1 << 40, 2, 0), "no sensible feature"),
        ("a leaf that is not there", tree([1, 2], LEQ, 0, 9, 0), "is not a node"),
        ("a target that is not there", tree([1, 2], LEQ, 0, 2, 5), "names 5"),
        ("a negative target", tree([1, 2], LEQ, 0, 2, -5), "names -5"),
        ("an unknown kind", tree([1, 2], ["BRANCH", "LEAF", "LEAF"], 0, 2, 0), "not a kind of node"),
    ] {
        let error = Model::load(&file).unwrap_err();
        assert!(matches!(error, ModelError::BadOperator { .. }), "{what}: {error}");
        assert!(error.to_string().contains(says), "{what}: {error}");
        assert_eq!(error.code(), "MDL-007");
    }
}

#[test]
fn a_tree_that_asks_for_more_features_than_given_fails_on_its_inputs() {
    let wide = Model::load(&tree([1, 2], LEQ, 3, 2, 0)).unwrap();
    for columns in [0, 1, 3] {
        let error = wide.predict(&rows(columns)).unwrap_err().to_string();
        assert!(error.contains("ask for 4 features"), "{error}");
    }
    assert!(wide.predict(&rows(4)).is_ok());
}

#[test]
fn bad_files_are_refused_with_the_reason() {
    let external = bytes(5, &[text(8, "weights"), int(2, 1), int(14, 1), bytes(13, &text(1, "location"))].concat());
    let stray = bytes(
        5,
        &[text(8, "weights"), int(2, 1), bytes(13, &[text(1, "location"), text(2, "/etc/passwd")].concat())].concat(),
    );
    let nested = (0..50).fold(identity(), |inner, _| {
        node("If", "", &["x"], &["y"], &[bytes(5, &[text(1, "then_branch"), bytes(6, &inner)].concat())])
    });
    let two_graphs = [model(&[identity()]), model(&[identity()])].concat();
    let huge = [bytes(8, b""), varint(7 << 3 | 2), varint(1 << 40)].concat();
    for (what, file, says) in [
        ("nothing", vec![], "no graph"),
        ("a text", b"not a model at all".to_vec(), "not a well-formed"),
        ("a graph without outputs", bytes(7, &identity()), "no outputs"),
        ("two graphs", two_graphs, "two graphs"),
        ("a huge length", huge, "ends in the middle"),
        ("external data", model(&[identity(), external]), "`weights` of the model lies in another file"),
        ("an external path", model(&[identity(), stray]), "`weights` of the model lies in another file"),
        ("a huge constant", model(&[identity(), constant(&[1 << 40, 1 << 40], 1, &[0; 8])]), "larger than allowed"),
        ("a negative size", model(&[identity(), constant(&[-1], 1, &[0; 4])]), "negative size"),
        ("too few values", model(&[identity(), constant(&[1000], 1, &[0; 8])]), "more or fewer values"),
        ("too many values", model(&[identity(), constant(&[1], 1, &[0; 8])]), "more or fewer values"),
        ("deep nesting", model(&[nested]), "nested too deeply"),
        ("a loop of operators", model(&[node("Neg", "", &["y"], &["y"], &[])]), "before anything gives it"),
        ("a value given twice", model(&[identity(), identity()]), "given already"),
        ("an output that nothing gives", model(&[node("Neg", "", &["x"], &["z"], &[])]), "nothing gives its output"),
        ("an unknown operator", model(&[node("Frobnicate", "", &["x"], &["y"], &[])]), "operator `Frobnicate`"),
        (
            "an unknown classical one",
            model(&[node("SVMClassifier", "ai.onnx.ml", &["x"], &["y"], &[])]),
            "`ai.onnx.ml.SVMClassifier`",
        ),
        ("a foreign domain", model(&[node("Scaler", "evil", &["x"], &["y"], &[])]), "evil/Scaler"),
    ] {
        match Model::load(&file) {
            Ok(_) => panic!("{what}: accepted"),
            Err(error) => {
                assert!(error.to_string().contains(says), "{what}: {error}");
                assert!(!error.remedy().is_empty());
            }
        }
    }
}

#[test]
fn a_model_that_grows_without_end_is_stopped() {
    // Each step squares the number of elements by joining the list with itself.
    let mut nodes = Vec::new();
    let names: Vec<String> = (0..64).map(|step| format!("v{step}")).collect();
    let axis = bytes(5, &[text(1, "axis"), int(3, 1)].concat());
    for pair in names.windows(2) {
        let inputs = vec![pair[0].as_str(); 8];
        nodes.push(node("Concat", "", &inputs, &[&pair[1]], std::slice::from_ref(&axis)));
    }
    let first = node("Identity", "", &["x"], &["v0"], &[]);
    let last = node("Identity", "", &["v63"], &["y"], &[]);
    let bomb = Model::load(&model(&[first, nodes.concat(), last])).unwrap();
    let error = bomb.predict(&rows(100)).unwrap_err().to_string();
    assert!(error.contains("too large") || error.contains("too many values"), "{error}");
}

#[test]
fn a_model_cut_at_any_length_is_refused_or_runs() {
    for case in cases().iter().filter(|case| case.model.len() < 2_000) {
        for length in 0..case.model.len() {
            survives(&case.model[..length], &case.batch());
        }
    }
}

#[test]
fn a_model_with_flipped_bytes_is_refused_or_runs() {
    let mut random = Random(7);
    let begun = Instant::now();
    for case in cases().iter().filter(|case| !case.name.starts_with("network")) {
        for _ in 0..150 {
            let mut model = case.model.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(model.len());
                model[at] ^= 1 << random.below(8);
            }
            survives(&model, &case.batch());
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(120), "a model kept the evaluator busy");
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak_kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak_kib < 2 << 20, "a model took {peak_kib} KiB");
}

/// Loading and running may fail, but in order.
fn survives(model: &[u8], batch: &Batch) {
    match Model::load(model) {
        // What is left may be a network by now; that engine is not ours to hold to this.
        Ok(model) if model.is_classical() => drop(model.predict(batch)),
        Ok(_) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A small generator with a seed, so that a failure comes back (Marsaglia's xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}
