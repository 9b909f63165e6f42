//! A table into its view.
//!
//! Without a demand for classes it goes row by row. With one the whole table is held, its levels are searched, and its rows leave
//! sorted by what they show: the order in which people came tells who they are, too.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{Read, Write};

use hotcell_crypto::{FieldKey, SecretKey};

use crate::anonymity::{self, Demand, Quasi};
use crate::error::DisclosureError;
use crate::hierarchy::{ANY, Hierarchy};
use crate::mask::mask;
use crate::report::{AnonymityReport, ColumnReport, Report};
use crate::rules::{Anonymity, Column, Method, View};
use crate::sampler::RandomBits;
use crate::secret::{self, RowName};
use crate::table::{Cell, Form, Format, MAX_TABLE_BYTES, Reader, Writer};

/// What a view is made with.
pub struct Redaction<'a> {
    /// What is done.
    pub view: &'a View,
    /// How the table is written.
    pub format: Format,
    /// The key for hashes, tokens and encrypted fields.
    pub key: Option<&'a SecretKey>,
    /// The columns that may be read at all; none: all of them.
    pub granted: Option<&'a BTreeSet<String>>,
    /// Where noise comes from.
    pub bits: &'a mut dyn RandomBits,
    /// Looks at each value that leaves readable: its column, its row in the view, the value.
    pub look: &'a mut dyn FnMut(&str, u64, &str),
}

/// Makes the view of a table.
///
/// # Errors
/// [`DisclosureError`]. What was written until then is no view: whoever calls throws it away.
pub fn redact(redaction: Redaction<'_>, from: impl Read, to: impl Write) -> Result<Report, DisclosureError> {
    let reader = Reader::new(redaction.format, from)?;
    let mut work = Work { plans: Vec::new(), redaction, not_understood: HashMap::new(), levels: BTreeMap::new() };
    work.check_columns(&reader)?;
    work.plan(reader.names())?;
    match work.redaction.view.anonymity.clone() {
        None => work.stream(reader, to),
        Some(demand) => work.in_classes(reader, to, &demand),
    }
}

/// What becomes of one column of the table.
enum Plan {
    Drop,
    Other,
    Rule(Box<Column>, Option<FieldKey>),
}

struct Work<'a> {
    redaction: Redaction<'a>,
    plans: Vec<Plan>,
    not_understood: HashMap<usize, u64>,
    /// The levels of the quasi-identifiers, where they were searched.
    levels: BTreeMap<String, usize>,
}

