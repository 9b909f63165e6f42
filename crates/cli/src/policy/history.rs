//! What policy was told of the tasks in the audit log.

use hotcell_audit::personal::PersonalKeys;
use hotcell_audit::{Events, Filter};
use hotcell_policy::Facts;
use hotcell_types::{EventKind, Timestamp};

use crate::app::App;
use crate::failure::Failure;

/// The recorded tasks.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) tasks: Vec<Facts>,
    /// Tasks of which it cannot be said what was asked: erased, or recorded by an earlier version.
    pub(crate) unreadable: usize,
}

/// Reads the history; there is none where there is no log yet.
pub(crate) fn read(since: Option<Timestamp>, app: &App) -> Result<History, Failure> {
    let mut history = History::default();
    let folder = app.state.join("log");
    if !folder.exists() {
        return Ok(history);
    }
    let keys = PersonalKeys::of(&hotcell_task::personal_keys(&app.state));
    let filter = Filter { kinds: Some(vec![EventKind::TaskSubmitted]), since, ..Filter::default() };
    for entry in Events::open(&folder, filter)? {
        let mut event = entry?.event;
        keys.reveal(&mut event)?;
        match event.data.get("facts").and_then(|facts| serde_json::from_value::<Facts>(facts.clone()).ok()) {
            Some(facts) => history.tasks.push(facts),
            None => history.unreadable += 1,
        }
    }
    Ok(history)
}
