//! Whatever a probe prints is read without a panic and within the bounds on series, in every format. The
//! first line is the format's word, so that real outputs can be seeds; without one the first byte chooses.

#![no_main]

use std::sync::LazyLock;

use dropsonde::config::{Library, parse_probe};
use dropsonde::model::{Format, Probe};
use dropsonde::parse::{Context, parse};
use libfuzzer_sys::fuzz_target;

/// A probe of each format: the shipped one where there is one, since its entries matter to the parser.
static PROBES: LazyLock<Vec<Probe>> = LazyLock::new(|| {
    let library = Library::built_in().expect("the shipped probes load");
    let of = |format: Format| {
        let shipped = library.probes.values().map(|shelved| &*shelved.probe);
        shipped.clone().find(|probe| probe.format == format).cloned().unwrap_or_else(|| {
            let text = format!(
                "name = \"any\"\nsummary = \"any\"\nscript = \"true\"\nformat = \"{}\"\n\
                 [[metric]]\nname = \"a\"\nkind = \"gauge\"\n[[metric]]\nname = \"b_total\"\nkind = \"counter\"\n",
                format.as_str()
            );
            parse_probe("any", "any", &text).expect("a probe")
        })
    };
    Format::ALL.iter().map(|(_, format)| of(*format)).collect()
});

fuzz_target!(|data: &[u8]| {
    let named = data.iter().take(40).position(|byte| *byte == b'\n').and_then(|end| {
        let at = Format::ALL.iter().position(|(word, _)| word.as_bytes() == &data[..end])?;
        Some((at, &data[end + 1..]))
    });
    let chosen = || Some((usize::from(*data.first()?) % PROBES.len(), &data[1..]));
    let Some((at, raw)) = named.or_else(chosen) else { return };
    for cursor in [None, Some("9ff2e626-0000 1822.118230 2000.00")] {
        let parsed = parse(&PROBES[at], raw, &Context { clock: None, cursor });
        let series = parsed.samples.len() + parsed.totals.len() + parsed.histograms.len();
        assert!(series <= 20_000, "{series} series");
        assert!(parsed.samples.iter().all(|sample| sample.value.is_finite()));
        let totals = parsed.totals.iter().map(|total| &total.metric);
        let histograms = parsed.histograms.iter().map(|histogram| &histogram.metric);
        for metric in parsed.samples.iter().map(|sample| &sample.metric).chain(totals).chain(histograms) {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
            assert!(!metric.is_empty() && metric.bytes().all(plain), "{metric:?}");
        }
    }
});
