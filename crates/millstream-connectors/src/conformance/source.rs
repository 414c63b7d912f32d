//! What every source must keep to.

use std::collections::BTreeSet;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;

use super::{Violation, require, works};
use crate::source::{Boundedness, LaneId, Position, Read, RejectedRow, Replay, Source};

const LANES: &str = "lanes have distinct names and never vanish";
const BATCH: &str = "a batch has at least one row, at most as many as asked for, and the projected columns";
const POSITION: &str = "the position advances with every batch";
const REPLAY: &str = "reading from a position gives the same rows as reading on";
const SIZES: &str = "the rows do not depend on how many are asked for at once";
const PROJECTION: &str = "a projection gives the same values";
const END: &str = "a bounded lane ends, and has nothing after its end";
const UNKNOWN: &str = "a lane that does not exist cannot be opened";

/// Positions at which reading is taken up again, per lane.
const RESUMPTIONS_MAX: usize = 12;

/// Everything read of a lane.
struct Reading {
    rows: RecordBatch,
    rejected: Vec<RejectedRow>,
    /// After each batch: good rows and rejected ones so far, and the position.
    marks: Vec<(usize, usize, Position)>,
    finished: bool,
}

/// Checks a source; of a lane without end (or a longer one) the first `rows_max` rows. A source that cannot be replayed is opened
/// once, with all columns.
pub async fn check_source(source: &dyn Source, rows_max: usize) -> Result<(), Violation> {
    let lanes = works(source.lanes().await, LANES)?;
    let again: BTreeSet<LaneId> = works(source.lanes().await, LANES)?.into_iter().collect();
    let distinct: BTreeSet<&LaneId> = lanes.iter().collect();
    require(distinct.len() == lanes.len() && lanes.iter().all(|lane| again.contains(lane)), LANES, || {
        format!("{lanes:?}, then {again:?}")
    })?;
    let unknown = source.open(&LaneId("no such lane".to_owned()), None, &[]).await;
    require(unknown.is_err(), UNKNOWN, || "it was opened".to_owned())?;
    for lane in &lanes {
        check_lane(source, lane, rows_max).await?;
    }
    Ok(())
}

async fn check_lane(source: &dyn Source, lane: &LaneId, rows_max: usize) -> Result<(), Violation> {
    let all: Vec<usize> = (0..source.schema().fields().len()).collect();
    let once = read(source, lane, None, &all, 100, rows_max).await?;
    if source.boundedness() == Boundedness::Bounded && once.rows.num_rows() < rows_max {
        require(once.finished, END, || format!("lane {lane} did not end"))?;
    }
    if source.replay() == Replay::None {
        return Ok(());
    }
    for at_once in [1, 7, 1_000, usize::MAX / 2] {
        let max = if at_once == 1 { rows_max.min(500) } else { rows_max };
        let other = read(source, lane, None, &all, at_once, max).await?;
        let count = other.rows.num_rows().min(once.rows.num_rows()).min(max);
        let same = other.rows.slice(0, count) == once.rows.slice(0, count);
        require(same && (max < rows_max || !once.finished || count == once.rows.num_rows()), SIZES, || {
            format!("lane {lane}: {at_once} at once gives other rows than 100 at once")
        })?;
    }
    check_resumption(source, lane, &all, &once, rows_max).await?;
    // A column that is not asked for is not checked, so bad rows may count as good.
    if once.rejected.is_empty() {
        check_projections(source, lane, &all, &once, rows_max).await?;
    }
    Ok(())
}

