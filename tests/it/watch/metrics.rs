//! What other monitoring reads: a file of samples, and the collector about itself.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use dropsonde::collect::Stop;
use dropsonde::config::Listen;
use dropsonde::model::CollectorTime;
use dropsonde::watch::{Listener, collector_metrics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::Fleet;
use crate::support::patience::wait_until;
use crate::unattended::process::Daemon;

/// `name{labels}` and the value of each line that is no comment; every family is announced before it.
fn samples(text: &str) -> Vec<(String, f64)> {
    let mut announced = Vec::new();
    let mut samples = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            announced.push(rest.split(' ').next().unwrap().to_owned());
        }
        if line.starts_with('#') {
            continue;
        }
        // A time would be a further word.
        let (series, value) = line.rsplit_once(' ').unwrap();
        let name = series.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known = |name: &str| announced.iter().any(|family| family == name);
        assert!(known(name) || family.is_some_and(known), "{line} has no TYPE");
        assert!(!series.contains("} "), "{line} has a time");
        samples.push((series.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}"))));
    }
    samples
}

fn value(text: &str, series: &str) -> f64 {
    let found: Vec<f64> = samples(text).iter().filter(|it| it.0 == series).map(|it| it.1).collect();
    assert_eq!(found.len(), 1, "{series} in {text}");
    found[0]
}

#[test]
fn the_newest_samples_stand_in_a_file_that_is_replaced_whole() {
    let mut fleet = Fleet::new(&["a", "b"]);
    let folder = fleet.program.dir().join("textfile");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("dropsonde.prom");
    fleet.program.configure(&format!(
        "[[schedule]]\nname = \"own\"\ncron = \"@daily\"\nprobes = [\"hello\"]\nhosts = \"a\"\n\
         [metrics]\ntextfile = {file:?}\ntextfile_metrics = \"hello_*  node_*\""
    ));
    fleet.load("b", "4.5");
    fleet.program.run(&["sweep", "hourly"]).expect(0, &[]);
    fleet.program.run(&["sweep", "own"]).expect(0, &[]);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&text, "dropsonde_hello_value{host=\"b\",probe=\"load\"}"), 4.5);
    assert_eq!(value(&text, "dropsonde_hello_value{host=\"a\",probe=\"hello\"}"), 1.0);
    assert_eq!(samples(&text).len(), 3);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);

    fleet.load("b", "5");
    fleet.program.run(&["sweep", "hourly"]).expect(0, &[]);
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(value(&text, "dropsonde_hello_value{host=\"b\",probe=\"load\"}"), 5.0);
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");

    // What somebody left who was killed goes; what is still being written stays, and so does what is not ours.
    let (dead, alive, other) =
        (folder.join("dropsonde.prom.4711.new"), folder.join("dropsonde.prom.abc.new"), "x.new");
    for name in [&dead, &alive, &folder.join(other)] {
        fs::write(name, "half").unwrap();
    }
    let held = fs::File::open(&alive).unwrap();
    held.lock().unwrap();
    fleet.program.run(&["sweep", "hourly"]).expect(0, &[]);
    assert!(!dead.exists() && alive.exists() && folder.join(other).exists());
    drop(held);

    // A place that is gone is said, and the sweep is as good as ever.
    fs::rename(&folder, folder.with_extension("gone")).unwrap();
    let said = ["the textfile is that of an earlier sweep", "textfile/dropsonde.prom"];
    fleet.program.run(&["sweep", "hourly"]).expect(0, &said);
}

