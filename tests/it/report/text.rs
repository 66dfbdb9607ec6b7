//! What stands in the file.

use super::sample::{Sample, moment};

#[test]
fn dump() {
    let dir = std::path::Path::new("/tmp/report");
    std::fs::create_dir_all(dir).unwrap();
    let web = |n: usize| format!("web{n:03}.eu.example");
    let long =
        |n: usize| format!("a-rather-long-host-name-of-role-{n}.zone-eu-central-1.compute.internal.example");
    for (name, sample) in [
        ("48", Sample::fleet(48, 48, 5, web)),
        ("48w", Sample::fleet(48, 168, 14, web)),
        ("500", Sample::fleet(500, 168, 14, long)),
        ("12", Sample::fleet(12, 30, 3, web)),
        ("1", Sample::fleet(1, 1, 0, web).lack()),
        ("calm", Sample::fleet(48, 48, 0, web)),
        (
            "hostile",
            Sample::fleet(48, 48, 3, web).hostile("</svg><script>alert(1)</script>\u{202e}x\u{7}\"'&"),
        ),
    ] {
        let page = sample.page();
        eprintln!("{name}: {} bytes", page.len());
        std::fs::write(dir.join(format!("{name}.html")), page).unwrap();
    }
    let _ = moment(0);
}
