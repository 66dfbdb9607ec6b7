//! Sections, one for each disk (`@@@ smartctl /dev/sda sat`), or a saved JSON by itself.

use serde_json::Value;

use super::{nvme, smartctl};
use crate::model::LabelPairs;
use crate::parse::sink::Sink;

pub(in crate::parse) fn parse(raw: &[u8], sink: &mut Sink) {
    let mut header = None;
    let mut body = Vec::new();
    let mut disks = 0;
    for line in raw.split(|byte| *byte == b'\n') {
        match line.strip_prefix(b"@@@ ") {
            Some(words) => {
                disks += disk(header.take(), &body, sink);
                body.clear();
                header = Some(String::from_utf8_lossy(words).trim_end().to_owned());
            }
            None => {
                body.extend_from_slice(line);
                body.push(b'\n');
            }
        }
    }
    disks += disk(header, &body, sink);
    if disks == 0 {
        sink.fault(|| "expected the JSON of smartctl or nvme, found none".to_owned());
    }
}

/// One disk's JSON; how many there were.
fn disk(header: Option<String>, body: &[u8], sink: &mut Sink) -> usize {
    let header = header.unwrap_or_default();
    if body.iter().all(u8::is_ascii_whitespace) {
        if !header.is_empty() {
            sink.fault(|| format!("{}: expected JSON, found nothing", plain(&header)));
        }
        return 0;
    }
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
    let json = match values.next() {
        Some(Ok(json)) => json,
        Some(Err(error)) => {
            sink.fault(|| format!("{}: expected JSON: {error}", plain(&header)));
            return 0;
        }
        None => return 0,
    };
    let mut words = header.split(' ');
    let (tool, path, kind) = (words.next(), words.next(), words.next());
    let path = path.or_else(|| json.pointer("/device/name").and_then(Value::as_str)).unwrap_or_default();
    let disk = Disk { name: name(path, kind) };
    match tool {
        Some("nvme") => nvme::read(&json, &disk, sink),
        Some("smartctl") => smartctl::read(&json, &disk, sink),
        _ if json.get("smartctl").is_some() => smartctl::read(&json, &disk, sink),
        _ => nvme::read(&json, &disk, sink),
    }
    1
}

/// As the kernel's own counters call it. Disks behind one controller share its path.
fn name(path: &str, kind: Option<&str>) -> String {
    let name = path.strip_prefix("/dev/").unwrap_or(path);
    match kind {
        Some(kind) if kind.contains(',') => format!("{name}:{kind}"),
        _ => name.to_owned(),
    }
}

/// The beginning of a text, fit for a fault.
pub(super) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Whose numbers these are.
#[derive(Debug)]
pub(super) struct Disk {
    name: String,
}

impl Disk {
    /// For a fault.
    pub(super) fn called(&self) -> String {
        plain(&self.name)
    }

    pub(super) fn gauge(&self, metric: &'static str, value: f64, sink: &mut Sink) {
        sink.gauge(metric, self.labels(), value);
    }

    /// With one label more, whose name must sort behind `device`.
    pub(super) fn labelled(
        &self,
        metric: &'static str,
        label: (&'static str, &str),
        value: f64,
        sink: &mut Sink,
    ) {
        let mut labels = self.labels();
        labels.push((label.0.into(), label.1.to_owned()));
        sink.gauge(metric, labels, value);
    }

    /// Takes the first of `pointers` that has a number, times `scale`.
    pub(super) fn take(&self, json: &Value, field: &Field, sink: &mut Sink) {
        let Field { metric, pointers, scale } = field;
        if let Some(value) = pointers.iter().find_map(|pointer| json.pointer(pointer).and_then(number)) {
            self.gauge(metric, value * scale, sink);
        }
    }

    fn labels(&self) -> LabelPairs {
        if self.name.is_empty() { Vec::new() } else { vec![("device".into(), self.name.clone())] }
    }
}

/// Where a metric's value may stand.
#[derive(Debug)]
pub(super) struct Field {
    pub metric: &'static str,
    pub pointers: &'static [&'static str],
    pub scale: f64,
}

/// A number in any of the forms that the tools' versions gave it: plain, in quotes because it has 128
/// bits, with separators, or an object whose `value` it is. True is 1.
pub(super) fn number(json: &Value) -> Option<f64> {
    match json {
        Value::Number(number) => number.as_f64(),
        Value::Bool(is) => Some(f64::from(u8::from(*is))),
        Value::String(text) => {
            let plain: String = text.trim().chars().filter(|c| *c != ',').collect();
            crate::parse::text::decimal(plain.as_bytes())
        }
        Value::Object(members) => number(members.get("value")?),
        _ => None,
    }
}
