//! The layers: flag over environment over file over default, and which of them a value came from.
//! Nothing here reads the process's environment: the caller hands it in.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::{Fault, Faults, Place, closest};
use super::reader::Located;
use super::settings::Lines;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: Arc<str>, line: usize },
    Env(String),
    Flag(String),
}

/// Which layer above the defaults a value stands in; with its [`Place`] it makes an [`Origin`]. Apart
/// from it because a line's number costs a look through the file, which only `config show` needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    File,
    Env(String),
    Flag(String),
}

impl Layer {
    /// The place of a value that is not a file's.
    pub fn place(&self, text: &str) -> Place {
        let name = match self {
            Self::File => String::new(),
            Self::Env(name) => Origin::Env(name.clone()).to_string(),
            Self::Flag(name) => Origin::Flag(name.clone()).to_string(),
        };
        Place { file: name.into(), text: text.into(), span: 0..text.len() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// A setting given on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// As the user wrote it: `--concurrency`, `--set`.
    pub name: String,
    /// The setting's key: `limits.concurrency`.
    pub key: String,
    pub value: String,
}

/// The machine-wide folders; passed in so that a test has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct System {
    pub etc: PathBuf,
    pub vendor: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { etc: "/etc/dropsonde".into(), vendor: "/usr/share/dropsonde".into() }
    }
}

/// Everything that settings are made from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<PathBuf>,
    pub flags: Vec<Flag>,
    /// The environment; an empty variable counts as not set.
    pub environment: BTreeMap<String, String>,
    pub system: System,
    /// Whether other programs are asked for their hosts although their last answer is young.
    pub fresh: bool,
}

/// Variables with the program's prefix that name no setting.
const OTHER_VARIABLES: [&str; 3] = ["DROPSONDE_CONFIG", "DROPSONDE_STATE", "DROPSONDE_LOG"];

impl Sources {
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    fn absolute(&self, name: &str) -> Option<PathBuf> {
        // The XDG specification says to ignore a relative path.
        self.variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
    }

    pub(crate) fn home(&self) -> Option<PathBuf> {
        self.absolute("HOME")
    }

    /// Who runs the program.
    pub(crate) fn user(&self) -> Option<(&'static str, &str)> {
        ["USER", "LOGNAME"].into_iter().find_map(|name| Some((name, self.variable(name)?)))
    }

    /// `$XDG_CONFIG_HOME/dropsonde` or `~/.config/dropsonde`.
    pub(crate) fn user_folder(&self) -> Option<PathBuf> {
        let base = self.absolute("XDG_CONFIG_HOME").or_else(|| Some(self.home()?.join(".config")))?;
        Some(base.join("dropsonde"))
    }

    /// The file that was asked for by flag or variable.
    fn named_config(&self) -> Option<PathBuf> {
        self.config.clone().or_else(|| self.variable("DROPSONDE_CONFIG").map(PathBuf::from))
    }

    /// The configuration file to read (one that was asked for need not exist: then that is the
    /// fault), and the folder whose drop-ins count.
    pub(crate) fn locate(&self) -> (Option<PathBuf>, Option<PathBuf>) {
        if let Some(file) = self.named_config() {
            let folder = file.parent().map(Path::to_path_buf);
            return (Some(file), folder);
        }
        let mut folders = self.user_folder().into_iter().chain([self.system.etc.clone()]);
        let found =
            folders.find(|folder| folder.join("config.toml").exists() || folder.join("conf.d").is_dir());
        let Some(folder) = found else { return (None, None) };
        let file = Some(folder.join("config.toml")).filter(|file| file.exists());
        (file, Some(folder))
    }

    /// Where probes are looked for, the first that has a file of that name wins.
    pub(crate) fn probe_folders(&self, beside: Option<&Path>) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let all = beside.map(Path::to_path_buf).into_iter().chain(self.user_folder());
        for folder in all.chain([self.system.etc.clone(), self.system.vendor.clone()]) {
            let folder = folder.join("probes.d");
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The state directory; `file` is what the configuration says.
    pub(crate) fn state_dir(&self, file: Option<Located<PathBuf>>) -> Result<(PathBuf, Origin), Faults> {
        let variable = |name: &str| Some((PathBuf::from(self.variable(name)?), Origin::Env(name.to_owned())));
        // systemd separates several directories with colons; the first is the unit's main one.
        let systemd = || {
            let first = self.variable("STATE_DIRECTORY")?.split(':').next()?;
            Some((PathBuf::from(first), Origin::Env("STATE_DIRECTORY".to_owned())))
        };
        let xdg = || {
            let path = self.absolute("XDG_STATE_HOME")?.join("dropsonde");
            Some((path, Origin::Env("XDG_STATE_HOME".to_owned())))
        };
        let flag = self.state.clone().map(|path| (path, Origin::Flag("--state".to_owned())));
        flag.or_else(|| variable("DROPSONDE_STATE"))
            .or_else(|| file.map(|file| (file.value, Lines::default().origin(&file.place))))
            .or_else(systemd)
            .or_else(xdg)
            .or_else(|| Some((self.home()?.join(".local/state/dropsonde"), Origin::Default)))
            .ok_or_else(|| {
                Fault::new(Place::whole("environment"), "there is no place for the state directory")
                    .expected("--state, DROPSONDE_STATE, `state` in the configuration, or HOME")
                    .into()
            })
    }

    /// Refuses flags for settings that do not exist, and variables that are nearly a setting's: an
    /// unknown one that resembles none is someone else's (an orchestrator makes
    /// DROPSONDE_SERVICE_HOST of a service of that name).
    pub(crate) fn refuse_unknown(&self, keys: &[String], variables: &[String], faults: &mut Faults) {
        const PREFIX: &str = "DROPSONDE_";
        let known = || variables.iter().map(String::as_str).chain(OTHER_VARIABLES);
        for (name, value) in self.environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
            if known().any(|variable| variable == name) {
                continue;
            }
            // Without the prefix: it would make any two of them look alike.
            let near = closest(&name[PREFIX.len()..], known().map(|known| &known[PREFIX.len()..]));
            if let Some(near) = near {
                let place = Layer::Env(name.clone()).place(value);
                let fault = Fault::new(place, format!("unknown environment variable {name}"));
                faults.push(fault.help(format!("did you mean {PREFIX}{near}?")));
            }
        }
        for flag in self.flags.iter().filter(|flag| !keys.contains(&flag.key)) {
            let place = Place::whole(format!("flag {}", flag.name));
            let fault = Fault::new(place, format!("unknown setting `{}`", flag.key));
            let near = closest(&flag.key, keys.iter().map(String::as_str));
            faults.push(fault.maybe_help(near.map(|near| format!("did you mean `{near}`?"))));
        }
    }
}
