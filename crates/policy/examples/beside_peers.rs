//! What a decision costs: ours, plain Cedar's and Rego's, by the same rules over the same entities, in one run.
//!
//! `cargo xtask bench policy` runs it. A decision begins with the question in words and ends with the answer, the rules that
//! are cited and what they demand; every contender has to give the same answer to every question.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::hint::black_box;
use std::str::FromStr;
use std::time::{Duration, Instant};

use cedar_policy::{Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression};
use hotcell_policy::{Ask, CheckedPolicy, DEFAULT_POLICY, Engine, PolicyFiles};
use serde_json::{Value, json};

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

const ROLES: usize = 100;
const GROUPS: usize = 100;
const USERS: usize = 5_000;
const MODELS: usize = 4_000;
const DATASETS: usize = 800;
const PERMITS: usize = 800;
const FORBIDS: usize = 200;
const QUESTIONS: usize = 5_000;
/// The peers are slow enough for fewer.
const QUESTIONS_OF_CEDAR: usize = 500;
const QUESTIONS_OF_REGO: usize = 100;
const PURPOSES: &[&str] = &["care", "research", "scoring", "audit"];

/// Rules, entities and questions, in no language yet.
struct World {
    rules: Vec<Rule>,
    users: Vec<Vec<usize>>,
    models: Vec<Model>,
    questions: Vec<Question>,
}

struct Model {
    group: usize,
    trusted: bool,
}

/// A permit names a role, a group of models or datasets, and a purpose; a forbid one model or dataset that only a role may use.
struct Rule {
    permits: bool,
    model: bool,
    role: usize,
    of: usize,
    purpose: &'static str,
}

struct Question {
    user: usize,
    model: bool,
    of: usize,
    purpose: &'static str,
}

