//! Shapes as SVG.

use std::fmt::Write as _;

use super::picture::{AREA_OPACITY, Anchor, HEIGHT, Rgb, Shape, WIDTH};

pub(super) fn write(shapes: &[Shape]) -> String {
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"Ubuntu, Helvetica, Arial, sans-serif\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    for shape in shapes {
        // Into a String, which cannot fail.
        _ = match shape {
            Shape::Line { points, color, width } => {
                let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let (points, color) = (points.join(" "), hex(*color));
                writeln!(
                    out,
                    "<polyline points=\"{points}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"/>"
                )
            }
            Shape::Area { points, to, color } => {
                let ends = [points.last(), points.first()].into_iter().flatten().map(|(x, _)| (*x, *to));
                let outline: Vec<String> = points.iter().copied().chain(ends).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let (outline, color) = (outline.join(" "), hex(*color));
                writeln!(out, "<polygon points=\"{outline}\" fill=\"{color}\" fill-opacity=\"{AREA_OPACITY}\"/>")
            }
            Shape::Dot { x, y, radius, color } => {
                let color = hex(*color);
                writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{color}\"/>")
            }
            Shape::Rect { x, y, width, height, color } => {
                let color = hex(*color);
                writeln!(out, "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{color}\"/>")
            }
            Shape::Text { x, y, text, size, anchor, color } => {
                let anchor = match anchor {
                    Anchor::Start => "start",
                    Anchor::Middle => "middle",
                    Anchor::End => "end",
                };
                let (color, text) = (hex(*color), escaped(text));
                writeln!(
                    out,
                    "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" fill=\"{color}\">{text}</text>"
                )
            }
        };
    }
    out.push_str("</svg>\n");
    out
}

fn hex([red, green, blue]: Rgb) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").chars().filter(|c| !c.is_control()).collect()
}
