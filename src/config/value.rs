//! What a setting can be: how each type is read from TOML and from the plain text of a flag or an
//! environment variable, and how it is shown. A new type of setting is a new impl here.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::DeValue;

use crate::model::{ByteSize, duration_text, parse_byte_size, parse_duration};

/// What relative paths and `~` start from.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base {
    /// Empty for a flag or a variable: the working directory.
    pub folder: PathBuf,
    pub home: Option<PathBuf>,
}

impl Base {
    /// `text` as a path: `~` and `~/…` are the home directory, a relative one starts at the folder.
    pub fn path(&self, text: &str) -> Result<PathBuf, Bad> {
        if text.is_empty() || text.contains('\0') {
            return Err(Bad::expected("a path"));
        }
        let Some(rest) = text.strip_prefix('~') else {
            return Ok(self.folder.join(text));
        };
        let home = self.home.as_deref();
        match (rest.strip_prefix('/'), home) {
            (Some(below), Some(home)) => Ok(home.join(below)),
            (None, Some(home)) if rest.is_empty() => Ok(home.to_path_buf()),
            (None, _) if !rest.is_empty() => {
                Err(Bad::expected("a path; of homes only your own can be named, with ~/"))
            }
            _ => Err(Bad::expected("a path without ~, because HOME is not set")),
        }
    }
}

/// Why a value does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub expected: String,
    pub help: Option<String>,
    /// The element of an array that is at fault, where it is not the whole value.
    pub element: Option<usize>,
}

impl Bad {
    pub fn expected(expected: impl Into<String>) -> Self {
        Self { expected: expected.into(), help: None, element: None }
    }
}

pub(crate) trait Value: Sized {
    /// Completes "expected …" when the value is of another type.
    const EXPECTED: &'static str;

    /// `None` for another type.
    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>>;
    /// The text of a flag or a variable.
    fn from_text(text: &str, base: &Base) -> Result<Self, Bad>;
    fn json(&self) -> serde_json::Value;
}

impl Value for String {
    const EXPECTED: &'static str = "a string";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        Ok(text.to_owned())
    }

    fn json(&self) -> serde_json::Value {
        self.as_str().into()
    }
}

impl Value for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_toml(value: &DeValue<'_>, _: &Base) -> Option<Result<Self, Bad>> {
        value.as_bool().map(Ok)
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        text.parse().map_err(|_| Bad::expected(Self::EXPECTED))
    }

    fn json(&self) -> serde_json::Value {
        (*self).into()
    }
}

/// The number of an integer literal; `None` beyond 64 bits.
pub(crate) fn integer(value: &DeValue<'_>) -> Option<Option<i64>> {
    let literal = value.as_integer()?;
    Some(i64::from_str_radix(literal.as_str(), literal.radix()).ok())
}

macro_rules! whole_number {
    ($($type:ty),*) => {$(
        impl Value for $type {
            const EXPECTED: &'static str = "a whole number";

            fn from_toml(value: &DeValue<'_>, _: &Base) -> Option<Result<Self, Bad>> {
                let number = integer(value)?.and_then(|number| Self::try_from(number).ok());
                Some(number.ok_or_else(|| Bad::expected(format!("a whole number from 0 to {}", Self::MAX))))
            }

            fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
                text.parse().map_err(|_| Bad::expected(format!("a whole number from 0 to {}", Self::MAX)))
            }

            fn json(&self) -> serde_json::Value {
                (*self).into()
            }
        }
    )*};
}

whole_number!(u16, u32);

impl Value for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        match value {
            DeValue::Float(float) => Some(Self::from_text(float.as_str(), base)),
            // A threshold beyond 2^53 is rounded; none is meant that exactly.
            _ => Some(
                integer(value)?.map(|number| number as Self).ok_or_else(|| Bad::expected(Self::EXPECTED)),
            ),
        }
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        let finite = text.parse().ok().filter(|number: &Self| number.is_finite());
        finite.ok_or_else(|| Bad::expected("a finite number"))
    }

    fn json(&self) -> serde_json::Value {
        (*self).into()
    }
}

impl Value for Duration {
    const EXPECTED: &'static str =
        "a duration such as \"500ms\", \"5s\", \"2m\", \"1h\", \"7d\" or \"1h30m\"";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        parse_duration(text).map_err(|bad| Bad::expected(bad.expected))
    }

    fn json(&self) -> serde_json::Value {
        duration_text(*self).into()
    }
}

impl Value for ByteSize {
    const EXPECTED: &'static str = "a size such as \"512B\", \"256KiB\", \"1MiB\" or \"2GiB\"";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| Self::from_text(text, base))
    }

    fn from_text(text: &str, _: &Base) -> Result<Self, Bad> {
        parse_byte_size(text).map_err(|bad| Bad::expected(bad.expected))
    }

    fn json(&self) -> serde_json::Value {
        self.to_string().into()
    }
}

impl Value for PathBuf {
    const EXPECTED: &'static str = "a path in a string";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        value.as_str().map(|text| base.path(text))
    }

    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        base.path(text)
    }

    fn json(&self) -> serde_json::Value {
        path_text(self).into()
    }
}

impl Value for Vec<PathBuf> {
    const EXPECTED: &'static str = "an array of paths, as in [\"~/.ssh/id_ed25519\"]";

    fn from_toml(value: &DeValue<'_>, base: &Base) -> Option<Result<Self, Bad>> {
        let items = value.as_array()?.iter().enumerate();
        let path = |(index, item): (usize, &toml::Spanned<DeValue<'_>>)| {
            let read = PathBuf::from_toml(item.get_ref(), base);
            read.unwrap_or_else(|| Err(Bad::expected(PathBuf::EXPECTED)))
                .map_err(|bad| Bad { element: Some(index), ..bad })
        };
        Some(items.map(path).collect())
    }

    /// Separated by colons, as in PATH.
    fn from_text(text: &str, base: &Base) -> Result<Self, Bad> {
        text.split(':').map(|path| base.path(path)).collect()
    }

    fn json(&self) -> serde_json::Value {
        self.iter().map(|path| path_text(path)).collect()
    }
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

/// A value as a fault's title names it: short, and as it was written.
pub(crate) fn describe(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() > 40 => {
            format!("{:?}…", text.chars().take(40).collect::<String>())
        }
        DeValue::String(text) => format!("{text:?}"),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Datetime(value) => value.to_string(),
        DeValue::Array(_) => "an array".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_start_at_home_or_at_the_file() {
        let base = Base { folder: "/etc/dropsonde".into(), home: Some("/home/ann".into()) };
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(base.path(text).ok(), expected.map(PathBuf::from), "{text:?}");
        };
        check("~/.ssh/key", Some("/home/ann/.ssh/key"));
        check("~", Some("/home/ann"));
        check("keys/fleet", Some("/etc/dropsonde/keys/fleet"));
        check("/k", Some("/k"));
        check("~bob/key", None);
        check("", None);
        check("a\0b", None);
        assert!(Base::default().path("~/x").is_err_and(|bad| bad.expected.contains("HOME")));
    }
}
