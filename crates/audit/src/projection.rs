//! The states of [`crate::fold`] as tables of an SQL database, for questions that the log is not made for.
//!
//! A projection holds nothing that the log does not give: it can be dropped and built again at any time. It is a
//! subscriber with its cursor in the same transaction as what it changed, so that it neither loses nor doubles an event.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use hotcell_types::{Exit, Explain};
use rusqlite::{Connection, OptionalExtension as _, Transaction, params};
use serde::{Serialize, de::DeserializeOwned};

use crate::fold::States;
use crate::{Events, Filter, LogError, Place};

/// Events of one transaction.
const BATCH: u64 = 50_000;

/// The tables; each row is one state as JSON beside what is asked for often.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS cursor (one INTEGER PRIMARY KEY CHECK (one = 1), place_index INTEGER, place_offset INTEGER, origin TEXT);
    CREATE TABLE IF NOT EXISTS task (id TEXT PRIMARY KEY, stage TEXT, submitted INTEGER, changed INTEGER, what TEXT, principal TEXT, outcome TEXT, state TEXT) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS task_by_time ON task (submitted);
    CREATE TABLE IF NOT EXISTS model (id TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS tenant (id TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS approval (id TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS lease (id TEXT PRIMARY KEY, state TEXT) WITHOUT ROWID;
";

/// The tables that hold states by id.
const TABLES: &[&str] = &["task", "model", "tenant", "approval", "lease"];

/// Why a projection cannot be built or read.
#[derive(Debug, thiserror::Error)]
pub enum ProjectionError {
    /// The database refuses.
    #[error("the projection `{}` cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rusqlite::Error,
    },
    /// The file cannot be removed.
    #[error("cannot remove the projection `{}`", path.display())]
    Remove {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl Explain for ProjectionError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database { .. } => "AUD-701",
            Self::Remove { .. } => "AUD-702",
            Self::Log(error) => error.code(),
        }
    }

    fn remedy(&self) -> String {
        match self {
            Self::Database { .. } => "build it again from the log: hotcell audit rebuild".to_owned(),
            Self::Remove { path, .. } => {
                format!("remove `{}` yourself: all that is in it follows from the log", path.display())
            }
            Self::Log(error) => error.remedy(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Log(error) => error.exit(),
            _ => Exit::Failed,
        }
    }
}

/// A database beside a log.
pub struct Projection {
    log: PathBuf,
    path: PathBuf,
    database: Connection,
}

impl Projection {
    /// Opens the projection of a log, and begins it when there is none.
    ///
    /// # Errors
    /// [`ProjectionError::Database`].
    pub fn open(log: &Path) -> Result<Self, ProjectionError> {
        let path = log.join("projection.db");
        let wrong = |source| ProjectionError::Database { path: path.clone(), source };
        let database = Connection::open(&path).map_err(wrong)?;
        // It follows from the log: a loss of power may cost it, and it need not wait for the disk.
        database.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;").map_err(wrong)?;
        database.execute_batch(SCHEMA).map_err(wrong)?;
        Ok(Self { log: log.to_owned(), path, database })
    }

    /// Drops the projection of a log and builds it again, and says how many events that took.
    ///
    /// # Errors
    /// [`ProjectionError`].
    pub fn rebuild(log: &Path) -> Result<(Self, u64), ProjectionError> {
        for ending in ["", "-wal", "-shm"] {
            let path = log.join(format!("projection.db{ending}"));
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(ProjectionError::Remove { path, source });
                }
                _ => {}
            }
        }
        let mut projection = Self::open(log)?;
        let events = projection.catch_up()?;
        Ok((projection, events))
    }

    /// Takes in the events since the last time, and says how many those were.
    ///
    /// # Errors
    /// [`ProjectionError`].
    pub fn catch_up(&mut self) -> Result<u64, ProjectionError> {
        let place = self.place()?;
        let mut events = Events::open_at(&self.log, Filter::default(), place)?;
        let mut count = 0;
        loop {
            let transaction = self.database.transaction().map_err(wrong(&self.path))?;
            let mut touched = Touched::default();
            let mut read = 0;
            while read < BATCH {
                let Some(entry) = events.next().transpose()? else { break };
                touched.load(&transaction, &entry.event).map_err(wrong(&self.path))?;
                touched.states.apply(&entry.event);
                read += 1;
            }
            touched.store(&transaction, events.place(), events.origin().as_str()).map_err(wrong(&self.path))?;
            transaction.commit().map_err(wrong(&self.path))?;
            count += read;
            if read < BATCH {
                return Ok(count);
            }
        }
    }

    /// How far it has read.
    ///
    /// # Errors
    /// [`ProjectionError::Database`].
    pub fn place(&self) -> Result<Place, ProjectionError> {
        let read = self.database.query_row("SELECT place_index, place_offset FROM cursor", [], |row| {
            Ok(Place { index: row.get::<_, i64>(0)?.unsigned_abs(), offset: row.get::<_, i64>(1)?.unsigned_abs() })
        });
        Ok(read.optional().map_err(wrong(&self.path))?.unwrap_or_default())
    }

    /// All states.
    ///
    /// # Errors
    /// [`ProjectionError::Database`].
    pub fn states(&self) -> Result<States, ProjectionError> {
        let all = || -> rusqlite::Result<States> {
            Ok(States {
                tasks: rows(&self.database, "task")?,
                models: rows(&self.database, "model")?,
                tenants: rows(&self.database, "tenant")?,
                approvals: rows(&self.database, "approval")?,
                leases: rows(&self.database, "lease")?,
            })
        };
        all().map_err(wrong(&self.path))
    }

    /// Number of rows of each table.
    ///
    /// # Errors
    /// [`ProjectionError::Database`].
    pub fn counts(&self) -> Result<Vec<(&'static str, u64)>, ProjectionError> {
        let count = |table: &&'static str| {
            let count =
                self.database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0));
            Ok((*table, count.map_err(wrong(&self.path))?.unsigned_abs()))
        };
        TABLES.iter().map(count).collect()
    }
}

