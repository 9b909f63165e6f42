//! The decision: a question, the rules, and a yes or a no with reasons.

use std::collections::HashSet;

use cedar_policy::{
    Authorizer, Context, Decision as CedarDecision, Entities, Entity, EntityUid, Policy, PolicySet,
    Request as CedarRequest, RestrictedExpression,
};
use hotcell_types::{Bits, Exit};

use crate::cedar::{NameError, entity, flag, text, texts, uid};
use crate::compiled::RULES;
use crate::denial::{Denial, DenialKind};
use crate::error::PolicyError;
use crate::grant::{CitedRule, Grant, GrantTerms, GrantUse, ReleaseGrant};
use crate::layer::{Layer, LayerRule, MAX_RULES_CITED};
use crate::request::{ModelFacts, ReleaseItem, Request};
use crate::{OutputRule, StreamRule};

/// The default policy with the layers over it.
#[derive(Debug, Default)]
pub struct Engine {
    layers: Vec<LayerRule>,
}

/// The answer to a [`Request`].
#[derive(Debug)]
#[must_use]
#[expect(clippy::large_enum_variant, reason = "there is one of them for each task, and it is moved once")]
pub enum Decision {
    /// Yes, and this is the right to do it.
    Allow(Grant),
    /// No, and this is why.
    Deny(Denial),
}

/// One question put to Cedar.
struct Question {
    action: &'static str,
    words: String,
    principal: EntityUid,
    resource: EntityUid,
    entities: Vec<Entity>,
    context: Vec<(&'static str, RestrictedExpression)>,
}

impl Engine {
    /// The default policy with these layers over it, each a file name and its Cedar text. A layer may
    /// only forbid.
    ///
    /// # Errors
    /// Any [`PolicyError`] of the first file that has one.
    pub fn with_layers(files: &[(String, String)]) -> Result<Self, PolicyError> {
        let mut layers = Vec::new();
        for (file, source) in files {
            let layer = Layer::parse(file, source, &layers).map_err(|mut errors| errors.remove(0))?;
            layers.extend(layer.rules);
        }
        Ok(Self { layers })
    }

    /// Decides whether the task may run, with its model, and whether its streams may pass live.
    ///
    /// A no to live streams does not deny the task: its grant then says that they are inspected.
    pub fn decide(&self, request: Request) -> Decision {
        match self.try_decide(&request) {
            Ok((rules, streams, stream_reasons)) => {
                Decision::Allow(Grant::new(GrantTerms { request, rules, streams, stream_reasons }))
            }
            Err(denial) => Decision::Deny(denial),
        }
    }

    /// Decides whether one item may leave a task that ran under `grant`.
    ///
    /// # Errors
    /// The [`Denial`], when it may not.
    pub fn decide_release(&self, grant: &GrantUse, item: ReleaseItem) -> Result<ReleaseGrant, Denial> {
        let words = format!("let `{}` leave", item.name.escape_debug());
        let question =
            release_question(grant.request(), &item, words.clone()).map_err(|error| unasked(words, error))?;
        let rules = self.ask(question)?;
        Ok(ReleaseGrant::new(grant.id(), item, rules))
    }

    fn try_decide(&self, request: &Request) -> Result<(Vec<String>, StreamRule, Vec<CitedRule>), Denial> {
        let words = || "run the task".to_owned();
        let mut rules = self.ask(run_question(request, words()).map_err(|error| unasked(words(), error))?)?;
        if let Some(model) = &request.model {
            let words = format!("use the model `{}`", model.id.escape_debug());
            let question = model_question(request, model, words.clone()).map_err(|error| unasked(words, error))?;
            rules.extend(self.ask(question)?);
        }
        let words = || "let the streams pass live".to_owned();
        let question = stream_question(request, words()).map_err(|error| unasked(words(), error))?;
        match self.ask(question) {
            Ok(more) => {
                rules.extend(more);
                Ok((rules, StreamRule::Live, Vec::new()))
            }
            Err(Denial { kind: DenialKind::Forbidden(why) | DenialKind::NotPermitted(why), .. }) => {
                Ok((rules, StreamRule::Inspect, why))
            }
            Err(denial) => Err(denial),
        }
    }

