//! `query`: anyone's SQL over the views. It can only read, and not for ever.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde::{Serialize, Serializer};

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit};
use crate::model::parse_duration;
use crate::render::json::to_line;
use crate::render::{Cell, Column, Ink, Table, csv};
use crate::store::index::{QueryLimits, Reader, Value};

/// Rows of a table that a person reads; the other forms have no limit of their own.
const TABLE_ROWS: usize = 1_000;

/// Ask the index in SQL
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The views v_* are stable; tables are not. Moments are whole seconds since 1970 (UTC).

Examples:
  dropsonde query --schema
  dropsonde query \"SELECT outcome, count(*) AS n FROM v_reading GROUP BY outcome\"
  dropsonde query --csv \"SELECT host, value FROM v_sample WHERE metric = 'node_load1'\"")]
pub struct Query {
    /// A SELECT; without one, the views are listed
    #[arg(value_name = "SQL")]
    sql: Option<String>,
    /// List the views and their columns
    #[arg(long, conflicts_with = "sql")]
    schema: bool,
    /// A line of JSON for each row
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    ndjson: bool,
    /// Comma-separated values under a line of names
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Stop after this many rows [default: 1000 for a table, else none]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Give up after this long
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse_duration)]
    timeout: Duration,
}

impl Query {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let reader = context.reader()?;
        match &self.sql {
            Some(sql) => self.ask(context, &reader, sql)?,
            None => schema(context, &reader)?,
        }
        Ok(Exit::Good)
    }

    fn ask(&self, context: &Context, reader: &Reader, sql: &str) -> Result<()> {
        if self.csv {
            self.stream(context, (reader, sql), Form::Csv)
        } else if self.ndjson {
            self.stream(context, (reader, sql), Form::Ndjson)
        } else if context.global.json {
            self.stream(context, (reader, sql), Form::Array)
        } else {
            self.table(context, reader, sql)
        }
    }

    fn table(&self, context: &Context, reader: &Reader, sql: &str) -> Result<()> {
        let limits = QueryLimits { max_rows: self.limit.unwrap_or(TABLE_ROWS), timeout: self.timeout };
        let answer = reader.query(sql, limits)?;
        let numeric = |at: usize| {
            let values = answer.rows.iter().map(|row| &row[at]);
            values.clone().all(|value| !matches!(value, Value::Text(_) | Value::Blob(_)))
        };
        let column = |(at, name): (usize, &String)| {
            if numeric(at) { Column::right(&escaped(name)) } else { Column::left(&escaped(name)) }
        };
        let mut table = Table::new(answer.columns.iter().enumerate().map(column));
        for row in &answer.rows {
            table.row(row.iter().map(|value| match value {
                Value::Null => Cell::from("-").ink(Ink::Dim),
                value => Cell::new(text(value)),
            }));
        }
        context.print(&table.render(context.out_style()))?;
        if answer.cut {
            context.remark(&format!("there are more rows than {}; --limit N shows more", limits.max_rows));
        }
        Ok(())
    }

    /// Row by row: an answer may be larger than memory.
    fn stream(&self, context: &Context, (reader, sql): (&Reader, &str), form: Form) -> Result<()> {
        let mut out = context.out();
        let mut written = 0;
        let mut failed = Ok(());
        let limit = self.limit.unwrap_or(usize::MAX);
        let limits = QueryLimits { max_rows: limit, timeout: self.timeout };
        let columns = reader.query_each(sql, limits, &mut |columns, row| {
            if written == limit {
                return false;
            }
            failed = form.line(columns, &row, written).and_then(|line| Ok(out.write_all(line.as_bytes())?));
            written += 1;
            failed.is_ok()
        })?;
        failed.context("write to stdout")?;
        if written == 0 {
            out.write_all(form.none(&columns).as_bytes()).context("write to stdout")?;
        } else {
            out.write_all(form.end().as_bytes()).context("write to stdout")?;
        }
        out.flush().context("write to stdout")
    }
}

