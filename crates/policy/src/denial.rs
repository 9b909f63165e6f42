//! What policy says no with.

use hotcell_types::{Exit, Explain};

use crate::grant::CitedRule;

/// A no, with its reasons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy refuses to {question}: {}", .kind.text())]
pub struct Denial {
    /// What was asked, for example `run the task`.
    pub question: String,
    /// Why not.
    pub kind: DenialKind,
    pub(crate) exit: Exit,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DenialKind {
    /// These rules forbid it.
    Forbidden(Vec<CitedRule>),
    /// No rule permits it; these would, if what they ask were so.
    NotPermitted(Vec<CitedRule>),
    /// A rule could not be evaluated, or the question not be put.
    Unevaluated(Vec<String>),
}

impl DenialKind {
    fn text(&self) -> String {
        match self {
            Self::Forbidden(rules) => join(rules, |rule| format!("{} (rule `{}`)", rule.reason, rule.id)),
            Self::NotPermitted(_) => "no rule permits it".to_owned(),
            Self::Unevaluated(errors) => format!("a rule could not be evaluated: {}", errors.join("; ")),
        }
    }
}

impl Denial {
    /// The rules that it rests on.
    pub fn rules(&self) -> &[CitedRule] {
        match &self.kind {
            DenialKind::Forbidden(rules) | DenialKind::NotPermitted(rules) => rules,
            DenialKind::Unevaluated(_) => &[],
        }
    }
}

impl Explain for Denial {
    fn code(&self) -> &'static str {
        match self.kind {
            DenialKind::Forbidden(_) => "POL-101",
            DenialKind::NotPermitted(_) => "POL-102",
            DenialKind::Unevaluated(_) => "POL-103",
        }
    }

    fn remedy(&self) -> String {
        match &self.kind {
            DenialKind::Forbidden(rules) => join(rules, |rule| rule.remedy.clone()),
            DenialKind::NotPermitted(rules) if rules.is_empty() => "ask whoever writes the policy".to_owned(),
            DenialKind::NotPermitted(rules) => {
                let ways: Vec<_> = rules.iter().map(|rule| rule.remedy.as_str()).collect();
                ways.join(", or ")
            }
            DenialKind::Unevaluated(_) => "find the rule with `hotcell policy check FILE` and correct it".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

fn join(rules: &[CitedRule], text: impl Fn(&CitedRule) -> String) -> String {
    let texts: Vec<_> = rules.iter().map(text).collect();
    texts.join("; ")
}
