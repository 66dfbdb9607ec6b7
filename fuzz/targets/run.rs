//! One run to decode the answer of.

use std::time::Duration;

use dropsonde::config::parse_probe;
use dropsonde::model::{ByteSize, Host, HostName, Probe};
use dropsonde::wire::{Limits, Nonce, Request, RunTag};

pub const TAG: RunTag = RunTag::new([0x11; 16]);
pub const NONCE: Nonce = Nonce::new([0x22; 16]);

pub fn probe() -> Probe {
    let text = "name = \"any\"\nsummary = \"any\"\nscript = \"true\"\nformat = \"text\"\nmax_output = \"64KiB\"\n\
                needs = [\"tool:perf\", \"version:perf>=6.12\", \"paranoid<=2\"]\n";
    parse_probe("any", "any", text).expect("a probe")
}

pub fn host() -> Host {
    Host { address: "any".to_owned(), ..Host::new(HostName::new("any").expect("a name"), "root") }
}

pub fn request<'a>(probe: &'a Probe, host: &'a Host) -> Request<'a> {
    Request {
        probe,
        host,
        tag: TAG,
        nonce: NONCE,
        limits: Limits {
            heartbeat: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            max_wire: ByteSize(1 << 20),
            max_ratio: 1_000,
            max_stderr: ByteSize(4 << 10),
        },
        cursor: None,
        become_root: false,
        only_check: false,
    }
}
