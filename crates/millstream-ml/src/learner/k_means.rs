//! Clusters that follow the stream.

use super::error::Result;
use super::options::OptionReader;
use super::portable::{Portable, misfit};
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// Sequential k-means (MacQueen: Some methods for classification and analysis of multivariate observations, 1967): the first `k`
/// different rows are the centres; each row draws the nearest one by `1 / rows of the cluster`, or by a fixed share `learning_rate`,
/// with which old rows are forgotten.
#[derive(Clone, Debug)]
struct KMeans {
    features: usize,
    clusters: usize,
    /// 0: one over the cluster's rows.
    rate: f64,
    centres: Vec<Centre>,
}

#[derive(Clone, Debug)]
struct Centre {
    rows: f64,
    at: Vec<f64>,
}

/// `k_means`.
pub(super) fn k_means(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let clusters = options.count("clusters", 5, 1..=10_000)?;
    let rate = options.number("learning_rate", 0.0, 0.0..=1.0)?;
    Driver::boxed(KMeans { features, clusters, rate, centres: Vec::new() }, options, features, "none", 0.0)
}

impl KMeans {
    /// The nearest centre and the square of the distance; the earlier one of two that are as near.
    fn nearest(&self, row: &[f64]) -> Option<(usize, f64)> {
        let mut best: Option<(usize, f64)> = None;
        for (index, centre) in self.centres.iter().enumerate() {
            let distance: f64 = row.iter().zip(&centre.at).map(|(x, at)| (x - at) * (x - at)).sum();
            if best.is_none_or(|(_, least)| distance < least) {
                best = Some((index, distance));
            }
        }
        best
    }
}

impl RowLearner for KMeans {
    fn task(&self) -> Task {
        Task::Cluster
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        if let Some((index, distance)) = self.nearest(row) {
            out.extend([index as f64, distance.sqrt()]);
        }
    }

    fn learn(&mut self, row: &[f64], _: f64) -> bool {
        match self.nearest(row) {
            Some((index, distance)) if distance == 0.0 || self.centres.len() == self.clusters => {
                if !distance.is_finite() {
                    return false;
                }
                let centre = &mut self.centres[index];
                centre.rows += 1.0;
                let rate = if self.rate > 0.0 { self.rate } else { 1.0 / centre.rows };
                for (at, x) in centre.at.iter_mut().zip(row) {
                    *at += rate * (x - *at);
                }
            }
            _ => self.centres.push(Centre { rows: 1.0, at: row.to_vec() }),
        }
        true
    }

    fn reset(&mut self) {
        self.centres.clear();
    }

    fn save(&self, state: &mut StateWriter) {
        state.values("cluster_rows", &self.centres.iter().map(|centre| centre.rows).collect::<Vec<_>>());
        for (index, centre) in self.centres.iter().enumerate() {
            state.values(&format!("centre_{index}"), &centre.at);
        }
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        self.centres.clear();
        for (index, rows) in state.any("cluster_rows")?.into_iter().enumerate() {
            let mut centre = Centre { rows, at: vec![0.0; self.features] };
            state.fill(&format!("centre_{index}"), &mut centre.at)?;
            self.centres.push(centre);
        }
        Ok(())
    }

    fn portable(&self) -> Option<Portable> {
        Some(Portable::Centres(self.centres.iter().map(|centre| (centre.rows, centre.at.clone())).collect()))
    }

    fn take(&mut self, portable: Portable) -> Result<()> {
        match portable {
            Portable::Centres(centres) if centres.len() <= self.clusters && centres.iter().all(|(_, at)| at.len() == self.features) => {
                self.centres = centres.into_iter().map(|(rows, at)| Centre { rows, at }).collect();
                Ok(())
            }
            other => misfit(&other, &format!("at most {} centres of {} features", self.clusters, self.features)),
        }
    }
}
