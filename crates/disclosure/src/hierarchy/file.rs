//! A hierarchy of one's own, in TOML: each value with what it lies within.
//!
//! ```toml
//! format = 1
//! levels = ["department", "house"]
//!
//! [values]
//! cardiology = ["internal medicine", "north"]
//! nephrology = ["internal medicine", "north"]
//! ```

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;

use crate::error::{DisclosureError, line_of};

/// The longest file of a hierarchy.
pub const MAX_HIERARCHY_BYTES: usize = 4 << 20;
/// The most levels between the value and `*`.
const MAX_LEVELS: usize = 8;

/// What a file of a hierarchy says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HierarchyFile {
    levels: usize,
    values: BTreeMap<String, Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    format: Spanned<u32>,
    levels: Spanned<Vec<String>>,
    values: BTreeMap<Spanned<String>, Vec<String>>,
}

impl HierarchyFile {
    /// Reads a hierarchy.
    ///
    /// # Errors
    /// [`DisclosureError::Rules`] with the line.
    pub fn parse(file: &str, text: &str) -> Result<Self, DisclosureError> {
        let at = |place: usize, problem: String| DisclosureError::Rules {
            file: file.to_owned(),
            line: line_of(text, place),
            problem,
        };
        if text.len() > MAX_HIERARCHY_BYTES {
            return Err(at(0, format!("it is longer than {MAX_HIERARCHY_BYTES} bytes")));
        }
        let raw: Raw = toml::from_str(text).map_err(|error| DisclosureError::toml(file, text, &error))?;
        if *raw.format.get_ref() != 1 {
            return Err(at(raw.format.span().start, "`format` is not 1, the only one there is".to_owned()));
        }
        let levels = raw.levels.get_ref().len();
        if levels == 0 || levels > MAX_LEVELS {
            return Err(at(raw.levels.span().start, format!("`levels` are 1 to {MAX_LEVELS} names")));
        }
        // What lies within what, of each level but the last.
        let mut within: Vec<BTreeMap<String, String>> = vec![BTreeMap::new(); levels];
        let mut values = BTreeMap::new();
        for (name, path) in raw.values {
            let place = name.span().start;
            let name = name.into_inner();
            if path.len() != levels {
                return Err(at(place, format!("`{}` has {} levels, not {levels}", name.escape_debug(), path.len())));
            }
            if path.iter().any(|part| part.is_empty() || part == super::ANY) {
                return Err(at(place, format!("`{}` lies within an empty name or `*`", name.escape_debug())));
            }
            for (pair, within) in path.windows(2).zip(&mut within) {
                let [inner, outer] = pair else { continue };
                let known = within.entry(inner.clone()).or_insert_with(|| outer.clone());
                if known != outer {
                    let (inner, known, outer) = (inner.escape_debug(), known.escape_debug(), outer.escape_debug());
                    return Err(at(place, format!("`{inner}` lies within `{outer}` here and within `{known}` above")));
                }
            }
            values.insert(name, path);
        }
        Ok(Self { levels, values })
    }

    /// The levels between the value and `*`.
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    pub(super) fn at(&self, value: &str, level: usize) -> Option<&str> {
        self.values.get(value)?.get(level - 1).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Hierarchy;

    const GOOD: &str = "format = 1\nlevels = [\"department\", \"house\"]\n[values]\ncardiology = [\"internal\", \"north\"]\nnephrology = [\"internal\", \"north\"]\n\"眼科\" = [\"surgery\", \"south\"]\n";

    #[test]
    fn a_file_says_what_lies_within_what() {
        let hierarchy = Hierarchy::File(HierarchyFile::parse("w.toml", GOOD).unwrap());
        let levels = |value: &str| (0..=3).map(|level| hierarchy.at(value, level)).collect::<Vec<_>>();
        assert_eq!(levels("cardiology"), ["cardiology", "internal", "north", "*"]);
        assert_eq!(levels("眼科"), ["眼科", "surgery", "south", "*"]);
        assert_eq!(levels("unknown"), ["unknown", "*", "*", "*"]);
    }

    #[test]
    fn a_fault_is_told_with_its_line() {
        for (text, line, said) in [
            ("format = 2\nlevels = [\"a\"]\n[values]\n", 1, "format"),
            ("format = 1\nlevels = []\n[values]\n", 2, "levels"),
            ("format = 1\nlevels = [\"a\"]\n[values]\nx = [\"p\"]\ny = [\"p\", \"q\"]\n", 5, "2 levels"),
            ("format = 1\nlevels = [\"a\", \"b\"]\n[values]\nx = [\"p\", \"q\"]\ny = [\"p\", \"r\"]\n", 5, "within"),
            ("format = 1\nlevels = [\"a\"]\n[values]\nx = [\"*\"]\n", 4, "empty"),
            ("format = 1\nlevels = [\"a\"]\nvalue = 1\n[values]\n", 3, "unknown"),
            ("format = 1\nlevels = [\"a\"]\n[values]\nx = \"p\"\n", 4, "invalid type"),
            ("format = 1\nlevels = [\"a\"]\n[values]\nx = [\"p\"]\nx = [\"p\"]\n", 5, "duplicate"),
            ("format = 1\nlevels [", 2, ""),
        ] {
            let error = HierarchyFile::parse("w.toml", text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("w.toml, line {line}: ")) && error.contains(said), "{text}: {error}");
        }
    }
}
