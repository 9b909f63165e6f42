//! What a pickle's machine holds: as much of each value as a later decision could rest on.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use super::allow::Known;

#[derive(Debug, Clone)]
pub(super) enum Value {
    None,
    Int(i64),
    /// A number that nothing depends on.
    Number,
    /// A text; of one that is too long to matter, none.
    Text(Option<Rc<str>>),
    Bytes,
    Tuple(Rc<Tuple>),
    List,
    Set,
    Dict(Rc<Dict>),
    /// Something that is on the list.
    Global(&'static Known),
    /// What a call gave.
    Object(Rc<Object>),
    /// A storage of tensors, by its persistent id.
    Storage,
    /// What came of something that was refused, or lies too deep.
    Opaque,
}

#[derive(Debug)]
pub(super) struct Tuple {
    pub(super) items: Vec<Value>,
    depth: u32,
}

/// A dictionary's first fields.
#[derive(Debug, Default)]
pub(super) struct Dict {
    pub(super) fields: RefCell<BTreeMap<Rc<str>, Value>>,
    /// Whether a key was computed, so that it could be any text.
    pub(super) computed_key: Cell<bool>,
    /// Whether there are more fields than are kept.
    more: Cell<bool>,
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) made_by: &'static Known,
    /// Of a dtype.
    pub(super) element: Cell<Option<Element>>,
}

/// The elements of an array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) letter: u8,
    pub(super) bytes: u64,
    pub(super) objects: bool,
}

impl Value {
    pub(super) fn text(text: &str) -> Self {
        Self::Text((text.len() <= MAX_TEXT).then(|| Rc::from(text)))
    }

    pub(super) fn tuple(items: Vec<Self>) -> Self {
        let depth = 1 + items.iter().map(Self::depth).max().unwrap_or(0);
        match depth > MAX_DEPTH {
            // To drop what lies deeper would take a stack as deep.
            true => Self::Opaque,
            false => Self::Tuple(Rc::new(Tuple { items, depth })),
        }
    }

    pub(super) fn object(made_by: &'static Known) -> Self {
        Self::Object(Rc::new(Object { made_by, element: Cell::new(None) }))
    }

    fn depth(&self) -> u32 {
        match self {
            Self::Tuple(tuple) => tuple.depth,
            _ => 0,
        }
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(Some(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn as_items(&self) -> Option<&[Self]> {
        match self {
            Self::Tuple(tuple) => Some(&tuple.items),
            _ => None,
        }
    }

    pub(super) fn element(&self) -> Option<Element> {
        match self {
            Self::Object(object) => object.element.get(),
            _ => None,
        }
    }

    /// What a dictionary keeps of it: nothing that holds a dictionary, so that nothing is deep.
    fn kept(&self) -> Self {
        match self {
            Self::Dict(_) => Self::Opaque,
            other => other.clone(),
        }
    }
}

impl Dict {
    pub(super) fn set(&self, key: &Value, value: &Value) {
        match key {
            Value::Text(Some(key)) => {
                let mut fields = self.fields.borrow_mut();
                if fields.len() < MAX_FIELDS || fields.contains_key(key) {
                    fields.insert(Rc::clone(key), value.kept());
                } else {
                    self.more.set(true);
                }
            }
            Value::Object(_) | Value::Opaque => self.computed_key.set(true),
            _ => self.more.set(true),
        }
    }

    /// Whether this holds of every value.
    pub(super) fn all(&self, holds: &dyn Fn(&Value) -> bool) -> bool {
        !self.more.get() && !self.computed_key.get() && self.fields.borrow().values().all(holds)
    }

    pub(super) fn field(&self, name: &str) -> Option<Value> {
        self.fields.borrow().get(name).cloned()
    }
}

/// Longer texts are no names of anything that matters here.
const MAX_TEXT: usize = 256;
/// Tuples within each other that are looked into.
const MAX_DEPTH: u32 = 32;
/// Fields of a dictionary that are kept; the states that matter have ten.
const MAX_FIELDS: usize = 64;
