//! Detectors: data in TOML, checked. The format is specified in `docs/formats/detectors.md`.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use regex_automata::meta::Regex;
use regex_automata::util::syntax;
use serde::Deserialize;

use super::DetectorError;
use super::validator::Validator;

/// One detector, checked.
#[derive(Debug)]
pub struct Detector {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) title: String,
    pub(crate) region: String,
    pub(crate) confidence: f32,
    pub(crate) anchor: Anchor,
    pattern: Option<Pattern>,
    /// Widths of digits between separators that a number may be written in; none: any.
    pub(crate) groups: Vec<Vec<usize>>,
    pub(crate) validator: Option<Validator>,
    pub(crate) context: Vec<String>,
    pub(crate) context_required: ContextRule,
    /// Whether only words on the same line count.
    pub(crate) context_line: bool,
    matches: Vec<String>,
    rejects: Vec<String>,
}

/// What leads the engine to a place where the pattern is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// A number of so many digits, also in groups; the pattern is held against its digits alone.
    Digits(BTreeSet<usize>),
    /// A number of so many digits in all, with one of these signs between them if there are any; the pattern is held
    /// against the text, from so many bytes before to so many bytes after it. It has so many runs at least.
    Around { digits: BTreeSet<usize>, before: usize, after: usize, separators: Vec<u8>, parts: usize },
    /// A word of letters and digits, of a length between these, beside one of these signs if there are any; the
    /// pattern begins where it does, or so many bytes before. One of hexadecimal signs need not have both.
    Token { least: usize, most: usize, before: usize, beside: Vec<u8>, hex: bool },
    /// One of these words; the pattern may begin so many bytes before it.
    Words { words: Vec<String>, before: usize },
}

/// When a word of context has to stand nearby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ContextRule {
    /// It only makes the finding surer.
    #[default]
    Helps,
    /// Where the number is not written in its groups.
    Ungrouped,
    /// Always.
    Required,
}

/// `true`, `false` or `"ungrouped"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum RawContextRule {
    Flag(bool),
    Word(String),
}

#[derive(Debug)]
struct Pattern {
    text: String,
    compiled: OnceLock<Option<Regex>>,
}

/// A file of detectors as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    detector: Vec<toml::Spanned<Raw>>,
    #[serde(default)]
    canary: Vec<toml::Spanned<RawCanary>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    id: String,
    kind: Option<String>,
    title: String,
    #[serde(default)]
    region: Option<String>,
    confidence: f32,
    digits: Option<Vec<usize>>,
    token: Option<[usize; 2]>,
    words: Option<Vec<String>>,
    before: Option<usize>,
    after: Option<usize>,
    pattern: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    validator: Option<String>,
    #[serde(default)]
    context: Vec<String>,
    context_required: Option<RawContextRule>,
    #[serde(default)]
    context_line: bool,
    beside: Option<String>,
    separators: Option<String>,
    parts: Option<usize>,
    hex: Option<bool>,
    #[serde(default, rename = "match")]
    matches: Vec<String>,
    #[serde(default, rename = "reject")]
    rejects: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCanary {
    id: String,
    text: String,
}

/// Longest file of detectors.
const MAX_FILE_BYTES: usize = 4 << 20;
/// Most detectors in one file.
const MAX_DETECTORS: usize = 10_000;
/// Longest pattern.
const MAX_PATTERN_BYTES: usize = 4096;
/// Shortest canary: a shorter text stands everywhere.
const MIN_CANARY_BYTES: usize = 8;
/// Longest word.
const MAX_WORD_BYTES: usize = 256;
/// Farthest that a pattern may begin before its word.
const MAX_BEFORE: usize = 512;
/// What a compiled pattern may take, so that no file makes memory without a bound.
const MAX_COMPILED_BYTES: usize = 4 << 20;

/// Reads the detectors of a file; `file` is named in errors.
pub(crate) fn read(text: &str, file: &str) -> Result<Vec<Detector>, DetectorError> {
    let line_at = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    if text.len() > MAX_FILE_BYTES {
        return Err(DetectorError::TooLong { file: file.to_owned(), bytes: text.len(), most: MAX_FILE_BYTES });
    }
    let raw: File = toml::from_str(text).map_err(|error| DetectorError::Syntax {
        file: file.to_owned(),
        line: error.span().map_or(1, |span| line_at(span.start)),
        problem: error.message().to_owned(),
    })?;
    if raw.detector.len() + raw.canary.len() > MAX_DETECTORS {
        return Err(DetectorError::TooMany { file: file.to_owned(), most: MAX_DETECTORS });
    }
    let mut seen = BTreeSet::new();
    let mut detectors = Vec::new();
    let checked = raw.detector.into_iter().map(|raw| (raw.span().start, check(raw.into_inner())));
    let canaries = raw.canary.into_iter().map(|raw| (raw.span().start, canary(raw.into_inner())));
    for (at, checked) in checked.chain(canaries) {
        let wrong = |id: &str, problem| DetectorError::Value {
            file: file.to_owned(),
            line: line_at(at),
            id: id.to_owned(),
            problem,
        };
        let detector = checked.map_err(|(id, problem)| wrong(&id, problem))?;
        if !seen.insert(detector.id.clone()) {
            return Err(wrong(&detector.id, "the id stands twice in the file".to_owned()));
        }
        detectors.push(detector);
    }
    Ok(detectors)
}

