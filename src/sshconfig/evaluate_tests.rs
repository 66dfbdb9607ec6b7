//! What the oracle's version of ssh does not know yet, and what an evaluation asks of the machine.

use std::cell::RefCell;

use super::*;

/// A machine that knows two commands, one network and no file but those it is given.
#[derive(Default)]
struct Fake {
    files: Vec<(&'static str, &'static str)>,
    asked: RefCell<Vec<String>>,
}

impl World for Fake {
    fn include(&self, path: &str, is_user: bool) -> Result<Vec<Arc<File>>, String> {
        self.asked.borrow_mut().push(format!("{path} {is_user}"));
        let known = self.files.iter().filter(|(name, _)| *name == path);
        Ok(known.map(|(name, text)| Arc::new(File::parse((*name).into(), text.as_bytes()))).collect())
    }

    fn succeeds(&self, command: &str) -> Result<bool, String> {
        self.asked.borrow_mut().push(command.to_owned());
        match command {
            "hangs" => Err("it took too long".to_owned()),
            _ => Ok(command.starts_with("yes")),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        (name == "SET").then(|| "value".to_owned())
    }

    fn home_of(&self, _: &str) -> Option<String> {
        None
    }

    fn is_in_networks(&self, networks: &str) -> Result<bool, String> {
        Ok(networks == "10.0.0.0/8")
    }

    fn canonical_address(&self, _: &str) -> Option<String> {
        None
    }

    fn version(&self) -> Option<String> {
        Some("OpenSSH_10.0p1".to_owned())
    }
}

fn ask(text: &str, world: &Fake, is_user: bool) -> Result<Answer, Trouble> {
    let here = Here { user: "me".into(), uid: 7, home: "/home/me".into(), host_name: "desk.eu".into() };
    let query = Query { destination: "web1", hostname: None, port: None, user: None };
    let file = Arc::new(File::parse("config".into(), text.as_bytes()));
    evaluate(&query, &[Source { file, is_user, is_arguments: false }], (&here, world))
}

/// The port that `text` gives `web1`, or what is wrong with it.
fn port(text: &str) -> Result<String, String> {
    let answer = ask(text, &Fake::default(), true).map_err(|trouble| trouble.to_string())?;
    Ok(answer.get("Port").map_or("22", |setting| &setting.values[0]).to_owned())
}

#[test]
fn newer_criteria() {
    let check = |text: &str, expected: &str| {
        assert_eq!(port(&format!("{text}\nPort 5")), Ok(expected.to_owned()), "{text}");
    };
    check("Tag blue\nMatch tagged green,bl*", "5");
    check("Tag blue\nMatch tagged green", "22");
    check("Match tagged \"\"", "5");
    check("Match tagged=", "5");
    check("Tag blue\nMatch tagged \"\"", "22");
    check("Match version OpenSSH_1?.*", "5");
    check("Match version OpenSSH_9.*", "22");
    check("Match localnetwork 10.0.0.0/8", "5");
    check("Match !localnetwork 10.0.0.0/8", "22");
    check("Match sessiontype exec", "5");
    check("Match sessiontype shell,subsystem", "22");
}

#[test]
fn faults_have_their_place() {
    let check = |text: &str, expected: &str| assert_eq!(port(text), Err(expected.to_owned()), "{text}");
    check("Match host web1\n\nRefuseConnection \"gone to db1\"", "config:3: RefuseConnection: gone to db1");
    assert_eq!(port("Match host db1\nRefuseConnection x"), Ok("22".to_owned()));
    check("Match exec hangs\nPort 5", "config:1: it took too long");
    check("Host db1\nPort x", "config:2: Port cannot be \"x\": expected a port from 1 to 65535");
    check("Match command ls", "config:1: Match command cannot hold for probes: they are no command of yours");
    check("Host web1\nHostName %d", "config:2: HostName %d: %d means nothing here");
    check(
        "IgnoreUnknown y*\nYours 1\nMine 1",
        "config:3: unknown directive mine: IgnoreUnknown mine above it has it passed over",
    );
    assert_eq!(port("IgnoreUnknown y*\nYours 1\nPort 5"), Ok("5".to_owned()));
    // Only where it applies: what another host ignores is a fault for this one.
    assert!(port("Host db1\nIgnoreUnknown y*\nHost *\nYours 1").is_err());
}

#[test]
fn a_command_runs_only_where_the_answer_depends_on_it() {
    let world = Fake { files: vec![("inner", "Match exec \"yes inner\"\nPort 5\n")], ..Fake::default() };
    let text = "Match host db1 exec \"yes a\"\nMatch exec \"no b\" exec \"yes c\"\nHost db1\nInclude inner\n\
                Match exec \"yes %h %p %r %n\"\nUser ann";
    let answer = ask(text, &world, true).unwrap();
    assert_eq!(answer.get("User").unwrap().at.to_string(), "config:6");
    assert_eq!(*world.asked.borrow(), ["no b", "inner true", "yes web1 22 me web1"]);
}

#[test]
fn an_include_knows_whose_file_it_stands_in() {
    let world = Fake { files: vec![("/x-web1-value", "Port 5\n")], ..Fake::default() };
    let answer = ask("Include /x-%h-${SET} ${NOT}\nPort 6", &world, false).unwrap();
    assert_eq!(answer.get("Port").unwrap().at.to_string(), "/x-web1-value:1");
    assert_eq!(*world.asked.borrow(), ["/x-web1-value false"]);
    let trouble = ask("Include ~/x", &world, false).unwrap_err();
    assert_eq!(trouble.to_string(), "config:1: Include ~/x: the system's file cannot name a home");
    assert!(ask("Include ~/x", &world, true).is_ok());
    let looped = Fake { files: vec![("a", "Include a\n")], ..Fake::default() };
    assert_eq!(
        ask("Include a", &looped, true).unwrap_err().to_string(),
        "a:1: Include goes deeper than 16 files"
    );
}

#[test]
fn hosts_of_one_class_are_told_apart_by_no_line() {
    let class = |destination: &str| {
        let here = Here { user: "me".into(), uid: 7, home: "/".into(), host_name: "desk".into() };
        let query = Query { destination, hostname: None, port: None, user: None };
        let text = "Host web*\nPort 5\nMatch host *9 exec \"yes %h\"\nPort 6\n";
        let file = Arc::new(File::parse("config".into(), text.as_bytes()));
        let source = Source { file, is_user: true, is_arguments: false };
        evaluate(&query, &[source], (&here, &Fake::default())).unwrap().class
    };
    assert_eq!(class("web1"), class("web2"));
    assert_ne!(class("web1"), class("web9"));
    assert_ne!(class("web1"), class("db1"));
}
