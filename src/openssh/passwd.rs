//! /etc/passwd: who a user number is, and where a user's home is.

use std::fs;

/// A line that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct User {
    pub name: String,
    pub uid: u32,
    pub home: String,
}

/// What the user who runs this process is called, whatever the environment says.
pub fn login_name() -> Option<String> {
    let uid = rustix::process::getuid().as_raw();
    users().into_iter().find(|user| user.uid == uid).map(|user| user.name)
}

/// The users of this machine. Those of a directory service are not among them.
pub(super) fn users() -> Vec<User> {
    fs::read_to_string("/etc/passwd").map(|text| parse(&text)).unwrap_or_default()
}

fn parse(text: &str) -> Vec<User> {
    text.lines().filter_map(user).collect()
}

fn user(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let home = fields.nth(2)?.to_owned();
    Some(User { name, uid, home })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let users =
            parse("root:x:0:0:root:/root:/bin/sh\nbroken\n\nann:x:1000:1000:,,,:/home/ann:/bin/zsh\n");
        let found: Vec<_> = users.iter().map(|it| (it.name.as_str(), it.uid, it.home.as_str())).collect();
        assert_eq!(found, [("root", 0, "/root"), ("ann", 1000, "/home/ann")]);
    }
}