impl Work<'_> {
    fn is_granted(&self, name: &str) -> bool {
        self.redaction.granted.is_none_or(|granted| granted.contains(name))
    }

    /// A rule for a column that is not there is a misspelt one, and the column it means would leave otherwise than thought.
    fn check_columns<R: Read>(&self, reader: &Reader<R>) -> Result<(), DisclosureError> {
        if self.redaction.format != Format::Csv {
            return Ok(());
        }
        let view = self.redaction.view;
        let named = view.columns.iter().filter(|(_, column)| column.method != Method::Suppress).map(|(name, _)| name);
        let row_key = view.row_key.iter();
        let person = view.anonymity.iter().filter_map(|demand| demand.person.as_ref());
        for name in named.chain(row_key).chain(person) {
            if !reader.names().contains(name) {
                let problem = format!("the rules name the column `{}`, which the table lacks", name.escape_debug());
                return Err(DisclosureError::content(None, problem));
            }
        }
        Ok(())
    }

    /// Decides what becomes of columns that are new.
    fn plan(&mut self, names: &[String]) -> Result<(), DisclosureError> {
        let view = self.redaction.view;
        for name in names.iter().skip(self.plans.len()) {
            let plan = match view.columns.get(name) {
                _ if !self.is_granted(name) => Plan::Drop,
                Some(Column { method: Method::Suppress, .. }) => Plan::Drop,
                Some(column) => Plan::Rule(
                    Box::new(column.clone()),
                    secret::key_of(view, name, &column.method, self.redaction.key)?,
                ),
                None if view.keeps_others => Plan::Other,
                None => Plan::Drop,
            };
            self.plans.push(plan);
        }
        Ok(())
    }

    fn leaves(&self, column: usize) -> bool {
        !matches!(self.plans.get(column), None | Some(Plan::Drop))
    }

    fn writer<'n, W: Write>(&self, names: &'n [String], to: W) -> Result<Writer<W>, DisclosureError> {
        let kept: Vec<&'n str> =
            (0..).zip(names).filter(|(column, _)| self.leaves(*column)).map(|(_, name)| name.as_str()).collect();
        if kept.is_empty() && self.redaction.format == Format::Csv {
            return Err(DisclosureError::content(None, "no column of the table is in the view"));
        }
        Writer::new(self.redaction.format, to, kept.into_iter())
    }

    fn stream<R: Read>(mut self, mut reader: Reader<R>, to: impl Write) -> Result<Report, DisclosureError> {
        let mut writer = self.writer(reader.names(), to)?;
        let mut row = 0;
        while let Some(cells) = reader.next_row()? {
            row += 1;
            self.plan(reader.names())?;
            let mut cells = self.shown(cells, row, reader.names())?;
            self.finish(&mut cells, row, reader.names())?;
            writer.row(&cells, reader.names())?;
        }
        writer.finish()?;
        Ok(self.report(reader.names(), row, row, None))
    }

    fn in_classes<R: Read>(
        mut self,
        mut reader: Reader<R>,
        to: impl Write,
        demand: &Anonymity,
    ) -> Result<Report, DisclosureError> {
        let (mut rows, mut bytes) = (Vec::new(), 0u64);
        while let Some(cells) = reader.next_row()? {
            bytes += cells.iter().map(|cell| cell.text.len() as u64 + std::mem::size_of::<Cell>() as u64).sum::<u64>();
            if bytes > MAX_TABLE_BYTES {
                let problem =
                    format!("the table takes more than {MAX_TABLE_BYTES} bytes, and classes are counted in memory");
                return Err(DisclosureError::content(None, problem));
            }
            rows.push(cells);
        }
        self.plan(reader.names())?;
        let names = reader.names();
        let (people, sensitive) = (self.people(&rows, names, demand)?, self.sensitive(&rows, names));
        let (stays, solved) = self.search(&rows, names, demand, &people, &sensitive)?;

        let mut writer = self.writer(names, to)?;
        let mut shown = Vec::new();
        let read = rows.len() as u64;
        for ((row, cells), stays) in (1..).zip(rows).zip(&stays) {
            if *stays {
                let index = usize::try_from(row - 1).unwrap_or(usize::MAX);
                shown.push((index, self.shown(cells, row, names)?));
            }
        }
        let hidden: BTreeSet<usize> = self.columns_by(|method| matches!(method, Method::Encrypt));
        shown.sort_by(|(_, one), (_, other)| {
            let key = |cells: &[Cell]| -> Vec<(usize, String)> {
                cells
                    .iter()
                    .filter(|cell| !hidden.contains(&cell.column))
                    .map(|cell| (cell.column, cell.text.clone()))
                    .collect()
            };
            key(one).cmp(&key(other))
        });
        let classes = self.count(&shown, names, &people, &sensitive);
        if !shown.is_empty()
            && (classes.smallest < u64::from(demand.k) || demand.l > 1 && classes.least_diverse < u64::from(demand.l))
        {
            // The search and the count are two ways to one number; where they differ, nothing leaves.
            let problem = format!("the finished view has a class of {} people", classes.smallest);
            return Err(DisclosureError::NotAnonymous { problem });
        }
        let written = shown.len() as u64;
        for (row, (_, mut cells)) in (1..).zip(shown) {
            self.finish(&mut cells, row, names)?;
            writer.row(&cells, names)?;
        }
        writer.finish()?;
        let anonymity = AnonymityReport {
            k: demand.k,
            l: demand.l,
            classes: classes.count,
            k_reached: classes.smallest,
            l_reached: classes.least_diverse,
            loss: (solved.0 * 10_000.0).round() / 10_000.0,
            combinations: solved.1,
        };
        Ok(self.report(names, read, written, Some(anonymity)))
    }

    fn search(
        &mut self,
        rows: &[Vec<Cell>],
        names: &[String],
        demand: &Anonymity,
        people: &[u32],
        sensitive: &[Vec<u32>],
    ) -> Result<(Vec<bool>, (f64, usize)), DisclosureError> {
        let whole = Hierarchy::Whole;
        let view = self.redaction.view;
        let mut quasi = Vec::new();
        let mut searched = Vec::new();
        for (name, column) in view.quasi().filter(|(name, _)| self.is_granted(name)) {
            let (hierarchy, from) = match &column.method {
                Method::Generalise { hierarchy, level, .. } => (hierarchy, *level),
                _ => (&whole, 0),
            };
            let place = names.iter().position(|other| other == name);
            let values = rows.iter().map(|cells| text_of(cells, place)).collect();
            quasi.push(Quasi { hierarchy, from, values });
            searched.push(name.to_owned());
        }
        let wanted = Demand { k: demand.k, l: demand.l, max_suppressed_percent: demand.max_suppressed_percent };
        let solution = anonymity::solve(&quasi, people, sensitive, wanted)
            .map_err(|problem| DisclosureError::NotAnonymous { problem })?;
        self.levels = searched.into_iter().zip(solution.levels).collect();
        Ok((solution.stays, (solution.loss, solution.combinations)))
    }

    /// The person of each row, as a number.
    fn people(&self, rows: &[Vec<Cell>], names: &[String], demand: &Anonymity) -> Result<Vec<u32>, DisclosureError> {
        let Some(person) = &demand.person else { return Ok((0..).take(rows.len()).collect()) };
        let Some(place) = names.iter().position(|name| name == person) else {
            return Err(DisclosureError::content(
                None,
                format!("no row has the person's column `{}`", person.escape_debug()),
            ));
        };
        Ok(codes(rows.iter().map(|cells| text_of(cells, Some(place)).to_owned())))
    }

    /// The sensitive values of each row as they leave, as numbers, column by column.
    fn sensitive(&self, rows: &[Vec<Cell>], names: &[String]) -> Vec<Vec<u32>> {
        let columns =
            self.redaction.view.columns.iter().filter(|(name, column)| column.sensitive && self.is_granted(name));
        columns
            .map(|(name, column)| {
                let place = names.iter().position(|other| other == name);
                codes(rows.iter().map(|cells| match &column.method {
                    Method::Generalise { hierarchy, level, .. } => hierarchy.at(text_of(cells, place), *level),
                    _ => text_of(cells, place).to_owned(),
                }))
            })
            .collect()
    }

    fn columns_by(&self, is: impl Fn(&Method) -> bool) -> BTreeSet<usize> {
        let with = |(place, plan): (usize, &Plan)| match plan {
            Plan::Rule(column, _) if is(&column.method) => Some(place),
            _ => None,
        };
        self.plans.iter().enumerate().filter_map(with).collect()
    }

    /// The classes of the finished rows.
    fn count(
        &self,
        shown: &[(usize, Vec<Cell>)],
        names: &[String],
        people: &[u32],
        sensitive: &[Vec<u32>],
    ) -> anonymity::Classes {
        let view = self.redaction.view;
        let quasi: Vec<usize> =
            view.quasi().filter_map(|(name, _)| names.iter().position(|other| other == name)).collect();
        anonymity::count(shown.iter().map(|(index, cells)| {
            let key = quasi.iter().map(|place| text_of(cells, Some(*place))).collect();
            let person = people.get(*index).copied().unwrap_or(0);
            (key, person, sensitive.iter().filter_map(|column| column.get(*index)).copied().collect())
        }))
    }

    /// A row as it leaves, but for what is encrypted: that is bound to its place, which is not known yet.
    fn shown(&mut self, cells: Vec<Cell>, row: u64, names: &[String]) -> Result<Vec<Cell>, DisclosureError> {
        let mut shown = Vec::with_capacity(cells.len());
        for mut cell in cells {
            match self.plans.get(cell.column) {
                None | Some(Plan::Drop) => continue,
                Some(Plan::Other) => {}
                Some(Plan::Rule(column, key)) => {
                    let name = names.get(cell.column).map(String::as_str).unwrap_or_default();
                    let wrong = |what: &str| {
                        DisclosureError::content(Some(row), format!("the column `{}` {what}", name.escape_debug()))
                    };
                    if cell.form == Form::Nested && column.method != Method::Keep {
                        return Err(wrong("holds an object or a list, which can only be kept or suppressed"));
                    }
                    let level = self.levels.get(name).copied();
                    if (!cell.is_empty() || level.is_some())
                        && !apply(&column.method, key.as_ref(), level, &mut cell, self.redaction.bits).map_err(wrong)?
                    {
                        *self.not_understood.entry(cell.column).or_default() += 1;
                    }
                }
            }
            shown.push(cell);
        }
        Ok(shown)
    }

    /// Encrypts what is to be, and shows what leaves readable to whoever looks.
    fn finish(&mut self, cells: &mut [Cell], row: u64, names: &[String]) -> Result<(), DisclosureError> {
        let view = self.redaction.view;
        let row_key = view.row_key.as_ref().map(|key| {
            let place = names.iter().position(|name| name == key);
            text_of(cells, place).to_owned()
        });
        let row_name = match &row_key {
            Some(key) => RowName::Key(key),
            None => RowName::Number(row),
        };
        for cell in cells {
            let name = names.get(cell.column).map(String::as_str).unwrap_or_default();
            match self.plans.get(cell.column) {
                Some(Plan::Rule(column, Some(key))) if column.method == Method::Encrypt => {
                    if !cell.is_empty() {
                        let sealed = secret::seal(key, &secret::place(view, name, &row_name), &cell.text);
                        cell.text = sealed.ok_or_else(|| DisclosureError::content(Some(row), "a value is too long"))?;
                        cell.form = Form::Text;
                    }
                }
                // Made by us, and never what a detector knows but by chance.
                Some(Plan::Rule(column, _)) if matches!(column.method, Method::Hash { .. } | Method::Token { .. }) => {}
                _ => (self.redaction.look)(name, row, &cell.text),
            }
        }
        Ok(())
    }

    fn report(&self, names: &[String], read: u64, written: u64, anonymity: Option<AnonymityReport>) -> Report {
        let view = self.redaction.view;
        let of_table = names.iter().enumerate().map(|(place, name)| {
            let blank = |done: &str| ColumnReport {
                column: name.clone(),
                done: done.to_owned(),
                by: None,
                level: None,
                promise: None,
                not_understood: self.not_understood.get(&place).copied().unwrap_or(0),
            };
            match self.plans.get(place) {
                _ if !self.is_granted(name) => blank("not granted"),
                None | Some(Plan::Drop) => blank("suppress"),
                Some(Plan::Other) => blank("keep"),
                Some(Plan::Rule(column, _)) => {
                    let mut report = blank(column.method.name());
                    let searched = self.levels.get(name).copied();
                    match &column.method {
                        Method::Generalise { hierarchy, by, level } => {
                            report.by = Some(by.clone());
                            report.level = Some([searched.unwrap_or(*level), hierarchy.height()]);
                        }
                        Method::Noise(noise) => report.promise = Some(noise.0.promise()),
                        _ => report.level = searched.map(|level| [level, 1]),
                    }
                    report
                }
            }
        });
        let absent = view.columns.keys().filter(|name| !names.contains(name)).map(|name| ColumnReport {
            column: name.clone(),
            done: "absent".to_owned(),
            by: None,
            level: None,
            promise: None,
            not_understood: 0,
        });
        Report {
            view: view.name.clone(),
            role: view.role.clone(),
            dataset: view.dataset.clone(),
            rows_read: read,
            rows_written: written,
            rows_suppressed: read - written,
            columns: of_table.chain(absent).collect(),
            anonymity,
        }
    }
}