fn main() -> Result {
    let as_json = std::env::args().any(|argument| argument == "--json");
    let begin = Instant::now();
    let world = World::new();
    let engine = world.engine()?;
    if std::env::args().any(|argument| argument == "--ours") {
        println!("two threads: {:.0} decisions a second", throughput(&engine, &world));
        return Ok(());
    }
    let cedar = Cedar::new(&world)?;
    let mut rego = Rego::new(&world)?;

    eprintln!("the world is made in {:.1} s", begin.elapsed().as_secs_f64());
    let mut agreed = [0; 2];
    for (place, question) in world.questions.iter().enumerate() {
        let ours = engine.answer(world.ask(question))?.is_ok();
        agreed[usize::from(ours)] += 1;
        if place < QUESTIONS_OF_CEDAR && cedar.decide(&world, question)? != ours {
            return Err(format!("plain Cedar answers question {place} otherwise").into());
        }
        if place < QUESTIONS_OF_REGO && rego.decide(&world, question)? != ours {
            return Err(format!("Rego answers question {place} otherwise").into());
        }
    }

    eprintln!("the contenders agree after {:.1} s", begin.elapsed().as_secs_f64());
    let (mut times_of_ours, mut times_of_cedar, mut times_of_rego) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..3 {
        for (place, question) in world.questions.iter().enumerate() {
            let ask = world.ask(question);
            let time = timed(|| _ = black_box(engine.answer(ask)));
            if round > 0 {
                times_of_ours.push(time);
            }
            if place < QUESTIONS_OF_CEDAR && round == 1 {
                times_of_cedar.push(timed(|| _ = black_box(cedar.decide(&world, question))));
            }
            if place < QUESTIONS_OF_REGO && round == 1 {
                times_of_rego.push(timed(|| _ = black_box(rego.decide(&world, question))));
            }
        }
    }
    let per_second = throughput(&engine, &world);
    // What the clock itself takes; it is in every figure.
    let mut empty: Vec<_> = (0..QUESTIONS).map(|_| timed(|| ())).collect();
    let rows = [
        ("(the clock)", &mut empty),
        ("hotcell", &mut times_of_ours),
        ("plain Cedar", &mut times_of_cedar),
        ("regorus", &mut times_of_rego),
    ];
    let entities = ROLES + GROUPS + USERS + MODELS + DATASETS;
    let mut figures = Vec::new();
    for (name, times) in rows {
        times.sort();
        let of = |percent: usize| micros(times.get(times.len() * percent / 100));
        figures.push(
            json!({ "name": name, "p50_us": of(50), "p95_us": of(95), "p99_us": of(99), "decisions": times.len() }),
        );
    }
    if as_json {
        let answer = json!({
            "benchmark": "policy", "rules": PERMITS + FORBIDS, "entities": entities, "allowed": agreed[1], "denied": agreed[0],
            "figures": figures, "decisions_per_second_two_threads": per_second,
        });
        println!("{answer}");
        return Ok(());
    }
    println!("{} rules, {entities} entities; {} questions allowed, {} denied", PERMITS + FORBIDS, agreed[1], agreed[0]);
    println!("{:<14} {:>9} {:>9} {:>9}", "", "p50 us", "p95 us", "p99 us");
    for row in &figures {
        let number = |name: &str| row[name].as_f64().unwrap_or_default();
        let name = row["name"].as_str().unwrap_or_default();
        println!("{name:<14} {:>9.1} {:>9.1} {:>9.1}", number("p50_us"), number("p95_us"), number("p99_us"));
    }
    println!("two threads: {per_second:.0} decisions a second");
    Ok(())
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn micros(time: Option<&Duration>) -> f64 {
    time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
}

/// Decisions a second of two threads that share one engine. To write the questions down counts too.
fn throughput(engine: &Engine, world: &World) -> f64 {
    let begin = Instant::now();
    let decide = || {
        for question in world.questions.iter().cycle().take(10 * QUESTIONS) {
            let _ = black_box(engine.answer(world.ask(question)));
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(decide);
        scope.spawn(decide);
    });
    (20 * QUESTIONS) as f64 / begin.elapsed().as_secs_f64()
}

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

impl World {
    fn new() -> Self {
        let mut draw = Draw(7);
        let purpose = |draw: &mut Draw| PURPOSES[draw.below(PURPOSES.len())];
        let permits = (0..PERMITS).map(|place| Rule {
            permits: true,
            model: place % 2 == 0,
            role: place % ROLES,
            of: (place / 2) % GROUPS,
            purpose: purpose(&mut draw),
        });
        let mut rules: Vec<_> = permits.collect();
        rules.extend((0..FORBIDS).map(|place| Rule {
            permits: false,
            model: place % 2 == 0,
            role: draw.below(ROLES),
            of: draw.below(DATASETS),
            purpose: "",
        }));
        let users: Vec<_> = (0..USERS).map(|_| vec![draw.below(ROLES), draw.below(ROLES)]).collect();
        let models: Vec<_> =
            (0..MODELS).map(|_| Model { group: draw.below(GROUPS), trusted: draw.below(10) > 0 }).collect();
        // Half of the questions follow a rule, so that many are allowed.
        let questions = (0..QUESTIONS)
            .map(|place| {
                let user = draw.below(USERS);
                let rule =
                    rules.iter().filter(|rule| rule.permits && users[user].contains(&rule.role)).nth(draw.below(8));
                match rule.filter(|_| place % 2 == 0) {
                    Some(rule) if rule.model => {
                        let of = (0..MODELS).find(|model| models[*model].group == rule.of).unwrap_or_default();
                        Question { user, model: true, of, purpose: rule.purpose }
                    }
                    Some(rule) => Question { user, model: false, of: rule.of, purpose: rule.purpose },
                    None => {
                        Question { user, model: place % 3 == 0, of: draw.below(DATASETS), purpose: purpose(&mut draw) }
                    }
                }
            })
            .collect();
        Self { rules, users, models, questions }
    }

    fn cedar_rules(&self) -> String {
        let mut text = String::new();
        for (place, Rule { permits, model, role, of, purpose }) in self.rules.iter().enumerate() {
            let (action, kind, group) =
                if *model { ("useModel", "Model", "ModelGroup") } else { ("readDataset", "Dataset", "Dataset") };
            let _ = writeln!(text, "@id(\"r{place}\") @reason(\"rule {place}\") @remedy(\"ask\")");
            let _ = match permits {
                true => writeln!(
                    text,
                    "@obligation_audit(\"high\") @obligation_capacity(\"{}\") @obligation_lifetime(\"5m\")\n\
                     @obligation_hardening(\"declared-outputs, inspected-streams\")\n\
                     permit (principal in Role::\"role-{role}\", action == Action::\"{action}\", resource in {group}::\"group-{of}\")\n\
                     when {{ context.purpose == \"{purpose}\" }};",
                    1000 + place
                ),
                false => writeln!(
                    text,
                    "forbid (principal, action == Action::\"{action}\", resource == {kind}::\"{of}\")\n\
                     unless {{ principal in Role::\"role-{role}\" }};"
                ),
            };
        }
        text
    }

    fn entities(&self) -> Value {
        let uid = |kind: &str, id: String| json!({ "type": kind, "id": id });
        let mut all = Vec::new();
        for role in 0..ROLES {
            all.push(json!({ "uid": uid("Role", format!("role-{role}")), "attrs": {}, "parents": [] }));
        }
        for group in 0..GROUPS {
            all.push(json!({ "uid": uid("ModelGroup", format!("group-{group}")), "attrs": {}, "parents": [] }));
            all.push(json!({ "uid": uid("Dataset", format!("group-{group}")), "attrs": {}, "parents": [] }));
        }
        for (user, roles) in self.users.iter().enumerate() {
            let parents: Vec<_> = roles.iter().map(|role| uid("Role", format!("role-{role}"))).collect();
            all.push(
                json!({ "uid": uid("User", format!("user-{user}")), "attrs": { "local": true }, "parents": parents }),
            );
        }
        for (id, model) in self.models.iter().enumerate() {
            let attributes = json!({ "sealed": true, "signature": model.signature(), "name": id.to_string() });
            let parent = uid("ModelGroup", format!("group-{}", model.group));
            all.push(json!({ "uid": uid("Model", id.to_string()), "attrs": attributes, "parents": [parent] }));
        }
        for dataset in 0..DATASETS {
            let parent = uid("Dataset", format!("group-{}", dataset % GROUPS));
            all.push(json!({ "uid": uid("Dataset", dataset.to_string()), "attrs": {}, "parents": [parent] }));
        }
        Value::Array(all)
    }

    fn engine(&self) -> Result<Engine> {
        let manifest = "name = \"bench\"\nversion = 1\nschema = 2\n".to_owned();
        let mut files = PolicyFiles::from([("policy.toml".to_owned(), manifest)]);
        files.insert("rules.cedar".to_owned(), self.cedar_rules());
        files.insert("entities.json".to_owned(), self.entities().to_string());
        let policy = CheckedPolicy::check(&files).map_err(|errors| format!("{:?}", errors.first()))?;
        Ok(policy.into_engine())
    }

    fn ask(&self, question: &Question) -> Ask {
        let mut context = BTreeMap::from([("purpose".into(), question.purpose.into())]);
        let mut attributes = BTreeMap::new();
        if question.model {
            let model = &self.models[question.of];
            attributes.insert("sealed".into(), true.into());
            attributes.insert("signature".into(), model.signature().into());
            for name in TERMS {
                context.insert((*name).into(), true.into());
            }
        }
        Ask {
            principal: format!("user-{}", question.user),
            local: true,
            roles: Vec::new(),
            user: BTreeMap::new(),
            action: if question.model { "useModel" } else { "readDataset" }.into(),
            resource: question.of.to_string(),
            attributes,
            context,
        }
    }
}

const TERMS: &[&str] = &["runnerInTerms", "withinTime", "custodyMet", "isolationMet"];

impl Model {
    fn signature(&self) -> &'static str {
        if self.trusted { "trusted" } else { "none" }
    }
}

