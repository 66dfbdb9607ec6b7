//! Which tool wrote the output, and its lines. Nothing is taken for a tool's that it did not say.

use super::columns::{Column, Scale};
use crate::parse::sink::Sink;
use crate::parse::text::{decimal, excerpt, integer, utf8_lines};

/// No machine has more, and a line cannot ask for more memory than this.
const MAX_COLUMNS: usize = 65_536;

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut reader = Reader { per_second: 1e6, ..Reader::default() };
    for (number, line) in utf8_lines(raw, sink) {
        if let Err(expected) = reader.line(line) {
            sink.fault(|| {
                format!("line {number}: expected {expected}, found {}", excerpt(line.trim_end().as_bytes()))
            });
        }
    }
    reader.finish(sink);
}

#[derive(Debug, Default, PartialEq, Clone, Copy)]
enum Tool {
    #[default]
    Unknown,
    Cyclictest,
    Rtla,
}

#[derive(Default)]
struct Reader {
    tool: Tool,
    per_second: f64,
    columns: Vec<Column>,
    /// Each row's lower bound, for the width of rows and where they end.
    starts: Vec<u64>,
    /// rtla repeats its summary for all CPUs at once.
    is_over: bool,
}

impl Reader {
    fn line(&mut self, line: &str) -> Result<(), &'static str> {
        let line = line.trim();
        let mut words = line.split_ascii_whitespace();
        let Some(first) = words.next() else { return Ok(()) };
        if self.is_over || ["real", "user", "sys"].contains(&first) {
            return Ok(());
        }
        match first {
            "#" => self.comment(line.trim_start_matches(['#', ' '])),
            "T:" => self.summary(line),
            "Index" => self.header(words),
            "ALL:" => {
                self.is_over = true;
                Ok(())
            }
            "over:" | "count:" | "min:" | "avg:" | "max:" => self.foot(first, words),
            _ if first.bytes().all(|byte| byte.is_ascii_digit()) => self.row(first, words),
            _ => Err("a line of cyclictest or rtla timerlat"),
        }
    }

    /// cyclictest ends with its figures in comments; rtla begins with its unit.
    fn comment(&mut self, text: &str) -> Result<(), &'static str> {
        if text.starts_with("Histogram Overflow at") || text.starts_with("Thread ") {
            return Ok(());
        }
        if text == "Histogram" {
            self.tool = Tool::Cyclictest;
        }
        if let Some(unit) = text.strip_prefix("Time unit is ") {
            self.per_second = if unit.starts_with("nano") { 1e9 } else { 1e6 };
        }
        let Some((name, values)) = text.split_once(": ") else { return Ok(()) };
        type Put = fn(&mut Column, u64);
        let put: Put = match name {
            "Total" => |column, value| column.total = Some(value),
            "Min Latencies" => |column, value| column.min = Some(value as f64),
            "Avg Latencies" => |column, value| column.avg = Some(value as f64),
            "Max Latencies" => |column, value| column.max = Some(value as f64),
            "Histogram Overflows" => |column, value| column.over = value,
            _ => return Ok(()),
        };
        self.tool = Tool::Cyclictest;
        for (place, value) in values.split_ascii_whitespace().enumerate() {
            let value = integer(value.as_bytes()).ok_or("whole numbers")?;
            put(self.column(place)?, value);
        }
        Ok(())
    }

    /// `T: 0 ( 1234) P:95 I:1000 C:   3000 Min:      4 Act:    7 Avg:    8 Max:      34`
    fn summary(&mut self, line: &str) -> Result<(), &'static str> {
        const EXPECTED: &str = "a thread's summary";
        let after = |name: &str| {
            let rest = line.split_once(name)?.1.trim_start();
            integer(rest.split([' ', '\t']).next()?.as_bytes())
        };
        let cpu = after("T:").ok_or(EXPECTED)?;
        let (total, max) = (after(" C:").ok_or(EXPECTED)?, after("Max:").ok_or(EXPECTED)?);
        self.tool = Tool::Cyclictest;
        let place = usize::try_from(cpu).map_err(|_| EXPECTED)?;
        let column = self.column(place)?;
        (column.total, column.max) = (Some(total), Some(max as f64));
        column.min = after("Min:").map(|min| min as f64);
        column.avg = after("Avg:").map(|avg| avg as f64);
        Ok(())
    }

    /// `Index   IRQ-000   Thr-000   Usr-000`
    fn header<'w>(&mut self, names: impl Iterator<Item = &'w str>) -> Result<(), &'static str> {
        self.tool = Tool::Rtla;
        self.columns.clear();
        for name in names.take(MAX_COLUMNS) {
            let (context, cpu) = name.split_once('-').ok_or("a column such as IRQ-000")?;
            let cpu = integer(cpu.as_bytes()).ok_or("a column such as IRQ-000")?;
            let context = match context {
                "IRQ" => "irq",
                "Thr" => "thread",
                "Usr" => "user",
                _ => return Err("a column such as IRQ-000"),
            };
            self.columns.push(Column { cpu: cpu.to_string(), context, ..Column::default() });
        }
        Ok(())
    }

    fn row<'w>(&mut self, first: &str, counts: impl Iterator<Item = &'w str>) -> Result<(), &'static str> {
        let start = integer(first.as_bytes()).ok_or("where the row begins")?;
        if self.tool == Tool::Unknown {
            return Err("a line that says which tool it is before the rows");
        }
        for (place, count) in counts.enumerate() {
            let count = integer(count.as_bytes()).ok_or("whole counts")?;
            let is_named = self.tool == Tool::Cyclictest || place < self.columns.len();
            if !is_named {
                return Err("no more counts than columns");
            }
            let column = self.column(place)?;
            if count > 0 {
                column.rows.push((start, count));
            }
        }
        self.starts.push(start);
        Ok(())
    }

    fn foot<'w>(&mut self, name: &str, values: impl Iterator<Item = &'w str>) -> Result<(), &'static str> {
        for (column, value) in self.columns.iter_mut().zip(values) {
            if value == "-" {
                continue;
            }
            let value = decimal(value.as_bytes()).filter(|value| *value >= 0.0).ok_or("numbers")?;
            match name {
                "over:" => column.over = value as u64,
                "count:" => column.total = Some(value as u64),
                "min:" => column.min = Some(value),
                "avg:" => column.avg = Some(value),
                _ => column.max = Some(value),
            }
        }
        Ok(())
    }

    /// cyclictest's threads are its columns: with -a, thread N runs on CPU N.
    fn column(&mut self, place: usize) -> Result<&mut Column, &'static str> {
        if place >= MAX_COLUMNS {
            return Err("as many columns as a machine may have CPUs");
        }
        while self.tool == Tool::Cyclictest && self.columns.len() <= place {
            let cpu = self.columns.len().to_string();
            self.columns.push(Column { cpu, context: "user", ..Column::default() });
        }
        self.columns.get_mut(place).ok_or("no more columns than the header has")
    }

    fn finish(self, sink: &mut Sink) {
        if self.columns.is_empty() {
            return sink.fault(|| "expected an output of cyclictest or rtla timerlat, found none".to_owned());
        }
        let width = self.width();
        let last = self.starts.iter().copied().max();
        let scale = Scale {
            per_second: self.per_second,
            width,
            end: last.map_or(0, |last| last.saturating_add(width)),
            total_has_over: self.tool == Tool::Rtla,
        };
        for column in self.columns {
            let is_empty = column.rows.is_empty() && column.over == 0;
            // rtla has a column for each CPU, also for those that did not take part.
            if !(is_empty && column.max.is_none() && column.total.unwrap_or(0) == 0) {
                column.emit(scale, sink);
            }
        }
    }

    /// rtla leaves rows out that are 0 everywhere and does not say how wide a row is (-b): all begin
    /// at its multiples. Of a few rows that would be a guess.
    fn width(&self) -> u64 {
        let divisor = self.starts.iter().copied().fold(0, gcd);
        if self.tool == Tool::Rtla && self.starts.len() >= 8 { divisor.max(1) } else { 1 }
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    let (mut a, mut b) = (a, b);
    while b > 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use crate::model::Parsed;
    use crate::parse::testing::{faults, probe, series};

    fn read(raw: &str) -> Parsed {
        crate::parse::parse(&probe("timer_latency", &[]), raw.as_bytes(), &Default::default())
    }

    fn histograms(parsed: &Parsed) -> Vec<String> {
        let line = |each: &crate::model::Histogram| {
            let labels: Vec<_> = each.labels.iter().map(|(_, value)| value.as_str()).collect();
            let buckets: Vec<_> = each.buckets.iter().map(|b| (b.lo, b.hi, b.count)).collect();
            format!("{} {} {:?} {buckets:?}", labels.join(" "), each.count, each.max)
        };
        parsed.histograms.iter().map(line).collect()
    }

    #[test]
    fn cyclictest_with_rows_and_overflow() {
        let parsed = read(
            "# /dev/cpu_dma_latency set to 0us\n# Histogram\n000000 000000\t000000\n000001 000002\t000000\n\
             000002 000001\t000004\n# Total: 000000003 000000004\n# Min Latencies: 00001 00002\n\
             # Avg Latencies: 00123 00002\n# Max Latencies: 07424 00002\n# Histogram Overflows: 00005 00000\n\
             # Histogram Overflow at cycle number:\n# Thread 0: 00084 00088 # 00003 others\n# Thread 1:\n\nreal\t0m3s\n",
        );
        assert_eq!(faults(&parsed), [""; 0]);
        let most = f64::INFINITY;
        assert_eq!(
            histograms(&parsed),
            [
                format!("user 0 8 Some(0.007424) [(1e-6, 2e-6, 2), (2e-6, 3e-6, 1), (3e-6, {most:?}, 5)]"),
                "user 1 4 Some(2e-6) [(2e-6, 3e-6, 4)]".to_owned()
            ]
        );
        assert_eq!(series(&parsed)[1], "timer_latency_avg_seconds{context=user,cpu=0} 0.000123");
    }

    #[test]
    fn cyclictest_without_rows() {
        let parsed =
            read("T: 1 ( 1234) P:95 I:1000 C:   3000 Min:      4 Act:    7 Avg:    8 Max:      34\n");
        // Thread 0 did not say anything, so nothing is said of it.
        assert_eq!(histograms(&parsed), ["user 1 3000 Some(3.4e-5) [(4e-6, 3.5e-5, 3000)]"]);
    }

    #[test]
    fn rtla() {
        let parsed = read(
            "# RTLA timerlat histogram\n# Time unit is microseconds (us)\n# Duration:   0 00:00:02\n\
             Index   IRQ-000   Thr-000   IRQ-001   Thr-001\n0     1990   0   0   0\n4   5  1900  0 0\n\
             over:        5       100         0         0\ncount:    2000      2000         0         0\n\
             min:         0         3         -         -\navg:         1         5         -         -\n\
             max:       260       300         -         -\nALL:  IRQ Thr\ncount: 2000 2000\nmin: 0 3\n",
        );
        assert_eq!(faults(&parsed), [""; 0]);
        let most = f64::INFINITY;
        assert_eq!(
            histograms(&parsed),
            [
                format!("irq 0 2000 Some(0.00026) [(0.0, 1e-6, 1990), (4e-6, 5e-6, 5), (5e-6, {most:?}, 5)]"),
                format!("thread 0 2000 Some(0.0003) [(4e-6, 5e-6, 1900), (5e-6, {most:?}, 100)]"),
            ]
        );
    }

    #[test]
    fn nonsense_is_a_fault() {
        for (raw, expected) in [
            ("", "expected an output of cyclictest"),
            ("hello\n", "line 1: expected a line of"),
            ("000001 3\n", "line 1: expected a line that says which tool"),
            ("# Histogram\n000001 x\n", "line 2: expected whole counts"),
            ("Index IRQ-000\n1 2 3\n", "line 2: expected no more counts"),
            ("Index x\n", "line 1: expected a column such as"),
            ("T: 99999999999 C: 1 Max: 1\n", "line 1: expected a"),
            ("# Histogram\n000001 3\n# Total: 4\n", "CPU 0: expected rows that add up to 4, found 3"),
        ] {
            assert!(faults(&read(raw))[0].starts_with(expected), "{raw:?}: {:?}", faults(&read(raw)));
        }
    }
}
