//! The actions of the schema as data: what each is asked of, and what a question says where nobody says otherwise.

/// What an attribute holds when a question leaves it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(i64),
    /// A text.
    Word(&'static str),
    /// A set of texts, empty.
    Words,
    /// Whoever asks.
    Asker,
    /// The id of the resource, for models and hosts; its last part, for fields.
    Name,
    /// A text, absent.
    MaybeWord,
    /// A number, absent.
    MaybeNumber,
    /// A set of texts, absent.
    MaybeWords,
    /// A set of users, empty.
    Users,
    /// A model, which has to be named.
    Model,
}

/// An entity type that something is asked of.
#[derive(Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its name in the schema.
    pub name: &'static str,
    /// Its attributes.
    pub attributes: &'static [(&'static str, Shape)],
}

/// One action.
#[derive(Debug, PartialEq, Eq)]
pub struct Action {
    /// Its name in the schema.
    pub name: &'static str,
    /// What it is asked of.
    pub resource: &'static Resource,
    /// What is asked, in words, before the name of the resource.
    pub words: &'static str,
    /// What its questions say beside [`SURROUNDINGS`].
    pub context: &'static [(&'static str, Shape)],
    /// Whether something in Hotcell asks this question. An action without is denied, for no rule of the default policy
    /// permits it.
    pub is_asked: bool,
}

/// The version of the schema, which a policy folder names.
pub const SCHEMA_VERSION: u32 = 2;

/// What every question says, and what is made of it: purpose and role are given, the rest follows.
pub const SURROUNDINGS: &[&str] = &["purpose", "purposeEntity", "role", "situation"];

const TASK: &Resource = &Resource { name: "Task", attributes: &[("owner", Shape::Asker)] };
const MODEL: &Resource = &Resource {
    name: "Model",
    attributes: &[
        ("sealed", Shape::Flag(false)),
        ("signature", Shape::Word("none")),
        ("name", Shape::Name),
        ("version", Shape::MaybeNumber),
    ],
};
const DATASET: &Resource =
    &Resource { name: "Dataset", attributes: &[("sensitivity", Shape::MaybeWord), ("paths", Shape::MaybeWords)] };
const FIELD: &Resource =
    &Resource { name: "Field", attributes: &[("name", Shape::Name), ("sensitivity", Shape::MaybeWord)] };
const HOST: &Resource = &Resource { name: "Host", attributes: &[("name", Shape::Name), ("port", Shape::Number(443))] };
const OUTPUT: &Resource = &Resource {
    name: "Output",
    attributes: &[
        ("owner", Shape::Asker),
        ("kind", Shape::Word("file")),
        ("form", Shape::Word("canonical")),
        ("capacityBits", Shape::Number(0)),
    ],
};
const APPROVAL: &Resource = &Resource {
    name: "Approval",
    attributes: &[("owner", Shape::Asker), ("needed", Shape::Number(1)), ("given", Shape::Users)],
};
const LEASE: &Resource = &Resource { name: "Lease", attributes: &[("owner", Shape::Asker), ("model", Shape::Model)] };
const AUDIT_LOG: &Resource = &Resource { name: "AuditLog", attributes: &[] };
const TENANT: &Resource = &Resource { name: "Tenant", attributes: &[] };
const POLICY: &Resource = &Resource {
    name: "Policy",
    attributes: &[("name", Shape::Name), ("version", Shape::Number(1)), ("signed", Shape::Flag(false))],
};

/// Every entity type that something is asked of.
pub const RESOURCES: &[&Resource] =
    &[TASK, MODEL, DATASET, FIELD, HOST, OUTPUT, APPROVAL, LEASE, AUDIT_LOG, TENANT, POLICY];

