//! Bids: half of them for the hot auction, three quarters by the hot bidder.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewBuilder, TimestampMillisecondArray};

use super::sequence::{Generator, Use};
use super::{Kind, MakeColumn};
use crate::random::below;

/// The columns, in order.
pub(super) const COLUMNS: &[(&str, Kind, MakeColumn)] = &[
    ("auction", Kind::Number, auction),
    ("bidder", Kind::Number, bidder),
    ("price", Kind::Number, price),
    ("channel", Kind::Text, channel),
    ("url", Kind::Text, url),
    ("date_time", Kind::Time, date_time),
    ("extra", Kind::Text, extra),
];

const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const CHANNELS: u64 = 10_000;

fn numbers(events: &[u64], value: impl Fn(u64) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(events.iter().map(|event| value(*event))))
}

fn auction(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::BidAuction);
    numbers(events, |event| {
        let bits = stream.at(event);
        if bits & 1 == 0 { generator.hot_auction(event) } else { generator.any_auction(event, bits) }
    })
}

fn bidder(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::BidBidder);
    numbers(events, |event| {
        let bits = stream.at(event);
        if bits & 3 != 0 { generator.hot_person(event, 1) } else { generator.any_person(event, bits) }
    })
}

fn price(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::BidPrice);
    numbers(events, |event| generator.price(stream.at(event)))
}

/// Half of the bids come over one of four big channels.
fn hot_channel(bits: u64) -> Option<usize> {
    (bits & 1 == 0).then_some((bits >> 1 & 3) as usize)
}

fn channel(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::BidChannel);
    let mut builder = StringViewBuilder::with_capacity(events.len());
    let mut text = Text::default();
    for event in events {
        let bits = stream.at(*event);
        match hot_channel(bits) {
            Some(hot) => builder.append_value(HOT_CHANNELS[hot]),
            None => builder.append_value(text.start("channel-").number(below(bits, CHANNELS)).as_str()),
        }
    }
    Arc::new(builder.finish())
}

fn url(generator: &Generator, events: &[u64]) -> ArrayRef {
    let (channels, paths) = (generator.stream(Use::BidChannel), generator.stream(Use::BidUrl));
    let mut builder = StringViewBuilder::with_capacity(events.len());
    let mut text = Text::default();
    for event in events {
        let bits = channels.at(*event);
        // A big channel has one address, every small one its own.
        let path = match hot_channel(bits) {
            Some(hot) => paths.at(u64::MAX - hot as u64),
            None => paths.at(*event),
        };
        text.start("https://www.nexmark.com/");
        for part in 0..3 {
            text.push(generator.letters.text(path.rotate_left(part * 16), 5)).push("/");
        }
        text.push("item.htm?query=1");
        if hot_channel(bits).is_none() {
            text.push("&channel_id=").number(below(bits, CHANNELS));
        }
        builder.append_value(text.as_str());
    }
    Arc::new(builder.finish())
}

pub(super) fn date_time(generator: &Generator, events: &[u64]) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(events.iter().map(|event| generator.time(*event))))
}

fn extra(generator: &Generator, events: &[u64]) -> ArrayRef {
    filler(generator, events, Use::BidExtra, 56)
}

/// Letters that bring a row to its usual size: `mean` of them, a fifth more or less.
pub(super) fn filler(generator: &Generator, events: &[u64], usage: Use, mean: u64) -> ArrayRef {
    let stream = generator.stream(usage);
    let mut builder = StringViewBuilder::with_capacity(events.len());
    for event in events {
        let bits = stream.at(*event);
        let length = mean - mean / 5 + (bits & 0xffff) % (mean / 5 * 2 + 1);
        builder.append_value(generator.letters.text(bits, length as usize));
    }
    Arc::new(builder.finish())
}

/// A text that is put together again and again in the same memory.
#[derive(Debug, Default)]
pub(super) struct Text(String);

impl Text {
    pub(super) fn start(&mut self, text: &str) -> &mut Self {
        self.0.clear();
        self.push(text)
    }

    pub(super) fn push(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self
    }

    pub(super) fn number(&mut self, number: u64) -> &mut Self {
        let mut digits = [0_u8; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.0.extend(digits[at..].iter().map(|digit| char::from(*digit)));
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}
