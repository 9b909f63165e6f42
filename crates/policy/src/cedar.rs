//! Our values as Cedar's: names, entities, contexts.

use std::sync::OnceLock;

use cedar_policy::pst;
use cedar_policy_core::ast::{Eid, EntityType, EntityUID, Name, UnreservedId};
use cedar_policy_core::parser::{Node, cst};

/// A question that cannot be put to Cedar. Whoever sees it denies.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NameError(pub(crate) String);

impl From<pst::PstConstructionError> for NameError {
    fn from(error: pst::PstConstructionError) -> Self {
        Self(error.to_string())
    }
}

/// The name of an entity type, which is one of our schema's.
///
/// Not by `parse`, nor by `from_normalized_str`: the first uses Cedar's text parser, the second a regular
/// expression, and to build either takes longer than a decision by rules that are ready. That every name used is one that `parse`
/// takes is what the comparison of `compiled.rs` and the schema test show.
///
/// Each is made once: to make one takes longer than to evaluate a rule.
pub(crate) fn type_name(name: &str) -> Result<EntityType, NameError> {
    let Some(place) = TYPES.iter().position(|known| *known == name) else { return make_type_name(name) };
    let Some(made) = MADE.get(place) else { return make_type_name(name) };
    if let Some(made) = made.get() {
        return Ok(made.clone());
    }
    let fresh = make_type_name(name)?;
    Ok(made.get_or_init(|| fresh).clone())
}

/// The types of our schema.
const TYPES: [&str; 18] = [
    "User",
    "Action",
    "Role",
    "Task",
    "Model",
    "Dataset",
    "Field",
    "Output",
    "Purpose",
    "ModelGroup",
    "Tenant",
    "Device",
    "Host",
    "HostGroup",
    "Approval",
    "Lease",
    "AuditLog",
    "Policy",
];
static MADE: [OnceLock<EntityType>; TYPES.len()] = [const { OnceLock::new() }; TYPES.len()];

fn make_type_name(name: &str) -> Result<EntityType, NameError> {
    let wrong = || NameError(format!("`{name}` is not the name of an entity type"));
    let id = Node::new(Some(cst::Ident::Ident(name.into()))).to_valid_ident().map_err(|_| wrong())?;
    Ok(Name::unqualified_name(UnreservedId::try_from(id).map_err(|_| wrong())?).into())
}

/// The entity `kind::"id"`.
pub(crate) fn uid(kind: &str, id: &str) -> Result<EntityUID, NameError> {
    Ok(EntityUID::from_components(type_name(kind)?, Eid::new(id), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entity_type_of_the_schema_is_the_one_that_parsing_gives() {
        for name in ["User", "Role", "Task", "Model", "Output", "Dataset", "Field", "Purpose", "Device", "Action"] {
            let parsed: cedar_policy::EntityTypeName = name.parse().unwrap();
            assert_eq!(cedar_policy::EntityTypeName::from(type_name(name).unwrap()), parsed);
        }
    }
}
