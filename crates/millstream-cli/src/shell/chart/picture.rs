//! A chart as shapes, for picture files.
//!
//! ```text
//!  y name                          ■ series  ■ series
//!   20 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄
//!   10 ┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄┄
//!    0 ──────┬─────────────┬─────────────┬────────────
//!          09:05         09:10         09:15
//!                     x name, 2024-05-17
//! ```

use super::data::{Axis, Data};
use super::{Kind, Spec, bar, hist, line, ticks};

pub(super) const WIDTH: f64 = 960.0;
pub(super) const HEIGHT: f64 = 540.0;
/// The same in whole pixels.
pub(super) const PIXELS: (usize, usize) = (960, 540);
const RIGHT: f64 = 932.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 470.0;
const TITLE_SIZE: f64 = 17.0;
const LABEL_SIZE: f64 = 13.5;
/// What a letter of [`LABEL_SIZE`] takes, about.
const LETTER: f64 = 7.4;
/// Bars that can be told apart in a picture.
const BARS_MAX: usize = 60;
/// Bars that have room for their figures.
const FIGURES_MAX: usize = 16;
/// Letters of a label under a bar.
const LABEL_CHARS_MAX: usize = 18;
/// Points of a line that are shown as such.
const DOTS_MAX: usize = 40;

/// Red, green, blue.
pub(super) type Rgb = [u8; 3];
pub(super) const INK: Rgb = [38, 44, 56];
const SOFT_INK: Rgb = [96, 104, 118];
const GRID: Rgb = [231, 234, 239];
const COLORS: [Rgb; 8] =
    [[46, 110, 214], [232, 126, 48], [42, 157, 107], [138, 86, 204], [214, 69, 86], [24, 154, 180], [176, 137, 20], [120, 128, 140]];
/// How much of the colour below a single line is seen.
pub(super) const AREA_OPACITY: f64 = 0.12;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// One thing in a picture; units are pixels, y grows downwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Line {
        points: Vec<(f64, f64)>,
        color: Rgb,
        width: f64,
    },
    /// What is between a line and a y below it, in a light colour.
    Area {
        points: Vec<(f64, f64)>,
        to: f64,
        color: Rgb,
    },
    Dot {
        x: f64,
        y: f64,
        radius: f64,
        color: Rgb,
    },
    Rect {
        x: f64,
        y: f64,
        width: f64,
        height: f64,
        color: Rgb,
    },
    Text {
        x: f64,
        y: f64,
        text: String,
        size: f64,
        anchor: Anchor,
        color: Rgb,
    },
}

/// The shapes of a chart.
pub(super) fn layout(spec: &Spec, data: &Data) -> Vec<Shape> {
    match spec.kind {
        Kind::Line | Kind::Spark => lines(data),
        Kind::Bar => bars(&bar::short_bars(data), data, true),
        Kind::Hist => {
            #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
            let named = |(low, _, count): (f64, f64, u64)| (ticks::number(low), 0, count as f64);
            bars(&hist::bins(data, 20).into_iter().map(named).collect::<Vec<_>>(), data, false)
        }
    }
}

fn label(x: f64, y: f64, text: impl Into<String>, anchor: Anchor) -> Shape {
    Shape::Text { x, y, text: text.into(), size: LABEL_SIZE, anchor, color: SOFT_INK }
}

fn scaled(value: f64, (low, high): (f64, f64), from: f64, to: f64) -> f64 {
    if high > low { from + (value - low) / (high - low) * (to - from) } else { f64::midpoint(from, to) }
}

#[expect(clippy::cast_precision_loss, reason = "a short text")]
fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * LETTER
}

/// The grid of y with its numbers, and the name of y; where the plot begins at the left.
fn y_grid(y: (f64, f64), name: &str, shapes: &mut Vec<Shape>) -> f64 {
    let ticks: Vec<(f64, String)> = ticks::round_numbers(y.0, y.1, 6).into_iter().map(|tick| (tick, ticks::number(tick))).collect();
    let left = 28.0 + ticks.iter().map(|(_, text)| text_width(text)).fold(16.0, f64::max);
    shapes.push(Shape::Text { x: 20.0, y: 34.0, text: name.to_owned(), size: TITLE_SIZE, anchor: Anchor::Start, color: INK });
    for (tick, text) in ticks {
        let at = scaled(tick, y, BOTTOM, TOP);
        shapes.push(Shape::Line { points: vec![(left, at), (RIGHT, at)], color: GRID, width: 1.0 });
        shapes.push(label(left - 9.0, at + 4.5, text, Anchor::End));
    }
    left
}

fn lines(data: &Data) -> Vec<Shape> {
    let (x, (low, high)) = data.range();
    let y = line::y_range(low, high);
    let mut shapes = Vec::new();
    let left = y_grid(y, &data.y_name, &mut shapes);
    x_axis(data, x, left, &mut shapes);
    let is_single = data.series().len() == 1;
    for (number, series) in data.series().iter().enumerate() {
        let color = COLORS[number % COLORS.len()];
        let mut points: Vec<(f64, f64)> = series.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points: Vec<_> = points.into_iter().map(|(px, py)| (scaled(px, x, left, RIGHT), scaled(py, y, BOTTOM, TOP))).collect();
        if is_single {
            shapes.push(Shape::Area { points: points.clone(), to: BOTTOM, color });
        }
        if points.len() <= DOTS_MAX {
            shapes.extend(points.iter().map(|(x, y)| Shape::Dot { x: *x, y: *y, radius: 3.2, color }));
        }
        shapes.push(Shape::Line { points, color, width: 2.0 });
    }
    legend(data, &mut shapes);
    shapes
}

