//! What the facts about a chain mean. Nothing here reads or writes; the model check in `tests/model.rs` drives these very functions.

use super::entry::Link;

/// What to do when the name of a new entry was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The entry there is the one we tried to create: an earlier answer was lost.
    Ours,
    /// Another owner's entry, or ours with other contents: the chain has gone on without us.
    Others,
    /// It was there and is not any more: retention has freed the name, so the chain has gone on far beyond.
    Gone,
}

/// Decides by what is read under the taken name.
///
/// Prevents that a lost answer looks like a fence, and that a foreign entry looks like our own.
pub fn taken_by(ours: &Link, found: Option<&Link>) -> Taken {
    match found {
        Some(found) if found == ours => Taken::Ours,
        Some(_) => Taken::Others,
        None => Taken::Gone,
    }
}

/// Whether a created entry may be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the newest, and stands on our own previous entry: publish.
    Head,
    /// Another owner has gone on: publish nothing, stop. The entry that tells is named.
    Fenced(u64),
}

/// Decides after entry `number` was created, by a listing made *after* that and the predecessor read after that.
///
/// The listing catches one who wakes after retention has freed an old name and creates there: the highest entry is never deleted,
/// so a higher one is seen. The predecessor catches a chain that was put back from a copy under a running owner.
pub fn standing(number: u64, highest_listed: Option<u64>, expected: Option<&Link>, found: Option<&Link>) -> Standing {
    match highest_listed {
        Some(highest) if highest > number => Standing::Fenced(highest),
        // Our own entry is not in the listing: somebody deletes under us, or the store lies.
        Some(highest) if highest < number => Standing::Fenced(number),
        None => Standing::Fenced(number),
        Some(_) if expected == found => Standing::Head,
        Some(_) => Standing::Fenced(number.saturating_sub(1)),
    }
}

/// Whether what was read under number `read` between two listings was the head of the chain.
///
/// Prevents reading a stranger's entry: between a listing and the read the chain may go on, retention may free the name, and one who
/// was fenced long ago may create there. While a name is the highest it is never freed, so equal listings exclude all that.
pub fn was_head(read: u64, highest_before: u64, highest_after: Option<u64>) -> bool {
    read == highest_before && highest_after == Some(read)
}

/// The numbers that stay when `keep` entries are kept, given all numbers in ascending order. The highest always stays.
pub fn kept(numbers: &[u64], keep: usize) -> &[u64] {
    &numbers[numbers.len().saturating_sub(keep.max(1))..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    fn link(owner: &str) -> Link {
        Link { owner: owner.into(), hash: Digest::of(owner.as_bytes()) }
    }

    #[test]
    fn a_taken_name() {
        let ours = link("a");
        assert_eq!(taken_by(&ours, Some(&link("a"))), Taken::Ours);
        assert_eq!(taken_by(&ours, Some(&link("b"))), Taken::Others);
        assert_eq!(taken_by(&ours, Some(&Link { hash: Digest::of(b"x"), ..link("a") })), Taken::Others);
        assert_eq!(taken_by(&ours, None), Taken::Gone);
    }

    #[test]
    fn only_the_highest_on_our_own_is_the_head() {
        let (a, b) = (link("a"), link("b"));
        assert_eq!(standing(4, Some(4), Some(&a), Some(&a)), Standing::Head);
        assert_eq!(standing(1, Some(1), None, None), Standing::Head);
        assert_eq!(standing(4, Some(9), Some(&a), Some(&a)), Standing::Fenced(9));
        assert_eq!(standing(4, Some(4), Some(&a), Some(&b)), Standing::Fenced(3));
        assert_eq!(standing(4, Some(4), Some(&a), None), Standing::Fenced(3));
        assert_eq!(standing(4, Some(3), Some(&a), Some(&a)), Standing::Fenced(4));
        assert_eq!(standing(4, None, Some(&a), Some(&a)), Standing::Fenced(4));
    }

    #[test]
    fn the_highest_is_kept_whatever_is_asked() {
        assert_eq!(kept(&[3, 4, 9], 0), [9]);
        assert_eq!(kept(&[3, 4, 9], 2), [4, 9]);
        assert_eq!(kept(&[3, 4, 9], 5), [3, 4, 9]);
        assert!(kept(&[], 3).is_empty());
    }

    #[test]
    fn a_head_is_read_between_equal_listings() {
        assert!(was_head(3, 3, Some(3)));
        assert!(!was_head(3, 3, Some(4)));
        assert!(!was_head(3, 3, None));
    }
}
