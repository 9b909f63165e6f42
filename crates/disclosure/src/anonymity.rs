//! k-anonymity and distinct l-diversity, reached by full-domain generalisation and by suppressing rows.
//!
//! Every row of a column is at one level of its hierarchy. The levels are searched for the least loss: all combinations, in
//! the order of what the levels alone lose, until nothing that is left can lose less than what was found. So the answer is the
//! best there is, not a heuristic. (k-anonymity: Samarati and Sweeney 1998; l-diversity: Machanavajjhala and others 2006.)
//!
//! # Security
//! k-anonymity says how many people a row could be of, as far as the named columns tell. It does not bound what somebody learns
//! who knows more than these columns, nor what two releases of one table tell together.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::Hierarchy;

/// What is demanded of each class of rows that agree in all quasi-identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// The fewest people.
    pub k: u32,
    /// The fewest different values of each sensitive column.
    pub l: u32,
    /// The most rows of a hundred that may be left out.
    pub max_suppressed_percent: u32,
}

/// One quasi-identifier: its values by row, with how they generalise.
#[derive(Debug)]
pub struct Quasi<'a> {
    /// How.
    pub hierarchy: &'a Hierarchy,
    /// The level from which on.
    pub from: usize,
    /// The values.
    pub values: Vec<&'a str>,
}

/// The levels and the rows that stay.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The level of each quasi-identifier.
    pub levels: Vec<usize>,
    /// Whether each row stays.
    pub stays: Vec<bool>,
    /// What was lost: 0 nothing, 1 everything. The mean over all cells of how high they were lifted in their hierarchy; a row that
    /// is left out is lost whole.
    pub loss: f64,
    /// How many combinations of levels there are.
    pub combinations: usize,
}

/// The most combinations of levels that are looked at.
pub const MAX_COMBINATIONS: usize = 50_000;

/// Searches the levels with the least loss that meet the demand.
///
/// `people` names the person of each row, `sensitive` the values of each sensitive column.
///
/// # Errors
/// Why there are none, in words.
pub fn solve(quasi: &[Quasi<'_>], people: &[u32], sensitive: &[Vec<u32>], demand: Demand) -> Result<Solution, String> {
    let rows = people.len();
    let heights: Vec<_> = quasi.iter().map(|quasi| quasi.hierarchy.height().max(quasi.from)).collect();
    let mut nodes: Vec<Vec<usize>> = vec![Vec::new()];
    for (quasi, height) in quasi.iter().zip(&heights) {
        nodes = nodes
            .iter()
            .flat_map(|node| (quasi.from..=*height).map(|level| [node.as_slice(), &[level]].concat()))
            .collect();
        if nodes.len() > MAX_COMBINATIONS {
            return Err(format!(
                "the quasi-identifiers have more than {MAX_COMBINATIONS} combinations of levels; name fewer"
            ));
        }
    }
    let lost = |node: &Vec<usize>| {
        let of = node.iter().zip(&heights).map(|(level, height)| *level as f64 / *height as f64);
        if node.is_empty() { 0.0 } else { of.sum::<f64>() / node.len() as f64 }
    };
    let mut order: Vec<_> = nodes.iter().map(|node| (lost(node), node)).collect();
    // Of equal loss the first in the order of levels, so that the answer is always the same one.
    order.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(other.1)));
    let table = Table::new(quasi, &heights, people, sensitive);
    let most = rows * demand.max_suppressed_percent as usize / 100;
    let mut best: Option<Solution> = None;
    let mut fewest = rows;
    for (lost, node) in order {
        if best.as_ref().is_some_and(|best| lost >= best.loss) {
            break;
        }
        let (stays, suppressed) = table.judge(node, demand);
        fewest = fewest.min(suppressed);
        if suppressed > most || (suppressed == rows && rows > 0) {
            continue;
        }
        let loss = (lost * (rows - suppressed) as f64 + suppressed as f64) / rows.max(1) as f64;
        if best.as_ref().is_none_or(|best| loss < best.loss) {
            best = Some(Solution { levels: node.clone(), stays, loss, combinations: nodes.len() });
        }
    }
    best.ok_or_else(|| {
        let Demand { k, l, max_suppressed_percent } = demand;
        let diverse = if l > 1 { format!(" with {l} different values of each sensitive column") } else { String::new() };
        format!(
            "no generalisation gives classes of {k} people{diverse}: of {rows} rows {fewest} would have to be left out at \
             the best of {} combinations of levels, and {max_suppressed_percent} of a hundred ({most}) may be",
            nodes.len()
        )
    })
}

