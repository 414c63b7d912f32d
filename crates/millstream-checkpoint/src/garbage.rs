//! Which files may be deleted, from names and numbers alone. Clocks are never compared.

use std::collections::HashSet;

use crate::chain::Generation;
use crate::file_name::FileName;

/// What is known when garbage is collected. `finished` and `generation` are those of the owner that collects.
#[derive(Clone, Debug)]
pub struct GarbageFacts<'a> {
    /// Names of files referred to by every manifest that stays.
    pub referenced: &'a HashSet<String>,
    /// Of the owner.
    pub generation: Generation,
    /// The owner's newest manifest: what was written for it or before and is not referred to never will be.
    pub finished: u64,
}

/// Whether a file may go: nobody refers to it, and whoever wrote it can no longer make anybody refer to it.
///
/// A file of an older generation: its writer is fenced. One of ours: its checkpoint is over. What cannot be understood, and what a
/// newer generation wrote, stays.
pub fn is_deletable(file: &str, facts: &GarbageFacts<'_>) -> bool {
    let Some(name) = FileName::parse(file) else { return false };
    let over = name.generation < facts.generation || (name.generation == facts.generation && name.number <= facts.finished);
    over && !facts.referenced.contains(file)
}

/// Whether the marker `committed-<number>` may go: its manifest has gone before.
pub fn marker_is_deletable(number: u64, kept: &[u64]) -> bool {
    kept.first().is_some_and(|lowest| number < *lowest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_over_and_unreferenced_goes() {
        let referenced = HashSet::from(["state/a/1-2-0-x.parquet".to_owned()]);
        let facts = GarbageFacts { referenced: &referenced, generation: Generation(2), finished: 5 };
        for (file, deletable) in [
            ("state/a/1-2-0-x.parquet", false), // referred to
            ("state/a/1-2-0-y.parquet", true),
            ("staged/a/1-9-0-y.arrow", true), // its writer is fenced
            ("state/a/2-5-0-y.parquet", true),
            ("state/a/2-6-0-y.parquet", false), // being written
            ("state/a/3-1-0-y.parquet", false), // we are fenced
            ("state/a/notes.txt", false),
            ("manifest-1.json", false),
        ] {
            assert_eq!(is_deletable(file, &facts), deletable, "{file}");
        }
        assert!(marker_is_deletable(3, &[4, 5]) && !marker_is_deletable(4, &[4, 5]) && !marker_is_deletable(1, &[]));
    }
}
