//! Numbers in text: runs of digits, and what stands between those that belong together.

/// Digits that belong together, as a person would read them: runs with at most a space, a dash, a dot or a bracket
/// between them.
#[derive(Debug, Default)]
pub(crate) struct Cluster {
    runs: [Run; MAX_RUNS],
    count: usize,
}

/// One run of digits.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// What stands before it within the cluster: a space, a dash, a dot or a bracket; 0 for the first.
    pub(crate) separator: u8,
}

impl Run {
    pub(crate) fn width(&self) -> usize {
        self.end - self.start
    }
}

/// Most runs of a cluster; a longer row is looked at in pieces that overlap by half.
const MAX_RUNS: usize = 16;

impl Cluster {
    /// Reads the cluster that begins at `start`, which is a digit.
    pub(crate) fn read(bytes: &[u8], start: usize) -> Self {
        let mut cluster = Self::default();
        let mut at = start;
        let mut separator = 0;
        while let Some(place) = cluster.runs.get_mut(cluster.count) {
            let end = at + bytes.get(at..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_digit()).count();
            *place = Run { start: at, end, separator };
            cluster.count += 1;
            let Some((sign, length)) = separator_at(bytes, end) else { break };
            (separator, at) = (sign, end + length);
        }
        cluster
    }

    /// Its runs.
    pub(crate) fn runs(&self) -> &[Run] {
        self.runs.get(..self.count).unwrap_or_default()
    }

    /// Where the search goes on.
    pub(crate) fn resume(&self) -> usize {
        let runs = self.runs();
        let last = if runs.len() == MAX_RUNS { runs.get(MAX_RUNS / 2 - 1) } else { runs.last() };
        last.map_or(0, |run| run.end)
    }

    /// Whether it has one of these signs between its runs.
    pub(crate) fn has_separator(&self, among: &[u8]) -> bool {
        self.runs().iter().any(|run| run.separator != 0 && among.contains(&run.separator))
    }
}

/// The end of a run of digits that is shorter than `least` and that nothing joins to another.
pub(crate) fn short(bytes: &[u8], start: usize, least: usize) -> Option<usize> {
    let head = bytes.get(start..(start + least).min(bytes.len()))?;
    let width = head.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = start + width;
    (width < least && separator_at(bytes, end).is_none()).then_some(end)
}

/// What joins two runs: its sign and its length.
fn separator_at(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let sign = *bytes.get(at)?;
    if !matches!(sign, b' ' | b'-' | b'.' | b'(' | b')') {
        return None;
    }
    let digit = |ahead: usize| bytes.get(at + ahead).is_some_and(u8::is_ascii_digit);
    if digit(1) {
        return Some((if matches!(sign, b'(' | b')') { b'(' } else { sign }, 1));
    }
    let second = *bytes.get(at + 1)?;
    let bracket = matches!((sign, second), (b')', b' ' | b'-') | (b' ' | b'-', b'('));
    (bracket && digit(2)).then_some((b'(', 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_belong_together_are_read_together() {
        for (text, widths) in [
            ("4111 1111-1111.1111,5", &[4, 4, 4, 4][..]),
            ("(415) 555-2671", &[3, 3, 4]),
            ("12  34", &[2]),
            ("7", &[1]),
            ("030)1-", &[3, 1]),
        ] {
            let start = text.find(|c: char| c.is_ascii_digit()).unwrap();
            let cluster = Cluster::read(text.as_bytes(), start);
            assert_eq!(cluster.runs().iter().map(Run::width).collect::<Vec<_>>(), widths, "{text}");
        }
        let row = "1 ".repeat(100);
        let cluster = Cluster::read(row.as_bytes(), 0);
        assert_eq!((cluster.runs().len(), cluster.resume()), (16, 15));
    }
}
