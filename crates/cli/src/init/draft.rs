//! A task file in the making, and its text.

use super::folder::Found;

/// What a task file will say.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) runs: Runs,
    pub(crate) purpose: String,
    pub(crate) output_folder: String,
    /// Name under `/input`, and path.
    pub(crate) inputs: Vec<(String, String)>,
    /// Key, value, and why so.
    pub(crate) limits: Vec<(&'static str, String, String)>,
    /// Where it comes from, for its first line.
    pub(crate) origin: &'static str,
    /// What its reader has to know, and what is no setting.
    pub(crate) remarks: Vec<String>,
}

/// What runs.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Runs {
    /// A command, in this folder.
    Command(Vec<String>),
    /// The built-in runner with a model; `key` is the input's column that names a row.
    Model {
        /// The model's file.
        file: String,
        /// The column.
        key: Option<String>,
    },
}

impl Draft {
    /// What the folder suggests: a model with a table, else a script.
    pub(crate) fn of_folder(found: &Found) -> Option<Self> {
        if let (Some(model), Some(table)) = (found.models.first(), found.tables.first()) {
            // The first column usually names the row, unless it is the only one.
            let key = found.columns.first().filter(|name| !name.is_empty() && found.columns.len() > 1).cloned();
            let mut draft = Self::new(Runs::Model { file: model.clone(), key });
            draft.inputs.push(("data".to_owned(), table.clone()));
            draft.others("models", &found.models);
            draft.others("tables", &found.tables);
            if model.ends_with(".sealed") {
                draft
                    .remarks
                    .push("a sealed model opens with your key, and for a vendor whom you trust: set both".to_owned());
            }
            return Some(draft);
        }
        let script = found.scripts.first()?;
        let program = match script.ends_with(".py") {
            true if found.environment => ".venv/bin/python3",
            true => "python3",
            false => "sh",
        };
        let mut draft = Self::of_command(vec![program.to_owned(), script.clone()], found);
        draft.origin = "from what lies in this folder";
        draft.others("scripts", &found.scripts);
        if found.requirements && !found.environment && script.ends_with(".py") {
            draft.remarks.push(
                "requirements.txt asks for packages, and inside there is no network: install them beforehand, with \
                 `python3 -m venv .venv && .venv/bin/pip install -r requirements.txt`, and use .venv/bin/python3"
                    .to_owned(),
            );
        }
        Some(draft)
    }

    /// A command in this folder, which sees its tables as inputs.
    pub(crate) fn of_command(command: Vec<String>, found: &Found) -> Self {
        let mut draft = Self::new(Runs::Command(command));
        draft.origin = "for a command";
        for table in &found.tables {
            draft.inputs.push((input_name(table, &draft.inputs), table.clone()));
        }
        draft
    }

    fn new(runs: Runs) -> Self {
        Self {
            runs,
            purpose: String::new(),
            output_folder: "out".to_owned(),
            inputs: Vec::new(),
            limits: Vec::new(),
            origin: "from what lies in this folder",
            remarks: Vec::new(),
        }
    }

    fn others(&mut self, what: &str, names: &[String]) {
        if let [first, rest @ ..] = names
            && !rest.is_empty()
        {
            self.remarks.push(format!("of several {what}, `{first}` was taken; there are also {}", rest.join(", ")));
        }
    }

    /// Whether nothing is left for its reader to fill in.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(&self.runs, Runs::Model { file, .. } if file.ends_with(".sealed"))
    }

    /// The file.
    pub(crate) fn text(&self) -> String {
        let mut text =
            format!("# A task, written by `hotcell init` {}. Run it: hotcell run --task THIS_FILE\n", self.origin);
        text.push_str("# Paths are relative to this file. All keys: docs/formats/task-file.md\n\n");
        text.push_str(&line("purpose", &quoted(&self.purpose), "what for, in words: policy, log and receipt have it"));
        match &self.runs {
            Runs::Command(command) => {
                let words: Vec<_> = command.iter().map(|word| quoted(word)).collect();
                text.push_str(&line(
                    "command",
                    &format!("[{}]", words.join(", ")),
                    "what runs; nothing of it is trusted",
                ));
                text.push_str(&line("code", "\".\"", "this folder, seen read-only at /code, where the command starts"));
            }
            Runs::Model { .. } => {}
        }
        let folder = quoted(&self.output_folder);
        text.push_str(&line("output_folder", &folder, "what it leaves in /output is put here; nothing else leaves"));
        text.push_str("# recipients = [\"reader.key.pub\"]   # seals the results to this key (hotcell keygen)\n");
        text.push_str("# receipt = \"receipt.json\"          # a copy of the signed receipt\n");
        if let Runs::Model { file, key } = &self.runs {
            text.push_str("\n[model]\n");
            text.push_str(&line("file", &quoted(file), "read-only inside"));
            if file.ends_with(".sealed") {
                text.push_str(&line("key", "\"MY.key\"", "opens it, inside only: name your key file"));
                text.push_str(&line("trust", "[\"VENDOR.key.pub\"]", "whose signature counts: name the vendor's key"));
            }
            text.push_str(
                "\n[runner]                            # the built-in runner scores the input with the model\n",
            );
            if let Some(key) = key {
                text.push_str(&line(
                    "keys",
                    &format!("[{}]", quoted(key)),
                    "columns that are carried over, not scored",
                ));
            }
            text.push_str(
                "# columns = [\"score=probabilities[1]\"]   # NAME=OUTPUT or NAME=OUTPUT[CLASS]; all without it\n",
            );
        }
        text.push_str("\n[inputs]                            # NAME = PATH, seen read-only at /input/NAME\n");
        for (name, path) in &self.inputs {
            text.push_str(&format!("{name} = {}\n", quoted(path)));
        }
        text.push_str("\n[narrow.limits]                     # tightens the profile; it can never widen it\n");
        for (key, value, why) in &self.limits {
            text.push_str(&line(key, value, why));
        }
        if self.limits.is_empty() {
            text.push_str("# memory = \"256MiB\"\n# wall = \"5m\"\n");
        }
        text.push_str(DECLARATION);
        for remark in &self.remarks {
            text.push_str(&format!("\n# Note: {}\n", remark.replace(|c: char| c.is_control(), " ")));
        }
        text
    }
}

