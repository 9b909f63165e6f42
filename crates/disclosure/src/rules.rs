//! The rules: for each dataset and role what is done with each column, in TOML. `docs/formats/views.md` has the form.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::error::{DisclosureError, line_of};
use crate::hierarchy::{Hierarchy, HierarchyFile};
use crate::noise::Noise;

/// The longest file of rules.
pub const MAX_RULES_BYTES: usize = 1 << 20;
/// The most letters of a name.
const MAX_NAME: usize = 128;

/// All views of a file of rules.
#[derive(Debug, Clone, Default)]
pub struct Views {
    views: Vec<View>,
}

/// What a role sees of a dataset.
#[derive(Debug, Clone)]
pub struct View {
    /// Its name, which a policy demands it by.
    pub name: String,
    /// The role that sees it.
    pub role: String,
    /// The dataset.
    pub dataset: String,
    /// Whether columns that no rule names stay.
    pub keeps_others: bool,
    /// What findings in it mean.
    pub scan: Scan,
    /// The column whose value names a row, for what is encrypted.
    pub row_key: Option<String>,
    /// What classes of rows have to be.
    pub anonymity: Option<Anonymity>,
    /// What is done with each column.
    pub columns: BTreeMap<String, Column>,
}

/// What findings in a view mean. It is always looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scan {
    /// There is no view.
    #[default]
    Refuse,
    /// They are counted: its reader sees such data.
    Report,
}

/// What classes of rows that agree in all quasi-identifiers have to be.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anonymity {
    /// The fewest people in a class.
    pub k: u32,
    /// The fewest different values of each sensitive column in a class.
    #[serde(default = "one")]
    pub l: u32,
    /// The column that names the person of a row; without it each row is a person.
    #[serde(default)]
    pub person: Option<String>,
    /// The most rows of a hundred that may be left out.
    #[serde(default)]
    pub max_suppressed_percent: u32,
}

fn one() -> u32 {
    1
}

/// What is done with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What.
    pub method: Method,
    /// Whether it tells people apart.
    pub quasi: bool,
    /// Whether it is what nobody may learn of a person.
    pub sensitive: bool,
}

/// One way to show a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Keep,
    /// Not at all.
    Suppress,
    /// Its shape.
    Mask {
        /// Letters that stay at the beginning.
        first: usize,
        /// Letters that stay at the end.
        last: usize,
    },
    /// A keyed hash.
    Hash {
        /// Columns of one domain have one key.
        domain: String,
    },
    /// A keyed token, which leads back with the key.
    Token {
        /// Columns of one domain have one key.
        domain: String,
        /// Whether digits become digits, and the rest stays.
        keeps_format: bool,
    },
    /// Encrypted, bound to its place.
    Encrypt,
    /// Coarser.
    Generalise {
        /// By which hierarchy.
        hierarchy: Hierarchy,
        /// The name of that.
        by: String,
        /// The level, at least.
        level: usize,
    },
    /// With noise.
    Noise(NoiseMethod),
}

/// Noise, with what its settings are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoiseMethod(pub(crate) Noise);

