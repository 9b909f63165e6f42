//! Networks, run by `rten`.

use std::sync::Arc;

use rten::{NodeId, RunOptions, ThreadPool, Value, ValueOrView};

use crate::error::ModelError;
use crate::tensor::{Data, Tensor};

/// A model of plain operators in the engine for networks.
pub(crate) struct Network {
    model: rten::Model,
    threads: Arc<ThreadPool>,
}

impl Network {
    /// Hands a file that [`crate::onnx::File::read`] accepted to the engine.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, ModelError> {
        let model = rten::Model::load(bytes.to_vec()).map_err(|error| match unsupported(&error.to_string()) {
            Some(operator) => ModelError::UnsupportedOperator { operator },
            None => ModelError::Network { stage: "loaded", why: error.to_string() },
        })?;
        Ok(Self { model, threads: Arc::new(ThreadPool::with_num_threads(1)) })
    }

    pub(crate) fn set_threads(&mut self, threads: usize) {
        self.threads = Arc::new(ThreadPool::with_num_threads(threads.max(1)));
    }

    pub(crate) fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, ModelError> {
        let failed = |why: String| ModelError::Network { stage: "run", why };
        let ids = self.model.input_ids().iter().copied();
        let given: Vec<(NodeId, ValueOrView<'_>)> = ids
            .zip(inputs)
            .map(|(id, tensor)| Ok((id, value(tensor).map_err(failed)?.into())))
            .collect::<Result<_, ModelError>>()?;
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::clone(&self.threads));
        let outputs = self.model.run(given, self.model.output_ids(), Some(options));
        let outputs = outputs.map_err(|error| failed(error.to_string()))?;
        outputs.into_iter().map(|output| tensor(output).map_err(failed)).collect()
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.model.fmt(f)
    }
}

/// The operator's name in the engine's own message: `… Foo operator not supported or not enabled`.
fn unsupported(message: &str) -> Option<String> {
    let (before, _) = message.split_once(" operator not ")?;
    before.rsplit([' ', ':', '"']).find(|word| !word.is_empty()).map(str::to_owned)
}

fn value(tensor: &Tensor) -> Result<Value, String> {
    let shape = tensor.shape();
    let wrong = || "an input does not fit its shape".to_owned();
    match tensor.data() {
        Data::Float(values) => Value::from_shape(shape, values.clone()).map_err(|_| wrong()),
        Data::Double(values) => {
            Value::from_shape(shape, values.iter().map(|value| *value as f32).collect::<Vec<_>>()).map_err(|_| wrong())
        }
        Data::Int(values) => {
            let narrow: Result<Vec<i32>, _> = values.iter().map(|value| i32::try_from(*value)).collect();
            let narrow = narrow.map_err(|_| "an integer does not fit into 32 bits".to_owned())?;
            Value::from_shape(shape, narrow).map_err(|_| wrong())
        }
        Data::Bool(values) => {
            Value::from_shape(shape, values.iter().map(|value| i32::from(*value)).collect::<Vec<_>>())
                .map_err(|_| wrong())
        }
        Data::Text(_) => Err("a network cannot be given texts".into()),
    }
}

fn tensor(value: Value) -> Result<Tensor, String> {
    let unsupported = || "an output has a type that is not supported".to_owned();
    let (shape, data) = match value {
        Value::FloatTensor(tensor) => (shape_of(&tensor), Data::Float(tensor.into_data())),
        Value::Int32Tensor(tensor) => {
            (shape_of(&tensor), Data::Int(tensor.into_data().into_iter().map(i64::from).collect()))
        }
        Value::UInt8Tensor(tensor) => {
            (shape_of(&tensor), Data::Int(tensor.into_data().into_iter().map(i64::from).collect()))
        }
        Value::Int8Tensor(tensor) => {
            (shape_of(&tensor), Data::Int(tensor.into_data().into_iter().map(i64::from).collect()))
        }
        _ => return Err(unsupported()),
    };
    Tensor::new(shape, data).ok_or_else(|| "an output is larger than allowed".to_owned())
}

fn shape_of<T>(tensor: &rten_tensor::Tensor<T>) -> Vec<usize> {
    use rten_tensor::Layout;
    tensor.shape().as_ref().to_vec()
}
