//! The operators TreeEnsembleClassifier and TreeEnsembleRegressor.

use crate::tensor::{Data, Tensor};

use super::attributes::Settings;
use super::labels::Labels;
use super::matrix::Matrix;
use super::scores::{Transform, logistic};
use super::tree::Trees;

/// A tree ensemble that votes for classes.
#[derive(Debug)]
pub(super) struct Classifier {
    trees: Trees,
    labels: Labels,
    base: Vec<f32>,
    transform: Transform,
    /// Two classes of which the leaves name only one: its score decides.
    one_sided: bool,
    all_positive: bool,
}

/// A tree ensemble that adds up to numbers.
#[derive(Debug)]
pub(super) struct Regressor {
    trees: Trees,
    targets: usize,
    base: Vec<f32>,
    transform: Transform,
    aggregate: Aggregate,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Aggregate {
    Sum,
    Average,
    Min,
    Max,
}

impl Classifier {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let labels = Labels::read(settings, "classlabels_strings", "classlabels_int64s")?;
        if labels.len() < 2 {
            return Err("it has fewer than two classes".into());
        }
        let transform = Transform::parse(settings.text("post_transform", "NONE")?)?;
        if labels.len() == 2 && transform == Transform::Probit {
            return Err("probit is not defined for two classes here".into());
        }
        let base = settings.floats_or_tensor("base_values")?.into_owned();
        if base.len() > labels.len() {
            return Err("it has more base values than classes".into());
        }
        let trees = Trees::build(settings, "class", labels.len())?;
        let first = trees.entries().first().map(|entry| entry.target);
        let one_class = first.is_some() && trees.entries().iter().all(|entry| Some(entry.target) == first);
        Ok(Self {
            one_sided: labels.len() == 2 && one_class,
            all_positive: trees.entries().iter().all(|entry| entry.weight >= 0.0),
            transform,
            trees,
            labels,
            base,
        })
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let input = Matrix::of(input)?;
        check_width(&self.trees, &input)?;
        let classes = self.labels.len();
        let mut scores = input.zeros(classes)?;
        let mut has = vec![false; scores.len()];
        self.trees.walk(input.values(), input.columns, |row, entries| {
            for entry in entries {
                let at = row * classes + entry.target as usize;
                if let (Some(score), Some(has)) = (scores.get_mut(at), has.get_mut(at)) {
                    *score += entry.weight;
                    *has = true;
                }
            }
        });
        let mut picks = Vec::with_capacity(input.rows);
        for (scores, has) in scores.chunks_exact_mut(classes).zip(has.chunks_exact_mut(classes)) {
            picks.push(match (scores, has) {
                ([first, second], [has_first, has_second]) => self.finish_two(first, second, *has_first, *has_second),
                (scores, has) => self.finish_many(scores, has),
            });
        }
        let scores = Tensor::new([input.rows, classes], Data::Float(scores)).ok_or("too many scores")?;
        Ok(vec![self.labels.pick(&picks)?, scores])
    }

    fn finish_many(&self, scores: &mut [f32], has: &mut [bool]) -> usize {
        for ((score, has), base) in scores.iter_mut().zip(has.iter_mut()).zip(&self.base) {
            *score += base;
            *has = true;
        }
        let mut best: Option<(usize, f32)> = None;
        for (class, (score, has)) in scores.iter().zip(has.iter()).enumerate() {
            if *has && best.is_none_or(|(_, most)| *score > most) {
                best = Some((class, *score));
            }
        }
        self.transform.apply(scores);
        best.map_or(0, |(class, _)| class)
    }

