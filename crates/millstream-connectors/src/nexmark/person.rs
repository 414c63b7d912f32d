//! Persons, who sell and bid.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringViewBuilder};

use super::bid::{Text, date_time, filler};
use super::sequence::{Generator, Use, person_id};
use super::{Kind, MakeColumn};
use crate::random::below;

/// The columns, in order.
pub(super) const COLUMNS: &[(&str, Kind, MakeColumn)] = &[
    ("id", Kind::Number, id),
    ("name", Kind::Text, name),
    ("email_address", Kind::Text, email_address),
    ("credit_card", Kind::Text, credit_card),
    ("city", Kind::Text, city),
    ("state", Kind::Text, state),
    ("date_time", Kind::Time, date_time),
    ("extra", Kind::Text, extra),
];

const FIRST_NAMES: [&str; 12] = ["Ada", "Alan", "Barbara", "Edgar", "Frances", "Grace", "Jim", "Ken", "Leslie", "Mary", "Pat", "Tony"];
const LAST_NAMES: [&str; 10] = ["Baker", "Carter", "Dyer", "Fisher", "Gardner", "Hunter", "Mason", "Miller", "Smith", "Weaver"];
/// A city lies in one state, so city and state go together; OR, ID and CA are what NEXMark's queries look for.
const PLACES: [(&str, &str); 10] = [
    ("Phoenix", "AZ"),
    ("Los Angeles", "CA"),
    ("San Francisco", "CA"),
    ("Boise", "ID"),
    ("Portland", "OR"),
    ("Bend", "OR"),
    ("Redmond", "WA"),
    ("Seattle", "WA"),
    ("Kent", "WA"),
    ("Cheyenne", "WY"),
];

fn texts(events: &[u64], make: impl Fn(u64, &mut Text)) -> ArrayRef {
    let mut builder = StringViewBuilder::with_capacity(events.len());
    let mut text = Text::default();
    for event in events {
        make(*event, text.start(""));
        builder.append_value(text.as_str());
    }
    Arc::new(builder.finish())
}

fn pick<T>(values: &[T], bits: u64) -> &T {
    &values[below(bits, values.len() as u64) as usize]
}

fn id(_: &Generator, events: &[u64]) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(events.iter().map(|event| person_id(*event))))
}

fn name(generator: &Generator, events: &[u64]) -> ArrayRef {
    let (first, last) = (generator.stream(Use::FirstName), generator.stream(Use::LastName));
    texts(events, |event, text| {
        text.push(pick::<&str>(&FIRST_NAMES, first.at(event))).push(" ").push(pick::<&str>(&LAST_NAMES, last.at(event)));
    })
}

fn email_address(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::Email);
    texts(events, |event, text| {
        let bits = stream.at(event);
        let host = generator.letters.text(bits.rotate_left(16), 5);
        text.push(generator.letters.text(bits, 7)).push("@").push(host).push(".com");
    })
}

fn credit_card(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::CreditCard);
    texts(events, |event, text| {
        let bits = stream.at(event);
        for group in 0..4 {
            // 1000 to 9999: always four digits.
            text.push(if group == 0 { "" } else { " " }).number(1_000 + (bits >> (group * 16) & 0xffff) % 9_000);
        }
    })
}

fn city(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::City);
    texts(events, |event, text| {
        text.push(pick(&PLACES, stream.at(event)).0);
    })
}

fn state(generator: &Generator, events: &[u64]) -> ArrayRef {
    let stream = generator.stream(Use::City);
    texts(events, |event, text| {
        text.push(pick(&PLACES, stream.at(event)).1);
    })
}

fn extra(generator: &Generator, events: &[u64]) -> ArrayRef {
    filler(generator, events, Use::PersonExtra, 120)
}
