//! What a file looks like: it says what it is for, it is short, and it promises nothing for later.

use super::{Source, none, sources};

/// A reader can keep this much in mind.
const MOST_LINES: usize = 500;
const MOST_LINES_OF_MAIN: usize = 40;

/// In two halves, so that this file passes its own check.
const NOT_HERE: [&str; 5] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("#[ig", "nore"),
    concat!("#[al", "low("),
];

fn check(file: &Source) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut complain = |what: String| wrong.push(format!("{}: {what}", file.path));
    if !file.text.starts_with("//! ") {
        complain("does not open with what it is for (//!)".to_owned());
    }
    let most = if file.path == "src/main.rs" { MOST_LINES_OF_MAIN } else { MOST_LINES };
    let lines = file.text.lines().count();
    if lines > most {
        complain(format!("{lines} lines; at most {most}"));
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        for word in NOT_HERE.iter().filter(|word| line.contains(**word)) {
            complain(format!("line {number} says {word}"));
        }
    }
    wrong
}

#[test]
fn files_say_what_they_are_for_and_are_short() {
    let files: Vec<Source> =
        ["src", "tests", "benches"].into_iter().flat_map(|folder| sources(folder, "rs")).collect();
    assert!(files.iter().any(|file| file.path == "src/main.rs"));
    none(&files.iter().flat_map(check).collect::<Vec<_>>());
}

#[test]
fn what_breaks_the_rules_is_found() {
    let count =
        |path: &str, text: &str| check(&Source { path: path.to_owned(), text: text.to_owned() }).len();
    assert_eq!(count("src/a.rs", "//! Fine.\nfn f() {}\n"), 0);
    assert_eq!(count("src/a.rs", "fn f() {}\n"), 1);
    assert_eq!(count("src/a.rs", &format!("//! Long.\n{}", "\n".repeat(MOST_LINES))), 1);
    assert_eq!(count("src/main.rs", &format!("//! Long.\n{}", "\n".repeat(MOST_LINES_OF_MAIN))), 1);
    for word in NOT_HERE {
        assert_eq!(count("src/a.rs", &format!("//! Later.\n// {word}\n")), 1, "{word}");
    }
}
