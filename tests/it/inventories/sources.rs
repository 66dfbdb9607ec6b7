//! Lists of every kind as hosts of ours: what counts, what is refused, and what is said of faults.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use dropsonde::config::Settings;
use dropsonde::model::{Host, Reach};
use dropsonde::openssh::Machine as Ssh;
use dropsonde::sshconfig::Settled;

use crate::config::machine::{CONFIG, Machine};

fn host<'a>(settings: &'a Settings, name: &str) -> &'a Host {
    settings.fleet.host(name).unwrap_or_else(|| panic!("{name}: {:?}", names(settings)))
}

fn names(settings: &Settings) -> Vec<&str> {
    settings.fleet.hosts.iter().map(|host| host.name.as_str()).collect()
}

fn settled(machine: &Machine, host: &Host) -> Settled {
    Ssh::new(machine.environment.clone()).settle(host)
}

fn labels(host: &Host) -> String {
    host.labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

fn remarks(settings: &Settings) -> String {
    let all = settings.inventories.iter().flat_map(|one| &one.wanted.remarks).chain(&settings.remarks);
    all.map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

const ANSIBLE: &str = "[[inventory]]\nname = \"ansible\"\nkind = \"ansible\"\npaths = \"hosts\"\n";

#[test]
fn ansibles_variables_say_how_hosts_are_reached() {
    let hosts = "\
[web]
web1 ansible_host=10.0.0.1 ansible_port=2222 ansible_user=deploy ansible_ssh_private_key_file=~/.ssh/web
web2:2200 ansible_ssh_private_key_file=keys/web dc=eu db_password=hunter2
[v6]
2001:db8::7
[control]
here ansible_connection=local
[windows]
win[1:2] ansible_connection=winrm
[inner]
in1 ansible_ssh_common_args='-J me@gate:2022 -o StrictHostKeyChecking=no'
in2 ansible_ssh_common_args='-F other -o HostbasedAuthentication=yes'
in3 ansible_host='{{ base }}.example' ansible_password=hunter2
";
    let machine = Machine::new().file(CONFIG, ANSIBLE).file("etc/hosts", hosts);
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "web2", "2001-db8--7", "here", "in1", "in2", "in3"]);
    let web1 = host(&settings, "web1");
    assert_eq!((web1.address.as_str(), web1.port, web1.user.as_str()), ("10.0.0.1", 2222, "deploy"));
    assert_eq!(web1.identity_files, [machine.path("home/.ssh/web")]);
    let web2 = host(&settings, "web2");
    assert_eq!((web2.address.as_str(), web2.port, web2.user.as_str()), ("web2", 2200, "ann"));
    assert_eq!(web2.identity_files, [machine.path("etc/keys/web")]);
    assert_eq!(labels(web2), "dc=eu group.web=yes");
    assert_eq!(host(&settings, "2001-db8--7").address, "2001:db8::7");
    assert_eq!(host(&settings, "here").reach, Reach::Local);
    let groups = &settings.fleet.groups;
    assert_eq!((groups["web"].len(), groups["inner"].len(), groups["windows"].len()), (2, 3, 0));
    let jump = settled(&machine, host(&settings, "in1")).host;
    assert!(format!("{:?}", jump.ssh.proxy).contains("gate") && jump.ssh.lax_host_keys.is_some(), "{jump:?}");
    let refused = |name: &str| {
        let host = settled(&machine, host(&settings, name)).host;
        host.ssh.refused.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(refused("web1"), "");
    assert!(refused("in2").contains("-F other"), "{}", refused("in2"));
    let in3 = refused("in3");
    assert!(
        in3.contains("hosts:13: ansible_host = {{ base }}.example: templates are not supported"),
        "{in3}"
    );
    let remarks = remarks(&settings);
    assert!(
        remarks.contains("`ansible_connection` is \"winrm\": left out") && remarks.contains("win[1-2]"),
        "{remarks}"
    );
    assert!(
        remarks.contains("`ansible_password` is not obeyed") && !remarks.contains("hunter2"),
        "{remarks}"
    );
}

#[test]
fn what_the_configuration_says_counts_before_a_list() {
    let config = format!(
        "[defaults]\nuser = \"probe\"\n[[hosts]]\nnames = \"web1,own\"\naddress = \"{{name}}.mgmt\"\nlabels = {{ dc = \"us\", x = \"y\" }}\n\
         [groups]\nweb = \"own\"\n{ANSIBLE}hosts = \"@web,role=db\"\nadd_labels = {{ via = \"list\", dc = \"no\" }}\n"
    );
    let hosts = "[web]\nweb[1:2] ansible_user=a ansible_host='{{ x }}' ansible_port=2222 dc=eu\n[other]\nlost\ndb1 role=db\n";
    let machine = Machine::new().file(CONFIG, config).file("etc/hosts", hosts);
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "own", "web2", "db1"]);
    let web1 = host(&settings, "web1");
    assert_eq!((web1.address.as_str(), web1.port, web1.user.as_str()), ("web1.mgmt", 2222, "probe"));
    assert_eq!(labels(web1), "ansible.dc=eu dc=us group.web=yes via=list x=y");
    // It is said in [[hosts]], so nobody asks for the template.
    assert!(settled(&machine, web1).host.ssh.refused.is_empty());
    assert!(!settled(&machine, host(&settings, "web2")).host.ssh.refused.is_empty());
    assert_eq!(labels(host(&settings, "web2")), "dc=eu group.web=yes via=list");
    assert_eq!(settings.fleet.groups["web"].len(), 1, "the configuration's own group");
    let from = |name: &str| {
        let of = settings.origins.of(&host(&settings, name).name);
        of.into_iter()
            .map(|(list, place)| format!("{list:?} {:?}", place.line_column().unwrap().0))
            .collect::<Vec<_>>()
    };
    assert_eq!(from("web1"), ["None 4", "Some(\"ansible\") 2"]);
    assert_eq!(from("db1"), ["Some(\"ansible\") 5"]);
}

