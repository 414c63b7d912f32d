//! Shapes as PNG: drawn twice as large, then halved, which smooths edges.

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts};

use super::picture::{Anchor, PIXELS, Rgb, Shape};

/// Dots drawn for a pixel, in each direction.
const SCALE: f64 = 2.0;
/// Dots that a dot of a letter takes.
const LETTER_DOT: f64 = 3.0;
/// Dots of a letter in each direction.
const LETTER_SIZE: f64 = 8.0;
const COMPRESSION_LEVEL: u8 = 6;

struct Sheet {
    width: usize,
    height: usize,
    dots: Vec<Rgb>,
}

/// The bytes of the file.
pub(super) fn write(shapes: &[Shape]) -> Result<Vec<u8>, String> {
    let (width, height) = (2 * PIXELS.0, 2 * PIXELS.1);
    let mut sheet = Sheet { width, height, dots: vec![[255; 3]; width * height] };
    for shape in shapes {
        match shape {
            Shape::Line { points, color, width } => sheet.polyline(points, *color, *width),
            Shape::Rect { x, y, width, height, color } => {
                sheet.rect(x * SCALE, y * SCALE, (x + width) * SCALE, (y + height) * SCALE, *color);
            }
            Shape::Text { x, y, text, anchor, color } => sheet.text(*x, *y, text, *anchor, *color),
        }
    }
    encode(&sheet)
}

impl Sheet {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept on the sheet")]
    fn rect(&mut self, left: f64, top: f64, right: f64, bottom: f64, color: Rgb) {
        let column = |x: f64| (x.max(0.0).round() as usize).min(self.width);
        let row = |y: f64| (y.max(0.0).round() as usize).min(self.height);
        for y in row(top)..row(bottom) {
            self.dots[y * self.width + column(left)..y * self.width + column(right).max(column(left))].fill(color);
        }
    }

    fn polyline(&mut self, points: &[(f64, f64)], color: Rgb, width: f64) {
        let half = width * SCALE / 2.0;
        for pair in points.windows(2) {
            let (from, to) = ((pair[0].0 * SCALE, pair[0].1 * SCALE), (pair[1].0 * SCALE, pair[1].1 * SCALE));
            let steps = (to.0 - from.0).abs().max((to.1 - from.1).abs()).ceil().max(1.0);
            let mut step = 0.0;
            while step <= steps {
                let (x, y) = (from.0 + (to.0 - from.0) * step / steps, from.1 + (to.1 - from.1) * step / steps);
                self.rect(x - half, y - half, x + half, y + half, color);
                step += 1.0;
            }
        }
    }

    fn text(&mut self, x: f64, y: f64, text: &str, anchor: Anchor, color: Rgb) {
        #[expect(clippy::cast_precision_loss, reason = "a short text")]
        let width = text.chars().count() as f64 * LETTER_SIZE * LETTER_DOT;
        let left = match anchor {
            Anchor::Start => x * SCALE,
            Anchor::Middle => x * SCALE - width / 2.0,
            Anchor::End => x * SCALE - width,
        };
        let top = y * SCALE - LETTER_SIZE * LETTER_DOT;
        for (number, c) in text.chars().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a short text")]
            let at = left + number as f64 * LETTER_SIZE * LETTER_DOT;
            self.letter(at, top, c, color);
        }
    }

    fn letter(&mut self, left: f64, top: f64, c: char, color: Rgb) {
        let Some(rows) = BASIC_FONTS.get(c).or_else(|| LATIN_FONTS.get(c)).or_else(|| BASIC_FONTS.get('?')) else { return };
        for (row, bits) in (0_u8..).zip(rows) {
            for column in (0..8_u8).filter(|column| bits & (1 << column) != 0) {
                let (x, y) = (left + f64::from(column) * LETTER_DOT, top + f64::from(row) * LETTER_DOT);
                self.rect(x, y, x + LETTER_DOT, y + LETTER_DOT, color);
            }
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
fn encode(sheet: &Sheet) -> Result<Vec<u8>, String> {
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
