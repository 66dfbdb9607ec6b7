//! Ansible's inventories as `ansible-inventory --list` reads them.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dropsonde::inventory::ansible::{Ansible, listing};
use serde_json::{Value, json};

use super::generate;
use super::shapes::SHAPES;

/// What Ansible's own program prints for each list of arguments.
fn oracle(folder: &Path, cases: &[Vec<String>]) -> Vec<Value> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/inventories/oracle.py");
    // Its variables for playbooks are looked for where it runs: there must be none.
    let empty = folder.join("empty");
    fs::create_dir(&empty).unwrap();
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .current_dir(&empty)
        .env("HOME", &empty)
        .env("ANSIBLE_LOCAL_TEMP", empty.join("tmp"))
        .env("ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED", "1")
        .env("ANSIBLE_NOCOLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let lines: String = cases.iter().map(|case| format!("{}\n", json!(case))).collect();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn inventory(paths: &[PathBuf]) -> Ansible {
    Ansible {
        paths: paths.to_vec(),
        command: Vec::new(),
        playbook_dir: None,
        labels: Vec::new(),
        home: None,
        folder: PathBuf::from("/"),
        timeout: Duration::from_secs(60),
    }
}

/// Hosts and children of a group are sets here; the order of hosts is nobody's promise.
fn without_order(list: &Value) -> Value {
    let mut list = list.clone();
    for (name, group) in list.as_object_mut().unwrap() {
        if name == "_meta" {
            group.as_object_mut().unwrap().retain(|key, _| key == "hostvars");
            continue;
        }
        for (_, names) in group.as_object_mut().unwrap() {
            let sorted: BTreeSet<String> =
                names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
            *names = json!(sorted);
        }
    }
    list
}

/// The first thing that two lists differ in.
fn difference(path: &str, ours: &Value, theirs: &Value) -> Option<String> {
    match (ours, theirs) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                difference(&format!("{path}/{key}"), a, b)
            })
        }
        _ if ours == theirs => None,
        _ => Some(format!("{path}: ours {ours}, Ansible's {theirs}")),
    }
}

/// Writes the files of a case; a program is told by its first line.
pub fn write(folder: &Path, files: &[(String, String)]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }
}

/// A case: its name, its files, and the inventories among them.
struct Case {
    name: String,
    files: Vec<(String, String)>,
    paths: Vec<String>,
}

fn check(cases: &[Case]) {
    let dir = tempfile::tempdir().unwrap();
    let folder = |number: usize| dir.path().join(format!("case{number:03}"));
    let mut arguments = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        write(&folder(number), &case.files);
        let inventory = |path: &String| ["-i".to_owned(), folder(number).join(path).display().to_string()];
        arguments.push(case.paths.iter().flat_map(inventory).collect::<Vec<String>>());
    }
    let mut wrong = Vec::new();
    let answers = oracle(dir.path(), &arguments);
    assert_eq!(answers.len(), cases.len());
    for (number, (case, answer)) in cases.iter().zip(answers).enumerate() {
        assert!(!answer["printed"].is_null(), "{}: Ansible says {}", case.name, answer["why"]);
        let paths: Vec<PathBuf> = case.paths.iter().map(|path| folder(number).join(path)).collect();
        match listing(&inventory(&paths)) {
            Err(faults) => wrong.push(format!("{}: {faults}", case.name)),
            Ok(ours) => {
                let theirs = without_order(&answer["printed"]);
                let found = difference("", &without_order(&ours), &theirs);
                wrong.extend(found.map(|what| format!("{}: {what}", case.name)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_shapes_of_real_inventories_agree() {
    let cases: Vec<Case> = SHAPES
        .iter()
        .map(|shape| Case {
            name: shape.name.to_owned(),
            files: shape.files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            paths: shape.paths.iter().map(|path| (*path).to_owned()).collect(),
        })
        .collect();
    assert!(cases.len() >= 15, "{}", cases.len());
    check(&cases);
}

#[test]
fn any_cut_of_an_inventory_gives_faults_or_hosts_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    let texts = SHAPES.iter().flat_map(|shape| shape.files).filter(|(_, text)| !text.starts_with("#!"));
    let (mut lists, mut faulty) = (0, 0);
    for (name, text) in texts {
        let path = dir.path().join(name.replace('/', "-"));
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)).step_by(5) {
            fs::write(&path, &text[..end]).unwrap();
            match listing(&inventory(std::slice::from_ref(&path))) {
                Ok(list) => lists += usize::from(list.is_object()),
                Err(faults) => faulty += usize::from(!faults.to_string().is_empty()),
            }
        }
    }
    assert!(lists > 200 && faulty > 50, "{lists} lists, {faulty} with faults");
}

#[test]
fn generated_inventories_agree() {
    let case = |seed: u64| {
        let (files, paths) = generate::inventory(seed);
        let name = format!("seed {seed}: {files:#?}");
        Case { name, files, paths }
    };
    check(&(1..=40).map(case).collect::<Vec<_>>());
}