fn canary(raw: RawCanary) -> Result<Detector, (String, String)> {
    if !(MIN_CANARY_BYTES..=MAX_WORD_BYTES).contains(&raw.text.len()) {
        return Err((raw.id, format!("a canary has {MIN_CANARY_BYTES} to {MAX_WORD_BYTES} bytes")));
    }
    if !is_name(&raw.id) {
        return Err((String::new(), "`id` is made of a-z, 0-9 and `-`".to_owned()));
    }
    Ok(Detector {
        id: raw.id,
        kind: "canary".to_owned(),
        title: "Canary".to_owned(),
        region: "any".to_owned(),
        confidence: 1.0,
        matches: vec![raw.text.clone()],
        anchor: Anchor::Words { words: vec![raw.text], before: 0 },
        pattern: None,
        groups: Vec::new(),
        validator: None,
        context: Vec::new(),
        context_required: ContextRule::Helps,
        context_line: false,
        rejects: Vec::new(),
    })
}

fn check(raw: Raw) -> Result<Detector, (String, String)> {
    let id = raw.id.clone();
    check_inner(raw).map_err(|problem| (id, problem))
}

fn check_inner(raw: Raw) -> Result<Detector, String> {
    let kind = raw.kind.clone().unwrap_or_else(|| raw.id.clone());
    if !is_name(&raw.id) || !is_name(&kind) {
        return Err("`id` and `kind` are made of a-z, 0-9 and `-`".to_owned());
    }
    if !(0.0..=1.0).contains(&raw.confidence) {
        return Err("`confidence` lies between 0 and 1".to_owned());
    }
    let anchor = anchor(&raw)?;
    if raw.pattern.is_none() && !matches!(anchor, Anchor::Words { .. }) && raw.validator.is_none() {
        return Err("`pattern` or `validator` is missing".to_owned());
    }
    let context_required = match raw.context_required.as_ref() {
        None | Some(RawContextRule::Flag(false)) => ContextRule::Helps,
        Some(RawContextRule::Flag(true)) => ContextRule::Required,
        Some(RawContextRule::Word(word)) if word == "ungrouped" => ContextRule::Ungrouped,
        Some(RawContextRule::Word(_)) => {
            return Err("`context_required` is true, false or \"ungrouped\"".to_owned());
        }
    };
    if context_required != ContextRule::Helps && raw.context.is_empty() {
        return Err("`context_required` without words in `context`".to_owned());
    }
    if raw.context.iter().any(|word| word.len() < 3 || word.len() > 64) {
        return Err("words of `context` have 3 to 64 bytes".to_owned());
    }
    if raw.matches.is_empty() {
        return Err("`match` needs an example that is found".to_owned());
    }
    let validator = raw.validator.as_deref().map(|name| {
        Validator::named(name)
            .ok_or_else(|| format!("there is no validator `{name}`; there are {}", Validator::names()))
    });
    let groups = raw.groups.iter().map(|text| {
        let widths = text.split('-').map(str::parse).collect::<Result<Vec<usize>, _>>();
        widths.map_err(|_| format!("`groups` has `{text}`; write widths as \"4-4-4-4\""))
    });
    let detector = Detector {
        kind,
        title: raw.title,
        region: raw.region.unwrap_or_else(|| "any".to_owned()),
        confidence: raw.confidence,
        anchor,
        pattern: raw.pattern.map(|text| Pattern { text, compiled: OnceLock::new() }),
        groups: groups.collect::<Result<_, _>>()?,
        validator: validator.transpose()?,
        context: raw.context.iter().map(|word| word.to_ascii_lowercase()).collect(),
        context_required,
        context_line: raw.context_line,
        matches: raw.matches,
        rejects: raw.rejects,
        id: raw.id,
    };
    if detector.pattern.as_ref().is_some_and(|pattern| pattern.text.len() > MAX_PATTERN_BYTES) {
        return Err(format!("`pattern` has at most {MAX_PATTERN_BYTES} bytes"));
    }
    Ok(detector)
}

