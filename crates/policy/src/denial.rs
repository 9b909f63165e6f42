//! What policy says no with.

use hotcell_types::{Exit, Explain};

use crate::grant::CitedRule;
use crate::obligation::IsolationLevel;

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
    /// A rule permits it, and demands what nothing here can do.
    Unmet(Unmet),
    /// The role in which data would be seen is not held by who asks.
    RoleNotHeld(String),
}

/// An obligation that nothing here can meet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unmet {
    /// A second authentication at most so many milliseconds ago.
    StepUp(u64),
    /// A view of the data.
    View(String),
    /// Approval by others.
    Approvals(u32),
    /// A stronger isolation level.
    Isolation(IsolationLevel),
}

impl DenialKind {
    fn text(&self) -> String {
        match self {
            Self::Forbidden(rules) => join(rules, |rule| format!("{} (rule `{}`)", rule.reason, rule.id)),
            Self::NotPermitted(_) => "no rule permits it".to_owned(),
            Self::Unevaluated(errors) => format!("a rule could not be evaluated: {}", errors.join("; ")),
            Self::RoleNotHeld(role) => format!("who asks does not hold the role `{}`", role.escape_debug()),
            Self::Unmet(unmet) => match unmet {
                Unmet::StepUp(age) => {
                    format!(
                        "the rule demands a second authentication within {} s, and nobody can vouch for one here",
                        age / 1000
                    )
                }
                Unmet::View(view) => {
                    format!(
                        "the rule demands the view `{}`, and the policy has no view of that name",
                        view.escape_debug()
                    )
                }
                Unmet::Approvals(count) => {
                    format!("the rule demands the approval of {count} others, and approvals cannot be given here")
                }
                Unmet::Isolation(level) => format!("the rule demands the isolation level `{level}`"),
            },
        }
    }
}

impl Denial {
    /// The rules that it rests on.
    pub fn rules(&self) -> &[CitedRule] {
        match &self.kind {
            DenialKind::Forbidden(rules) | DenialKind::NotPermitted(rules) => rules,
            DenialKind::Unevaluated(_) | DenialKind::Unmet(_) | DenialKind::RoleNotHeld(_) => &[],
        }
    }
}

impl Explain for Denial {
    fn code(&self) -> &'static str {
        match self.kind {
            DenialKind::Forbidden(_) => "POL-101",
            DenialKind::NotPermitted(_) => "POL-102",
            DenialKind::Unevaluated(_) => "POL-103",
            DenialKind::Unmet(Unmet::StepUp(_)) => "POL-120",
            DenialKind::Unmet(Unmet::View(_)) => "POL-121",
            DenialKind::Unmet(Unmet::Approvals(_)) => "POL-122",
            DenialKind::Unmet(Unmet::Isolation(_)) => "POL-123",
            DenialKind::RoleNotHeld(_) => "POL-126",
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
            DenialKind::RoleNotHeld(_) => "name a role that you hold, or leave out --role".to_owned(),
            DenialKind::Unmet(Unmet::Isolation(_)) => "run it on a host that has this isolation level".to_owned(),
            DenialKind::Unmet(Unmet::View(view)) => {
                format!(
                    "ask whoever writes the policy to add the view `{}` to a file `NAME.views.toml` of it",
                    view.escape_debug()
                )
            }
            DenialKind::Unmet(unmet) => format!(
                "ask whoever writes the policy to permit it without `{}`, or wait for a Hotcell that can do it",
                unmet.annotation()
            ),
            DenialKind::Unevaluated(_) => "find the rule with `hotcell policy check FILE` and correct it".to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

impl Unmet {
    /// 122 where the host could have it, else 121.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Isolation(_) => Exit::HostLacks,
            _ => Exit::Refused,
        }
    }

    fn annotation(&self) -> &'static str {
        match self {
            Self::StepUp(_) => "@obligation_step_up",
            Self::View(_) => "@obligation_view",
            Self::Approvals(_) => "@obligation_approvals",
            Self::Isolation(_) => "@obligation_isolation",
        }
    }
}

fn join(rules: &[CitedRule], text: impl Fn(&CitedRule) -> String) -> String {
    let texts: Vec<_> = rules.iter().map(text).collect();
    texts.join("; ")
}
