//! The house rules, held by machine: what may import what, what a file looks like, what the crate
//! may depend on, that the papers tell the truth. It measures no behaviour.

mod dependencies;
mod files;
mod floors;
mod papers;
mod rust;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A file of the project: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

/// Every file below `folder` whose name ends so, in the order of their paths.
fn sources(folder: &str, extension: &str) -> Vec<Source> {
    let mut files = Vec::new();
    walk(&Path::new(ROOT).join(folder), &mut files);
    files.sort();
    let wanted = files.into_iter().filter(|file| file.extension().is_some_and(|it| it == extension));
    wanted.map(|file| Source { path: relative(&file), text: read(&file) }).collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn relative(path: &Path) -> String {
    path.strip_prefix(ROOT).unwrap().to_str().unwrap().to_owned()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Fails with one line for each thing that is wrong.
#[track_caller]
fn none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
