//! Figures of a pipeline's sources.

use millstream_time::Watermark;

/// Figures of one source since it was opened, of what has been handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceMetrics {
    /// Table name.
    pub name: String,
    /// Rows handed out.
    pub rows: u64,
    /// Bytes read from outside for them.
    pub bytes: u64,
    /// Rows that did not decode and were skipped.
    pub rejected_rows: u64,
    /// The last of them.
    pub last_rejected: Option<RejectedExample>,
    /// Rows too far in the future to advance the watermark.
    pub future_skew_rows: u64,
    /// The watermark last handed out.
    pub watermark: Watermark,
    /// Lanes seen.
    pub lanes: usize,
    /// Lanes that are idle.
    pub idle_lanes: usize,
    /// Lanes that have ended.
    pub finished_lanes: usize,
    /// Not taken from at the moment, because it is too far ahead of a slower source.
    pub held_back: bool,
}

/// Where and why a row did not decode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedExample {
    /// Where it stands, for people.
    pub place: String,
    /// Why it does not decode, with the value.
    pub reason: String,
}

/// What batches add up to.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) rejected_rows: u64,
    pub(super) last_rejected: Option<RejectedExample>,
    pub(super) future_skew_rows: u64,
}

impl Figures {
    pub(super) fn add(&mut self, other: Figures) {
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.rejected_rows += other.rejected_rows;
        self.future_skew_rows += other.future_skew_rows;
        if other.last_rejected.is_some() {
            self.last_rejected = other.last_rejected;
        }
    }
}
