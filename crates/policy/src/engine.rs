//! The decision: a question, the rules, and a yes or a no with reasons.

use std::collections::HashSet;

use cedar_policy_core::ast::{
    Context, Effect, Entity, EntityUID, EntityUIDEntry, Policy, Request as CedarRequest, RestrictedExpr,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use hotcell_types::{Bits, Exit, Wall};

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
    principal: EntityUID,
    resource: EntityUID,
    entities: Vec<Entity>,
    context: Vec<(&'static str, RestrictedExpr)>,
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
                let rights = request.rights();
                Decision::Allow(Grant::new(GrantTerms { request, rights, rules, streams, stream_reasons }))
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
    /// Allowed is what a rule permits and no rule forbids, as Cedar has it. Cedar skips a rule that it cannot
    /// evaluate, also a `forbid`; any such error denies here.
    fn ask(&self, question: Question) -> Result<Vec<String>, Denial> {
        let Question { action, words, .. } = &question;
        let (action, words) = (*action, words.clone());
        let Verdict { mut permits, mut forbids, errors } =
            self.evaluate(question).map_err(|error| unasked(words.clone(), error))?;
        if !errors.is_empty() {
            return Err(Denial { question: words, kind: DenialKind::Unevaluated(errors), exit: Exit::Refused });
        }
        if !forbids.is_empty() {
            forbids.sort();
            forbids.truncate(MAX_RULES_CITED);
            let exit = self.exit_of(&forbids);
            let rules = forbids.iter().filter_map(|id| self.cite(id)).collect();
            return Err(Denial { question: words, kind: DenialKind::Forbidden(rules), exit });
        }
        if permits.is_empty() {
            let ways = RULES.iter().filter(|rule| rule.permits && rule.action == action);
            let kind = DenialKind::NotPermitted(ways.filter_map(|rule| self.cite(rule.id)).collect());
            return Err(Denial { question: words, kind, exit: Exit::Refused });
        }
        permits.sort();
        Ok(permits)
    }

    fn evaluate(&self, question: Question) -> Result<Verdict, NameError> {
        let wrong = |error: &dyn std::fmt::Display| NameError(error.to_string());
        // Only layers can call extension functions; our own rules have none.
        let extensions = if self.layers.is_empty() { Extensions::none() } else { Extensions::all_available() };
        let mut rules = Vec::new();
        for rule in RULES.iter().filter(|rule| rule.action == question.action) {
            rules.push(rule.to_cedar()?);
        }
        let layers = self.layers.iter().map(|rule| rule.policy.clone());
        let layers = cedar_policy::PolicySet::from_policies(layers).map_err(|error| wrong(&error))?;
        rules.extend(AsRef::<cedar_policy_core::ast::PolicySet>::as_ref(&layers).policies().cloned());

        let context = question.context.into_iter().map(|(name, value)| (name.into(), value));
        let context = Context::from_pairs(context, extensions).map_err(|error| wrong(&error))?;
        let request = CedarRequest::new_unchecked(
            EntityUIDEntry::known(question.principal, None),
            EntityUIDEntry::known(uid("Action", question.action)?, None),
            EntityUIDEntry::known(question.resource, None),
            Some(context),
        );
        let entities = Entities::from_entities(
            question.entities,
            None::<&NoEntitiesSchema>,
            TCComputation::ComputeNow,
            extensions,
        );
        let entities = entities.map_err(|error| wrong(&error))?;
        let evaluator = Evaluator::new(request, &entities, extensions);
        Ok(Verdict::of(&rules, &evaluator))
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

/// What the rules say to one question.
#[derive(Default)]
struct Verdict {
    permits: Vec<String>,
    forbids: Vec<String>,
    errors: Vec<String>,
}

impl Verdict {
    fn of(rules: &[Policy], evaluator: &Evaluator<'_>) -> Self {
        let mut verdict = Self::default();
        for rule in rules {
            match (evaluator.evaluate(rule), rule.effect()) {
                (Ok(false), _) => {}
                (Ok(true), Effect::Permit) => verdict.permits.push(rule.id().to_string()),
                (Ok(true), Effect::Forbid) => verdict.forbids.push(rule.id().to_string()),
                (Err(error), _) => verdict.errors.push(format!("`{}`: {error}", rule.id())),
            }
        }
        verdict
    }
}

fn unasked(question: String, error: NameError) -> Denial {
    Denial { question, kind: DenialKind::Unevaluated(vec![error.0]), exit: Exit::Refused }
}

fn principal(request: &Request) -> Result<(EntityUID, Entity), NameError> {
    let id = uid("User", &request.principal.id)?;
    let roles: HashSet<_> = request.principal.roles.iter().map(|role| uid("Role", role)).collect::<Result<_, _>>()?;
    let user = entity(id.clone(), vec![("local", flag(request.principal.local))], roles)?;
    Ok((id, user))
}

fn owner(request: &Request) -> Result<RestrictedExpr, NameError> {
    Ok(RestrictedExpr::val(uid("User", &request.owner)?))
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
        ("bestEffort", texts(request.without().into_iter().map(Wall::label))),
        ("sealedModel", flag(sealed(request))),
        ("image", image(request)),
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
        ("image", image(request)),
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
        ("capacityBits", RestrictedExpr::val(whole_bits(item.capacity))),
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

/// The digest of the image, or nothing where the workload sees the host's own system.
fn image(request: &Request) -> RestrictedExpr {
    text(&request.image.map(|digest| digest.to_string()).unwrap_or_default())
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
