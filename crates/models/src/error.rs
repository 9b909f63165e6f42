//! What can go wrong with a model and with a run.

use std::path::PathBuf;

use hotcell_types::{Exit, Explain};

use crate::table::TableError;
use crate::wire::WireError;

/// A model that cannot be loaded or that fails on its inputs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The file is larger than the format allows.
    #[error("the model has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The most allowed.
        limit: u64,
    },
    /// The bytes are not an ONNX model.
    #[error("the file is not a well-formed ONNX model: {what}")]
    Malformed {
        /// What is wrong.
        what: String,
    },
    /// More of something than allowed.
    #[error("the model has too many {what}: more than {limit}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The most allowed.
        limit: u64,
    },
    /// The model wants to read another file.
    #[error("constant `{tensor}` of the model lies in another file")]
    ExternalData {
        /// The constant.
        tensor: String,
    },
    /// An operator that no engine has.
    #[error("the model uses the operator `{operator}`, which is not supported")]
    UnsupportedOperator {
        /// Domain and name, for example `ai.onnx.ml.SVMClassifier`.
        operator: String,
    },
    /// An element type that no engine has.
    #[error("{what} has a type that is not supported")]
    UnsupportedType {
        /// What has it.
        what: String,
    },
    /// The graph or an attribute makes no sense.
    #[error("operator `{operator}` of the model is wrong: {why}")]
    BadOperator {
        /// Which operator, with its name in the graph.
        operator: String,
        /// Why.
        why: String,
    },
    /// An operator failed on these inputs.
    #[error("operator `{operator}` failed: {why}")]
    Run {
        /// Which operator, with its name in the graph.
        operator: String,
        /// Why.
        why: String,
    },
    /// The engine for networks refused or failed.
    #[error("the model cannot be {stage}: {why}")]
    Network {
        /// `loaded` or `run`.
        stage: &'static str,
        /// The engine's reason.
        why: String,
    },
    /// The inputs do not fit what the model takes.
    #[error("the inputs do not fit the model: {why}")]
    Inputs {
        /// Why.
        why: String,
    },
}

impl From<WireError> for ModelError {
    fn from(error: WireError) -> Self {
        Self::Malformed { what: error.to_string() }
    }
}

impl Explain for ModelError {
    fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "MDL-001",
            Self::Malformed { .. } => "MDL-002",
            Self::TooMany { .. } => "MDL-003",
            Self::ExternalData { .. } => "MDL-004",
            Self::UnsupportedOperator { .. } => "MDL-005",
            Self::UnsupportedType { .. } => "MDL-006",
            Self::BadOperator { .. } => "MDL-007",
            Self::Run { .. } => "MDL-008",
            Self::Network { .. } => "MDL-009",
            Self::Inputs { .. } => "MDL-010",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::TooLarge { .. } | Self::TooMany { .. } => "export a smaller model".into(),
            Self::Malformed { .. } => "check that the file is an ONNX model and was copied completely".into(),
            Self::ExternalData { .. } => {
                "save the model into one file: `onnx.save(model, path, save_as_external_data=False)`".into()
            }
            Self::UnsupportedOperator { .. } | Self::UnsupportedType { .. } => {
                "export the model with other operators or types, or run it with a program of your own: `-- COMMAND`"
                    .into()
            }
            Self::BadOperator { .. } => "export the model again; onnx.checker names what is wrong".into(),
            Self::Run { .. } | Self::Network { .. } => {
                "check the model with onnxruntime on the same inputs; export it again if it fails there too".into()
            }
            Self::Inputs { .. } => {
                "name the columns that are features with `--feature`, in the order that the model expects".into()
            }
        }
    }
}

/// A scoring run that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A column of the output asks for something that the model does not give.
    #[error("output column `{column}`: {why}")]
    Column {
        /// The column.
        column: String,
        /// Why.
        why: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {verb} `{}`", path.display())]
    File {
        /// `read`, `write`, `open`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A folder was given that does not hold exactly one file.
    #[error("`{}` holds {files} files, not one", path.display())]
    NotOneFile {
        /// The folder.
        path: PathBuf,
        /// How many.
        files: usize,
    },
    /// Progress or results cannot be written.
    #[error("cannot write the {what}")]
    Write {
        /// `progress` or `scores`.
        what: &'static str,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// A worker ended without an answer.
    #[error("a worker thread failed")]
    Worker,
}

impl Explain for RunnerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Model(error) => error.code(),
            Self::Table(error) => error.code(),
            Self::Column { .. } => "MDL-030",
            Self::File { .. } => "MDL-031",
            Self::NotOneFile { .. } => "MDL-032",
            Self::Write { .. } => "MDL-033",
            Self::Worker => "MDL-034",
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Model(error) => error.remedy(),
            Self::Table(error) => error.remedy(),
            Self::Column { .. } => {
                "take a column from one of the model's outputs: `--column NAME=OUTPUT`, `NAME=OUTPUT[CLASS]` or \
                 `NAME=OUTPUT[#POSITION]`"
                    .into()
            }
            Self::File { .. } => "check that the file exists and may be read or written".into(),
            Self::NotOneFile { .. } => "name the file itself, or leave exactly one file in the folder".into(),
            Self::Write { .. } => "make room on the output's disk and run again".into(),
            Self::Worker => "run again with one thread; report the model if it fails again".into(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Model(error) => error.exit(),
            Self::Table(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}