/// The collector's own numbers would else be kept as another host's.
#[test]
fn no_later_list_makes_a_host_this_machine() {
    let list = "[[inventory]]\nname = \"first\"\nkind = \"command\"\ncommand = [\"echo\", \"web[1-2]\"]\n";
    let own = "[[hosts]]\nnames = \"web2,web3\"\nreach = \"ssh\"\naddress = \"{name}.example\"\n\
               [[hosts]]\nnames = \"web4\"\naddress = \"10.1.1.4\"\n[[hosts]]\nnames = \"web6\"\nreach = \"local\"\n";
    let machine = Machine::new()
        .file(CONFIG, format!("{own}{list}{ANSIBLE}"))
        .file("etc/hosts", "web[1:5] ansible_connection=local\nweb6\n");
    let settings = machine.load();
    for name in ["web1", "web2", "web3", "web4"] {
        assert_eq!(host(&settings, name).reach, Reach::Ssh, "{name}");
    }
    assert_eq!(host(&settings, "web2").address, "web2.example");
    // Nobody says otherwise of the one, and the configuration itself says it of the other.
    assert_eq!(host(&settings, "web5").reach, Reach::Local);
    assert_eq!(host(&settings, "web6").reach, Reach::Local);
    let remarks = remarks(&settings);
    let said = "web1 is reached over SSH in first and this machine in ansible: the first counts";
    assert!(remarks.contains(said), "{remarks}");
}

