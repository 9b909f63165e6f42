//! `hotcell fingerprint`: an index of inputs, made ahead of the tasks that use them.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use clap::Args;
use hotcell_inspect::fingerprint::{Builder, Fingerprints, Size};
use hotcell_types::{ByteSize, Exit};
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::new_file::NewFile;
use crate::{bar, print, scan};

/// Index files and folders, so that what a task copies out of them is recognised.
///
/// The index holds keyed fingerprints of stretches and of the records of tables (CSV, TSV, JSON), and no content; yet
/// guesses can be tried against it, so keep it as you keep the inputs. `hotcell run --fingerprints INDEX` uses it. In the
/// profiles third-party, infer and train, a task without one indexes its inputs by itself.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Files and folders to index: all inputs of a task together.
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// The index to write.
    #[arg(long, value_name = "INDEX")]
    output: PathBuf,
    /// Recognise verbatim stretches from 256 bytes on, in place of 48: at most 5% of the inputs in place of 30%.
    #[arg(long)]
    coarse: bool,
    /// Replace the index where there is one.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &Arguments, app: &App) -> Result<Exit, Failure> {
    let mut files = Vec::new();
    for path in &arguments.paths {
        files.extend(scan::files_at(path)?);
    }
    let bar = bar::bar(files.iter().map(|(_, bytes)| bytes).sum(), "indexing", bar::BYTES);
    let mut to = NewFile::create(&arguments.output, INDEX_MODE, arguments.force)?;
    let mut builder = Builder::new(if arguments.coarse { Size::Coarse } else { Size::Fine });
    for (path, _) in &files {
        let file = File::open(path).map_err(|error| Failure::file("read", path, error))?;
        let counted = Counted { file, count: |bytes| bar.iter().for_each(|bar| bar.inc(bytes)) };
        builder.add(&path.to_string_lossy(), counted)?;
    }
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    let index = builder.finish();
    index.write(&mut to).map_err(|error| Failure::file("write", &arguments.output, error))?;
    to.publish()?;
    tell(&index, files.len(), arguments, app)?;
    Ok(Exit::Yes)
}

/// Only its owner may try guesses against it.
const INDEX_MODE: u32 = 0o600;

fn tell(index: &Fingerprints, files: usize, arguments: &Arguments, app: &App) -> io::Result<()> {
    let ((stretches, stretch_bytes), (records, record_bytes)) = (index.stretches(), index.records());
    if app.json {
        let told = json!({
            "index": arguments.output,
            "files": files,
            "input_bytes": index.input_bytes(),
            "shortest_stretch": index.size().stretch(),
            "stretches": stretches,
            "stretch_bytes": stretch_bytes,
            "records": records,
            "record_bytes": record_bytes,
        });
        return writeln!(print::out(), "{told}");
    }
    writeln!(
        print::err(),
        "indexed {files} files, {}: stretches {}, records {} in {}",
        ByteSize(index.input_bytes()),
        ByteSize(stretch_bytes),
        records,
        ByteSize(record_bytes)
    )
}

/// A file whose bytes are counted as they are read.
struct Counted<F> {
    file: File,
    count: F,
}

impl<F: FnMut(u64)> Read for Counted<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        (self.count)(count as u64);
        Ok(count)
    }
}
