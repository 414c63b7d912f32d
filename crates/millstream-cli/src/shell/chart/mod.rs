//! Charts of query results.
//!
//! ```text
//! batches ──▶ data (points by series) ──┬─▶ line, bar, spark, hist ──▶ lines of text, drawn in place
//!                                       └─▶ picture (shapes) ──▶ svg, png
//! ```

mod bar;
mod canvas;
mod data;
mod hist;
mod line;
mod picture;
mod png;
mod svg;
mod ticks;

use std::io;
use std::time::Duration;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;

pub(crate) use self::data::Data;
use super::spark::sparkline;
use super::statement::View;
use super::terminal::{self, Frame, SHOW_CURSOR};
use crate::screen::Screen;

/// How often a chart is drawn anew while rows come.
const DRAW_EVERY: Duration = Duration::from_millis(150);
const HEIGHT_MAX: usize = 24;
/// The size of a chart that does not go to a terminal.
const TEXT_SIZE: (usize, usize) = (100, 20);

/// The kinds of charts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Line,
    Bar,
    Spark,
    Hist,
}

const KINDS: &[(&str, Kind)] = &[("line", Kind::Line), ("bar", Kind::Bar), ("spark", Kind::Spark), ("hist", Kind::Hist)];

/// What is to be drawn; columns that are not named are chosen by their types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The query is run again and again.
    pub(crate) is_live: bool,
    pub(crate) kind: Kind,
    pub(crate) x: Option<String>,
    pub(crate) y: Option<String>,
    pub(crate) by: Option<String>,
}

impl Spec {
    /// `[live] [line|bar|spark|hist] [x] [y] [by series]`
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words: Vec<String> = split_words(text);
        let is_live = words.first().is_some_and(|word| word.eq_ignore_ascii_case("live"));
        if is_live {
            words.remove(0);
        }
        let kind = words.first().and_then(|word| KINDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)));
        let kind = match kind {
            Some((_, kind)) => {
                words.remove(0);
                *kind
            }
            None => Kind::Line,
        };
        let by = match words.iter().position(|word| word.eq_ignore_ascii_case("by")) {
            Some(at) => {
                let by = words.get(at + 1).cloned().ok_or_else(|| "'by' is followed by a column (hint: by sensor)".to_owned())?;
                words.drain(at..at + 2);
                Some(by)
            }
            None => None,
        };
        let mut words = words.into_iter();
        let (x, y) = match kind {
            Kind::Hist => (None, words.next()),
            _ => (words.next(), words.next()),
        };
        match words.next() {
            Some(word) => Err(format!("a chart is written \\chart [line|bar|spark|hist] x y [by series]: '{word}' is too much")),
            None => Ok(Self { is_live, kind, x, y, by }),
        }
    }
}

/// Words at blanks outside of brackets and double quotes.
fn split_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let (mut depth, mut is_quoted) = (0_i32, false);
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => depth -= 1,
            _ => {}
        }
        match c {
            '"' => {}
            c if c.is_whitespace() && depth <= 0 && !is_quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// The lines of a chart. None of them is wider than `width`.
fn draw(spec: &Spec, data: &Data, width: usize, height: usize, has_color: bool) -> Vec<String> {
    if data.is_empty() {
        return vec!["no rows yet".to_owned()];
    }
    match spec.kind {
        Kind::Line => line::draw(data, width, height, has_color),
        Kind::Bar => bar::draw(data, width, height, has_color),
        Kind::Spark => spark_lines(data, width),
        Kind::Hist => hist::draw(data, width, height, has_color),
    }
}

fn spark_lines(data: &Data, width: usize) -> Vec<String> {
    let name_width = data.series().iter().map(|series| series.name.chars().count()).max().unwrap_or(0).min(width / 4);
    let line = |series: &data::Series| {
        let last = series.points.last().map(|(_, y)| ticks::number(*y)).unwrap_or_default();
        let (low, high) = series.points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (_, y)| (low.min(*y), high.max(*y)));
        let figures = format!("  {last}  ({} to {})", ticks::number(low), ticks::number(high));
        let room = width.saturating_sub(name_width + 1 + figures.chars().count()).max(8);
        let values: Vec<Option<f64>> = series.points.iter().map(|(_, y)| Some(*y)).collect();
        let name: String = series.name.chars().take(name_width).collect();
        format!("{name:<name_width$} {}{figures}", sparkline(&values, room))
    };
    data.series().iter().map(line).collect()
}

