//! The decision: a question, the rules, and a yes or a no with reasons.
//!
//! Over the default policy lie layers, and each may only narrow. What a layer forbids is forbidden; where a layer has rules
//! that permit an action, one of them has to, beside the layers below. So a rule that permits takes away from everybody
//! whom it does not name, and gives nobody what the default policy does not give.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use cedar_policy_core::ast::{self, Context, Entity, EntityUID, PartialValue};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use hotcell_types::{Digest, Exit};

use crate::ask::{Ask, AskError, Attributes, Value};
use crate::cedar::{NameError, uid};
use crate::compiled::RULES;
use crate::denial::{Denial, DenialKind};
use crate::error::PolicyError;
use crate::facts::Facts;
use crate::folder::{HIERARCHY, PolicyFiles, VIEWS};
use crate::grant::{CitedRule, Columns, Grant, GrantTerms, GrantUse, ReleaseGrant};
use crate::layer::{MAX_RULES_CITED, parse, schema, schema_errors};
use crate::obligation::Obligations;
use crate::request::{DatasetFacts, ReleaseItem, Request};
use crate::rules::Rule;
use crate::ruleset::{Question, Ready, RuleSet};
use crate::store::Store;
use crate::{Action, StreamRule};

/// The default policy with the layers over it.
#[derive(Debug, Default)]
pub struct Engine {
    pub(crate) layers: Vec<Layer>,
    pub(crate) store: Store,
    tag: Tag,
    views: ViewFiles,
}

/// Which policy an engine decides by, for those who watch over changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tag {
    /// One that does not change while a task runs.
    #[default]
    Fixed,
    /// The one in force: its digest, or none where nothing lies over the default policy.
    InForce(Option<Digest>),
}

/// The files of a policy's role views, which others read, and the names that they define.
#[derive(Debug, Default)]
struct ViewFiles {
    files: PolicyFiles,
    names: BTreeSet<String>,
}

/// What is read of a file of views here: the names.
#[derive(serde::Deserialize, Default)]
struct ViewNames {
    #[serde(default)]
    view: Vec<ViewName>,
}

#[derive(serde::Deserialize)]
struct ViewName {
    name: String,
}

/// Rules that narrow what lies below.
#[derive(Debug)]
pub(crate) struct Layer {
    pub(crate) rules: RuleSet,
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

/// A yes to one question.
#[derive(Debug, Default)]
pub struct Allowed {
    /// The ids of the rules that permit.
    pub rules: Vec<String>,
    /// What they demand.
    pub obligations: Obligations,
}

/// A yes to a task.
struct Yes {
    allowed: Allowed,
    streams: StreamRule,
    stream_reasons: Vec<CitedRule>,
    reads: BTreeMap<String, Columns>,
}

impl Engine {
    /// The default policy with these files as one layer over it, each a file name and its Cedar text.
    ///
    /// # Errors
    /// Any [`PolicyError`] of the first file that has one.
    pub fn with_layers(files: &[(String, String)]) -> Result<Self, PolicyError> {
        let schema = schema()?;
        let mut rules: Vec<Ready> = Vec::new();
        for (file, source) in files {
            let more = parse(file, source, &rules).map_err(|mut errors| errors.remove(0))?;
            if let Some(error) = schema_errors(file, source, &more, &schema).into_iter().next() {
                return Err(error);
            }
            rules.extend(more);
        }
        Self::of(rules, Store::default()).map_err(|error| {
            let file = files.first().map(|(file, _)| file.clone()).unwrap_or_default();
            PolicyError::Syntax { file, line: 1, problem: error.0 }
        })
    }

    /// One layer of checked rules over the default policy.
    pub(crate) fn of(rules: Vec<Ready>, store: Store) -> Result<Self, NameError> {
        let layers = if rules.is_empty() { Vec::new() } else { vec![Layer { rules: RuleSet::new(rules)? }] };
        Ok(Self { layers, store, tag: Tag::Fixed, views: ViewFiles::default() })
    }

    /// This engine, known as the one that decides by the policy in force.
    #[must_use]
    pub fn in_force(self, digest: Option<Digest>) -> Self {
        Self { tag: Tag::InForce(digest), ..self }
    }

