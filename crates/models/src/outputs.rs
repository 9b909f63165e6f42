//! Which columns a scored table has, and where each comes from.

use std::fmt;
use std::str::FromStr;

use crate::error::RunnerError;
use crate::model::Predictions;
use crate::onnx::clip;
use crate::tensor::{Data, ElementType, Tensor};

/// One column of the scored table.
///
/// Its text form is `NAME=OUTPUT`, `NAME=OUTPUT[CLASS]` or `NAME=OUTPUT[#POSITION]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputColumn {
    /// The column's name.
    pub name: String,
    /// The model's output it comes from.
    pub output: String,
    /// Which value of the output, where it has several for each row.
    pub pick: Option<Pick>,
}

/// One of several values that an output has for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The one of this class, by the label that the model gives it; by position where it names none.
    Class(String),
    /// The one at this position, from 0.
    Position(usize),
}

impl fmt::Display for OutputColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.output)?;
        match &self.pick {
            Some(Pick::Class(class)) => write!(f, "[{class}]"),
            Some(Pick::Position(position)) => write!(f, "[#{position}]"),
            None => Ok(()),
        }
    }
}

impl FromStr for OutputColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{}` is not NAME=OUTPUT, NAME=OUTPUT[CLASS] or NAME=OUTPUT[#POSITION]", clip(text));
        let (name, source) = text.split_once('=').ok_or_else(wrong)?;
        let (output, pick) = match source.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
            Some((output, pick)) => (output, Some(pick)),
            None => (source, None),
        };
        if name.is_empty() || output.is_empty() || pick == Some("") {
            return Err(wrong());
        }
        let pick = match pick.map(|pick| (pick, pick.strip_prefix('#'))) {
            Some((_, Some(position))) => Some(Pick::Position(position.parse().map_err(|_| wrong())?)),
            Some((class, None)) => Some(Pick::Class(class.to_owned())),
            None => None,
        };
        Ok(Self { name: name.to_owned(), output: output.to_owned(), pick })
    }
}

/// A column whose place in the predictions is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) name: String,
    pub(crate) output: usize,
    pub(crate) position: usize,
}

/// Finds each declared column in the predictions; without a declaration, all that they hold, well named.
pub(crate) fn place(columns: &[OutputColumn], predictions: &Predictions) -> Result<Vec<Placed>, RunnerError> {
    for output in &predictions.outputs {
        if predictions.rows != output.tensor.rows().0 {
            return Err(RunnerError::Column {
                column: clip(&output.name),
                why: "the model's output does not have one entry for each row".into(),
            });
        }
    }
    let placed = if columns.is_empty() {
        default_columns(predictions)
    } else {
        columns.iter().map(|column| place_one(column, predictions)).collect::<Result<Vec<_>, _>>()?
    };
    if placed.len() > MAX_COLUMNS {
        return Err(RunnerError::Column {
            column: "(all)".into(),
            why: format!("the model has {} values for each row, more than {MAX_COLUMNS}; choose some", placed.len()),
        });
    }
    Ok(placed)
}

fn place_one(column: &OutputColumn, predictions: &Predictions) -> Result<Placed, RunnerError> {
    let wrong = |why: String| RunnerError::Column { column: clip(&column.name), why };
    let found = predictions.outputs.iter().enumerate().find(|(_, output)| output.name == column.output);
    let Some((index, output)) = found else {
        let names: Vec<_> = predictions.outputs.iter().map(|output| format!("`{}`", clip(&output.name))).collect();
        return Err(wrong(format!("the model has no output `{}`; it has {}", clip(&column.output), names.join(", "))));
    };
    let width = output.tensor.rows().1;
    let position = match &column.pick {
        None if width == 1 => 0,
        None => return Err(wrong(format!("the output has {width} values for each row; choose one"))),
        Some(Pick::Position(position)) => *position,
        Some(Pick::Class(class)) => match &predictions.classes {
            Some(classes) if classes.len() == width => classes
                .iter()
                .position(|known| known == class)
                .ok_or_else(|| wrong(format!("the model knows no class `{}`", clip(class))))?,
            _ => class.parse().map_err(|_| wrong("the model does not name its classes; give a position".into()))?,
        },
    };
    if position >= width {
        return Err(wrong(format!("the output has {width} values for each row, from 0")));
    }
    Ok(Placed { name: column.name.clone(), output: index, position })
}

/// `label` and `probability_<class>` for a classifier, `value` for a model with one number; otherwise the
/// outputs' own names, numbered where an output has several values.
fn default_columns(predictions: &Predictions) -> Vec<Placed> {
    let mut placed: Vec<Placed> = Vec::new();
    let alone = predictions.outputs.len() == 1;
    for (index, output) in predictions.outputs.iter().enumerate() {
        let width = output.tensor.rows().1.min(MAX_COLUMNS + 1);
        let kind = output.tensor.data().element_type();
        let is_label = width == 1 && matches!(kind, ElementType::Int | ElementType::Text);
        for position in 0..width {
            let name = match &predictions.classes {
                Some(_) if is_label => "label".to_owned(),
                Some(classes) if classes.len() == width => {
                    format!("probability_{}", classes.get(position).map_or("", String::as_str))
                }
                _ => match (alone, width) {
                    (true, 1) => "value".to_owned(),
                    (true, _) => format!("value_{position}"),
                    (false, 1) => output.name.clone(),
                    (false, _) => format!("{}_{position}", output.name),
                },
            };
            let taken = placed.iter().any(|column| column.name == name);
            let name = if taken { format!("{}_{position}", output.name) } else { name };
            placed.push(Placed { name, output: index, position });
        }
    }
    placed
}

/// One value of a scored row, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell<'a> {
    Float(f32),
    Double(f64),
    Int(i64),
    Text(&'a str),
}

/// The value of a tensor at row and position; none when it is not there.
pub(crate) fn cell(tensor: &Tensor, row: usize, position: usize) -> Option<Cell<'_>> {
    let index = row * tensor.rows().1 + position;
    Some(match tensor.data() {
        Data::Float(values) => Cell::Float(*values.get(index)?),
        Data::Double(values) => Cell::Double(*values.get(index)?),
        Data::Int(values) => Cell::Int(*values.get(index)?),
        Data::Bool(values) => Cell::Int(i64::from(*values.get(index)?)),
        Data::Text(values) => Cell::Text(values.get(index)?),
    })
}

/// The most columns written without being asked for by name.
const MAX_COLUMNS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Output;

    fn classifier() -> Predictions {
        let label = Tensor::new([2], Data::Int(vec![10, 20])).unwrap();
        let scores = Tensor::new([2, 2], Data::Float(vec![0.9, 0.1, 0.2, 0.8])).unwrap();
        Predictions {
            rows: 2,
            outputs: vec![
                Output { name: "label".into(), tensor: label },
                Output { name: "probabilities".into(), tensor: scores },
            ],
            classes: Some(vec!["10".into(), "20".into()]),
        }
    }

    #[test]
    fn a_column_reads_back_as_written() {
        for text in ["a=b", "p=probabilities[malignant]", "p=probabilities[#1]", "p=o[1]", "x=a=b"] {
            assert_eq!(text.parse::<OutputColumn>().unwrap().to_string(), text);
        }
        for text in ["", "a", "=b", "a=", "a=b[]", "a=b[#]", "a=b[#-1]", "a=[1]", "a=b[#x]"] {
            assert!(text.parse::<OutputColumn>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_classifier_gives_label_and_probabilities_by_class() {
        let names: Vec<_> = place(&[], &classifier()).unwrap().into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["label", "probability_10", "probability_20"]);
    }

    #[test]
    fn a_class_is_found_by_its_label_and_a_position_by_its_number() {
        for (text, position) in [("p=probabilities[20]", 1), ("p=probabilities[#0]", 0), ("p=label", 0)] {
            let placed = place(&[text.parse().unwrap()], &classifier()).unwrap();
            assert_eq!(placed[0].position, position, "{text}");
        }
    }

    #[test]
    fn a_column_that_the_model_cannot_give_is_named() {
        for (text, why) in [
            ("p=scores", "no output `scores`; it has `label`, `probabilities`"),
            ("p=probabilities", "choose one"),
            ("p=probabilities[1]", "no class `1`"),
            ("p=probabilities[#2]", "2 values"),
        ] {
            let error = place(&[text.parse().unwrap()], &classifier()).unwrap_err().to_string();
            assert!(error.contains("`p`") && error.contains(why), "{error}");
        }
    }
}
