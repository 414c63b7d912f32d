//! Which rows of a source are late, where that is not left to the operators: by `late_rows = 'strict'`, and where late rows are kept.
//!
//! * **strict**: a row is late if its last window had ended at the source's running watermark just before the row. With one lane that
//!   depends on nothing but the order of the rows (it is also Flink's rule). With several lanes there is no order between them, so
//!   the watermark before the epoch counts.
//! * **lenient**: a row is late if the operators had closed its last window before the epoch. That is what they find themselves; it
//!   is found here, too, when somebody wants the row with all its columns.

use std::collections::BTreeSet;

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::common::Result;
use millstream_operators::LeafId;
use millstream_operators::event_time::{time_millis, time_span};
use millstream_operators::operator::OperatorSnapshot;
use millstream_sql::logical::label::TimeDomain;
use millstream_sql::logical::{OperatorKind, PipelinePlan};
use millstream_time::{Watermark, WindowSpec};

use super::checkpoints::Checkpoint;
use crate::error::Error;
use crate::input::WatermarkRule;

/// The windows that a source's rows go into.
#[derive(Clone, Debug)]
pub(super) struct SourceWindows {
    spec: WindowSpec,
    /// The operators that hold them.
    operators: Vec<usize>,
    /// Sources whose smallest watermark has closed all of them.
    closed_by: BTreeSet<usize>,
}

impl SourceWindows {
    /// What `plan` does with the rows of `source`; an error if there are several kinds of windows, which `what` cannot have.
    pub(super) fn of(plan: &PipelinePlan, source: usize, what: &str) -> Result<Option<Self>, Error> {
        let mut found: Option<Self> = None;
        for (number, (stage, operator)) in plan.stages.iter().zip(&plan.operators).enumerate() {
            let spec = match &operator.kind {
                OperatorKind::Aggregate { window, .. } | OperatorKind::Buffer { window, .. } if operator.domain == TimeDomain::Event => {
                    *window
                }
                _ => continue,
            };
            if spec == WindowSpec::Global || !stage.inputs.contains(&LeafId::Source(source)) {
                continue;
            }
            match &mut found {
                None => found = Some(Self { spec, operators: vec![number], closed_by: operator.watermark_sources.clone() }),
                Some(other) if other.spec == spec => {
                    other.operators.push(number);
                    other.closed_by.extend(&operator.watermark_sources);
                }
                Some(_) => {
                    let name = &plan.sources[source].table.name;
                    let message = format!("{what} needs one kind of windows over {name} in a query (hint: split the query)");
                    return Err(Error::user("0A000", message));
                }
            }
        }
        Ok(found)
    }
}

/// Finds late rows in one source's batches and counts them.
#[derive(Debug)]
pub(super) struct Lateness {
    windows: SourceWindows,
    /// Event-time column of the filled batch.
    time: usize,
    rule: LateRule,
    running: Watermark,
    late_rows: u64,
}

#[derive(Debug)]
pub(super) enum LateRule {
    Lenient,
    /// By the watermark of this source, which is made by `marks` over the decoded batch.
    Strict {
        source: usize,
        marks: WatermarkRule,
        one_lane: bool,
    },
}

impl Lateness {
    pub(super) fn new(windows: SourceWindows, time: usize, rule: LateRule) -> Self {
        Self { windows, time, rule, running: Watermark::MIN, late_rows: 0 }
    }

    /// Goes on from a checkpoint, where the source has so many lanes.
    pub(super) fn go_on_from(&mut self, checkpoint: &Checkpoint, source_lanes: usize) {
        match &mut self.rule {
            LateRule::Lenient => {
                let operators = self.windows.operators.iter().filter_map(|&operator| checkpoint.operators.get(operator));
                self.running = operators.map(|operator: &OperatorSnapshot| operator.watermark).min().unwrap_or(Watermark::MIN);
            }
            LateRule::Strict { source, one_lane, .. } => {
                self.running = checkpoint.positions.sources.get(*source).map_or(Watermark::MIN, |position| position.watermark);
                *one_lane = source_lanes == 1;
            }
        }
    }

    /// How far the sources' watermarks are after an epoch.
    pub(super) fn epoch_done(&mut self, watermarks: &[Watermark]) {
        let smallest = |sources: &BTreeSet<usize>| sources.iter().filter_map(|&source| watermarks.get(source)).min().copied();
        let reached = match &self.rule {
            LateRule::Lenient => smallest(&self.windows.closed_by),
            LateRule::Strict { one_lane: true, .. } => None,
            LateRule::Strict { source, .. } => watermarks.get(*source).copied(),
        };
        if let Some(reached) = reached {
            self.running.advance(reached);
        }
    }

    pub(super) fn late_rows(&self) -> u64 {
        self.late_rows
    }

    /// Which rows of `filled` are in time, if not all are; `decoded` are the same rows as the source gave them.
    pub(super) fn in_time(&mut self, filled: &RecordBatch, decoded: &RecordBatch) -> Result<Option<BooleanArray>> {
        let in_time = match &self.rule {
            LateRule::Strict { marks, one_lane: true, .. } => match marks_of(marks, decoded)? {
                Some((marks, delay_ms)) => self.in_time_row_by_row(filled, marks.as_ref(), delay_ms)?,
                None => return Ok(None),
            },
            _ => self.in_time_by_now(filled)?,
        };
        let late = in_time.iter().filter(|in_time| !**in_time).count();
        self.late_rows += late as u64;
        Ok((late > 0).then(|| BooleanArray::from(in_time)))
    }

    fn is_late(&self, time: i64) -> bool {
        self.windows.spec.last_end(self.windows.spec.pane_of(time)) <= self.running.as_ms()
    }

    fn in_time_by_now(&self, filled: &RecordBatch) -> Result<Vec<bool>> {
        let column = filled.column(self.time);
        match time_span(column)? {
            Some((first, _)) if self.is_late(first) => {}
            _ => return Ok(Vec::new()),
        }
        let times = time_millis(column)?;
        Ok(times.iter().enumerate().map(|(row, &time)| column.is_null(row) || !self.is_late(time)).collect())
    }

    fn in_time_row_by_row(&mut self, filled: &RecordBatch, marks: &dyn Array, delay_ms: i64) -> Result<Vec<bool>> {
        let column = filled.column(self.time);
        let (times, mark_times) = (time_millis(column)?, time_millis(marks)?);
        let mut in_time = Vec::with_capacity(times.len());
        for (row, &time) in times.iter().enumerate() {
            in_time.push(column.is_null(row) || !self.is_late(time));
            if marks.is_valid(row) {
                self.running.advance(Watermark::from_event_time_ms(mark_times[row].saturating_sub(delay_ms)));
            }
        }
        Ok(in_time)
    }
}

/// What the watermark follows, row by row, and how far it stays behind.
fn marks_of(rule: &WatermarkRule, decoded: &RecordBatch) -> Result<Option<(datafusion::arrow::array::ArrayRef, i64)>> {
    Ok(match rule {
        WatermarkRule::None => None,
        WatermarkRule::Column { index, delay_ms } => Some((decoded.column(*index).clone(), *delay_ms)),
        WatermarkRule::Expr(expr) => Some((expr.evaluate(decoded)?.into_array(decoded.num_rows())?, 0)),
    })
}
