//! Files of /proc that somebody else saved: under headings (`@@@ 0 UPTIME`, `@@ /proc/stat`, `== cpu`), or
//! one file by itself, which its content must tell. It refuses to guess: what could be several files is
//! none.

use super::snapshot::Numbered;
use crate::parse::text::{fields, integer};

/// The same in the script's own form, each line with its number in what was saved.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Saved {
    lines: Vec<(usize, Vec<u8>)>,
    /// Whether it says when it was read.
    pub(super) is_dated: bool,
}

impl Saved {
    /// `None` where it is in the script's own form, or in none that is known.
    pub(super) fn read(numbered: &[Numbered<'_>]) -> Option<Self> {
        if numbered.iter().any(|(_, line)| line.starts_with(b"@@ ")) {
            return Some(Self::under_headings(numbered));
        }
        let first = numbered.first().filter(|(_, line)| !line.starts_with(b"@@@ "))?;
        let mut saved = Self { lines: vec![(first.0, b"@@@ snapshot".to_vec())], is_dated: false };
        let mut path = file_of(numbered);
        for (number, line) in numbered {
            match line.strip_prefix(b"== ") {
                Some(resource) => path = pressure(resource),
                None => saved.lines.push((*number, joined(path?.as_bytes(), line))),
            }
        }
        path.map(|_| saved)
    }

    pub(super) fn lines(&self) -> Vec<Numbered<'_>> {
        self.lines.iter().map(|(number, line)| (*number, line.as_slice())).collect()
    }

    fn under_headings(numbered: &[Numbered<'_>]) -> Self {
        let mut saved = Self::default();
        let mut path = None;
        for (number, line) in numbered {
            if let Some(mark) = line.strip_prefix(b"@@@ ") {
                saved.lines.push((*number, b"@@@ snapshot".to_vec()));
                // Its number, and the line of /proc/uptime.
                if let Some(at) = mark.iter().position(|byte| *byte == b' ') {
                    saved.lines.push((*number, joined(b"uptime", &mark[at + 1..])));
                    saved.is_dated = true;
                }
                path = None;
            } else if let Some(heading) = line.strip_prefix(b"@@ ") {
                path = heading.strip_prefix(b"/proc/");
            } else if let Some(path) = path {
                saved.lines.push((*number, joined(path, line)));
            } else if let Some(file) = line.strip_prefix(b"/proc/") {
                saved.lines.push((*number, task(file)));
            } else if !line.is_empty() {
                saved.lines.push((*number, line.to_vec()));
            }
        }
        saved
    }
}

fn joined(path: &[u8], line: &[u8]) -> Vec<u8> {
    [path, line].join(&b':')
}

/// `1/task/1/schedstat 5 6 7`, as grep writes it: `1/task/1/schedstat:5 6 7`.
fn task(line: &[u8]) -> Vec<u8> {
    let path = line.strip_prefix(b"self/").unwrap_or(line);
    let end = path.iter().position(|byte| *byte == b' ').unwrap_or(path.len());
    let thread = match path[..end].split(|byte| *byte == b'/').collect::<Vec<_>>().as_slice() {
        [pid, b"task", tid, b"schedstat"] => [*pid, b"task", *tid, b"schedstat"].join(&b'/'),
        _ => path[..end].to_vec(),
    };
    joined(&thread, path.get(end + 1..).unwrap_or_default())
}

fn pressure(resource: &[u8]) -> Option<&'static str> {
    match resource.trim_ascii() {
        b"cpu" => Some("pressure/cpu"),
        b"io" => Some("pressure/io"),
        b"memory" => Some("pressure/memory"),
        b"irq" => Some("pressure/irq"),
        _ => None,
    }
}

