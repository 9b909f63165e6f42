//! Every foreign crate in `[workspace.dependencies]` says why it is not our own code.

use std::fs;

use crate::command::{Result, root, title};

/// Checks the workspace's manifest.
pub(crate) fn check() -> Result {
    title("reasons for foreign crates");
    let path = root().join("Cargo.toml");
    let missing = without_reason(&fs::read_to_string(&path)?);
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("no comment in Cargo.toml says why we need: {}", missing.join(", ")).into())
}

/// The entries without a comment on one of their lines or on the line above. Our own crates
/// (entries with a path) and group headings (`# --- name`) do not count.
fn without_reason(manifest: &str) -> Vec<String> {
    let mut missing = Vec::new();
    let mut above = "";
    let mut lines = manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    while let Some(line) = lines.next() {
        if line.starts_with('[') {
            break;
        }
        let Some((name, _)) = line.split_once('=').filter(|_| !line.trim_start().starts_with('#')) else {
            above = line;
            continue;
        };
        let mut entry = line.to_owned();
        while entry.matches(['[', '{']).count() > entry.matches([']', '}']).count() {
            let Some(more) = lines.next() else { break };
            entry.push_str(more);
        }
        let reasoned = is_reason(above) || entry.split_once('#').is_some_and(|(_, text)| is_reason_text(text));
        if !reasoned && !entry.contains("path =") {
            missing.push(name.trim().to_owned());
        }
        above = "";
    }
    missing
}

fn is_reason(line: &str) -> bool {
    line.trim_start().strip_prefix('#').is_some_and(is_reason_text)
}

fn is_reason_text(text: &str) -> bool {
    let text = text.trim();
    !text.is_empty() && !text.starts_with("---")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_without_a_reason_is_named() {
        let manifest = "\
[workspace.lints.rust]
x = 1
[workspace.dependencies]
# --- ours
hotcell-types = { path = \"crates/types\" }
# --- data
serde = \"1\"   # because
toml = \"1\"
csv = \"1\" #
# above it
base64 = \"1\"
bech32 = \"1\"
rustix = { version = \"1\", features = [
  \"fs\",
] } # inside
age = { version = \"1\", features = [
  \"std\",
] }
[profile.release]
lto = true
";
        assert_eq!(without_reason(manifest), ["toml", "csv", "bech32", "age"]);
    }

    #[test]
    fn a_group_heading_is_no_reason() {
        assert_eq!(without_reason("[workspace.dependencies]\n# --- data\nserde = \"1\"\n"), ["serde"]);
    }
}