/// What no list of a lower rank says, a higher one has said already; `jump` says all of the way.
#[test]
fn a_template_bars_only_where_nobody_says_the_value() {
    let list = "[[inventory]]\nname = \"first\"\nkind = \"command\"\ncommand = [\"cat\", \"list.json\"]\n";
    let own = "[[hosts]]\nnames = \"web2\"\njump = [\"gate\"]\n";
    let template = "'{{ x }}'";
    let hosts = format!(
        "web1 ansible_host={template} ansible_user={template} ansible_port={template} ansible_connection={template}\n\
         web2 ansible_ssh_common_args={template}\nweb3 ansible_ssh_common_args={template}\n\
         web4 ansible_host={template}\n"
    );
    let json = r#"[{"name":"web1","address":"10.1.1.1","port":2022,"user":"u"},"web4"]"#;
    let machine = Machine::new()
        .file(CONFIG, format!("{own}{list}{ANSIBLE}"))
        .file("etc/list.json", json)
        .file("etc/hosts", hosts);
    let settings = machine.load();
    let refused = |name: &str| {
        let refused = &settled(&machine, host(&settings, name)).host.ssh.refused;
        refused.iter().map(|it| it.directive.clone()).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(refused("web1"), "");
    assert_eq!(refused("web2"), "");
    let web2 = settled(&machine, host(&settings, "web2")).host;
    assert!(format!("{:?}", web2.ssh.proxy).contains("gate"), "{:?}", web2.ssh.proxy);
    assert_eq!(refused("web3"), "ansible_ssh_common_args = {{ x }}");
    assert_eq!(refused("web4"), "ansible_host = {{ x }}", "the list names it, and has no address");
}

#[test]
fn each_plugin_of_ansibles_has_its_variables_obeyed_or_refused() {
    let hosts = "\
p1 ansible_connection=paramiko ansible_paramiko_proxy_command='nc gate %h %p' ansible_paramiko_host=10.0.0.1 ansible_paramiko_port=2022 ansible_paramiko_user=p ansible_paramiko_host_key_checking=false
p2 ansible_connection=ansible.builtin.paramiko_ssh ansible_paramiko_proxy_command='{{ x }}'
l1 ansible_connection=ansible.netcommon.libssh ansible_libssh_proxy_command='nc gate %h %p' ansible_libssh_user=l
l2 ansible_connection=libssh ansible_libssh_config_file=/etc/other ansible_libssh_hostkeys=ssh-rsa
l3 ansible_connection=libssh ansible_libssh_proxy_command='nc a' ansible_ssh_common_args='-o ProxyCommand=\"nc b\"'
s1 ansible_ssh_pkcs11_provider=/usr/lib/p11.so ansible_ssh_private_key='BEGIN KEY' ansible_ssh_private_key_passphrase=hunter2
s2 ansible_paramiko_proxy_command='nc gate' ansible_paramiko_host=10.0.0.9 ansible_host_key_checking=true
s3 ansible_ssh_args='-p 77 -l x' ansible_port=2022 ansible_user=y
s4 ansible_ssh_common_args='-p 77 -l x' ansible_port=2022 ansible_user=y
s5 ansible_ssh_common_args='-o Host=foo -J bastion -o Include=/etc/passwd'
";
    let machine = Machine::new().file(CONFIG, ANSIBLE).file("etc/hosts", hosts);
    let settings = machine.load();
    let of = |name: &str| settled(&machine, host(&settings, name)).host;
    let refused = |name: &str| {
        let refused = &of(name).ssh.refused;
        refused.iter().map(|it| it.directive.clone()).collect::<Vec<_>>().join("; ")
    };
    let proxy = |name: &str| format!("{:?}", of(name).ssh.proxy);
    let p1 = of("p1");
    assert_eq!((p1.address.as_str(), p1.port, p1.user.as_str()), ("10.0.0.1", 2022, "p"));
    assert!(proxy("p1").contains("nc gate") && refused("p1").is_empty(), "{} {}", proxy("p1"), refused("p1"));
    assert_eq!(refused("p2"), "ansible_paramiko_proxy_command = {{ x }}");
    assert_eq!(of("l1").user, "l");
    assert!(proxy("l1").contains("nc gate"), "{}", proxy("l1"));
    assert_eq!(refused("l2"), "ansible_libssh_config_file; ansible_libssh_hostkeys");
    assert!(proxy("l3").contains("nc b"), "{}", proxy("l3"));
    assert_eq!(refused("s1"), "ansible_ssh_pkcs11_provider; ansible_ssh_private_key");
    // The plugin of these is another one.
    assert_eq!((of("s2").address.as_str(), refused("s2").as_str()), ("s2", ""));
    assert!(proxy("s2").contains("Direct"), "{}", proxy("s2"));
    assert_eq!((of("s3").port, of("s3").user.as_str()), (77, "x"));
    assert_eq!((of("s4").port, of("s4").user.as_str()), (2022, "y"));
    assert!(proxy("s5").contains("bastion"), "{}", proxy("s5"));
    assert!(
        refused("s5").contains("-o Host=foo") && refused("s5").contains("-o Include="),
        "{}",
        refused("s5")
    );
    let remarks = remarks(&settings);
    for said in ["`ansible_paramiko_host_key_checking` is not obeyed", "_passphrase` is not obeyed"] {
        assert!(remarks.contains(said), "{remarks}");
    }
    assert!(!remarks.contains("hunter2") && !remarks.contains("`ansible_host_key_checking`"), "{remarks}");
}

#[test]
fn an_ssh_config_knows_more_of_what_a_list_names() {
    let config = "[[inventory]]\nname = \"ssh\"\nkind = \"ssh_config\"\n[[inventory]]\nname = \"list\"\nkind = \"command\"\ncommand = [\"echo\", \"web1\", \"dc=eu\"]\n";
    let ssh =
        "Host web1 *.example !no\n  Port 2022\n  HostName 10.1.1.1\nInclude more\nHost github.com web2\n";
    let machine = Machine::new()
        .file(CONFIG, config)
        .file("home/.ssh/config", ssh)
        .file("home/.ssh/more", "Host db1 db?\n");
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "db1", "github.com", "web2"]);
    let web1 = settled(&machine, host(&settings, "web1")).host;
    assert_eq!((web1.address.as_str(), web1.port, labels(&web1).as_str()), ("10.1.1.1", 2022, "dc=eu"));
    let broken = machine.file("home/.ssh/config", "Host \"web1\n").faults();
    assert!(broken.contains("home/.ssh/config:1: ") && broken.contains("quote"), "{broken}");
}

