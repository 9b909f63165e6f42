//! The attacker's report, and the lines by which a tracer sees where an attack begins and ends.

use crate::Seen;

/// Name of the report in the output folder.
pub const REPORT: &str = "selftest.csv";

/// Its first line.
pub(crate) const HEADER: &str = "attack,seen,number\n";

/// One of its lines.
pub(crate) fn line(name: &str, seen: Seen) -> String {
    let (word, number) = seen.parts();
    format!("{name},{word},{number}\n")
}

/// Reads a report: names of attacks, and what they have seen.
pub fn read_report(text: &str) -> Vec<(String, Seen)> {
    let rows = text.lines().skip(1).filter_map(|row| {
        let mut cells = row.split(',');
        let (name, word, number) = (cells.next()?, cells.next()?, cells.next()?.parse().ok()?);
        Some((name.to_owned(), Seen::from_parts(word, number)))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_it_was_written() {
        let text = format!("{HEADER}{}{}", line("kcmp", Seen::Errno(1)), line("int-80", Seen::Signal(31)));
        let read = read_report(&text);
        assert_eq!(read, [("kcmp".to_owned(), Seen::Errno(1)), ("int-80".to_owned(), Seen::Signal(31))]);
    }
}