    /// With the role views of these files. A file that cannot be read defines none, so that what is demanded of it is denied.
    #[must_use]
    pub(crate) fn with_views(mut self, files: &PolicyFiles) -> Self {
        let of_views = |name: &str| name.ends_with(VIEWS) || name.ends_with(HIERARCHY);
        let files: PolicyFiles =
            files.iter().filter(|(name, _)| of_views(name)).map(|(name, text)| (name.clone(), text.clone())).collect();
        let texts = files.iter().filter(|(name, _)| name.ends_with(VIEWS)).map(|(_, text)| text);
        let names = texts.flat_map(|text| toml::from_str::<ViewNames>(text).unwrap_or_default().view);
        let names = names.map(|view| view.name).collect();
        self.views = ViewFiles { files, names };
        self
    }

    /// The files of the policy's role views and of the hierarchies that they name.
    pub fn view_files(&self) -> &PolicyFiles {
        &self.views.files
    }

    /// What policy knows an input as: the dataset that lies there, or its name.
    pub fn dataset_id<'a>(&'a self, dataset: &'a DatasetFacts) -> &'a str {
        self.store.dataset_at(&dataset.path).unwrap_or(&dataset.input)
    }

    /// Which policy it decides by.
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// Whether a column could be refused: only then are the columns of inputs of interest.
    pub fn decides_columns(&self) -> bool {
        self.layers.iter().any(|layer| layer.rules.rules().iter().any(|rule| rule.may_concern("readField")))
    }

    /// Decides whether the task may run, with its model and on its data, and whether its streams may pass live.
    ///
    /// A no to live streams does not deny the task: its grant then says that they are inspected. What the rules demand of
    /// the sandbox narrows the grant's profile.
    pub fn decide(&self, mut request: Request) -> Decision {
        // What a rule demands of the profile can change which rules apply. Each round narrows, so the rounds end.
        for _ in 0..MAX_ROUNDS {
            let facts = request.facts();
            let yes = match self.try_decide(&facts) {
                Ok(yes) => yes,
                Err(denial) => return Decision::Deny(denial),
            };
            let obligations = yes.allowed.obligations;
            if let Err(unmet) = obligations.check(&facts.isolation, &self.views.names) {
                let exit = unmet.exit();
                return Decision::Deny(Denial {
                    question: "run the task".to_owned(),
                    kind: DenialKind::Unmet(unmet),
                    exit,
                });
            }
            if request.profile.harden(&obligations.hardening) {
                continue;
            }
            let Yes { allowed: Allowed { rules, .. }, streams, stream_reasons, reads, .. } =
                Yes { allowed: Allowed { rules: yes.allowed.rules, obligations: Obligations::none() }, ..yes };
            let rights = request.rights();
            return Decision::Allow(Grant::new(GrantTerms {
                request,
                rights,
                rules,
                streams,
                stream_reasons,
                obligations,
                reads,
            }));
        }
        let words = "run the task".to_owned();
        Decision::Deny(unasked(words, NameError("the rules' demands on the profile do not come to an end".to_owned())))
    }

    /// Decides whether a task that runs under `grant` may go on: whether it would be allowed now, as it runs.
    ///
    /// # Errors
    /// The [`Denial`], when it may not.
    pub fn still_allows(&self, grant: &GrantUse) -> Result<(), Denial> {
        let yes = self.try_decide(&grant.request().facts())?;
        let now = &yes.allowed.obligations;
        let exit = Exit::Refused;
        now.check(grant.isolation(), &self.views.names).map_err(|unmet| {
            let exit = unmet.exit();
            Denial { question: "let the task go on".to_owned(), kind: DenialKind::Unmet(unmet), exit }
        })?;
        let mut profile = grant.profile().clone();
        let stricter = profile.harden(&now.hardening)
            // What was not recorded cannot be recorded later.
            || now.audit > grant.obligations().audit
            || (yes.streams == StreamRule::Inspect && grant.streams() == StreamRule::Live)
            || !now.views.is_subset(&grant.obligations().views)
            || yes.reads.iter().any(|(input, columns)| !grant.reads(input).is_within(columns));
        if stricter {
            let kind = DenialKind::NotPermitted(yes.stream_reasons);
            return Err(Denial { question: "let the task go on in the shape in which it runs".to_owned(), kind, exit });
        }
        Ok(())
    }

