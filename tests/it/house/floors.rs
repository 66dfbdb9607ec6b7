//! Who may use whom: a module imports from lower floors only, and some crates have one door.

use super::rust::{paths, tokens, without_tests};
use super::{Source, none, sources};

/// The floors of src/, the lowest first.
const FLOORS: [&[&str]; 7] = [
    &["model"],
    &["select", "sshconfig", "wire", "parse", "compare", "render", "schedule"],
    &["config", "inventory", "http", "openssh", "transport", "store", "report"],
    &["collect", "demo", "survey"],
    &["watch"],
    &["daemon"],
    &["cli"],
];

/// The floors that do no I/O, have no clock and no randomness.
const PURE: usize = 1;

/// Those above them that do as little: they only put together what lower floors made.
const PURE_ABOVE: [&str; 1] = ["report"];

/// Neighbours on a floor that may be used: settings hold an inventory, whose lists may be fetched, and are kept
/// as the store keeps its files.
const NEIGHBOURS: [(&str, &str); 5] = [
    ("config", "inventory"),
    ("config", "http"),
    ("inventory", "http"),
    ("inventory", "openssh"),
    ("inventory", "store"),
];

/// What only one module may name.
const DOORS: [(&str, &[&str]); 4] = [
    ("transport", &["russh"]),
    ("store", &["rusqlite"]),
    ("http", &["reqwest", "rustls", "rustls_platform_verifier"]),
    (
        "cli",
        &["clap", "clap_complete", "clap_mangen", "anyhow", "println!", "eprintln!", "print!", "eprint!"],
    ),
];

/// What the pure floors may not name: a path that holds one of these in a row.
const IMPURE: [&[&str]; 16] = [
    &["tokio"],
    &["getrandom"],
    &["rustix"],
    &["std", "env"],
    &["std", "fs"],
    &["std", "net"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "os"],
    &["SystemTime"],
    &["time", "Instant"],
    &["Instant", "now"],
    &["Utc", "now"],
    &["Local", "now"],
    &["io", "stdout"],
    &["io", "stdin"],
];

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// What is wrong with `files`, which are those of src/.
fn check(files: &[Source]) -> Vec<String> {
    let mut tests = Vec::new();
    let mut code = Vec::new();
    for file in files {
        let (kept, test_files) = without_tests(&tokens(&file.text));
        tests.extend(test_files.into_iter().map(|name| beside(&file.path, &name)));
        code.push((file, paths(&kept)));
    }
    let mut wrong = Vec::new();
    for (file, paths) in code.iter().filter(|(file, _)| !tests.contains(&file.path)) {
        let mut found: Vec<String> = paths.iter().filter_map(|path| complaint(&file.path, path)).collect();
        found.sort();
        found.dedup();
        wrong.extend(found.into_iter().map(|what| format!("{}: {what}", file.path)));
    }
    wrong
}

/// Where `mod name;` in `path` finds its file.
fn beside(path: &str, name: &str) -> String {
    let (folder, file) = path.rsplit_once('/').unwrap();
    match file {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/{name}"),
        _ if name.ends_with("_tests.rs") => format!("{folder}/{name}"),
        _ => format!("{folder}/{}/{name}", file.trim_end_matches(".rs")),
    }
}

/// The modules that lead to a file of src/: `["store", "index", "read"]`.
fn modules(path: &str) -> Vec<&str> {
    let inner = path.trim_start_matches("src/").trim_end_matches(".rs");
    let inner = inner.strip_suffix("/mod").unwrap_or(inner);
    if matches!(inner, "lib" | "main") { Vec::new() } else { inner.split('/').collect() }
}

fn complaint(file: &str, path: &[String]) -> Option<String> {
    let home = modules(file);
    let module = home.first().copied();
    let spelled = path.join("::");
    let own = |door: &str| module == Some(door);
    if let Some((door, _)) =
        DOORS.iter().find(|(door, names)| !own(door) && names.contains(&path[0].as_str()))
    {
        return Some(format!("{spelled} is for {door}/ alone"));
    }
    let module = module?;
    let Some(here) = floor(module) else { return Some(format!("{module} has no floor: give it one")) };
    let named = |row: &[&str]| path.windows(row.len()).any(|window| window.iter().eq(row.iter()));
    let pure = here <= PURE || PURE_ABOVE.contains(&module);
    if pure && IMPURE.iter().any(|row| named(row)) {
        return Some(format!("{spelled} on floor {here}, which does no I/O and has no clock"));
    }
    let target = target(&home, path)?;
    let there = floor(target)?;
    let allowed = target == module || there < here || NEIGHBOURS.contains(&(module, target));
    (!allowed).then(|| format!("{spelled} is on floor {there}, {module} on floor {here}"))
}

/// The module right below the crate that a path leads to.
fn target<'a>(home: &[&'a str], path: &'a [String]) -> Option<&'a str> {
    match path[0].as_str() {
        "crate" | "dropsonde" => path.get(1).map(String::as_str),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            let left = home.len().checked_sub(up)?;
            if left == 0 { path.get(up).map(String::as_str) } else { Some(home[0]) }
        }
        _ => None,
    }
}

