//! Input that is damaged, hostile or absent: a rejected row or a clear error, never a panic, never unbounded memory.

use std::fs;
use std::path::Path;

use millstream_connectors::ConnectorRegistry;
use millstream_connectors::format::{Format, LineOptions};
use proptest::prelude::*;
use tempfile::tempdir;

use crate::support::*;

async fn read_bytes(name: &str, bytes: &[u8], column_list: &str, more: &[(&str, &str)]) -> millstream_connectors::Result<Everything> {
    let folder = tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read_all(file_source(&path, &columns(column_list), more).as_ref()).await
}

#[tokio::test]
async fn a_line_of_64_mb_is_one_bad_row() {
    let mut text = b"{\"id\": 1}\n{\"id\": \"".to_vec();
    text.resize(64 << 20, b'x');
    text.extend_from_slice(b"\"}\n{\"id\": 2}\n");
    let all = read_bytes("a.json", &text, "id BIGINT", &[]).await.unwrap();
    assert_eq!(all.rows(), ["1", "2"]);
    assert_eq!(all.rejections(), ["a.json line 2: line is too long: more than 16777216 bytes, 'max_line_bytes' is 16777216"]);
    assert_eq!(all.rejected[0].bytes.len(), 64 << 10);

    // Without an end, too, and shorter than a chunk.
    let all = read_bytes("a.json", &text[..3_000], "id BIGINT", &[("max_line_bytes", "1 KiB")]).await.unwrap();
    assert_eq!(all.rows(), ["1"]);
    assert_eq!(all.rejections(), ["a.json line 2: line is too long: more than 1024 bytes, 'max_line_bytes' is 1024"]);
}

#[tokio::test]
async fn deep_nesting_is_a_bad_row() {
    for depth in [200, 100_000, 5_000_000] {
        let deep = format!("{{\"id\": 1}}\n{{\"id\": {}1{}}}\n{{\"id\": 2}}\n", "[".repeat(depth), "]".repeat(depth));
        let all = read_bytes("a.json", deep.as_bytes(), "id BIGINT", &[]).await.unwrap();
        assert_eq!(all.rows(), ["1", "2"]);
        assert_eq!(all.rejections(), ["a.json line 2: JSON is nested too deep: more than 128 levels"]);
    }
    // Brackets in a text are no nesting, and an unread field may be as deep as allowed.
    let fine = format!("{{\"id\": 1, \"x\": \"{}\", \"y\": {}{}}}\n", "[".repeat(1_000), "[".repeat(120), "]".repeat(120));
    assert_eq!(read_bytes("a.json", fine.as_bytes(), "id BIGINT", &[]).await.unwrap().rows(), ["1"]);
}

#[tokio::test]
async fn empty_files_have_no_rows() {
    for name in ["a.json", "a.csv", "a.txt"] {
        for text in ["", "\n", "\r\n\n  \n"] {
            let column_list = "line TEXT";
            assert_eq!(read_bytes(name, text.as_bytes(), column_list, &[]).await.unwrap().rows(), Vec::<String>::new(), "{name}");
        }
    }
    assert_eq!(read_bytes("a.csv", b"id,name\n", "id BIGINT", &[]).await.unwrap().rows(), Vec::<String>::new());
}

#[tokio::test]
async fn damaged_parquet_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.parquet");
    let sink_options = options(&[("connector", "file"), ("path", path.to_str().unwrap())]);
    let batch = millstream_connectors::conformance::sink_rows(0, 5_000);
    let mut sink = ConnectorRegistry::default().sink(sink_options, batch.schema(), clock()).unwrap();
    sink.write(std::slice::from_ref(&batch)).await.unwrap();
    let sealed = sink.seal(1).await.unwrap();
    sink.publish(&sealed).await.unwrap();
    let good = fs::read(&path).unwrap();

    for bytes in [b"".to_vec(), b"PAR1".to_vec(), good[..good.len() - 1].to_vec(), good[..good.len() / 2].to_vec()] {
        fs::write(&path, bytes).unwrap();
        let error = read_all(file_source(&path, &batch.schema(), &[]).as_ref()).await.unwrap_err().to_string();
        assert!(error.contains("a.parquet' is no intact Parquet file"), "{error}");
    }
    // A flipped byte is an error or goes unnoticed by Parquet; it never panics.
    for at in (0..good.len()).step_by(97) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        if let Err(error) = read_all(file_source(&path, &batch.schema(), &[]).as_ref()).await {
            assert!(error.to_string().contains("a.parquet'"), "{error}");
        }
    }
}