/// What is done with one value; false where it is not understood, and leaves as `*`.
fn apply(
    method: &Method,
    key: Option<&FieldKey>,
    searched: Option<usize>,
    cell: &mut Cell,
    bits: &mut dyn RandomBits,
) -> Result<bool, &'static str> {
    let other = match (method, key) {
        (Method::Generalise { hierarchy, level, .. }, _) => {
            let level = searched.unwrap_or(*level);
            let text = hierarchy.at(&cell.text, level);
            let understood = cell.is_empty() || hierarchy.understands(&cell.text, level);
            if level > 0 {
                (cell.text, cell.form) = (text, Form::Text);
            }
            return Ok(understood);
        }
        (Method::Keep, _) => match searched {
            Some(level) if level > 0 => Hierarchy::Whole.at(&cell.text, level),
            _ => return Ok(true),
        },
        // Suppressed ones do not come here, encrypted ones later.
        (Method::Suppress | Method::Encrypt, _) => return Ok(true),
        (Method::Mask { first, last }, _) => mask(&cell.text, *first, *last),
        (Method::Hash { .. }, Some(key)) => secret::hash(key, &cell.text),
        (Method::Token { keeps_format, .. }, Some(key)) => match secret::token(key, &cell.text, *keeps_format) {
            Some(token) => token,
            None => {
                (cell.text, cell.form) = (ANY.to_owned(), Form::Text);
                return Ok(false);
            }
        },
        (Method::Hash { .. } | Method::Token { .. }, None) => return Err("has no key"),
        (Method::Noise(noise), _) => {
            return match noise.0.apply(&cell.text, bits).map_err(|_| "drew noise beyond all bounds")? {
                Some(text) => {
                    cell.text = text;
                    Ok(true)
                }
                None => {
                    (cell.text, cell.form) = (ANY.to_owned(), Form::Text);
                    Ok(false)
                }
            };
        }
    };
    (cell.text, cell.form) = (other, Form::Text);
    Ok(true)
}

fn text_of(cells: &[Cell], place: Option<usize>) -> &str {
    let cell = cells.iter().find(|cell| Some(cell.column) == place);
    cell.map(|cell| cell.text.as_str()).unwrap_or_default()
}

/// Each text as a number, the same for the same.
fn codes(texts: impl Iterator<Item = String>) -> Vec<u32> {
    let mut known: HashMap<String, u32> = HashMap::new();
    texts
        .map(|text| {
            let next = known.len() as u32;
            *known.entry(text).or_insert(next)
        })
        .collect()
}

#[cfg(test)]
mod tests;
