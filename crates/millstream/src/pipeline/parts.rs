//! Releases a window that does not fit in memory, part by part.
//!
//! ```text
//!   for each part of all keys:   its rows of every stored layer ──▶ one table ──▶ stages above ──▶ sink
//! ```
//!
//! No checkpoint is taken in between: a crash in the middle begins the window anew, and the sink has shown nothing of it yet.

use millstream_checkpoint::StateFile;
use millstream_operators::{DueWindow, KeyPart, StoredPiece};

use super::crank::Crank;
use super::output::Written;
use super::plan::Times;
use super::relief::TABLE_PER_ROWS;
use crate::error::{Error, Result};

/// A file with rows of the window: the part that they are of, and what of it is needed.
struct PartFile {
    file: StateFile,
    part: KeyPart,
    pieces: Vec<StoredPiece>,
}

impl Crank<'_> {
    /// Releases windows in parts until the next one fits as a whole, or something else comes first. Gives the operators that the next
    /// step may advance: those before this number.
    pub(super) async fn release_in_parts(&mut self, times: &Times) -> Result<(usize, Written)> {
        loop {
            let fits = self.memory.window_bytes_max() / TABLE_PER_ROWS;
            let Some(next) = self.plan.next_in_parts(times, |due| due.bytes > fits) else { return Ok((usize::MAX, Written::Taken)) };
            if next.after_others {
                return Ok((next.operator, Written::Taken));
            }
            if *self.shared.stop.borrow() {
                return Ok((0, Written::Taken));
            }
            if self.release_window(next.operator, next.due).await? == Written::Closed {
                return Ok((usize::MAX, Written::Closed));
            }
        }
    }

    async fn release_window(&mut self, operator: usize, due: DueWindow) -> Result<Written> {
        let part_bytes = self.memory.window_bytes_max();
        self.make_room(part_bytes).await?;
        let parts = (due.bytes.saturating_mul(TABLE_PER_ROWS) / part_bytes.max(1)).saturating_add(1);
        let bits = KeyPart::bits_for(parts);
        let pieces = self.plan.open_parts(operator, due).map_err(|error| Error::running(&error))?;
        let files = self.part_files(operator, &pieces)?;
        tracing::debug!(end = due.end, bytes = due.bytes, parts = 1_u64 << bits, files = files.len(), "a window is released in parts");
        for part in KeyPart::of_bits(bits) {
            for file in files.iter().filter(|file| file.part.meets(part)) {
                self.read_into_part(operator, file, part).await?;
            }
            let rows = self.plan.step_part(operator, part).await.map_err(|error| Error::running(&error))?;
            if self.put_out(rows).await? == Written::Closed {
                return Ok(Written::Closed);
            }
        }
        self.plan.close_parts(operator);
        Ok(Written::Taken)
    }

    /// Each file once, whatever it has of the window.
    fn part_files(&self, operator: usize, pieces: &[StoredPiece]) -> Result<Vec<PartFile>> {
        let Some(store) = self.checkpoints.store() else { return Err(Error::internal("state has left memory without a store")) };
        let mut files: Vec<PartFile> = Vec::new();
        for &piece in pieces {
            let found = store.files_of(operator, piece)?;
            if found.is_empty() {
                return Err(Error::internal(format!("layer {} of pane {} is in no file", piece.seal, piece.pane)));
            }
            for (file, part) in found {
                match files.iter_mut().find(|known| known.file.name == file.name) {
                    Some(known) => known.pieces.push(piece),
                    None => files.push(PartFile { file, part, pieces: vec![piece] }),
                }
            }
        }
        Ok(files)
    }

    async fn read_into_part(&mut self, operator: usize, file: &PartFile, part: KeyPart) -> Result<()> {
        let Some(store) = self.checkpoints.store() else { return Err(Error::internal("state has left memory without a store")) };
        let rows = store.read_rows(&file.file).await?;
        for &piece in &file.pieces {
            let within = file.part.is_within(part);
            self.plan.take_into_part(operator, piece, part, within, &rows).map_err(|error| Error::running(&error))?;
        }
        self.stay_within()
    }
}
