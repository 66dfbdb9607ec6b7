//! Settings that are one value each, with a default, a check and four layers: one row per setting is
//! all there is to write. The rows also feed `config show`, the documentation's test and the
//! variables' names, so that none of them can lag behind.

use std::collections::{BTreeMap, BTreeSet};

use super::fault::{Fault, Faults, Place};
use super::layers::{Layer, Sources};
use super::reader::Section;
use super::value::{Bad, Base, Value};

/// One setting of the section that `S` holds.
pub(crate) struct Knob<S> {
    pub key: &'static str,
    pub from_section: fn(&mut S, &Section<'_>, &mut Faults) -> Option<Place>,
    pub from_text: fn(&mut S, &str, &Base) -> Result<(), Bad>,
    pub json: fn(&S) -> serde_json::Value,
}

/// A section whose keys are all knobs.
pub(crate) trait Knobs: Default + Sized + 'static {
    const SECTION: &'static str;
    /// What the section's environment variables start with.
    const VARIABLE: &'static str;
    const KEYS: &'static [&'static str];
    const KNOBS: &'static [Knob<Self>];

    fn variable(key: &str) -> String {
        format!("{}{}", Self::VARIABLE, key.to_ascii_uppercase())
    }
}

/// Declares a section: its struct, its defaults, its checks and its rows.
macro_rules! knobs {
    ($(#[$meta:meta])* pub struct $name:ident = [$section:literal], $variable:literal {
        $($(#[$about:meta])+ $field:ident: $type:ty = $default:expr, $check:expr;)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name {
            $($(#[$about])+ pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::knob::Knobs for $name {
            const SECTION: &'static str = $section;
            const VARIABLE: &'static str = $variable;
            const KEYS: &'static [&'static str] = &[$($crate::config::knob::key(stringify!($field))),*];
            const KNOBS: &'static [$crate::config::knob::Knob<Self>] = &[$(
                $crate::config::knob::Knob {
                    key: $crate::config::knob::key(stringify!($field)),
                    from_section: |settings, section, faults| {
                        let read = section.read_checked::<$type>($crate::config::knob::key(stringify!($field)), |value: &$type| ($check)(value), faults)?;
                        settings.$field = read.value;
                        Some(read.place)
                    },
                    from_text: |settings, text, base| {
                        let value = <$type as $crate::config::value::Value>::from_text(text, base)?;
                        ($check)(&value).map_err($crate::config::value::Bad::expected)?;
                        settings.$field = value;
                        Ok(())
                    },
                    json: |settings| $crate::config::value::Value::json(&settings.$field),
                }
            ),*];
        }
    };
}
pub(crate) use knobs;

/// The key of a field, whose name may be one that Rust keeps for itself (`r#become`).
pub(crate) const fn key(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', rest @ ..] => match str::from_utf8(rest) {
            Ok(rest) => rest,
            Err(_) => field,
        },
        _ => field,
    }
}

/// The check of a setting that takes every value of its type.
pub(crate) fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

/// The check of a setting with a least and a greatest value.
pub(crate) fn between<T: Value + PartialOrd>(least: T, greatest: T) -> impl Fn(&T) -> Result<(), String> {
    move |value| {
        if (&least..=&greatest).contains(&value) {
            return Ok(());
        }
        Err(format!("a value from {} to {}", least.json(), greatest.json()))
    }
}

/// A section's values and where each that is not a default came from.
#[derive(Debug, Clone)]
pub(crate) struct Layered<S> {
    pub value: S,
    given: BTreeMap<&'static str, (Layer, Place)>,
    /// Defaults that came out of the environment: nobody asked for them in so many words.
    guessed: BTreeSet<&'static str>,
}

impl<S: Knobs> Layered<S> {
    pub fn new(value: S) -> Self {
        Self { value, given: BTreeMap::new(), guessed: BTreeSet::new() }
    }

    /// One file's section: what it gives wins over the files before it.
    pub fn file(&mut self, section: &Section<'_>, faults: &mut Faults) {
        for knob in S::KNOBS {
            if let Some(place) = (knob.from_section)(&mut self.value, section, faults) {
                self.given.insert(knob.key, (Layer::File, place));
            }
        }
    }

    /// The environment, then the flags: each wins over what is below it.
    pub fn environment_and_flags(&mut self, sources: &Sources, faults: &mut Faults) {
        let base = Base { home: sources.home(), ..Base::default() };
        for knob in S::KNOBS {
            let variable = S::variable(knob.key);
            if let Some(text) = sources.variable(&variable) {
                self.text(knob, (Layer::Env(variable), text), &base, faults);
            }
            let path = format!("{}.{}", S::SECTION, knob.key);
            for flag in sources.flags.iter().filter(|flag| flag.key == path) {
                self.text(knob, (Layer::Flag(flag.name.clone()), &flag.value), &base, faults);
            }
        }
    }

    fn text(&mut self, knob: &Knob<S>, (layer, text): (Layer, &str), base: &Base, faults: &mut Faults) {
        let place = layer.place(text);
        match (knob.from_text)(&mut self.value, text, base) {
            Ok(()) => {
                self.given.insert(knob.key, (layer, place));
            }
            Err(bad) => {
                let title = format!("`{}.{}` cannot be {text:?}", S::SECTION, knob.key);
                faults.push(Fault::new(place, title).expected(bad.expected).maybe_help(bad.help));
            }
        }
    }

    pub fn place(&self, key: &str) -> Option<&Place> {
        self.given.get(key).map(|(_, place)| place)
    }

    /// Where `key` was given; `None` for a default.
    pub fn given(&self, key: &str) -> Option<&(Layer, Place)> {
        self.given.get(key)
    }

    /// Whether a file, a variable of ours or a flag gives `key`.
    pub fn is_written(&self, key: &str) -> bool {
        self.given.contains_key(key) && !self.guessed.contains(key)
    }

    /// A default that the environment made.
    pub fn default_from(&mut self, key: &'static str, variable: &str, text: &str) {
        let layer = Layer::Env(variable.to_owned());
        let place = layer.place(text);
        self.given.insert(key, (layer, place));
        self.guessed.insert(key);
    }
}