/// Cedar as it comes: two sets of rules, of which each has to allow, over all entities.
struct Cedar {
    default: PolicySet,
    rules: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

impl Cedar {
    fn new(world: &World) -> Result<Self> {
        let default: String = DEFAULT_POLICY.iter().map(|(_, text)| *text).collect();
        Ok(Self {
            default: PolicySet::from_str(&default)?,
            rules: PolicySet::from_str(&world.cedar_rules())?,
            entities: Entities::from_json_value(world.entities(), None)?,
            authorizer: Authorizer::new(),
        })
    }

    fn decide(&self, world: &World, question: &Question) -> Result<bool> {
        let uid = |kind: &str, id: &str| EntityUid::from_json(json!({ "type": kind, "id": id }));
        let ask = world.ask(question);
        let mut pairs = vec![("purpose".to_owned(), text(question.purpose))];
        for name in ["profile", "runner", "signatureDemanded", "image", "model", "role"] {
            pairs.push((name.to_owned(), text(if name == "signatureDemanded" { "none" } else { "" })));
        }
        if question.model {
            pairs.extend(TERMS.iter().map(|name| ((*name).to_owned(), RestrictedExpression::new_bool(true))));
        }
        let request = Request::new(
            uid("User", &ask.principal)?,
            uid("Action", &ask.action)?,
            uid(if question.model { "Model" } else { "Dataset" }, &ask.resource)?,
            Context::from_pairs(pairs)?,
            None,
        )?;
        let allows =
            |rules| self.authorizer.is_authorized(&request, rules, &self.entities).decision() == Decision::Allow;
        Ok(allows(&self.default) && allows(&self.rules))
    }
}

fn text(value: &str) -> RestrictedExpression {
    RestrictedExpression::new_string(value.to_owned())
}

/// The same rules in Rego, with the entities as data.
struct Rego(regorus::Engine);

impl Rego {
    fn new(world: &World) -> Result<Self> {
        let mut text = String::from(
            "package hotcell\nimport rego.v1\ndefault allow := false\n\
             allow if { input.local; count(default_forbids) == 0; count(permits) > 0; count(forbids) == 0 }\n\
             default_forbids contains \"signed\" if { input.action == \"useModel\"; input.sealed; input.signature == \"none\" }\n\
             default_forbids contains \"demanded\" if { input.signatureDemanded != \"none\"; input.signature == \"none\" }\n\
             default_forbids contains \"terms\" if { input.sealed; some term in input.terms; not term }\n",
        );
        for (place, Rule { permits, model, role, of, purpose }) in world.rules.iter().enumerate() {
            let (action, data) = if *model { ("useModel", "models") } else { ("readDataset", "datasets") };
            let _ = match permits {
                true => writeln!(
                    text,
                    "permits contains \"r{place}\" if {{ input.action == \"{action}\"; data.users[input.principal][\"role-{role}\"]; \
                     data.{data}[input.resource] == \"group-{of}\"; input.purpose == \"{purpose}\" }}"
                ),
                false => writeln!(
                    text,
                    "forbids contains \"r{place}\" if {{ input.action == \"{action}\"; input.resource == \"{of}\"; \
                     not data.users[input.principal][\"role-{role}\"] }}"
                ),
            };
        }
        let users = world.users.iter().enumerate().map(|(user, roles)| {
            let roles: BTreeMap<_, _> = roles.iter().map(|role| (format!("role-{role}"), true)).collect();
            (format!("user-{user}"), roles)
        });
        let users: BTreeMap<_, _> = users.collect();
        let models: BTreeMap<_, _> = world
            .models
            .iter()
            .enumerate()
            .map(|(id, model)| (id.to_string(), format!("group-{}", model.group)))
            .collect();
        let datasets: BTreeMap<_, _> =
            (0..DATASETS).map(|id| (id.to_string(), format!("group-{}", id % GROUPS))).collect();
        let data = json!({ "users": users, "models": models, "datasets": datasets });
        let mut engine = regorus::Engine::new();
        engine.add_policy("rules.rego".to_owned(), text).map_err(|error| error.to_string())?;
        let data = regorus::Value::from_json_str(&data.to_string()).map_err(|error| error.to_string())?;
        engine.add_data(data).map_err(|error| error.to_string())?;
        Ok(Self(engine))
    }

    fn decide(&mut self, world: &World, question: &Question) -> Result<bool> {
        let ask = world.ask(question);
        let signature = if question.model { world.models[question.of].signature() } else { "" };
        let input = json!({
            "principal": ask.principal, "local": true, "action": ask.action, "resource": ask.resource, "purpose": question.purpose,
            "sealed": question.model, "signature": signature, "signatureDemanded": "none", "terms": [true, true, true, true],
        });
        let wrong = |error: &dyn std::fmt::Display| error.to_string();
        self.0.set_input(regorus::Value::from_json_str(&input.to_string()).map_err(|error| wrong(&error))?);
        let answer = self.0.eval_rule("data.hotcell.allow".to_owned()).map_err(|error| wrong(&error))?;
        Ok(*answer.as_bool().map_err(|error| wrong(&error))?)
    }
}