fn anchor(raw: &Raw) -> Result<Anchor, String> {
    let (before, after) = (raw.before, raw.after);
    if before.max(after).is_some_and(|far| far > MAX_BEFORE) {
        return Err(format!("`before` and `after` are at most {MAX_BEFORE}"));
    }
    let signs = |signs: &Option<String>| signs.clone().unwrap_or_default().into_bytes();
    let around = before.is_some() || after.is_some();
    let idle = [
        ("beside", raw.beside.is_some() && raw.token.is_none()),
        ("separators", raw.separators.is_some() && !(raw.digits.is_some() && around)),
        ("groups", !raw.groups.is_empty() && (raw.digits.is_none() || around)),
        ("parts", raw.parts.is_some() && !(raw.digits.is_some() && around)),
        ("hex", raw.hex.is_some() && raw.token.is_none()),
        ("context_line", raw.context_line && raw.context.is_empty()),
        ("after", after.is_some() && raw.digits.is_none()),
    ];
    if let Some((key, _)) = idle.iter().find(|(_, idle)| *idle) {
        return Err(format!("`{key}` means nothing here"));
    }
    match (&raw.digits, raw.token, &raw.words) {
        (Some(digits), None, None) => {
            let digits: BTreeSet<_> = digits.iter().copied().collect();
            if digits.is_empty() || digits.iter().any(|count| !(4..=40).contains(count)) {
                return Err("`digits` are counts from 4 to 40".to_owned());
            }
            Ok(match around {
                false => Anchor::Digits(digits),
                true => Anchor::Around {
                    digits,
                    before: before.unwrap_or(0),
                    after: after.unwrap_or(0),
                    separators: signs(&raw.separators),
                    parts: raw.parts.unwrap_or(1),
                },
            })
        }
        (None, Some([least, most]), None) => {
            if !(2 <= least && least <= most && most <= 256) {
                return Err("`token` is the least and the most length, within 2 and 256".to_owned());
            }
            let hex = raw.hex.unwrap_or(false);
            if hex && most > 2 {
                return Err("`hex` is for words of 2 signs".to_owned());
            }
            Ok(Anchor::Token { least, most, before: before.unwrap_or(0), beside: signs(&raw.beside), hex })
        }
        (None, None, Some(words)) => {
            if words.is_empty() || words.iter().any(|word| word.is_empty() || word.len() > MAX_WORD_BYTES) {
                return Err(format!("`words` are one or more, each of 1 to {MAX_WORD_BYTES} bytes"));
            }
            Ok(Anchor::Words { words: words.clone(), before: before.unwrap_or(0) })
        }
        _ => Err("exactly one of `digits`, `token` and `words` leads to a place".to_owned()),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

impl Detector {
    /// Its id, unique among all in use.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The kind of its findings; several detectors may share one.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it finds, for people.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where such things come from: a country code, `EU`, or `any`.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The name of what validates a match, where something does.
    pub fn validator(&self) -> Option<&'static str> {
        self.validator.map(Validator::name)
    }

    /// Examples that it finds.
    pub fn must_match(&self) -> &[String] {
        &self.matches
    }

    /// Examples that it does not find.
    pub fn must_not_match(&self) -> &[String] {
        &self.rejects
    }

    /// Whether it has a pattern; without one, the word itself is what it finds.
    pub(crate) fn has_pattern(&self) -> bool {
        self.pattern.is_some()
    }

    /// Its pattern, compiled when it is first needed; none also where it does not compile, which
    /// [`Detector::compile`] has refused before.
    pub(crate) fn regex(&self) -> Option<&Regex> {
        let pattern = self.pattern.as_ref()?;
        pattern.compiled.get_or_init(|| compile(&pattern.text).ok()).as_ref()
    }

    /// Says why its pattern does not compile.
    pub(crate) fn compile(&self) -> Result<(), String> {
        let Some(pattern) = &self.pattern else { return Ok(()) };
        compile(&pattern.text).map(drop)
    }
}

/// How patterns are read: on bytes, Unicode where they name it.
pub(crate) fn syntax() -> syntax::Config {
    syntax::Config::new().utf8(false)
}

fn compile(text: &str) -> Result<Regex, String> {
    Regex::builder()
        .syntax(syntax())
        .configure(Regex::config().utf8_empty(false).nfa_size_limit(Some(MAX_COMPILED_BYTES)))
        .build(text)
        .map_err(|error| {
            let why = error.syntax_error().map(ToString::to_string).unwrap_or_else(|| error.to_string());
            let last = why.lines().last().unwrap_or_default();
            format!("`pattern` is no regular expression: {}", last.trim_start_matches("error: "))
        })
}