    /// Decides whether one item may leave a task that ran under `grant`.
    ///
    /// # Errors
    /// The [`Denial`], when it may not.
    pub fn decide_release(&self, grant: &GrantUse, item: ReleaseItem) -> Result<ReleaseGrant, Denial> {
        let words = format!("let `{}` leave", item.name.escape_debug());
        let Allowed { rules, obligations } = self.ask(grant.request().facts().release(&item), words.clone())?;
        let obligations = obligations.join(grant.obligations());
        if let Err(unmet) = obligations.check(grant.isolation(), &self.views.names) {
            return Err(Denial { question: words, exit: unmet.exit(), kind: DenialKind::Unmet(unmet) });
        }
        Ok(ReleaseGrant::new(grant.id(), item, rules, obligations))
    }

    fn try_decide(&self, facts: &Facts) -> Result<Yes, Denial> {
        self.check_role(facts)?;
        let mut allowed = self.ask(facts.run(), "run the task".to_owned())?;
        if let Some(model) = &facts.model {
            allowed.add(self.ask(facts.use_model(model), format!("use the model `{}`", model.id.escape_debug()))?);
        }
        let mut reads = BTreeMap::new();
        for dataset in &facts.datasets {
            let id = self.dataset_id(dataset);
            allowed.add(self.ask(facts.read_dataset(id), format!("read the dataset `{}`", id.escape_debug()))?);
            if self.decides_columns() {
                let columns = self.columns(facts, id, dataset.columns.as_deref(), &mut allowed)?;
                reads.insert(dataset.input.clone(), columns);
            }
        }
        for host in &facts.hosts {
            let to = &host.destination;
            allowed.add(self.ask(facts.reach("connect", to), format!("connect to `{to}`"))?);
            if host.passes {
                let words = format!("let pass unopened what goes to `{to}`");
                allowed.add(self.ask(facts.reach("passThrough", to), words)?);
            }
        }
        let (streams, stream_reasons) = self.streams(facts, &mut allowed)?;
        allowed.rules.sort();
        allowed.rules.dedup();
        Ok(Yes { allowed, streams, stream_reasons, reads })
    }

    fn streams(&self, facts: &Facts, allowed: &mut Allowed) -> Result<(StreamRule, Vec<CitedRule>), Denial> {
        match self.ask(facts.stream_live(), "let the streams pass live".to_owned()) {
            // What passes live is not counted before it passes, nor approved.
            Ok(more) if more.obligations.join_ref(&allowed.obligations).capacity_bits.is_some() => {
                let why = CitedRule {
                    id: "obligation_capacity".to_owned(),
                    reason: "the rule that allows caps what may leave, and what passes live is not held back"
                        .to_owned(),
                    remedy: "ask whoever writes the policy to permit it without @obligation_capacity".to_owned(),
                };
                Ok((StreamRule::Inspect, vec![why]))
            }
            Ok(more) => {
                allowed.add(more);
                Ok((StreamRule::Live, Vec::new()))
            }
            Err(Denial { kind: DenialKind::Forbidden(why) | DenialKind::NotPermitted(why), .. }) => {
                Ok((StreamRule::Inspect, why))
            }
            Err(denial) => Err(denial),
        }
    }

    /// The columns of a dataset that may be read; denied where there are none.
    fn columns(
        &self,
        facts: &Facts,
        id: &str,
        columns: Option<&[String]>,
        allowed: &mut Allowed,
    ) -> Result<Columns, Denial> {
        let words = |column: &str| format!("read the column `{}` of `{}`", column.escape_debug(), id.escape_debug());
        let Some(columns) = columns else {
            // What is not a table of ours is read whole or not at all.
            allowed.add(self.ask(facts.read_field(id, "*"), words("*"))?);
            return Ok(Columns::All);
        };
        let (mut readable, mut refused) = (BTreeSet::new(), None);
        for column in columns {
            match self.ask(facts.read_field(id, column), words(column)) {
                Ok(more) => {
                    allowed.add(more);
                    readable.insert(column.clone());
                }
                Err(denial @ Denial { kind: DenialKind::Unevaluated(_), .. }) => return Err(denial),
                Err(denial) => refused = Some(denial),
            }
        }
        match refused {
            None => Ok(Columns::All),
            Some(denial) if readable.is_empty() => Err(denial),
            Some(_) => Ok(Columns::Only(readable)),
        }
    }