async fn open_error(path: &Path, more: &[(&str, &str)]) -> String {
    read_all(file_source(path, &columns("id BIGINT"), more).as_ref()).await.unwrap_err().to_string()
}

#[tokio::test]
async fn absent_files_are_explained() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("bids.json"), "{}").unwrap();
    fs::write(folder.path().join("readme.md"), "").unwrap();
    let error = open_error(&folder.path().join("bid.json"), &[]).await;
    assert!(error.contains("bid.json' does not exist (hint: did you mean 'bids.json'? paths are relative to '"), "{error}");
    let error = open_error(&folder.path().join("*.csv"), &[]).await;
    assert!(error.starts_with("no file matches '"), "{error}");
    let error = open_error(folder.path(), &[("format", "csv")]).await;
    assert!(error.contains("has no file to read: looked for .csv, .tsv"), "{error}");
    let error = open_error(&folder.path().join("readme.md"), &[]).await;
    assert!(error.contains("format of '") && error.contains("'format' = 'json'"), "{error}");
    fs::write(folder.path().join("a.csv.gz"), "").unwrap();
    assert!(open_error(&folder.path().join("a.csv.gz"), &[]).await.contains("compressed files are not read"));
}

#[tokio::test]
async fn a_wrong_header_is_an_error_and_no_wrong_data() {
    let error = read_bytes("a.csv", b"idd,name\n1,x\n", "id BIGINT, name TEXT", &[("header", "true")]).await.unwrap_err().to_string();
    assert!(error.contains("CSV header has no field for column 'id': got idd, name (hint: did you mean 'idd'?)"), "{error}");
    let error = read_bytes("a.csv", b"id,id\n1,x\n", "id BIGINT", &[]).await.unwrap_err().to_string();
    assert!(error.contains("names 'id' 2 times"), "{error}");
}

#[tokio::test]
async fn csv_options() {
    let text = b"# a comment\n1;NULL;'a;''b'\n\n# another\n2;;c\n";
    let more = [("csv.field-delimiter", ";"), ("csv.quote-character", "'"), ("csv.null-literal", "NULL"), ("csv.allow-comments", "true")];
    let all = read_bytes("a.csv", text, "id BIGINT, x TEXT NOT, y TEXT", &more).await.unwrap();
    assert_eq!(all.rows(), ["2||c"]);
    assert_eq!(all.rejections(), ["a.csv line 2: column 'x' is NOT NULL: the field is empty"]);
    let all = read_bytes("a.tsv", b"1\tx\n", "id BIGINT, x TEXT", &[]).await.unwrap();
    assert_eq!(all.rows(), ["1|x"]);
    let all = read_bytes("a.csv", b"1,\"x\n2,y\"\n", "id BIGINT, x TEXT", &[("csv.disable-quote-character", "true")]).await.unwrap();
    assert_eq!(all.rows(), ["1|\"x", "2|y\""]);
}

