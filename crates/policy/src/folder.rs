//! A policy as its files: a manifest, rules, entities, and the cases that it has to meet before it is used.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::case::{Case, parse_cases};
use crate::entities::parse_entities;
use crate::error::PolicyError;
use crate::layer::{MAX_POLICY_BYTES, RuleInfo, parse, schema, schema_errors};
use crate::ruleset::Ready;
use crate::store::Store;
use crate::{Engine, SCHEMA_VERSION};

/// The files of a policy by name: `policy.toml`, `*.cedar`, `entities.json`, `*.test.toml`, `*.views.toml`, `*.hierarchy.toml`.
pub type PolicyFiles = BTreeMap<String, String>;

/// The name of the manifest.
pub const MANIFEST: &str = "policy.toml";
/// The name of the file with the entities.
pub const ENTITIES: &str = "entities.json";
/// The end of the names of files with cases.
pub const CASES: &str = ".test.toml";
/// The end of the names of files with role views.
pub(crate) const VIEWS: &str = ".views.toml";
/// The end of the names of files with hierarchies, which views name.
pub(crate) const HIERARCHY: &str = ".hierarchy.toml";
/// The most files of a policy.
pub const MAX_POLICY_FILES: usize = 256;

/// What a policy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// Its version, which only grows.
    pub version: u64,
    /// The version of the schema that it was written for.
    pub schema: u32,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// A policy that was parsed and checked against the schema. Whether it meets its cases is for [`CheckedPolicy::test`] to say.
#[derive(Debug)]
pub struct CheckedPolicy {
    manifest: Manifest,
    engine: Engine,
    cases: Vec<(String, Case)>,
}

/// One case and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The file.
    pub file: String,
    /// The case.
    pub case: String,
    /// What came instead of what it expects; nothing where it came so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether a file of this name belongs to a policy.
pub fn is_policy_file(name: &str) -> bool {
    name == MANIFEST || name == ENTITIES || [".cedar", CASES, VIEWS, HIERARCHY].iter().any(|end| name.ends_with(end))
}

impl CheckedPolicy {
    /// Parses and checks the files of a policy.
    ///
    /// # Errors
    /// Every fault that it has; the list is never empty.
    pub fn check(files: &PolicyFiles) -> Result<Self, Vec<PolicyError>> {
        let manifest = manifest(files).map_err(|error| vec![error])?;
        let schema = schema().map_err(|error| vec![error])?;
        let mut errors = Vec::new();
        let mut rules: Vec<Ready> = Vec::new();
        for (file, source) in files.iter().filter(|(file, _)| file.ends_with(".cedar")) {
            match parse(file, source, &rules) {
                Ok(more) => {
                    errors.extend(schema_errors(file, source, &more, &schema));
                    rules.extend(more);
                }
                Err(more) => errors.extend(more),
            }
        }
        let store = match files.get(ENTITIES).map(|text| parse_entities(ENTITIES, text, &schema)) {
            None => Store::default(),
            Some(Ok(store)) => store,
            Some(Err(error)) => {
                errors.push(error);
                Store::default()
            }
        };
        let mut cases = Vec::new();
        for (file, text) in files.iter().filter(|(file, _)| file.ends_with(CASES)) {
            match parse_cases(file, text) {
                Ok(more) => cases.extend(more.into_iter().map(|case| (file.clone(), case))),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let engine = ready(rules, store).map_err(|error| vec![error])?.with_views(files);
        Ok(Self { manifest, engine, cases })
    }

    /// Reads a policy that was checked before, without checking it once more: what starts every task is quick.
    ///
    /// # Errors
    /// The first fault that keeps it from being read.
    pub fn read(files: &PolicyFiles) -> Result<Self, PolicyError> {
        let manifest = manifest(files)?;
        let mut rules: Vec<Ready> = Vec::new();
        for (file, source) in files.iter().filter(|(file, _)| file.ends_with(".cedar")) {
            let more = parse(file, source, &rules).map_err(|mut errors| errors.remove(0))?;
            rules.extend(more);
        }
        let store = match files.get(ENTITIES) {
            Some(text) => parse_entities(ENTITIES, text, &schema()?)?,
            None => Store::default(),
        };
        Ok(Self { manifest, engine: ready(rules, store)?.with_views(files), cases: Vec::new() })
    }

    /// What it says of itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its rules.
    pub fn rules(&self) -> Vec<RuleInfo> {
        self.engine.layers.iter().flat_map(|layer| layer.rules.rules()).map(RuleInfo::of).collect()
    }

    /// Its cases.
    pub fn cases(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().map(|(_, case)| case)
    }

    /// Puts its own cases to it.
    pub fn test(&self) -> Vec<CaseResult> {
        let run = |(file, case): &(String, Case)| CaseResult {
            file: file.clone(),
            case: case.name.clone(),
            problem: case.run(&self.engine).err(),
        };
        self.cases.iter().map(run).collect()
    }

    /// The engine that decides by it.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The engine that decides by it.
    pub fn into_engine(self) -> Engine {
        self.engine
    }
}

impl CaseResult {
    /// The error of a case that came otherwise.
    pub fn error(&self) -> Option<PolicyError> {
        let problem = self.problem.clone()?;
        Some(PolicyError::CaseFailed { file: self.file.clone(), case: self.case.clone(), problem })
    }
}

fn ready(rules: Vec<Ready>, store: Store) -> Result<Engine, PolicyError> {
    Engine::of(rules, store).map_err(|error| PolicyError::Entities { file: MANIFEST.to_owned(), problem: error.0 })
}

fn manifest(files: &PolicyFiles) -> Result<Manifest, PolicyError> {
    let bytes: usize = files.values().map(String::len).sum();
    if bytes > MAX_POLICY_BYTES || files.len() > MAX_POLICY_FILES {
        return Err(PolicyError::TooLong { file: "the policy".to_owned(), bytes, most: MAX_POLICY_BYTES });
    }
    let text = files.get(MANIFEST).ok_or_else(|| PolicyError::Lacks { file: MANIFEST.to_owned() })?;
    let manifest: Manifest = parse_content(MANIFEST, text)?;
    if manifest.schema != SCHEMA_VERSION {
        return Err(PolicyError::SchemaVersion { file: MANIFEST.to_owned(), found: manifest.schema });
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if manifest.name.is_empty() || manifest.name.len() > 64 || !manifest.name.bytes().all(plain) {
        let problem =
            "the name has other characters than letters, digits, `-`, `_` and `.`, or more than 64".to_owned();
        return Err(PolicyError::Content { file: MANIFEST.to_owned(), line: 1, problem });
    }
    Ok(manifest)
}

/// Reads a TOML file of ours.
pub(crate) fn parse_content<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, PolicyError> {
    toml::from_str(text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = text.bytes().take(start).filter(|byte| *byte == b'\n').count() + 1;
        PolicyError::Content { file: file.to_owned(), line, problem: error.message().trim().replace('\n', "; ") }
    })
}
