//! The attributes of an operator, as it asks for them.

use std::borrow::Cow;

use crate::onnx::{Attribute, Node};
use crate::tensor::Tensor;

/// A node's attributes by name; what is absent reads as empty or as the given default.
pub(super) struct Settings<'n, 'a> {
    node: &'n Node<'a>,
}

impl<'n, 'a> Settings<'n, 'a> {
    pub(super) fn new(node: &'n Node<'a>) -> Self {
        Self { node }
    }

    fn find(&self, name: &str) -> Option<&'n Attribute<'a>> {
        self.node.attributes.iter().find(|attribute| attribute.name == name)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    pub(super) fn int(&self, name: &str, default: i64) -> i64 {
        self.find(name).and_then(|attribute| attribute.int).unwrap_or(default)
    }

    pub(super) fn float(&self, name: &str, default: f32) -> f32 {
        self.find(name).and_then(|attribute| attribute.float).unwrap_or(default)
    }

    pub(super) fn text(&self, name: &str, default: &'n str) -> Result<&'n str, String> {
        match self.find(name).and_then(|attribute| attribute.text) {
            Some(bytes) => utf8(bytes, name),
            None => Ok(default),
        }
    }

    pub(super) fn ints(&self, name: &str) -> &'n [i64] {
        self.find(name).map_or(&[], |attribute| attribute.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> &'n [f32] {
        self.find(name).map_or(&[], |attribute| attribute.floats.as_slice())
    }

    pub(super) fn texts(&self, name: &str) -> Result<Vec<&'n str>, String> {
        self.find(name)
            .map_or(Ok(Vec::new()), |attribute| attribute.texts.iter().map(|text| utf8(text, name)).collect())
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<Tensor>, String> {
        let raw = self.find(name).and_then(|attribute| attribute.tensor.as_ref());
        raw.map(|raw| raw.tensor().map_err(|error| error.to_string())).transpose()
    }

    /// Floats, also where the operator keeps them as a tensor under the name with `_as_tensor`.
    pub(super) fn floats_or_tensor(&self, name: &str) -> Result<Cow<'n, [f32]>, String> {
        match self.tensor(&format!("{name}_as_tensor"))? {
            None => Ok(Cow::Borrowed(self.floats(name))),
            Some(tensor) => match tensor.floats() {
                Some(floats) => Ok(Cow::Owned(floats.to_vec())),
                None => Err(format!("`{name}_as_tensor` is not of 32-bit floats")),
            },
        }
    }
}

fn utf8<'a>(bytes: &'a [u8], name: &str) -> Result<&'a str, String> {
    std::str::from_utf8(bytes).map_err(|_| format!("`{name}` is not UTF-8"))
}
