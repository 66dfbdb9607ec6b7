//! Root at work on the state directory of a service that runs as somebody else.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};
use std::path::{Path, PathBuf};

use crate::support::program::Program;
use crate::support::sshd::{Setup, Sshd};

const SERVICE: u32 = 65_534;

fn owners(path: &Path) -> (u32, u32) {
    let metadata = path.symlink_metadata().unwrap();
    (metadata.uid(), metadata.gid())
}

/// All that is below a folder, folders as well.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            all.extend(below(&entry.path()));
        }
        all.push(entry.path());
    }
    all
}

/// What is not the service's, and what there is in all.
fn strange(state: &Path) -> (Vec<PathBuf>, usize) {
    let all = below(state);
    let count = all.len();
    (all.into_iter().filter(|path| owners(path) != (SERVICE, SERVICE)).collect(), count)
}

fn program(sshd: &Sshd) -> Program {
    let mut program = Program::new();
    program.hosts("web[01-02]", sshd);
    fs::write(program.dir().join("list"), "[all]\nlisted ansible_host=127.0.0.1\n").unwrap();
    let list = program.dir().join("list");
    program.configure(&format!("[[inventory]]\nname = \"list\"\nkind = \"ansible\"\npaths = [{list:?}]"));
    fs::create_dir(program.state()).unwrap();
    chown(program.state(), Some(SERVICE), Some(SERVICE)).unwrap();
    program
}

#[test]
fn what_root_makes_in_the_services_directory_is_the_services() {
    let sshd = Sshd::start(Setup::default());
    let program = program(&sshd);
    let (copy, tables) = (program.dir().join("copy"), program.dir().join("tables"));
    let (copied, tabled) = (copy.to_str().unwrap(), tables.to_str().unwrap());
    for arguments in [
        &["sweep", "--probe", "hello", "-H", "web[01-02]"][..],
        &["backup", copied],
        &["sweep", "--probe", "hello", "-H", "web[01-02]"],
        &["prune", "--set", "retention.raw=0s"],
        &["snapshot", tabled],
        &["reindex"],
        &["prune", "--set", "retention.raw_size=1B", "--set", "retention.samples_size=1B"],
        &["quarantine", "release", "web01", "hello"],
        &["run", "hello", "-H", "web01"],
    ] {
        let ran = program.run(arguments);
        assert!(matches!(ran.code, Some(0 | 2)), "{arguments:?}: {ran:#?}");
        let (strange, count) = strange(&program.state());
        assert!(strange.is_empty() && count > 8, "{arguments:?}: {strange:?} of {count}");
    }
    assert!(
        program.state().join("inventory/list.json").exists() && program.state().join("prune.lock").exists()
    );
    // What is made elsewhere is root's.
    assert_eq!((owners(&copy), owners(&tables)), ((0, 0), (0, 0)));
    assert!(below(&copy).iter().all(|path| owners(path) == (0, 0)));
}

#[test]
fn nothing_that_was_there_before_or_lies_elsewhere_is_given_away() {
    let sshd = Sshd::start(Setup::default());
    let program = program(&sshd);
    let secret = program.dir().join("secret");
    let folder = program.dir().join("folder");
    fs::write(&secret, "a key").unwrap();
    fs::create_dir(&folder).unwrap();
    // What the owner of the directory may try: another name of root's file, links out of it.
    fs::hard_link(&secret, program.state().join("prune.lock")).unwrap();
    symlink(&folder, program.state().join("inventory")).unwrap();
    symlink(&secret, program.state().join("clock.lock")).unwrap();
    program.run(&["sweep", "--probe", "hello", "-H", "web[01-02]"]).expect(0, &[]);
    program.run(&["prune"]);
    assert_eq!((owners(&secret), owners(&folder)), ((0, 0), (0, 0)));
    assert!(below(&folder).iter().all(|path| owners(path) == (0, 0)), "{:?}", below(&folder));
    assert_eq!(fs::read_to_string(&secret).unwrap(), "a key");
}
