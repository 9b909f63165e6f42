//! The facts about a task on which every decision about it rests, and the questions that follow from them.
//!
//! They are recorded with the task, so that another policy can be asked the same later.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hotcell_types::{Bits, Destination, Timestamp, Wall};
use serde::{Deserialize, Serialize};

use crate::OutputRule;
use crate::ask::{Ask, Attributes, EntityName, Value};
use crate::request::{DatasetFacts, ModelFacts, Principal, ReleaseItem, Request};

/// What policy is told of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The task.
    pub task: String,
    /// When it was asked.
    pub time: Timestamp,
    /// Who asked.
    pub principal: Principal,
    /// Whose task it is.
    pub owner: String,
    /// For which purpose.
    pub purpose: String,
    /// The role in which data is seen; empty for none.
    pub role: String,
    /// The profile's name.
    pub profile: String,
    /// The isolation level.
    pub isolation: String,
    /// `builtin` or `command`.
    pub runner: String,
    /// Walls that the task would do without.
    pub without: Vec<String>,
    /// Digest of the image, or nothing.
    pub image: String,
    /// The model.
    pub model: Option<ModelFacts>,
    /// The inputs.
    #[serde(default)]
    pub datasets: Vec<DatasetFacts>,
    /// The hosts that it would reach.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostFacts>,
    /// Whether every input belongs to the principal.
    pub inputs_owned: bool,
    /// To whom results are sealed.
    pub recipients: Vec<String>,
    /// What the profile does with the streams: `live`, `inspect`.
    pub streams: String,
    /// Which signature the profile demands: `none`, `valid`, `trusted`.
    pub signature: String,
    /// Whether the profile lets only declared outputs leave.
    pub declared_outputs: bool,
}

/// A host that a task would reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostFacts {
    /// Which, and the port.
    pub destination: Destination,
    /// Whether what goes there passes unopened.
    pub passes: bool,
}

impl Request {
    /// What policy is told of this request.
    pub fn facts(&self) -> Facts {
        Facts {
            task: self.task.to_string(),
            time: self.now,
            principal: self.principal.clone(),
            owner: self.owner.clone(),
            purpose: self.purpose.clone(),
            role: self.role.clone().unwrap_or_default(),
            profile: self.profile.name().to_owned(),
            isolation: self.isolation.clone(),
            runner: self.runner.label().to_owned(),
            without: self.without().into_iter().map(|wall: Wall| wall.label().to_owned()).collect(),
            image: self.image.map(|digest| digest.to_string()).unwrap_or_default(),
            model: self.model.clone(),
            datasets: self.datasets.clone(),
            hosts: (self.profile.hosts().iter())
                .map(|(destination, passes)| HostFacts { destination: destination.clone(), passes: *passes })
                .collect(),
            inputs_owned: self.inputs_owned,
            recipients: self.recipients.clone(),
            streams: self.profile.streams().to_string(),
            signature: self.profile.signature().to_string(),
            declared_outputs: self.profile.outputs() == OutputRule::Declared,
        }
    }
}

impl Facts {
    pub(crate) fn run(&self) -> Ask {
        let context = [
            ("profile", self.profile.as_str().into()),
            ("isolation", self.isolation.as_str().into()),
            ("runner", self.runner.as_str().into()),
            ("bestEffort", self.without.as_slice().into()),
            ("sealedModel", self.sealed().into()),
            ("image", self.image.as_str().into()),
        ];
        self.ask("run", self.task.clone(), vec![("owner", self.owner())], context)
    }

    pub(crate) fn use_model(&self, model: &ModelFacts) -> Ask {
        let mut attributes = vec![
            ("sealed", model.sealed.into()),
            ("signature", model.signature.label().into()),
            ("name", model.id.as_str().into()),
        ];
        if let Some(version) = model.version {
            attributes.push(("version", i64::try_from(version).unwrap_or(i64::MAX).into()));
        }
        let context = [
            ("profile", self.profile.as_str().into()),
            ("runner", self.runner.as_str().into()),
            ("signatureDemanded", self.signature.as_str().into()),
            ("runnerInTerms", model.runner_in_terms.into()),
            ("withinTime", model.within_time.into()),
            ("custodyMet", model.custody_met.into()),
            ("isolationMet", model.isolation_met.into()),
            ("image", self.image.as_str().into()),
        ];
        self.ask("useModel", model.id.clone(), attributes, context)
    }

