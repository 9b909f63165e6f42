//! Hierarchies: how a value becomes coarser, level by level, up to `*`, which says nothing.
//!
//! INVARIANT (nested): two values that are one at some level are one at every level above. So a class of rows only grows
//! as levels rise.

mod file;
mod icd;

use std::collections::BTreeMap;

pub use file::{HierarchyFile, MAX_HIERARCHY_BYTES};

/// What stands for any value.
pub const ANY: &str = "*";

/// One hierarchy. Level 0 is the value itself, the highest is [`ANY`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hierarchy {
    /// The value or nothing.
    Whole,
    /// Ages in years: ranges of 5, 10, 20; from 90 on all are one.
    Age,
    /// Dates: month, year, decade.
    Date,
    /// The value without its last one, two, … six letters.
    Prefix,
    /// ICD-10 codes: category, chapter.
    Icd,
    /// Whole numbers in ranges of these widths, each a multiple of the one before.
    Range(Vec<u64>),
    /// What a file says.
    File(HierarchyFile),
}

/// The ages from which on all are one.
const OLDEST: u32 = 90;
/// An age above which there is none.
const MAX_AGE: u32 = 150;
/// The letters that a prefix loses, at most.
const PREFIX_LEVELS: usize = 6;
/// The most widths of ranges.
const MAX_WIDTHS: usize = 8;

impl Hierarchy {
    /// A built-in hierarchy by its name.
    pub(crate) fn builtin(name: &str) -> Option<Self> {
        Some(match name {
            "age" => Self::Age,
            "date" => Self::Date,
            "prefix" => Self::Prefix,
            "icd" => Self::Icd,
            _ => return None,
        })
    }

    /// Ranges of whole numbers.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(crate) fn ranges(widths: &[u64]) -> Result<Self, String> {
        let nested = widths.windows(2).all(|pair| matches!(pair, [one, next] if next > one && next % one == 0));
        if widths.is_empty() || widths.len() > MAX_WIDTHS || widths.contains(&0) || !nested {
            return Err(format!("`widths` are 1 to {MAX_WIDTHS} numbers, each a multiple of the one before"));
        }
        Ok(Self::Range(widths.to_vec()))
    }

    /// The highest level, at which nothing is told.
    pub fn height(&self) -> usize {
        match self {
            Self::Whole => 1,
            Self::Age | Self::Date => 4,
            Self::Prefix => PREFIX_LEVELS + 1,
            Self::Icd => 3,
            Self::Range(widths) => widths.len() + 1,
            Self::File(file) => file.levels() + 1,
        }
    }

    /// The value at a level. What is not understood is `*` at every level but the lowest.
    pub fn at(&self, value: &str, level: usize) -> String {
        if level == 0 {
            return value.to_owned();
        }
        if level >= self.height() {
            return ANY.to_owned();
        }
        let value = value.trim();
        match self {
            Self::Whole => None,
            Self::Age => age(value, level),
            Self::Date => date(value, level),
            Self::Prefix => prefix(value, level),
            Self::Icd => icd::at(value, level),
            Self::Range(widths) => widths.get(level - 1).and_then(|width| range(value, *width)),
            Self::File(file) => file.at(value, level).map(str::to_owned),
        }
        .unwrap_or_else(|| ANY.to_owned())
    }

    /// Whether the value is understood at this level.
    pub(crate) fn understands(&self, value: &str, level: usize) -> bool {
        level == 0 || level >= self.height() || self.at(value, level) != ANY
    }
}

fn age(value: &str, level: usize) -> Option<String> {
    let age: u32 = whole(value)?;
    let width = match level {
        1 => 5,
        2 => 10,
        _ => 20,
    };
    let start = age - age % width;
    match age {
        age if age > MAX_AGE => None,
        // Of twenty years the last range begins at 80: all below it is nested in it.
        _ if start + width > OLDEST && level == 3 => Some("80+".to_owned()),
        age if age >= OLDEST => Some(format!("{OLDEST}+")),
        _ => Some(format!("{start}-{}", start + width - 1)),
    }
}

fn whole<T: std::str::FromStr>(value: &str) -> Option<T> {
    value.bytes().all(|byte| byte.is_ascii_digit()).then(|| value.parse().ok()).flatten()
}

fn range(value: &str, width: u64) -> Option<String> {
    let (width, number) = (i128::from(width), value.parse::<i64>().ok().map(i128::from)?);
    let start = number.div_euclid(width) * width;
    Some(match width {
        1 => format!("{start}"),
        _ if start < 0 => format!("{start} to {}", start + width - 1),
        _ => format!("{start}-{}", start + width - 1),
    })
}

