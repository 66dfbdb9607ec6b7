//! `init`: a configuration to begin with, every setting in a comment, and the list of hosts that is there already.
//! What it writes is checked before it is there, and a file that is there already is never touched.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf, absolute};

use anyhow::{Context as _, Result};
use serde_json::json;

use crate::cli::failure::Usage;
use crate::cli::{Context, Exit};
use crate::config::{self, Settings, Sources};
use crate::inventory::ansible::{Ansible, further_labels};
use crate::render::{Lines, counted, escape};

/// The example is the manual of what can be set: all of it, behind comments.
const EXAMPLE: &str = include_str!("../../../config.example.toml");

/// Where the lists of hosts go: before the first comment about them.
const MARK: &str = "# Hosts that other programs keep lists of;";

/// Write a configuration to begin with
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file is that of --config, else /etc/dropsonde/config.toml for root and ~/.config/dropsonde/config.toml for anybody \
else. One that is there is never overwritten. A list of hosts is read once, so that its faults show now.

Examples:
  dropsonde init --dry-run                                   print it, write nothing
  dropsonde init --from-ansible inventories/production
  dropsonde init --from-ssh-config
  dropsonde init --from-http-sd https://inventory.example.net/targets")]
pub struct Init {
    /// An Ansible inventory: a file, a program or a folder; several add up
    #[arg(long, value_name = "PATH")]
    from_ansible: Vec<PathBuf>,
    /// The hosts that an ssh_config names [default: those that ssh reads]
    #[arg(long, value_name = "PATH", num_args = 0..=1)]
    from_ssh_config: Option<Option<PathBuf>>,
    /// Where a list of targets is, as Prometheus's http_sd_config has it
    #[arg(long, value_name = "URL")]
    from_http_sd: Option<String>,
    /// Print what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Init {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let sources = context.sources()?;
        let path = place(&sources)?;
        if !self.dry_run && path.symlink_metadata().is_ok() {
            let shown = path.display();
            return Err(Usage(format!(
                "{shown} is there already, and is not overwritten; --dry-run prints what would be written, --config \
                 names another file"
            ))
            .into());
        }
        let plain = self.text(&[])?;
        let settings = checked(&plain, &sources)?;
        let text = match self.from_ansible.is_empty() {
            true => plain,
            false => self.text(&further_labels(&self.ansible(&sources)?)?)?,
        };
        if !self.dry_run {
            write(&path, &text, self.mode())?;
        }
        self.tell(context, &path, &text, &settings)?;
        Ok(Exit::Good)
    }

    /// Nobody else's to read where the address may hold a secret.
    fn mode(&self) -> u32 {
        match &self.from_http_sd {
            Some(url) if may_hold_secret(url) => 0o600,
            _ => 0o644,
        }
    }

    /// The example with the lists of hosts in force. `labels` are what else of Ansible's could be labels.
    fn text(&self, labels: &[String]) -> Result<String> {
        let mut lists = String::new();
        if !self.from_ansible.is_empty() {
            let paths = self.from_ansible.iter().map(|path| quoted(path)).collect::<Result<Vec<_>>>()?;
            lists.push_str(&section("ansible", &[("paths", &format!("[{}]", paths.join(", ")))]));
            if !labels.is_empty() {
                let quoted: Vec<String> = labels.iter().map(|label| json!(label).to_string()).collect();
                lists.push_str(
                    "# Variables of its hosts that could be labels, besides those that are by themselves.\n",
                );
                lists.push_str(&format!("#labels = [{}]\n", quoted.join(", ")));
            }
            lists.push('\n');
        }
        if let Some(path) = &self.from_ssh_config {
            let paths = path.as_ref().map(|path| quoted(path)).transpose()?;
            let lines = paths.iter().map(|paths| ("paths", paths.as_str())).collect::<Vec<_>>();
            lists.push_str(&section("ssh_config", &lines));
            lists.push('\n');
        }
        if let Some(url) = &self.from_http_sd {
            lists.push_str(&section("http_sd", &[("url", &json!(url).to_string())]));
            lists.push('\n');
        }
        let at = EXAMPLE.find(MARK).context("the example has no place for lists of hosts; this is a bug")?;
        let mut text = format!("{}{lists}{}", &EXAMPLE[..at], &EXAMPLE[at..]);
        // What a file of its own says of its hosts counts only if it is one of those that are asked.
        if let Some(Some(path)) = &self.from_ssh_config
            && let Some(line) = text.lines().find(|line| line.starts_with("#ssh_config = "))
        {
            text = text.replacen(line, &format!("ssh_config = [{}]", quoted(path)?), 1);
        }
        Ok(text)
    }

    fn ansible(&self, sources: &Sources) -> Result<Ansible> {
        let home = sources.environment.get("HOME").filter(|home| home.starts_with('/'));
        Ok(Ansible {
            paths: self.from_ansible.iter().map(|path| whole(path)).collect::<Result<_>>()?,
            home: home.map(PathBuf::from),
            ..Ansible::default()
        })
    }

    fn tell(&self, context: &Context, path: &Path, text: &str, settings: &Settings) -> Result<()> {
        let hosts = settings.fleet.hosts.len();
        if context.global.json {
            return context.print_json(&json!({
                "schema": 1,
                "path": path,
                "written": !self.dry_run,
                "hosts": hosts,
                "text": text,
            }));
        }
        let (shown, hosts) = (path.display(), counted(hosts, "host"));
        if self.dry_run {
            context.print(text)?;
            context.remark(&format!("dropsonde: {shown} would be written, with {hosts}"));
        } else {
            context.print(&format!("wrote {shown}, with {hosts}\n"))?;
            if self.mode() == 0o600 {
                context.remark(
                    "dropsonde: only its owner can read it (0600), for the address of --from-http-sd may hold a secret",
                );
            }
            let program = super::doctor::program(context);
            context.remark(&format!(
                "dropsonde: next: {program} hosts, {program} hosts trust, {program} doctor"
            ));
        }
        super::hosts::remark_refusals(context, &settings.fleet.hosts);
        for remark in settings.inventories.iter().flat_map(|one| &one.wanted.remarks) {
            context.remark(&format!("dropsonde: {}", escape(&remark.to_string(), Lines::Single)));
        }
        Ok(())
    }
}

