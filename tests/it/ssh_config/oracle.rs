//! Hundreds of configurations that nobody wrote, and every rule by itself.

use std::path::PathBuf;
use std::sync::Mutex;
use std::thread;

use super::Bench;
use super::generate::{HOSTS, configuration};

const CONFIGURATIONS: u64 = 330;
/// Beside other tests on two cores more only wait for each other.
const THREADS: u64 = 3;

/// `DROPSONDE_TEST_SEED` moves all of them elsewhere; a failure names the one that it found.
#[test]
fn ssh_and_we_read_generated_configurations_alike() {
    let first: u64 =
        std::env::var("DROPSONDE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0);
    let wrong = Mutex::new(Vec::new());
    let asked = Mutex::new((0, 0));
    thread::scope(|scope| {
        for part in 0..THREADS {
            let (wrong, asked) = (&wrong, &asked);
            scope.spawn(move || {
                for seed in (first + part..first + CONFIGURATIONS).step_by(THREADS as usize) {
                    let (found, agreed) = check(seed);
                    wrong.lock().unwrap().extend(found);
                    let mut asked = asked.lock().unwrap();
                    *asked = (asked.0 + 1, asked.1 + agreed);
                }
            });
        }
    });
    let (wrong, (configurations, agreed)) = (wrong.into_inner().unwrap(), asked.into_inner().unwrap());
    assert_eq!(configurations, CONFIGURATIONS);
    assert!(wrong.is_empty(), "{} differ, the first:\n{}", wrong.len(), wrong.join("\n=====\n"));
    // Configurations that both refuse would agree about nothing.
    assert!(agreed > CONFIGURATIONS as usize * 2, "only {agreed} hosts had an answer");
}

/// What differs, and how many hosts both have values for.
fn check(seed: u64) -> (Vec<String>, usize) {
    let bench = Bench::new();
    let texts = configuration(seed);
    let dir = bench.dir.path().display().to_string();
    let texts: Vec<String> = texts.iter().map(|text| text.replace("DIR", &dir)).collect();
    let files: Vec<PathBuf> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| {
            let name = if number == 0 { "config".to_owned() } else { format!("part{}", number - 1) };
            bench.file(&name, text)
        })
        .collect();
    let mut wrong = Vec::new();
    let mut agreed = 0;
    for offset in 0..3 {
        let host = HOSTS[(seed as usize + offset) % HOSTS.len()];
        match bench.differences(&files[..1], host) {
            Ok(differences) if differences.is_empty() => agreed += 1,
            Ok(differences) => {
                wrong.push(format!("seed {seed}, {host}: {differences:#?}\n{}", texts.join("\n--\n")))
            }
            Err(error) => wrong.push(format!("seed {seed}, {host}: {error}\n{}", texts.join("\n--\n"))),
        }
    }
    (wrong, agreed)
}
