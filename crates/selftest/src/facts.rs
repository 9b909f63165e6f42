//! What the attacker is told of the host, so that it knows what to reach for.

use std::fmt::Write as _;

/// Names and values; one line each in the file that the sandbox gets as its input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts(Vec<(String, String)>);

impl Facts {
    /// Where the attacker finds them.
    pub const PATH: &'static str = "/input/facts";

    /// Adds one.
    pub fn set(&mut self, name: &str, value: impl ToString) {
        self.0.push((name.to_owned(), value.to_string()));
    }

    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of this name as a text; empty when it is not known.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The value of this name as a number; a number that nothing has when it is not known.
    pub(crate) fn number(&self, name: &str) -> i32 {
        self.get(name).and_then(|value| value.parse().ok()).unwrap_or(i32::MAX)
    }

    /// As a file.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.0 {
            let _ = writeln!(text, "{name} {value}");
        }
        text
    }

    /// From a file.
    pub fn from_text(text: &str) -> Self {
        Self(
            text.lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_their_file() {
        let mut facts = Facts::default();
        facts.set("pid", 7);
        facts.set("path", "/a b");
        let read = Facts::from_text(&facts.to_text());
        assert_eq!(read, facts);
        assert_eq!((read.number("pid"), read.text("path"), read.text("none")), (7, "/a b", ""));
        assert_eq!(read.number("path"), i32::MAX);
    }
}
