//! Windows that are released part by part, because all their groups together do not fit in memory.
//!
//! That is possible where whatever reads the operator takes each row by itself: a filter, a projection, the next window. What sorts,
//! joins or ranks a window needs it whole.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::{JoinType, Result};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;
use millstream_operators::{DueWindow, EpochScan, KeyPart, LeafId, Released, StoredPiece};

use super::{EpochPlan, Times};

/// Plans that do to a row what they do, whatever other rows there are.
const ROW_BY_ROW: [&str; 10] = [
    "EpochScan",
    "FilterExec",
    "ProjectionExec",
    "CoalesceBatchesExec",
    "CoalescePartitionsExec",
    "RepartitionExec",
    "UnionExec",
    "UnnestExec",
    "CooperativeExec",
    "WindowAssignExec",
];

/// The next window to be released in parts.
#[derive(Clone, Copy, Debug)]
pub(in crate::pipeline) struct InParts {
    /// Whose it is.
    pub(in crate::pipeline) operator: usize,
    pub(in crate::pipeline) due: DueWindow,
    /// Operators before it have windows that end no later: they come first.
    pub(in crate::pipeline) after_others: bool,
}

impl EpochPlan {
    /// The first window of the next step that is partly in the store and, by `too_large`, does not fit as a whole.
    pub(in crate::pipeline) fn next_in_parts(&self, times: &Times, too_large: impl Fn(&DueWindow) -> bool) -> Option<InParts> {
        let limits = self.step_limits(times, 1);
        let to = |n: usize| self.target(n, times).min(self.limit(n, limits));
        let is_due = |n: usize| self.operators[n].operator.nth_due(1).is_some_and(|end| end <= to(n).as_ms());
        self.layered().find_map(|(operator, layers)| {
            let due = layers.due_window(to(operator)).filter(|due| due.stored_bytes > 0 && too_large(due))?;
            self.rows_pass_through(operator).then(|| InParts { operator, due, after_others: (0..operator).any(is_due) })
        })
    }

    pub(in crate::pipeline) fn open_parts(&self, n: usize, due: DueWindow) -> Result<Vec<StoredPiece>> {
        self.operators[n].operator.layers().map_or(Ok(Vec::new()), |layers| layers.open_parts(due))
    }

    pub(in crate::pipeline) fn take_into_part(
        &self,
        n: usize,
        piece: StoredPiece,
        part: KeyPart,
        within: bool,
        rows: &[RecordBatch],
    ) -> Result<()> {
        self.operators[n].operator.layers().map_or(Ok(()), |layers| layers.take_into_part(piece, part, within, rows))
    }

    /// Runs what reads operator `n` over one part of its window; what comes out at the end.
    pub(in crate::pipeline) async fn step_part(&mut self, n: usize, part: KeyPart) -> Result<Vec<RecordBatch>> {
        let released = self.operators[n].operator.layers().map_or(Ok(Released::default()), |layers| layers.release_part(part))?;
        if released.batches.is_empty() {
            return Ok(Vec::new());
        }
        let leaf = LeafId::Operator(n);
        self.set_tables();
        self.inputs.set(leaf, released.batches);
        for reader in 0..self.operators.len() {
            if self.stages[reader].inputs.contains(&leaf) {
                self.run_into_operator(reader).await?;
            }
        }
        let feeds_result = self.stages.last().is_some_and(|result| result.inputs.contains(&leaf));
        let rows = if feeds_result { self.run_result().await? } else { Vec::new() };
        self.inputs.set(leaf, Vec::new());
        Ok(rows)
    }

    pub(in crate::pipeline) fn close_parts(&self, n: usize) {
        if let Some(layers) = self.operators[n].operator.layers() {
            layers.close_parts();
        }
    }

    /// Whether all that read operator `n` take each row by itself.
    fn rows_pass_through(&self, n: usize) -> bool {
        let readers = self.stages.iter().filter(|stage| stage.inputs.contains(&LeafId::Operator(n)));
        readers.into_iter().all(|stage| row_by_row(&stage.plan))
    }
}

fn row_by_row(plan: &Arc<dyn ExecutionPlan>) -> bool {
    if let Some(join) = plan.downcast_ref::<HashJoinExec>() {
        // Rows of a stream that look something up in a table that does not change.
        let unmatched = !matches!(join.join_type(), JoinType::Inner | JoinType::Right | JoinType::RightSemi | JoinType::RightAnti);
        return !unmatched && reads_tables_only(join.left()) && row_by_row(join.right());
    }
    ROW_BY_ROW.contains(&plan.name()) && plan.children().into_iter().all(row_by_row)
}

fn reads_tables_only(plan: &Arc<dyn ExecutionPlan>) -> bool {
    match plan.downcast_ref::<EpochScan>() {
        Some(scan) => matches!(scan.leaf(), LeafId::Table(_)),
        None => plan.children().into_iter().all(reads_tables_only),
    }
}
