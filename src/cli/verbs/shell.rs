//! `completions` and `man`: the command line described for shells and for `man`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap_complete::Shell;

use crate::cli::{Context, Exit, args};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub struct Completions {
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    pub fn run(self, context: &Context) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut args::command(), "dropsonde", &mut script);
        context.out().write_all(&script).context("write to stdout")?;
        Ok(Exit::Good)
    }
}

/// Print the manual page, or write one for each verb
#[derive(Debug, clap::Args)]
pub struct Man {
    /// Write dropsonde.1, dropsonde-sweep.1 and so on into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Man {
    pub fn run(self, context: &Context) -> Result<Exit> {
        match self.out {
            Some(folder) => {
                clap_mangen::generate_to(args::command(), &folder)
                    .with_context(|| format!("write manual pages into {}", folder.display()))?;
            }
            None => clap_mangen::Man::new(args::command())
                .render(&mut context.out())
                .context("write to stdout")?,
        }
        Ok(Exit::Good)
    }
}