    /// The rules for two classes, which the format leaves vague; these are onnxruntime's.
    fn finish_two(&self, first: &mut f32, second: &mut f32, has_first: bool, has_second: bool) -> usize {
        let two = match *self.base.as_slice() {
            [_, base] if has_second => {
                *second = base + *first;
                *first = -*second;
                true
            }
            [base, other] => {
                *first += base;
                *second += other;
                true
            }
            [base] => {
                *first += base;
                has_second
            }
            _ => has_second,
        };
        // A class that no leaf scored counts as zero, whatever its base value.
        *first = if has_first { *first } else { 0.0 };
        *second = if has_second { *second } else { 0.0 };
        let decides = if has_second { *second } else { *first };
        if two {
            let mut both = [*first, *second];
            self.transform.apply(&mut both);
            [*first, *second] = both;
        } else {
            let score = *first;
            [*first, *second] = match self.transform {
                _ if self.one_sided && self.all_positive => [1.0 - score, score],
                Transform::Logistic => [logistic(-score), logistic(score)],
                _ => [-score, score],
            };
        }
        let limit = if self.one_sided && self.all_positive { 0.5 } else { 0.0 };
        usize::from(decides > limit)
    }
}

impl Regressor {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let targets = usize::try_from(settings.int("n_targets", 1)).ok().filter(|n| (1..=MAX_TARGETS).contains(n));
        let targets = targets.ok_or("it has no sensible number of targets")?;
        let base = settings.floats_or_tensor("base_values")?.into_owned();
        if !(base.is_empty() || base.len() == targets) {
            return Err("it has not one base value for each target".into());
        }
        Ok(Self {
            trees: Trees::build(settings, "target", targets)?,
            targets,
            base,
            transform: Transform::parse(settings.text("post_transform", "NONE")?)?,
            aggregate: match settings.text("aggregate_function", "SUM")? {
                "SUM" => Aggregate::Sum,
                "AVERAGE" => Aggregate::Average,
                "MIN" => Aggregate::Min,
                "MAX" => Aggregate::Max,
                other => return Err(format!("`{}` is not an aggregate", crate::onnx::clip(other))),
            },
        })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let input = Matrix::of(input)?;
        check_width(&self.trees, &input)?;
        let mut values = input.zeros(self.targets)?;
        let aggregate = self.aggregate;
        // Above or below every weight, so that the first one counts.
        values.fill(match aggregate {
            Aggregate::Sum | Aggregate::Average => 0.0,
            Aggregate::Min => f32::INFINITY,
            Aggregate::Max => f32::NEG_INFINITY,
        });
        let mut has = vec![self.targets == 1 && matches!(aggregate, Aggregate::Sum | Aggregate::Average); values.len()];
        self.trees.walk(input.values(), input.columns, |row, entries| {
            for entry in entries {
                let at = row * self.targets + entry.target as usize;
                let (Some(value), Some(has)) = (values.get_mut(at), has.get_mut(at)) else { continue };
                match aggregate {
                    Aggregate::Sum | Aggregate::Average => *value += entry.weight,
                    Aggregate::Min => *value = value.min(entry.weight),
                    Aggregate::Max => *value = value.max(entry.weight),
                }
                *has = true;
            }
        });
        let trees = self.trees.count() as f32;
        for (row, has) in values.chunks_exact_mut(self.targets).zip(has.chunks_exact(self.targets)) {
            for (target, (value, has)) in row.iter_mut().zip(has).enumerate() {
                let base = self.base.get(target).copied().unwrap_or(0.0);
                let whole = if aggregate == Aggregate::Average { *value / trees } else { *value };
                // As onnxruntime has it: of several targets, one that no leaf named is zero without its base value.
                *value = if *has { whole + base } else { 0.0 };
            }
            // With one target onnxruntime knows no other transform than probit.
            if self.targets > 1 || self.transform == Transform::Probit {
                self.transform.apply(row);
            }
        }
        Ok(vec![Tensor::new([input.rows, self.targets], Data::Float(values)).ok_or("too many values")?])
    }
}

fn check_width(trees: &Trees, input: &Matrix<'_>) -> Result<(), String> {
    if input.columns == 0 || trees.features > input.columns {
        return Err(format!("its trees ask for {} features, {} are given", trees.features, input.columns));
    }
    Ok(())
}

/// More targets than this no regressor has.
const MAX_TARGETS: usize = 1 << 16;
