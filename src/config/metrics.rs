//! `[metrics]`: what other monitoring reads of the collector. Nothing of it is reachable from another
//! machine: what it shows of a fleet is nobody else's business.

use std::net::SocketAddr;
use std::path::PathBuf;

use toml::de::DeValue;

use super::knob::{any, knobs};
use super::value::{Bad, Base, Value};

/// What switches a setting off.
const OFF: &str = "off";

/// Where the collector answers Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    Off,
    /// An address of this machine alone.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Value for Listen {
    const EXPECTED: &'static str =
        "\"off\", a port or an address of this machine such as \"127.0.0.1:9877\", or \"unix:PATH\"";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        if text == OFF {
            return Ok(Self::Off);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            return base.path(path).map(Self::Unix);
        }
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self::Tcp(SocketAddr::from(([127, 0, 0, 1], port))));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Tcp(address)),
            Ok(_) => Err(Bad {
                help: Some(
                    "put a proxy that knows who may read it in front, or scrape through SSH".to_owned(),
                ),
                ..Bad::expected("an address of this machine alone, as 127.0.0.1 or [::1]")
            }),
            Err(_) => Err(Bad::expected(Self::EXPECTED)),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Off => OFF.into(),
            Self::Tcp(address) => address.to_string().into(),
            Self::Unix(path) => format!("unix:{}", path.display()).into(),
        }
    }
}

/// A file that may be written or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Textfile(pub Option<PathBuf>);

impl Value for Textfile {
    const EXPECTED: &'static str = "\"off\", or the path of a file that ends in .prom";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        if text == OFF {
            return Ok(Self(None));
        }
        let path = base.path(text)?;
        // node_exporter reads no other.
        if path.extension().is_none_or(|end| end != "prom") {
            return Err(Bad::expected(Self::EXPECTED));
        }
        Ok(Self(Some(path)))
    }

    fn json(&self) -> serde_json::Value {
        self.0.as_ref().map_or_else(|| OFF.into(), |path| path.display().to_string().into())
    }
}

knobs! {
    /// What other monitoring reads of the collector.
    pub struct Metrics = ["metrics"], "DROPSONDE_METRICS_" {
        /// Where the daemon answers Prometheus, about itself.
        listen: Listen = Listen::Off, any;
        /// The newest samples of all hosts, for node_exporter's textfile collector; written after each sweep
        /// of a schedule.
        textfile: Textfile = Textfile(None), any;
        /// Which metrics stand in it; `*` and `?` are wildcards, blanks separate several.
        textfile_metrics: String = "*".to_owned(), masks;
    }
}

fn masks(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_:*? ".contains(c);
    if !text.trim().is_empty() && text.chars().all(plain) {
        return Ok(());
    }
    Err("metrics' names; `*` and `?` are wildcards, blanks separate several".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_of_this_machine_alone() {
        let base = Base { folder: "/run/x".into(), home: None };
        let check = |text: &str, expected: Option<&str>| {
            let read = Listen::from_text(text, &base).ok().map(|it| it.json());
            assert_eq!(read, expected.map(Into::into), "{text}");
        };
        check("off", Some("off"));
        check("9877", Some("127.0.0.1:9877"));
        check("[::1]:9877", Some("[::1]:9877"));
        check("unix:metrics.sock", Some("unix:/run/x/metrics.sock"));
        for bad in ["0.0.0.0:9877", "10.0.0.1:1", "localhost:1", "[::]:1", "on", "unix:", "70000"] {
            check(bad, None);
        }
        let textfile = |text: &str| Textfile::from_text(text, &base).ok().map(|it| it.json());
        assert_eq!(textfile("a.prom"), Some("/run/x/a.prom".into()));
        assert_eq!((textfile("off"), textfile("a.txt")), (Some("off".into()), None));
    }
}