/// Year, month and day, as written in China and by ISO 8601; a time behind it is left out.
fn date(value: &str, level: usize) -> Option<String> {
    let mut parts = value.splitn(3, ['-', '/', '.', '年', '月']);
    let (year, month) = match (parts.next()?, parts.next(), parts.next()) {
        (year, Some(month), Some(day)) if year.len() == 4 => {
            let day: String = day.chars().take_while(char::is_ascii_digit).collect();
            let day: u32 = whole(&day)?;
            (1..=31).contains(&day).then_some((whole::<u32>(year)?, whole::<u32>(month)?))?
        }
        (compact, None, None) if compact.len() == 8 && compact.is_ascii() => {
            (whole(&compact[..4])?, whole(&compact[4..6])?)
        }
        _ => return None,
    };
    (1..=12).contains(&month).then(|| match level {
        1 => format!("{year:04}-{month:02}"),
        2 => format!("{year:04}"),
        _ => format!("{}0s", year / 10),
    })
}

fn prefix(value: &str, level: usize) -> Option<String> {
    let letters: Vec<char> = value.chars().collect();
    let kept = letters.len().checked_sub(level).filter(|kept| *kept > 0)?;
    // How many letters were left out is told by the stars, so that values of other lengths stay apart at each level.
    let stars = std::iter::repeat_n('*', level);
    Some(letters.into_iter().take(kept).chain(stars).collect())
}

/// Hierarchies by name: those of the rules' files.
pub type Hierarchies = BTreeMap<String, Hierarchy>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_hierarchy_says_less_with_each_level() {
        let range = Hierarchy::ranges(&[10, 100]).unwrap();
        for (hierarchy, value, levels) in [
            (&Hierarchy::Age, "43", &["43", "40-44", "40-49", "40-59", "*"][..]),
            (&Hierarchy::Age, "89", &["89", "85-89", "80-89", "80+", "*"]),
            (&Hierarchy::Age, "101", &["101", "90+", "90+", "80+", "*"]),
            (&Hierarchy::Age, "forty", &["forty", "*", "*", "*", "*"]),
            (&Hierarchy::Date, "2024-03-05", &["2024-03-05", "2024-03", "2024", "2020s", "*"]),
            (&Hierarchy::Date, "2024-03-05T10:11:12Z", &["2024-03-05T10:11:12Z", "2024-03", "2024", "2020s", "*"]),
            (&Hierarchy::Date, "2024年3月5日", &["2024年3月5日", "2024-03", "2024", "2020s", "*"]),
            (&Hierarchy::Date, "20240305", &["20240305", "2024-03", "2024", "2020s", "*"]),
            (&Hierarchy::Date, "5 March", &["5 March", "*", "*", "*", "*"]),
            (&Hierarchy::Prefix, "100084", &["100084", "10008*", "1000**", "100***", "10****", "1*****", "*", "*"]),
            (&Hierarchy::Icd, "I21.4", &["I21.4", "I21", "IX Circulatory system", "*"]),
            (&range, "-7", &["-7", "-10 to -1", "-100 to -1", "*"]),
            (&range, "257", &["257", "250-259", "200-299", "*"]),
            (&Hierarchy::Whole, "f", &["f", "*"]),
        ] {
            let seen: Vec<_> = (0..=hierarchy.height()).map(|level| hierarchy.at(value, level)).collect();
            assert_eq!(seen[..levels.len()], *levels, "{value}");
        }
    }

    #[test]
    fn what_is_one_at_a_level_is_one_at_every_level_above() {
        let ages: Vec<_> = (0..160).map(|age| age.to_string()).collect();
        let dates: Vec<_> =
            (0..400).map(|n| format!("{}-{:02}-{:02}", 1980 + n / 12, n % 12 + 1, n % 28 + 1)).collect();
        let codes: Vec<_> =
            (0..2600).map(|n| format!("{}{:02}.{}", char::from(b'A' + (n / 100) as u8), n % 100, n % 7)).collect();
        let numbers: Vec<_> = (-60..300).map(|n| n.to_string()).collect();
        let range = Hierarchy::ranges(&[5, 20, 100]).unwrap();
        for (hierarchy, values) in [
            (&Hierarchy::Age, &ages),
            (&Hierarchy::Date, &dates),
            (&Hierarchy::Icd, &codes),
            (&Hierarchy::Prefix, &codes),
            (&range, &numbers),
        ] {
            for level in 0..hierarchy.height() {
                let mut above = BTreeMap::new();
                for value in values {
                    let next = hierarchy.at(value, level + 1);
                    let known = above.entry(hierarchy.at(value, level)).or_insert_with(|| next.clone());
                    assert_eq!(*known, next, "{hierarchy:?} at {level}: {value}");
                }
            }
        }
    }

    #[test]
    fn ranges_that_do_not_nest_are_refused() {
        for widths in [&[][..], &[0], &[10, 5], &[10, 15], &[5, 5], &[1; 9]] {
            assert!(Hierarchy::ranges(widths).is_err(), "{widths:?}");
        }
    }
}