/// Whoever reads it refuses the whole file for one line that two could have written: a label given twice, a
/// name that is reserved, a histogram's line under another family's name.
fn assert_told_apart(text: &str) {
    let mut families: Vec<(String, &str)> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            families.push((name.to_owned(), kind));
            continue;
        }
        let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) else { continue };
        let names: Vec<&str> = labels.split("=\"").map(|it| it.rsplit([',', '"']).next().unwrap()).collect();
        let names = &names[..names.len() - 1];
        let distinct: std::collections::BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len(), "{line}");
        assert!(!distinct.contains("__name__"), "{line}");
    }
    for (name, _) in families.iter().filter(|it| it.1 == "histogram") {
        for suffix in ["_bucket", "_sum", "_count"] {
            let own = format!("{name}{suffix}");
            assert!(families.iter().all(|it| it.0 != own), "{own} is a family, too: {text}");
        }
    }
}

#[test]
fn no_host_can_make_the_file_unreadable_for_all_others() {
    let mut fleet = Fleet::new(&["a"]);
    let file = fleet.program.dir().join("dropsonde.prom");
    let lines = [
        r#"hello_value{host="x",exported_host="y",exported_exported_host="z"} 1"#,
        r#"hello_value{__name__="up"} 2"#,
        "# TYPE forged histogram",
        r#"forged_bucket{le="+Inf"} 2"#,
        "forged_sum 2",
        "forged_count 2",
    ];
    let script = format!("cat <<'END'\n{}\nEND", lines.join("\n"));
    fleet.program.probe("forger", &script, "format = \"openmetrics\"");
    let script = "cat <<'END'\n# TYPE forged_count gauge\nforged_count 3\nEND";
    fleet.program.probe("other", script, "format = \"openmetrics\"");
    fleet.program.configure(&format!(
        "[[schedule]]\nname = \"own\"\ncron = \"@daily\"\nprobes = [\"forger\", \"other\"]\n\
         [metrics]\ntextfile = {file:?}"
    ));
    fleet.program.run(&["sweep", "own"]).expect(0, &[]);
    let text = fs::read_to_string(&file).unwrap();
    assert_told_apart(&text);
    let labels = "host=\"a\",probe=\"forger\",exported_exported_exported_host=\"z\",exported_exported_host=\"y\",exported_host=\"x\"";
    assert_eq!(value(&text, &format!("dropsonde_hello_value{{{labels}}}")), 1.0);
    let exported = fleet.program.run(&["export", "--format", "openmetrics"]);
    assert_told_apart(&exported.expect(0, &[]).out);
    assert!(exported.out.contains("exported___name__=\"up\""), "{}", exported.out);
}

/// Schedules that end together, under the unit's umask: whoever reads has the whole file each time.
#[test]
fn schedules_that_end_together_leave_a_whole_file() {
    let mut fleet = Fleet::new(&["a", "b"]);
    let folder = fleet.program.dir().join("textfile");
    fs::create_dir(&folder).unwrap();
    let file = folder.join("dropsonde.prom");
    fleet.program.configure(&format!("[metrics]\ntextfile = {file:?}"));
    for nth in 0..4 {
        fleet.program.probe(
            &format!("many{nth}"),
            "i=0; while [ $i -lt 3000 ]; do echo \"hello_value{n=\\\"$i\\\"} 1\"; i=$((i+1)); done",
            "format = \"openmetrics\"",
        );
        fleet.program.configure(&format!(
            "[[schedule]]\nname = \"s{nth}\"\ncron = \"* * * * * *\"\nprobes = [\"many{nth}\"]"
        ));
    }
    let wanted = fleet.program.command(&["daemon"]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "umask 077; exec \"$@\"", "sh"]).arg(wanted.get_program()).args(wanted.get_args());
    command.env_clear().stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    command.envs(wanted.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let daemon = Daemon::spawn(command, &fleet.program);
    let swept = || (0..4).map(|nth| daemon.log().matches(&format!(" of s{nth}: 2/2 ok")).count()).min();
    let mut largest = 0;
    wait_until("each schedule ran four times", || {
        if let Ok(text) = fs::read_to_string(&file) {
            let count = samples(&text).len();
            assert!(text.ends_with('\n') && count >= largest, "{count} after {largest}");
            largest = count;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
        }
        swept() >= Some(4)
    });
    let log = daemon.stop();
    assert!(!log.contains("the textfile is that of an earlier sweep"), "{log}");
    assert!(largest >= 4 * 2 * 3_000, "{largest}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left there");
}