    /// A role in which data is seen has to be held, where the policy knows who holds what.
    fn check_role(&self, facts: &Facts) -> Result<(), Denial> {
        if facts.role.is_empty() || self.store.is_empty() || facts.principal.roles.contains(&facts.role) {
            return Ok(());
        }
        let wrong = |error| unasked("run the task".to_owned(), error);
        let user = uid("User", &facts.principal.id).map_err(wrong)?;
        let role = uid("Role", &facts.role).map_err(wrong)?;
        match self.store.entity(&user).is_some_and(|user| user.is_descendant_of(&role)) {
            true => Ok(()),
            false => Err(Denial {
                question: "run the task".to_owned(),
                kind: DenialKind::RoleNotHeld(facts.role.clone()),
                exit: Exit::Refused,
            }),
        }
    }

    /// Puts one question that came from outside: a test case, one of the recorded history.
    ///
    /// # Errors
    /// [`AskError`] where it does not fit the schema; the [`Denial`], when the answer is no.
    pub fn answer(&self, mut ask: Ask) -> Result<Result<Allowed, Denial>, AskError> {
        let action = ask.complete()?;
        let words = format!("{} `{}`", action.words, ask.resource.escape_debug());
        Ok(self.ask(ask, words).and_then(|allowed| {
            let isolation = allowed.obligations.isolation.to_string();
            // A question by itself has no sandbox; what nothing here can do is told all the same.
            match allowed.obligations.check(&isolation, &self.views.names) {
                Ok(()) => Ok(allowed),
                Err(unmet) => Err(Denial {
                    question: action.words.to_owned(),
                    exit: unmet.exit(),
                    kind: DenialKind::Unmet(unmet),
                }),
            }
        }))
    }

    /// Puts one question to Cedar; the rules that allow, or the denial.
    ///
    /// Allowed is what a rule of each layer permits and no rule forbids. Cedar skips a rule that it cannot evaluate, also
    /// a `forbid`; any such error denies here.
    fn ask(&self, ask: Ask, words: String) -> Result<Allowed, Denial> {
        let said = self.hear(&ask).map_err(|error| unasked(words.clone(), error))?;
        if !said.errors.is_empty() {
            return Err(Denial { question: words, kind: DenialKind::Unevaluated(said.errors), exit: Exit::Refused });
        }
        let deny = |kind, exit| Err(Denial { question: words, kind, exit });
        if !said.forbids.is_empty() {
            let mut forbids = said.forbids;
            forbids.sort();
            forbids.truncate(MAX_RULES_CITED);
            let exit = self.exit_of(&forbids);
            return deny(DenialKind::Forbidden(forbids.iter().filter_map(|id| self.cite(id)).collect()), exit);
        }
        if let Some(lacking) = said.lacking {
            let ways = lacking.iter().filter_map(|id| self.cite(id)).take(MAX_RULES_CITED).collect();
            return deny(DenialKind::NotPermitted(ways), Exit::Refused);
        }
        let mut rules = said.permits;
        rules.sort();
        Ok(Allowed { rules, obligations: said.obligations })
    }

    /// What each rule says to a question.
    pub(crate) fn hear(&self, ask: &Ask) -> Result<Said, NameError> {
        let question = self.question(ask)?;
        let mut said = self.hear_default(&ask.action, &question)?;
        for layer in &self.layers {
            let verdict = layer.rules.evaluate(&self.store, &question)?;
            let rule = |place: &usize| layer.rules.rules().get(*place);
            let of = |places: &[usize]| places.iter().filter_map(rule).map(|rule| rule.id.clone()).collect::<Vec<_>>();
            said.forbids.extend(of(&verdict.forbids));
            let errors = verdict.errors.iter().filter_map(|(place, error)| Some((rule(place)?, error)));
            said.errors.extend(errors.map(|(rule, error)| format!("`{}`: {error}", rule.id)));
            verdict.permits.iter().filter_map(rule).for_each(|rule| said.obligations.add(&rule.obligations));
            if verdict.permits.is_empty() && said.lacking.is_none() {
                let rules = layer.rules.rules().iter();
                let ways = rules.filter(|rule| rule.permits && rule.may_concern(&ask.action));
                let ways: Vec<_> = ways.take(MAX_RULES_CITED).map(|rule| rule.id.clone()).collect();
                said.lacking = Some(ways).filter(|ways| !ways.is_empty());
            }
            said.permits.extend(of(&verdict.permits));
        }
        Ok(said)
    }

