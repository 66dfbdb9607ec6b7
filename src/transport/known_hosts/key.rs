//! Public keys as SSH writes them: a blob whose first field is its type.

use data_encoding::BASE64_NOPAD;
use sha2::{Digest, Sha256};

/// The host key types that this program can verify, the one it likes best first.
const TYPES: [&str; 5] =
    ["ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa"];

/// A set of host key types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct KeyTypes(u8);

impl KeyTypes {
    pub const NONE: Self = Self(0);

    /// The set with the type of that name, or the empty set for a type we cannot verify.
    pub fn named(name: &[u8]) -> Self {
        TYPES.iter().position(|known| known.as_bytes() == name).map_or(Self::NONE, |at| Self(1 << at))
    }

    /// The type of the key in `blob`.
    pub fn of(blob: &[u8]) -> Self {
        type_in(blob).map_or(Self::NONE, Self::named)
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }
}

/// The type's name inside a key blob, or `None` where there is none.
pub(super) fn type_in(blob: &[u8]) -> Option<&[u8]> {
    let (length, rest) = blob.split_first_chunk::<4>()?;
    rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// The type's name as a word: `ssh-ed25519`.
pub fn type_name(blob: &[u8]) -> String {
    String::from_utf8_lossy(type_in(blob).unwrap_or_default()).into_owned()
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
pub fn fingerprint(blob: &[u8]) -> String {
    format!("SHA256:{}", BASE64_NOPAD.encode(&Sha256::digest(blob)))
}
