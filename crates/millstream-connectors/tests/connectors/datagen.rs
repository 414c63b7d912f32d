//! The generator of values for any columns.

use std::time::Duration;

use millstream_connectors::{Boundedness, ConnectorRegistry};

use crate::support::*;

#[tokio::test]
async fn flink_options_mean_what_they_mean_there() {
    let clock = clock();
    let options = options(&[
        ("connector", "datagen"),
        ("rows-per-second", "10"),
        ("fields.id.kind", "sequence"),
        ("fields.id.start", "5"),
        ("fields.id.end", "24"),
        ("fields.n.min", "-2"),
        ("fields.n.max", "2"),
        ("fields.name.length", "3"),
    ]);
    let source = ConnectorRegistry::default().source(options, columns("id BIGINT, n INT, name TEXT, at TIMESTAMP"), clock.clone()).unwrap();
    assert_eq!(source.boundedness(), Boundedness::Bounded);
    let rows = read_all(source.as_ref()).await.unwrap().rows();
    assert_eq!(rows.len(), 20);
    for (idx, row) in rows.iter().enumerate() {
        let fields: Vec<&str> = row.split('|').collect();
        assert_eq!(fields[0], (5 + idx).to_string());
        assert!((-2..=2).contains(&fields[1].parse::<i32>().unwrap()));
        assert_eq!(fields[2].len(), 3);
    }
    assert!(rows[1].ends_with("|2024-01-01T00:00:00.100"), "{}", rows[1]);
    let slept: Duration = clock.slept().iter().sum();
    assert!((Duration::from_millis(1_890)..=Duration::from_millis(1_910)).contains(&slept), "{slept:?}");
}

fn refused(pairs: &[(&str, &str)], column_list: &str) -> String {
    let mut options = options(pairs);
    options.insert("connector", "datagen");
    ConnectorRegistry::default().source(options, columns(column_list), clock()).unwrap_err().to_string()
}

#[test]
fn misunderstandings_are_told() {
    assert_eq!(
        refused(&[("fields.pirce.min", "1")], "price BIGINT"),
        "option 'fields.pirce.min' names no column: columns are price (hint: did you mean 'price'?)"
    );
    assert_eq!(
        refused(&[("fields.n.start", "1")], "n INT"),
        "option 'fields.n.start' has no effect: the column is a random number (hint: 'fields.n.kind' = 'sequence')"
    );
    assert_eq!(
        refused(&[("fields.n.max", "3000000000")], "n INT"),
        "option 'fields.n.max' must be a whole number from -2147483648 to 2147483647: got '3000000000' \
         (hint: for example 'fields.n.max' = '100')"
    );
    assert_eq!(refused(&[("fields.n.min", "2"), ("fields.n.max", "1")], "n INT"), "option 'fields.n.min' is above the maximum: 2 > 1");
    assert_eq!(
        refused(&[("rows_per_second", "2")], "n INT").split(" (hint: did you mean 'rows-per-second'?").next().unwrap(),
        "connector 'datagen' has no option 'rows_per_second'"
    );
    assert_eq!(refused(&[("fields.n.null-rate", "0.5")], "n INT NOT NULL"), "option 'fields.n.null-rate' is set: column is NOT NULL");
}
