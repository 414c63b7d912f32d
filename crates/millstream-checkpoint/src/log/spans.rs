//! Which files make up a log, and which of them should become one. Pure decisions over names.
//!
//! ```text
//!   segments 1 2 3 … 16 17 18 19        spans [1…16] 17 18 19         sixteen neighbours become one, sixteen of those one, …
//! ```
//!
//! Spans begin and end at multiples of powers of [`MERGED_AT_ONCE`]. So two of them never overlap without one holding the other, whoever
//! makes them, and what a span holds is the same whoever writes it: a process that lost its log can do no harm with one.

use std::collections::BTreeSet;

/// So many neighbours become one file.
const MERGED_AT_ONCE: u64 = 16;

/// Segments in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Span {
    pub(super) fn one(sequence: u64) -> Self {
        Self { first: sequence, last: sequence }
    }

    fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    pub(super) fn file(self) -> String {
        if self.first == self.last { format!("{:020}.arrow", self.last) } else { format!("{:020}-{:020}.arrow", self.first, self.last) }
    }

    pub(super) fn of_file(name: &str) -> Option<Self> {
        let stem = name.strip_suffix(".arrow")?;
        let (first, last) = stem.split_once('-').unwrap_or((stem, stem));
        let span = Self { first: first.parse().ok()?, last: last.parse().ok()? };
        (span.first > 0 && span.first <= span.last && span.file() == name).then_some(span)
    }
}

/// The files to be read for everything after `retired`, in order; the first segment that is missing, if one is.
pub(super) fn pieces(retired: u64, there: &BTreeSet<Span>) -> Result<Vec<Span>, u64> {
    let mut pieces = Vec::new();
    let mut next = retired + 1;
    loop {
        let holding = there.iter().filter(|span| span.first <= next && next <= span.last).max_by_key(|span| span.last);
        match holding {
            Some(span) => pieces.push(*span),
            None if there.iter().any(|span| span.first > next) => return Err(next),
            None => return Ok(pieces),
        }
        next = pieces.last().map_or(next, |span| span.last + 1);
    }
}

/// Files that others hold as well.
pub(super) fn superfluous(there: &BTreeSet<Span>) -> Vec<Span> {
    there.iter().filter(|span| there.iter().any(|other| *other != **span && other.holds(**span))).copied().collect()
}

/// The next span to be made of several pieces, with those; `bytes` tells how large a piece is, and a span has at most `bytes_max`.
pub(super) fn next_merge(pieces: &[Span], bytes: impl Fn(&Span) -> u64, bytes_max: u64) -> Option<(Span, Vec<Span>)> {
    let newest = pieces.last()?.last;
    let mut width = MERGED_AT_ONCE;
    while width <= newest {
        let mut from = 0;
        while from < pieces.len() {
            let block = (pieces[from].first - 1) / width;
            let whole = Span { first: block * width + 1, last: (block + 1) * width };
            let inside = pieces[from..].iter().take_while(|piece| whole.holds(**piece)).count();
            let chosen = &pieces[from..from + inside];
            let complete = chosen.first().is_some_and(|piece| piece.first == whole.first)
                && chosen.last().is_some_and(|piece| piece.last == whole.last);
            if inside > 1 && complete && chosen.iter().map(&bytes).sum::<u64>() <= bytes_max {
                return Some((whole, chosen.to_vec()));
            }
            from += inside.max(1);
        }
        width = width.checked_mul(MERGED_AT_ONCE)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(first: u64, last: u64) -> Span {
        Span { first, last }
    }

    #[test]
    fn names() {
        for span in [Span::one(7), span(1, 16), span(17, 32)] {
            assert_eq!(Span::of_file(&span.file()), Some(span));
        }
        for other in ["7.arrow", "00000000000000000000.arrow", "retired-00000000000000000003", "x-y.arrow"] {
            assert_eq!(Span::of_file(other), None, "{other}");
        }
    }

    #[test]
    fn the_widest_span_counts_and_a_gap_is_found() {
        let there = BTreeSet::from([span(1, 16), Span::one(3), Span::one(16), Span::one(17), Span::one(18)]);
        assert_eq!(pieces(0, &there), Ok(vec![span(1, 16), Span::one(17), Span::one(18)]));
        assert_eq!(pieces(17, &there), Ok(vec![Span::one(18)]));
        assert_eq!(superfluous(&there), [Span::one(3), Span::one(16)]);
        assert_eq!(pieces(0, &BTreeSet::from([span(1, 16), Span::one(18)])), Err(17));
        assert_eq!(pieces(0, &BTreeSet::from([Span::one(2)])), Err(1));
        assert_eq!(pieces(4, &BTreeSet::new()), Ok(vec![]));
    }

    /// A thousand inserts leave some thirty files, each written few times.
    #[test]
    fn few_files_stay_and_none_is_written_often() {
        let mut there = BTreeSet::new();
        let mut written = 0;
        for sequence in 1..=1000_u64 {
            there.insert(Span::one(sequence));
            written += 1;
            while let Some((whole, parts)) = next_merge(&pieces(0, &there).unwrap(), |span| span.last - span.first + 1, u64::MAX) {
                assert!(parts.len() > 1);
                there.insert(whole);
                written += whole.last - whole.first + 1;
                superfluous(&there).iter().for_each(|span| assert!(there.remove(span)));
            }
            assert!(there.len() <= 45, "{}", there.len());
        }
        assert_eq!(pieces(0, &there).unwrap().last().unwrap().last, 1000);
        assert!(written < 4000, "{written}");
    }

    #[test]
    fn large_files_are_left_as_they_are() {
        let there: BTreeSet<Span> = (1..=64).map(Span::one).collect();
        assert_eq!(next_merge(&pieces(0, &there).unwrap(), |_| 10, 100), None);
        let some = |span: &Span| if span.first <= 16 { 10 } else { 1 };
        assert_eq!(next_merge(&pieces(0, &there).unwrap(), some, 100).unwrap().0, span(17, 32));
    }
}
