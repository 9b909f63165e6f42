//! Inspection of the output folder, and release of what may leave.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use hotcell_crypto::{Plaintext, PublicKey, Sha256Stream, age_seal};
use hotcell_disclosure::{DisclosureError, Format};
use hotcell_inspect::scan::Scanner;
use hotcell_inspect::{
    CanonicalizeError, CheckedSchema, CollectError, CollectRule, Collected, Finding, InputKeys, canonicalize, collect,
    sensitive_in_file, sensitive_in_names, sensitive_in_table,
};
use hotcell_policy::{Engine, Form, GrantUse, ItemKind, OutputRule, ReleaseGrant, ReleaseItem};
use hotcell_types::{Bits, Explain, OutputRecord, Refusal, TaskId};

use crate::TaskError;
use crate::views::Seeing;

/// One file that was inspected.
#[derive(Debug)]
pub(crate) struct Inspected {
    pub(crate) path: String,
    pub(crate) rows: Option<u64>,
    pub(crate) capacity: Bits,
    /// What the rewriting changed.
    pub(crate) notes: Vec<String>,
    content: Content,
}

/// What would leave.
#[derive(Debug)]
enum Content {
    /// Written anew.
    Canonical(Plaintext),
    /// As the workload wrote it.
    Opaque(Collected),
}

