//! The text of the files a host's kernel would show, as Linux writes them. Nothing here touches a disk.

mod cpu;
mod facts;
mod interrupts;
mod io;
mod log;
mod memory;
mod network;
mod tasks;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};

use crate::model::CollectorTime;

use super::host::HostModel;

/// A file of a host's tree: `proc/stat`, `sys/class/net/eth0/mtu`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    pub path: String,
    pub text: String,
}

impl TreeFile {
    fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self { path: path.into(), text: text.into() }
    }
}

impl HostModel {
    /// What moves: every file whose text depends on the moment. The same time gives the same bytes.
    pub fn moving_files(&self, time: CollectorTime) -> Vec<TreeFile> {
        let moment = self.at(time);
        let mut files = Vec::with_capacity(64);
        cpu::files(&moment, &mut files);
        interrupts::files(&moment, &mut files);
        tasks::files(&moment, &mut files);
        memory::files(&moment, &mut files);
        io::files(&moment, &mut files);
        network::files(&moment, &mut files);
        files
    }

    /// What stays from one boot to the next, as of the boot before `time`.
    pub fn fixed_files(&self, time: CollectorTime) -> Vec<TreeFile> {
        facts::files(&self.at(time))
    }

    /// The kernel's log, which is in no file: `dmesg` reads it elsewhere.
    pub(super) fn kernel_log(&self, time: CollectorTime) -> String {
        log::text(&self.at(time))
    }

    /// Symbolic links of the tree, as (path, target).
    pub fn links(&self) -> Vec<(String, String)> {
        facts::links(self)
    }
}

/// A counter of whole units: rounded down, as a kernel counts what is complete.
fn whole(value: f64) -> u64 {
    value.max(0.0) as u64
}

/// A text made of lines. Writing into a `String` cannot fail, which is said once, here.
#[derive(Default)]
struct Lines(String);

impl Lines {
    fn line(&mut self, line: fmt::Arguments<'_>) {
        if self.0.write_fmt(line).is_ok() {
            self.0.push('\n');
        }
    }

    /// A header of names and a line of values, as /proc/net/snmp has them.
    fn table(&mut self, title: &str, cells: &[(&str, u64)]) {
        let join =
            |cell: &dyn Fn(&(&str, u64)) -> String| cells.iter().map(cell).collect::<Vec<_>>().join(" ");
        self.line(format_args!("{title}: {}", join(&|c| c.0.to_owned())));
        self.line(format_args!("{title}: {}", join(&|c| c.1.to_string())));
    }
}

/// Numbers with spaces between.
fn spaced(values: impl IntoIterator<Item = u64>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
