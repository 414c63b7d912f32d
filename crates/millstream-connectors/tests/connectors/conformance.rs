//! Every connector keeps to the rules.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use millstream_connectors::blackhole::BlackholeSink;
use millstream_connectors::conformance::{check_sink, check_source, sink_ids, sink_rows, sink_schema};
use millstream_connectors::{ConnectorRegistry, MemoryOutput, MemorySource, Sink, Source, channel_source};
use tempfile::tempdir;

use crate::support::*;

fn source(pairs: &[(&str, &str)], columns: Option<SchemaRef>) -> Arc<dyn Source> {
    let registry = ConnectorRegistry::default();
    let options = options(pairs);
    let columns = columns.unwrap_or_else(|| registry.infer_schema(options.clone()).unwrap().unwrap());
    registry.source(options, columns, clock()).unwrap()
}

#[tokio::test]
async fn nexmark_source() {
    for table in ["bid", "auction", "person"] {
        let bounded = source(&[("connector", "nexmark"), ("table", table), ("events", "20000"), ("lanes", "3"), ("seed", "5")], None);
        check_source(bounded.as_ref(), 100_000).await.unwrap();
        let endless = source(&[("connector", "nexmark"), ("table", table), ("rate", "20000")], None);
        check_source(endless.as_ref(), 2_000).await.unwrap();
    }
}

#[tokio::test]
async fn datagen_source() {
    let columns = columns("id BIGINT, name TEXT, x DOUBLE, b BOOLEAN, n INT, d DATE, at TIMESTAMP");
    let bounded = source(
        &[
            ("connector", "datagen"),
            ("number-of-rows", "3000"),
            ("fields.id.kind", "sequence"),
            ("fields.name.length", "9"),
            ("fields.n.min", "-5"),
            ("fields.n.max", "5"),
            ("fields.x.null-rate", "0.3"),
            ("fields.at.max-past", "2s"),
        ],
        Some(columns),
    );
    check_source(bounded.as_ref(), 100_000).await.unwrap();
}

#[tokio::test]
async fn memory_source() {
    let lanes = vec![vec![sink_rows(0, 700), sink_rows(700, 701), sink_rows(701, 1_000)], vec![], vec![sink_rows(0, 5)]];
    check_source(&MemorySource::new(sink_schema(), lanes), 100_000).await.unwrap();
}

#[tokio::test]
async fn channel_source_once() {
    let (sender, source) = channel_source(sink_schema(), 10);
    sender.send(sink_rows(0, 1_000)).await.unwrap();
    drop(sender);
    check_source(source.as_ref(), 100_000).await.unwrap();
}

/// Three files with 900 rows in all, the middle one empty of rows.
async fn write_files(folder: &Path, extension: &str) {
    for (name, from, to) in [("a", 0, 600), ("b", 600, 601), ("c", 601, 900)] {
        let path = folder.join(format!("{name}.{extension}"));
        let options = options(&[("connector", "file"), ("path", path.to_str().unwrap())]);
        let mut sink = ConnectorRegistry::default().sink(options, sink_schema(), clock()).unwrap();
        sink.write(&[sink_rows(from, to)]).await.unwrap();
        let sealed = sink.seal(1).await.unwrap();
        sink.publish(&sealed).await.unwrap();
    }
}

#[tokio::test]
async fn file_source() {
    for extension in ["json", "csv", "parquet"] {
        let folder = tempdir().unwrap();
        write_files(folder.path(), extension).await;
        for order in ["name", "modified"] {
            let options = [("connector", "file"), ("path", folder.path().to_str().unwrap()), ("order_by", order)];
            check_source(source(&options, Some(sink_schema())).as_ref(), 100_000).await.unwrap();
        }
        let declared_otherwise = columns("name TEXT, id DOUBLE");
        let options = [("connector", "file"), ("path", folder.path().to_str().unwrap()), ("format", extension)];
        check_source(source(&options, Some(declared_otherwise)).as_ref(), 100_000).await.unwrap();
    }
}

#[tokio::test]
async fn file_source_with_bad_rows() {
    let folder = tempdir().unwrap();
    let mut text = String::new();
    for id in 0..400 {
        text += &match id % 7 {
            3 => "{\"id\": \"three\"}\n".to_owned(),
            5 => "{\"id\": 5,\n".to_owned(),
            6 => "\n".to_owned(),
            _ => format!("{{\"id\": {id}}}\r\n"),
        };
    }
    fs::write(folder.path().join("bad.json"), text).unwrap();
    check_source(source(&[("connector", "file"), ("path", folder.path().to_str().unwrap())], Some(sink_schema())).as_ref(), 100_000)
        .await
        .unwrap();
}

/// The ids that somebody sees who reads a folder or file now.
fn ids_in(path: &Path, format: &str) -> millstream_connectors::Result<Vec<i64>> {
    if !path.exists()
        || (path.is_dir() && !fs::read_dir(path).unwrap().any(|entry| !entry.unwrap().file_name().to_string_lossy().starts_with('.')))
    {
        return Ok(Vec::new());
    }
    let options = [("connector", "file"), ("path", path.to_str().unwrap()), ("format", format)];
    let source = source(&options, Some(sink_schema()));
    let everything = futures::executor::block_on(read_all(source.as_ref()))?;
    assert!(everything.rejected.is_empty(), "{:?}", everything.rejected);
    let expected: Vec<RecordBatch> = everything.batches;
    Ok(sink_ids(&expected))
}

#[tokio::test]
async fn file_sink_folder() {
    for format in ["json", "csv", "parquet"] {
        let folder = tempdir().unwrap();
        let path = folder.path().join("new folder");
        let options = options(&[("connector", "file"), ("path", path.to_str().unwrap()), ("format", format)]);
        let make = || ConnectorRegistry::default().sink(options.clone(), sink_schema(), clock());
        check_sink(make, || ids_in(&path, format)).await.unwrap();
        let mut names: Vec<String> =
            fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        let expected: Vec<String> = [1, 2, 4, 5].iter().map(|checkpoint| format!("part-{checkpoint:08}-0.{format}")).collect();
        assert_eq!(names, expected, "nothing hidden is left");
    }
}

#[tokio::test]
async fn file_sink_one_file() {
    for format in ["json", "csv", "parquet"] {
        let folder = tempdir().unwrap();
        let path = folder.path().join(format!("out.{format}"));
        let options = options(&[("connector", "file"), ("path", path.to_str().unwrap())]);
        let make = || ConnectorRegistry::default().sink(options.clone(), sink_schema(), clock());
        check_sink(make, || ids_in(&path, format)).await.unwrap();
    }
}

#[tokio::test]
async fn memory_sink() {
    let output = MemoryOutput::default();
    check_sink(|| Ok(Box::new(output.sink()) as _), || Ok(sink_ids(&output.batches()))).await.unwrap();
}

#[tokio::test]
async fn blackhole_sink() {
    let sink = BlackholeSink::default();
    let counter = sink.counter();
    let sink = parking_lot::Mutex::new(Some(Box::new(sink) as Box<dyn Sink>));
    let visible = || Ok((0..counter.load(std::sync::atomic::Ordering::Relaxed) as i64).collect());
    check_sink(|| Ok(sink.lock().take().unwrap()), visible).await.unwrap();
}