/// The states that a batch touches.
#[derive(Default)]
struct Touched {
    states: States,
}

impl Touched {
    /// Fetches what an event may change, unless this batch has it.
    fn load(&mut self, from: &Transaction<'_>, event: &hotcell_types::Event) -> rusqlite::Result<()> {
        let text = |name: &str| event.data.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        let tenant = text("tenant").unwrap_or_else(|| crate::fold::LOCAL.to_owned());
        load(from, "tenant", &tenant, &mut self.states.tenants)?;
        load(from, "model", &text("model").unwrap_or_default(), &mut self.states.models)?;
        if let Some(task) = event.task {
            load(from, "task", &task, &mut self.states.tasks)?;
            load(from, "approval", &task, &mut self.states.approvals)?;
            load(from, "lease", &task, &mut self.states.leases)?;
        }
        Ok(())
    }

    fn store(&self, to: &Transaction<'_>, place: Place, origin: &str) -> rusqlite::Result<()> {
        let mut tasks = to.prepare_cached("INSERT OR REPLACE INTO task VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        for (id, task) in &self.states.tasks {
            let stage = serde_json::to_value(task.stage).unwrap_or_default();
            let (submitted, changed) = (task.submitted.0.cast_signed(), task.changed.0.cast_signed());
            let stage = stage.as_str().unwrap_or_default();
            tasks.execute(params![
                id.to_string(),
                stage,
                submitted,
                changed,
                named(&task.what),
                task.principal,
                task.outcome,
                json(task)
            ])?;
        }
        store(to, "model", &self.states.models)?;
        store(to, "tenant", &self.states.tenants)?;
        store(to, "approval", &self.states.approvals)?;
        store(to, "lease", &self.states.leases)?;
        let (index, offset) = (place.index.cast_signed(), place.offset.cast_signed());
        to.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?, ?, ?)", params![index, offset, origin]).map(drop)
    }
}

type ById<K, V> = std::collections::BTreeMap<K, V>;

fn load<K: Ord + Clone + ToString, V: DeserializeOwned>(
    from: &Transaction<'_>,
    table: &str,
    id: &K,
    to: &mut ById<K, V>,
) -> rusqlite::Result<()> {
    if to.contains_key(id) {
        return Ok(());
    }
    let mut query = from.prepare_cached(&format!("SELECT state FROM {table} WHERE id = ?"))?;
    let state: Option<String> = query.query_row([id.to_string()], |row| row.get(0)).optional()?;
    if let Some(state) = state.and_then(|text| serde_json::from_str(&text).ok()) {
        to.insert(id.clone(), state);
    }
    Ok(())
}

fn store<K: ToString, V: Serialize>(to: &Transaction<'_>, table: &str, states: &ById<K, V>) -> rusqlite::Result<()> {
    let mut insert = to.prepare_cached(&format!("INSERT OR REPLACE INTO {table} VALUES (?, ?)"))?;
    for (id, state) in states {
        insert.execute(params![id.to_string(), json(state)])?;
    }
    Ok(())
}

fn rows<K: Ord + std::str::FromStr, V: DeserializeOwned>(
    from: &Connection,
    table: &str,
) -> rusqlite::Result<ById<K, V>> {
    let mut query = from.prepare(&format!("SELECT id, state FROM {table}"))?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut states = ById::new();
    for row in rows {
        let (id, state) = row?;
        if let (Ok(id), Ok(state)) = (id.parse(), serde_json::from_str(&state)) {
            states.insert(id, state);
        }
    }
    Ok(states)
}

/// The keyed hash of a name, or the name where it stands in plain.
fn named(what: &serde_json::Value) -> &str {
    what.get("id").unwrap_or(what).as_str().unwrap_or_default()
}

fn json(state: &impl Serialize) -> String {
    serde_json::to_string(state).unwrap_or_default()
}

fn wrong(path: &Path) -> impl Fn(rusqlite::Error) -> ProjectionError {
    let path = path.to_owned();
    move |source| ProjectionError::Database { path: path.clone(), source }
}
