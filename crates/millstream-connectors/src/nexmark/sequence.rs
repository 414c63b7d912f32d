//! Which event is what and when, and which persons and auctions exist by then.

use super::config::{NexmarkConfig, Table};
use crate::random::{Letters, Seed, Stream, below, unit};

/// Events come in rounds of 50: 1 person, 3 auctions, 46 bids.
pub(super) const ROUND: u64 = 50;
const PERSONS: u64 = 1;
const AUCTIONS: u64 = 3;
const BIDS: u64 = ROUND - PERSONS - AUCTIONS;

/// Ids start here, so that they do not look like counters.
const FIRST_ID: u64 = 1_000;
/// The hot auction, bidder and seller changes each time so many new ones have come.
const HOT_EVERY: u64 = 100;
/// Auctions that still take bids.
pub(super) const AUCTIONS_OPEN: u64 = 100;
/// Persons that are active.
const PERSONS_ACTIVE: u64 = 1_000;
/// Now and then an event names an auction or person that is only about to come.
const LEAD: u64 = 10;

impl Table {
    /// Where its events stand in a round, and how many there are.
    fn in_round(self) -> (u64, u64) {
        match self {
            Self::Person => (0, PERSONS),
            Self::Auction => (PERSONS, AUCTIONS),
            Self::Bid => (PERSONS + AUCTIONS, BIDS),
        }
    }

    /// Number among all events of the table's n-th one.
    #[inline]
    pub(super) fn event(self, n: u64) -> u64 {
        let (first, count) = self.in_round();
        (n / count) * ROUND + first + n % count
    }

    /// How many of the first `events` events are the table's.
    pub(super) fn count(self, events: u64) -> u64 {
        let (first, count) = self.in_round();
        (events / ROUND) * count + (events % ROUND).saturating_sub(first).min(count)
    }
}

/// What all columns need.
#[derive(Debug)]
pub(super) struct Generator {
    seed: Seed,
    start_ms: i64,
    event_rate: u64,
    pub(super) letters: Letters,
}

impl Generator {
    pub(super) fn new(config: &NexmarkConfig) -> Self {
        let seed = Seed::new(config.seed);
        Self { seed, start_ms: config.start_ms, event_rate: config.event_rate, letters: Letters::new(seed) }
    }

    /// Random numbers for one use.
    pub(super) fn stream(&self, usage: Use) -> Stream {
        self.seed.stream(usage as u64)
    }

    /// Event time in milliseconds.
    #[inline]
    pub(super) fn time(&self, event: u64) -> i64 {
        let (seconds, rest) = (event / self.event_rate, event % self.event_rate);
        let since = u128::from(seconds) * 1_000 + u128::from(rest) * 1_000 / u128::from(self.event_rate);
        self.start_ms.saturating_add(i64::try_from(since).unwrap_or(i64::MAX))
    }

    /// Nearly all prices are small: the exponent is uniform.
    #[inline]
    pub(super) fn price(&self, bits: u64) -> i64 {
        (10_f64.powf(unit(bits) * 6.0) * 100.0).round() as i64
    }

    /// An active person, or one about to come.
    #[inline]
    pub(super) fn any_person(&self, event: u64, bits: u64) -> i64 {
        let persons = last_person(event) + 1;
        let active = persons.min(PERSONS_ACTIVE);
        (FIRST_ID + persons - active + below(bits, active + LEAD)) as i64
    }

    /// The person that most bids (`offset` 1) or auctions (`offset` 0) are of just now.
    #[inline]
    pub(super) fn hot_person(&self, event: u64, offset: u64) -> i64 {
        (FIRST_ID + last_person(event) / HOT_EVERY * HOT_EVERY + offset) as i64
    }

    /// An open auction, or one about to come.
    #[inline]
    pub(super) fn any_auction(&self, event: u64, bits: u64) -> i64 {
        let last = last_auction(event);
        let first = last.saturating_sub(AUCTIONS_OPEN);
        (FIRST_ID + first + below(bits, last - first + 1 + LEAD)) as i64
    }

    /// The auction that half of the bids are for just now.
    #[inline]
    pub(super) fn hot_auction(&self, event: u64) -> i64 {
        (FIRST_ID + last_auction(event) / HOT_EVERY * HOT_EVERY) as i64
    }
}

/// Counts from 0: the person that came last, this event included.
#[inline]
pub(super) fn last_person(event: u64) -> u64 {
    event / ROUND
}

/// Counts from 0: the auction that came last, this event included. (Before the first one it is that one.)
#[inline]
pub(super) fn last_auction(event: u64) -> u64 {
    let (round, place) = (event / ROUND, event % ROUND);
    (round * AUCTIONS + place.saturating_sub(PERSONS).min(AUCTIONS - 1) + u64::from(place >= PERSONS)).saturating_sub(1)
}

/// The id of the person that this event is.
#[inline]
pub(super) fn person_id(event: u64) -> i64 {
    (FIRST_ID + last_person(event)) as i64
}

/// The id of the auction that this event is.
#[inline]
pub(super) fn auction_id(event: u64) -> i64 {
    (FIRST_ID + last_auction(event)) as i64
}

/// What a random number is for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Use {
    BidAuction,
    BidBidder,
    BidPrice,
    BidChannel,
    BidUrl,
    BidExtra,
    ItemName,
    Description,
    InitialBid,
    Reserve,
    Expires,
    Seller,
    Category,
    AuctionExtra,
    FirstName,
    LastName,
    Email,
    CreditCard,
    City,
    PersonExtra,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_hold_1_person_3_auctions_46_bids() {
        for (table, expected) in [(Table::Person, 1), (Table::Auction, 3), (Table::Bid, 46)] {
            assert_eq!(table.count(50), expected);
            for events in 0..200 {
                let count = table.count(events);
                assert!(table.event(count) >= events);
                assert!(count == 0 || table.event(count - 1) < events);
            }
        }
    }

    #[test]
    fn ids_count_up_without_gaps() {
        let auctions: Vec<i64> = (0..7).map(|n| auction_id(Table::Auction.event(n))).collect();
        assert_eq!(auctions, [1000, 1001, 1002, 1003, 1004, 1005, 1006]);
        let persons: Vec<i64> = (0..3).map(|n| person_id(Table::Person.event(n))).collect();
        assert_eq!(persons, [1000, 1001, 1002]);
        assert_eq!(last_auction(4), 2);
        assert_eq!(last_auction(49), 2);
        assert_eq!(last_auction(50), 2);
        assert_eq!(last_auction(51), 3);
    }
}
