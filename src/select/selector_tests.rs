//! Selectors over small inventories: what they choose, and what they refuse.

use super::*;
use crate::model::{Labels, Reach};

fn host(name: &str, labels: &[(&str, &str)]) -> Host {
    Host {
        name: HostName::new(name).unwrap(),
        address: name.to_owned(),
        port: 22,
        user: "probe".to_owned(),
        labels: labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<Labels>(),
        reach: Reach::Ssh,
        identity_files: Vec::new(),
        known_hosts: Vec::new(),
        ssh: std::sync::Arc::default(),
        consult: None,
        root_by: crate::model::RootBy::Sudo,
        proc_root: None,
        sys_root: None,
    }
}

struct Fleet {
    hosts: Vec<Host>,
    groups: BTreeMap<String, Vec<HostName>>,
}

impl Fleet {
    fn small() -> Self {
        let web = |name| host(name, &[("role", "web"), ("dc", "eu"), ("kernel", "6.1.0-13-amd64")]);
        let mut hosts: Vec<Host> = ["web01", "web02", "web03"].into_iter().map(web).collect();
        hosts.push(host("db1", &[("role", "db"), ("dc", "eu"), ("os", "Debian GNU/Linux 12")]));
        hosts.push(host("db2", &[("role", "db"), ("dc", "us"), ("kernel", "6.5.0")]));
        let group = |names: &[&str]| names.iter().map(|name| HostName::new(name).unwrap()).collect();
        let groups = [
            ("edge", group(&["web01", "web02"])),
            ("rack1", group(&["web03", "db1"])),
            ("rack2", group(&["db2"])),
            ("stale", group(&["gone1"])),
        ];
        Self { hosts, groups: groups.into_iter().map(|(name, list)| (name.to_owned(), list)).collect() }
    }

    fn catalog(&self) -> Catalog<'_> {
        Catalog { hosts: &self.hosts, groups: &self.groups }
    }

    fn select(&self, text: &str) -> Result<String, SelectError> {
        let chosen = Selector::parse(text)?.select(&self.catalog())?;
        let names: Vec<&str> = chosen.into_iter().map(|index| self.hosts[index].name.as_str()).collect();
        Ok(names.join(" "))
    }
}

#[test]
fn operands_choose_in_inventory_order() {
    let fleet = Fleet::small();
    let check = |text: &str, expected: &str| assert_eq!(fleet.select(text).unwrap(), expected, "{text}");
    check("*", "web01 web02 web03 db1 db2");
    check("db1,web01", "web01 db1");
    check("web[01-02]", "web01 web02");
    check("web*", "web01 web02 web03");
    check("?b[1-2]", "db1 db2");
    check("*[1-2]", "web01 web02 db1 db2");
    check("@edge", "web01 web02");
    check("@rack[1-2]", "web03 db1 db2");
    check("@r*", "web03 db1 db2");
    check("role=db", "db1 db2");
    check("role = db", "db1 db2");
    check("kernel=6.1.*", "web01 web02 web03");
    check("kernel=6.[1,5].*", "web01 web02 web03 db2");
    check("kernel=*", "web01 web02 web03 db2");
    check("os=Debian GNU/Linux 12", "db1");
    check("role=nothing", "");
    check("nothing*", "");
}

#[test]
fn operations_go_from_left_to_right() {
    let fleet = Fleet::small();
    let check = |text: &str, expected: &str| assert_eq!(fleet.select(text).unwrap(), expected, "{text}");
    check("*!role=db", "web01 web02 web03");
    check("role=db&dc=us", "db2");
    check("@edge^web[02-03]", "web01 web03");
    check("web01,web02!@edge,web01", "web01");
    check("role=web & @edge ! web01", "web02");
}

#[test]
fn what_the_inventory_lacks_is_named_with_its_nearest() {
    let fleet = Fleet::small();
    let check = |text: &str, place: Range<usize>, message: &str| {
        let error = fleet.select(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.span()), (message, place), "{text}");
    };
    check("*!wbe01", 2..7, "wbe01 is not in the inventory; did you mean web01?");
    check("web[01-09]", 0..10, "web[04-09] are not in the inventory; did you mean web01, web02 or web03?");
    check("@egde", 0..5, "there is no group @egde; did you mean @edge?");
    check("@rack[1-3]", 0..10, "there is no group @rack3; did you mean @rack1 or @rack2?");
    check("@stale", 0..6, "gone1 is not in the inventory");
    check("rolle=db", 0..8, "no host has a label \"rolle\"; did you mean role?");
}

#[test]
fn malformed_text_is_refused_with_its_place() {
    let check = |text: &str, place: Range<usize>, expected: &str| {
        let error = Selector::parse(text).unwrap_err();
        assert_eq!((error.span(), error.expected()), (place, expected.to_owned()), "{text}");
    };
    check("", 0..0, "hosts");
    check("role!=web", 5..6, "a label before `=` (for all but those, write *!label=value)");
    check("=web", 0..0, "a label's name before `=`");
    check("role=", 5..5, "a value after `=` (`*` is any value)");
    check("r*=web", 0..2, "a label's name before `=`");
    check("@", 0..1, "a group's name");
    check("web[1-3", 3..7, "a `]` that ends the range");
    check("web01 web02", 5..6, Alphabet::Glob.expected());
    check("web01,a[1-999999999]", 6..20, "at most 1000000 names");
}

#[test]
fn idle_terms_tell_why_nothing_was_chosen() {
    let fleet = Fleet::small();
    let idle = Selector::parse("role=wbe&dc=eu,zz*").unwrap().idle_terms(&fleet.catalog()).unwrap();
    let found: Vec<(&str, Range<usize>, String)> =
        idle.iter().map(|term| (term.text.as_str(), term.span.clone(), term.nearest.join(" "))).collect();
    assert_eq!(found, [("role=wbe", 0..8, "role=web".to_owned()), ("zz*", 15..18, String::new())]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused_at_a_place_inside_of_it(
        text in "[ab01\\[\\],!&^=@*?/ -]{0,24}|\\PC{0,12}"
    ) {
        for refused in [Selector::parse(&text).err(), crate::select::expand(&text).err()].into_iter().flatten() {
            let span = refused.span();
            proptest::prop_assert!(text.get(span.clone()).is_some(), "{text:?} {span:?} {refused}");
        }
    }
}
