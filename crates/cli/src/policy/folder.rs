//! Policies as a whole: their cases, and which one is in force.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use hotcell_crypto::{VerifyingKey, keyfile};
use hotcell_policy::{CaseResult, CheckedPolicy, Engine, PolicyFiles};
use hotcell_task::{PolicyFileError, TaskError, install_policy, open_log, policy_in_force, read_policy};
use hotcell_types::{Clock, Exit};
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::print::{self, theirs};

/// Which policies, and whom they may be signed by.
#[derive(Debug, Args)]
pub(crate) struct Policies {
    /// Policy folders, or bundles.
    #[arg(required = true, value_name = "POLICY")]
    policies: Vec<PathBuf>,
    /// Public key of whoever signed a bundle, or its file.
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
}

/// Which policy comes into force.
#[derive(Debug, Args)]
pub(crate) struct Install {
    /// A policy folder, or a bundle.
    #[arg(value_name = "POLICY")]
    policy: PathBuf,
    /// Public key of whoever signed the bundle, or its file.
    #[arg(long, value_name = "KEY")]
    trust: Vec<String>,
}

/// The keys that were named as trusted.
pub(crate) fn keys(trust: &[String]) -> Result<Vec<VerifyingKey>, Failure> {
    Ok(trust.iter().map(|key| keyfile::read_verifying(key)).collect::<Result<Vec<_>, _>>()?)
}

/// Parses a policy and holds it against the schema.
pub(crate) fn checked(files: &PolicyFiles) -> Result<CheckedPolicy, Failure> {
    let faulty = |errors| TaskError::Part(Box::new(PolicyFileError::Faulty { errors, stays: "the one" }));
    Ok(CheckedPolicy::check(files).map_err(faulty)?)
}

/// As [`checked`], and it has to meet its own cases.
pub(crate) fn tested(files: &PolicyFiles) -> Result<CheckedPolicy, Failure> {
    let policy = checked(files)?;
    let errors: Vec<_> = policy.test().iter().filter_map(CaseResult::error).collect();
    if errors.is_empty() {
        return Ok(policy);
    }
    Err(TaskError::Part(Box::new(PolicyFileError::Faulty { errors, stays: "the one" })).into())
}

/// The engine of a policy; without one, that of the policy in force.
pub(crate) fn engine(policy: Option<&Path>, trust: &[VerifyingKey], app: &App) -> Result<Engine, Failure> {
    Ok(match policy {
        Some(path) => checked(&read_policy(path, trust)?.0)?.into_engine(),
        None => policy_in_force(&app.state)?.engine,
    })
}

/// Puts the cases of policies to them.
pub(crate) fn test(arguments: &Policies, app: &App) -> Result<Exit, Failure> {
    let trust = keys(&arguments.trust)?;
    let mut results: Vec<(String, Vec<CaseResult>)> = Vec::new();
    for path in &arguments.policies {
        let policy = checked(&read_policy(path, &trust)?.0)?;
        results.push((path.display().to_string(), policy.test()));
    }
    let failed = results.iter().flat_map(|(_, cases)| cases).any(|case| case.problem.is_some());
    if app.json {
        let all: Vec<_> = results.iter().map(|(policy, cases)| json!({ "policy": policy, "cases": cases })).collect();
        print::json(&all)?;
    } else {
        let mut to = print::out();
        for (policy, cases) in &results {
            let bad = cases.iter().filter(|case| case.problem.is_some()).count();
            writeln!(to, "{}: {} cases, {bad} of them failed", theirs(policy), cases.len())?;
            cases.iter().filter_map(CaseResult::error).for_each(|error| Failure::from(error).tell(false));
        }
    }
    Ok(if failed { Exit::No } else { Exit::Yes })
}

/// Puts a policy into force.
pub(crate) fn install(arguments: &Install, app: &App) -> Result<Exit, Failure> {
    let trust = keys(&arguments.trust)?;
    let now = app.clock.now();
    let log = open_log(&app.state, crate::VERSION, now)?;
    let installed = install_policy(&app.state, &arguments.policy, &trust, &log, now)?;
    let Some(manifest) = installed.manifest else { return Ok(Exit::Failed) };
    if app.json {
        let digest = installed.digest.map(|digest| digest.to_string());
        let answer = json!({
            "name": manifest.name, "version": manifest.version, "digest": digest, "signer": installed.signer,
        });
        print::json(&answer)?;
    } else {
        let name = theirs(&manifest.name);
        writeln!(print::out(), "policy {name}, version {}, is in force", manifest.version)?;
    }
    Ok(Exit::Yes)
}
