//! One test crate: what needs processes, sockets or the built binary.
// Helper functions of tests are tests, too: the attribute says so to clippy.

#[cfg(test)]
mod agree;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod chaos;
#[cfg(test)]
mod comparison;
#[cfg(test)]
mod config;
#[cfg(test)]
mod contract;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod demo_fleet;
#[cfg(test)]
mod demo_parse;
#[cfg(test)]
mod demo_past;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod ftrace;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod hosts;
#[cfg(test)]
mod house;
#[cfg(test)]
mod incident;
#[cfg(test)]
mod inventories;
#[cfg(test)]
mod keeping;
#[cfg(test)]
mod known_hosts;
#[cfg(test)]
mod lenses;
#[cfg(test)]
mod library;
#[cfg(test)]
mod local;
#[cfg(test)]
mod needs;
#[cfg(test)]
mod nodeset_oracle;
#[cfg(test)]
mod offline_verbs;
#[cfg(test)]
mod parse_garbage;
#[cfg(test)]
mod perf;
mod permissions;
#[cfg(test)]
mod probe_docs;
#[cfg(test)]
mod probes;
#[cfg(test)]
mod report;
#[cfg(test)]
mod scipy_oracle;
#[cfg(test)]
mod served;
#[cfg(test)]
mod ssh;
#[cfg(test)]
mod ssh_config;
#[cfg(test)]
mod sshfp;
#[cfg(test)]
mod store;
mod support;
#[cfg(test)]
mod sweep;
#[cfg(test)]
mod tools;
#[cfg(test)]
mod tracing;
#[cfg(test)]
mod unattended;
#[cfg(test)]
mod verbs;
#[cfg(test)]
mod watch;
#[cfg(test)]
mod writing_probes;
