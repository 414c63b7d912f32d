//! Shapes as PNG: drawn twice as large, then halved, which smooths edges. Letters are those of a font that is part of the program.

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont, point};

use super::picture::{AREA_OPACITY, Anchor, PIXELS, Rgb, Shape};

/// Dots drawn for a pixel, in each direction.
const SCALE: f64 = 2.0;
const COMPRESSION_LEVEL: u8 = 6;
/// Pixels of a font's line for each pixel of its size.
const LINE_OF_SIZE: f64 = 1.15;

struct Sheet<'f> {
    width: usize,
    height: usize,
    dots: Vec<Rgb>,
    font: FontRef<'f>,
}

/// The bytes of the file.
pub(super) fn write(shapes: &[Shape]) -> Result<Vec<u8>, String> {
    let (width, height) = (2 * PIXELS.0, 2 * PIXELS.1);
    let font = FontRef::try_from_slice(epaint_default_fonts::UBUNTU_LIGHT).map_err(|error| format!("the font cannot be read: {error}"))?;
    let mut sheet = Sheet { width, height, dots: vec![[255; 3]; width * height], font };
    for shape in shapes {
        match shape {
            Shape::Line { points, color, width } => sheet.polyline(points, *color, *width),
            Shape::Area { points, to, color } => sheet.area(points, *to, *color),
            Shape::Dot { x, y, radius, color } => sheet.polyline(&[(*x, *y), (*x, *y)], *color, radius * 2.0),
            Shape::Rect { x, y, width, height, color } => {
                sheet.rect(x * SCALE, y * SCALE, (x + width) * SCALE, (y + height) * SCALE, *color);
            }
            Shape::Text { x, y, text, size, anchor, color } => sheet.text((*x, *y), text, *size, *anchor, *color),
        }
    }
    encode(&sheet)
}

/// `color` over `below`, as much of it as `part` says.
fn blended(below: Rgb, color: Rgb, part: f64) -> Rgb {
    let part = part.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between two bytes")]
    let mixed = |channel: usize| (f64::from(below[channel]) * (1.0 - part) + f64::from(color[channel]) * part).round() as u8;
    [mixed(0), mixed(1), mixed(2)]
}

/// The dots of one direction that lie between two places.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept on the sheet")]
fn between(low: f64, high: f64, size: usize) -> std::ops::Range<usize> {
    let place = |at: f64| (at.max(0.0) as usize).min(size);
    place(low.floor())..place(high.ceil() + 1.0)
}

/// How far a place is from the nearest point of a segment.
fn distance((x, y): (f64, f64), from: (f64, f64), to: (f64, f64)) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 { (((x - from.0) * dx + (y - from.1) * dy) / length).clamp(0.0, 1.0) } else { 0.0 };
    (x - from.0 - along * dx).hypot(y - from.1 - along * dy)
}

