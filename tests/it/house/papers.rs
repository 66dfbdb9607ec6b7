//! Papers tell the truth: each command that they show is one that the program takes, each link leads
//! to a file, each file that must be there is there.

use std::path::Path;
use std::process::Command;

use clap::error::ErrorKind;

use super::{ROOT, Source, none, read, sources};

fn papers() -> Vec<Source> {
    let mut papers = sources("docs", "md");
    for name in ["README.md", "CHANGELOG.md"] {
        papers.push(Source { path: name.to_owned(), text: read(&Path::new(ROOT).join(name)) });
    }
    papers
}

/// A line of a fenced block is meant to be run as it is; one between backticks may just name a verb.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Whole,
    Named,
}

/// The command lines of a paper.
fn commands(text: &str) -> Vec<(String, Shown)> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            found.push((line.trim().trim_start_matches("$ ").to_owned(), Shown::Whole));
        } else {
            let spans = line.split('`').skip(1).step_by(2);
            found.extend(spans.map(|span| (span.to_owned(), Shown::Named)));
        }
    }
    let direct = |(line, shown): (String, Shown)| {
        let line = line.replace("cargo run --release -- ", "dropsonde ");
        (line.trim_start_matches("sudo -u dropsonde ").to_owned(), shown)
    };
    found.into_iter().map(direct).filter(|(line, _)| line.starts_with("dropsonde ")).collect()
}

/// The words of a command line, as a shell splits them, up to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut quote = None;
    for c in line.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '|' | '>' | '<' | ';' | '&') => break,
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

fn complaint((line, shown): &(String, Shown)) -> Option<String> {
    let error = dropsonde::cli::command().try_get_matches_from(words(line)).err()?;
    let unfinished = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let fine = !error.use_stderr() || (*shown == Shown::Named && unfinished);
    (!fine).then(|| format!("{line}: {}", error.to_string().lines().next().unwrap_or_default()))
}

/// `](target)`, without anchors and addresses of other places.
fn links(text: &str) -> Vec<&str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files = targets.map(|target| target.split('#').next().unwrap_or_default());
    files.filter(|target| !target.is_empty() && !target.contains("://")).collect()
}

#[test]
fn every_command_that_is_shown_is_one_that_is_taken() {
    let mut count = 0;
    let mut wrong = Vec::new();
    for Source { path, text } in papers() {
        for line in commands(&text) {
            count += 1;
            wrong.extend(complaint(&line).map(|what| format!("{path}: {what}")));
        }
    }
    none(&wrong);
    assert!(count >= 20, "{count} commands: are they still found?");
}

#[test]
fn every_example_of_the_help_is_one_that_is_taken() {
    let mut examples = Vec::new();
    let mut verbs = vec![dropsonde::cli::command()];
    while let Some(verb) = verbs.pop() {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = help.lines().map(str::trim).filter(|line| line.starts_with("dropsonde "));
        // Two blanks set an example apart from what it is for.
        let command = |line: &str| line.split("  ").next().unwrap_or_default().to_owned();
        examples.extend(lines.map(|line| (command(line), Shown::Whole)));
        verbs.extend(verb.get_subcommands().cloned());
    }
    assert!(examples.len() > 5, "{examples:?}");
    none(&examples.iter().filter_map(complaint).collect::<Vec<_>>());
}

#[test]
fn a_wrong_command_or_link_is_found() {
    let text = "Run `dropsonde nonsense` or\n```\n$ dropsonde config check | cat\ndropsonde hosts --fold 'a b' # x\n```\n";
    let lines = commands(text);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(words(&lines[1].0), ["dropsonde", "config", "check"]);
    assert_eq!(words(&lines[2].0), ["dropsonde", "hosts", "--fold", "a b"]);
    let wrong: Vec<bool> = lines.iter().map(|line| complaint(line).is_some()).collect();
    assert_eq!(wrong, [true, false, false]);
    for (shown, expected) in [(Shown::Whole, true), (Shown::Named, false)] {
        assert_eq!(complaint(&("dropsonde show".to_owned(), shown)).is_some(), expected);
    }
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g)"), ["b.md"]);
}

#[test]
fn every_link_leads_to_a_file() {
    let mut wrong = Vec::new();
    for Source { path, text } in papers() {
        let folder = Path::new(ROOT).join(&path).parent().unwrap().to_owned();
        let broken = links(&text).into_iter().filter(|target| !folder.join(target).exists());
        wrong.extend(broken.map(|target| format!("{path}: {target}")));
    }
    none(&wrong);
}

#[test]
fn both_licences_and_the_changes_are_there() {
    let text = |name: &str| read(&Path::new(ROOT).join(name));
    assert!(text("LICENSE-MIT").contains("Permission is hereby granted, free of charge"));
    let apache = text("LICENSE-APACHE");
    assert!(apache.contains("END OF TERMS AND CONDITIONS") && apache.lines().count() > 170);
    let changes = text("CHANGELOG.md");
    assert!(changes.contains(&format!("## [{}]", env!("CARGO_PKG_VERSION"))), "{changes}");
}

/// The test command of the README is the one that the machine runs.
#[test]
fn the_test_command_is_the_same_everywhere() {
    let text = |name: &str| read(&Path::new(ROOT).join(name));
    assert!(text("README.md").lines().any(|line| line == "tests/run"));
    assert!(text(".ci/run").lines().any(|line| line.contains(" tests/run ")));
    for script in [".ci/run", "tests/run"] {
        let checked = Command::new("bash").arg("-n").arg(Path::new(ROOT).join(script)).status().unwrap();
        assert!(checked.success(), "{script}");
    }
}
