//! ClusterShell is the oracle: what it expands and folds, this crate expands and folds alike. The
//! tests fail, and do not skip, where the Debian package `clustershell` is missing.

use std::io::Write as _;
use std::process::{Command, Stdio};

use dropsonde::select::{expand, fold};

/// Reads an expression a line and answers with its folding, a tab and its names, or `error`. One
/// process for all: starting one takes longer than a thousand answers.
const ORACLE: &str = r#"
import sys
from ClusterShell.NodeSet import NodeSet, NodeSetException, RESOLVER_NOGROUP
for line in sys.stdin:
    try:
        nodes = NodeSet(line.rstrip("\n"), resolver=RESOLVER_NOGROUP)
        print("%s\t%s" % (nodes, " ".join(nodes)))
    except (NodeSetException, ValueError):  # a[1-2-3-4-5] escapes its own error class
        print("error")
"#;

/// The interpreter that Debian's package installs ClusterShell for; another may stand first on PATH.
const PYTHON: &str = "/usr/bin/python3";

#[derive(Debug, Clone, PartialEq, Eq)]
struct Answer {
    folded: String,
    /// Sorted: our order is the order given, ClusterShell's is its own.
    names: Vec<String>,
}

fn ask_oracle(expressions: &[String]) -> Vec<Option<Answer>> {
    let mut child = Command::new(PYTHON)
        .args(["-c", ORACLE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("start /usr/bin/python3");
    let mut stdin = child.stdin.take().expect("a piped stdin");
    let mut input = expressions.join("\n");
    input.push('\n');
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("read the answers");
    assert!(output.status.success(), "the oracle failed: install the package clustershell");
    writer.join().expect("no panic").expect("hand over the expressions");
    let text = String::from_utf8(output.stdout).expect("UTF-8 answers");
    let answers: Vec<_> = text.lines().map(read_answer).collect();
    assert_eq!(answers.len(), expressions.len());
    answers
}

fn read_answer(line: &str) -> Option<Answer> {
    let (folded, names) = line.split_once('\t')?;
    Some(Answer { folded: folded.to_owned(), names: sorted(names.split_whitespace().map(str::to_owned)) })
}

fn our_answer(expression: &str) -> Result<Answer, String> {
    let names = expand(expression).map_err(|error| error.to_string())?;
    Ok(Answer { folded: fold(&names), names: sorted(names) })
}

fn sorted(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names
}

/// A generator that gives the same expressions on every machine (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len() as u64) as usize]
    }

    /// `7`, `01-12`, `98-103`, `0-20/5`; within one width if `even`.
    fn range(&mut self, even: bool) -> String {
        let first = match self.below(4) {
            0 => self.below(4),
            1 => 7 + self.below(5),
            2 => 95 + self.below(10),
            _ => self.below(40),
        };
        let last = first + self.below(9);
        let width = if even || self.one_in(3) { 2 + self.below(2) as usize } else { 0 };
        let width = if last > 99 && width == 2 { 3 } else { width };
        match self.below(5) {
            0 => format!("{first:0width$}"),
            1 => {
                let step = 1 + self.below(4);
                format!("{first:0width$}-{last:0width$}/{step}")
            }
            2 => format!(" {first:0width$} - {last:0width$} "),
            _ => format!("{first:0width$}-{last:0width$}"),
        }
    }

    fn bracket(&mut self, even: bool) -> String {
        let ranges: Vec<String> = (0..=self.below(3)).map(|_| self.range(even)).collect();
        format!("[{}]", ranges.join(","))
    }

    /// A number that stands alone or a bracket.
    fn number(&mut self) -> String {
        match self.below(6) {
            0 => self.below(12).to_string(),
            1 => format!("{:02}", self.below(12)),
            2 => format!("{}{}", self.below(3), self.bracket(true)),
            3 => format!("[{}-{}]0", self.below(3), 3 + self.below(3)),
            _ => self.bracket(false),
        }
    }

    fn node(&mut self) -> String {
        match self.below(8) {
            0 => self.pick(&["login", "db", "a.b-c_d"]).to_owned(),
            1 | 2 => format!("r{}n{}", self.number(), self.number()),
            3 => format!("r{}n{}.eu{}", self.number(), self.number(), self.number()),
            4 => format!("n{}-ib", self.number()),
            5 => self.number(),
            _ => format!("n{}", self.number()),
        }
    }

    fn expression(&mut self) -> String {
        let mut text = self.node();
        for _ in 0..self.below(5) {
            let op = self.pick(&[",", ",", ",", ",", ",", "!", "!", "&", "^", "^"]);
            let gap = self.pick(&["", "", " "]);
            text = format!("{text}{gap}{op}{gap}{}", self.node());
        }
        text
    }

    /// Single names at random in a small box, where folding has many choices to make.
    fn points(&mut self) -> String {
        let (racks, nodes) = (1 + self.below(5), 1 + self.below(13));
        let third = self.one_in(3);
        let names: Vec<String> = (0..1 + self.below(40))
            .map(|_| {
                let name = format!("r{}n{}", 8 + self.below(racks), self.below(nodes));
                if third { format!("{name}p{}", self.below(3)) } else { name }
            })
            .collect();
        names.join(",")
    }
}

