//! Dots on a grid of characters: each Braille character is two dots wide and four high.

/// Colours of series, as the terminal counts them.
const COLORS: [u8; 6] = [36, 33, 35, 32, 34, 31];
const BRAILLE: u32 = 0x2800;
/// The bit of a dot by column and row.
const BITS: [[u8; 4]; 2] = [[0x01, 0x02, 0x04, 0x40], [0x08, 0x10, 0x20, 0x80]];

/// A text in the colour of a series.
pub(super) fn colored(text: &str, series: usize, has_color: bool) -> String {
    match has_color {
        true => format!("\x1b[{}m{text}\x1b[0m", COLORS[series % COLORS.len()]),
        false => text.to_owned(),
    }
}

/// The dots of a chart.
#[derive(Debug)]
pub(super) struct Canvas {
    width: usize,
    cells: Vec<(u8, usize)>,
}

impl Canvas {
    /// `width` and `height` are characters.
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, cells: vec![(0, 0); width * height] }
    }

    pub(super) fn dots(&self) -> (usize, usize) {
        (self.width * 2, self.cells.len() / self.width.max(1) * 4)
    }

    fn dot(&mut self, x: i64, y: i64, series: usize) {
        let (width, height) = self.dots();
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else { return };
        if x >= width || y >= height {
            return;
        }
        let cell = &mut self.cells[y / 4 * self.width + x / 2];
        cell.0 |= BITS[x % 2][y % 4];
        cell.1 = series;
    }

    /// A straight line between two dots, after Bresenham.
    pub(super) fn line(&mut self, from: (i64, i64), to: (i64, i64), series: usize) {
        let (dx, dy) = ((to.0 - from.0).abs(), -(to.1 - from.1).abs());
        let (step_x, step_y) = ((to.0 - from.0).signum(), (to.1 - from.1).signum());
        let (mut x, mut y) = from;
        let mut error = dx + dy;
        loop {
            self.dot(x, y, series);
            if (x, y) == to {
                return;
            }
            let doubled = 2 * error;
            if doubled >= dy {
                error += dy;
                x += step_x;
            }
            if doubled <= dx {
                error += dx;
                y += step_y;
            }
        }
    }

    /// The rows of characters.
    pub(super) fn rows(&self, has_color: bool) -> Vec<String> {
        let cell = |(bits, series): &(u8, usize)| match bits {
            0 => " ".to_owned(),
            bits => {
                let character = char::from_u32(BRAILLE + u32::from(*bits)).unwrap_or(' ');
                colored(&character.to_string(), *series, has_color)
            }
        };
        self.cells.chunks(self.width.max(1)).map(|row| row.iter().map(cell).collect()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_crosses_the_canvas() {
        let mut canvas = Canvas::new(3, 1);
        canvas.line((0, 3), (5, 0), 0);
        assert_eq!(canvas.rows(false), ["⡠⠔⠊"]);
        canvas.line((-5, 0), (50, 2), 0);
    }
}