/// How a declared output is written, to be filled in: it is what keeps data from leaving in disguise.
const DECLARATION: &str = "
# Declare what may leave, column by column, and nothing else does (docs/formats/output-schema.md):
# [[output]]
# file = \"scores.csv\"
# format = \"csv\"
# max_rows = 1000
# [[output.column]]
# name = \"score\"
# type = \"decimal\"
# min = 0
# max = 1
# precision = 2
";

fn line(key: &str, value: &str, why: &str) -> String {
    format!("{:<35} # {why}\n", format!("{key} = {value}"))
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// A name under `/input` that is not taken: what the file is called, in plain characters.
fn input_name(file: &str, taken: &[(String, String)]) -> String {
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_ascii_lowercase();
    let stem: String = stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    let is_taken = |name: &str| taken.iter().any(|(there, _)| there == name);
    let mut name = stem.clone();
    let mut number = 2;
    while name.is_empty() || is_taken(&name) {
        name = format!("{stem}_{number}");
        number += 1;
    }
    name
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use hotcell_task::{Work, parse_task_file};

    use super::*;

    fn found(models: &[&str], tables: &[&str], scripts: &[&str]) -> Found {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let columns = list(&["patient", "age"]);
        Found { models: list(models), tables: list(tables), scripts: list(scripts), columns, ..Found::default() }
    }

    #[test]
    fn each_kind_of_folder_gives_a_file_that_a_run_reads() {
        for (found, expected) in [
            (found(&["m.onnx"], &["p.csv"], &["x.py"]), None),
            (found(&[], &["p.csv", "Q r.jsonl"], &["x.py"]), Some(vec!["python3", "x.py"])),
            (found(&[], &[], &["a b'\"\\.sh"]), Some(vec!["sh", "a b'\"\\.sh"])),
            (
                Found { environment: true, ..found(&["m.onnx"], &[], &["x.py"]) },
                Some(vec![".venv/bin/python3", "x.py"]),
            ),
        ] {
            let draft = Draft::of_folder(&found).unwrap();
            let text = draft.text();
            let spec = parse_task_file(&text, "task.toml", Path::new("/f")).unwrap_or_else(|e| panic!("{e}\n{text}"));
            match (&spec.work, expected) {
                (Work::Runner(runner), None) => {
                    assert_eq!(runner.keys, ["patient"]);
                    assert_eq!(spec.model.unwrap().path, Path::new("/f/m.onnx"));
                }
                (Work::Command(command), Some(expected)) => {
                    assert_eq!(command, &expected);
                    assert_eq!(spec.code.as_deref(), Some(Path::new("/f/.")));
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(spec.inputs.len(), if spec.outputs.is_none() { draft.inputs.len() } else { 0 });
            assert_eq!(spec.output.as_deref(), Some(Path::new("/f/out")));
        }
        assert!(Draft::of_folder(&found(&["m.onnx"], &[], &[])).is_none());
        assert!(Draft::of_folder(&found(&[], &["p.csv"], &[])).is_none());
    }

    #[test]
    fn a_sealed_model_leaves_its_key_and_vendor_to_be_named() {
        let draft = Draft::of_folder(&found(&["m.sealed"], &["p.csv"], &[])).unwrap();
        assert!(!draft.is_complete());
        let text = draft.text();
        assert!(text.contains("key = \"MY.key\"") && text.contains("trust = [\"VENDOR.key.pub\"]"), "{text}");
        let table: toml::Table = text.parse().unwrap();
        assert_eq!(table["model"]["file"].as_str(), Some("m.sealed"));
    }

    #[test]
    fn hostile_names_stay_within_their_place() {
        let name = "x\"\ncommand = [\"sh\"]\n#.csv";
        let mut draft = Draft::of_command(vec!["true".to_owned()], &found(&[], &[name], &[]));
        draft.remarks.push("line\ncommand = [\"rm\"]".to_owned());
        let spec = parse_task_file(&draft.text(), "t", Path::new("/f")).unwrap();
        assert!(matches!(&spec.work, Work::Command(command) if *command == ["true"]));
        assert_eq!(spec.inputs[0].path, Path::new("/f").join(name));
    }

    #[test]
    fn names_of_inputs_are_plain_and_each_its_own() {
        let tables = found(&[], &["a-b.csv", "a_b.csv", "Ä.csv"], &[]);
        let draft = Draft::of_command(Vec::new(), &tables);
        let names: Vec<_> = draft.inputs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a_b", "a_b_2", "_"]);
    }
}