/// Which file the lines are of.
fn file_of(numbered: &[Numbered<'_>]) -> Option<&'static str> {
    let words = |at: usize| numbered.get(at).map(|(_, line)| fields(line).collect::<Vec<_>>());
    let first = words(0)?;
    let is_hexadecimal = |word: &&[u8]| word.len() == 8 && word.iter().all(u8::is_ascii_hexdigit);
    match first.as_slice() {
        // The pressure of which resource, a heading says.
        [b"==", name, ..] => pressure(name),
        [b"Ip:", ..] => Some("net/snmp"),
        [b"TcpExt:", ..] => Some("net/netstat"),
        [b"CPU0", ..] => match words(1)?.first()? {
            [b'H', b'I', b':'] => Some("softirqs"),
            _ => Some("interrupts"),
        },
        all if all.len() >= 9 && all.iter().all(is_hexadecimal) => Some("net/softnet_stat"),
        [major, minor, _, rest @ ..]
            if integer(major).and(integer(minor)).is_some()
                && rest.len() >= 11
                && rest.iter().all(|word| integer(word).is_some()) =>
        {
            Some("diskstats")
        }
        [name, value] if name.starts_with(b"nr_") && integer(value).is_some() => Some("vmstat"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::parse::testing::{faults, probe, series};

    fn read(raw: &str) -> crate::model::Parsed {
        crate::parse::parse(&probe("proc_snapshot", &[]), raw.as_bytes(), &Default::default())
    }

    #[test]
    fn headings_are_as_good_as_paths() {
        let at = |n: u32, uptime: &str, switches: u64, run: u64| {
            format!(
                "@@@ {n} {uptime} 5.0\n@@ /proc/stat\ncpu  1 0 1 9 0 0 0 0 0 0\nctxt {switches}\n@@ tasks\n\
                 /proc/1/task/1/schedstat {run} 5 6\n"
            )
        };
        let parsed = read(&(at(0, "10.00", 100, 7) + &at(1, "12.00", 300, 8)));
        let ours = "@@@ snapshot\nuptime:10.00 5.0\nstat:cpu  1 0 1 9 0 0 0 0 0 0\nstat:ctxt 100\n\
                    1/task/1/schedstat:7 5 6\n@@@ snapshot\nuptime:12.00 5.0\n\
                    stat:cpu  1 0 1 9 0 0 0 0 0 0\nstat:ctxt 300\n1/task/1/schedstat:8 5 6\n";
        let expected = read(ours);
        assert_eq!(series(&parsed), series(&expected));
        assert_eq!(faults(&parsed), faults(&expected));
        assert!(series(&parsed).iter().any(|line| line == "node_context_switches_total 100"), "{parsed:?}");
    }

    #[test]
    fn a_file_by_itself_gives_what_one_look_can_give() {
        let parsed = read(
            "== cpu\nsome avg10=50.00 avg60=0.00 avg300=0.00 total=7\n== irq\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
        );
        let shares = [
            "pressure_avg10_ratio{kind=some,resource=cpu} 0.5",
            "pressure_avg10_ratio{kind=full,resource=irq} 0",
        ];
        assert!(shares.iter().all(|share| series(&parsed).contains(&(*share).to_owned())), "{parsed:?}");
        for raw in [
            "nr_free_pages 1\nnr_dirty 2\n",
            "           CPU0       CPU1\n  HI:    0     1\n",
            "           CPU0\n 24:    1  IO-APIC   5-edge  eth0\n",
            "   8   0 sda 1 2 3 4 5 6 7 8 9 10 11 0 0 0 0 0 0\n",
            "TcpExt: A B\nTcpExt: 1 2\n",
            "Ip: A B\nIp: 1 2\n",
            "00000067 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000\n",
        ] {
            let parsed = read(raw);
            assert!(faults(&parsed)[0].contains("rates need two looks"), "{raw}: {parsed:?}");
            assert!(!faults(&parsed).iter().any(|fault| fault.contains("known file")), "{raw}: {parsed:?}");
        }
        for raw in ["", "hello\n", "some avg10=50.00 avg60=0.00 avg300=0.00 total=7\n", "== disk\na 1\n"] {
            let parsed = read(raw);
            assert!(series(&parsed).is_empty() && !parsed.faults.is_empty(), "{raw}: {parsed:?}");
        }
    }
}
