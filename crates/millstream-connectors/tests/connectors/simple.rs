//! Memory, channel, stdout, blackhole.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use millstream_connectors::blackhole::BlackholeSink;
use millstream_connectors::format::{Format, LineOptions, encode};
use millstream_connectors::stdout::WriterSink;
use millstream_connectors::{ConnectorError, LaneId, MemoryOutput, MemorySource, Sink, channel_sink, channel_source};
use parking_lot::Mutex;

use crate::support::*;

fn numbers(from: i64, to: i64) -> RecordBatch {
    let schema = columns("id BIGINT, name TEXT");
    let ids = Int64Array::from_iter_values(from..to);
    let names = StringViewArray::from_iter((from..to).map(|id| (id % 3 != 0).then(|| format!("n{id}"))));
    RecordBatch::try_new(schema, vec![Arc::new(ids), Arc::new(names)]).unwrap()
}

#[tokio::test]
async fn memory_source_gives_slices_and_resumes() {
    let source = MemorySource::new(columns("id BIGINT, name TEXT"), vec![vec![numbers(0, 5), numbers(5, 5), numbers(5, 7)], vec![]]);
    let lane = LaneId("0".into());
    let all = read_lane(&source, &lane, None, &[0], 2).await.unwrap();
    assert_eq!(all.rows(), ["0", "1", "2", "3", "4", "5", "6"]);
    let rest = read_lane(&source, &lane, Some(&all.positions[1]), &[1], 100).await.unwrap();
    assert_eq!(rest.rows(), ["n4", "n5", ""]);
}

#[tokio::test]
async fn channels_end_when_dropped() {
    let (sender, source) = channel_source(columns("id BIGINT, name TEXT"), 4);
    sender.send(numbers(0, 3)).await.unwrap();
    assert!(sender.send(numbers(0, 3).project(&[0]).unwrap()).await.unwrap_err().to_string().contains("does not fit"));
    drop(sender);
    let lane = LaneId("channel".into());
    assert_eq!(read_lane(source.as_ref(), &lane, None, &[0], 2).await.unwrap().rows(), ["0", "1", "2"]);
    assert!(source.open(&lane, None, &[0]).await.is_err());

    let (mut sink, mut receiver) = channel_sink(4);
    sink.write(&[numbers(0, 2)]).await.unwrap();
    assert_eq!(receiver.recv().await.unwrap().num_rows(), 2);
    drop(receiver);
    assert!(matches!(sink.write(&[numbers(0, 2)]).await, Err(ConnectorError::Closed(_))));
}

#[tokio::test]
async fn memory_sink_shows_rows_when_published() {
    let output = MemoryOutput::default();
    let mut sink = output.sink();
    sink.write(&[numbers(0, 2)]).await.unwrap();
    let sealed = sink.seal(1).await.unwrap();
    assert_eq!((sealed.rows, output.rows()), (2, 0));
    output.sink().publish(&sealed).await.unwrap();
    sink.publish(&sealed).await.unwrap();
    assert_eq!(output.rows(), 2);
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct BrokenPipe;

impl Write for BrokenPipe {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn lines_are_written_as_the_format_says() {
    let schema = columns("id BIGINT, name TEXT");
    let print: Box<dyn encode::LineEncoder> = Box::new(encode::PrintEncoder { prefix: "p> ".into() });
    let of = |format| encode::line_encoder(format, &LineOptions::default(), &schema).unwrap();
    for (encoder, expected) in [
        (of(Format::Json), "{\"id\":2,\"name\":\"n2\"}\n{\"id\":3,\"name\":null}\n"),
        (of(Format::Csv), "id,name\n2,n2\n3,\n"),
        (print, "p> +I[2, n2]\np> +I[3, NULL]\n"),
    ] {
        let out = Shared::default();
        let mut sink = WriterSink::new(Box::new(out.clone()), encoder);
        sink.write(&[numbers(2, 3)]).await.unwrap();
        sink.write(&[numbers(3, 4)]).await.unwrap();
        assert_eq!(String::from_utf8(out.0.lock().clone()).unwrap(), expected);
    }
    let mut broken = WriterSink::new(Box::new(BrokenPipe), of(Format::Json));
    assert!(matches!(broken.write(&[numbers(2, 3)]).await, Err(ConnectorError::Closed(_))));
}

#[tokio::test]
async fn blackhole_counts() {
    let mut sink = BlackholeSink::default();
    let counter = sink.counter();
    sink.write(&[numbers(0, 7)]).await.unwrap();
    assert_eq!(counter.load(Ordering::Relaxed), 7);
    assert_eq!(sink.seal(1).await.unwrap().rows, 7);
}
