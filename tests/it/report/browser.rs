//! How the page lies in a real browser: at the width of a telephone, a tablet and a screen, light and dark,
//! with few hosts and many. Nothing may be cut, lie on something else, or be too faint to read.

use serde_json::Value;

use super::chromium::Chromium;
use super::sample::Sample;

const CSP: &str =
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">";

const WIDTHS: [u32; 3] = [360, 768, 1440];

/// Loads the page at each width. What looks at it is a script, so the copy has one and lacks the policy that
/// would keep it from running.
fn measured(page: &str, dark: bool) -> Vec<Value> {
    measured_at(&WIDTHS, page, dark)
}

fn measured_at(at: &[u32], page: &str, dark: bool) -> Vec<Value> {
    assert_eq!(page.matches(CSP).count(), 1, "the policy that this replaces");
    let chromium = Chromium::new();
    let script = format!("<script>{}</script>", include_str!("measure.js"));
    chromium.put("page.html", &page.replacen(CSP, &script, 1));
    let frame = |width| format!("<iframe src=\"page.html\" width=\"{width}\" height=\"800\"></iframe>");
    let frames: String = at.iter().map(frame).collect();
    let harness = format!(
        "<!DOCTYPE html><meta charset=\"utf-8\"><style>iframe{{border:0}}</style><pre id=\"found\"></pre>
         <script>const all = [];
         addEventListener('message', (it) => {{
             all.push(it.data);
             document.getElementById('found').textContent = encodeURIComponent(JSON.stringify(all));
         }});</script>{frames}"
    );
    let harness = chromium.put("harness.html", &harness);
    let document = chromium.document(&harness, dark);
    let found = document.split("<pre id=\"found\">").nth(1).expect("the answers");
    let found = decode(found.split('<').next().expect("an end"));
    let mut answers: Vec<Value> =
        serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {document}"));
    answers.sort_by_key(|it| it["width"].as_u64());
    let widths: Vec<Option<u64>> = answers.iter().map(|it| it["width"].as_u64()).collect();
    assert_eq!(widths, at.iter().map(|width| Some(u64::from(*width))).collect::<Vec<_>>());
    answers
}

/// What encodeURIComponent made.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let hex = |byte: Option<u8>| char::from(byte.unwrap_or(b'0')).to_digit(16).unwrap_or(0) as u8;
        bytes.push(if byte == b'%' { hex(rest.next()) * 16 + hex(rest.next()) } else { byte });
    }
    String::from_utf8(bytes).expect("UTF-8")
}

pub fn check(what: &str, page: &str, least: u64) {
    for dark in [false, true] {
        for answer in measured(page, dark) {
            let wrong = answer["wrong"].as_array().expect("a list");
            let at = format!("{what}, {} pixels, dark: {dark}", answer["width"]);
            assert!(wrong.is_empty(), "{at}: {} wrong: {:#?}", wrong.len(), &wrong[..wrong.len().min(12)]);
            assert_eq!(answer["foreign"], 0, "{at}");
            assert!(
                answer["texts"].as_u64().is_some_and(|texts| texts >= least),
                "{at}: {}",
                answer["texts"]
            );
        }
    }
}

pub fn web(n: usize) -> String {
    format!("web{n:02}.eu.example")
}

/// As cloud providers name them.
fn long(n: usize) -> String {
    format!("ip-10-{}-{}-17.zone-{}.compute.internal", n / 7, n * 37 % 251, n % 3)
}

#[test]
fn a_usual_fleet() {
    check("48 hosts", &Sample::fleet(48, 48, 5, web).page(), 200);
}

#[test]
fn a_small_fleet_and_a_week() {
    check("12 hosts", &Sample::fleet(12, 168, 14, long).page(), 200);
}

#[test]
fn five_hundred_hosts() {
    check("500 hosts", &Sample::fleet(500, 168, 14, long).page(), 500);
}

#[test]
fn a_crowd_is_a_hill_and_not_a_dot_for_each_host() {
    let page = Sample::fleet(4_000, 30, 3, web).page();
    check("4,000 hosts", &page, 200);
    assert_eq!(page.matches("class=\"crowd\"").count(), 3);
    assert!(page.len() < 400 << 10, "{} bytes", page.len());
}

#[test]
fn one_host_and_nothing_to_compare() {
    check("1 host", &Sample::fleet(1, 1, 0, web).lack().page(), 20);
}

#[test]
fn nothing_differs() {
    check("no findings", &Sample::fleet(48, 48, 0, web).page(), 20);
}

#[test]
fn names_that_would_be_markup_are_names() {
    let text = "</svg></style></title></code><script>document.title='taken'</script><img src=x onerror=a>\u{202e}\u{7}\"'&";
    let page = Sample::fleet(48, 48, 3, web).hostile(text).page();
    check("hostile", &page, 200);
    for answer in measured(&page, false) {
        assert_eq!(answer["title"], "8 of 48 hosts differ · dropsonde");
    }
}

#[test]
fn with_its_policy_the_page_runs_nothing() {
    let chromium = Chromium::new();
    let page = Sample::fleet(12, 30, 1, web).page();
    let run = |page: &str| {
        let script = "<script>document.title = 'taken'</script></body>";
        let path = chromium.put("policy.html", &page.replacen("</body>", script, 1));
        chromium.document(&path, false).contains("<title>taken</title>")
    };
    assert!(run(&page.replacen(CSP, "", 1)), "without the policy a script does run");
    assert!(!run(&page));
}

#[test]
fn what_is_wrong_is_found() {
    let page = Sample::fleet(48, 48, 1, web).page();
    let found = |from: &str, to: &str| {
        assert!(page.contains(from), "{from}");
        let answers = measured(&page.replace(from, to), false);
        answers.iter().map(|it| it["wrong"].to_string()).collect::<Vec<_>>().join(" ")
    };
    let has = |from: &str, to: &str, what: &str| {
        let wrong = found(from, to);
        assert!(wrong.contains(what), "{to}: {what} is not in {wrong}");
    };
    has("text-anchor=\"end\"", "text-anchor=\"start\"", "leaves its drawing sideways");
    has("<strong>", "<strong style=\"white-space:pre;padding-left:90em\">", "leaves the page");
    has("--dim:#5a6172", "--dim:#c5c8d0", "little contrast");
    has(
        "svg text{fill:var(--dim);font-size:12px}",
        "svg text{fill:var(--dim);font-size:28px}",
        "pixels high",
    );
    has("body{margin", "body{min-width:2000px;margin", "scrolls sideways");
}

#[test]
fn it_prints() {
    let chromium = Chromium::new();
    let path = chromium.put("print.html", &Sample::fleet(48, 48, 3, web).page());
    let sheets = chromium.sheets(&path);
    assert!((2..=8).contains(&sheets), "{sheets} sheets");
    // Paper cannot be scrolled: with the rules for paper the page is laid on the width of a sheet.
    let page = Sample::fleet(48, 168, 14, long).page();
    assert_eq!(page.matches("@media print").count(), 1);
    let page = page.replace("@media print", "@media all").replace("class=\"scroll\"", "");
    for answer in measured_at(&[700], &page, false) {
        assert_eq!(answer["wrong"], Value::Array(Vec::new()));
    }
}