/// What is answered to `request`.
async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(60), stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    answer
}

async fn bound(listen: &Listen) -> Listener {
    Listener::bind(listen).await.unwrap().unwrap()
}

#[tokio::test]
async fn the_collector_answers_for_itself_and_cannot_be_held_up() {
    let fleet = Fleet::new(&["a", "b"]);
    fs::remove_file(fleet.folder("a").join("load")).unwrap();
    fleet.program.run(&["sweep", "hourly"]).expect(3, &[]);
    let settings = fleet.settings();
    let listener = bound(&Listen::Tcp(([127, 0, 0, 1], 0).into())).await;
    let address = listener.address();
    let stop = Stop::default();
    let started = CollectorTime::from_unix_s(1_800_000_000);
    let answer: dropsonde::watch::Answer = Arc::new(move || collector_metrics(&settings, started));
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { listener.serve(answer, &stop).await }
    });
    // Some say nothing and stay.
    let mut idle = Vec::new();
    for _ in 0..7 {
        idle.push(TcpStream::connect(&address).await.unwrap());
    }
    let get = async |request: String| ask(TcpStream::connect(&address).await.unwrap(), &request).await;
    let answer = get(format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\n\r\n")).await;
    let (head, text) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}\r\n", text.len())), "{head}");
    assert_eq!(value(text, "dropsonde_state_readable"), 1.0);
    assert_eq!(value(text, "dropsonde_hosts"), 2.0);
    assert_eq!(value(text, "dropsonde_start_time_seconds"), 1.8e9);
    assert_eq!(value(text, "dropsonde_sweeps{trigger=\"scheduled\"}"), 1.0);
    let readings = |outcome: &str| {
        value(text, &format!("dropsonde_last_sweep_readings{{schedule=\"hourly\",outcome=\"{outcome}\"}}"))
    };
    assert_eq!(["ok", "failed", "skipped"].map(readings), [1.0, 1.0, 0.0]);
    assert!(value(text, "dropsonde_state_free_bytes") > 0.0 && value(text, "process_open_fds") > 3.0);
    let head = get("HEAD /metrics HTTP/1.1\r\n\r\n".to_owned()).await;
    assert!(head.starts_with("HTTP/1.1 200") && head.ends_with("\r\n\r\n"), "{head}");
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(9_000));
    for (request, status) in [
        ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
        ("GET /state HTTP/1.1\r\n\r\n", "404"),
        ("GET /metrics HTTP/1.1\r\nHost: pages.example\r\n\r\n", "421"),
        ("nonsense\r\n\r\n", "400"),
        (&long, "431"),
    ] {
        let answer = get(request.to_owned()).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
    stop.finish();
    tokio::time::timeout(Duration::from_secs(60), serving).await.unwrap().unwrap();
    assert!(TcpStream::connect(&address).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_socket_is_taken_over_from_the_dead_and_goes_with_its_listener() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.sock");
    // Left behind by somebody who is gone.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let listen = Listen::Unix(path.clone());
    let listener = bound(&listen).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let error = Listener::bind(&listen).await.unwrap_err().to_string();
    assert!(error.contains("metrics.sock"), "{error}");
    let stop = Stop::default();
    let serving = tokio::spawn({
        let stop = stop.clone();
        async move { listener.serve(Arc::new(|| "up 1\n".to_owned()), &stop).await }
    });
    let request = "GET /metrics HTTP/1.1\r\nHost: whatever\r\n\r\n";
    let answer = ask(UnixStream::connect(&path).await.unwrap(), request).await;
    assert!(answer.ends_with("\r\n\r\nup 1\n"), "{answer}");
    stop.finish();
    tokio::time::timeout(Duration::from_secs(60), serving).await.unwrap().unwrap();
    assert!(!Path::new(&path).exists());
}
