//! Cases, run in turn; medians and ratios.

use serde::Serialize;

use crate::Result;
use crate::meter::Cost;

/// What identifies a measurement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// Name of the query.
    pub query: String,
    /// Where the rows come from.
    pub input: String,
    /// Worker threads and partitions.
    pub threads: usize,
    /// Rows read.
    pub rows: u64,
    /// Different keys; 0: as NEXMark has them.
    pub keys: u64,
}

/// What one run gave.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// What it took.
    pub cost: Cost,
    /// Rows that came out.
    pub rows_out: u64,
    /// Turns of the crank; 0: no pipeline.
    pub epochs: u64,
}

/// Something that can be run again and again.
pub struct Case {
    /// What it is.
    pub label: Label,
    run: Box<dyn Fn() -> Result<Run>>,
}

impl Case {
    /// A case; `run` must do the whole work each time.
    pub fn new(label: Label, run: impl Fn() -> Result<Run> + 'static) -> Self {
        Self { label, run: Box::new(run) }
    }
}

/// All runs of a case.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// What was run.
    pub label: Label,
    /// In the order in which they ran.
    pub runs: Vec<Run>,
}

/// Runs every case once without counting, then `runs` times each in turn, so that a slow minute of the machine hits all.
///
/// # Errors
/// Those of a run; a case that does not give the same number of rows each time.
pub fn run_in_turn(cases: &[Case], runs: usize, mut progress: impl FnMut(&Label)) -> Result<Vec<Measurement>> {
    let mut measurements: Vec<Measurement> =
        cases.iter().map(|case| Measurement { label: case.label.clone(), runs: Vec::with_capacity(runs) }).collect();
    for round in 0..=runs {
        for (case, measurement) in cases.iter().zip(&mut measurements) {
            progress(&case.label);
            let run = (case.run)().map_err(|error| format!("{} over {}: {error}", case.label.query, case.label.input))?;
            if measurement.runs.first().is_some_and(|first| first.rows_out != run.rows_out) {
                return Err(format!("{} gave {} rows, before {}", case.label.query, run.rows_out, measurement.runs[0].rows_out).into());
            }
            if round > 0 {
                measurement.runs.push(run);
            }
        }
    }
    Ok(measurements)
}

impl Measurement {
    /// Median of something over the runs.
    pub fn median_of(&self, value: impl Fn(&Run) -> f64) -> f64 {
        median(self.runs.iter().map(value).collect())
    }

    /// Rows per second of wall time.
    pub fn per_second(&self) -> f64 {
        self.label.rows as f64 / self.median_of(|run| run.cost.wall_s)
    }

    /// Rows per second of CPU time.
    pub fn per_cpu_second(&self) -> f64 {
        self.label.rows as f64 / self.median_of(|run| run.cost.cpu_s)
    }

    /// How many times as fast as `other`: the median over pairs of runs that stood next to each other in time.
    pub fn speed_over(&self, other: &Self, seconds: impl Fn(&Cost) -> f64) -> f64 {
        let rate = |label: &Label, run: &Run| label.rows as f64 / seconds(&run.cost);
        let pairs = self.runs.iter().zip(&other.runs);
        median(pairs.map(|(own, others)| rate(&self.label, own) / rate(&other.label, others)).collect())
    }
}

/// The middle value; the lower one of two.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

/// The measurement with this query, keys and threads.
pub fn find<'a>(all: &'a [Measurement], query: &str, keys: u64, threads: usize) -> Option<&'a Measurement> {
    all.iter().find(|one| one.label.query == query && one.label.keys == keys && one.label.threads == threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_a_middle_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), 2.0);
        assert!(median(vec![]).is_nan());
    }

    #[test]
    fn cases_take_turns_and_the_first_round_does_not_count() {
        use std::cell::RefCell;
        use std::rc::Rc;
        let order = Rc::new(RefCell::new(String::new()));
        let case = |name: char, seconds: f64| {
            let label = Label { query: name.to_string(), input: String::new(), threads: 1, rows: 12, keys: 0 };
            let order = Rc::clone(&order);
            Case::new(label, move || {
                order.borrow_mut().push(name);
                let cost = Cost { wall_s: seconds, cpu_s: seconds, peak_rss_mb: 0.0, rss_before_mb: 0.0 };
                Ok(Run { cost, rows_out: 1, epochs: 0 })
            })
        };
        let measured = run_in_turn(&[case('a', 1.0), case('b', 3.0)], 2, |_| {}).unwrap();
        assert_eq!(*order.borrow(), "ababab");
        assert_eq!(measured[0].runs.len(), 2);
        assert_eq!(measured[1].per_second(), 4.0);
        assert_eq!(measured[0].speed_over(&measured[1], |cost| cost.cpu_s), 3.0);
        assert!(find(&measured, "b", 0, 1).is_some() && find(&measured, "b", 7, 1).is_none());
    }
}
