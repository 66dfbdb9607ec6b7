//! A machine in a folder: what configuration is looked for in, and nothing of the real one.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use dropsonde::config::{Flag, Settings, Sources, System, load};

/// The machine-wide configuration file.
pub const CONFIG: &str = "etc/config.toml";

/// A folder that stands for the whole machine: home, /etc and /usr/share.
pub struct Machine {
    pub root: tempfile::TempDir,
    pub environment: BTreeMap<String, String>,
    flags: Vec<Flag>,
    config: Option<PathBuf>,
}

impl Machine {
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let home = root.path().join("home").display().to_string();
        let environment = [("HOME", home.as_str()), ("USER", "ann")];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Self { root, environment, flags: Vec::new(), config: None }
    }

    pub fn file(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    pub fn flag(mut self, name: &str, key: &str, value: &str) -> Self {
        let [name, key, value] = [name, key, value].map(str::to_owned);
        self.flags.push(Flag { name, key, value });
        self
    }

    pub fn config(mut self, path: &str) -> Self {
        self.config = Some(self.path(path));
        self
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn sources(&self) -> Sources {
        Sources {
            config: self.config.clone(),
            state: None,
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            system: System { etc: self.path("etc"), vendor: self.path("share") },
            fresh: false,
        }
    }

    pub fn load(&self) -> Settings {
        load(&self.sources()).unwrap_or_else(|faults| panic!("{faults}"))
    }

    /// The faults, one a line, paths below the machine's root.
    pub fn faults(&self) -> String {
        let faults = load(&self.sources()).expect_err("nothing is wrong");
        faults.to_string().replace(&format!("{}/", self.root.path().display()), "")
    }
}