#[test]
fn targets_in_files_are_hosts() {
    let config = "[[inventory]]\nname = \"sd\"\nkind = \"file_sd\"\npaths = [\"sd/*.json\", \"more.yml\"]\nlabels = [\"__meta_rack\"]\n";
    let machine = Machine::new()
        .file(CONFIG, config)
        .file(
            "etc/sd/b.json",
            r#"[{"targets": ["web2:9100"], "labels": {"job": "node", "__meta_rack": "r2"}}]"#,
        )
        .file("etc/sd/a.json", r#"[{"targets": ["web1:9100", "web1:9200"], "labels": {"job": "node"}}]"#)
        .file("etc/sd/notes.txt", "nothing")
        .file("etc/more.yml", "- targets: ['10.0.0.9:9100']\n");
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "web2", "10.0.0.9"]);
    assert_eq!(labels(host(&settings, "web2")), "__meta_rack=r2 job=node");
    assert_eq!(host(&settings, "web2").port, 22);
    let machine = machine.file("etc/sd/b.json", r#"[{"targets": "web2:9100"}]"#);
    assert_eq!(machine.faults(), "etc/sd/b.json:1:1: `targets` cannot be a text; expected a list of texts");
    fs::remove_file(machine.path("etc/more.yml")).unwrap();
    let machine = machine.file("etc/sd/b.json", "[]");
    assert_eq!(machine.faults(), "etc/more.yml: there is no such file");
}