/// The bytes of a picture file; its kind goes by the ending.
pub(crate) fn picture_bytes(file: &str, spec: &Spec, data: &Data) -> Result<Vec<u8>, String> {
    if data.is_empty() {
        return Err("the query gives no rows that could be drawn".to_owned());
    }
    let picture = picture::layout(spec, data);
    match file.to_ascii_lowercase().ends_with(".svg") {
        true => Ok(svg::write(&picture).into_bytes()),
        false => png::write(&picture),
    }
}

/// Draws the rows of a query as they come.
pub(crate) struct ChartView {
    spec: Spec,
    data: Data,
    problem: Option<String>,
    frame: Frame,
    is_stream: bool,
    is_drawn: bool,
    has_color: bool,
    drawn_at: Option<Duration>,
    is_changed: bool,
}

impl ChartView {
    pub(crate) fn new(spec: Spec, is_stream: bool, is_drawn: bool, has_color: bool) -> Self {
        let data = Data::default();
        Self { spec, data, problem: None, frame: Frame::default(), is_stream, is_drawn, has_color, drawn_at: None, is_changed: true }
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    pub(crate) fn data(&self) -> &Data {
        &self.data
    }

    /// Why nothing could be drawn.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }

    /// The chart as plain text.
    pub(crate) fn text(&self) -> String {
        draw(&self.spec, &self.data, TEXT_SIZE.0, TEXT_SIZE.1, false).into_iter().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    fn redraw(&mut self, screen: &mut Screen) -> io::Result<()> {
        let (width, height) = terminal::size();
        let lines = draw(&self.spec, &self.data, width.saturating_sub(1), height.saturating_sub(3).clamp(4, HEIGHT_MAX), self.has_color);
        let text = self.frame.redraw(&lines);
        screen.rows().write_all(text.as_bytes())?;
        screen.flush()
    }
}

impl View for ChartView {
    fn begin(&mut self, schema: &SchemaRef, _: &mut Screen) -> io::Result<()> {
        match Data::new(&self.spec, schema) {
            Ok(data) => self.data = data,
            Err(problem) => self.problem = Some(problem),
        }
        Ok(())
    }

    fn batch(&mut self, batch: &RecordBatch, _: &mut Screen) -> io::Result<bool> {
        if self.problem.is_some() {
            return Ok(false);
        }
        if let Err(problem) = self.data.add(batch) {
            self.problem = Some(problem);
        }
        self.is_changed = true;
        Ok(self.problem.is_none())
    }

    fn tick(&mut self, now: Duration, screen: &mut Screen) -> io::Result<()> {
        let is_due = self.drawn_at.is_none_or(|at| now.saturating_sub(at) >= DRAW_EVERY);
        if !self.is_drawn || !self.is_changed || !is_due || self.problem.is_some() {
            return Ok(());
        }
        self.drawn_at = Some(now);
        self.is_changed = false;
        self.redraw(screen)
    }

    fn resized(&mut self, screen: &mut Screen) -> io::Result<()> {
        self.is_changed = true;
        let text = self.frame.resized();
        screen.rows().write_all(text.as_bytes())
    }

    fn finish(&mut self, screen: &mut Screen) -> io::Result<()> {
        if !self.is_drawn || self.problem.is_some() {
            return Ok(());
        }
        self.redraw(screen)?;
        screen.rows().write_all(SHOW_CURSOR.as_bytes())
    }

    fn is_live(&self) -> bool {
        self.is_drawn && self.is_stream
    }
}

#[cfg(test)]
mod tests;