/// What inspection said.
#[derive(Debug)]
pub(crate) enum Inspection {
    /// All of it may leave, as far as its content goes.
    Fit(Vec<Inspected>),
    /// Nothing leaves.
    Refused { refusals: Vec<Refusal>, code: &'static str, remedy: String },
}

/// Looks at everything that the workload left.
///
/// # Errors
/// When the surroundings fail; a bad output is no error but [`Inspection::Refused`].
pub(crate) fn inspect(
    folder: BorrowedFd<'_>,
    grant: &GrantUse,
    schema: Option<&CheckedSchema>,
    keys: &InputKeys,
    scanner: Option<&Scanner>,
    seeing: &Seeing<'_>,
) -> Result<Inspection, TaskError> {
    let limits = grant.profile().limits();
    let max_bytes = limits.output_bytes().bytes();
    let rule = match (schema, grant.profile().outputs()) {
        (Some(schema), _) => CollectRule::Declared {
            files: schema.files().iter().map(|file| file.name().to_owned()).collect(),
            max_bytes,
        },
        (None, OutputRule::Declared) => CollectRule::Declared { files: Default::default(), max_bytes },
        (None, OutputRule::Any) => CollectRule::Undeclared { max_files: limits.output_files(), max_bytes },
    };
    let collected = match collect(folder, &rule) {
        Ok(collected) => collected,
        Err(CollectError::Refused { findings, .. }) => {
            let first = findings.first().map(|finding| (finding.kind.code(), finding.kind.remedy().to_owned()));
            let (code, remedy) = first.unwrap_or(("INS-217", String::new()));
            return Ok(Inspection::Refused {
                refusals: findings.iter().map(|finding| finding.refusal()).collect(),
                code,
                remedy,
            });
        }
        Err(error) => return Err(TaskError::part(error)),
    };
    // Names that were declared are nobody's to choose.
    if let Some(scanner) = scanner.filter(|_| schema.is_none()) {
        let names = collected.iter().map(|file| file.path.as_str());
        if let Some(refused) = refused(sensitive_in_names(names, scanner)) {
            return Ok(refused);
        }
    }
    let mut inspected = Vec::new();
    for file in collected {
        let declared = schema.and_then(|schema| schema.files().iter().find(|declared| declared.name() == file.path));
        let view = seeing.of_output(&file.path)?;
        let Some(declared) = declared else {
            if view.is_some() {
                let problem =
                    format!("the output `{}` is seen through a view, and is not declared", file.path.escape_debug());
                return Ok(unseen(&DisclosureError::Content { row: None, problem }));
            }
            if let Some(refused) = refused(sensitive_in_opaque(&file, scanner)?) {
                return Ok(refused);
            }
            inspected.push(Inspected {
                path: file.path.clone(),
                rows: None,
                capacity: file.opaque_capacity(),
                notes: Vec::new(),
                content: Content::Opaque(file),
            });
            continue;
        };
        let mut text = Vec::new();
        match canonicalize(declared, keys, &file.file, &mut text) {
            Ok(canonical) => {
                let found = scanner.map(|scanner| sensitive_in_table(declared, &text, scanner)).unwrap_or_default();
                if let Some(refused) = refused(found) {
                    return Ok(refused);
                }
                let (mut rows, mut notes) = (canonical.rows, canonical.rewriting.notes());
                if let Some(view) = view {
                    // What the view says follows from what was declared, and from our own noise: it carries no more.
                    let mut seen = Vec::new();
                    let format = match declared.format() {
                        hotcell_inspect::Format::Csv => Format::Csv,
                        hotcell_inspect::Format::Jsonl => Format::Jsonl,
                    };
                    match seeing.make(view, format, None, text.as_slice(), &mut seen) {
                        Ok(report) => {
                            rows = report.rows_written;
                            notes.push(format!(
                                "seen through the view `{}`, {} rows left out",
                                report.view, report.rows_suppressed
                            ));
                        }
                        Err(error) => return Ok(unseen(&error)),
                    }
                    drop(Plaintext::new(std::mem::replace(&mut text, seen)));
                }
                inspected.push(Inspected {
                    path: file.path,
                    rows: Some(rows),
                    capacity: canonical.capacity,
                    notes,
                    content: Content::Canonical(Plaintext::new(text)),
                });
            }
            Err(CanonicalizeError::Refused(finding)) => {
                return Ok(Inspection::Refused {
                    refusals: vec![finding.refusal()],
                    code: finding.kind.code(),
                    remedy: finding.kind.remedy().to_owned(),
                });
            }
            Err(error) => return Err(TaskError::part(error)),
        }
    }
    Ok(Inspection::Fit(inspected))
}

/// No view, no release.
fn unseen(error: &DisclosureError) -> Inspection {
    Inspection::Refused {
        refusals: vec![Refusal { code: error.code().to_owned(), what: error.to_string() }],
        code: error.code(),
        remedy: error.remedy(),
    }
}

/// What the detectors find in a file that leaves as the workload wrote it.
fn sensitive_in_opaque(file: &Collected, scanner: Option<&Scanner>) -> Result<Vec<Finding>, TaskError> {
    let Some(scanner) = scanner else { return Ok(Vec::new()) };
    let from_start = FromStart { file: &file.file, at: 0 };
    let path = Path::new(&file.path);
    sensitive_in_file(&file.path, from_start, scanner).map_err(TaskError::file("inspect the output", path))
}

/// Findings as a refusal of everything.
fn refused(findings: Vec<Finding>) -> Option<Inspection> {
    let kind = findings.first()?.kind;
    Some(Inspection::Refused {
        refusals: findings.iter().map(Finding::refusal).collect(),
        code: kind.code(),
        remedy: kind.remedy().to_owned(),
    })
}

/// Reads a file from its start, and leaves the place where others read on as it is.
struct FromStart<'a> {
    file: &'a File,
    at: u64,
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

/// Asks policy for each file. The first no is a no to all.
pub(crate) fn permit(
    engine: &Engine,
    grant: &GrantUse,
    inspected: Vec<Inspected>,
) -> Result<Vec<(ReleaseGrant, Inspected)>, hotcell_policy::Denial> {
    let ask = |file: Inspected| {
        let form = match file.content {
            Content::Canonical(_) => Form::Canonical,
            Content::Opaque(_) => Form::Opaque,
        };
        let item = ReleaseItem { name: file.path.clone(), kind: ItemKind::File, form, capacity: file.capacity };
        engine.decide_release(grant, item).map(|release| (release, file))
    };
    inspected.into_iter().map(ask).collect()
}

/// Files that are gathered beside the output folder's own, whole and in their final form, but not under their names.
#[derive(Debug)]
pub(crate) struct Staged {
    staging: PathBuf,
    output: PathBuf,
    pub(crate) records: Vec<OutputRecord>,
}

/// Where the outputs of a task are gathered before they are released.
pub(crate) fn staging_of(output: &Path, task: TaskId) -> PathBuf {
    output.join(format!(".hotcell-{task}"))
}

/// Makes sure, before any work is done, that outputs can be put there.
pub(crate) fn make_output_folder(output: &Path) -> Result<(), TaskError> {
    fs::create_dir_all(output).map_err(TaskError::file("make the output folder", output))?;
    let writable = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    rustix::fs::access(output, writable).map_err(|error| TaskError::file("write to", output)(error.into()))
}

/// Writes each permitted file, sealed if there are recipients, into the staging folder.
pub(crate) fn stage(
    output: &Path,
    task: TaskId,
    recipients: &[PublicKey],
    files: Vec<(ReleaseGrant, Inspected)>,
) -> Result<Staged, TaskError> {
    let staging = staging_of(output, task);
    DirBuilder::new().mode(0o700).create(&staging).map_err(TaskError::file("make", &staging))?;
    let mut staged = Staged { staging, output: output.to_owned(), records: Vec::new() };
    for (release, file) in files {
        let path = if recipients.is_empty() { file.path } else { format!("{}.age", file.path) };
        let at = staged.staging.join(&path);
        if let Some(folder) = at.parent() {
            fs::create_dir_all(folder).map_err(TaskError::file("make", folder))?;
        }
        if staged.output.join(&path).is_dir() {
            return Err(TaskError::Spec {
                what: format!("the output `{path}` would replace a folder of that name in the output folder"),
                remedy: "choose another output folder",
            });
        }
        let target = File::create_new(&at).map_err(TaskError::file("write", &at))?;
        let mut target = Hashing { file: target, hash: Sha256Stream::new(), bytes: 0 };
        match file.content {
            Content::Canonical(text) => write(text.expose_bytes(), recipients, &mut target, &at)?,
            Content::Opaque(collected) => write(&collected.file, recipients, &mut target, &at)?,
        }
        staged.records.push(OutputRecord {
            path,
            bytes: target.bytes,
            digest: target.hash.finish(),
            form: match release.form() {
                Form::Canonical => "canonical",
                Form::Opaque => "opaque",
            }
            .to_owned(),
            rows: file.rows,
            capacity: file.capacity,
            recipients: recipients.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(staged)
}

fn write<R: Read>(mut from: R, recipients: &[PublicKey], to: &mut Hashing, at: &Path) -> Result<(), TaskError> {
    if recipients.is_empty() {
        return io::copy(&mut from, to).map(drop).map_err(TaskError::file("write", at));
    }
    age_seal::seal(recipients, from, to).map(drop).map_err(TaskError::part)
}

impl Staged {
    /// Gives each file its name in the output folder; each appears whole or not at all, also after a loss of power.
    pub(crate) fn release(mut self) -> Result<Vec<OutputRecord>, TaskError> {
        self.sync_contents()?;
        for record in &self.records {
            if let Some(folder) = self.output.join(&record.path).parent() {
                fs::create_dir_all(folder).map_err(TaskError::file("make", folder))?;
            }
        }
        for record in &self.records {
            let to = self.output.join(&record.path);
            fs::rename(self.staging.join(&record.path), &to).map_err(TaskError::file("write", &to))?;
        }
        self.sync_names()?;
        Ok(std::mem::take(&mut self.records))
    }

    /// Waits until the contents are on the disk. INVARIANT (released-is-kept): a name that a receipt tells of never
    /// leads to less than the receipt says.
    fn sync_contents(&self) -> Result<(), TaskError> {
        if self.records.len() > MOST_SYNCED_ALONE {
            return sync_file_system(&self.staging);
        }
        for record in &self.records {
            let path = self.staging.join(&record.path);
            let synced = File::open(&path).and_then(|file| file.sync_data());
            synced.map_err(TaskError::file("write", &path))?;
        }
        Ok(())
    }

    /// Waits until their names are there too.
    fn sync_names(&self) -> Result<(), TaskError> {
        let folders: BTreeSet<&Path> =
            self.records.iter().flat_map(|record| Path::new(&record.path).ancestors().skip(1)).collect();
        if folders.len() > MOST_SYNCED_ALONE {
            return sync_file_system(&self.output);
        }
        for folder in folders {
            let path = self.output.join(folder);
            match File::open(&path).and_then(|folder| folder.sync_all()) {
                // A file system that does not know how to sync a folder.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                other => other.map_err(TaskError::file("write", &path))?,
            }
        }
        Ok(())
    }
}

/// Files that are synced one by one; of more, the whole file system is, which is one wait.
const MOST_SYNCED_ALONE: usize = 8;

fn sync_file_system(of: &Path) -> Result<(), TaskError> {
    let synced = File::open(of).and_then(|folder| Ok(rustix::fs::syncfs(&folder)?));
    synced.map_err(TaskError::file("write", of))
}

impl Drop for Staged {
    fn drop(&mut self) {
        // A staging folder that stays is removed by the next start.
        let _ = fs::remove_dir_all(&self.staging);
    }
}

/// A file that is digested as it is written.
struct Hashing {
    file: File,
    hash: Sha256Stream,
    bytes: u64,
}

impl Write for Hashing {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let count = self.file.write(buffer)?;
        self.hash.update(buffer.get(..count).unwrap_or_default());
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
