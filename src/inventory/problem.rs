//! What can be wrong with an inventory.

use crate::model::{BadName, HostName};
use crate::select::SelectError;

/// One thing that is wrong; numbers are indices into the blocks or groups that were given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A block's names are no node set.
    Names {
        block: usize,
        error: SelectError,
    },
    /// A node set makes a name that cannot be a host's.
    HostName {
        block: usize,
        bad: BadName,
    },
    /// One address for several hosts.
    SharedAddress {
        block: usize,
        hosts: usize,
    },
    /// An address that is neither a name nor an IP address.
    Address {
        block: usize,
        host: HostName,
        address: String,
    },
    /// Hosts that two blocks name, or one block twice.
    Duplicate {
        names: Vec<String>,
        first: usize,
        second: usize,
    },
    /// All blocks together have too many hosts.
    TooMany {
        block: usize,
        hosts: usize,
        max: usize,
    },
    GroupName {
        group: usize,
    },
    /// A group's expression.
    Group {
        group: usize,
        error: SelectError,
    },
    /// Groups that need groups that need groups, and so on.
    TooDeep {
        group: usize,
        max: usize,
    },
    /// Groups that need each other, each the next and the last the first.
    Cycle {
        groups: Vec<usize>,
    },
}

impl Problem {
    /// Whether it is about a name that would be right if something else were there.
    pub(super) fn is_unknown_name(&self) -> bool {
        use SelectError::{UnknownGroup, UnknownHost, UnknownLabel};
        match self {
            Self::Group { error, .. } => {
                matches!(error, UnknownHost { .. } | UnknownGroup { .. } | UnknownLabel { .. })
            }
            _ => false,
        }
    }
}
