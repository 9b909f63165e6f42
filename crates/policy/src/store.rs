//! What policy knows of the world beside the question: users with their roles, models, datasets, groups.
//!
//! A question needs a few of them. [`Store::slice`] finds those that a rule could reach from what the question names: an
//! expression gets hold of an entity only by a variable, a literal, or an attribute of one that it has.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{Entity, EntityUID, Literal, PartialValue, Value, ValueKind};

/// Entities by name, with all their ancestors.
#[derive(Debug, Default)]
pub(crate) struct Store {
    entities: HashMap<EntityUID, Stored>,
    /// Paths of datasets that are known by where they lie, with the dataset's id.
    places: Vec<(String, String)>,
}

#[derive(Debug)]
struct Stored {
    entity: Arc<Entity>,
    /// What its attributes and tags name.
    names: Box<[EntityUID]>,
}

impl Store {
    /// Of entities whose ancestors are complete.
    pub(crate) fn new(entities: impl IntoIterator<Item = Entity>) -> Self {
        let mut store = Self::default();
        for entity in entities {
            let names = names_of(&entity).into_boxed_slice();
            if let (true, Some(PartialValue::Value(paths))) = (is_dataset(entity.uid()), entity.get("paths")) {
                let id: &str = entity.uid().eid().as_ref();
                texts(paths, &mut |path| store.places.push((path.to_owned(), id.to_owned())));
            }
            store.entities.insert(entity.uid().clone(), Stored { entity: Arc::new(entity), names });
        }
        // The longest path is the nearest.
        store.places.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        store
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    pub(crate) fn entity(&self, uid: &EntityUID) -> Option<&Arc<Entity>> {
        self.entities.get(uid).map(|stored| &stored.entity)
    }

    /// Names of entities of these types, in their order: at most so many of each type.
    pub(crate) fn some_of(&self, kinds: &[&str], most: usize) -> BTreeSet<(String, String)> {
        let named = |uid: &EntityUID| {
            let id: &str = uid.eid().as_ref();
            (uid.entity_type().name().to_string(), id.to_owned())
        };
        let all: BTreeSet<_> = self.entities.keys().map(named).collect();
        let of = |kind: &&str| {
            let kind = (*kind).to_owned();
            all.iter().filter(move |(known, _)| *known == kind).take(most).cloned()
        };
        kinds.iter().flat_map(of).collect()
    }

    /// The dataset that lies at this path, or around it.
    pub(crate) fn dataset_at(&self, path: &str) -> Option<&str> {
        let within = |place: &str| {
            path.strip_prefix(place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || place.ends_with('/'))
        };
        self.places.iter().find(|(place, _)| within(place)).map(|(_, id)| id.as_str())
    }

    /// What can be reached from `roots` and `own` in `levels` steps, of which the last is not looked into.
    pub(crate) fn slice(
        &self,
        own: &[Arc<Entity>],
        roots: impl IntoIterator<Item = EntityUID>,
        levels: usize,
    ) -> Vec<Arc<Entity>> {
        if levels == 0 {
            return Vec::new();
        }
        let mut reached: Vec<Arc<Entity>> = own.to_vec();
        let mut seen: HashSet<EntityUID> = own.iter().map(|entity| entity.uid().clone()).collect();
        let mut todo: Vec<EntityUID> = roots.into_iter().collect();
        let mut next: Vec<EntityUID> = match levels {
            1 => Vec::new(),
            _ => own.iter().flat_map(|entity| names_of(entity)).collect(),
        };
        for level in 0..levels {
            for uid in todo {
                if let Some(stored) = self.entities.get(&uid)
                    && seen.insert(uid)
                {
                    reached.push(Arc::clone(&stored.entity));
                    if level + 1 < levels {
                        next.extend(stored.names.iter().cloned());
                    }
                }
            }
            todo = std::mem::take(&mut next);
        }
        reached
    }
}

fn is_dataset(uid: &EntityUID) -> bool {
    uid.entity_type().name().to_string() == "Dataset"
}

/// Every entity that its attributes and tags name.
fn names_of(entity: &Entity) -> Vec<EntityUID> {
    let mut names = Vec::new();
    for (_, value) in entity.attrs().chain(entity.tags()) {
        if let PartialValue::Value(value) = value {
            names_in(value, &mut names);
        }
    }
    names
}

/// Every entity that a value names.
pub(crate) fn names_in(value: &Value, names: &mut Vec<EntityUID>) {
    match value.value_kind() {
        ValueKind::Lit(Literal::EntityUID(uid)) => names.push(EntityUID::clone(uid)),
        ValueKind::Lit(_) | ValueKind::ExtensionValue(_) => {}
        ValueKind::Set(set) => set.authoritative.iter().for_each(|value| names_in(value, names)),
        ValueKind::Record(record) => record.values().for_each(|value| names_in(value, names)),
    }
}

fn texts(value: &Value, take: &mut dyn FnMut(&str)) {
    match value.value_kind() {
        ValueKind::Lit(Literal::String(text)) => take(text),
        ValueKind::Set(set) => set.authoritative.iter().for_each(|value| texts(value, take)),
        _ => {}
    }
}