    /// Puts one question to Cedar; the ids of the rules that allow, or the denial.
    ///
    /// Cedar skips a rule that it cannot evaluate, also a `forbid`. So any such error denies here.
    fn ask(&self, question: Question) -> Result<Vec<String>, Denial> {
        let Question { action, words, .. } = &question;
        let (action, words) = (*action, words.clone());
        let response = self.evaluate(question).map_err(|error| unasked(words.clone(), error))?;
        let errors: Vec<_> = response.diagnostics().errors().map(ToString::to_string).collect();
        if !errors.is_empty() {
            return Err(Denial { question: words, kind: DenialKind::Unevaluated(errors), exit: Exit::Refused });
        }
        let mut ids: Vec<_> = response.diagnostics().reason().map(ToString::to_string).collect();
        ids.sort();
        match response.decision() {
            CedarDecision::Allow => Ok(ids),
            CedarDecision::Deny if ids.is_empty() => {
                let ways = RULES.iter().filter(|rule| rule.permits && rule.action == action);
                let kind = DenialKind::NotPermitted(ways.filter_map(|rule| self.cite(rule.id)).collect());
                Err(Denial { question: words, kind, exit: Exit::Refused })
            }
            CedarDecision::Deny => {
                ids.truncate(MAX_RULES_CITED);
                let exit = self.exit_of(&ids);
                let rules = ids.iter().filter_map(|id| self.cite(id)).collect();
                Err(Denial { question: words, kind: DenialKind::Forbidden(rules), exit })
            }
        }
    }

    fn evaluate(&self, question: Question) -> Result<cedar_policy::Response, NameError> {
        let mut rules = PolicySet::new();
        for rule in RULES.iter().filter(|rule| rule.action == question.action) {
            add(&mut rules, rule.to_cedar()?)?;
        }
        for rule in &self.layers {
            add(&mut rules, rule.policy.clone())?;
        }
        let wrong = |error: &dyn std::fmt::Display| NameError(error.to_string());
        let context = question.context.into_iter().map(|(name, value)| (name.to_owned(), value));
        let context = Context::from_pairs(context).map_err(|error| wrong(&error))?;
        let action = uid("Action", question.action)?;
        let request = CedarRequest::new(question.principal, action, question.resource, context, None)
            .map_err(|error| wrong(&error))?;
        let entities = Entities::from_entities(question.entities, None).map_err(|error| wrong(&error))?;
        Ok(Authorizer::new().is_authorized(&request, &rules, &entities))
    }

