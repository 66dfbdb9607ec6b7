//! Lines over time in a terminal's letters: braille dots, two by four in a letter, and shade where most of a
//! fleet lies. It never joins two points across a hole.

use super::style::{Ink, Style};

/// Dots of a letter.
const WIDE: usize = 2;
const HIGH: usize = 4;

/// The bit of a dot, by its row and column.
const BITS: [[u8; WIDE]; HIGH] = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]];

/// What shades the fleet's band.
const SHADE: char = '░';

/// So that two lines are told apart.
const INKS: [Ink; 4] = [Ink::Cyan, Ink::Yellow, Ink::Green, Ink::Red];

/// What is drawn.
pub struct Chart<'a> {
    /// Where each column stands, from 0 to 1, rising.
    pub at: &'a [f64],
    /// The values of each line, column by column.
    pub lines: &'a [Vec<Option<f64>>],
    /// The lower and the upper end of the band, column by column.
    pub band: &'a [Option<(f64, f64)>],
    /// Letters for the lines, and for the height.
    pub columns: usize,
    pub rows: usize,
}

/// The ink of a line.
pub fn line_ink(line: usize) -> Ink {
    INKS[line % INKS.len()]
}

impl Chart<'_> {
    /// The rows from above, each behind its label where it has one; `spell` writes a value.
    pub fn render(&self, style: &Style, spell: impl Fn(f64) -> String) -> String {
        let (least, most) = self.scale();
        let mut canvas = Canvas::new(self.columns.max(1), self.rows.max(1));
        self.shade(&mut canvas, least, most);
        for (line, values) in self.lines.iter().enumerate() {
            self.draw(&mut canvas, (line, values), least, most);
        }
        let labels = [spell(most), spell(least.midpoint(most)), spell(least)];
        let width = labels.iter().map(|label| super::escape::text_width(label)).max().unwrap_or(0);
        let mut out = String::new();
        for row in 0..canvas.rows {
            let label = match row {
                0 => labels[0].as_str(),
                _ if row + 1 == canvas.rows => labels[2].as_str(),
                _ if row == canvas.rows / 2 => labels[1].as_str(),
                _ => "",
            };
            let pad = width - super::escape::text_width(label);
            out.push_str(&format!("{}{label} ", " ".repeat(pad)));
            out.push_str(&style.paint(Ink::Dim, "│"));
            canvas.write_row(&mut out, row, style);
            out.push('\n');
        }
        out
    }

    /// How far the labels push the lines to the right.
    pub fn indent(&self, spell: impl Fn(f64) -> String) -> usize {
        let (least, most) = self.scale();
        let width = |value: f64| super::escape::text_width(&spell(value));
        width(most).max(width(least)).max(width(least.midpoint(most))) + 2
    }

    /// From zero, so that noise does not look like trouble.
    fn scale(&self) -> (f64, f64) {
        let ends = self.band.iter().flatten().flat_map(|(lo, hi)| [*lo, *hi]);
        let values = self.lines.iter().flatten().flatten().copied().chain(ends);
        let (least, most) = values
            .filter(|value| value.is_finite())
            .fold((0.0_f64, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        if most > least { (least, most) } else { (0.0, 1.0) }
    }

    fn shade(&self, canvas: &mut Canvas, least: f64, most: f64) {
        for column in 0..canvas.columns {
            let here = (column as f64 + 0.5) / canvas.columns as f64;
            let nearest = (0..self.at.len())
                .min_by(|a, b| f64::total_cmp(&(self.at[*a] - here).abs(), &(self.at[*b] - here).abs()));
            let Some(Some((lo, hi))) = nearest.and_then(|at| self.band.get(at)) else { continue };
            let row = |value: f64| canvas.dot_row(value, least, most) / HIGH;
            for row in row(*hi)..=row(*lo) {
                canvas.shaded[row * canvas.columns + column] = true;
            }
        }
    }

    fn draw(&self, canvas: &mut Canvas, (line, values): (usize, &[Option<f64>]), least: f64, most: f64) {
        let hole = 2.5 * self.usual_step();
        let mut last: Option<(f64, usize, usize)> = None;
        for (at, value) in self.at.iter().zip(values) {
            let Some(value) = value.filter(|value| value.is_finite()) else { continue };
            let dots = canvas.columns * WIDE - 1;
            let (x, y) =
                ((at.clamp(0.0, 1.0) * dots as f64).round() as usize, canvas.dot_row(value, least, most));
            match last {
                Some((before, x0, y0)) if at - before <= hole => canvas.join(line, (x0, y0), (x, y)),
                _ => canvas.dot(line, x, y),
            }
            last = Some((*at, x, y));
        }
    }

    fn usual_step(&self) -> f64 {
        let mut steps: Vec<f64> = self.at.windows(2).map(|pair| pair[1] - pair[0]).collect();
        steps.sort_unstable_by(f64::total_cmp);
        steps.get(steps.len() / 2).copied().unwrap_or(1.0)
    }
}

struct Canvas {
    columns: usize,
    rows: usize,
    /// The dots of each letter, and whose the last one was.
    dots: Vec<(u8, usize)>,
    shaded: Vec<bool>,
}

impl Canvas {
    fn new(columns: usize, rows: usize) -> Self {
        let letters = columns * rows;
        Self { columns, rows, dots: vec![(0, 0); letters], shaded: vec![false; letters] }
    }

    /// Rows of dots, from above.
    fn dot_row(&self, value: f64, least: f64, most: f64) -> usize {
        let top = self.rows * HIGH - 1;
        // Halved first: the distance between two finite numbers may be infinite.
        let share = ((value / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0)).clamp(0.0, 1.0);
        top - (share * top as f64).round() as usize
    }

    fn dot(&mut self, line: usize, x: usize, y: usize) {
        if let Some(letter) = self.dots.get_mut(y / HIGH * self.columns + x / WIDE) {
            *letter = (letter.0 | BITS[y % HIGH][x % WIDE], line);
        }
    }

    fn join(&mut self, line: usize, (x0, y0): (usize, usize), (x1, y1): (usize, usize)) {
        let steps = x0.abs_diff(x1).max(y0.abs_diff(y1)).max(1);
        let between = |from: usize, to: usize, step: usize| {
            let share = step as f64 / steps as f64;
            (from as f64 + (to as f64 - from as f64) * share).round() as usize
        };
        for step in 0..=steps {
            self.dot(line, between(x0, x1, step), between(y0, y1, step));
        }
    }

    fn write_row(&self, out: &mut String, row: usize, style: &Style) {
        let mut owed = 0;
        for column in 0..self.columns {
            let at = row * self.columns + column;
            let (letter, ink) = match (self.dots[at], self.shaded[at]) {
                ((0, _), false) => {
                    owed += 1;
                    continue;
                }
                ((0, _), true) => (SHADE, Ink::Dim),
                ((bits, line), _) => {
                    (char::from_u32(0x2800 + u32::from(bits)).unwrap_or(SHADE), line_ink(line))
                }
            };
            out.push_str(&" ".repeat(owed));
            owed = 0;
            out.push_str(&style.paint(ink, letter.encode_utf8(&mut [0; 4])));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(at: &[f64], lines: &[Vec<Option<f64>>], band: &[Option<(f64, f64)>]) -> String {
        let chart = Chart { at, lines, band, columns: 4, rows: 2 };
        chart.render(&Style::PLAIN, |value| format!("{value:.0}"))
    }

    #[test]
    fn a_line_rises_and_a_hole_stays_open() {
        let at = [0.0, 1.0 / 3.0, 2.0 / 3.0, 1.0];
        let values = |values: &[f64]| values.iter().map(|value| Some(*value)).collect::<Vec<_>>();
        assert_eq!(chart(&at, &[values(&[0.0, 1.0, 2.0, 3.0])], &[]), "3 │  ⡠⠊\n0 │⡠⠊\n");
        assert_eq!(chart(&at, &[vec![Some(3.0), None, None, Some(3.0)]], &[]), "3 │⠁  ⠈\n0 │\n");
        assert_eq!(chart(&at, &[], &[]), "1 │\n0 │\n");
        assert_eq!(chart(&[], &[vec![]], &[]), "1 │\n0 │\n");
    }

    #[test]
    fn most_of_the_fleet_is_shaded() {
        let band = [Some((0.0, 1.0)), None];
        assert_eq!(chart(&[0.0, 1.0], &[vec![None, Some(4.0)]], &band), "4 │   ⠈\n0 │░░\n");
    }

    #[test]
    fn what_is_no_number_draws_nothing() {
        let odd = vec![Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)];
        let text = chart(&[0.0, 0.5, 1.0], &[odd], &[]);
        assert!(text.starts_with(" 0 │") && text.contains("-1 │"), "{text}");
    }
}
