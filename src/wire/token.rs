//! Random identities of one run on one host.

use std::fmt;

macro_rules! token {
    ($(#[$doc:meta])* $type:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $type([u8; 16]);

        impl $type {
            /// From 16 random bytes; the caller has the randomness.
            pub const fn new(random: [u8; 16]) -> Self {
                Self(random)
            }

            /// Reads 32 lower-case hex digits.
            pub fn from_hex(text: &str) -> Option<Self> {
                let digits = text.as_bytes();
                if digits.len() != 32 || !digits.iter().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                    return None;
                }
                u128::from_str_radix(text, 16).ok().map(|number| Self(number.to_be_bytes()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:032x}", u128::from_be_bytes(self.0))
            }
        }
    };
}

token!(
    /// Marks every process of a run, in its environment. Anybody on the host may read it.
    #[derive(Debug)]
    RunTag
);

token!(
    /// Authenticates a run's trailer; the probe never sees it. It has no `Debug` text of its own, so
    /// that it is not logged by accident.
    Nonce
);

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_thirty_two_lower_case_hex_digits() {
        let tag = RunTag::new([0x0a; 16]);
        assert_eq!(tag.to_string(), "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a");
        assert_eq!(RunTag::from_hex(&tag.to_string()), Some(tag));
        for bad in ["", "0A0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a", "+a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"] {
            assert_eq!(RunTag::from_hex(bad), None, "{bad:?}");
        }
        assert_eq!(format!("{:?}", Nonce::new([7; 16])), "Nonce(..)");
    }
}
