//! `late_rows = 'strict'`: a row is late if its last window had ended at the source's running watermark just before the row.
//!
//! With one lane that depends on nothing but the order of the rows (it is also Flink's rule). With several lanes there is no
//! order between them, so the watermark before the epoch counts, as in the lenient rule.

use datafusion::arrow::array::{Array, BooleanArray, RecordBatch};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::common::Result;
use millstream_operators::event_time::time_millis;
use millstream_time::{Watermark, WindowSpec};

use crate::input::WatermarkRule;

/// Leaves late rows out of one source's batches and counts them.
#[derive(Debug)]
pub(super) struct StrictLateness {
    windows: WindowSpec,
    /// Event-time column of the filled batch.
    time: usize,
    /// Over the decoded batch.
    rule: WatermarkRule,
    running: Watermark,
    one_lane: bool,
    late_rows: u64,
}

impl StrictLateness {
    pub(super) fn new(windows: WindowSpec, time: usize, rule: WatermarkRule) -> Self {
        Self { windows, time, rule, running: Watermark::MIN, one_lane: true, late_rows: 0 }
    }

    pub(super) fn go_on_from(&mut self, watermark: Watermark, lanes: usize) {
        (self.running, self.one_lane) = (watermark, lanes == 1);
    }

    pub(super) fn epoch_done(&mut self, watermark: Watermark) {
        if !self.one_lane {
            self.running = watermark;
        }
    }

    pub(super) fn late_rows(&self) -> u64 {
        self.late_rows
    }

    /// The rows of `filled` that are in time; `decoded` are the same rows as the source gave them.
    pub(super) fn keep_in_time(&mut self, filled: RecordBatch, decoded: &RecordBatch) -> Result<RecordBatch> {
        let column = filled.column(self.time);
        let times = time_millis(column)?;
        let (marks, delay_ms) = match &self.rule {
            WatermarkRule::None => return Ok(filled),
            WatermarkRule::Column { index, delay_ms } => (decoded.column(*index).clone(), *delay_ms),
            WatermarkRule::Expr(expr) => (expr.evaluate(decoded)?.into_array(decoded.num_rows())?, 0),
        };
        let mark_times = time_millis(&marks)?;
        let mut in_time = Vec::with_capacity(times.len());
        for (row, &time) in times.iter().enumerate() {
            let late = column.is_valid(row) && self.windows.last_end(self.windows.pane_of(time)) <= self.running.as_ms();
            in_time.push(!late);
            if self.one_lane && marks.is_valid(row) {
                self.running.advance(Watermark::from_event_time_ms(mark_times[row].saturating_sub(delay_ms)));
            }
        }
        let late = in_time.iter().filter(|in_time| !**in_time).count();
        if late == 0 {
            return Ok(filled);
        }
        self.late_rows += late as u64;
        Ok(filter_record_batch(&filled, &BooleanArray::from(in_time))?)
    }
}
