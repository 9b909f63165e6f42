//! The labels of classes.

use std::sync::Arc;

use crate::tensor::{Data, Tensor};

use super::attributes::Settings;

/// One label for each class, all texts or all integers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Labels {
    Texts(Vec<Arc<str>>),
    Ints(Vec<i64>),
}

impl Labels {
    /// Reads the two attributes of which an operator has one.
    pub(super) fn read(settings: &Settings<'_, '_>, texts: &str, ints: &str) -> Result<Self, String> {
        let names = settings.texts(texts)?;
        Ok(match names.is_empty() {
            false => Self::Texts(names.into_iter().map(Arc::from).collect()),
            true => Self::Ints(settings.ints(ints).to_vec()),
        })
    }

    /// The labels that a list holds.
    pub(super) fn of(tensor: &Tensor) -> Option<Self> {
        match tensor.data() {
            Data::Text(texts) => Some(Self::Texts(texts.clone())),
            Data::Int(ints) => Some(Self::Ints(ints.clone())),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Texts(labels) => labels.len(),
            Self::Ints(labels) => labels.len(),
        }
    }

    /// The labels of these classes, as a list.
    pub(super) fn pick(&self, classes: &[usize]) -> Result<Tensor, String> {
        let data = match self {
            Self::Texts(labels) => {
                Data::Text(classes.iter().map(|class| labels.get(*class).cloned().unwrap_or_default()).collect())
            }
            Self::Ints(labels) => {
                Data::Int(classes.iter().map(|class| labels.get(*class).copied().unwrap_or_default()).collect())
            }
        };
        Tensor::new([classes.len()], data).ok_or_else(|| "too many labels".to_owned())
    }

    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Texts(labels) => labels.iter().map(|label| label.to_string()).collect(),
            Self::Ints(labels) => labels.iter().map(i64::to_string).collect(),
        }
    }
}