#[tokio::test]
async fn numbers_too_large_are_bad_rows() {
    let text = b"{\"x\": 1e400}\n{\"n\": 9223372036854775808}\n{\"n\": -9223372036854775808, \"x\": \"2.5\"}\n{\"n\": 7e18}\n";
    let all = read_bytes("a.json", text, "n BIGINT, x DOUBLE", &[]).await.unwrap();
    assert_eq!(all.rows(), ["-9223372036854775808|2.5", "7000000000000000000|"]);
    let reasons = all.rejections();
    assert!(reasons[0].starts_with("a.json line 1: not valid JSON: number out of range"), "{reasons:?}");
    assert_eq!(reasons[1], "a.json line 2: column 'n' is BIGINT: got 9223372036854775808");
}

#[tokio::test]
async fn half_a_character_in_each_of_two_fields_is_no_text() {
    let all = read_bytes("a.csv", b"a,b\n\xc3,\xa9\nc,\xc3\xa9\n", "x TEXT, y TEXT", &[("header", "false")]).await.unwrap();
    assert_eq!(all.rows(), ["a|b", "c|é"]);
    assert_eq!(all.rejections(), ["a.csv line 2: invalid UTF-8 at byte 0: 0xc3"]);
}

#[tokio::test]
async fn a_carriage_return_inside_a_line_ends_no_record() {
    let all = read_bytes("a.csv", b"a\rb\n1\r\"open\nc\r\n", "x TEXT", &[("header", "false")]).await.unwrap();
    assert_eq!(all.rows(), ["a\rb", "1\r\"open", "c"]);
}

/// Every line of the input is exactly one row, one rejected row, or blank; and no bytes at all make anything panic.
fn no_line_is_lost(format: Format, bytes: &[u8]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let name = if format == Format::Json { "a.json" } else { "a.txt" };
    let column_list = if format == Format::Json { "id BIGINT, name TEXT, at TIMESTAMP" } else { "line TEXT" };
    let all = runtime.block_on(read_bytes(name, bytes, column_list, &[])).unwrap();
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
    prop_assert_eq!(all.rows().len() + all.rejected.len(), lines);
    Ok(())
}

fn json_like() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        Just("{\"id\": 1}\n"),
        Just("{\"id\": 2, \"name\": \"x\", \"at\": \"2024-01-01 10:00:00\"}\r\n"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("\\"),
        Just("\\u12"),
        Just("["),
        Just("]"),
        Just(","),
        Just(":"),
        Just("\n"),
        Just(" "),
        Just("-1e5"),
        Just("\"id\""),
        Just("null"),
        Just("tru"),
        Just("é"),
    ];
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bytes_as_json(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        no_line_is_lost(Format::Json, &bytes)?;
    }

    #[test]
    fn nearly_json(bytes in json_like()) {
        no_line_is_lost(Format::Json, &bytes)?;
    }

    #[test]
    fn any_bytes_as_text(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        no_line_is_lost(Format::Raw, &bytes)?;
    }

    #[test]
    fn any_bytes_as_csv(bytes in prop::collection::vec(prop::sample::select(b"1,\"\n\r;a #\xff".to_vec()), 0..200)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        for more in [&[("header", "false")][..], &[("header", "false"), ("csv.escape-character", ";"), ("csv.allow-comments", "true")]] {
            let all = runtime.block_on(read_bytes("a.csv", &bytes, "id BIGINT, x TEXT", more)).unwrap();
            let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();
            prop_assert!(all.rows().len() + all.rejected.len() <= lines);
        }
        runtime.block_on(async { let _ = read_bytes("a.csv", &bytes, "a TEXT", &[]).await; });
    }
}

#[test]
fn what_a_format_cannot_hold_is_told_before_reading() {
    use arrow::datatypes::{DataType, Field, Schema};
    let list = DataType::new_list(DataType::Int64, true);
    let schema = std::sync::Arc::new(Schema::new(vec![Field::new("tags", list, true)]));
    let decoder = millstream_connectors::format::lines::LineDecoder::new(Format::Csv, &LineOptions::default(), &schema, &[0], None);
    let error = decoder.unwrap_err().to_string();
    assert!(error.starts_with("format 'csv' cannot hold column 'tags'") && error.contains("'format' = 'json'"), "{error}");
}
