//! How many typical deviations a row is from the median of the rows before it.

use std::collections::VecDeque;

use super::error::Result;
use super::options::OptionReader;
use super::row::{Driver, Learner, RowLearner, Task};
use super::state::{StateReader, StateWriter};

/// The modified z-score of Iglewicz and Hoaglin (How to detect and handle outliers, 1993) over the last `window_size` rows:
/// `0.6745 · |x - median| / MAD`, the greatest over the features. Median and median absolute deviation (MAD) are exact. Where the
/// MAD is 0, the mean absolute deviation times 1.2533 stands for it, as they propose; where that is 0 too, a feature that
/// deviates scores `SCORE_MAX`.
#[derive(Clone, Debug)]
struct RobustZScore {
    window: usize,
    /// Fewer rows than this give no score.
    rows_min: usize,
    features: Vec<Feature>,
}

#[derive(Clone, Debug, Default)]
struct Feature {
    /// In the order of arrival, and by size.
    arrived: VecDeque<f64>,
    sorted: Vec<f64>,
}

/// What a deviation from a constant scores.
const SCORE_MAX: f64 = 1e6;

/// `robust_z_score`.
pub(super) fn robust_z_score(features: usize, options: &mut OptionReader<'_>) -> Result<Box<dyn Learner>> {
    let window = options.count("window_size", 250, 3..=100_000)?;
    let rows_min = options.count("rows_min", 10.min(window), 1..=window)?;
    let model = RobustZScore { window, rows_min, features: vec![Feature::default(); features] };
    Driver::boxed(model, options, features, "none", 3.5)
}

impl Feature {
    fn push(&mut self, value: f64, window: usize) {
        if self.arrived.len() == window
            && let Some(oldest) = self.arrived.pop_front()
        {
            let at = self.sorted.partition_point(|x| x.total_cmp(&oldest).is_lt());
            self.sorted.remove(at);
        }
        self.arrived.push_back(value);
        let at = self.sorted.partition_point(|x| x.total_cmp(&value).is_lt());
        self.sorted.insert(at, value);
    }

    fn median(&self) -> f64 {
        let n = self.sorted.len();
        self.sorted[(n - 1) / 2].midpoint(self.sorted[n / 2])
    }

    /// The deviations rise from the median to both ends: they are merged up to the middle one.
    fn median_deviation(&self, median: f64) -> f64 {
        let n = self.sorted.len();
        let mut right = self.sorted.partition_point(|x| *x < median);
        let mut left = right;
        let (mut before, mut last) = (0.0, 0.0);
        for _ in 0..n / 2 + 1 {
            before = last;
            let below = if left > 0 { median - self.sorted[left - 1] } else { f64::INFINITY };
            let above = if right < n { self.sorted[right] - median } else { f64::INFINITY };
            if below < above {
                left -= 1;
                last = below;
            } else {
                right += 1;
                last = above;
            }
        }
        if n % 2 == 1 { last } else { before.midpoint(last) }
    }

    fn score(&self, x: f64) -> f64 {
        let median = self.median();
        let deviation = (x - median).abs();
        if deviation == 0.0 {
            return 0.0;
        }
        let mad = self.median_deviation(median);
        if mad > 0.0 {
            return (0.6745 * deviation / mad).min(SCORE_MAX);
        }
        let mean = self.sorted.iter().map(|x| (x - median).abs()).sum::<f64>() / self.sorted.len() as f64;
        if mean > 0.0 { (deviation / (1.2533 * mean)).min(SCORE_MAX) } else { SCORE_MAX }
    }
}

impl RowLearner for RobustZScore {
    fn task(&self) -> Task {
        Task::Anomaly
    }

    fn predict(&mut self, row: &[f64], out: &mut Vec<f64>) {
        let known = self.features.first().is_some_and(|feature| feature.arrived.len() >= self.rows_min);
        let scores = self.features.iter().zip(row).map(|(feature, x)| if known { feature.score(*x) } else { 0.0 });
        out.push(scores.fold(0.0, f64::max));
    }

    fn learn(&mut self, row: &[f64], _: f64) -> bool {
        for (feature, x) in self.features.iter_mut().zip(row) {
            feature.push(*x, self.window);
        }
        true
    }

    fn reset(&mut self) {
        self.features.fill(Feature::default());
    }

    fn save(&self, state: &mut StateWriter) {
        for (index, feature) in self.features.iter().enumerate() {
            state.values(&format!("window_{index}"), &feature.arrived.iter().copied().collect::<Vec<_>>());
        }
    }

    fn load(&mut self, state: &StateReader) -> Result<()> {
        let window = self.window;
        for (index, feature) in self.features.iter_mut().enumerate() {
            *feature = Feature::default();
            for value in state.any(&format!("window_{index}"))? {
                feature.push(value, window);
            }
        }
        Ok(())
    }
}
