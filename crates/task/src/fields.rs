//! Inputs that a task may not see whole: the sandbox is shown a copy without the columns that were not granted, or the view
//! that the policy has for the role.
//!
//! A [`View`] is the place where a dataset is put into the form in which it may be seen. Where no classes of rows are demanded it
//! is written row by row, so that no input need fit into memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hotcell_disclosure::{DisclosureError, Format, Report};
use hotcell_policy::{Columns, Engine, GrantUse};
use hotcell_types::TaskId;
use rustix::fs::{AtFlags, Mode, OFlags};
use serde_json::value::RawValue;

use crate::TaskError;
use crate::inputs::Input;
use crate::views::Seeing;

/// One input as the sandbox sees it. Its file is in memory, and loses its name with this value.
#[derive(Debug)]
pub(crate) struct View {
    input: String,
    folder: PathBuf,
    path: PathBuf,
    /// What was done to it, where it is a role's view.
    report: Option<Report>,
}

impl View {
    /// The name of the input.
    pub(crate) fn input(&self) -> &str {
        &self.input
    }

    /// What was done to it, where it is a role's view.
    pub(crate) fn report(&self) -> Option<&Report> {
        self.report.as_ref()
    }

    /// The file to show.
    pub(crate) fn path(&self) -> &PathBuf {
        &self.path
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // Whoever mounted it holds it.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where views are written: memory, as far as the host does not swap.
const MEMORY: &str = "/dev/shm";
/// The file in a folder of its own, which nobody else looks into.
const VIEW: &str = "view";
/// The longest line of a JSON lines input.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Makes the views that the grant demands.
///
/// # Errors
/// When an input cannot be read or is no table, when there is no room, or when a view that is demanded cannot be made.
pub(crate) fn views(
    grant: &GrantUse,
    engine: &Engine,
    seeing: &Seeing<'_>,
    inputs: &[Input],
    task: TaskId,
) -> Result<Vec<View>, TaskError> {
    let mut views = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        let granted = match grant.reads(&input.name) {
            Columns::Only(columns) => Some(columns),
            Columns::All => None,
        };
        let facts = input.facts();
        let dataset = engine.dataset_id(&facts);
        match (seeing.of_input(dataset)?, granted) {
            (Some(role), _) => {
                let (mut view, to) = begin(input, task, number)?;
                view.report = Some(through(input, seeing, role, granted, to)?);
                views.push(view);
            }
            (None, Some(columns)) => views.push(view(input, columns, task, number)?),
            (None, None) => {}
        }
    }
    Ok(views)
}

/// Writes a role's view of an input.
fn through(
    input: &Input,
    seeing: &Seeing<'_>,
    role: &hotcell_disclosure::View,
    granted: Option<&BTreeSet<String>>,
    to: File,
) -> Result<Report, TaskError> {
    let name = input.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let format = Format::of_name(&name).filter(|_| input.path.is_file()).ok_or_else(|| {
        let problem = format!("the input `{}` is no table, and is seen through a view", input.name.escape_debug());
        TaskError::part(DisclosureError::Content { row: None, problem })
    })?;
    let from = File::open(&input.path).map_err(TaskError::file("read the input", &input.path))?;
    let mut to = BufWriter::new(to);
    let report = seeing.make(role, format, granted, from, &mut to).map_err(TaskError::part)?;
    to.flush().map_err(TaskError::file("make the view of the input", &input.path))?;
    Ok(report)
}

/// Removes the views of a task that was killed before it could. Anybody may make names in that place: only folders of our
/// own are looked into, and none by a link.
pub(crate) fn remove_left(task: TaskId) {
    remove_left_in(Path::new(MEMORY), task);
}

fn remove_left_in(memory: &Path, task: TaskId) {
    let ours = rustix::process::geteuid().as_raw();
    let prefix = prefix(task);
    for entry in fs::read_dir(memory).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(folder) = rustix::fs::open(entry.path(), flags, Mode::empty()) else { continue };
        if rustix::fs::fstat(&folder).is_ok_and(|stat| stat.st_uid == ours) {
            // What is gone already need not be removed; what stays has no name that anybody but us can look up.
            let _ = rustix::fs::unlinkat(&folder, VIEW, AtFlags::empty());
            let _ = fs::remove_dir(entry.path());
        }
    }
}

fn prefix(task: TaskId) -> String {
    format!("hotcell-{task}-")
}

/// The file of a view, in a folder of its own.
fn begin(input: &Input, task: TaskId, number: usize) -> Result<(View, File), TaskError> {
    let folder = Path::new(MEMORY).join(format!("{}{number}", prefix(task)));
    let cannot = TaskError::file("make the view of an input in", &folder);
    DirBuilder::new().mode(0o700).create(&folder).map_err(cannot)?;
    let view = View { input: input.name.clone(), path: folder.join(VIEW), folder, report: None };
    let to = OpenOptions::new().write(true).create_new(true).mode(0o444).open(&view.path);
    let to = to.map_err(TaskError::file("make the view of the input", &input.path))?;
    Ok((view, to))
}

