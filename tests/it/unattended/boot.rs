//! The units under a real systemd, hardening on, against a real sshd.

use std::path::PathBuf;

use dropsonde::model::Fate;
use dropsonde::schedule::Timetable;
use dropsonde::store::ticks;
use serde_json::Value;

use super::process::assert_no_gap;
use crate::support::machine::Machine;
use crate::support::sshd::{Setup, Sshd};

const UNITS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");

fn fleet() -> Sshd {
    Sshd::start(Setup { fleet: true, ..Setup::default() })
}

fn config(cron: &str) -> String {
    format!(
        "[[hosts]]\nnames = \"127.0.0.[2-3]\"\nuser = \"root\"\n[[hosts]]\nnames = \"down\"\naddress = \
         \"127.0.0.2\"\nport = 1\n[[schedule]]\nname = \"often\"\ncron = {cron:?}\nprobes = [\"uptime\"]\n"
    )
}

fn state(machine: &Machine) -> PathBuf {
    machine.path("/var/lib/dropsonde")
}

fn sweeps(machine: &Machine) -> Vec<Value> {
    let out = machine.output(&["dropsonde", "--state", "/var/lib/dropsonde", "sweeps", "--json"]);
    let report: Option<Value> = serde_json::from_slice(&out.stdout).ok();
    report.and_then(|report| report["sweeps"].as_array().cloned()).unwrap_or_default()
}

/// Sweeps that ended with both hosts read.
fn whole(machine: &Machine) -> usize {
    sweeps(machine).iter().filter(|sweep| sweep["ok"] == 2 && sweep["planned"] == 3).count()
}

/// The journal's entries of the service.
fn entries(machine: &Machine) -> Vec<Value> {
    let text = machine.run(&["journalctl", "--no-pager", "-q", "-t", "dropsonde", "-o", "json"]);
    text.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}

#[test]
fn the_daemon_as_a_service() {
    let fleet = fleet();
    let mut machine = Machine::boot(&fleet, &config("* * * * * *"));
    machine.write(
        "/etc/systemd/system/dropsonde.service.d/test.conf",
        "[Service]\nWatchdogSec=3s\nTimeoutAbortSec=2s\nRestartSec=1s\n",
    );
    machine.run(&["systemctl", "daemon-reload"]);
    // Returns when it says that it is ready.
    machine.run(&["systemctl", "start", "dropsonde.service"]);
    assert!(machine.property("dropsonde.service", "StatusText").starts_with("next: often at "));
    machine.wait_until("two sweeps ran", |machine| whole(machine) >= 2);
    let found = entries(&machine);
    let of_down = found.iter().find(|entry| entry["DROPSONDE_HOST"] == "down").expect("a line for the host");
    assert_eq!((&of_down["PRIORITY"], &of_down["DROPSONDE_PROBE"]), (&"4".into(), &"uptime".into()));
    let swept =
        found.iter().find(|entry| entry["DROPSONDE_SCHEDULE"] == "often").expect("a line for the sweep");
    assert!(swept["MESSAGE"].as_str().unwrap().contains("2/3 ok, 1 unreachable"), "{swept}");
    assert!(swept["DROPSONDE_SWEEP"].is_string() && swept["_SYSTEMD_UNIT"] == "dropsonde.service");
    assert_eq!(machine.property("dropsonde.service", "User"), "dropsonde");

    machine.run(&["systemctl", "reload", "dropsonde.service"]);
    machine.wait_until("it has reloaded", |machine| {
        machine.journal().contains("configuration reloaded: 1 schedule over")
    });
    machine.wait_until("it is ready again", |machine| {
        machine.property("dropsonde.service", "SubState") == "running"
    });

    // Ticks every second, so that some are due while it stands still.
    // A loop that does not turn is ended and begun again, and what was due meanwhile is caught up once.
    let before = ticks::read(&state(&machine)).unwrap().len();
    machine.run(&["systemctl", "kill", "--kill-whom=main", "-s", "STOP", "dropsonde.service"]);
    machine.wait_until("the watchdog has restarted it", |machine| {
        machine.property("dropsonde.service", "NRestarts") == "1"
    });
    machine
        .wait_until("it sweeps again", |machine| ticks::read(&state(machine)).unwrap().len() >= before + 3);
    machine.run(&["systemctl", "stop", "dropsonde.service"]);
    assert_eq!(machine.property("dropsonde.service", "Result"), "success");
    let book = ticks::read(&state(&machine)).unwrap();
    assert_no_gap(&book, &Timetable::parse("* * * * * *", "UTC").unwrap());
    let down = |fate: &Fate| matches!(fate, Fate::Missed { why, .. } if why == "no daemon was running");
    assert_eq!(book.iter().filter(|tick| down(&tick.fate)).count(), 1, "{book:#?}");
    let checked = machine.output(&["dropsonde", "--state", "/var/lib/dropsonde", "check"]);
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn a_timer_instead_of_the_daemon_and_the_collector_itself() {
    let fleet = fleet();
    let local = "[[hosts]]\nnames = \"self\"\nreach = \"local\"\n[[schedule]]\nname = \"itself\"\ncron = \"* * * * * *\"\n\
                 hosts = \"self\"\nprobes = [\"proc\", \"host_context\", \"kernel_log\"]\n";
    let often = config("@yearly").replace("probes =", "hosts = \"127.0.0.[2-3],down\"\nprobes =");
    let mut machine = Machine::boot(&fleet, &format!("{often}{local}"));
    // One of three readings fails, which is exit status 3 and no failure of the service.
    machine.run(&["systemctl", "start", "dropsonde-sweep@often.service"]);
    assert_eq!(whole(&machine), 1);
    let drop_in = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\n";
    machine.write("/etc/systemd/system/dropsonde-sweep@often.timer.d/test.conf", drop_in);
    machine.run(&["systemctl", "daemon-reload"]);
    machine.run(&["systemctl", "start", "dropsonde-sweep@often.timer"]);
    machine.wait_until("the timer has run it twice", |machine| whole(machine) >= 3);
    machine.run(&["systemctl", "stop", "dropsonde-sweep@often.timer"]);

    let opened = std::fs::read_to_string(format!("{UNITS}/probe-itself.conf")).unwrap();
    machine.write("/etc/systemd/system/dropsonde.service.d/probe-itself.conf", &opened);
    machine.run(&["systemctl", "daemon-reload"]);
    machine.run(&["systemctl", "start", "dropsonde.service"]);
    machine.wait_until("it has probed itself", |machine| {
        sweeps(machine).iter().any(|sweep| sweep["schedule"] == "itself" && sweep["ok"] == 3)
    });
    machine.run(&["systemctl", "stop", "dropsonde.service"]);
    assert_eq!(machine.property("dropsonde.service", "Result"), "success");
}