    /// What the default policy says. Its rules look into nothing but what the question brings.
    fn hear_default(&self, action: &str, question: &Question) -> Result<Said, NameError> {
        let mut said = Said::default();
        let mut cedar = Vec::new();
        for rule in RULES.iter().filter(|rule| rule.action == action) {
            match rule.applies(question) {
                Some(false) => {}
                Some(true) if rule.permits => said.permits.push(rule.id.to_owned()),
                Some(true) => said.forbids.push(rule.id.to_owned()),
                None => cedar.push(rule),
            }
        }
        if !cedar.is_empty() {
            said.ask_cedar(&cedar, question)?;
        }
        if said.permits.is_empty() {
            let ways = RULES.iter().filter(|rule| rule.permits && rule.action == action);
            said.lacking = Some(ways.map(|rule| rule.id.to_owned()).collect());
        }
        Ok(said)
    }

    /// A question as Cedar has it. What the question says of an entity counts before what the policy's entities say.
    pub(crate) fn question(&self, ask: &Ask) -> Result<Question, NameError> {
        let action =
            Action::of(&ask.action).ok_or_else(|| NameError(format!("there is no action `{}`", ask.action)))?;
        let roles = ask.roles.iter().map(|role| uid("Role", role)).collect::<Result<HashSet<_>, _>>()?;
        let mut attributes = given(&ask.user)?;
        attributes.push(("local", ask.local.into()));
        let principal = self.entity(uid("User", &ask.principal)?, attributes, roles);
        let parents = match ask.dataset().filter(|_| action.resource.name == "Field") {
            Some(dataset) => HashSet::from([uid("Dataset", dataset)?]),
            None => HashSet::new(),
        };
        let resource = self.entity(uid(action.resource.name, &ask.resource)?, given(&ask.attributes)?, parents);
        let mut context = BTreeMap::new();
        for (name, value) in &ask.context {
            let value = match (name.as_ref(), value) {
                ("situation", Value::Record(_)) if self.layers.is_empty() => continue,
                ("situation", Value::Record(situation)) => complete(situation)?,
                (_, value) => value.to_cedar()?,
            };
            context.insert(name.as_ref().into(), value);
        }
        // The default policy speaks of neither.
        if !self.layers.is_empty() {
            if !ask.context.contains_key("situation") {
                context.insert("situation".into(), complete(&BTreeMap::new())?);
            }
            if !ask.context.contains_key("purposeEntity") {
                context.insert("purposeEntity".into(), uid("Purpose", ask.word("purpose"))?.into());
            }
        }
        let context = Context::Value(Arc::new(context));
        Ok(Question { action: uid("Action", action.name)?, principal, resource, context })
    }

    fn entity<'a>(
        &'a self,
        uid: EntityUID,
        mut attributes: Vec<(&'a str, PartialValue)>,
        parents: HashSet<EntityUID>,
    ) -> Arc<Entity> {
        let known = self.store.entity(&uid);
        // The question says nothing new, as is usual.
        if let Some(known) = known
            && attributes.iter().all(|(name, value)| known.get(name) == Some(value))
            && parents.iter().all(|parent| known.is_descendant_of(parent))
        {
            return Arc::clone(known);
        }
        let mut indirect = HashSet::new();
        for parent in parents.iter().filter_map(|parent| self.store.entity(parent)) {
            indirect.extend(parent.ancestors().cloned());
        }
        if let Some(known) = known {
            indirect.extend(known.ancestors().cloned());
        }
        indirect.retain(|ancestor| !parents.contains(ancestor));
        let mut tags = Vec::new();
        if let Some(known) = known {
            let said = attributes.len();
            for (name, value) in known.attrs() {
                if attributes.iter().take(said).all(|(given, _)| given != name) {
                    attributes.push((name.as_str(), value.clone()));
                }
            }
            tags.extend(known.tags().map(|(name, value)| (name.clone(), value.clone())));
        }
        let attributes = attributes.into_iter().map(|(name, value)| (name.into(), value));
        Arc::new(Entity::new_with_attr_partial_value(uid, attributes, indirect, parents, tags))
    }