#[test]
fn modules_import_from_lower_floors_only() {
    let files = sources("src", "rs");
    assert!(files.len() > 100, "{} files: is this src/?", files.len());
    none(&check(&files));
}

#[test]
fn every_module_of_the_crate_has_a_floor() {
    let lib = files_of_lib();
    for module in &lib {
        assert!(floor(module).is_some(), "{module} is on no floor");
    }
    assert_eq!(lib.len(), FLOORS.iter().map(|floor| floor.len()).sum::<usize>(), "{lib:?}");
}

fn files_of_lib() -> Vec<String> {
    let lib = sources("src", "rs").into_iter().find(|file| file.path == "src/lib.rs").unwrap();
    let declared = |line: &str| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned());
    lib.text.lines().filter_map(declared).collect()
}

#[test]
fn what_breaks_the_rules_is_found() {
    let found =
        |path: &str, text: &str| check(&[Source { path: path.to_owned(), text: text.to_owned() }]).join("\n");
    let bad = |path: &str, text: &str, part: &str| {
        let found = found(path, text);
        assert!(found.contains(part), "{path}: {text}: {found:?}");
    };
    let good = |path: &str, text: &str| assert_eq!(found(path, text), "", "{path}: {text}");
    bad("src/model/host.rs", "use crate::store::Reader;", "crate::store::Reader is on floor 2");
    bad("src/wire/a.rs", "use crate::{model::Host, config::{self, Limits}};", "crate::config::Limits");
    bad("src/render/a.rs", "fn f() { crate::cli::run() }", "crate::cli::run");
    bad("src/render/a.rs", "fn f() { super::super::store::open() }", "super::super::store::open");
    bad("src/store/index/a.rs", "use super::super::super::collect::Caps;", "collect::Caps");
    bad("src/store/a.rs", "use crate::transport::ssh;", "is on floor 2, store on floor 2");
    bad("src/parse/a.rs", "use crate::render::units;", "floor 1");
    bad("src/collect/a.rs", "macro_rules! m { () => { crate::cli::x() } }", "crate::cli::x");
    bad("src/collect/a.rs", "use russh::client;", "for transport/ alone");
    bad("src/cli/a.rs", "fn f() -> rusqlite::Result<()> {}", "for store/ alone");
    bad("src/store/a.rs", "fn f() { println!(\"x\") }", "for cli/ alone");
    bad("src/config/a.rs", "use anyhow::Result;", "for cli/ alone");
    bad("src/main.rs", "fn f() { eprintln!() }", "for cli/ alone");
    bad("src/select/a.rs", "use std::{fmt, fs::File};", "std::fs::File on floor 1");
    bad("src/wire/a.rs", "let t = std::time::Instant::now();", "no clock");
    bad("src/model/a.rs", "fn f() { chrono::Utc::now() }", "no clock");
    bad("src/parse/a.rs", "use tokio::time;", "does no I/O");
    bad("src/report/a.rs", "use std::fs::File;", "does no I/O");
    bad("src/report/a.rs", "use crate::store::Reader;", "is on floor 2, report on floor 2");
    bad("src/parse/a.rs", "let c = 'a'; let s = \"\\\"\"; std::env::var(s);", "std::env::var");
    bad("src/parse/a.rs", "let s = r#\"\"\"#; std::process::exit(1);", "std::process::exit");
    bad("src/parse/a.rs", "fn f<'a>(x: &'a str) { std::net::f(x) }", "std::net::f");
    bad("src/parse/a.rs", "#[cfg(test)]\nmod t { use std::fs; }\nuse std::net;", "std::net");
    bad("src/attic/a.rs", "use crate::model;", "attic has no floor");
    good("src/parse/a.rs", "// use std::fs;\n/* crate::cli /* x */ */ let s = \"std::fs\";");
    good("src/parse/a.rs", "#[cfg(test)]\nmod tests { use std::fs; use crate::config; }");
    good("src/store/a.rs", "use rusqlite::Row; use crate::model::Host; use super::archive;");
    good("src/config/a.rs", "use crate::inventory::Fleet; use crate::select;");
    good("src/transport/ssh/a.rs", "use russh::Error; use super::super::known_hosts; use std::net;");
    good("src/cli/a.rs", "use anyhow::Result; fn f() { eprintln!(\"{}\", crate::store::X) }");
}

#[test]
fn a_file_of_tests_may_use_what_it_likes() {
    let file = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let helper = "use crate::config;";
    let named =
        [file("src/parse/mod.rs", "#[cfg(test)]\nmod testing;"), file("src/parse/testing.rs", helper)];
    none(&check(&named));
    let placed = "#[cfg(test)]\n#[path = \"json_tests.rs\"]\nmod tests;";
    none(&check(&[file("src/render/json.rs", placed), file("src/render/json_tests.rs", helper)]));
    assert_eq!(check(&[file("src/parse/testing.rs", helper)]).len(), 1);
}