async fn check_resumption(source: &dyn Source, lane: &LaneId, all: &[usize], once: &Reading, rows_max: usize) -> Result<(), Violation> {
    let step = once.marks.len().div_ceil(RESUMPTIONS_MAX).max(1);
    let last = once.marks.last();
    for (good, bad, position) in once.marks.iter().step_by(step).chain(last) {
        // Positions live in checkpoints: they must survive being written down.
        let text = position.0.to_string();
        let stored = serde_json::from_str(&text).map(Position).map_err(|error| Violation { rule: REPLAY, detail: error.to_string() })?;
        let rest = read(source, lane, Some(&stored), all, 64, rows_max - good.min(&rows_max)).await?;
        let count = rest.rows.num_rows().min(once.rows.num_rows() - good);
        let complete = !once.finished || (count == once.rows.num_rows() - good && rest.rejected[..] == once.rejected[*bad..]);
        let same = rest.rows.slice(0, count) == once.rows.slice(*good, count);
        require(same && complete, REPLAY, || format!("lane {lane} from {text}: {} rows after {good}", rest.rows.num_rows()))?;
        if once.finished && *good == once.rows.num_rows() && *bad == once.rejected.len() {
            require(rest.finished && rest.rows.num_rows() == 0, END, || format!("lane {lane} goes on after {text}"))?;
        }
    }
    Ok(())
}

async fn check_projections(source: &dyn Source, lane: &LaneId, all: &[usize], once: &Reading, rows_max: usize) -> Result<(), Violation> {
    let mut projections: Vec<Vec<usize>> = all.iter().map(|column| vec![*column]).collect();
    projections.push(Vec::new());
    projections.push(all.iter().copied().skip(1).collect());
    projections.push(all.iter().copied().step_by(2).collect());
    for projection in projections {
        let part = read(source, lane, None, &projection, 100, rows_max).await?;
        let expected = once.rows.project(&projection).map_err(|error| Violation { rule: PROJECTION, detail: error.to_string() })?;
        let count = expected.num_rows().min(part.rows.num_rows());
        let complete = !once.finished || count == expected.num_rows();
        let same = part.rows.slice(0, count).columns() == expected.slice(0, count).columns();
        require(same && complete, PROJECTION, || format!("lane {lane}, columns {projection:?}"))?;
    }
    Ok(())
}

async fn read(
    source: &dyn Source,
    lane: &LaneId,
    start: Option<&Position>,
    projection: &[usize],
    at_once: usize,
    rows_max: usize,
) -> Result<Reading, Violation> {
    let schema = source.schema().project(projection).map_err(|error| Violation { rule: BATCH, detail: error.to_string() })?;
    let schema = std::sync::Arc::new(schema);
    let mut open = works(source.open(lane, start, projection).await, BATCH)?;
    let (mut batches, mut rejected, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    let (mut good, mut finished) = (0, false);
    let mut before = start.cloned();
    while good + rejected.len() < rows_max.max(1) {
        let batch = match works(open.read(at_once).await, BATCH)? {
            Read::Finished => {
                finished = true;
                break;
            }
            Read::Batch(batch) => batch,
        };
        let count = batch.rows.num_rows() + batch.rejected.len();
        require((1..=at_once).contains(&count), BATCH, || format!("lane {lane}: {count} rows, asked for {at_once}"))?;
        let fits = batch.rows.schema().fields().iter().zip(schema.fields()).all(|(got, wanted)| {
            (got.name(), got.data_type(), got.is_nullable()) == (wanted.name(), wanted.data_type(), wanted.is_nullable())
        });
        require(fits && batch.rows.num_columns() == projection.len(), BATCH, || {
            format!("lane {lane}: columns are {}, expected {schema}", batch.rows.schema())
        })?;
        require(before.as_ref() != Some(&batch.position), POSITION, || format!("lane {lane} stays at {}", batch.position.0))?;
        good += batch.rows.num_rows();
        batches.push(batch.rows);
        rejected.extend(batch.rejected);
        marks.push((good, rejected.len(), batch.position.clone()));
        before = Some(batch.position);
    }
    let rows = concat_batches(&schema, &batches).map_err(|error| Violation { rule: BATCH, detail: error.to_string() })?;
    Ok(Reading { rows, rejected, marks, finished })
}