/// A program in the machine's /etc.
fn program(machine: Machine, text: &str) -> Machine {
    let machine = machine.file("etc/list.sh", format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(machine.path("etc/list.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    machine
}

#[test]
fn a_program_prints_hosts() {
    let config = "[[inventory]]\nname = \"cmdb\"\nkind = \"command\"\ncommand = [\"./list.sh\", \"a b\"]\ntimeout = \"60s\"\n";
    let machine = Machine::new().file(CONFIG, config);
    let machine = program(machine, "echo \"web[1-2] dc=eu arg=${1% *}  # two\"; echo; echo db1");
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "web2", "db1"]);
    assert_eq!(labels(host(&settings, "web2")), "arg=a dc=eu");
    let json = r#"{"hosts":[{"name":"web1","address":"10.0.0.1","port":2022,"user":"u","labels":{"dc":"eu"}},"db1"]}"#;
    let machine = program(machine, &format!("echo '{json}'"));
    let settings = machine.load();
    let web1 = host(&settings, "web1");
    assert_eq!(
        (web1.address.as_str(), web1.port, web1.user.as_str(), &*labels(web1)),
        ("10.0.0.1", 2022, "u", "dc=eu")
    );
    let check = |machine: &Machine, part: &str| {
        let faults = machine.faults();
        assert!(faults.contains(part), "{part:?} is not in {faults}");
    };
    let machine = program(machine, "echo 'no token' >&2; exit 7");
    check(&machine, "it ended with exit status: 7: no token");
    let machine = program(machine, "echo 'web[1-'");
    check(&machine, "output of ");
    let machine = program(machine, "echo '[1]'");
    check(&machine, "a host is something else; expected a name or an object");
    let machine = program(machine, "true");
    check(
        &machine,
        "inventory cmdb: it names no host; if it may be empty, set believe_empty_after = 1 for it",
    );
    let machine = machine.file(CONFIG, config.replace("60s", "100ms"));
    let machine = program(machine, "sleep 1000");
    check(&machine, "it did not end within 100ms");
}

#[test]
fn what_a_program_says_of_a_host_is_known_and_said_once() {
    let config =
        "[[inventory]]\nname = \"cmdb\"\nkind = \"command\"\ncommand = [\"./list.sh\"]\ntimeout = \"60s\"\n";
    let mut machine = program(Machine::new().file(CONFIG, config), "");
    let mut says = |text: &str| {
        let taken = std::mem::replace(&mut machine, Machine::new());
        machine = program(taken, &format!("cat <<'EOF'\n{text}\nEOF"));
        machine.faults()
    };
    for (text, part) in [
        (r#"[{"name":"a","adress":"10.0.0.1"}]"#, "unknown key `adress` of a; expected `name`, `address`"),
        (r#"[{"name":"a","adress":null}]"#, "did you mean `address`?"),
        (r#"[{"name":"a","jump":"b"}]"#, "unknown key `jump` of a"),
        (r#"[{"name":"a","ansible_host":"b"}]"#, "unknown key `ansible_host` of a"),
        (r#"[{"name":"a","reach":"docker"}]"#, "`reach` of a is something else"),
        (r#"["a",{"name":"a","port":2222}]"#, "a is here a second time, reached in another way"),
        ("a dc=eu\nb\na dc=us", "`dc` of a is \"eu\" and \"us\""),
    ] {
        let faults = says(text);
        assert!(faults.contains(part), "{part:?} is not in {faults}");
    }
    let json = r#"{"hosts":[{"name":"a","address":"a","port":22,"user":"u","reach":"local","labels":{},"from":[]}]}"#;
    let machine = program(machine, &format!("echo '{json}'"));
    assert_eq!(host(&machine.load(), "a").reach, Reach::Local);
    let machine = program(machine, "echo 'web[1-2] dc=eu'; echo web1 role=front");
    let settings = machine.load();
    assert_eq!(names(&settings), ["web1", "web2"]);
    assert_eq!(labels(host(&settings, "web1")), "dc=eu role=front");
}

/// As with files: whoever can write to the program says where we connect.
#[test]
fn a_program_that_anyone_can_write_to_is_not_run() {
    let open = |machine: &Machine, file: &str| {
        fs::set_permissions(machine.path(file), fs::Permissions::from_mode(0o757)).unwrap();
    };
    let section = |command: &str| {
        format!("[[inventory]]\nname = \"cmdb\"\nkind = \"command\"\ncommand = [{command}]\n")
    };
    for command in ["\"./list.sh\"", "\"sh\", \"list.sh\""] {
        let machine = program(Machine::new().file(CONFIG, section(command)), "echo a");
        assert_eq!(names(&machine.load()), ["a"]);
        open(&machine, "etc/list.sh");
        let faults = machine.faults();
        assert!(
            faults.contains("anyone on this machine can write to") && faults.contains("list.sh"),
            "{faults}"
        );
    }
    let machine = Machine::new().file(CONFIG, ANSIBLE);
    let machine = machine.file("etc/hosts", "#!/bin/sh\necho '{\"web\": [\"a\"]}'\n");
    open(&machine, "etc/hosts");
    let faults = machine.faults();
    assert!(faults.contains("anyone on this machine can write to"), "{faults}");
}

#[test]
fn faults_have_their_places() {
    let check = |config: &str, hosts: &str, expected: &[&str]| {
        let faults = Machine::new().file(CONFIG, config).file("etc/hosts", hosts).faults();
        assert_eq!(faults.lines().collect::<Vec<_>>(), expected, "{config}{hosts}");
    };
    check(
        "[[inventory]]\nname = \"A\"\nkind = \"ansibel\"\n",
        "",
        &[
            "etc/config.toml:2:8: `inventory.name` cannot be \"A\"; expected 1 to 32 of a-z 0-9 _ -, the first a letter",
            "etc/config.toml:3:8: `inventory.kind` cannot be \"ansibel\"; expected one of ansible, file_sd, http_sd, ssh_config, command; did you mean `ansible`?",
        ],
    );
    check(
        "[[inventory]]\nname = \"a\"\nkind = \"command\"\ncommand = [\"echo\", \"a\"]\nurl = \"http://x\"\nrefesh = \"1m\"\n",
        "",
        &[
            "etc/config.toml:5:1: kind = \"command\" has no `url`; `url` is for http_sd",
            "etc/config.toml:6:1: unknown key `refesh` in [inventory]; did you mean `refresh`?",
        ],
    );
    check(
        "[[inventory]]\nname = \"a\"\nkind = \"http_sd\"\nurl = \"ftp://x/s3cret\"\n",
        "",
        &[
            "etc/config.toml:4: `inventory.url` cannot be used, and is not shown; expected an address such as https://alerts.example.net/hook, in ASCII",
        ],
    );
    check(
        ANSIBLE,
        "web1\n[web:childen]\n[web]\nweb[3:1]\nx y\n[db:children]\nwbe\n[lost:vars]\na\n",
        &[
            "etc/hosts:2:6: [web:childen] is no section; expected one of hosts, children, vars; did you mean `children`?",
            "etc/hosts:4:1: \"web[3:1]\" cannot be hosts; expected a range that does not end before it begins",
            "etc/hosts:5:3: \"y\" sets no variable; expected KEY=VALUE",
            "etc/hosts:9:1: \"a\" sets no variable; expected KEY=VALUE, one in each line",
            "etc/hosts:8:2: [lost:vars] is for a group that is nowhere; expected a section [lost]",
            "etc/hosts:7:1: [db:children] has a group that is nowhere: wbe; expected a section [wbe]; did you mean `web`?",
        ],
    );
    check(
        ANSIBLE,
        "all:\n  host:\n    web1:\n  children:\n    web: {children: {all: }}\n",
        &[
            "etc/hosts:2:3: unknown key `host` in the group all; did you mean `hosts`?",
            "etc/hosts:5:5: the groups all and web are each below the other; expected groups that lead somewhere",
        ],
    );
    check(
        &format!("{ANSIBLE}hosts = \"@wbe\"\n"),
        "[web]\nweb1\n",
        &[
            "etc/config.toml:5:10: no such group: @wbe; expected a group of the configuration; did you mean @web?",
        ],
    );
    check(
        ANSIBLE,
        "plugin: aws_ec2\nregions: [eu]\n",
        &[
            "etc/hosts:1:1: this configures a plugin of Ansible's; let Ansible run it: command = [\"ansible-inventory\", \"--list\", \"-i\", \"…\"]",
        ],
    );
    let twice = format!("{ANSIBLE}{ANSIBLE}");
    check(
        &twice,
        "web1\n",
        &[
            "etc/config.toml:6:8: the inventory ansible is here a second time; first here (etc/config.toml:2:8)",
        ],
    );
}

#[test]
fn ten_thousand_hosts_of_a_list_load_at_once() {
    let mut hosts = String::new();
    for rack in 0..100 {
        hosts.push_str(&format!(
            "[rack{rack}]\nr{rack}n[00:99] ansible_port=2222 dc=eu\n[rack{rack}:vars]\nrack={rack}\n"
        ));
    }
    hosts.push_str("[all:vars]\nansible_user=probe\n");
    let settings = Machine::new().file(CONFIG, ANSIBLE).file("etc/hosts", hosts).load();
    assert_eq!((settings.fleet.hosts.len(), settings.fleet.groups.len()), (10_000, 100));
    let last = host(&settings, "r99n99");
    assert_eq!(labels(last), "dc=eu group.rack99=yes rack=99");
}
