//! Charts of given rows, as text.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use unicode_width::UnicodeWidthStr;

use super::*;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter(columns).unwrap()
}

fn waves() -> RecordBatch {
    let times: Vec<i64> = (0..60).flat_map(|n| [1_704_067_200_000 + n * 1_000; 2]).collect();
    let names: Vec<&str> = (0..60).flat_map(|_| ["sine", "line"]).collect();
    let values: Vec<f64> = (0..60).flat_map(|n| [(f64::from(n) / 6.0).sin() * 10.0, f64::from(n) / 6.0]).collect();
    batch(vec![
        ("at", Arc::new(TimestampMillisecondArray::from(times))),
        ("sensor", Arc::new(StringArray::from(names))),
        ("value", Arc::new(Float64Array::from(values))),
    ])
}

fn data(spec: &str, batch: &RecordBatch) -> (Spec, Data) {
    let spec = Spec::parse(spec).unwrap();
    let mut data = Data::new(&spec, &batch.schema()).unwrap();
    data.add(batch).unwrap();
    (spec, data)
}

fn lines(spec: &str, batch: &RecordBatch, width: usize, height: usize) -> Vec<String> {
    let (spec, data) = data(spec, batch);
    let lines = draw(&spec, &data, width, height, false);
    assert!(lines.iter().all(|line| line.width() <= width), "{}", lines.join("\n"));
    lines
}

#[test]
fn a_line_chart_has_axes_and_a_legend() {
    let lines = lines("line at value by sensor", &waves(), 60, 12);
    assert_eq!(lines.len(), 12);
    assert_eq!(lines[0], "value  ■ sine  ■ line  ");
    assert!(lines.iter().any(|line| line.starts_with("  5 ┤") || line.starts_with(" 5 ┤")), "{}", lines.join("\n"));
    assert!(lines[11].contains("00:00:30"), "{}", lines[11]);
    assert!(lines[5].contains(|c: char| ('\u{2801}'..='\u{28ff}').contains(&c)));
}

#[test]
fn unnamed_columns_are_chosen_by_their_types() {
    let (_, chosen) = data("", &waves());
    assert_eq!((chosen.x_name.as_str(), chosen.y_name.as_str(), chosen.series().len()), ("at", "value", 2));
}

#[test]
fn bars_are_as_long_as_their_values() {
    let shops = batch(vec![("shop", Arc::new(StringArray::from(vec!["tea", "books"]))), ("n", Arc::new(Int64Array::from(vec![10, 5])))]);
    assert_eq!(lines("bar shop n", &shops, 20, 8), ["n", "  tea │██████████ 10", "books │█████ 5"]);
}

#[test]
fn a_histogram_counts() {
    let values = batch(vec![("v", Arc::new(Int64Array::from((0..100).collect::<Vec<_>>())))]);
    let lines = lines("hist v", &values, 40, 9);
    assert_eq!(lines[0], "v: rows by value");
    assert!(lines[1].starts_with("  0 – 20 │") && lines[1].ends_with(" 20"), "{}", lines.join("\n"));
    assert_eq!(lines.len(), 6);
}

#[test]
fn sparks_have_a_line_for_each_series() {
    let lines = lines("spark at value by sensor", &waves(), 60, 9);
    assert_eq!(lines.len(), 2);
    assert!(lines[1].starts_with("line ▁") && lines[1].ends_with("9.833  (0 to 9.833)"), "{}", lines[1]);
}

#[test]
fn wrong_columns_are_named() {
    let schema = waves().schema();
    let problem = |spec: &str| Data::new(&Spec::parse(spec).unwrap(), &schema).unwrap_err();
    assert!(problem("line at valeu").contains("did you mean value?"));
    assert!(problem("line at sensor").contains("no number"));
    assert!(Spec::parse("line a b c").is_err() && Spec::parse("bar a b by").is_err());
    assert_eq!(Spec::parse("bar \"a b\" sum(x, 1)").unwrap().y.unwrap(), "sum(x, 1)");
}

#[test]
fn one_point_and_flat_lines_can_be_drawn() {
    for values in [vec![5.0], vec![5.0, 5.0], vec![-1.0, f64::NAN, 1.0]] {
        let ns: Vec<i64> = (0..values.len() as i64).collect();
        let rows = batch(vec![("n", Arc::new(Int64Array::from(ns))), ("v", Arc::new(Float64Array::from(values)))]);
        for kind in ["line", "bar", "spark"] {
            lines(&format!("{kind} n v"), &rows, 40, 10);
        }
        lines("hist v", &rows, 40, 10);
    }
}

#[test]
fn pictures_are_well_formed() {
    for kind in ["line at value by sensor", "bar at value", "hist value"] {
        let (spec, data) = data(kind, &waves());
        let svg = String::from_utf8(picture_bytes("x.svg", &spec, &data).unwrap()).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("<text"), "{kind}");
        let png = picture_bytes("x.PNG", &spec, &data).unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[png.len() - 8..png.len() - 4], b"IEND");
        let plain = miniz_oxide::inflate::decompress_to_vec_zlib(&png[41..png.len() - 16]).unwrap();
        assert_eq!(plain.len(), 540 * (960 * 3 + 1));
    }
}
