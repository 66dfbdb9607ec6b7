//! Alerts reach a real HTTP server: one message for an incident, whatever was down or killed meanwhile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dropsonde::collect::Stop;
use dropsonde::model::{CollectorTime, OwnAlert};
use dropsonde::watch::{Courier, Trouble, Unkept, raise};
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::Fleet;
use crate::support::program::{Ran, ran};
use crate::support::receiver::{Answer, Place, Request};
use crate::support::sshd::kill;

const RULE: &str = "[[alert]]\nname = \"too hot\"\nwhen = \"hello_value > 5\"\nseverity = \"critical\"";
const TAKES: Answer = Answer::Say("204 No Content");

/// A fleet that tells a webhook, quickly and for a second.
fn fleet(place: &Place) -> Fleet {
    let mut fleet = Fleet::new(&["a", "b", "c"]);
    fleet.program.configure(RULE).configure(&format!(
        "[[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\n\
         [alerts]\nretry_first = \"50ms\"\nretry_longest = \"100ms\"\ndeliver_within = \"1s\"\n\
         [retention]\nlow_space = \"0B\"",
        place.url("/hook")
    ));
    fleet
}

fn sweep(fleet: &Fleet) -> Ran {
    let ran = fleet.program.run(&["sweep", "hourly", "--json"]);
    ran.expect(0, &[]);
    ran
}

/// `state hosts` of messages.
fn said(requests: &[Request]) -> Vec<String> {
    let one = |request: &Request| {
        let message = request.json();
        let hosts = message["hosts"].as_array().unwrap();
        let hosts: Vec<&str> = hosts.iter().map(|host| host.as_str().unwrap()).collect();
        format!("{} {}", message["state"].as_str().unwrap(), hosts.join(" "))
    };
    requests.iter().map(one).collect()
}

fn ids(requests: &[Request]) -> BTreeSet<String> {
    requests.iter().map(|request| request.json()["id"].as_str().unwrap().to_owned()).collect()
}

fn waiting(fleet: &Fleet) -> usize {
    fleet.program.run(&["alerts", "list", "--json"]).json()["queue"].as_array().unwrap().len()
}

#[test]
fn a_receiver_that_was_down_gets_each_incident_once_and_that_it_is_over() {
    let place = Place::reserve();
    let fleet = fleet(&place);
    fleet.load("a", "7");
    fleet.load("b", "9");
    let ran = sweep(&fleet);
    for part in ["the receiver hook did not take a message", "refused", "1 alert waits for a receiver"] {
        assert!(ran.err.contains(part), "{part}: {}", ran.err);
    }
    sweep(&fleet);
    fleet.load("c", "6");
    sweep(&fleet);
    let list = fleet.program.run(&["alerts", "--json"]).json();
    assert_eq!((list["incidents"].as_array().unwrap().len(), waiting(&fleet)), (1, 1), "{list}");
    let text = fleet.program.run(&["alerts"]).out;
    assert!(text.contains("too hot, hello_value on a,b,c (3 hosts): 9 on b"), "{text}");

    let server = place.open(TAKES);
    sweep(&fleet);
    assert_eq!(said(&place.requests()), ["firing b a c"]);
    sweep(&fleet);
    assert_eq!((place.requests().len(), waiting(&fleet)), (1, 0));
    let message = place.requests()[0].json();
    assert_eq!((&message["rule"], &message["severity"]), (&json!("too hot"), &json!("critical")));
    assert_eq!(message["worst"], json!({"host": "b", "value": 9.0, "text": "9", "usual": null}));
    assert_eq!(place.requests()[0].header("idempotency-key"), message["id"].as_str());
    assert_eq!(place.requests()[0].header("authorization"), None);

    // Fine twice, in a row.
    drop(server);
    ["a", "b", "c"].iter().for_each(|host| fleet.load(host, "1"));
    sweep(&fleet);
    assert_eq!(waiting(&fleet), 0);
    sweep(&fleet);
    let _server = place.open(TAKES);
    sweep(&fleet);
    let taken = place.taken();
    assert_eq!(said(&taken), ["firing b a c", "resolved a b c"]);
    assert_eq!((ids(&taken).len(), taken.len()), (2, 2));
    assert_eq!(taken[0].json()["incident"], taken[1].json()["incident"]);
    fleet.program.run(&["alerts"]).expect(0, &["no incident is open and no message waits"]);
}

