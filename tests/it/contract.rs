//! The remote contract against real shells, real processes and a real sshd.

use std::process::Stdio;

use crate::support::sshd::{Setup, Sshd, Userland};

#[test]
fn sshd_serves_every_userland() {
    for userland in [
        None,
        Some(Userland::default()),
        Some(Userland { busybox: true, ..Userland::default() }),
        Some(Userland {
            shell: Some("/usr/bin/bash".into()),
            without: vec!["gzip"],
            login_noise: Some("hi $HOME".into()),
            ..Userland::default()
        }),
    ] {
        for fleet in [false, true] {
            let sshd = Sshd::start(Setup { userland: userland.clone(), fleet, ..Setup::default() });
            let address = if fleet { "127.4.5.6" } else { "127.0.0.1" };
            let out = sshd
                .ssh(address)
                .arg("ls -l /proc/$$/exe; command -v gzip; ls -l /bin/sh")
                .stderr(Stdio::inherit())
                .output()
                .expect("ssh");
            assert!(out.status.success());
        }
    }
}