/// What classes hold: counted anew from finished rows, whatever made them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Classes {
    /// How many there are.
    pub count: u64,
    /// People in the smallest.
    pub smallest: u64,
    /// Different values of the least diverse sensitive column in the least diverse class.
    pub least_diverse: u64,
}

/// The people of a class, and the values of each sensitive column.
type Class = (HashSet<u32>, Vec<HashSet<u32>>);

/// Counts the classes of rows: each with its quasi-identifiers as they leave, its person, its sensitive values.
pub fn count<'a>(rows: impl Iterator<Item = (Vec<&'a str>, u32, Vec<u32>)>) -> Classes {
    let mut classes: HashMap<Vec<&str>, Class> = HashMap::new();
    for (key, person, sensitive) in rows {
        let (people, values) = classes.entry(key).or_default();
        people.insert(person);
        values.resize_with(sensitive.len(), HashSet::new);
        sensitive.into_iter().zip(values).for_each(|(value, seen)| _ = seen.insert(value));
    }
    let smallest = classes.values().map(|(people, _)| people.len()).min().unwrap_or(0);
    let diverse = classes.values().flat_map(|(_, values)| values.iter().map(HashSet::len)).min().unwrap_or(0);
    Classes { count: classes.len() as u64, smallest: smallest as u64, least_diverse: diverse as u64 }
}

/// Rows that agree in all quasi-identifiers as they stand, with their people and sensitive values.
struct Table {
    /// For each row its group.
    group_of: Vec<usize>,
    /// For each group the code of each column.
    groups: Vec<Vec<u32>>,
    /// For each group its people and, for each sensitive column, its values.
    people: Vec<BTreeSet<u32>>,
    sensitive: Vec<Vec<BTreeSet<u32>>>,
    /// For each column, level and code what the value is there, as a code.
    lifted: Vec<Vec<Vec<u32>>>,
    rows: Vec<usize>,
}