    pub(crate) fn stream_live(&self) -> Ask {
        let context = [
            ("profile", self.profile.as_str().into()),
            ("streamsDemanded", self.streams.as_str().into()),
            ("inputsOwned", self.inputs_owned.into()),
            ("sealedModel", self.sealed().into()),
            ("recipients", self.recipients.as_slice().into()),
        ];
        self.ask("streamLive", self.task.clone(), vec![("owner", self.owner())], context)
    }

    pub(crate) fn read_dataset(&self, id: &str) -> Ask {
        let context = [
            ("profile", self.profile.as_str().into()),
            ("runner", self.runner.as_str().into()),
            ("model", self.model_name().into()),
            ("inputsOwned", self.inputs_owned.into()),
        ];
        self.ask("readDataset", id.to_owned(), Vec::new(), context)
    }

    pub(crate) fn read_field(&self, dataset: &str, column: &str) -> Ask {
        let context = [
            ("profile", self.profile.as_str().into()),
            ("runner", self.runner.as_str().into()),
            ("model", self.model_name().into()),
        ];
        self.ask("readField", format!("{dataset}/{column}"), vec![("name", column.into())], context)
    }

    /// Both questions are of a host: whether it is reached, and whether what goes there passes unopened.
    pub(crate) fn reach(&self, action: &'static str, to: &Destination) -> Ask {
        let attributes = vec![("name", to.host.as_str().into()), ("port", i64::from(to.port).into())];
        self.ask(action, to.host.as_str().to_owned(), attributes, [])
    }

    pub(crate) fn release(&self, item: &ReleaseItem) -> Ask {
        let attributes = vec![
            ("owner", self.owner()),
            ("kind", item.kind.label().into()),
            ("form", item.form.label().into()),
            ("capacityBits", whole_bits(item.capacity).into()),
        ];
        let context = [
            ("profile", self.profile.as_str().into()),
            ("sealedModel", self.sealed().into()),
            ("declarationDemanded", self.declared_outputs.into()),
            ("recipients", self.recipients.as_slice().into()),
        ];
        self.ask("release", item.name.clone(), attributes, context)
    }

    fn ask<const N: usize>(
        &self,
        action: &'static str,
        resource: String,
        attributes: Vec<(&'static str, Value)>,
        context: [(&'static str, Value); N],
    ) -> Ask {
        let time = i64::try_from(self.time.0).unwrap_or(i64::MAX);
        let mut context: Attributes = context.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect();
        context.insert("purpose".into(), self.purpose.as_str().into());
        context.insert("role".into(), self.role.as_str().into());
        context.insert("situation".into(), Value::Record(BTreeMap::from([("time".to_owned(), time.into())])));
        Ask {
            principal: self.principal.id.clone(),
            local: self.principal.local,
            roles: self.principal.roles.clone(),
            user: Attributes::new(),
            action: action.into(),
            resource,
            attributes: attributes.into_iter().map(|(name, value)| (Cow::Borrowed(name), value)).collect(),
            context,
        }
    }

    fn owner(&self) -> Value {
        Value::Entity(EntityName { kind: "User".to_owned(), id: self.owner.clone() })
    }

    fn model_name(&self) -> &str {
        self.model.as_ref().map_or("", |model| model.id.as_str())
    }

    pub(crate) fn sealed(&self) -> bool {
        self.model.as_ref().is_some_and(|model| model.sealed)
    }
}

/// Bits as Cedar's integer, rounded up; what is not a number counts as the most.
fn whole_bits(capacity: Bits) -> i64 {
    // `as` saturates, which is what a bound wants.
    if capacity.0.is_nan() { i64::MAX } else { capacity.0.ceil() as i64 }
}