    pub(crate) fn cite(&self, id: &str) -> Option<CitedRule> {
        let cite = |reason: &str, remedy: &str| CitedRule {
            id: id.to_owned(),
            reason: reason.to_owned(),
            remedy: remedy.to_owned(),
        };
        let layered = || {
            let found = self.layers.iter().find_map(|layer| layer.rules.rule(id));
            found.map(|rule| cite(&rule.reason, &rule.remedy))
        };
        layered().or_else(|| RULES.iter().find(|rule| rule.id == id).map(|rule| cite(rule.reason, rule.remedy)))
    }

    /// 122 where every rule that forbids waits for a control of the host, else 121.
    fn exit_of(&self, ids: &[String]) -> Exit {
        let waits_for_host = |id: &String| RULES.iter().any(|rule| rule.id == *id && rule.exit == Some("host-lacks"));
        if ids.iter().all(waits_for_host) { Exit::HostLacks } else { Exit::Refused }
    }
}

/// Demands on the profile can follow from one another this often.
const MAX_ROUNDS: usize = 16;
const HOUR_MS: i64 = 3_600_000;

/// What the rules say to one question.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) permits: Vec<String>,
    pub(crate) forbids: Vec<String>,
    pub(crate) errors: Vec<String>,
    /// The rules that would permit, of a layer of which none does.
    pub(crate) lacking: Option<Vec<String>>,
    pub(crate) obligations: Obligations,
}

impl Said {
    /// Whether the answer is yes.
    pub(crate) fn is_yes(&self) -> bool {
        self.errors.is_empty() && self.forbids.is_empty() && self.lacking.is_none()
    }

    /// What Cedar says to rules of the default policy: those with which something is wrong, so that the error is its own.
    fn ask_cedar(&mut self, rules: &[&Rule], question: &Question) -> Result<(), NameError> {
        let own = [Arc::clone(&question.principal), Arc::clone(&question.resource)];
        let entities = Entities::new().add_entities(
            own,
            None::<&NoEntitiesSchema>,
            TCComputation::AssumeAlreadyComputed,
            Extensions::none(),
        );
        let entities = entities.map_err(|error| NameError(error.to_string()))?;
        // Only layers can call extension functions; our own rules have none.
        let evaluator = Evaluator::new(question.to_cedar(), &entities, Extensions::none());
        for rule in rules {
            match evaluator.evaluate(&rule.to_cedar()?) {
                Ok(false) => {}
                Ok(true) if rule.permits => self.permits.push(rule.id.to_owned()),
                Ok(true) => self.forbids.push(rule.id.to_owned()),
                Err(error) => self.errors.push(format!("`{}`: {error}", rule.id)),
            }
        }
        Ok(())
    }
}

impl Allowed {
    fn add(&mut self, other: Self) {
        self.rules.extend(other.rules);
        self.obligations.add(&other.obligations);
    }
}

fn unasked(question: String, error: NameError) -> Denial {
    Denial { question, kind: DenialKind::Unevaluated(vec![error.0]), exit: Exit::Refused }
}

fn given(attributes: &Attributes) -> Result<Vec<(&str, PartialValue)>, NameError> {
    attributes.iter().map(|(name, value)| Ok((name.as_ref(), value.to_cedar()?.into()))).collect()
}

/// The situation with its time.
fn complete(situation: &BTreeMap<String, Value>) -> Result<ast::Value, NameError> {
    let mut situation = situation.clone();
    let time = match situation.get("time") {
        Some(Value::Number(time)) => *time,
        _ => 0,
    };
    situation.entry("time".to_owned()).or_insert(Value::Number(time));
    situation.entry("hourUtc".to_owned()).or_insert(Value::Number(time.div_euclid(HOUR_MS).rem_euclid(24)));
    Value::Record(situation).to_cedar()
}

#[cfg(test)]
mod tests;
