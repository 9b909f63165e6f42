//! Rights in words: those with the same accesses and walls in one line.

use hotcell_types::{RightRecord, Wall};

use crate::print::theirs;

/// One line for each kind of right: what may be done, over what, and which walls hold a task to it.
///
/// A receipt may come from anywhere: what is in it is made harmless to a terminal.
pub(crate) fn lines(rights: &[RightRecord]) -> Vec<String> {
    grouped(rights, &|text| theirs(text))
        .iter()
        .map(|group| format!("{}  {}; by {}", group.access, group.over.join(", "), group.walls))
        .collect()
}

/// Rights that differ in what they are over only.
pub(crate) struct Group {
    pub(crate) access: String,
    pub(crate) over: Vec<String>,
    pub(crate) walls: String,
}

/// The rights in groups, in the order of the first of each. What may be a stranger's passes through `mark`.
pub(crate) fn grouped(rights: &[RightRecord], mark: &dyn Fn(&str) -> String) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for right in rights {
        let access = mark(&right.access.join(" "));
        let labels: Vec<_> = right.walls.iter().map(|wall: &Wall| wall.label()).collect();
        let walls = if labels.is_empty() { "no wall".to_owned() } else { labels.join(", ") };
        let over = match right.kind.as_str() {
            "path" | "system" => mark(&right.over),
            "names" => format!("the names below {}", mark(&right.over)),
            "image" => "the files of the image".to_owned(),
            "device" => format!("the device {}", mark(&right.over)),
            "terminal" => "its own terminals".to_owned(),
            "memory" => "its own memory".to_owned(),
            kind => format!("{} {}", mark(kind), mark(&right.over)),
        };
        match groups.iter_mut().find(|group| group.access == access && group.walls == walls) {
            Some(group) => group.over.push(over),
            None => groups.push(Group { access, over: vec![over], walls }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn right(access: &[&str], kind: &str, over: &str, walls: &[Wall]) -> RightRecord {
        RightRecord {
            access: access.iter().map(|access| (*access).to_owned()).collect(),
            kind: kind.to_owned(),
            over: over.to_owned(),
            walls: walls.to_vec(),
        }
    }

    #[test]
    fn rights_that_differ_in_what_they_are_over_stand_in_one_line() {
        let walls = &[Wall::MountNamespace, Wall::Landlock];
        let rights = [
            right(&["READ"], "path", "/input/a", walls),
            right(&["READ", "WRITE"], "memory", "its own", &[Wall::MemoryLimit]),
            right(&["READ"], "path", "/input/b", walls),
            right(&["CONNECT"], "host", "localhost", &[]),
        ];
        let unmarked = |line: &String| line.replace(['\u{10fff0}', '\u{10fff1}'], "");
        assert_eq!(
            lines(&rights).iter().map(unmarked).collect::<Vec<_>>(),
            [
                "READ  /input/a, /input/b; by mount-namespace, landlock",
                "READ WRITE  its own memory; by memory-limit",
                "CONNECT  host localhost; by no wall",
            ]
        );
    }
}