/// Every action, in the order of the schema.
pub static ACTIONS: &[Action] = &[
    Action {
        name: "run",
        resource: TASK,
        words: "run the task",
        is_asked: true,
        context: &[
            ("profile", Shape::Word("strict")),
            ("isolation", Shape::Word("process")),
            ("runner", Shape::Word("command")),
            ("bestEffort", Shape::Words),
            ("sealedModel", Shape::Flag(false)),
            ("image", Shape::Word("")),
        ],
    },
    Action {
        name: "useModel",
        resource: MODEL,
        words: "use the model",
        is_asked: true,
        context: &[
            ("profile", Shape::Word("infer")),
            ("runner", Shape::Word("builtin")),
            ("signatureDemanded", Shape::Word("none")),
            ("runnerInTerms", Shape::Flag(true)),
            ("withinTime", Shape::Flag(true)),
            ("custodyMet", Shape::Flag(true)),
            ("isolationMet", Shape::Flag(true)),
            ("image", Shape::Word("")),
        ],
    },
    Action {
        name: "readDataset",
        resource: DATASET,
        words: "read the dataset",
        is_asked: true,
        context: &[
            ("profile", Shape::Word("strict")),
            ("runner", Shape::Word("command")),
            ("model", Shape::Word("")),
            ("inputsOwned", Shape::Flag(true)),
        ],
    },
    Action {
        name: "readField",
        resource: FIELD,
        words: "read the column",
        is_asked: true,
        context: &[("profile", Shape::Word("strict")), ("runner", Shape::Word("command")), ("model", Shape::Word(""))],
    },
    Action {
        name: "streamLive",
        resource: TASK,
        words: "let the streams pass live",
        is_asked: true,
        context: &[
            ("profile", Shape::Word("strict")),
            ("streamsDemanded", Shape::Word("live")),
            ("inputsOwned", Shape::Flag(true)),
            ("sealedModel", Shape::Flag(false)),
            ("recipients", Shape::Words),
        ],
    },
    Action {
        name: "release",
        resource: OUTPUT,
        words: "release the output",
        is_asked: true,
        context: &[
            ("profile", Shape::Word("strict")),
            ("sealedModel", Shape::Flag(false)),
            ("declarationDemanded", Shape::Flag(false)),
            ("recipients", Shape::Words),
        ],
    },
    Action { name: "connect", resource: HOST, words: "connect to", is_asked: true, context: &[] },
    Action {
        name: "passThrough",
        resource: HOST,
        words: "let pass unopened what goes to",
        is_asked: true,
        context: &[],
    },
    unasked("leaseKey", LEASE, "hand out the key of"),
    Action { name: "addModel", resource: MODEL, words: "take in the model", context: &[], is_asked: true },
    Action { name: "approveModel", resource: MODEL, words: "approve the model", context: &[], is_asked: true },
    Action { name: "revokeModel", resource: MODEL, words: "revoke the model", context: &[], is_asked: true },
    unasked("approveOutput", APPROVAL, "approve"),
    unasked("revokeLease", LEASE, "take back the lease"),
    unasked("showTask", TASK, "show the task"),
    unasked("readLogs", TASK, "read the logs of the task"),
    unasked("cancel", TASK, "cancel the task"),
    unasked("showAudit", AUDIT_LOG, "read the audit log"),
    unasked("exportAudit", AUDIT_LOG, "export the audit log"),
    unasked("erase", TENANT, "erase the tenant"),
    unasked("installPolicy", POLICY, "install the policy"),
];

const fn unasked(name: &'static str, resource: &'static Resource, words: &'static str) -> Action {
    Action { name, resource, words, context: &[], is_asked: false }
}

impl Action {
    /// The action of this name.
    pub fn of(name: &str) -> Option<&'static Self> {
        ACTIONS.iter().find(|action| action.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cedar_policy::SchemaFragment;

    use super::*;
    use crate::rules::SCHEMA;

    #[test]
    fn actions_and_attributes_are_those_of_the_schema() {
        let (schema, _) = SchemaFragment::from_cedarschema_str(SCHEMA).unwrap();
        let schema = schema.to_json_value().unwrap();
        let schema = &schema[""];
        let keys = |value: &serde_json::Value| -> BTreeSet<String> {
            value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
        };
        let ours: BTreeSet<_> = ACTIONS.iter().map(|action| action.name.to_owned()).collect();
        assert_eq!(keys(&schema["actions"]), ours);
        for action in ACTIONS {
            let applies = &schema["actions"][action.name]["appliesTo"];
            assert_eq!(applies["resourceTypes"], serde_json::json!([action.resource.name]), "{}", action.name);
            let context = &applies["context"];
            let stated: BTreeSet<_> = match context["attributes"].is_object() {
                true => keys(&context["attributes"]),
                false => SURROUNDINGS.iter().map(ToString::to_string).collect(),
            };
            let ours = action.context.iter().map(|(name, _)| *name).chain(SURROUNDINGS.iter().copied());
            assert_eq!(stated, ours.map(str::to_owned).collect(), "{}", action.name);
        }
        for resource in RESOURCES {
            let attributes = &schema["entityTypes"][resource.name]["shape"]["attributes"];
            let ours = resource.attributes.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(keys(attributes), ours, "{}", resource.name);
            for (name, shape) in resource.attributes {
                let optional = matches!(shape, Shape::MaybeWord | Shape::MaybeNumber | Shape::MaybeWords);
                assert_eq!(attributes[name]["required"] == false, optional, "{}.{name}", resource.name);
            }
        }
    }

    #[test]
    fn the_version_is_the_one_that_the_schema_says() {
        assert!(SCHEMA.lines().next().unwrap().ends_with(&format!("schema version {SCHEMA_VERSION}. Every rule is checked against it by `hotcell policy check`; a policy folder")));
    }
}
