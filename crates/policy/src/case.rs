//! Cases: what a policy has to say to a question, written beside it.

use std::collections::BTreeMap;

use hotcell_types::Explain;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::ask::Ask;
use crate::error::PolicyError;
use crate::folder::parse_content;
use crate::obligation::Obligations;

/// A question and the answer that it has to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is about, in words.
    pub name: String,
    /// The question.
    pub ask: Ask,
    /// The answer.
    pub expect: Answer,
    /// A rule that has to be among those cited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The code of the denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// All that is demanded in return, by the names of the annotations without `obligation_`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obligations: Option<BTreeMap<String, String>>,
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// Yes.
    Allow,
    /// No.
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    #[serde(default)]
    case: Vec<Case>,
}

/// Reads a file of cases.
pub(crate) fn parse_cases(file: &str, text: &str) -> Result<Vec<Case>, PolicyError> {
    let CaseFile { case: cases } = parse_content(file, text)?;
    let wrong = |case: &Case, problem| {
        let place = text.find(&case.name).unwrap_or(0);
        let line = text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1;
        PolicyError::Content { file: file.to_owned(), line, problem }
    };
    for case in &cases {
        case.ask.clone().complete().map_err(|error| wrong(case, error.0))?;
        case.demands().map_err(|problem| wrong(case, problem))?;
    }
    Ok(cases)
}

impl Case {
    /// Puts the question.
    ///
    /// # Errors
    /// What came instead of what is expected, in words.
    pub(crate) fn run(&self, engine: &Engine) -> Result<(), String> {
        let answer = engine.answer(self.ask.clone()).map_err(|error| error.0)?;
        let (rules, demands) = match (&answer, self.expect) {
            (Ok(allowed), Answer::Allow) => (allowed.rules.clone(), Some(&allowed.obligations)),
            (Err(denial), Answer::Deny) => (denial.rules().iter().map(|rule| rule.id.clone()).collect(), None),
            (Ok(allowed), Answer::Deny) => return Err(format!("allowed, by {}", allowed.rules.join(", "))),
            (Err(denial), Answer::Allow) => return Err(denial.to_string()),
        };
        if let Some(rule) = self.rule.as_ref().filter(|rule| !rules.contains(rule)) {
            return Err(format!("the rules cited are {}, and `{rule}` is not among them", rules.join(", ")));
        }
        if let (Some(code), Err(denial)) = (&self.code, &answer)
            && code != denial.code()
        {
            return Err(format!("the code is {}: {denial}", denial.code()));
        }
        if let (Some(wanted), Some(seen)) = (self.demands()?, demands)
            && wanted != *seen
        {
            return Err(format!("the obligations are others: {seen:?}"));
        }
        Ok(())
    }

    fn demands(&self) -> Result<Option<Obligations>, String> {
        let Some(given) = &self.obligations else { return Ok(None) };
        let mut demands = Obligations::none();
        for (name, value) in given {
            demands.annotate(&format!("obligation_{name}"), value).map_err(|problem| {
                let problem = problem.unwrap_or_else(|| "there is no such obligation".to_owned());
                format!("the obligation `{name}`: {problem}")
            })?;
        }
        Ok(Some(demands))
    }
}