#[expect(clippy::cast_precision_loss, reason = "places on a sheet")]
impl Sheet<'_> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept on the sheet")]
    fn rect(&mut self, left: f64, top: f64, right: f64, bottom: f64, color: Rgb) {
        let column = |x: f64| (x.max(0.0).round() as usize).min(self.width);
        let row = |y: f64| (y.max(0.0).round() as usize).min(self.height);
        for y in row(top)..row(bottom) {
            self.dots[y * self.width + column(left)..y * self.width + column(right).max(column(left))].fill(color);
        }
    }

    fn blend(&mut self, column: usize, row: usize, color: Rgb, part: f64) {
        if column < self.width && row < self.height && part > 0.0 {
            let dot = &mut self.dots[row * self.width + column];
            *dot = blended(*dot, color, part);
        }
    }

    /// Segments with round ends; where they overlap they count once.
    fn polyline(&mut self, points: &[(f64, f64)], color: Rgb, width: f64) {
        let half = width * SCALE / 2.0;
        let mut covered: std::collections::BTreeMap<usize, f64> = std::collections::BTreeMap::new();
        for pair in points.windows(2) {
            let (from, to) = ((pair[0].0 * SCALE, pair[0].1 * SCALE), (pair[1].0 * SCALE, pair[1].1 * SCALE));
            for row in between(from.1.min(to.1) - half, from.1.max(to.1) + half, self.height) {
                for column in between(from.0.min(to.0) - half, from.0.max(to.0) + half, self.width) {
                    let part = half + 0.5 - distance((column as f64 + 0.5, row as f64 + 0.5), from, to);
                    if part > 0.0 {
                        let before = covered.entry(row * self.width + column).or_insert(0.0);
                        *before = before.max(part.min(1.0));
                    }
                }
            }
        }
        for (at, part) in covered {
            self.dots[at] = blended(self.dots[at], color, part);
        }
    }

    /// The columns below a line that goes from left to right.
    fn area(&mut self, points: &[(f64, f64)], to: f64, color: Rgb) {
        for pair in points.windows(2) {
            let (from, end) = ((pair[0].0 * SCALE, pair[0].1 * SCALE), (pair[1].0 * SCALE, pair[1].1 * SCALE));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept on the sheet")]
            let columns = (from.0.max(0.0).round() as usize)..(end.0.max(0.0).round() as usize).min(self.width);
            for column in columns {
                let along = (column as f64 + 0.5 - from.0) / (end.0 - from.0).max(1e-9);
                let top = from.1 + along.clamp(0.0, 1.0) * (end.1 - from.1);
                for row in between(top, to * SCALE - 1.0, self.height) {
                    self.blend(column, row, color, AREA_OPACITY);
                }
            }
        }
    }

    fn text(&mut self, (x, y): (f64, f64), text: &str, size: f64, anchor: Anchor, color: Rgb) {
        #[expect(clippy::cast_possible_truncation, reason = "a size of letters")]
        let scale = PxScale::from((size * LINE_OF_SIZE * SCALE) as f32);
        let mut glyphs: Vec<Glyph> = Vec::new();
        let mut width = 0.0_f32;
        {
            let font = self.font.as_scaled(scale);
            let mut before = None;
            for c in text.chars() {
                let id = font.glyph_id(c);
                width += before.map_or(0.0, |before| font.kern(before, id));
                glyphs.push(id.with_scale_and_position(scale, point(width, 0.0)));
                width += font.h_advance(id);
                before = Some(id);
            }
        }
        let left = match anchor {
            Anchor::Start => x * SCALE,
            Anchor::Middle => x * SCALE - f64::from(width) / 2.0,
            Anchor::End => x * SCALE - f64::from(width),
        };
        for glyph in glyphs {
            let Some(outline) = self.font.outline_glyph(glyph) else { continue };
            let bounds = outline.px_bounds();
            let (column, row) = (left.round() + f64::from(bounds.min.x), y * SCALE + f64::from(bounds.min.y));
            outline.draw(|dx, dy, part| {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "places off the sheet are left out")]
                let (at, line) = ((column + f64::from(dx)).max(0.0) as usize, (row + f64::from(dy)).max(0.0) as usize);
                self.blend(at, line, color, f64::from(part));
            });
        }
    }

    /// Rows of pixels, each the mean of its dots, with the filter byte that PNG wants in front.
    fn scanlines(&self) -> Vec<u8> {
        let mut lines = Vec::with_capacity(self.dots.len() * 3 / 4 + self.height / 2);
        for y in (0..self.height).step_by(2) {
            lines.push(0);
            for x in (0..self.width).step_by(2) {
                let at = |x: usize, y: usize| self.dots[y * self.width + x];
                let four = [at(x, y), at(x + 1, y), at(x, y + 1), at(x + 1, y + 1)];
                for channel in 0..3 {
                    let sum: u16 = four.iter().map(|dot| u16::from(dot[channel])).sum();
                    lines.push(u8::try_from(sum / 4).unwrap_or(u8::MAX));
                }
            }
        }
        lines
    }
}

/// After the PNG specification (ISO/IEC 15948): signature, then header, data and end, each with its checksum.
fn encode(sheet: &Sheet<'_>) -> Result<Vec<u8>, String> {
    let size = |dots: usize| u32::try_from(dots / 2).map_err(|_| "the picture is too large".to_owned());
    let mut header = Vec::new();
    header.extend(size(sheet.width)?.to_be_bytes());
    header.extend(size(sheet.height)?.to_be_bytes());
    // Eight bits a channel, red-green-blue, the only compression and filter there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let data = miniz_oxide::deflate::compress_to_vec_zlib(&sheet.scanlines(), COMPRESSION_LEVEL);
    let mut file = vec![0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n'];
    for (kind, body) in [(b"IHDR", header), (b"IDAT", data), (b"IEND", Vec::new())] {
        file.extend(u32::try_from(body.len()).map_err(|_| "the picture is too large".to_owned())?.to_be_bytes());
        let start = file.len();
        file.extend(kind);
        file.extend(body);
        let checksum = crc32fast::hash(&file[start..]);
        file.extend(checksum.to_be_bytes());
    }
    Ok(file)
}