/// The file to write.
fn place(sources: &Sources) -> Result<PathBuf> {
    if let Some(path) = &sources.config {
        return whole(path);
    }
    let variable = |name: &str| sources.environment.get(name).filter(|value| value.starts_with('/'));
    let home = || variable("HOME").map(|home| Path::new(home).join(".config"));
    let folder = match rustix::process::geteuid().is_root() {
        true => sources.system.etc.clone(),
        false => {
            let base = variable("XDG_CONFIG_HOME").map(PathBuf::from).or_else(home);
            base.context("HOME is not set; name the file with --config")?.join("dropsonde")
        }
    };
    Ok(folder.join("config.toml"))
}

fn whole(path: &Path) -> Result<PathBuf> {
    absolute(path).with_context(|| format!("find {}", path.display()))
}

/// A path as TOML writes it: JSON's strings are TOML's, too.
fn quoted(path: &Path) -> Result<String> {
    let path = whole(path)?;
    let text = path.to_str().ok_or_else(|| Usage(format!("{} is not UTF-8", path.display())))?;
    Ok(json!(text).to_string())
}

fn section(kind: &str, lines: &[(&str, &str)]) -> String {
    let lines: String = lines.iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
    format!("[[inventory]]\nname = \"{}\"\nkind = \"{kind}\"\n{lines}", kind.replace('_', "-"))
}

/// Whether an address has a part that is written for those who know it: a login, a query, or a long word in its
/// path.
fn may_hold_secret(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.contains(['@', '?', '#']) || rest.split('/').skip(1).any(|word| word.len() >= 20)
}

/// A fault of what a flag said stands in a file that nobody has: it is put under the flag.
fn under_flags(mut faults: config::Faults, text: &str, written: &Path) -> config::Faults {
    for fault in &mut faults.0 {
        let Some(rest) = fault.place.file.strip_prefix(&*written.to_string_lossy()) else { continue };
        // Where the line may hold a secret, its number is all that the fault has of it.
        let line = match rest.strip_prefix(':') {
            Some(line) => line.parse().ok(),
            None => fault.place.line_column().map(|(line, _)| line),
        };
        let before = text.lines().take(line.unwrap_or_default());
        let kinds = before.filter_map(|line| line.strip_prefix("kind = \"")?.strip_suffix('"'));
        if let Some(kind) = kinds.last() {
            fault.place = config::Place::whole(format!("--from-{}", kind.replace('_', "-")));
        }
    }
    faults
}

/// Loads what would be written, as any verb would, out of a folder of its own.
fn checked(text: &str, sources: &Sources) -> Result<Settings> {
    let folder = std::env::temp_dir().join(format!("dropsonde-init.{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&folder).with_context(|| format!("make {}", folder.display()))?;
    let path = folder.join("config.toml");
    let loaded = fs::write(&path, text).map_err(anyhow::Error::new).and_then(|()| {
        let sources = Sources { config: Some(path.clone()), fresh: true, ..sources.clone() };
        config::load(&sources).map_err(|faults| under_flags(faults, text, &path).into())
    });
    let removed = fs::remove_dir_all(&folder).with_context(|| format!("remove {}", folder.display()));
    let settings = loaded?;
    removed?;
    Ok(settings)
}

/// There whole or not at all, and never in the place of another.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    let temporary = folder.join(format!(".config.toml.{}", std::process::id()));
    let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary);
    let mut file = made.with_context(|| format!("make {}", temporary.display()))?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    // A link fails where there is a file, a rename would replace it.
    let linked = written.and_then(|()| fs::hard_link(&temporary, path));
    fs::remove_file(&temporary).with_context(|| format!("remove {}", temporary.display()))?;
    linked.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => Usage(format!("{} is there already", path.display())).into(),
        _ => anyhow::Error::new(error).context(format!("write {}", path.display())),
    })
}
