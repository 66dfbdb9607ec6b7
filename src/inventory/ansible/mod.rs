//! Ansible's inventories as `ansible-inventory --list` reads them: INI and YAML files, programs that print
//! JSON, folders of all these, and the variables of `group_vars/` and `host_vars/`. Templates are not
//! evaluated and vaults not opened: where one says how a host is reached, the host is refused by name.

mod arguments;
mod hosts;
mod ini;
mod literal;
mod model;
mod pattern;
mod privilege;
mod read;
mod script;
mod vars;
mod ways;
mod words;
mod yaml_file;

use super::text::Cap;

pub(super) use read::found;
pub use read::{Ansible, further_labels, listing};
pub(super) use vars::document;

/// The most that is read of one inventory file.
const FILE_CAP: Cap =
    Cap { bytes: 64 << 20, shown: "64MiB", help: "ranges such as web[001:999] say much in little" };

/// The most that is read of one file of variables.
const VARS_CAP: Cap = Cap {
    bytes: 16 << 20,
    shown: "16MiB",
    help: "only variables about the connection and labels matter here",
};

/// The variables that become labels unless somebody says which: what hosts have in common, and no secret.
pub const USUAL_LABELS: [&str; 29] = [
    "application",
    "availability_zone",
    "az",
    "cluster",
    "country",
    "customer",
    "data_center",
    "datacenter",
    "dc",
    "env",
    "environment",
    "hardware",
    "instance_type",
    "location",
    "model",
    "os",
    "platform",
    "product",
    "project",
    "rack",
    "region",
    "role",
    "service",
    "site",
    "stage",
    "team",
    "tier",
    "vendor",
    "zone",
];