/// A sweep that is killed once `ready` is so.
fn killed(fleet: &Fleet, ready: impl Fn() -> bool) {
    let mut command = fleet.program.command(&["sweep", "hourly", "--set", "alerts.deliver_within=10m"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(60);
    while !ready() {
        assert!(Instant::now() < limit && child.try_wait().unwrap().is_none(), "the sweep did not get there");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill(child.id(), "KILL");
    child.wait().unwrap();
}

#[test]
fn a_kill_loses_no_message_and_makes_no_second_one() {
    let place = Place::reserve();
    let fleet = fleet(&place);
    fleet.load("a", "7");
    // Killed while nobody listens.
    killed(&fleet, || waiting(&fleet) == 1);
    // Killed while it waits for the answer: whether that came is not known, so it is sent again, as the same.
    let server = place.open(Answer::Silence);
    killed(&fleet, || !place.requests().is_empty());
    assert_eq!(waiting(&fleet), 1);
    let before = place.requests().len();
    server.answer(TAKES);
    sweep(&fleet);
    sweep(&fleet);
    assert_eq!(place.requests().len(), before + 1);
    assert_eq!((ids(&place.requests()).len(), said(&place.taken())), (1, vec!["firing a".to_owned()]));
}

#[test]
fn who_is_busy_is_asked_again_and_who_refuses_is_not() {
    let place = Place::reserve();
    let fleet = fleet(&place);
    let server = place.open(Answer::Say("503 Busy\r\nRetry-After: 0"));
    fleet.load("a", "7");
    killed(&fleet, || place.requests().len() > 2);
    let ran = sweep(&fleet);
    assert!(ran.err.contains("it answered 503") && ran.err.contains(": said"), "{}", ran.err);
    assert_eq!(waiting(&fleet), 1);
    server.answer(Answer::Say("302 Found\r\nLocation: http://127.0.0.1:9/"));
    assert!(sweep(&fleet).err.contains("it answered 302"));
    server.answer(Answer::Say("400 Bad Request"));
    assert!(sweep(&fleet).err.contains("it is dropped"));
    assert_eq!((waiting(&fleet), ids(&place.requests()).len()), (0, 1));
    let book = fleet.program.run(&["alerts", "--json"]).json();
    assert_eq!((&book["delivered"], &book["dropped"]), (&json!(0), &json!(1)));
    // A host that joins is news, and a receiver that is well again hears of it.
    server.answer(TAKES);
    fleet.load("b", "8");
    sweep(&fleet);
    assert_eq!(said(&place.taken()), ["updated b a"]);
    assert_eq!(place.taken()[0].json()["joined"], json!(["b"]));
}

#[test]
fn the_collector_says_when_it_reaches_nobody_or_too_few() {
    let place = Place::reserve();
    let _server = place.open(TAKES);
    let fleet = fleet(&place);
    let config = fs::read_to_string(fleet.program.dir().join("config.toml")).unwrap();
    let wanted = config.replace("cron = \"@hourly\"", "cron = \"@hourly\"\nmin_success = 0.9");
    fs::write(fleet.program.dir().join("config.toml"), wanted).unwrap();
    fs::remove_file(fleet.folder("a").join("load")).unwrap();
    let rules = |requests: &[Request]| -> Vec<String> {
        let one = |it: &Request| {
            let message = it.json();
            format!("{} {}", message["state"].as_str().unwrap(), message["rule"].as_str().unwrap())
        };
        requests.iter().map(one).collect()
    };
    fleet.program.run(&["sweep", "hourly"]).expect(4, &["the schedule hourly needs 3"]);
    assert_eq!(rules(&place.taken()), ["firing collector_low_success"]);
    let message = place.taken()[0].json();
    assert_eq!(message["detail"], "schedule hourly: 2 of 3 readings succeeded, 90 % are wanted");
    fleet.lock_out(true);
    fleet.program.run(&["sweep", "hourly"]).expect(4, &[]);
    fleet.program.run(&["sweep", "hourly"]).expect(4, &[]);
    fleet.lock_out(false);
    fleet.load("a", "1");
    fleet.program.run(&["sweep", "hourly"]).expect(0, &[]);
    let all = [
        "firing collector_low_success",
        "firing collector_no_host_reached",
        "resolved collector_no_host_reached",
        "resolved collector_low_success",
    ];
    assert_eq!(rules(&place.taken()), all);
}

#[tokio::test]
async fn the_daemons_courier_goes_on_until_it_is_stopped() {
    let place = Place::reserve();
    let fleet = fleet(&place);
    let settings = fleet.settings();
    fs::create_dir(&settings.state_dir).unwrap();
    let now = CollectorTime::from_unix_s(chrono::Utc::now().timestamp());
    let happened = |alert: OwnAlert, detail: &str| {
        let trouble = Trouble { alert, schedule: "hourly".to_owned(), detail: detail.to_owned() };
        let raised = raise(&settings, &[trouble], now, &Unkept::default()).unwrap();
        assert!(raised.remarks.is_empty() && raised.unsaved.is_empty());
    };
    happened(OwnAlert::SweepMissed, "due at 10:00, and down until 10:20");
    let (stop, wake) = (Stop::default(), Arc::new(Notify::new()));
    let running = tokio::spawn({
        let (courier, stop, wake) = (Courier::new(&settings, None), stop.clone(), Arc::clone(&wake));
        async move { courier.run(&stop, wake).await }
    });
    let arrived = async |count: usize| {
        let limit = Instant::now() + Duration::from_secs(60);
        while place.taken().len() < count {
            assert!(Instant::now() < limit, "no {count} messages within a minute");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let _server = place.open(TAKES);
    arrived(1).await;
    happened(OwnAlert::SweepFailed, "the disk is full");
    // Missed again is no news.
    happened(OwnAlert::SweepMissed, "due at 11:00, and down until 11:20");
    wake.notify_one();
    arrived(2).await;
    stop.finish();
    tokio::time::timeout(Duration::from_secs(60), running).await.unwrap().unwrap().unwrap();
    let details: Vec<Value> = place.taken().iter().map(|it| it.json()["detail"].clone()).collect();
    assert_eq!(details, ["due at 10:00, and down until 10:20", "the disk is full"]);
    // The next sweep of that schedule is the end of both.
    fleet.program.run(&["sweep", "hourly"]).expect(0, &[]);
    assert_eq!(place.taken().len(), 4);
    fleet.program.run(&["alerts"]).expect(0, &["no incident is open and no message waits"]);
}

const TOKEN: &str = "t0ken-s3cret";

#[test]
fn every_kind_is_tested_over_tls_and_no_secret_is_shown() {
    let mut fleet = Fleet::new(&["a"]);
    let folder = fleet.program.dir().join("tls");
    fs::create_dir(&folder).unwrap();
    let place = Place::reserve().over_tls(&folder);
    let _server = place.open(TAKES);
    fs::write(folder.join("token"), format!("{TOKEN}\n")).unwrap();
    fs::write(folder.join("url"), place.url("/services/s3cret")).unwrap();
    for name in ["token", "url"] {
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let tls = "ca_file = \"tls/ca.pem\"\nclient_cert = \"tls/client.pem\"\nclient_key = \"tls/client.key\"";
    fleet.program.configure(&format!(
        "[[receiver]]\nname = \"am\"\nkind = \"alertmanager\"\nurl = {:?}\n{tls}\nlabels = {{ team = \"ops\" }}\n\
         [[receiver]]\nname = \"chat\"\nkind = \"slack\"\nurl_file = \"credential:url\"\n{tls}\n\
         [[receiver]]\nname = \"hook\"\nkind = \"webhook\"\nurl = {:?}\ntoken_file = \"credential:token\"\n{tls}\n\
         template = '{{\"title\": \"{{{{summary}}}}\", \"count\": {{{{count}}}}}}'\n\
         [[receiver]]\nname = \"open\"\nkind = \"webhook\"\nurl = {:?}\n[alerts]\ntimeout = \"20s\"",
        place.url(""),
        place.url("/hidden/s3cret?a=b"),
        place.url("/hidden/s3cret"),
    ));
    let mut command = fleet.program.command(&["alerts", "test", "am", "chat", "hook", "-vv"]);
    command.env("CREDENTIALS_DIRECTORY", &folder);
    let tested = ran(command);
    tested.expect(0, &[]);
    assert_eq!(tested.out, "am: took it\nchat: took it\nhook: took it\n");
    let requests = place.taken();
    let lines: Vec<&str> = requests.iter().map(|it| it.line.as_str()).collect();
    let [am, chat, hook] = ["/api/v2/alerts", "/services/s3cret", "/hidden/s3cret?a=b"]
        .map(|path| format!("POST {path} HTTP/1.1"));
    assert_eq!(lines, [am, chat, hook]);
    assert_eq!(requests[0].json()[0]["labels"]["team"], "ops");
    assert!(requests[1].json()["text"].as_str().unwrap().contains("dropsonde_test: alerts reach you"));
    assert_eq!(requests[2].json()["count"], 0);
    let authorized: Vec<Option<&str>> = requests.iter().map(|it| it.header("authorization")).collect();
    assert_eq!(authorized, [None, None, Some(&*format!("Bearer {TOKEN}"))]);

    // Without the CA, without a credential, with a name that is none.
    let refused = fleet.program.run(&["alerts", "test", "--json", "-vv"]);
    refused.expect(3, &[]);
    let answers = refused.json()["receivers"].as_array().unwrap().clone();
    let error = |nth: usize| answers[nth]["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(answers[0]["ok"], Value::Bool(true));
    assert!(error(1).contains("there is no credential url"), "{}", error(1));
    assert!(error(3).contains("certificate"), "{}", error(3));
    fleet.program.run(&["alerts", "test", "opne"]).expect(2, &["did you mean open?"]);
    let shown = fleet.program.run(&["config", "show"]);
    assert!(shown.out.contains("receiver.hook.url") && shown.out.contains("/…\""), "{}", shown.out);
    for ran in [&tested, &refused, &shown] {
        assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{ran:?}");
    }
}
