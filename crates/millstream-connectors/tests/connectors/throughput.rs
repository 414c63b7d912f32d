//! How fast sources are, on one core: `cargo test --release -p millstream-connectors --test connectors throughput -- --ignored
//! --nocapture`.

use std::fs;
use std::sync::Arc;
use std::time::Instant;

use millstream_connectors::{ConnectorRegistry, Read, Source};
use tempfile::tempdir;

use crate::support::*;

#[expect(clippy::disallowed_methods, reason = "measuring needs the real clock")]
async fn measure(name: &str, source: &dyn Source, column_names: &[&str]) {
    let schema = source.schema();
    let projection: Vec<usize> = column_names.iter().map(|name| schema.index_of(name).unwrap()).collect();
    for _ in 0..2 {
        let start = Instant::now();
        let (mut rows, mut bytes) = (0, 0);
        for lane in source.lanes().await.unwrap() {
            let mut lane = source.open(&lane, None, &projection).await.unwrap();
            while let Read::Batch(batch) = lane.read(8_192).await.unwrap() {
                rows += batch.rows.num_rows();
                bytes += batch.bytes_read;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        println!("{name:<40} {:7.2} M rows/s  {:7.1} MB/s", rows as f64 / seconds / 1e6, bytes as f64 / seconds / 1e6);
    }
}

fn nexmark(table: &str, events: &str) -> Arc<dyn Source> {
    let registry = ConnectorRegistry::default();
    let options = options(&[("connector", "nexmark"), ("table", table), ("events", events)]);
    let schema = registry.infer_schema(options.clone()).unwrap().unwrap();
    registry.source(options, schema, clock()).unwrap()
}

#[tokio::test]
#[ignore = "a measurement"]
async fn throughput() {
    let bids = nexmark("bid", "10000000");
    measure("nexmark bid, numbers and time", bids.as_ref(), &["auction", "bidder", "price", "date_time"]).await;
    measure("nexmark bid, auction and time", bids.as_ref(), &["auction", "date_time"]).await;
    measure("nexmark bid, all", bids.as_ref(), &["auction", "bidder", "price", "channel", "url", "date_time", "extra"]).await;

    let folder = tempdir().unwrap();
    for extension in ["json", "csv", "parquet"] {
        let path = folder.path().join(format!("bids.{extension}"));
        let file = options(&[("connector", "file"), ("path", path.to_str().unwrap())]);
        let bids = nexmark("bid", "1000000");
        let mut sink = ConnectorRegistry::default().sink(file, bids.schema(), clock()).unwrap();
        sink.write(&read_all(bids.as_ref()).await.unwrap().batches).await.unwrap();
        let sealed = sink.seal(1).await.unwrap();
        sink.publish(&sealed).await.unwrap();
        let size = fs::metadata(&path).unwrap().len();
        println!("{extension}: {size} bytes");
        let source = file_source(&path, &bids.schema(), &[]);
        measure(&format!("{extension}, numbers and time"), source.as_ref(), &["auction", "bidder", "price", "date_time"]).await;
        measure(&format!("{extension}, all"), source.as_ref(), &["auction", "bidder", "price", "channel", "url", "date_time", "extra"])
            .await;
    }
}
