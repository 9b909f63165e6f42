//! The operators LinearClassifier and LinearRegressor.

use crate::tensor::{Data, Tensor};

use super::attributes::Settings;
use super::labels::Labels;
use super::matrix::Matrix;
use super::scores::{Transform, logistic};

/// Rows of coefficients and what is added to each.
#[derive(Debug)]
struct Weights {
    coefficients: Vec<f32>,
    intercepts: Vec<f32>,
}

/// A linear model that decides between classes.
#[derive(Debug)]
pub(super) struct Classifier {
    weights: Weights,
    labels: Labels,
    transform: Transform,
}

/// A linear model that gives numbers.
#[derive(Debug)]
pub(super) struct Regressor {
    weights: Weights,
    transform: Transform,
}

impl Weights {
    fn read(settings: &Settings<'_, '_>, rows: usize) -> Result<Self, String> {
        let coefficients = settings.floats("coefficients").to_vec();
        let mut intercepts = settings.floats("intercepts").to_vec();
        if intercepts.is_empty() && rows <= coefficients.len() {
            intercepts = vec![0.0; rows];
        }
        if rows == 0 || intercepts.len() != rows || coefficients.is_empty() || !coefficients.len().is_multiple_of(rows)
        {
            return Err("its coefficients and intercepts do not fit together".into());
        }
        Ok(Self { coefficients, intercepts })
    }

    fn apply(&self, input: &Matrix<'_>) -> Result<Vec<f32>, String> {
        let rows = self.intercepts.len();
        let width = self.coefficients.len() / rows;
        if input.columns != width {
            return Err(format!("it expects {width} features, {} are given", input.columns));
        }
        let mut results = input.zeros(rows)?;
        for (values, results) in input.iter().zip(results.chunks_exact_mut(rows)) {
            let each = self.coefficients.chunks_exact(width).zip(&self.intercepts);
            for (result, (coefficients, intercept)) in results.iter_mut().zip(each) {
                let products = values.iter().zip(coefficients).map(|(v, c)| f64::from(*v) * f64::from(*c));
                *result = (products.sum::<f64>() + f64::from(*intercept)) as f32;
            }
        }
        Ok(results)
    }
}

impl Classifier {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let labels = Labels::read(settings, "classlabels_strings", "classlabels_ints")?;
        let rows = settings.floats("intercepts").len();
        let weights = Weights::read(settings, if rows == 0 { labels.len() } else { rows })?;
        let rows = weights.intercepts.len();
        if labels.len() != rows.max(2) {
            return Err("its labels do not fit its coefficients".into());
        }
        let transform = Transform::parse(settings.text("post_transform", "NONE")?)?;
        if rows == 1 && transform == Transform::Probit {
            return Err("probit is not defined for one row of coefficients here".into());
        }
        Ok(Self { weights, labels, transform })
    }

    pub(super) fn labels(&self) -> &Labels {
        &self.labels
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let input = Matrix::of(input)?;
        let raw = self.weights.apply(&input)?;
        let rows = self.weights.intercepts.len();
        let mut picks = Vec::with_capacity(input.rows);
        let mut scores = Vec::with_capacity(raw.len() * 2);
        for raw in raw.chunks_exact(rows) {
            if let [score] = *raw {
                picks.push(usize::from(score > 0.0));
                // One row of coefficients for two classes: the score is the second's.
                let second = if self.transform == Transform::Logistic { logistic(score) } else { score };
                scores.extend([1.0 - second, second]);
                continue;
            }
            let mut best = (0, f32::NEG_INFINITY);
            for (class, score) in raw.iter().enumerate() {
                if *score > best.1 {
                    best = (class, *score);
                }
            }
            picks.push(best.0);
            let from = scores.len();
            scores.extend_from_slice(raw);
            self.transform.apply(scores.get_mut(from..).unwrap_or_default());
        }
        let scores = Tensor::new([input.rows, self.labels.len()], Data::Float(scores)).ok_or("too many scores")?;
        Ok(vec![self.labels.pick(&picks)?, scores])
    }
}

impl Regressor {
    pub(super) fn build(settings: &Settings<'_, '_>) -> Result<Self, String> {
        let targets = usize::try_from(settings.int("targets", 1)).map_err(|_| "it has a negative number of targets")?;
        Ok(Self {
            weights: Weights::read(settings, targets)?,
            transform: Transform::parse(settings.text("post_transform", "NONE")?)?,
        })
    }

    pub(super) fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, String> {
        let input = Matrix::of(input)?;
        let targets = self.weights.intercepts.len();
        let mut values = self.weights.apply(&input)?;
        if targets > 1 || self.transform == Transform::Probit {
            values.chunks_exact_mut(targets).for_each(|row| self.transform.apply(row));
        }
        Ok(vec![Tensor::new([input.rows, targets], Data::Float(values)).ok_or("too many values")?])
    }
}
