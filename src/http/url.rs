//! Addresses that are not for everybody to see.

/// An address that may hold a secret, as Slack's do: it is not shown by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

impl Url {
    pub fn new(url: String) -> Self {
        Self(url)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part that is no secret.
    pub fn origin(&self) -> &str {
        origin(&self.0)
    }
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/…", self.origin())
    }
}

/// Scheme, host and port of an address.
pub fn origin(url: &str) -> &str {
    let path = url.find("://").map_or(0, |at| at + 3);
    let end = url[path..].find(['/', '?', '#']).map_or(url.len(), |at| path + at);
    &url[..end]
}
