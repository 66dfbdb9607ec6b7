//! The index: SQLite over the archive. It holds nothing that the archive does not, so it may be deleted
//! at any time; whoever opens the state directory next builds it again. It never answers a question by
//! reading a host's bytes.

mod between;
mod block;
mod catalog;
mod columns;
mod distributions;
mod event;
mod fleet;
mod functions;
mod histogram;
mod keep;
mod numbers;
mod open;
mod panel;
mod pivot;
mod plain;
mod query;
mod read;
mod rows;
mod schema;
mod strike;
mod values;
mod varint;
mod write;

pub use block::CHUNK;
pub use event::{Digested, Event, EventKind};
pub use keep::{Between, Take, baseline_fault, install_baseline, prepare_baseline};
pub use open::{Built, SwapOld, swap};
pub use panel::{Described, Frame};
pub use query::{QueryLimits, Table, Value};
pub use read::Reader;
pub use rows::{
    HistoryPoint, HostHistogram, HostSample, MetricRow, ReadingNumbers, ReadingRow, Series, SweepRow,
};
pub use strike::StrikeRow;
pub use write::{Mark, Writer};
