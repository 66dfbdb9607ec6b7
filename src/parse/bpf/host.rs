//! What a script told about its host beside the tool's output: sections that begin with `@@@`. It
//! looks nothing up itself.

use std::collections::HashMap;

/// Names that the host gave.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    /// `uname -m`.
    pub arch: Option<String>,
    /// Devices by (major, minor), from /proc/partitions.
    pub devices: HashMap<(u64, u64), String>,
    /// Handlers by IRQ, from /sys/kernel/irq/*/actions.
    pub irqs: HashMap<String, String>,
    /// What the tracepoint's format calls its numbers.
    pub symbols: HashMap<String, String>,
}

/// The part of the output that a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Tool,
    Partitions,
    Irqs,
    Symbols,
    Unknown,
}

impl Host {
    /// Reads the words behind `@@@ `.
    pub(super) fn section(&mut self, words: &str) -> Section {
        let (name, rest) = words.split_once(' ').unwrap_or((words, ""));
        match name {
            "arch" => {
                self.arch = Some(rest.trim().to_owned());
                Section::Tool
            }
            "tool" => Section::Tool,
            "partitions" => Section::Partitions,
            "irqs" => Section::Irqs,
            "symbols" => Section::Symbols,
            _ => Section::Unknown,
        }
    }

    /// Takes a line of a section; `None` for one that is not of its form.
    pub(super) fn line(&mut self, section: Section, text: &str) -> Option<()> {
        match section {
            Section::Partitions => self.partition(text),
            Section::Irqs => {
                let (path, name) = text.split_once(':')?;
                let irq = path.strip_suffix("/actions")?.rsplit('/').next()?;
                if !name.trim().is_empty() {
                    self.irqs.insert(irq.to_owned(), name.trim().to_owned());
                }
                Some(())
            }
            Section::Symbols => {
                self.symbols(text);
                Some(())
            }
            Section::Tool | Section::Unknown => None,
        }
    }

    /// ` 254        0  268435456 vda`, below a header and an empty line.
    fn partition(&mut self, text: &str) -> Option<()> {
        let mut fields = text.split_ascii_whitespace();
        let Some(first) = fields.next().filter(|first| *first != "major") else { return Some(()) };
        let (major, minor) = (first.parse().ok()?, fields.next()?.parse().ok()?);
        let name = fields.nth(1)?;
        self.devices.insert((major, minor), name.to_owned());
        Some(())
    }

    /// `{ 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }` in the format's `print fmt`.
    fn symbols(&mut self, text: &str) {
        for pair in text.split('{').skip(1) {
            let Some((number, rest)) = pair.split_once(',') else { continue };
            let Some(name) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
            else {
                continue;
            };
            if number.trim().parse::<u64>().is_ok() {
                self.symbols.insert(number.trim().to_owned(), name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_tells() {
        let mut host = Host::default();
        assert_eq!(host.section("arch aarch64"), Section::Tool);
        assert_eq!(host.arch.as_deref(), Some("aarch64"));
        for line in ["major minor  #blocks  name", "", " 254        0  268435456 vda"] {
            assert_eq!(host.line(Section::Partitions, line), Some(()), "{line}");
        }
        assert_eq!(host.devices[&(254, 0)], "vda");
        assert_eq!(host.line(Section::Irqs, "/sys/kernel/irq/31/actions:virtio0-stats"), Some(()));
        assert_eq!(host.irqs["31"], "virtio0-stats");
        let format = r#"print fmt: "%s", __print_symbolic(REC->reason, { 2, "NOT_SPECIFIED" }, { 3, "NO_SOCKET" }, { X, "Y" })"#;
        assert_eq!(host.line(Section::Symbols, format), Some(()));
        assert_eq!((host.symbols.len(), host.symbols["3"].as_str()), (2, "NO_SOCKET"));
        for (section, bad) in
            [(Section::Partitions, "254 x"), (Section::Irqs, "31 virtio"), (Section::Tool, "x")]
        {
            assert_eq!(host.line(section, bad), None, "{bad}");
        }
    }
}
