//! The scanner: bytes → one pass for words, one for numbers and runs → patterns → checks → findings.

mod index;
mod layer;
mod words;

use std::sync::Arc;

use super::detector::{self, Detector};
use super::report::{Report, Tally};
use super::{DetectorError, Finding};
use crate::fingerprint::Fingerprints;
use index::Index;

/// How far a scan goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Most encodings within each other that are undone.
    pub depth: usize,
    /// Most bytes that are made by undoing encodings, for each scan.
    pub decoded_bytes: usize,
    /// Most findings that are kept; more are counted.
    pub findings: usize,
    /// Findings below this confidence are dropped.
    pub confidence: f32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { depth: 4, decoded_bytes: 256 << 20, findings: 10_000, confidence: 0.5 }
    }
}

/// Detectors that are ready to work. It may be shared by threads.
#[derive(Debug)]
pub struct Scanner {
    detectors: Vec<Detector>,
    index: Index,
    bounds: Bounds,
    prints: Vec<Arc<Fingerprints>>,
}

/// The detectors that come with Hotcell: file name and text.
pub const BUILTIN: &[(&str, &str)] = &[
    ("china.toml", include_str!("detectors/china.toml")),
    ("world.toml", include_str!("detectors/world.toml")),
    ("secrets.toml", include_str!("detectors/secrets.toml")),
];

impl Scanner {
    /// A scanner with the built-in detectors.
    ///
    /// # Errors
    /// None that a test would not have seen.
    pub fn builtin() -> Result<Self, DetectorError> {
        Self::with(&[])
    }

    /// The built-in detectors and those of further files, each given by name and text. A detector replaces one of the
    /// same id that came before. The examples of further files are tried at once.
    ///
    /// # Errors
    /// The first [`DetectorError`].
    pub fn with(files: &[(&str, &str)]) -> Result<Self, DetectorError> {
        let mut detectors: Vec<Detector> = Vec::new();
        for (name, text) in BUILTIN.iter().chain(files) {
            for detector in detector::read(text, name)? {
                detectors.retain(|known| known.id != detector.id);
                detectors.push(detector);
            }
        }
        let scanner = Self::of(detectors);
        for (name, text) in files {
            let ids: Vec<_> = detector::read(text, name)?.into_iter().map(|detector| detector.id).collect();
            scanner.try_examples(name, &ids)?;
        }
        Ok(scanner)
    }

    fn of(detectors: Vec<Detector>) -> Self {
        let index = Index::of(&detectors);
        Self { detectors, index, bounds: Bounds::default(), prints: Vec::new() }
    }

    /// A scanner that finds nothing by itself: only what fingerprints know.
    pub fn without_detectors() -> Self {
        Self::of(Vec::new())
    }

    /// The same, which also holds every layer against these fingerprints.
    #[must_use]
    pub fn with_fingerprints(mut self, prints: Arc<Fingerprints>) -> Self {
        self.prints.push(prints);
        self
    }

    /// The fingerprints that it holds against what it sees.
    pub fn fingerprints(&self) -> &[Arc<Fingerprints>] {
        &self.prints
    }

    /// Whether decoded bytes that are no text are something of an input: then they were decoded rightly.
    fn knows(&self, bytes: &[u8]) -> bool {
        self.prints.iter().any(|prints| prints.knows(bytes))
    }

    /// The same with other bounds.
    #[must_use]
    pub fn within(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// Its detectors.
    pub fn detectors(&self) -> &[Detector] {
        &self.detectors
    }

    /// The detector that a finding names.
    pub fn detector(&self, finding: &Finding) -> Option<&Detector> {
        self.detectors.get(finding.detector)
    }

    /// Its bounds.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Looks at bytes that are all there.
    pub fn scan(&self, bytes: &[u8]) -> Report {
        let mut tally = Tally::new(self.bounds);
        layer::scan(self, &mut tally, bytes);
        tally.finish()
    }

    /// Holds detectors against their examples and their patterns against the compiler.
    fn try_examples(&self, file: &str, ids: &[String]) -> Result<(), DetectorError> {
        for id in ids {
            let Some(place) = self.detectors.iter().position(|detector| detector.id == *id) else { continue };
            let Some(detector) = self.detectors.get(place) else { continue };
            let wrong = |problem| DetectorError::Example { file: file.to_owned(), id: id.clone(), problem };
            detector.compile().map_err(wrong)?;
            let alone = |text: &str| self.finds(place, text);
            for (number, example) in detector.must_match().iter().enumerate() {
                if !alone(example) {
                    return Err(wrong(format!("`match` example {} is not found", number + 1)));
                }
            }
            for (number, example) in detector.must_not_match().iter().enumerate() {
                if alone(example) {
                    return Err(wrong(format!("`reject` example {} is found", number + 1)));
                }
            }
        }
        Ok(())
    }

    /// Whether one detector finds something, whatever others find at the same place.
    fn finds(&self, detector: usize, text: &str) -> bool {
        let mut tally = Tally::new(self.bounds);
        layer::scan(self, &mut tally, text.as_bytes());
        tally.found(detector)
    }
}

#[cfg(test)]
mod tests;
