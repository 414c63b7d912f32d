//! The NEXMark generator.

use std::time::Duration;

use millstream_connectors::{Boundedness, ConnectorRegistry, LaneId, Read};

use crate::support::*;

#[tokio::test]
async fn tables_have_the_standard_proportions() {
    let registry = ConnectorRegistry::default();
    for (table, expected) in [("person", 20), ("auction", 60), ("bid", 920)] {
        let options = options(&[("connector", "nexmark"), ("table", table), ("events", "1000"), ("lanes", "3")]);
        let schema = registry.infer_schema(options.clone()).unwrap().unwrap();
        let source = registry.source(options, schema, clock()).unwrap();
        assert_eq!(source.boundedness(), Boundedness::Bounded);
        assert_eq!(read_all(source.as_ref()).await.unwrap().rows().len(), expected, "{table}");
    }
}

#[tokio::test]
async fn values_stay_as_they_are() {
    let registry = ConnectorRegistry::default();
    let options = options(&[("connector", "nexmark"), ("table", "bid"), ("events", "60"), ("event_rate", "1000")]);
    let source = registry.source(options, columns("dateTime TIMESTAMP, auction BIGINT, price BIGINT"), clock()).unwrap();
    let rows = read_all(source.as_ref()).await.unwrap().rows();
    assert_eq!(rows.len(), 52);
    assert!(rows[0].starts_with("2015-07-15T00:00:00.004|1"), "{}", rows[0]);
    assert!(rows[46].starts_with("2015-07-15T00:00:00.054|1"), "{}", rows[46]);
}

#[tokio::test]
async fn the_rate_is_kept_in_wall_time() {
    let clock = clock();
    let options = options(&[("connector", "nexmark"), ("table", "bid"), ("rate", "5000"), ("events", "10000")]);
    let source = ConnectorRegistry::default().source(options, columns("auction BIGINT"), clock.clone()).unwrap();
    let mut lane = source.open(&LaneId("0".into()), None, &[0]).await.unwrap();
    let mut rows = 0;
    while let Read::Batch(batch) = lane.read(8_192).await.unwrap() {
        rows += batch.rows.num_rows();
    }
    let slept: Duration = clock.slept().iter().sum();
    assert_eq!(rows, 9_200);
    assert!(slept > Duration::from_millis(1_990) && slept < Duration::from_millis(2_010), "{slept:?}");
}
