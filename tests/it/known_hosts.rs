//! known_hosts as OpenSSH writes and reads it: `ssh-keygen` is the oracle.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::BASE64;
use dropsonde::transport::known_hosts::{HostId, KeyTypes, KnownHosts, Verdict, append, fingerprint, remain};

use crate::support::patience::cpu_time_of;

/// A key blob that is as good as any for comparing: its type, and `seed` for its bytes.
fn blob(kind: &str, seed: u32) -> Vec<u8> {
    let mut blob = Vec::new();
    for field in [kind.as_bytes(), &[seed.to_be_bytes(); 8].concat()] {
        blob.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        blob.extend(field);
    }
    blob
}

fn line(names: &str, kind: &str, seed: u32) -> String {
    format!("{names} {kind} {}", BASE64.encode(&blob(kind, seed)))
}

fn load(text: &str) -> (tempfile::TempDir, KnownHosts) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    fs::write(&file, text).unwrap();
    let hosts = KnownHosts::load(&[file]);
    (dir, hosts)
}

/// The verdict in one word, and the line that it names.
fn judge(hosts: &KnownHosts, address: &str, port: u16, key: &[u8]) -> (&'static str, u32) {
    match hosts.verdict(&HostId::new(address, port), key) {
        Verdict::Known(place) => ("known", place.line),
        Verdict::Unknown { authority } => ("unknown", authority.map_or(0, |place| place.line)),
        Verdict::Changed { at, .. } => ("changed", at.line),
        Verdict::Revoked(place) => ("revoked", place.line),
    }
}

fn keygen(args: &[&str], file: &Path) -> String {
    let output = Command::new("ssh-keygen").args(args).arg("-f").arg(file).output().expect("ssh-keygen");
    String::from_utf8(output.stdout).unwrap()
}

const ED: &str = "ssh-ed25519";
const P256: &str = "ecdsa-sha2-nistp256";

#[test]
fn verdicts() {
    let text = [
        "# a comment".to_owned(),
        line("web01,web02.eu", ED, 1),
        line("[web01]:2222", ED, 2),
        line("*.dc1,!bad.dc1", ED, 3),
        format!("@cert-authority {}", line("*.ca", ED, 4)),
        format!("@revoked {}", line("*", ED, 5)),
        line("web03", ED, 5),
        line("web04", P256, 6).replace(' ', "\t"),
        line("web05", ED, 7),
        line("web05", ED, 8),
        line("UPPER", ED, 9),
    ]
    .join("\n");
    let (_dir, hosts) = load(&text);
    assert_eq!(hosts.warnings(), []);
    let check = |address: &str, port: u16, kind: &str, seed: u32, expected: (&str, u32)| {
        assert_eq!(judge(&hosts, address, port, &blob(kind, seed)), expected, "{address} {port} {seed}");
    };
    check("web01", 22, ED, 1, ("known", 2));
    check("WEB02.eu", 22, ED, 1, ("known", 2));
    check("web01", 22, ED, 2, ("changed", 2));
    check("web01", 2222, ED, 2, ("known", 3));
    check("web01", 2222, ED, 1, ("changed", 3));
    check("web02.eu", 2200, ED, 1, ("known", 2));
    check("web02.eu", 2200, ED, 2, ("unknown", 0));
    check("a.dc1", 22, ED, 3, ("known", 4));
    check("bad.dc1", 22, ED, 3, ("unknown", 0));
    check("a.ca", 22, ED, 4, ("unknown", 5));
    check("web03", 22, ED, 5, ("revoked", 6));
    check("stranger", 2200, ED, 5, ("revoked", 6));
    check("web04", 22, P256, 6, ("known", 8));
    check("web04", 22, ED, 6, ("changed", 8));
    check("web05", 22, ED, 8, ("known", 10));
    check("upper", 22, ED, 9, ("known", 11));
    check("stranger", 22, ED, 1, ("unknown", 0));
    assert_eq!(hosts.key_types(&HostId::new("web04", 22)), KeyTypes::named(P256.as_bytes()));
    assert!(hosts.key_types(&HostId::new("stranger", 22)).is_empty());
}

#[test]
fn a_bad_line_is_a_warning_and_the_rest_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (good, missing) = (dir.path().join("good"), dir.path().join("missing"));
    let mut text =
        b"web00 ssh-ed25519 !!!\nweb01 1024 35 99\n\xff\xfe ssh-ed25519 AAAA\n@huh x y z\n".to_vec();
    text.extend(line("web02", ED, 2).bytes());
    text.extend(b" caf\xe9 \xff\n\n");
    fs::write(&good, text).unwrap();
    let hosts = KnownHosts::load(&[missing, good.clone(), dir.path().to_owned()]);
    let lines: Vec<Option<u32>> = hosts.warnings().iter().map(|warning| warning.line).collect();
    assert_eq!(lines, [Some(1), Some(2), Some(3), Some(4), None]);
    let expected = format!("{}:1 is ignored: its key is not base64", good.display());
    assert_eq!(hosts.warnings()[0].to_string(), expected);
    assert_eq!(judge(&hosts, "web02", 22, &blob(ED, 2)), ("known", 5));
}

