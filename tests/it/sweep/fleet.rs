//! Two hundred hosts behind one real sshd.

use std::process::Command;

use super::*;

const PROBES: [&str; 3] = ["proc", "host_context", "kernel_log"];

#[test]
fn two_hundred_hosts_answer_every_probe_and_the_archive_outlives_the_index() {
    let sshd = Sshd::start(Setup { fleet: true, ..Setup::default() });
    let mut program = Program::alone();
    program.fleet("127.0.0.[2-201]", &sshd);
    let mut arguments = vec![
        "sweep",
        "-H",
        "*",
        "--json",
        "--set",
        "limits.visit_timeout=5m",
        "--set",
        "limits.concurrency=24",
    ];
    arguments.extend(PROBES.iter().flat_map(|probe| ["--probe", probe]));
    let swept = ran(program.command_in(&sshd, &arguments));
    swept.expect(0, &[]);
    assert_eq!(swept.adds_up(), 600);
    let report = swept.json();
    assert_eq!((&report["schema"], &report["trigger"]), (&1.into(), &"adhoc".into()));
    assert_eq!(report["outcomes"]["ok"], 600, "{report}");
    for probe in PROBES {
        let readings = report["readings"].as_array().expect("readings").iter();
        assert_eq!(readings.filter(|one| one["probe"] == probe && one["outcome"] == "ok").count(), 200);
    }
    let proc = swept.reading("127.0.0.77", "proc");
    assert!(proc["samples"].as_u64() > Some(100) && proc["bytes_wire"].as_u64() > Some(500), "{proc}");

    // Other programs read the archive.
    let [tar] = &program.tars()[..] else { panic!("one sweep, one tar") };
    let listed = output(Command::new("tar").arg("-tf").arg(tar));
    let members: Vec<&str> = listed.lines().filter(|name| name.ends_with("/proc.gz")).collect();
    assert_eq!(members.len(), 200, "{listed}");
    let read = "tar -xOf \"$1\" 127.0.0.77/proc.gz | zcat";
    let text = output(Command::new("sh").args(["-c", read, "sh"]).arg(tar));
    assert!(text.contains("MemAvailable") && text.lines().count() > 100, "{text}");

    let before = program.rows();
    program.assert_clean();
    let report =
        dropsonde::collect::reindex(&program.state(), Default::default(), &mut |_| {}).expect("reindex");
    assert_eq!((report.sweeps, report.readings, report.damage.len()), (1, 600, 0));
    assert!(before == program.rows(), "the rebuilt index has other rows");
    program.assert_clean();
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("tar, sh");
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}
