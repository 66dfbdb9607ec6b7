//! Aligned columns. A table escapes what it is given, so that a host's words cannot break out of
//! their cell; it draws no lines.

use std::iter;

use super::escape::{Lines, escape, escape_limited, text_width};
use super::style::{Ink, Style};

const GAP: usize = 2;

/// An elastic column is not squeezed below this: a few letters and an ellipsis tell nothing.
const LEAST_ELASTIC: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

/// A column's title and manner.
#[derive(Debug, Clone)]
pub struct Column {
    title: String,
    align: Align,
    elastic: bool,
}

impl Column {
    /// For text.
    pub fn left(title: &str) -> Self {
        Self { title: title.to_owned(), align: Align::Left, elastic: false }
    }

    /// For numbers.
    pub fn right(title: &str) -> Self {
        Self { title: title.to_owned(), align: Align::Right, elastic: false }
    }

    /// The column that gives way (`…`) where the table is wider than the terminal.
    pub fn elastic(mut self) -> Self {
        self.elastic = true;
        self
    }
}

/// One field of a row.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    text: String,
    ink: Option<Ink>,
}

impl Cell {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ink: None }
    }

    pub fn ink(mut self, ink: Ink) -> Self {
        self.ink = Some(ink);
        self
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// Rows under titles.
#[derive(Debug, Clone)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// Adds a row. Cells beyond the last column are dropped; missing ones are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Cell>) -> &mut Self {
        let escaped = |cell: Cell| Cell { text: escape(&cell.text, Lines::Single).into_owned(), ..cell };
        self.rows.push(cells.into_iter().take(self.columns.len()).map(escaped).collect());
        self
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The titles and the rows, each ended by a line feed, without blanks at the end of a line.
    pub fn render(&self, style: &Style) -> String {
        let widths = self.widths(style.width);
        let titles: Vec<Cell> =
            self.columns.iter().map(|column| Cell::new(&*column.title).ink(Ink::Bold)).collect();
        let mut out = String::new();
        for row in iter::once(&titles).chain(&self.rows) {
            self.write_row(&mut out, row, &widths, style);
        }
        out
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| text_width(&column.title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(text_width(&cell.text));
            }
        }
        let elastic = self.columns.iter().position(|column| column.elastic);
        if let (Some(limit), Some(elastic)) = (limit, elastic) {
            let total = widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1);
            let least = LEAST_ELASTIC.max(text_width(&self.columns[elastic].title)).min(widths[elastic]);
            let spare = total.saturating_sub(limit);
            widths[elastic] = widths[elastic].saturating_sub(spare).max(least);
        }
        widths
    }

    fn write_row(&self, out: &mut String, row: &[Cell], widths: &[usize], style: &Style) {
        // Blanks are owed until something follows them: none stands at the end of a line.
        let mut owed = 0;
        for ((column, cell), width) in self.columns.iter().zip(row).zip(widths) {
            let text = if text_width(&cell.text) > *width {
                escape_limited(&cell.text, *width)
            } else {
                cell.text.clone()
            };
            let padding = width - text_width(&text);
            if column.align == Align::Right {
                owed += padding;
            }
            if text.is_empty() {
                owed += if column.align == Align::Left { padding } else { 0 };
            } else {
                out.extend(iter::repeat_n(' ', owed));
                out.push_str(&cell.ink.map_or(text.as_str().into(), |ink| style.paint(ink, &text)));
                owed = if column.align == Align::Left { padding } else { 0 };
            }
            owed += GAP;
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Table {
        let mut table =
            Table::new([Column::left("HOST").elastic(), Column::right("OK"), Column::left("DETAIL")]);
        table.row(["web01.eu".into(), "12".into(), "".into()]);
        table.row(["漢字".into(), "1".into(), Cell::from("timed out").ink(Ink::Red)]);
        table.row(["db".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_what_a_terminal_shows() {
        let expected = "\
HOST      OK  DETAIL
web01.eu  12
漢字       1  timed out
db
";
        assert_eq!(hosts().render(&Style::PLAIN), expected);
    }

    #[test]
    fn colour_changes_no_alignment() {
        let colored = hosts().render(&Style { color: true, width: None });
        assert!(colored.contains("\x1b[31mtimed out\x1b[0m"), "{colored:?}");
        let mut plain = colored;
        for code in ["\x1b[1m", "\x1b[31m", "\x1b[0m"] {
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, hosts().render(&Style::PLAIN));
    }

    #[test]
    fn the_elastic_column_gives_way() {
        let mut table = Table::new([Column::left("HOSTS").elastic(), Column::right("N")]);
        table.row(["a-rather-long-list-of-hosts".into(), "1234".into()]);
        let at = |width| table.render(&Style { color: false, width: Some(width) });
        assert_eq!(at(80), "HOSTS                           N\na-rather-long-list-of-hosts  1234\n");
        assert_eq!(at(20), "HOSTS              N\na-rather-long…  1234\n");
        assert_eq!(at(3), "HOSTS        N\na-rathe…  1234\n");
    }

    #[test]
    fn what_a_host_says_stays_in_its_cell() {
        let mut table = Table::new([Column::left("DETAIL"), Column::right("N")]);
        table.row(["\x1b[2J\nok\u{202e}".into(), "1".into(), "dropped".into()]);
        assert_eq!(table.render(&Style::PLAIN), "DETAIL               N\n\\x1b[2J\\nok\\u{202e}  1\n");
    }
}
