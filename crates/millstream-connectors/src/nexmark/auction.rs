//! Auctions: three quarters of them by the hot seller; each open for about as long as it takes 100 more to come.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewBuilder, TimestampMillisecondArray};

use super::bid::{date_time, filler};
use super::sequence::{AUCTIONS_OPEN, Generator, ROUND, Use, auction_id};
use super::{Kind, MakeColumn};
use crate::random::below;

/// The columns, in order.
pub(super) const COLUMNS: &[(&str, Kind, MakeColumn)] = &[
    ("id", Kind::Number, id),
    ("item_name", Kind::Text, item_name),
    ("description", Kind::Text, description),
    ("initial_bid", Kind::Number, initial_bid),
    ("reserve", Kind::Number, reserve),
    ("date_time", Kind::Time, date_time),
    ("expires", Kind::Time, expires),
    ("seller", Kind::Number, seller),
    ("category", Kind::Number, category),
    ("extra", Kind::Text, extra),
];

const FIRST_CATEGORY: u64 = 10;
const CATEGORIES: u64 = 5;

fn numbers(generator: &Generator, events: &[u64], usage: Use, value: impl Fn(u64, u64) -> i64) -> ArrayRef {
    let stream = generator.stream(usage);
    Arc::new(Int64Array::from_iter_values(events.iter().map(|event| value(*event, stream.at(*event)))))
}

fn id(_: &Generator, events: &[u64]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(events.iter().map(|event| auction_id(*event))))
}

fn texts(generator: &Generator, events: &[u64], usage: Use, shortest: u64, longest: u64) -> ArrayRef {
    let stream = generator.stream(usage);
    let mut builder = StringViewBuilder::with_capacity(events.len());
    for event in events {
        let bits = stream.at(*event);
        let length = shortest + (bits & 0xffff) % (longest - shortest + 1);
        builder.append_value(generator.letters.text(bits, length as usize));
    }
    Arc::new(builder.finish())
}

fn item_name(generator: &Generator, events: &[u64]) -> ArrayRef {
    texts(generator, events, Use::ItemName, 3, 20)
}

fn description(generator: &Generator, events: &[u64]) -> ArrayRef {
    texts(generator, events, Use::Description, 3, 100)
}

fn initial_bid(generator: &Generator, events: &[u64]) -> ArrayRef {
    numbers(generator, events, Use::InitialBid, |_, bits| generator.price(bits))
}

fn reserve(generator: &Generator, events: &[u64]) -> ArrayRef {
    let initial = generator.stream(Use::InitialBid);
    numbers(generator, events, Use::Reserve, |event, bits| generator.price(initial.at(event)) + generator.price(bits))
}

fn expires(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::Expires);
    let until = |event: u64| {
        // The time in which as many auctions come as are open at once.
        let now = generator.time(event);
        let horizon = generator.time(event + AUCTIONS_OPEN * ROUND / 3) - now;
        now + 1 + below(stream.at(event), (horizon * 2).max(1) as u64) as i64
    };
    Arc::new(TimestampMillisecondArray::from_iter_values(events.iter().map(|event| until(*event))))
}

fn seller(generator: &Generator, events: &[u64]) -> ArrayRef {
    numbers(
        generator,
        events,
        Use::Seller,
        |event, bits| {
            if bits & 3 != 0 { generator.hot_person(event, 0) } else { generator.any_person(event, bits) }
        },
    )
}

fn category(generator: &Generator, events: &[u64]) -> ArrayRef {
    numbers(generator, events, Use::Category, |_, bits| (FIRST_CATEGORY + below(bits, CATEGORIES)) as i64)
}

fn extra(generator: &Generator, events: &[u64]) -> ArrayRef {
    filler(generator, events, Use::AuctionExtra, 380)
}