/// Everything that ssh-keygen finds, we find on the same line; what it does not find, neither do we.
#[test]
fn ssh_keygen_agrees_on_plain_and_hashed_files() {
    let names = ["web01", "[web01]:2222", "web02,10.0.0.2", "*.dc1,!bad.dc1", "web0?", "[10.0.0.3]:22022"];
    let text: String = names.iter().zip(1..).map(|(name, seed)| line(name, ED, seed) + "\n").collect();
    let (dir, _) = load(&text);
    let file = dir.path().join("known_hosts");
    for hashed in [false, true] {
        if hashed {
            keygen(&["-q", "-H"], &file);
            assert!(fs::read_to_string(&file).unwrap().contains("|1|"));
        }
        let hosts = KnownHosts::load(std::slice::from_ref(&file));
        assert_eq!(hosts.warnings(), []);
        for (address, port) in [
            ("web01", 22),
            ("web01", 2222),
            ("web02", 22),
            ("10.0.0.2", 22),
            ("a.dc1", 22),
            ("bad.dc1", 22),
            ("web09", 22),
            ("web010", 22),
            ("10.0.0.3", 22022),
            ("10.0.0.3", 22),
        ] {
            let id = HostId::new(address, port);
            let found = keygen(&["-F", id.as_str()], &file);
            let mut found_lines: Vec<u32> = found
                .lines()
                .filter_map(|line| line.rsplit_once("found: line ")?.1.trim().parse().ok())
                .collect();
            let text = fs::read_to_string(&file).unwrap();
            let mut ours: Vec<u32> = (1..=6)
                .filter_map(|seed| match hosts.verdict(&id, &blob(ED, seed)) {
                    Verdict::Known(place) => Some(place.line),
                    _ => None,
                })
                .collect();
            ours.sort_unstable();
            found_lines.sort_unstable();
            assert_eq!(ours, found_lines, "{} (hashed: {hashed}) in\n{text}", id.as_str());
        }
    }
}

#[test]
fn fingerprints_are_those_of_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let key = dir.path().join(kind);
        let made = Command::new("ssh-keygen").args(["-q", "-N", "", "-t", kind, "-f"]).arg(&key).status();
        assert!(made.expect("ssh-keygen").success());
        let public = fs::read_to_string(key.with_extension("pub")).unwrap();
        let blob = BASE64.decode(public.split(' ').nth(1).unwrap().as_bytes()).unwrap();
        let listed = keygen(&["-l"], &key.with_extension("pub"));
        assert_eq!(Some(fingerprint(&blob).as_str()), listed.split(' ').nth(1));
        assert_eq!(KeyTypes::of(&blob).len(), 1, "{kind}");
    }
}

#[test]
fn an_added_line_is_found_and_removed_by_ssh_keygen() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    append(&file, &[line("web01", ED, 1), line("[web01]:2222", ED, 2)]).unwrap();
    assert!(keygen(&["-F", "[web01]:2222"], &file).contains("found: line 2"));
    keygen(&["-R", "[web01]:2222"], &file);
    let hosts = KnownHosts::load(&[file]);
    assert_eq!(judge(&hosts, "web01", 22, &blob(ED, 1)), ("known", 1));
    assert_eq!(judge(&hosts, "web01", 2222, &blob(ED, 2)), ("unknown", 0));
}

/// `ssh-keygen -R` reads the file, writes another and puts it in the first one's place, without a lock.
#[test]
fn what_was_added_beside_ssh_keygen_is_there_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("known_hosts");
    let lines: Vec<String> = (0..40).map(|n| line(&format!("web{n}"), ED, n)).collect();
    append(&file, &lines[..1]).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                // What it looks for must be there, or it leaves the file alone.
                append(&file, &[line("gone", ED, 99)]).unwrap();
                keygen(&["-R", "gone"], &file);
            }
        });
        for line in &lines {
            append(&file, std::slice::from_ref(line)).unwrap();
        }
        // As it does to whatever comes between its reading and its writing.
        let text = fs::read_to_string(&file).unwrap();
        let less: String =
            text.lines().filter(|it| !it.starts_with("web7 ")).map(|it| format!("{it}\n")).collect();
        fs::write(dir.path().join("new"), less).unwrap();
        fs::rename(dir.path().join("new"), &file).unwrap();
        remain(&file, &lines).unwrap();
        done.store(true, Ordering::SeqCst);
    });
    let text = fs::read_to_string(&file).unwrap();
    let missing: Vec<&String> = lines.iter().filter(|line| !text.lines().any(|it| it == *line)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(text.lines().filter(|it| it.starts_with("web")).count(), 40, "{text}");
}

/// A fleet's file: read once, and then a known host must cost next to nothing. The limits are ten
/// times what a busy two-core machine took, so that only a scan per lookup can pass them.
#[test]
fn ten_thousand_hashed_lines_are_no_burden() {
    let text: String = (0..10_000).map(|n| line(&format!("host{n:05}.example"), ED, n) + "\n").collect();
    let (dir, _) = load(&text);
    let file = dir.path().join("known_hosts");
    keygen(&["-q", "-H"], &file);
    let mut loaded = None;
    let loading = cpu_time_of(|| loaded = Some(KnownHosts::load(&[file])));
    let hosts = loaded.unwrap();
    assert_eq!(hosts.hashed_lines(), 10_000);

    let known = cpu_time_of(|| {
        for n in 0..10_000 {
            let id = HostId::new(&format!("host{n:05}.example"), 22);
            assert!(matches!(hosts.recognise(&id, &blob(ED, n)), Some(Verdict::Known(_))));
        }
    }) / 10_000;
    let unknown = cpu_time_of(|| assert_eq!(judge(&hosts, "stranger", 22, &blob(ED, 1)).0, "unknown"));
    assert!(loading < Duration::from_millis(500), "{loading:?}");
    assert!(known < Duration::from_micros(100), "{known:?}");
    assert!(unknown < Duration::from_millis(500), "{unknown:?}");
}
