//! `schedule`: what a person and a program are told of what will run.

use chrono::{DateTime, Timelike, Utc};

use crate::support::program::Program;

const CONFIG: &str = r#"
[[hosts]]
names = "web[01-03].eu"

[[schedule]]
name = "hourly"
cron = "0 * * * *"
splay = "2m"
deadline = "30m"
min_success = 0.9
probes = ["hello", "proc"]

[[schedule]]
name = "nightly"
cron = "30 2 * * *"
timezone = "Europe/Berlin"
hosts = "web01.eu"
probes = ["hello"]
"#;

fn program() -> Program {
    let mut program = Program::new();
    program.configure(CONFIG);
    program
}

#[test]
fn a_person_is_told_in_words_and_with_the_next_five_times() {
    let said = program().run(&["schedule"]);
    said.expect(0, &[]);
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines[0], "hourly: At minute 0 past every hour, UTC");
    assert_eq!(lines[1], "  hosts   * (3)");
    assert_eq!(lines[2], "  probes  hello, proc");
    assert_eq!(lines[3], "  terms   visits spread over 2m, ends within 30m, 90% must succeed");
    assert!(lines[4].starts_with("  next    ") && lines[4].ends_with(":00:00 UTC"), "{}", said.out);
    assert_eq!(lines[9..12], ["", "nightly: At 02:30, Europe/Berlin", "  hosts   web01.eu (1)"]);
    let berlin = |line: &str| line.ends_with(" 02:30:00 CET") || line.ends_with(" 02:30:00 CEST");
    assert_eq!(lines[13..].iter().filter(|line| berlin(line)).count(), 5, "{}", said.out);
}

#[test]
fn a_program_is_told_the_same() {
    let answer = program().run(&["schedule", "hourly", "--next", "3", "--json"]).json();
    let [hourly] = &answer["schedules"].as_array().unwrap()[..] else { panic!("one schedule: {answer}") };
    assert_eq!(
        (&hourly["hosts"], &hourly["splay_s"], &hourly["min_success"]),
        (&3.into(), &120.0.into(), &0.9.into())
    );
    let next: Vec<DateTime<Utc>> =
        hourly["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(next.len(), 3);
    assert!(next.windows(2).all(|pair| pair[1] - pair[0] == chrono::TimeDelta::hours(1)));
    assert!(next.iter().all(|at| at.minute() == 0) && next[0] > Utc::now() - chrono::TimeDelta::minutes(1));
    program().run(&["schedule", "hourli"]).expect(2, &["did you mean hourly?"]);
}
