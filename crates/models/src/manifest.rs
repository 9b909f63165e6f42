//! The inventory of a model: each file's name, length and digest.

use std::fs::File;
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use hotcell_crypto::{Sha256Stream, sha256};
use hotcell_types::Digest;
use serde::{Deserialize, Serialize};

use crate::scan::{Entry, Kind, Report, Why, scan_file};

/// What a model is made of, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `hotcell-model-manifest/1`.
    pub format: String,
    /// The files.
    pub files: Vec<ManifestFile>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its name below the model's folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its digest.
    pub sha256: Digest,
}

impl Manifest {
    /// Reads every file, several at once; `progress` is told of bytes that were read.
    ///
    /// # Errors
    /// The first file that cannot be read.
    pub fn make(entries: &[Entry], progress: &(dyn Fn(u64) + Sync)) -> io::Result<Self> {
        let files = each(entries, &|entry| {
            let (bytes, sha256) = digest(entry, progress)?;
            Ok(ManifestFile { name: entry.name.clone(), bytes, sha256 })
        })?;
        Ok(Self { format: FORMAT.to_owned(), files })
    }

    /// Its bytes, the same for the same model: what is signed and named by digest.
    pub fn bytes(&self) -> Vec<u8> {
        // Texts and numbers only: nothing that JSON could not hold.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digest by which the model is known.
    pub fn digest(&self) -> Digest {
        sha256(&self.bytes())
    }

    /// Whether it is of a form that is known here.
    pub fn is_known(&self) -> bool {
        self.format == FORMAT
    }
}

/// Looks at every file of a model, several at once, and reads which of them are the data of others.
///
/// # Errors
/// The first file that cannot be read.
pub fn scan_model(entries: &[Entry], progress: &(dyn Fn(u64) + Sync)) -> io::Result<Vec<Report>> {
    let mut reports = each(entries, &|entry| {
        let report = scan_file(&entry.path, &entry.name)?;
        progress(entry.bytes);
        Ok(report)
    })?;
    let mut named = Vec::new();
    for (entry, report) in entries.iter().zip(&reports) {
        let folder = entry.name.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
        named.extend(report.data_files.iter().map(|name| format!("{folder}{name}")));
    }
    for (entry, report) in entries.iter().zip(&mut reports) {
        if named.contains(&entry.name) && report.refused.iter().all(|refusal| refusal.kind == Why::UnknownFormat) {
            report.refused.clear();
            report.kind = Some(Kind::Data);
        }
    }
    Ok(reports)
}

fn digest(entry: &Entry, progress: &(dyn Fn(u64) + Sync)) -> io::Result<(u64, Digest)> {
    let mut file = File::open(&entry.path)?;
    let (mut hash, mut bytes, mut buffer) = (Sha256Stream::new(), 0, vec![0; BUFFER]);
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((bytes, hash.finish()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
        bytes += read as u64;
        progress(read as u64);
    }
}

/// Does the same with each, on as many threads as there are processors; the answers are in their order.
fn each<T: Send>(entries: &[Entry], act: &(dyn Fn(&Entry) -> io::Result<T> + Sync)) -> io::Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let workers = thread::available_parallelism().map_or(1, usize::from).min(entries.len().max(1));
    let work = || {
        let mut done = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = entries.get(place) else { return Ok::<_, io::Error>(done) };
            done.push((place, act(entry)?));
        }
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            all.extend(worker.join().map_err(|_| io::Error::other("a worker failed"))??);
        }
        Ok::<_, io::Error>(all)
    })?;
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, answer)| answer).collect())
}

const FORMAT: &str = "hotcell-model-manifest/1";
const BUFFER: usize = 1 << 20;
