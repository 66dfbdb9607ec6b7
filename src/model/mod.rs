//! The nouns: plain data that every floor above shares. This module does no I/O, has no clock and
//! formats nothing for a person.

mod alert;
mod condition;
mod host;
mod name;
mod need;
mod outcome;
mod probe;
mod quantity;
mod reading;
mod sample;
mod ssh;
mod sweep;
mod tick;
mod time;

pub use alert::{OwnAlert, OwnAlertFacts, Severity};
pub use condition::{Comparison, Condition, Threshold};
pub use host::{Host, Labels, Reach, RootBy};
pub use name::{BadName, HostName, ProbeName, SweepId};
pub use need::{Bound, Capability, Need, Versioned};
pub use outcome::Outcome;
pub use probe::{Cost, Format, Judging, Kind, Measured, MetricSpec, Privilege, Probe, ProbeHash, Worse};
pub use quantity::{BadQuantity, ByteSize, duration_text, parse_byte_size, parse_duration};
pub use reading::{HostClock, Reading};
pub use sample::{Bucket, Fault, Histogram, LabelPairs, Parsed, Sample, Span, Total};
pub use ssh::{
    AddressFamily, Agent, AlgorithmList, Algorithms, Consult, FirstLines, ListChange, Proxy, Refusal, Said,
    SshOptions, Written,
};
pub use sweep::{Cause, Kept, Plan, PlannedHost, SweepEnd, Trigger};
pub use tick::{Fate, Tick};
pub use time::{CollectorTime, HostTime};
