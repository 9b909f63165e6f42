//! Every vector under `testdata/vectors` (written by `testdata/make_vectors.py`) within 1e-5 of onnxruntime.

use std::path::PathBuf;

use base64::Engine as _;
use hotcell_models::{Batch, Data, Model, Tensor};
use serde_json::Value;

/// One case as the script wrote it.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) model: Vec<u8>,
    content: Value,
}

pub(crate) fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let content: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        let model = base64::engine::general_purpose::STANDARD.decode(content["model"].as_str().unwrap()).unwrap();
        Case { name: file.file_stem().unwrap().to_string_lossy().into_owned(), model, content }
    };
    files.into_iter().map(read).collect()
}

impl Case {
    pub(crate) fn batch(&self) -> Batch {
        Batch { inputs: self.content["inputs"].as_array().unwrap().iter().map(tensor).collect() }
    }
}

fn tensor(value: &Value) -> Tensor {
    let shape: Vec<usize> =
        value["shape"].as_array().unwrap().iter().map(|size| size.as_u64().unwrap() as usize).collect();
    let values = value["data"].as_array().unwrap();
    let data = match value["type"].as_str().unwrap() {
        "float" => Data::Float(values.iter().map(|v| v.as_f64().map_or(f32::NAN, |v| v as f32)).collect()),
        "double" => Data::Double(values.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()),
        "int64" | "int32" => Data::Int(values.iter().map(|v| v.as_i64().unwrap()).collect()),
        "bool" => Data::Bool(values.iter().map(|v| v.as_bool().unwrap()).collect()),
        _ => Data::Text(values.iter().map(|v| v.as_str().unwrap().into()).collect()),
    };
    Tensor::new(shape, data).unwrap()
}

/// Why two tensors differ, if they do.
fn difference(ours: &Tensor, theirs: &Tensor) -> Option<String> {
    if ours.shape() != theirs.shape() {
        return Some(format!("shape {:?}, expected {:?}", ours.shape(), theirs.shape()));
    }
    let (ours, theirs): (Vec<f64>, Vec<f64>) = match (ours.data(), theirs.data()) {
        (Data::Float(a), Data::Float(b)) => {
            (a.iter().map(|v| f64::from(*v)).collect(), b.iter().map(|v| f64::from(*v)).collect())
        }
        (Data::Double(a), Data::Double(b)) => (a.clone(), b.clone()),
        (a, b) => return (a != b).then(|| format!("{a:?}, expected {b:?}")),
    };
    let far = |(a, b): (&f64, &f64)| !((a - b).abs() <= TOLERANCE * b.abs().max(1.0) || (a.is_nan() && b.is_nan()));
    ours.iter().zip(&theirs).any(far).then(|| format!("{ours:?}, expected {theirs:?}"))
}

#[test]
fn every_vector_agrees_with_onnxruntime() {
    let cases = cases();
    assert!(cases.len() > 100, "the vectors are missing");
    let mut wrong = Vec::new();
    for case in &cases {
        let model = match Model::load(&case.model) {
            Ok(model) => model,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        if model.is_classical() != (case.content["engine"] == "classical") {
            wrong.push(format!("{}: the other engine took it", case.name));
        }
        match model.predict(&case.batch()) {
            Err(error) => wrong.push(format!("{}: {error}", case.name)),
            Ok(predictions) => {
                for (ours, theirs) in predictions.outputs.iter().zip(case.content["outputs"].as_array().unwrap()) {
                    assert_eq!(ours.name, theirs["name"].as_str().unwrap(), "{}", case.name);
                    if let Some(why) = difference(&ours.tensor, &tensor(theirs)) {
                        wrong.push(format!("{} {}: {why}", case.name, ours.name));
                    }
                    if let Some(classes) = theirs["classes"].as_array() {
                        let classes: Vec<&str> = classes.iter().filter_map(Value::as_str).collect();
                        assert_eq!(model.classes().unwrap(), classes, "{}", case.name);
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// Absolute for values up to one, relative above.
const TOLERANCE: f64 = 1e-5;
