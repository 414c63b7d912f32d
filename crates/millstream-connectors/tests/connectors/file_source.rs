//! Reading files.

use std::fs;

use tempfile::tempdir;

use crate::support::*;

#[tokio::test]
async fn json_lines_with_missing_and_extra_fields() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, "{\"id\": 1, \"name\": \"one\", \"x\": [1]}\n\n{\"id\": 2, \"at\": \"2024-01-01T00:00:00.5Z\"}\r\n{\"at\": 1000}")
        .unwrap();
    let source = file_source(&path, &columns("id BIGINT, name TEXT, at TIMESTAMP"), &[]);
    let all = read_all(source.as_ref()).await.unwrap();
    assert_eq!(all.rows(), ["1|one|", "2||2024-01-01T00:00:00.500", "||1970-01-01T00:00:01"]);
    assert_eq!(all.rejections(), Vec::<String>::new());
}

#[tokio::test]
async fn bad_json_rows_are_rejected_with_place_column_and_value() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.json");
    let lines: [&[u8]; 12] = [
        br#"{"id": 1, "name": "one"}"#,
        br#"{"id": "x1", "name": "bad type"}"#,
        br#"{"id": 2, "name": "cut off"#,
        br#"{"id": 3, "name": "three"}"#,
        b"{\"id\": 4, \"name\": \"\xff\"}",
        br#"{"name": "no id"}"#,
        br#"{"id": 5} {"id": 6}"#,
        br#"[{"id": 7}]"#,
        br#"{"id": 1e999}"#,
        br#"{"id": 8, "at": 1e300}"#,
        br#"{"id": null}"#,
        br#"{"id": 9, "name": true}"#,
    ];
    fs::write(&path, lines.join(&b"\n"[..])).unwrap();
    let source = file_source(&path, &columns("id BIGINT NOT NULL, name TEXT, at TIMESTAMP"), &[]);
    let all = read_all(source.as_ref()).await.unwrap();
    assert_eq!(all.rows(), ["1|one|", "3|three|", "9|true|"]);
    assert_eq!(
        all.rejections(),
        [
            "a.json line 2: column 'id' is BIGINT: got \"x1\"",
            "a.json line 3: not valid JSON: EOF while parsing a string at byte 26",
            "a.json line 5: invalid UTF-8 at byte 19: 0xff",
            "a.json line 6: column 'id' is NOT NULL: the field is missing",
            "a.json line 7: not valid JSON: trailing characters at byte 11",
            "a.json line 8: expected a JSON object, got a list (hint: write one object per line)",
            "a.json line 9: not valid JSON: number out of range at byte 12",
            "a.json line 10: column 'at' is TIMESTAMP(3): got 1e+300",
            "a.json line 11: column 'id' is NOT NULL: the field is null",
        ]
    );
    assert_eq!(all.rejected[0].bytes, lines[1]);
}

#[tokio::test]
async fn csv_with_header_in_another_order_quotes_and_newlines() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.csv");
    fs::write(&path, "\u{feff}name,other,ID\n\"a \"\"b\"\"\nc\",x,1\n,y,2\n").unwrap();
    let source = file_source(&path, &columns("id BIGINT, name TEXT"), &[]);
    let all = read_all(source.as_ref()).await.unwrap();
    assert_eq!(all.rows(), ["1|a \"b\"\nc", "2|"]);
    assert_eq!(all.rejections(), Vec::<String>::new());
}

#[tokio::test]
async fn bad_csv_rows_are_rejected() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("a.csv");
    let text = b"id,name,at\n1,one,2024-01-01 00:00:00\nx,two,\n3,three\n4,\xff,\n5,five,yesterday\n6,six,\n,seven,\n8,\"open,\n9,nine,";
    fs::write(&path, text).unwrap();
    let source = file_source(&path, &columns("id BIGINT NOT NULL, name TEXT, at TIMESTAMP"), &[]);
    let all = read_all(source.as_ref()).await.unwrap();
    assert_eq!(all.rows(), ["1|one|2024-01-01T00:00:00", "6|six|", "9|nine|"]);
    assert_eq!(
        all.rejections(),
        [
            "a.csv line 3: column 'id' is BIGINT: got 'x'",
            "a.csv line 4: expected 3 fields, got 2",
            "a.csv line 5: invalid UTF-8 at byte 2: 0xff",
            "a.csv line 6: column 'at' is TIMESTAMP(3): got 'yesterday'",
            "a.csv line 8: column 'id' is NOT NULL: the field is empty",
            "a.csv line 9: a quote is not closed",
        ]
    );
}
