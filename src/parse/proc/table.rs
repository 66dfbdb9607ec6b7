//! Rows of a file by their key.

use std::collections::HashMap;

/// Rows in file order with a look-up that costs nothing where both snapshots list the same keys in
/// the same order, and stays linear where a host makes sure that they do not.
#[derive(Debug)]
pub(super) struct Table<'a, T> {
    rows: Vec<(&'a [u8], T)>,
    by_key: HashMap<&'a [u8], usize>,
    next: usize,
}

impl<'a, T> Table<'a, T> {
    pub(super) fn new(rows: impl Iterator<Item = (&'a [u8], T)>) -> Self {
        Self { rows: rows.collect(), by_key: HashMap::new(), next: 0 }
    }

    /// The row of `key`, tried first behind the one that was found last.
    pub(super) fn find(&mut self, key: &[u8]) -> Option<&T> {
        let at = match self.rows.get(self.next) {
            Some((found, _)) if *found == key => self.next,
            _ => {
                if self.by_key.is_empty() {
                    self.by_key = self.rows.iter().enumerate().map(|(at, (key, _))| (*key, at)).collect();
                }
                *self.by_key.get(key)?
            }
        };
        self.next = at + 1;
        self.rows.get(at).map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_in_any_order() {
        let mut table = Table::new([(&b"a"[..], 1), (b"b", 2), (b"c", 3)].into_iter());
        let found: Vec<_> = [&b"a"[..], b"c", b"b", b"x", b"b"].map(|key| table.find(key).copied()).into();
        assert_eq!(found, [Some(1), Some(3), Some(2), None, Some(2)]);
    }
}
