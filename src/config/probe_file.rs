//! A probe's TOML file → [`Probe`]. What a probe may ask of a host is limited here, before anything
//! is sent: a fault names the line, an outcome on 10,000 hosts would not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::fault::{Fault, Faults};
use super::file::Text;
use super::knob::between;
use super::metric;
use super::need::need;
use super::reader::{Document, Located, Section};
use crate::model::{ByteSize, Cost, Format, Measured, Need, Privilege, Probe, ProbeHash, ProbeName};

/// A script travels over stdin within one window of the connection.
pub const MAX_SCRIPT: ByteSize = ByteSize(96 << 10);
const MAX_TIMEOUT: Duration = Duration::from_secs(600);
const MAX_OUTPUT: ByteSize = ByteSize(64 << 20);

pub(crate) const KEYS: &[&str] = &[
    "name",
    "summary",
    "when",
    "script",
    "format",
    "timeout",
    "window",
    "max_output",
    "cost",
    "tracer",
    "budget",
    "privilege",
    "needs",
    "measured",
    "metric",
];
pub(crate) const MEASURED_KEYS: &[&str] = &["on", "cpu_idle", "cpu_loaded", "wall", "wire", "slowdown"];

const COSTS: [(&str, Cost); 3] =
    [("cheap", Cost::Cheap), ("moderate", Cost::Moderate), ("heavy", Cost::Heavy)];
const PRIVILEGES: [(&str, Privilege); 2] = [("none", Privilege::None), ("root", Privilege::Root)];

/// Reads the definition of the probe `name` out of `source`; `file` is what faults call the text. For
/// definitions that are not files: the built-in ones, and those in a sweep's archive.
pub fn parse_probe(name: &str, file: &str, source: &str) -> Result<Probe, Faults> {
    let text = Text { file: file.into(), folder: Path::new("").to_path_buf(), text: source.into() };
    parse(name, &text)
}

/// Reads the probe file at `path`; its name without `.toml` must be the probe's.
pub fn read_probe(path: &Path) -> Result<Probe, Faults> {
    let text = super::file::read(path)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    parse(&stem, &text)
}

fn parse(file_stem: &str, text: &Text) -> Result<Probe, Faults> {
    let mut faults = Faults::default();
    let document = Document::parse(text, None);
    let probe = document.walk(KEYS, &mut faults, |root, faults| read(file_stem, text, root, faults));
    match probe.flatten() {
        Some(probe) if faults.is_empty() => Ok(probe),
        _ => Err(faults),
    }
}

fn read(file_stem: &str, text: &Text, root: &Section<'_>, faults: &mut Faults) -> Option<Probe> {
    let name = name(file_stem, root, faults);
    let summary = summary(root, faults);
    let script = script(root, faults);
    let format = format(root, faults);
    let timeout = root.read_checked("timeout", between(Duration::from_millis(100), MAX_TIMEOUT), faults);
    let max_output = root.read_checked("max_output", between(ByteSize(1 << 10), MAX_OUTPUT), faults);
    let cost = root.word("cost", &COSTS, faults);
    let privilege = root.word("privilege", &PRIVILEGES, faults);
    let needs = needs(root, faults);
    let when = root.read_checked("when", |text: &String| prose(text), faults);
    let window = root.read_checked("window", between(Duration::from_millis(100), MAX_TIMEOUT), faults);
    let tracer = root.read::<bool>("tracer", faults);
    let budget = root.read_checked("budget", between(Duration::from_millis(1), MAX_TIMEOUT), faults);
    let measured = measured(root, faults);
    let metrics = metric::read_all(root, format, faults);
    Some(Probe {
        name: name?,
        summary: summary?,
        script: script?,
        format: format?,
        timeout: timeout.map_or(Probe::DEFAULT_TIMEOUT, |given| given.value),
        max_output: max_output.map_or(Probe::DEFAULT_MAX_OUTPUT, |given| given.value),
        cost: cost.unwrap_or(Cost::Cheap),
        privilege: privilege.unwrap_or(Privilege::None),
        needs,
        when: when.map(|given| given.value),
        window: window.map(|given| given.value),
        tracer: tracer.is_some_and(|given| given.value),
        budget: budget.map(|given| given.value),
        measured,
        metrics,
        source: Arc::clone(&text.text),
        hash: ProbeHash(*blake3::hash(text.text.as_bytes()).as_bytes()),
    })
}

