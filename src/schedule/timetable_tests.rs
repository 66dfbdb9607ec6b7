//! Timetables through changes of the clocks, by the table and by what must hold.

use super::*;

fn utc(text: &str) -> CollectorTime {
    let parsed = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap();
    CollectorTime::from_unix_s(parsed.and_utc().timestamp())
}

fn table(cron: &str, zone: &str) -> Timetable {
    Timetable::parse(cron, zone).unwrap()
}

/// The next moments after `from`, in UTC.
fn next(table: &Timetable, from: &str, count: usize) -> Vec<String> {
    let ticks = std::iter::successors(table.after(utc(from)), |at| table.after(*at));
    ticks.take(count).map(|at| at.utc().format("%m-%d %H:%M:%S").to_string()).collect()
}

#[track_caller]
fn check(cron: &str, zone: &str, from: &str, expected: &[&str]) {
    assert_eq!(next(&table(cron, zone), from, expected.len()), expected, "{cron} {zone}");
}

#[test]
fn plain_times() {
    check("0 * * * *", "UTC", "2026-11-23 10:00:00", &["11-23 11:00:00", "11-23 12:00:00"]);
    check("0 * * * *", "UTC", "2026-11-23 09:59:59", &["11-23 10:00:00"]);
    check(
        "*/20 * * * * *",
        "UTC",
        "2026-11-23 10:00:01",
        &["11-23 10:00:20", "11-23 10:00:40", "11-23 10:01:00"],
    );
    check("@midnight", "Europe/Berlin", "2026-11-23 10:00:00", &["11-23 23:00:00"]);
    check("0 9 * * 1-5", "Asia/Tokyo", "2026-11-27 12:00:00", &["11-30 00:00:00"]);
    check(
        "0 0 13 * fri",
        "UTC",
        "2026-11-23 00:00:00",
        &["11-27 00:00:00", "12-04 00:00:00", "12-11 00:00:00", "12-13 00:00:00"],
    );
    check("0 12 29 2 *", "UTC", "2026-01-01 00:00:00", &["02-29 12:00:00"]);
}

#[test]
fn what_the_change_to_summer_leaves_out_comes_at_the_change() {
    // 02:00 to 03:00 of 29 March does not exist in Berlin; the clocks change at 01:00 UTC.
    let from = "2026-03-28 12:00:00";
    check("30 2 * * *", "Europe/Berlin", from, &["03-29 01:00:00", "03-30 00:30:00"]);
    check("0 2 * * *", "Europe/Berlin", from, &["03-29 01:00:00", "03-30 00:00:00"]);
    check("0,15,30 2 * * *", "Europe/Berlin", "2026-03-29 00:00:00", &["03-29 01:00:00", "03-30 00:00:00"]);
    check("0 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00:00", &["03-29 01:00:00", "03-30 00:00:00"]);
    check("30 2,14 * * *", "Europe/Berlin", from, &["03-28 13:30:00", "03-29 01:00:00", "03-29 12:30:00"]);
    check("0 0 * * *", "Europe/Berlin", from, &["03-28 23:00:00", "03-29 22:00:00"]);
    // Every hour it is only the clock that jumps.
    check("30 * * * *", "Europe/Berlin", "2026-03-29 00:00:00", &["03-29 00:30:00", "03-29 01:30:00"]);
}

#[test]
fn what_the_change_to_winter_repeats_comes_once() {
    // 02:00 to 03:00 of 25 October comes twice in Berlin: from 00:00 and from 01:00 UTC.
    let from = "2026-10-24 12:00:00";
    check("30 2 * * *", "Europe/Berlin", from, &["10-25 00:30:00", "10-26 01:30:00"]);
    check("*/30 2 * * *", "Europe/Berlin", from, &["10-25 00:00:00", "10-25 00:30:00", "10-26 01:00:00"]);
    check("0 3 * * *", "Europe/Berlin", from, &["10-25 02:00:00", "10-26 02:00:00"]);
    // Asked in the middle of the second time.
    check("45 2 * * *", "Europe/Berlin", "2026-10-25 01:10:00", &["10-26 01:45:00"]);
    check("45 2,3 * * *", "Europe/Berlin", "2026-10-25 01:10:00", &["10-25 02:45:00"]);
    check("45 2 * * *", "Europe/Berlin", "2026-10-25 00:10:00", &["10-25 00:45:00"]);
    let hourly = ["10-25 00:00:00", "10-25 01:00:00", "10-25 02:00:00", "10-25 03:00:00"];
    check("0 * * * *", "Europe/Berlin", "2026-10-24 23:30:00", &hourly);
}