impl Method {
    /// Its name in the rules.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Suppress => "suppress",
            Self::Mask { .. } => "mask",
            Self::Hash { .. } => "hash",
            Self::Token { .. } => "token",
            Self::Encrypt => "encrypt",
            Self::Generalise { .. } => "generalise",
            Self::Noise(_) => "noise",
        }
    }

    /// Whether it needs a key.
    pub fn needs_key(&self) -> bool {
        matches!(self, Self::Hash { .. } | Self::Token { .. } | Self::Encrypt)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<u32>,
    #[serde(default)]
    view: Vec<Spanned<RawView>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawView {
    name: String,
    role: String,
    dataset: String,
    #[serde(default)]
    others: Others,
    #[serde(default)]
    scan: Scan,
    #[serde(default)]
    row_key: Option<String>,
    #[serde(default)]
    anonymity: Option<Spanned<Anonymity>>,
    #[serde(default)]
    columns: BTreeMap<String, Spanned<RawColumn>>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Others {
    #[default]
    Suppress,
    Keep,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawColumn {
    r#do: String,
    #[serde(default)]
    quasi: bool,
    #[serde(default)]
    sensitive: bool,
    first: Option<usize>,
    last: Option<usize>,
    domain: Option<String>,
    format: Option<String>,
    by: Option<String>,
    level: Option<usize>,
    widths: Option<Vec<u64>>,
    noise: Option<String>,
    spread: Option<String>,
    min: Option<String>,
    max: Option<String>,
    step: Option<String>,
}

impl Views {
    /// Reads a file of rules; `hierarchy` gives the text of a hierarchy's file by its name.
    ///
    /// # Errors
    /// [`DisclosureError::Rules`] with the line.
    pub fn parse(file: &str, text: &str, hierarchy: &dyn Fn(&str) -> Option<String>) -> Result<Self, DisclosureError> {
        let at = |place: usize, problem: String| DisclosureError::Rules {
            file: file.to_owned(),
            line: line_of(text, place),
            problem,
        };
        if text.len() > MAX_RULES_BYTES {
            return Err(at(0, format!("it is longer than {MAX_RULES_BYTES} bytes")));
        }
        let raw: Raw = toml::from_str(text).map_err(|error| DisclosureError::toml(file, text, &error))?;
        if *raw.format.get_ref() != 1 {
            return Err(at(raw.format.span().start, "`format` is not 1, the only one there is".to_owned()));
        }
        let mut views = Self::default();
        for view in raw.view {
            let place = view.span().start;
            let view = view.into_inner();
            let dataset = view.dataset.clone();
            let mut columns = BTreeMap::new();
            for (name, column) in view.columns {
                let place = column.span().start;
                let column =
                    checked_column(&dataset, &name, column.into_inner(), hierarchy).map_err(|fault| match fault {
                        Fault::Here(problem) => at(place, format!("the column `{}`: {problem}", name.escape_debug())),
                        Fault::There(error) => error,
                    })?;
                columns.insert(name, column);
            }
            let demand_place = view.anonymity.as_ref().map_or(place, |anonymity| anonymity.span().start);
            let checked = View {
                name: view.name,
                role: view.role,
                dataset,
                keeps_others: view.others == Others::Keep,
                scan: view.scan,
                row_key: view.row_key,
                anonymity: view.anonymity.map(Spanned::into_inner),
                columns,
            };
            checked.check_anonymity().map_err(|problem| at(demand_place, problem))?;
            checked.check_names().map_err(|problem| at(place, problem))?;
            let twice = views.views.iter().any(|other| {
                other.dataset == checked.dataset && (other.role == checked.role || other.name == checked.name)
            });
            if twice {
                let problem = "another view above is of the same dataset and the same role or name";
                return Err(at(place, problem.to_owned()));
            }
            views.views.push(checked);
        }
        Ok(views)
    }

    /// Adds the views of another file.
    ///
    /// # Errors
    /// The dataset of which both speak, for one role or under one name.
    pub fn add(&mut self, other: Self) -> Result<(), String> {
        for view in other.views {
            let same =
                |known: &View| known.dataset == view.dataset && (known.role == view.role || known.name == view.name);
            if self.views.iter().any(same) {
                return Err(view.dataset);
            }
            self.views.push(view);
        }
        Ok(())
    }

    /// What a role sees of a dataset.
    pub fn of_role(&self, role: &str, dataset: &str) -> Option<&View> {
        self.views.iter().find(|view| view.role == role && view.dataset == dataset)
    }

    /// The view of a dataset by its name.
    pub fn named(&self, name: &str, dataset: &str) -> Option<&View> {
        self.views.iter().find(|view| view.name == name && view.dataset == dataset)
    }

    /// Whether any view is of this dataset.
    pub fn speak_of(&self, dataset: &str) -> bool {
        self.views.iter().any(|view| view.dataset == dataset)
    }

    /// All of them.
    pub fn all(&self) -> &[View] {
        &self.views
    }
}

impl View {
    /// The quasi-identifiers.
    pub(crate) fn quasi(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.columns.iter().filter(|(_, column)| column.quasi).map(|(name, column)| (name.as_str(), column))
    }

    fn check_names(&self) -> Result<(), String> {
        for (what, name) in [("name", &self.name), ("role", &self.role), ("dataset", &self.dataset)] {
            if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                return Err(format!("`{what}` is empty, longer than {MAX_NAME} bytes, or not plain text"));
            }
        }
        if !self.name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',') {
            return Err("`name` has other characters than letters, digits and signs without `,`".to_owned());
        }
        Ok(())
    }

    fn check_anonymity(&self) -> Result<(), String> {
        let Some(demand) = &self.anonymity else {
            return match self.columns.values().any(|column| column.quasi || column.sensitive) {
                true => {
                    Err("columns are `quasi` or `sensitive`, and nothing is demanded: add [view.anonymity]".to_owned())
                }
                false => Ok(()),
            };
        };
        if demand.k < 2 || demand.l < 1 || demand.max_suppressed_percent > 100 {
            return Err("`k` is below 2, `l` below 1, or `max_suppressed_percent` above 100".to_owned());
        }
        if self.keeps_others {
            return Err("`others = \"keep\"` keeps columns that nobody looked at: no class can be counted".to_owned());
        }
        if self.quasi().next().is_none() {
            return Err("no column is `quasi`".to_owned());
        }
        if (demand.l > 1) != self.columns.values().any(|column| column.sensitive) {
            return Err("`l` above 1 and columns that are `sensitive` go together".to_owned());
        }
        for (name, column) in &self.columns {
            let name = name.escape_debug();
            let plain = matches!(column.method, Method::Keep | Method::Generalise { .. });
            if (column.quasi || column.sensitive) && !plain {
                return Err(format!("the column `{name}` is `quasi` or `sensitive`: keep or generalise it"));
            }
            if column.quasi && column.sensitive {
                return Err(format!("the column `{name}` is both `quasi` and `sensitive`"));
            }
            let tells = plain || matches!(column.method, Method::Mask { .. });
            if tells && !column.quasi && !column.sensitive {
                return Err(format!(
                    "the column `{name}` leaves readable and is neither `quasi` nor `sensitive`: it can tell people apart that \
                     the classes do not"
                ));
            }
        }
        Ok(())
    }
}

enum Fault {
    Here(String),
    There(DisclosureError),
}

impl From<String> for Fault {
    fn from(problem: String) -> Self {
        Self::Here(problem)
    }
}

fn checked_column(
    dataset: &str,
    name: &str,
    raw: RawColumn,
    file: &dyn Fn(&str) -> Option<String>,
) -> Result<Column, Fault> {
    let given = [
        ("first", raw.first.is_some()),
        ("last", raw.last.is_some()),
        ("domain", raw.domain.is_some()),
        ("format", raw.format.is_some()),
        ("by", raw.by.is_some()),
        ("level", raw.level.is_some()),
        ("widths", raw.widths.is_some()),
        ("noise", raw.noise.is_some()),
        ("spread", raw.spread.is_some()),
        ("min", raw.min.is_some()),
        ("max", raw.max.is_some()),
        ("step", raw.step.is_some()),
    ];
    let takes: &[&str] = match raw.r#do.as_str() {
        "keep" | "suppress" | "encrypt" => &[],
        "mask" => &["first", "last"],
        "hash" => &["domain"],
        "token" => &["domain", "format"],
        "generalise" => &["by", "level", "widths"],
        "noise" => &["noise", "spread", "min", "max", "step"],
        other => {
            let problem = "`do` is one of keep, suppress, mask, hash, token, encrypt, generalise, noise";
            return Err(Fault::Here(format!("{problem}, not `{}`", other.escape_debug())));
        }
    };
    if let Some((key, _)) = given.iter().find(|(key, is_given)| *is_given && !takes.contains(key)) {
        return Err(Fault::Here(format!("`{}` takes no `{key}`", raw.r#do)));
    }
    let domain = || raw.domain.clone().unwrap_or_else(|| format!("{dataset}\0{name}"));
    let method = match raw.r#do.as_str() {
        "keep" => Method::Keep,
        "suppress" => Method::Suppress,
        "encrypt" => Method::Encrypt,
        "mask" => Method::Mask { first: raw.first.unwrap_or(0).min(64), last: raw.last.unwrap_or(0).min(64) },
        "hash" => Method::Hash { domain: domain() },
        "token" => {
            let keeps_format = match raw.format.as_deref() {
                None => false,
                Some("digits") => true,
                Some(_) => return Err(Fault::Here("`format` is not `digits`".to_owned())),
            };
            Method::Token { domain: domain(), keeps_format }
        }
        "noise" => {
            let needed = |key: &str, value: &Option<String>| {
                value.clone().ok_or_else(|| format!("`noise` needs `{key}`, as a text"))
            };
            let kind = needed("noise", &raw.noise)?;
            let (spread, step) = (needed("spread", &raw.spread)?, raw.step.clone().unwrap_or_else(|| "1".to_owned()));
            Method::Noise(NoiseMethod(Noise::new(
                &kind,
                &spread,
                &needed("min", &raw.min)?,
                &needed("max", &raw.max)?,
                &step,
            )?))
        }
        _ => {
            let by = raw.by.clone().ok_or_else(|| "`generalise` needs `by`".to_owned())?;
            let hierarchy = match (by.as_str(), &raw.widths) {
                ("range", Some(widths)) => Hierarchy::ranges(widths)?,
                ("range", None) => return Err(Fault::Here("`range` needs `widths`".to_owned())),
                (_, Some(_)) => return Err(Fault::Here("`widths` are for `by = \"range\"`".to_owned())),
                (path, None) if path.ends_with(".toml") => {
                    let sound = !path.contains(['/', '\\']) && !path.starts_with('.');
                    let text = Some(path).filter(|_| sound).and_then(file);
                    let text = text
                        .ok_or_else(|| format!("there is no hierarchy `{}` beside the rules", path.escape_debug()))?;
                    Hierarchy::File(HierarchyFile::parse(path, &text).map_err(Fault::There)?)
                }
                (name, None) => Hierarchy::builtin(name).ok_or_else(|| {
                    format!(
                        "`by` is age, date, prefix, icd, range or a file `NAME.toml`, not `{}`",
                        name.escape_debug()
                    )
                })?,
            };
            let level = raw.level.unwrap_or(1);
            if level > hierarchy.height() {
                return Err(Fault::Here(format!(
                    "`level` is above {}, which already tells nothing",
                    hierarchy.height()
                )));
            }
            Method::Generalise { hierarchy, by, level }
        }
    };
    Ok(Column { method, quasi: raw.quasi, sensitive: raw.sensitive })
}

#[cfg(test)]
mod tests;
