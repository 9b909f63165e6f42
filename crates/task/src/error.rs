//! What can go wrong on the way of a task.

use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain};

/// Why a task was not carried out, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task says something that cannot be.
    #[error("{what}")]
    Spec {
        /// What.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
    /// A terminal was asked for where the standard streams are inspected.
    #[error("no terminal: the standard streams of this task are inspected, not live ({reasons})")]
    NoTerminal {
        /// Why they are.
        reasons: String,
    },
    /// A file of the host cannot be used.
    #[error("cannot {operation} `{}`", path.display())]
    File {
        /// What was to be done with it.
        operation: &'static str,
        /// Which.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
    /// An output differs from what was declared, or may not leave.
    #[error("an output was refused: {what}")]
    OutputRefused {
        /// Which and why.
        what: String,
        /// The finding's code.
        code: &'static str,
        /// The finding's remedy.
        remedy: String,
    },
    /// The part that did the work says why.
    #[error("{0}")]
    Part(Box<dyn Explain + Send + Sync>),
}

impl TaskError {
    pub(crate) fn part(error: impl Explain + Send + Sync + 'static) -> Self {
        Self::Part(Box::new(error))
    }

    pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { operation, path, source }
    }
}

impl Explain for TaskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Spec { .. } => "TSK-001",
            Self::File { .. } => "TSK-002",
            Self::NoTerminal { .. } => "TSK-003",
            Self::OutputRefused { code, .. } => code,
            Self::Part(part) => part.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Spec { remedy, .. } => (*remedy).to_owned(),
            Self::File { path, .. } => format!("check that `{}` exists and that you may use it", path.display()),
            Self::NoTerminal { .. } => {
                "leave out --tty; or run it in `strict` on your own inputs, without recipient, role and sealed model"
                    .into()
            }
            Self::OutputRefused { remedy, .. } => remedy.clone(),
            Self::Part(part) => part.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Spec { .. } => Exit::Usage,
            Self::File { .. } => Exit::Failed,
            Self::OutputRefused { .. } | Self::NoTerminal { .. } => Exit::Refused,
            Self::Part(part) => part.exit(),
        }
    }
}