#[derive(Debug, Clone, Copy)]
enum Form {
    Csv,
    Ndjson,
    /// One array.
    Array,
}

impl Form {
    fn line(self, columns: &[String], row: &[Value], before: usize) -> Result<String> {
        let object = || to_line(&RowObject { columns, row });
        Ok(match self {
            Self::Csv => {
                let mut lines = String::new();
                if before == 0 {
                    csv::line(&mut lines, columns);
                }
                csv::line(&mut lines, row.iter().map(text));
                lines
            }
            Self::Ndjson => format!("{}\n", object()?),
            Self::Array => format!("{}{}", if before == 0 { "[" } else { ",\n" }, object()?),
        })
    }

    fn none(self, columns: &[String]) -> String {
        let mut lines = String::new();
        match self {
            Self::Csv => csv::line(&mut lines, columns),
            Self::Ndjson => {}
            Self::Array => lines.push_str("[]\n"),
        }
        lines
    }

    const fn end(self) -> &'static str {
        match self {
            Self::Csv | Self::Ndjson => "",
            Self::Array => "]\n",
        }
    }
}

/// Columns in the order in which they were asked for.
struct RowObject<'a> {
    columns: &'a [String],
    row: &'a [Value],
}

impl Serialize for RowObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.columns.iter().zip(self.row.iter().map(JsonValue)))
    }
}

struct JsonValue<'a>(&'a Value);

impl Serialize for JsonValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Null => serializer.serialize_none(),
            Value::Integer(integer) => serializer.serialize_i64(*integer),
            Value::Real(real) => serializer.serialize_f64(*real),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Blob(blob) => serializer.serialize_str(&hex(blob)),
        }
    }
}

/// A value as a table and CSV have it; NULL is empty.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(integer) => integer.to_string(),
        Value::Real(real) => real.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(blob) => hex(blob),
    }
}

fn hex(blob: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(blob)
}

fn escaped(text: &str) -> std::borrow::Cow<'_, str> {
    crate::render::escape(text, crate::render::Lines::Single)
}

/// What each view holds.
const VIEWS: [(&str, &str); 7] = [
    ("v_sample", "one number of one reading; a counter's value is its increase per second over the span"),
    ("v_reading", "one probe on one host in one sweep, whatever happened"),
    ("v_sweep", "one run of some probes over some hosts"),
    ("v_host_label", "every value that a host's label had, and since when"),
    ("v_metric", "what a metric is: unit, kind, which direction is bad"),
    ("v_histogram", "one distribution; buckets are [lo, hi, count] in the metric's unit"),
    ("v_fault", "what could not be read in a reading"),
];

#[derive(Debug, Serialize)]
struct SchemaReport {
    schema: crate::render::json::Schema,
    views: Vec<View>,
}

#[derive(Debug, Serialize)]
struct View {
    view: &'static str,
    about: &'static str,
    columns: Vec<String>,
}

fn schema(context: &Context, reader: &Reader) -> Result<()> {
    let mut views = Vec::new();
    for (view, about) in VIEWS {
        // No row is wanted, only the names.
        let columns = reader.query_each(
            &format!("SELECT * FROM {view} LIMIT 0"),
            QueryLimits::default(),
            &mut |_, _| false,
        )?;
        if columns.is_empty() {
            return Err(
                Usage(format!("the index has no view {view}; `dropsonde reindex` rebuilds it")).into()
            );
        }
        views.push(View { view, about, columns });
    }
    if context.global.json {
        return context.print_json(&SchemaReport { schema: Default::default(), views });
    }
    let mut table =
        Table::new([Column::left("VIEW"), Column::left("COLUMNS"), Column::left("ABOUT").elastic()]);
    for View { view, about, columns } in views {
        table.row([Cell::from(view), Cell::new(columns.join(", ")), Cell::from(about)]);
    }
    context.print(&table.render(context.out_style()))
}
