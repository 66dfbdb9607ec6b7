//! What the crate is built from: licences that let everybody use it, one crypto backend, the crates
//! registry as the only source. `deny.toml` is the list; cargo-deny, where it is installed, adds the
//! advisories, which need a network.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{ROOT, none, read};

fn toml(name: &str) -> toml::Table {
    read(&Path::new(ROOT).join(name)).parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn strings<'a>(table: &'a toml::Table, path: [&str; 2]) -> Vec<&'a str> {
    let list = table[path[0]][path[1]].as_array().unwrap();
    list.iter().map(|item| item.as_str().or_else(|| item["crate"].as_str()).unwrap()).collect()
}

/// What is built on this machine, as cargo says.
fn metadata() -> Value {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Every package of the lock file, for all platforms: name, version, source.
fn locked() -> Vec<(String, String, Option<String>)> {
    let lock = toml("Cargo.lock");
    let field =
        |package: &toml::Value, name: &str| package.get(name).map(|it| it.as_str().unwrap().to_owned());
    let packages = lock["package"].as_array().unwrap().iter();
    packages
        .map(|it| (field(it, "name").unwrap(), field(it, "version").unwrap(), field(it, "source")))
        .collect()
}

/// Whether an SPDX expression can be met with `allowed` alone. `/` is the old way to write OR.
fn is_met(expression: &str, allowed: &[&str]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let joined = spaced.replace(" WITH ", "\u{1}");
    let words: Vec<String> = joined.split_whitespace().map(|word| word.replace('\u{1}', " WITH ")).collect();
    let mut rest = words.iter().map(String::as_str).collect::<Vec<_>>();
    rest.reverse();
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(rest: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut met = all(rest, allowed);
    while rest.last() == Some(&"OR") {
        rest.pop();
        // Not `||`: what stands behind it must be read in any case.
        met |= all(rest, allowed);
    }
    met
}

fn all(rest: &mut Vec<&str>, allowed: &[&str]) -> bool {
    let mut met = one(rest, allowed);
    while rest.last() == Some(&"AND") {
        rest.pop();
        met &= one(rest, allowed);
    }
    met
}

fn one(rest: &mut Vec<&str>, allowed: &[&str]) -> bool {
    match rest.pop() {
        Some("(") => {
            let met = any(rest, allowed);
            rest.pop() == Some(")") && met
        }
        Some(licence) => allowed.contains(&licence),
        None => false,
    }
}

#[test]
fn every_licence_is_allowed_and_every_allowed_one_is_there() {
    let deny = toml("deny.toml");
    let allowed = strings(&deny, ["licenses", "allow"]);
    let metadata = metadata();
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].as_str().unwrap())
        .collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    let built: Vec<&Value> = packages.filter(|it| used.contains(it["id"].as_str().unwrap())).collect();
    assert!(built.len() > 100, "{} packages", built.len());
    let licence = |package: &Value| package["license"].as_str().unwrap_or("none").to_owned();
    let bad = built.iter().filter(|package| !is_met(&licence(package), &allowed));
    none(&bad.map(|package| format!("{}: {}", package["name"], licence(package))).collect::<Vec<_>>());
    for allowed in allowed {
        let needed = built.iter().any(|package| licence(package).contains(allowed));
        assert!(needed, "deny.toml allows {allowed}, which nothing needs");
    }
}

#[test]
fn an_expression_is_met_or_not() {
    let check = |expression: &str, expected: bool| {
        assert_eq!(
            is_met(expression, &["MIT", "Apache-2.0", "ISC", "GPL-2.0 WITH Bison"]),
            expected,
            "{expression}"
        );
    };
    check("MIT", true);
    check("GPL-3.0", false);
    check("GPL-3.0 OR MIT", true);
    check("MIT OR GPL-3.0", true);
    check("GPL-3.0/MIT", true);
    check("MIT AND GPL-3.0", false);
    check("(GPL-3.0 OR MIT) AND ISC", true);
    check("(GPL-3.0 OR MIT) AND X", false);
    check("GPL-2.0 WITH Bison", true);
    check("GPL-2.0", false);
    check("", false);
    check("(MIT", false);
}

#[test]
fn one_crypto_backend_and_nothing_that_is_banned() {
    let deny = toml("deny.toml");
    let banned = strings(&deny, ["bans", "deny"]);
    for must in ["openssl", "openssl-sys", "aws-lc-rs", "aws-lc-sys"] {
        assert!(banned.contains(&must), "deny.toml does not ban {must}");
    }
    let locked = locked();
    let found: Vec<String> =
        locked.iter().map(|it| it.0.clone()).filter(|name| banned.contains(&name.as_str())).collect();
    none(&found);
    assert_eq!(locked.iter().filter(|package| package.0 == "ring").count(), 1);
}

#[test]
fn everything_comes_from_the_registry_and_has_a_checksum() {
    let deny = toml("deny.toml");
    assert_eq!(deny["sources"]["unknown-registry"].as_str(), Some("deny"));
    assert_eq!(deny["sources"]["unknown-git"].as_str(), Some("deny"));
    let elsewhere = locked().into_iter().filter(|(name, _, source)| match source {
        None => name != "dropsonde",
        Some(source) => !source.starts_with("registry+"),
    });
    none(&elsewhere.map(|(name, _, source)| format!("{name}: {source:?}")).collect::<Vec<_>>());
    let lock = toml("Cargo.lock");
    let packages = lock["package"].as_array().unwrap().iter();
    let unchecked = packages.filter(|it| it.get("source").is_some() && it.get("checksum").is_none());
    none(&unchecked.map(|it| it["name"].to_string()).collect::<Vec<_>>());
}

#[test]
fn what_talks_to_hosts_and_what_keeps_the_index_is_pinned() {
    let manifest = toml("Cargo.toml");
    let requirement = |name: &str| manifest["dependencies"][name]["version"].as_str().unwrap().to_owned();
    for name in ["russh", "rusqlite"] {
        let pinned = requirement(name);
        let version = pinned.strip_prefix('=').unwrap_or_else(|| panic!("{name} {pinned} is not pinned"));
        assert!(locked().iter().any(|it| it.0 == name && it.1 == version), "{name} {version} is not locked");
    }
    let russh = requirement("russh");
    let numbers: Vec<u32> = russh[1..].split('.').map(|number| number.parse().unwrap()).collect();
    assert!(numbers >= vec![0, 65, 1], "russh {russh} has advisories that 0.65.1 mends");
}