fn x_axis(data: &Data, x: (f64, f64), left: f64, shapes: &mut Vec<Shape>) {
    let (marks, step) = match data.axis {
        Axis::Time => ticks::round_times(x.0, x.1, 8),
        Axis::Number => (ticks::round_numbers(x.0, x.1, 8), 1.0),
        Axis::Label => (ticks::round_numbers(x.0, x.1, 8).into_iter().filter(|tick| tick.fract() == 0.0).collect(), 1.0),
    };
    shapes.push(Shape::Line { points: vec![(left, BOTTOM), (RIGHT, BOTTOM)], color: SOFT_INK, width: 1.0 });
    let mut free_from = 0.0;
    for mark in marks {
        let at = scaled(mark, x, left, RIGHT);
        let text = if data.axis == Axis::Time { ticks::time(mark, step) } else { data.x_text(mark) };
        shapes.push(Shape::Line { points: vec![(at, BOTTOM), (at, BOTTOM + 5.0)], color: SOFT_INK, width: 1.0 });
        let half = text_width(&text) / 2.0;
        let middle = at.min(WIDTH - 8.0 - half);
        if middle - half >= free_from {
            free_from = middle + half + 10.0;
            shapes.push(label(middle, BOTTOM + 23.0, text, Anchor::Middle));
        }
    }
    shapes.push(label(f64::midpoint(left, RIGHT), HEIGHT - 14.0, data.x_caption(), Anchor::Middle));
}

/// The names of the series, at the right above the plot; those without room are counted.
fn legend(data: &Data, shapes: &mut Vec<Shape>) {
    const MARK: f64 = 18.0;
    const GAP: f64 = 22.0;
    let named: Vec<_> = data.series().iter().enumerate().filter(|(_, series)| !series.name.is_empty()).collect();
    let room = RIGHT - 40.0 - text_width(&data.y_name) * TITLE_SIZE / LABEL_SIZE;
    let mut fitting = 0;
    let mut taken = 0.0;
    for (_, series) in &named {
        let width = MARK + text_width(&series.name) + GAP;
        if taken + width > room - 80.0 {
            break;
        }
        taken += width;
        fitting += 1;
    }
    let hidden = named.len() - fitting;
    let more = format!("and {hidden} more");
    let mut x = RIGHT - taken + GAP - if hidden > 0 { text_width(&more) + GAP } else { 0.0 };
    for (number, series) in named.into_iter().take(fitting) {
        shapes.push(Shape::Rect { x, y: 24.0, width: 11.0, height: 11.0, color: COLORS[number % COLORS.len()] });
        shapes.push(label(x + MARK, 34.0, &series.name, Anchor::Start));
        x += MARK + text_width(&series.name) + GAP;
    }
    if hidden > 0 {
        shapes.push(label(RIGHT, 34.0, more, Anchor::End));
    }
}

fn bars(all: &[(String, usize, f64)], data: &Data, is_named_by_x: bool) -> Vec<Shape> {
    let bars = &all[all.len().saturating_sub(BARS_MAX)..];
    let greatest = bars.iter().map(|(.., y)| *y).fold(0.0, f64::max);
    let least = bars.iter().map(|(.., y)| *y).fold(0.0, f64::min);
    let y = if greatest > least { (least, greatest) } else { (0.0, 1.0) };
    let mut shapes = Vec::new();
    let name = if is_named_by_x { data.y_name.clone() } else { "rows".to_owned() };
    let left = y_grid(y, &name, &mut shapes);
    #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
    let slot = (RIGHT - left) / bars.len().max(1) as f64;
    // Labels stand beside each other only as far as there is room for their letters.
    let longest = bars.iter().map(|(label, ..)| label.chars().count().min(LABEL_CHARS_MAX)).max().unwrap_or(1);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a handful of letters")]
    let every = (((longest + 1) as f64 * LETTER / slot).ceil() as usize).max(1);
    let zero = scaled(0.0, y, BOTTOM, TOP);
    for (idx, (text, number, value)) in bars.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a handful of bars")]
        let start = left + idx as f64 * slot;
        let top = scaled(*value, y, BOTTOM, TOP);
        let color = COLORS[number % COLORS.len()];
        let gap = if is_named_by_x { 0.12 } else { 0.02 };
        shapes.push(Shape::Rect {
            x: start + slot * gap,
            y: top.min(zero),
            width: slot * (1.0 - 2.0 * gap),
            height: (zero - top).abs(),
            color,
        });
        if bars.len() <= FIGURES_MAX {
            let above = if *value < 0.0 { top.max(zero) + 16.0 } else { top.min(zero) - 6.0 };
            shapes.push(label(start + slot / 2.0, above, ticks::number(*value), Anchor::Middle));
        }
        if idx % every == 0 {
            let text: String = text.chars().take(LABEL_CHARS_MAX).collect();
            // A bin of a histogram begins at its label.
            let at = if is_named_by_x { start + slot / 2.0 } else { start };
            shapes.push(label(at, BOTTOM + 23.0, text, Anchor::Middle));
        }
    }
    shapes.push(Shape::Line { points: vec![(left, zero), (RIGHT, zero)], color: SOFT_INK, width: 1.0 });
    let name = if is_named_by_x { data.x_caption() } else { data.y_name.clone() };
    shapes.push(label(f64::midpoint(left, RIGHT), HEIGHT - 14.0, name, Anchor::Middle));
    shapes
}
