//! What every verb has at hand: the options, the settings, and where to write.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use tracing::level_filters::LevelFilter;

use super::args::Global;
use super::failure::{BadSelector, Usage};
use super::logging::{self, Logging, Usual};
use crate::config::{self, Flag, Settings, Sources};
use crate::model::Host;
use crate::openssh::{self, Machine};
use crate::render::{Lines, Style, escape};
use crate::select::Selector;
use crate::store::index::Reader;

/// Options, settings (loaded at first use) and the two streams' styles.
#[derive(Debug)]
pub struct Context {
    pub global: Global,
    out_style: Style,
    err_style: Style,
    settings: OnceCell<Settings>,
}

impl Context {
    pub(super) fn new(global: Global) -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            global,
            out_style: style(&io::stdout(), plain),
            err_style: style(&io::stderr(), plain),
            settings: OnceCell::new(),
        }
    }

    pub fn out_style(&self) -> &Style {
        &self.out_style
    }

    pub fn err_style(&self) -> &Style {
        &self.err_style
    }

    /// Whether a person looks at stderr while the verb runs.
    pub fn shows_progress(&self) -> bool {
        !self.global.quiet && io::stderr().is_terminal()
    }

    /// Locked and buffered. Errors come back as such: a full disk must not look like success.
    pub fn out(&self) -> BufWriter<StdoutLock<'static>> {
        BufWriter::new(io::stdout().lock())
    }

    /// Writes `text` to stdout.
    pub fn print(&self, text: &str) -> Result<()> {
        let mut out = self.out();
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("write to stdout")
    }

    /// Writes one JSON value to stdout.
    pub fn print_json(&self, value: &impl serde::Serialize) -> Result<()> {
        let mut line = crate::render::json::to_line(value).context("write JSON")?;
        line.push('\n');
        self.print(&line)
    }

    /// A remark on stderr; not with `--quiet`.
    pub fn remark(&self, text: &str) {
        if !self.global.quiet {
            self.tell(&format!("{text}\n"));
        }
    }

    /// Writes `text` to stderr. That its reader has gone (`2>&1 | head`) is no reason to stop a sweep, so
    /// it is not `eprint!`, which would panic.
    pub fn tell(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }

    /// The checked configuration.
    pub fn settings(&self) -> Result<&Settings> {
        if let Some(settings) = self.settings.get() {
            return Ok(settings);
        }
        let settings = config::load(&self.sources()?)?;
        for trouble in settings.inventories.iter().filter_map(|inventory| inventory.answer.trouble()) {
            self.tell(&format!("dropsonde: {}\n", escape(&trouble, Lines::Single)));
        }
        Ok(self.settings.get_or_init(|| settings))
    }

    /// What the configuration is made from.
    pub fn sources(&self) -> Result<Sources> {
        let flag = |setting: &String| {
            let (key, value) = setting.split_once('=').ok_or_else(|| {
                Usage(format!("--set {setting}: expected KEY=VALUE, as in --set limits.concurrency=64"))
            })?;
            Ok(Flag { name: "--set".to_owned(), key: key.trim().to_owned(), value: value.trim().to_owned() })
        };
        let flags = self.global.settings.iter().map(flag).collect::<Result<_, Usage>>()?;
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let mut environment: BTreeMap<String, String> = env::vars_os().filter_map(utf8).collect();
        // What starts programs without a login, as cron jobs and containers are, may set neither.
        if ["USER", "LOGNAME"].iter().all(|name| environment.get(*name).is_none_or(String::is_empty)) {
            environment.extend(openssh::login_name().map(|name| ("USER".to_owned(), name)));
        }
        Ok(Sources {
            config: self.global.config.clone(),
            state: self.global.state.clone(),
            flags,
            environment,
            ..Sources::default()
        })
    }

    /// The hosts that `selector` names, in the order of the inventory. None at all is an error: a
    /// sweep of nothing that looks like success hides a slip.
    pub fn select(&self, selector: &str) -> Result<Vec<&Host>> {
        let fleet = &self.settings()?.fleet;
        let bad = |error| BadSelector { text: selector.to_owned(), error };
        let parsed = Selector::parse(selector).map_err(bad)?;
        let catalog = fleet.catalog();
        let chosen = parsed.select(&catalog).map_err(bad)?;
        if fleet.hosts.is_empty() {
            let hint = "the configuration names no host: add [[hosts]] names = \"…\" or an [[inventory]]; see config.example.toml";
            return Err(Usage(hint.to_owned()).into());
        }
        if chosen.is_empty() {
            let near: Vec<String> =
                parsed.idle_terms(&catalog).map_err(bad)?.into_iter().flat_map(|term| term.nearest).collect();
            let why = if near.is_empty() {
                String::new()
            } else {
                format!("; did you mean {}?", near.join(" or "))
            };
            return Err(Usage(format!("the selector {selector} names no host of the inventory{why}")).into());
        }
        Ok(chosen.into_iter().map(|index| &fleet.hosts[index]).collect())
    }

    /// As [`Context::select`], with what their ssh_config files say: the hosts as they are connected to.
    pub fn select_settled(&self, selector: &str) -> Result<Vec<Host>> {
        self.settle(self.select(selector)?)
    }

    /// What ssh_config files say of `hosts`.
    pub fn settle<'a>(&self, hosts: impl IntoIterator<Item = &'a Host>) -> Result<Vec<Host>> {
        let hosts: Vec<Arc<Host>> = hosts.into_iter().cloned().map(Arc::new).collect();
        let settled = self.machine()?.settle_all(&hosts);
        Ok(settled.into_iter().map(Arc::unwrap_or_clone).collect())
    }

    /// This machine as its ssh_config files see it.
    pub fn machine(&self) -> Result<Machine> {
        Ok(Machine::new(self.sources()?.environment))
    }

    /// The state directory. Nothing else of the configuration is checked for it, so that what was recorded
    /// can be read while a probe file or a host's entry is broken.
    pub fn state_dir(&self) -> Result<PathBuf> {
        match self.settings.get() {
            Some(settings) => Ok(settings.state_dir.clone()),
            None => Ok(config::state_dir(&self.sources()?)?),
        }
    }

    /// The index of the state directory, read-only.
    pub fn reader(&self) -> Result<Reader> {
        Ok(Reader::open(&self.state_dir()?)?)
    }

    /// Log lines go to stderr, or to the journal that stderr leads to.
    pub(super) fn start_logging(&self, logging: Logging) {
        let usual = match logging.usual {
            Usual::Warnings => LevelFilter::WARN,
            Usual::Events => LevelFilter::INFO,
        };
        let level = match (self.global.quiet, self.global.verbose) {
            (true, _) => LevelFilter::ERROR,
            (false, 0) => usual,
            (false, 1) => usual.max(LevelFilter::INFO),
            (false, _) => LevelFilter::DEBUG,
        };
        logging::start(logging.format, level, self.err_style.color);
    }
}

fn style(stream: &(impl IsTerminal + rustix::fd::AsFd), plain: bool) -> Style {
    let terminal = stream.is_terminal();
    let width = terminal
        .then(|| rustix::termios::tcgetwinsize(stream).ok())
        .flatten()
        .map(|size| usize::from(size.ws_col))
        .filter(|columns| *columns > 0);
    Style { color: terminal && !plain, width }
}
