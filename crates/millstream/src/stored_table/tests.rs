//! A table over its life: written by many, opened again, damaged.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use millstream_checkpoint::Folder;
use millstream_connectors::Sink;
use millstream_connectors::conformance::{check_sink, sink_ids, sink_rows, sink_schema};
use millstream_connectors::error::ConnectorError;
use millstream_time::{Clock, SystemClock};

use super::*;

fn definition(retention: Option<Duration>) -> Definition {
    Definition { name: "t".to_owned(), sql: "CREATE TABLE t (id BIGINT NOT NULL, name TEXT)".to_owned(), retention }
}

async fn open(folder: &Folder) -> Arc<StoredTable> {
    StoredTable::open(definition(None), Some(sink_schema()), folder.clone(), Opening::New, clock()).await.unwrap()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

fn ids(table: &StoredTable) -> Vec<i64> {
    sink_ids(&table.snapshot().unwrap())
}

fn backs() -> Vec<(Folder, Option<tempfile::TempDir>)> {
    let place = tempfile::tempdir().unwrap();
    vec![(Folder::memory(), None), (Folder::local(place.path()), Some(place))]
}

async fn check(table: &Arc<StoredTable>) {
    let make = || Ok(Box::new(table.sink("p", "7", false)) as Box<dyn Sink>);
    let visible = || table.snapshot().map(|rows| sink_ids(&rows)).map_err(|error| ConnectorError::data(error.to_string()));
    check_sink(make, visible).await.unwrap();
}

#[tokio::test]
async fn the_sink_keeps_to_the_rules() {
    check(&StoredTable::in_memory(definition(None), sink_schema(), clock())).await;
    for (folder, _place) in backs() {
        check(&open(&folder).await).await;
        // What a reader of the next process sees, and nothing is left behind.
        assert_eq!(ids(open(&folder).await.as_ref()), (0..170).collect::<Vec<_>>());
        assert_eq!(folder.sub("staged").unwrap().list().await.unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_publication_is_repeated_by_another_process_in_vain() {
    for (folder, _place) in backs() {
        let table = open(&folder).await;
        table.insert(&[sink_rows(0, 3)]).await.unwrap();
        let mut sink = table.sink("p", "7", false);
        sink.write(&[sink_rows(3, 5)]).await.unwrap();
        let sealed = sink.seal(4).await.unwrap();
        sink.publish(&sealed).await.unwrap();
        // The process dies before it marks the checkpoint as committed; a pipeline of another id is not meant.
        let table = open(&folder).await;
        table.sink("p", "7", false).publish(&sealed).await.unwrap();
        table.sink("p", "7", false).publish(&sealed).await.unwrap();
        assert_eq!(ids(&table), [0, 1, 2, 3, 4]);
        let error = table.sink("q", "8", false).publish(&sealed).await.unwrap_err().to_string();
        assert!(error.contains("missing"), "{error}");
    }
}

#[tokio::test]
async fn what_is_sealed_outlives_the_process_and_what_no_checkpoint_names_is_swept_away() {
    for (folder, _place) in backs() {
        let staged = folder.sub("staged").unwrap();
        let mut sink = open(&folder).await.sink("p", "7", false);
        sink.write(&[sink_rows(0, 5)]).await.unwrap();
        let sealed = sink.seal(1).await.unwrap();
        sink.write(&[sink_rows(90, 99)]).await.unwrap();
        let unnamed = sink.seal(2).await.unwrap();
        drop(sink);
        let table = open(&folder).await;
        let mut other = table.sink("q", "71", false);
        other.write(&[sink_rows(50, 51)]).await.unwrap();
        let of_other = other.seal(1).await.unwrap();
        let mut sink = table.sink("p", "7", false);
        sink.publish(&sealed).await.unwrap();
        assert_eq!(staged.list().await.unwrap().len(), 2);
        sink.seal(3).await.unwrap();
        assert_eq!(staged.list().await.unwrap().len(), 1, "the other pipeline's");
        assert!(sink.publish(&unnamed).await.is_err());
        other.publish(&of_other).await.unwrap();
        assert_eq!(ids(&table), [0, 1, 2, 3, 4, 50]);
    }
}

#[tokio::test]
async fn sessions_that_insert_at_once_share_a_segment() {
    for (folder, _place) in backs() {
        let table = open(&folder).await;
        let inserts = (0..32).map(|n| {
            let table = Arc::clone(&table);
            async move { table.insert(&[sink_rows(n, n + 1)]).await }
        });
        // On one thread all have put their rows into the queue before the writer looks.
        futures::future::try_join_all(inserts).await.unwrap();
        assert_eq!(folder.list().await.unwrap().len(), 1);
        assert_eq!(ids(open(&folder).await.as_ref()), (0..32).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn null_is_refused_and_nothing_of_the_insert_is_kept() {
    let table = StoredTable::in_memory(definition(None), sink_schema(), clock());
    let wrong = RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            datafusion::arrow::datatypes::Field::new("id", datafusion::arrow::datatypes::DataType::Int64, true),
            sink_schema().field(1).clone(),
        ])),
        vec![Arc::new(datafusion::arrow::array::Int64Array::from(vec![None, Some(1)])), Arc::clone(sink_rows(0, 2).column(1))],
    );
    let error = table.insert(&[sink_rows(0, 2), wrong.unwrap()]).await.unwrap_err();
    assert_eq!((error.sqlstate(), error.to_string().as_str()), ("23502", "column id of t is NOT NULL: a row has NULL in it"));
    assert_eq!(ids(&table), Vec::<i64>::new());
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_nothing_is_read_around_it() {
    let place = tempfile::tempdir().unwrap();
    let folder = Folder::local(place.path());
    let table = open(&folder).await;
    for n in 0..3 {
        table.insert(&[sink_rows(n, n + 1)]).await.unwrap();
    }
    let file = place.path().join("00000000000000000002.arrow");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    std::fs::write(&file, bytes).unwrap();
    let table = open(&folder).await;
    for error in [table.snapshot().unwrap_err(), table.insert(&[sink_rows(9, 10)]).await.unwrap_err()] {
        assert_eq!(error.sqlstate(), "XX001");
        assert!(error.to_string().contains("'00000000000000000002.arrow' is damaged"), "{error}");
    }
    // What a crash leaves of a segment on its way is no damage.
    std::fs::remove_file(&file).unwrap();
    std::fs::remove_file(place.path().join("00000000000000000003.arrow")).unwrap();
    std::fs::write(place.path().join(".00000000000000000002.arrow.1-1.tmp"), "torn").unwrap();
    assert_eq!(ids(open(&folder).await.as_ref()), [0]);
}

#[tokio::test]
async fn a_view_shows_what_is_written_and_steps_back() {
    let folder = Folder::memory();
    let table = open(&folder).await;
    let mut sink = table.sink("v", "7", true);
    sink.write(&[sink_rows(0, 2)]).await.unwrap();
    assert_eq!(ids(&table), [0, 1]);
    let first = sink.seal(1).await.unwrap();
    sink.write(&[sink_rows(2, 4)]).await.unwrap();
    assert_eq!(ids(&table), [0, 1, 2, 3]);
    sink.publish(&first).await.unwrap();
    assert_eq!(ids(&table), [0, 1, 2, 3]);
    assert_eq!(ids(open(&folder).await.as_ref()), [0, 1], "the next process begins at the checkpoint");
    sink.discard().await.unwrap();
    assert_eq!(ids(&table), [0, 1]);
    sink.write(&[sink_rows(4, 6)]).await.unwrap();
    let second = sink.seal(2).await.unwrap();
    drop(sink);
    assert_eq!(ids(&table), [0, 1], "whoever goes on publishes it first");
    table.sink("v", "7", true).publish(&second).await.unwrap();
    assert_eq!(ids(&table), [0, 1, 4, 5]);
}

#[derive(Debug, Default)]
struct SetClock(std::sync::atomic::AtomicI64);

#[async_trait::async_trait]
impl Clock for SetClock {
    fn now(&self) -> i64 {
        self.0.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    async fn sleep(&self, _: Duration) {}
}

#[tokio::test]
async fn rows_older_than_the_retention_are_gone_and_stay_published() {
    let (folder, clock) = (Folder::memory(), Arc::new(SetClock::default()));
    let shared: Arc<dyn Clock> = clock.clone();
    let kept = Some(Duration::from_millis(100));
    let open = || StoredTable::open(definition(kept), Some(sink_schema()), folder.clone(), Opening::New, Arc::clone(&shared));
    let at = |ms| clock.0.store(ms, std::sync::atomic::Ordering::SeqCst);
    let table = open().await.unwrap();
    let mut sink = table.sink("v", "7", true);
    let mut last = None;
    for (n, ms) in [(0, 0), (1, 60), (2, 120)] {
        at(ms);
        sink.write(&[sink_rows(n, n + 1)]).await.unwrap();
        let sealed = sink.seal(n.unsigned_abs() + 1).await.unwrap();
        sink.publish(&sealed).await.unwrap();
        last = Some(sealed);
    }
    assert_eq!(ids(&table), [1, 2]);
    at(400);
    assert_eq!(ids(&table), Vec::<i64>::new());
    drop(sink);
    // The newest segment is there and unseen: its checkpoint is not published again.
    let table = open().await.unwrap();
    let mut sink = table.sink("v", "7", true);
    sink.publish(&last.unwrap()).await.unwrap();
    assert_eq!(ids(&table), Vec::<i64>::new());
    sink.write(&[sink_rows(9, 10)]).await.unwrap();
    let sealed = sink.seal(9).await.unwrap();
    sink.publish(&sealed).await.unwrap();
    assert_eq!(ids(&table), [9]);
    table.close().await;
    assert_eq!(folder.list().await.unwrap(), ["00000000000000000004.arrow", "retired-00000000000000000003"]);
}

#[tokio::test]
async fn many_small_inserts_are_few_batches() {
    let table = StoredTable::in_memory(definition(None), sink_schema(), clock());
    for n in 0..500 {
        table.insert(&[sink_rows(n, n + 1)]).await.unwrap();
    }
    assert_eq!(table.snapshot().unwrap().len(), 1);
    assert_eq!(ids(&table), (0..500).collect::<Vec<_>>());
}

/// 100 INSERTs and publications do not leave 100 files; what was published stays so.
#[tokio::test]
async fn many_small_inserts_are_few_files() {
    for (folder, _place) in backs() {
        let table = open(&folder).await;
        let mut sink = table.sink("p", "7", false);
        let mut first = None;
        for n in 0..100_i64 {
            if n % 10 == 3 {
                sink.write(&[sink_rows(n, n + 1)]).await.unwrap();
                let sealed = sink.seal(n.unsigned_abs()).await.unwrap();
                sink.publish(&sealed).await.unwrap();
                first.get_or_insert(sealed);
            } else {
                table.insert(&[sink_rows(n, n + 1)]).await.unwrap();
            }
        }
        // Answered only after everything before it.
        table.close().await;
        let files = folder.list().await.unwrap();
        assert!(files.len() < 25, "{files:?}");
        let again = StoredTable::open(definition(None), None, folder.clone(), Opening::TakeOver, clock()).await.unwrap();
        assert_eq!(ids(&again), (0..100).collect::<Vec<_>>());
        again.sink("p", "7", false).publish(&first.unwrap()).await.unwrap();
        assert_eq!(ids(&again).len(), 100, "its rows are there already");
    }
}

#[tokio::test]
async fn whoever_opens_a_table_last_has_it() {
    for (folder, _place) in backs() {
        let older = open(&folder).await;
        older.insert(&[sink_rows(0, 2)]).await.unwrap();
        let mut sink = older.sink("p", "7", false);
        sink.write(&[sink_rows(2, 3)]).await.unwrap();
        let sealed = sink.seal(1).await.unwrap();
        let take_over = || StoredTable::open(definition(None), None, folder.clone(), Opening::TakeOver, clock());
        let newer = take_over().await.unwrap();
        assert_eq!(ids(&newer), [0, 1]);
        newer.sink("p", "7", false).publish(&sealed).await.unwrap();
        assert!(sink.publish(&sealed).await.is_err());
        let error = older.insert(&[sink_rows(8, 9)]).await.unwrap_err();
        assert!(error.is_fenced(), "{error}");
        newer.insert(&[sink_rows(3, 4)]).await.unwrap();
        assert_eq!(ids(&newer), [0, 1, 2, 3]);
        assert_eq!(ids(take_over().await.unwrap().as_ref()), [0, 1, 2, 3]);
    }
}

#[tokio::test]
async fn a_closed_table_says_so() {
    let table = StoredTable::in_memory(definition(None), sink_schema(), clock());
    table.insert(&[sink_rows(0, 1)]).await.unwrap();
    table.close().await;
    assert!(table.snapshot().unwrap_err().to_string().starts_with("table t was dropped"));
    assert!(table.insert(&[sink_rows(0, 1)]).await.unwrap_err().to_string().starts_with("table t was dropped"));
}