fn generated(seed: u64, count: usize, mut make: impl FnMut(&mut Random) -> String) -> Vec<String> {
    let mut random = Random(seed);
    (0..count).map(|_| make(&mut random)).collect()
}

fn compare(expressions: &[String]) {
    let answers = ask_oracle(expressions);
    let (mut telling, mut wrong) = (0, Vec::new());
    for (expression, theirs) in expressions.iter().zip(answers) {
        let ours = our_answer(expression);
        match (ours, theirs) {
            (Ok(ours), Some(theirs)) if ours == theirs => telling += usize::from(ours.names.len() > 1),
            (Err(_), None) => {}
            (ours, theirs) => wrong.push(format!("{expression}\n  ours   {ours:?}\n  theirs {theirs:?}")),
        }
    }
    let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
    assert!(wrong.is_empty(), "{} of {} differ:\n{shown}", wrong.len(), expressions.len());
    // Two programs that refuse nonsense or see nothing would agree, too.
    assert!(telling * 10 >= expressions.len() * 7, "only {telling} of {} tell anything", expressions.len());
}

#[test]
fn generated_expressions_expand_and_fold_alike() {
    compare(&generated(1, 1_500, Random::expression));
}

#[test]
fn scattered_names_fold_alike() {
    compare(&generated(2, 800, Random::points));
}

#[test]
fn both_refuse_the_same_malformed_text() {
    let malformed = [
        "a[",
        "a]",
        "a[]",
        "a[1",
        "a[1-]",
        "a[1,]",
        "a[,1]",
        "a[3-1]",
        "a[1-9/0]",
        "a[5/2]",
        "a[x]",
        "a[1-x]",
        "a[01-100]",
        "a[1-010]",
        "a[1-2][3-4]",
        "a[1-2]3[4-5]",
        "a[[1]]",
        "a[1]]",
        "a,,b",
        "a,",
        "a!",
        "!a",
        "a&",
        "^a",
        "a[1.5]",
        "a[1-2-3-4-5]",
        "a[1/]",
    ]
    .map(str::to_owned);
    for (expression, theirs) in malformed.iter().zip(ask_oracle(&malformed)) {
        assert_eq!(theirs, None, "ClusterShell takes {expression}");
        assert!(expand(expression).is_err(), "we take {expression}");
    }
}

/// What we refuse on purpose and ClusterShell takes: named here so that a change shows.
#[test]
fn refusals_of_our_own() {
    let check = |expression: &str, theirs_folded: &str| {
        let theirs = ask_oracle(&[expression.to_owned()]).remove(0).unwrap();
        assert_eq!(theirs.folded, theirs_folded, "{expression}");
        assert!(expand(expression).is_err(), "{expression}");
    };
    check("web1[1-10]", "web[11-110]");
    check("a[-1-2]", "a[-1-2]");
    check("a b", "a b");
}

#[test]
fn the_nodeset_command_agrees() {
    let run = |option: &str, expression: &str| {
        let output = Command::new("nodeset")
            .args([option, "--", expression])
            .stdin(Stdio::null())
            .output()
            .expect("start nodeset: install the package clustershell");
        assert!(output.status.success(), "{expression}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let fixed =
        ["web[01-48,60].eu", "rack[1-4]node[01-20]", "a[0-10/2]", "a[1-9,010]", "a[08-11,99-101]!a09"];
    let generated = generated(3, 19, Random::expression);
    let expressions = fixed.into_iter().chain(generated.iter().map(String::as_str));
    let mut agreed = 0;
    for expression in expressions {
        let Ok(ours) = our_answer(expression) else { continue };
        assert_eq!(run("-f", expression), ours.folded, "{expression}");
        let names = sorted(run("-e", expression).split_whitespace().map(str::to_owned));
        assert_eq!(names, ours.names, "{expression}");
        agreed += 1;
    }
    assert!(agreed >= 20, "only {agreed} expressions were compared");
}