    fn cite(&self, id: &str) -> Option<CitedRule> {
        let cite = |reason: &str, remedy: &str| CitedRule {
            id: id.to_owned(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        };
        let layered = || self.layers.iter().find(|rule| rule.id == id).map(|rule| cite(&rule.reason, &rule.remedy));
        RULES.iter().find(|rule| rule.id == id).map(|rule| cite(rule.reason, rule.remedy)).or_else(layered)
    }

    /// 122 where every rule that forbids waits for a control of the host, else 121.
    fn exit_of(&self, ids: &[String]) -> Exit {
        let waits_for_host = |id: &String| RULES.iter().any(|rule| rule.id == *id && rule.exit == Some("host-lacks"));
        if ids.iter().all(waits_for_host) { Exit::HostLacks } else { Exit::Refused }
    }
}

fn add(rules: &mut PolicySet, policy: Policy) -> Result<(), NameError> {
    rules.add(policy).map_err(|error| NameError(error.to_string()))
}

fn unasked(question: String, error: NameError) -> Denial {
    Denial { question, kind: DenialKind::Unevaluated(vec![error.0]), exit: Exit::Refused }
}

fn principal(request: &Request) -> Result<(EntityUid, Entity), NameError> {
    let id = uid("User", &request.principal.id)?;
    let roles: HashSet<_> = request.principal.roles.iter().map(|role| uid("Role", role)).collect::<Result<_, _>>()?;
    let user = entity(id.clone(), vec![("local", flag(request.principal.local))], roles)?;
    Ok((id, user))
}

fn owner(request: &Request) -> Result<RestrictedExpression, NameError> {
    Ok(RestrictedExpression::new_entity_uid(uid("User", &request.owner)?))
}

fn run_question(request: &Request, words: String) -> Result<Question, NameError> {
    let (principal, user) = principal(request)?;
    let task = uid("Task", &request.task.to_string())?;
    let entities = vec![user, entity(task.clone(), vec![("owner", owner(request)?)], HashSet::new())?];
    let context = vec![
        ("purpose", text(&request.purpose)),
        ("profile", text(request.profile.name())),
        ("isolation", text(&request.isolation)),
        ("runner", text(request.runner.label())),
        ("bestEffort", texts(request.best_effort.iter().map(|wall| wall.label()))),
        ("sealedModel", flag(sealed(request))),
    ];
    Ok(Question { action: "run", words, principal, resource: task, entities, context })
}

fn model_question(request: &Request, facts: &ModelFacts, words: String) -> Result<Question, NameError> {
    let (principal, user) = principal(request)?;
    let model = uid("Model", &facts.id)?;
    let attributes = vec![("sealed", flag(facts.sealed)), ("signature", text(facts.signature.label()))];
    let entities = vec![user, entity(model.clone(), attributes, HashSet::new())?];
    let context = vec![
        ("purpose", text(&request.purpose)),
        ("profile", text(request.profile.name())),
        ("runner", text(request.runner.label())),
        ("signatureDemanded", text(&request.profile.signature().to_string())),
        ("runnerInTerms", flag(facts.runner_in_terms)),
        ("withinTime", flag(facts.within_time)),
        ("custodyMet", flag(facts.custody_met)),
        ("isolationMet", flag(facts.isolation_met)),
    ];
    Ok(Question { action: "useModel", words, principal, resource: model, entities, context })
}

fn stream_question(request: &Request, words: String) -> Result<Question, NameError> {
    let (principal, user) = principal(request)?;
    let task = uid("Task", &request.task.to_string())?;
    let entities = vec![user, entity(task.clone(), vec![("owner", owner(request)?)], HashSet::new())?];
    let context = vec![
        ("purpose", text(&request.purpose)),
        ("profile", text(request.profile.name())),
        ("streamsDemanded", text(&request.profile.streams().to_string())),
        ("inputsOwned", flag(request.inputs_owned)),
        ("sealedModel", flag(sealed(request))),
        ("recipients", texts(request.recipients.iter().map(String::as_str))),
        ("role", text(request.role.as_deref().unwrap_or(""))),
    ];
    Ok(Question { action: "streamLive", words, principal, resource: task, entities, context })
}

fn release_question(request: &Request, item: &ReleaseItem, words: String) -> Result<Question, NameError> {
    let (principal, user) = principal(request)?;
    let output = uid("Output", &item.name)?;
    let attributes = vec![
        ("owner", owner(request)?),
        ("kind", text(item.kind.label())),
        ("form", text(item.form.label())),
        ("capacityBits", RestrictedExpression::new_long(whole_bits(item.capacity))),
    ];
    let entities = vec![user, entity(output.clone(), attributes, HashSet::new())?];
    let context = vec![
        ("purpose", text(&request.purpose)),
        ("profile", text(request.profile.name())),
        ("sealedModel", flag(sealed(request))),
        ("declarationDemanded", flag(request.profile.outputs() == OutputRule::Declared)),
        ("recipients", texts(request.recipients.iter().map(String::as_str))),
    ];
    Ok(Question { action: "release", words, principal, resource: output, entities, context })
}

fn sealed(request: &Request) -> bool {
    request.model.as_ref().is_some_and(|model| model.sealed)
}

/// Bits as Cedar's integer, rounded up; what is not a number counts as the most.
fn whole_bits(capacity: Bits) -> i64 {
    // `as` saturates, which is what a bound wants.
    if capacity.0.is_nan() { i64::MAX } else { capacity.0.ceil() as i64 }
}

#[cfg(test)]
mod tests;