fn view(input: &Input, columns: &BTreeSet<String>, task: TaskId, number: usize) -> Result<View, TaskError> {
    let (view, to) = begin(input, task, number)?;
    let write = || -> io::Result<()> {
        let mut to = BufWriter::new(to);
        match is_jsonl(&input.path) {
            true => project_jsonl(&input.path, columns, &mut to)?,
            false => project_csv(&input.path, columns, &mut to)?,
        }
        to.flush()
    };
    write().map_err(TaskError::file("make the view of the input", &input.path))?;
    Ok(view)
}

/// The columns of a table.
///
/// # Errors
/// When it cannot be read, or is no table.
pub(crate) fn columns_of(path: &Path) -> Result<Vec<String>, TaskError> {
    let read = || -> io::Result<Vec<String>> {
        if !is_jsonl(path) {
            let mut reader = csv::Reader::from_path(path)?;
            return Ok(reader.headers()?.iter().map(str::to_owned).collect());
        }
        let mut columns = BTreeSet::new();
        each_row(path, |row| {
            columns.extend(row.keys().cloned());
            Ok(())
        })?;
        Ok(columns.into_iter().collect())
    };
    read().map_err(TaskError::file("read the columns of", path))
}

fn is_jsonl(path: &Path) -> bool {
    matches!(path.extension().and_then(|ending| ending.to_str()), Some("jsonl" | "ndjson"))
}

fn project_csv(from: &Path, columns: &BTreeSet<String>, to: &mut impl Write) -> io::Result<()> {
    let mut reader = csv::Reader::from_path(from)?;
    let headers = reader.headers()?;
    // Of two columns with one name, both are readable or neither.
    let kept: Vec<usize> = (0..).zip(headers).filter(|(_, name)| columns.contains(*name)).map(|(at, _)| at).collect();
    let mut writer = csv::Writer::from_writer(to);
    writer.write_record(kept.iter().filter_map(|at| headers.get(*at)))?;
    for row in reader.byte_records() {
        let row = row?;
        writer.write_record(kept.iter().filter_map(|at| row.get(*at)))?;
    }
    writer.flush()
}

fn project_jsonl(from: &Path, columns: &BTreeSet<String>, to: &mut impl Write) -> io::Result<()> {
    each_row(from, |mut row| {
        row.retain(|name, _| columns.contains(name));
        serde_json::to_writer(&mut *to, &row)?;
        to.write_all(b"\n")
    })
}

fn each_row(from: &Path, mut take: impl FnMut(BTreeMap<String, Box<RawValue>>) -> io::Result<()>) -> io::Result<()> {
    let mut reader = BufReader::new(File::open(from)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        if io::Read::take(&mut reader, MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == MAX_LINE_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a line is longer than {MAX_LINE_BYTES} bytes"),
            ));
        }
        if !line.trim_ascii().is_empty() {
            take(serde_json::from_slice(&line)?)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projected(name: &str, text: &str, columns: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let columns = columns.iter().map(ToString::to_string).collect();
        let mut to = Vec::new();
        match is_jsonl(&path) {
            true => project_jsonl(&path, &columns, &mut to).unwrap(),
            false => project_csv(&path, &columns, &mut to).unwrap(),
        }
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn a_table_without_the_columns_that_are_not_granted_keeps_every_row() {
        let text = "name,age,note\n\"Li, Wei\",41,\"a \"\"b\"\"\"\nAnn,7,\n";
        assert_eq!(projected("x.csv", text, &["age", "note"]), "age,note\n41,\"a \"\"b\"\"\"\n7,\n");
        assert_eq!(projected("x.csv", text, &["name"]), "name\n\"Li, Wei\"\nAnn\n");
        let text = "{\"name\":\"Ann\",\"age\":7}\n\n{\"age\":8,\"other\":{\"name\":1}}\n";
        assert_eq!(projected("x.jsonl", text, &["age"]), "{\"age\":7}\n{\"age\":8}\n");
        let text = "{\"id\":123456789012345678901234567890,\"score\":1.10,\"name\":\"Ann\"}\n";
        let kept = "{\"id\":123456789012345678901234567890,\"score\":1.10}\n";
        assert_eq!(projected("x.jsonl", text, &["id", "score"]), kept, "numbers stay as they were written");
    }

    #[test]
    fn columns_with_one_name_are_kept_or_left_out_together() {
        assert_eq!(projected("x.csv", "a,b,a\n1,2,3\n", &["a"]), "a,a\n1,3\n");
        assert_eq!(projected("x.csv", "a,b,a\n1,2,3\n", &["b"]), "b\n2\n");
    }

    #[test]
    fn views_of_a_killed_task_are_removed_and_nothing_by_a_link() {
        let memory = tempfile::tempdir().unwrap();
        let (killed, other) = (TaskId::from_bytes([1; 10]), TaskId::from_bytes([2; 10]));
        let make = |folder: &Path| {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join(VIEW), "age\n7\n").unwrap();
        };
        let of = |task, number: u8| memory.path().join(format!("{}{number}", prefix(task)));
        [of(killed, 0), of(killed, 1), of(other, 0), memory.path().join("theirs")].iter().for_each(|path| make(path));
        std::os::unix::fs::symlink(memory.path().join("theirs"), of(killed, 2)).unwrap();
        remove_left_in(memory.path(), killed);
        assert!(!of(killed, 0).exists() && !of(killed, 1).exists());
        assert!(of(other, 0).join(VIEW).exists() && memory.path().join("theirs").join(VIEW).exists());
    }
}