#[test]
fn other_zones_change_otherwise() {
    // Half an hour in Lord Howe, at midnight in Havana, and a whole day in Samoa in 2011.
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-03 00:00:00", &["10-03 15:30:00", "10-04 15:15:00"]);
    check("45 1 * * *", "Australia/Lord_Howe", "2026-04-04 00:00:00", &["04-04 14:45:00", "04-05 15:15:00"]);
    check("0 0 * * *", "America/Havana", "2026-03-07 12:00:00", &["03-08 05:00:00", "03-09 04:00:00"]);
    check(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29 00:00:00",
        &["12-29 22:00:00", "12-30 10:00:00", "12-30 22:00:00"],
    );
}

const CRONS: [&str; 9] = [
    "0 * * * *",
    "*/7 * * * *",
    "30 2 * * *",
    "0,30 1-3 * * *",
    "15 */2 * * *",
    "59 23 31 12 *",
    "0 3 * * sun",
    "20 10 2 * * *",
    "0 0 1 * *",
];
const ZONES: [&str; 6] =
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana"];

#[test]
fn there_and_back_agree_everywhere() {
    let start = utc("2026-01-01 00:00:00").unix_s();
    for (cron, zone) in CRONS.iter().flat_map(|cron| ZONES.map(|zone| (*cron, zone))) {
        let table = table(cron, zone);
        // Moments all over two years, close together around nothing in particular.
        for step in 0..150_i64 {
            let at = CollectorTime::from_unix_s(start + step * 419_887);
            let (after, latest) = (table.after(at).unwrap(), table.latest(at).unwrap());
            assert!(latest <= at && at < after, "{cron} {zone} {}", at.rfc3339());
            assert_eq!(table.after(latest), Some(after), "{cron} {zone} {}", at.rfc3339());
            assert_eq!(table.latest(after), Some(after));
        }
    }
}

#[test]
fn a_year_has_as_many_ticks_as_its_days_and_hours() {
    for zone in ZONES {
        let count = |cron: &str| {
            let table = table(cron, zone);
            let year = |at: &CollectorTime| *at <= utc("2027-01-01 12:00:00");
            let ticks = std::iter::successors(table.after(utc("2026-01-01 12:00:00")), |at| table.after(*at));
            ticks.take_while(year).count()
        };
        // Where the clocks change by half an hour, two intervals of a year are an hour and a half.
        let hours = if zone == "Australia/Lord_Howe" { 365 * 24 - 1 } else { 365 * 24 };
        assert_eq!(count("0 * * * *"), hours, "{zone}");
        for hour in [0, 1, 2, 3, 4, 23] {
            assert_eq!(count(&format!("30 {hour} * * *")), 365, "{zone} {hour}:30");
        }
    }
}

#[test]
fn a_tick_every_second_of_one_day_is_found_from_far_away() {
    let table = table("* * * 1 1 *", "Europe/Berlin");
    assert_eq!(table.latest(utc("2026-12-30 00:00:00")), Some(utc("2026-01-01 22:59:59")));
}

#[test]
fn what_is_no_timetable_says_why() {
    let why = |cron, zone| Timetable::parse(cron, zone).unwrap_err().to_string();
    assert_eq!(why("0 * * * *", "Europe/Berlyn"), "\"Europe/Berlyn\" is no time zone");
    assert!(why("0 0 31 2 *", "UTC").contains("never comes"));
    assert!(why("61 * * * *", "UTC").contains("cannot be read"));
    assert!(why("0 0 0 1 1 * 2030", "UTC").contains("cannot be read"));
    assert!(zones().any(|zone| zone == "Europe/Berlin") && zones().count() > 400);
}

#[test]
fn words_and_local_times() {
    let words = |cron, zone| table(cron, zone).words();
    assert_eq!(words("0 * * * *", "UTC"), "At minute 0 past every hour, UTC");
    assert_eq!(words("30 2 * * *", "Europe/Berlin"), "At 02:30, Europe/Berlin");
    assert_eq!(words("@hourly", "UTC"), words("0 * * * *", "UTC"));
    let table = table("30 2 * * *", "Europe/Berlin");
    assert_eq!(table.local(utc("2026-07-01 00:30:00")), "Wed 2026-07-01 02:30:00 CEST");
    assert_eq!(table.text(), "30 2 * * * Europe/Berlin");
}
