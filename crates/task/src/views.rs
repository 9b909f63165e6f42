//! Role views on the way of a task: which view an input or an output is seen through, and how it is made.
//!
//! INVARIANT (demanded-is-applied): a view that a rule demands, or that the policy has for the role that was asked for, is
//! applied to each dataset that it is demanded of; where it cannot be, the task is refused and nothing of the dataset is shown.

use std::collections::BTreeSet;
use std::io::{Read, Write};

use hotcell_crypto::SecretKey;
use hotcell_disclosure::sampler::SystemBits;
use hotcell_disclosure::{DisclosureError, Format, Redaction, Report, Scan, View, Views, redact};
use hotcell_inspect::CellScan;
use hotcell_inspect::scan::Scanner;
use hotcell_policy::{Engine, PolicyFiles};

use crate::TaskError;

/// What a policy's files of views end with.
const VIEWS: &str = ".views.toml";

/// The role views of a policy.
///
/// # Errors
/// The first fault of one, with its line.
pub(crate) fn views_of(files: &PolicyFiles) -> Result<Views, TaskError> {
    let mut views = Views::default();
    for (name, text) in files.iter().filter(|(name, _)| name.ends_with(VIEWS)) {
        let more = Views::parse(name, text, &|name| files.get(name).cloned()).map_err(TaskError::part)?;
        views.add(more).map_err(|dataset| {
            let problem = format!(
                "another file has a view of `{}` for the same role or of the same name",
                dataset.escape_debug()
            );
            TaskError::part(DisclosureError::Rules { file: name.clone(), line: 1, problem })
        })?;
    }
    Ok(views)
}

/// What is seen through which view.
pub(crate) struct Seeing<'a> {
    views: Views,
    demanded: &'a BTreeSet<String>,
    role: Option<&'a str>,
    key: Option<&'a SecretKey>,
}

impl<'a> Seeing<'a> {
    /// By the policy that decides, what it demands, and the role in which it was asked.
    pub(crate) fn new(
        engine: &Engine,
        demanded: &'a BTreeSet<String>,
        role: Option<&'a str>,
        key: Option<&'a SecretKey>,
    ) -> Result<Self, TaskError> {
        Ok(Self { views: views_of(engine.view_files())?, demanded, role, key })
    }

    /// The view of a dataset that is an input; none where it is seen whole.
    pub(crate) fn of_input(&self, dataset: &str) -> Result<Option<&View>, TaskError> {
        let none = |role: &str| {
            TaskError::part(DisclosureError::NoView { dataset: dataset.to_owned(), role: role.to_owned() })
        };
        let mut seen: Option<&View> = None;
        for name in self.demanded {
            let view = self.views.named(name, dataset).ok_or_else(|| none(name))?;
            add(&mut seen, view)?;
        }
        if let Some(role) = self.role.filter(|_| self.views.speak_of(dataset)) {
            add(&mut seen, self.views.of_role(role, dataset).ok_or_else(|| none(role))?)?;
        }
        Ok(seen)
    }

    /// The view of an output; none where the policy has none for who reads it.
    pub(crate) fn of_output(&self, file: &str) -> Result<Option<&View>, TaskError> {
        let mut seen: Option<&View> = None;
        for view in self.demanded.iter().filter_map(|name| self.views.named(name, file)) {
            add(&mut seen, view)?;
        }
        if let Some(view) = self.role.and_then(|role| self.views.of_role(role, file)) {
            add(&mut seen, view)?;
        }
        Ok(seen)
    }

    /// Makes the view of a table, and looks at what came of it.
    pub(crate) fn make(
        &self,
        view: &View,
        format: Format,
        granted: Option<&BTreeSet<String>>,
        from: impl Read,
        to: impl Write,
    ) -> Result<Report, DisclosureError> {
        let scanner = Scanner::builtin()
            .map_err(|error| DisclosureError::Sensitive { what: format!("what nobody could look for: {error}") })?;
        let mut cells = CellScan::new(&scanner);
        let redaction = Redaction {
            view,
            format,
            key: self.key,
            granted,
            bits: &mut SystemBits::default(),
            look: &mut |column, _, value| cells.look(column, value),
        };
        let report = redact(redaction, from, to)?;
        let found = cells.finish();
        match view.scan {
            Scan::Refuse if !found.is_empty() => {
                Err(DisclosureError::Sensitive { what: hotcell_inspect::told(&found) })
            }
            _ => Ok(report),
        }
    }
}

/// One view is seen through. Of two, neither need hide what the other does once it was changed.
fn add<'v>(seen: &mut Option<&'v View>, view: &'v View) -> Result<(), TaskError> {
    match seen {
        Some(other) if other.name != view.name => Err(TaskError::Spec {
            what: format!("two views are demanded of `{}`: `{}` and `{}`", view.dataset, other.name, view.name),
            remedy: "name the role that the demanded view is for, or ask whoever writes the policy to demand one view",
        }),
        _ => {
            *seen = Some(view);
            Ok(())
        }
    }
}