impl Table {
    fn new(quasi: &[Quasi<'_>], heights: &[usize], people: &[u32], sensitive: &[Vec<u32>]) -> Self {
        let mut lifted = Vec::new();
        let mut codes: Vec<Vec<u32>> = Vec::new();
        for (quasi, height) in quasi.iter().zip(heights) {
            let mut known: BTreeMap<&str, u32> = BTreeMap::new();
            let mut distinct: Vec<&str> = Vec::new();
            codes.push(
                quasi
                    .values
                    .iter()
                    .map(|value| {
                        *known.entry(value).or_insert_with(|| {
                            distinct.push(value);
                            distinct.len() as u32 - 1
                        })
                    })
                    .collect(),
            );
            let at = |level: usize| {
                let mut known: HashMap<String, u32> = HashMap::new();
                distinct
                    .iter()
                    .map(|value| {
                        let next = known.len() as u32;
                        *known.entry(quasi.hierarchy.at(value, level)).or_insert(next)
                    })
                    .collect::<Vec<u32>>()
            };
            lifted.push((0..=*height).map(|level| if level < quasi.from { Vec::new() } else { at(level) }).collect());
        }
        let mut table = Self {
            group_of: Vec::new(),
            groups: Vec::new(),
            people: Vec::new(),
            sensitive: Vec::new(),
            lifted,
            rows: Vec::new(),
        };
        let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
        for (row, person) in people.iter().enumerate() {
            let key: Vec<u32> = codes.iter().filter_map(|column| column.get(row)).copied().collect();
            let next = known.len();
            let group = *known.entry(key.clone()).or_insert(next);
            if group == next {
                table.groups.push(key);
                table.people.push(BTreeSet::new());
                table.sensitive.push(vec![BTreeSet::new(); sensitive.len()]);
                table.rows.push(0);
            }
            table.group_of.push(group);
            if let (Some(people), Some(seen), Some(rows)) =
                (table.people.get_mut(group), table.sensitive.get_mut(group), table.rows.get_mut(group))
            {
                people.insert(*person);
                *rows += 1;
                sensitive.iter().zip(seen).for_each(|(column, seen)| seen.extend(column.get(row)));
            }
        }
        table
    }

    /// Which rows stay at these levels, and how many do not.
    fn judge(&self, levels: &[usize], demand: Demand) -> (Vec<bool>, usize) {
        let mut classes: HashMap<Vec<u32>, Vec<usize>> = HashMap::new();
        for (group, codes) in self.groups.iter().enumerate() {
            let key = codes.iter().zip(levels).zip(&self.lifted).map(|((code, level), lifted)| {
                lifted.get(*level).and_then(|codes| codes.get(*code as usize)).copied().unwrap_or(u32::MAX)
            });
            classes.entry(key.collect()).or_default().push(group);
        }
        let mut good = vec![false; self.groups.len()];
        let mut suppressed = 0;
        for members in classes.values() {
            let is_good = self.meets(members, demand);
            for group in members {
                if let Some(good) = good.get_mut(*group) {
                    *good = is_good;
                }
                if !is_good {
                    suppressed += self.rows.get(*group).copied().unwrap_or(0);
                }
            }
        }
        let stays = self.group_of.iter().map(|group| good.get(*group).copied().unwrap_or(false)).collect();
        (stays, suppressed)
    }

    fn meets(&self, members: &[usize], demand: Demand) -> bool {
        let enough = |count: usize, least: u32| count >= least as usize;
        let people: HashSet<_> = members.iter().filter_map(|group| self.people.get(*group)).flatten().collect();
        let columns = members.first().and_then(|group| self.sensitive.get(*group)).map_or(0, Vec::len);
        let diverse = |column: usize| {
            let values: HashSet<_> =
                members.iter().filter_map(|group| self.sensitive.get(*group)?.get(column)).flatten().collect();
            enough(values.len(), demand.l)
        };
        enough(people.len(), demand.k) && (0..columns).all(diverse)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn solved(ages: &[&str], zips: &[&str], ill: &[u32], demand: Demand) -> Result<Solution, String> {
        let quasi = [
            Quasi { hierarchy: &Hierarchy::Age, from: 0, values: ages.to_vec() },
            Quasi { hierarchy: &Hierarchy::Prefix, from: 0, values: zips.to_vec() },
        ];
        let people: Vec<u32> = (0..ages.len() as u32).collect();
        solve(&quasi, &people, &[ill.to_vec()], demand)
    }

    const AGES: &[&str] = &["41", "42", "43", "44", "61", "62", "63", "90"];
    const ZIPS: &[&str] = &["1001", "1001", "1001", "1001", "2001", "2001", "2001", "3001"];

    #[test]
    fn the_least_loss_is_found_and_odd_rows_are_left_out() {
        let demand = Demand { k: 3, l: 1, max_suppressed_percent: 20 };
        let found = solved(AGES, ZIPS, &[1; 8], demand).unwrap();
        assert_eq!(found.levels, [1, 0], "five years do, and no postcode needs to be touched");
        assert_eq!(found.stays, [true, true, true, true, true, true, true, false]);
        let demand = Demand { max_suppressed_percent: 0, ..demand };
        let found = solved(AGES, ZIPS, &[1; 8], demand).unwrap();
        assert!(found.stays.iter().all(|stays| *stays) && found.loss > 0.4, "{found:?}");
    }

    #[test]
    fn a_class_in_which_all_have_one_illness_is_not_diverse() {
        let demand = Demand { k: 3, l: 2, max_suppressed_percent: 20 };
        let found = solved(AGES, ZIPS, &[1, 1, 1, 1, 1, 2, 2, 3], demand).unwrap();
        assert_ne!(found.levels, [1, 0]);
        let refused = solved(AGES, ZIPS, &[1; 8], demand).unwrap_err();
        assert!(refused.contains("2 different values") && refused.contains("of 8 rows 8"), "{refused}");
    }

    #[test]
    fn what_cannot_be_reached_is_refused_with_how_far_it_came() {
        let refused = solved(AGES, ZIPS, &[1; 8], Demand { k: 9, l: 1, max_suppressed_percent: 50 }).unwrap_err();
        assert!(refused.contains("classes of 9 people") && refused.contains("of 8 rows 8 would"), "{refused}");
    }

    #[test]
    fn two_rows_of_one_person_are_one_person() {
        let quasi = [Quasi { hierarchy: &Hierarchy::Whole, from: 0, values: vec!["f", "f", "f"] }];
        let demand = Demand { k: 3, l: 1, max_suppressed_percent: 0 };
        assert!(solve(&quasi, &[1, 2, 3], &[], demand).is_ok());
        assert!(solve(&quasi, &[1, 2, 2], &[], demand).is_err());
    }

    proptest! {
        /// Every combination of levels by itself, counted the plain way.
        #[test]
        fn no_combination_of_levels_loses_less(
            rows in prop::collection::vec((20u32..60, 1000u32..1030, 0u32..3), 1..40), k in 1u32..5, l in 1u32..3, percent in 0u32..40,
        ) {
            let ages: Vec<_> = rows.iter().map(|row| row.0.to_string()).collect();
            let zips: Vec<_> = rows.iter().map(|row| row.1.to_string()).collect();
            let ill: Vec<_> = rows.iter().map(|row| row.2).collect();
            let texts = |values: &'_ [String]| values.iter().map(|value| value.as_str().to_owned()).collect::<Vec<_>>();
            let (ages, zips) = (texts(&ages), texts(&zips));
            let demand = Demand { k, l, max_suppressed_percent: percent };
            let age_texts: Vec<&str> = ages.iter().map(String::as_str).collect();
            let zip_texts: Vec<&str> = zips.iter().map(String::as_str).collect();
            let found = solved(&age_texts, &zip_texts, &ill, demand).ok();
            let mut best: Option<f64> = None;
            for age in 0..=4 {
                for zip in 0..=7 {
                    let mut classes: BTreeMap<(String, String), Vec<usize>> = BTreeMap::new();
                    for row in 0..rows.len() {
                        let key = (Hierarchy::Age.at(&ages[row], age), Hierarchy::Prefix.at(&zips[row], zip));
                        classes.entry(key).or_default().push(row);
                    }
                    let diverse = |members: &Vec<usize>| members.iter().map(|row| ill[*row]).collect::<BTreeSet<_>>().len();
                    let out: usize = classes.values()
                        .filter(|members| members.len() < k as usize || diverse(members) < l as usize)
                        .map(Vec::len).sum();
                    if out > rows.len() * percent as usize / 100 || out == rows.len() {
                        continue;
                    }
                    let lost = (age as f64 / 4.0 + zip as f64 / 7.0) / 2.0;
                    let loss = (lost * (rows.len() - out) as f64 + out as f64) / rows.len() as f64;
                    best = Some(best.map_or(loss, |best| best.min(loss)));
                }
            }
            match (found, best) {
                (Some(found), Some(best)) => prop_assert!((found.loss - best).abs() < 1e-9, "{} {best}", found.loss),
                (None, None) => {}
                (found, best) => prop_assert!(false, "{found:?} {best:?}"),
            }
        }
    }
}