fn name(file_stem: &str, root: &Section<'_>, faults: &mut Faults) -> Option<ProbeName> {
    let given = root.require::<String>("name", faults)?;
    match ProbeName::new(&given.value) {
        Ok(name) if given.value == file_stem => Some(name),
        Ok(_) => {
            let title = format!("the probe {:?} stands in a file called {file_stem:?}", given.value);
            faults.push(
                Fault::new(given.place, title)
                    .expected(format!("{file_stem:?}"))
                    .help(format!("or call the file {}.toml", given.value)),
            );
            None
        }
        Err(bad) => {
            let title = format!("`name` cannot be {:?}", given.value);
            faults.push(Fault::new(given.place, title).expected(bad.expected));
            None
        }
    }
}

fn summary(root: &Section<'_>, faults: &mut Faults) -> Option<String> {
    root.missing_unless_given("summary", "one line that says what the probe looks at", faults)?;
    let one_line = |text: &String| {
        let fits = !text.trim().is_empty() && text.len() <= 200 && !text.contains(char::is_control);
        if fits {
            Ok(())
        } else {
            Err("one line that says what the probe looks at, up to 200 bytes".to_owned())
        }
    };
    root.read_checked("summary", one_line, faults).map(|given| given.value)
}

fn script(root: &Section<'_>, faults: &mut Faults) -> Option<String> {
    let given = root.require::<String>("script", faults)?;
    // A file saved with CRLF would make every command of the script end in a carriage return.
    let script = given.value.replace("\r\n", "\n");
    let place = given.place;
    let fault = if script.trim().is_empty() {
        Fault::new(place, "the script is empty").expected("a script for /bin/sh")
    } else if script.len() as u64 > MAX_SCRIPT.0 {
        Fault::new(place, format!("the script has {} bytes", script.len()))
            .expected(format!("at most {MAX_SCRIPT}"))
    } else if script.contains('\0') {
        Fault::new(place, "the script holds a NUL byte").expected("text that a shell can read")
    } else {
        return Some(script);
    };
    faults.push(fault);
    None
}

fn format(root: &Section<'_>, faults: &mut Faults) -> Option<Format> {
    let names: Vec<&str> = Format::ALL.iter().map(|(name, _)| *name).collect();
    root.missing_unless_given("format", &format!("one of {}", names.join(", ")), faults)?;
    root.word("format", &Format::ALL, faults)
}

fn prose(text: &str) -> Result<(), String> {
    let fits = !text.trim().is_empty() && text.len() <= 600 && !text.contains(char::is_control);
    if fits { Ok(()) } else { Err("a sentence or two, up to 600 bytes on one line".to_owned()) }
}

fn measured(root: &Section<'_>, faults: &mut Faults) -> Option<Measured> {
    let section = root.section("measured", MEASURED_KEYS, faults)?;
    let on = section.require::<String>("on", faults);
    let cpu_idle = section.require::<Duration>("cpu_idle", faults);
    let cpu_loaded = section.require::<Duration>("cpu_loaded", faults);
    let wall = section.require::<Duration>("wall", faults);
    let wire = section.require::<ByteSize>("wire", faults);
    let slowdown = section.require::<f64>("slowdown", faults);
    Some(Measured {
        on: on?.value,
        cpu_idle: cpu_idle?.value,
        cpu_loaded: cpu_loaded?.value,
        wall: wall?.value,
        wire: wire?.value,
        slowdown: slowdown?.value,
    })
}

fn needs(root: &Section<'_>, faults: &mut Faults) -> Vec<Need> {
    let given = root.strings("needs", faults).unwrap_or_default();
    let mut needs = Vec::with_capacity(given.len());
    for Located { value, place } in given {
        match need(&value) {
            Ok(need) if needs.contains(&need) => {
                faults.push(Fault::new(place, format!("{value:?} stands here twice")));
            }
            Ok(need) => needs.push(need),
            Err(expected) => {
                faults.push(Fault::new(place, format!("`needs` cannot hold {value:?}")).expected(expected));
            }
        }
    }
    needs
}
