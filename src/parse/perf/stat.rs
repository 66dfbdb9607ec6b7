//! perf stat.

use crate::parse::sink::Sink;

pub(in crate::parse) fn parse(_raw: &[u8], sink: &mut Sink) {
    sink.fault(|| "this format is not read yet".to_owned());
}
