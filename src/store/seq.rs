//! The one order of everything that is recorded, over all processes that share a state directory.
//! It never guesses: a number it cannot prove fresh makes the caller look at the archive first.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::dir::{self, Mode};
use super::{StateDir, StoreError};

/// The file `seq`: the next free number and whether the index holds all before it. The file is a
/// cache too: when it is lost, both are found again from the archive.
#[derive(Debug)]
pub struct Sequence {
    path: PathBuf,
    file: File,
}

/// Our turn to write: nobody else appends to an archive or to the index while it lives. The kernel ends
/// it with the process.
#[derive(Debug)]
pub struct Turn<'a> {
    sequence: &'a Sequence,
    next: u64,
    settled: bool,
}

impl Sequence {
    pub fn open(state: &StateDir) -> Result<Self, StoreError> {
        let path = state.sequence();
        let file = dir::open(&path, Mode::Ensure).map_err(|error| StoreError::io("open", &path, error))?;
        Ok(Self { path, file })
    }

    /// Waits for our turn.
    pub fn turn(&self) -> Result<Turn<'_>, StoreError> {
        self.file.lock().map_err(|error| StoreError::io("lock", &self.path, error))?;
        let mut turn = Turn { sequence: self, next: 1, settled: false };
        let mut line = [0_u8; LINE];
        match self.file.read_exact_at(&mut line, 0) {
            Ok(()) => {
                if let Some((next, settled)) = read_line(&line) {
                    (turn.next, turn.settled) = (next, settled);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) => return Err(StoreError::io("read", &self.path, error)),
        }
        Ok(turn)
    }
}

/// `next`, twenty digits, and `settled` or `pending`.
const LINE: usize = 29;

fn read_line(line: &[u8; LINE]) -> Option<(u64, bool)> {
    let text = std::str::from_utf8(line).ok()?;
    let (number, state) = text.strip_suffix('\n')?.split_once(' ')?;
    match state {
        "settled" => Some((number.parse().ok()?, true)),
        "pending" => Some((number.parse().ok()?, false)),
        _ => None,
    }
}

impl Turn<'_> {
    /// Whether the index holds everything before [`Self::next`]. If not, whoever has the turn catches
    /// up first: a later reading indexed before an earlier one would make other rates than `reindex`.
    pub fn settled(&self) -> bool {
        self.settled
    }

    pub fn next(&self) -> u64 {
        self.next
    }

    /// Numbers below `next` are in use, whatever the file said.
    pub fn at_least(&mut self, next: u64) {
        self.next = self.next.max(next);
    }

    /// Takes the next number. It counts only once [`Self::pending`] has been written.
    pub fn take(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// Says, before anything is appended, that the archive may now hold more than the index.
    pub fn pending(&mut self) -> Result<(), StoreError> {
        self.write(false)
    }

    /// Says that the index holds everything.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.write(true)
    }

    fn write(&mut self, settled: bool) -> Result<(), StoreError> {
        self.settled = settled;
        let state = if settled { "settled" } else { "pending" };
        let line = format!("{:020} {state}\n", self.next);
        self.sequence
            .file
            .write_all_at(line.as_bytes(), 0)
            .map_err(|error| StoreError::io("write", &self.sequence.path, error))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        // Closing the file would end it too; there is nobody to tell.
        let _ = self.sequence.file.unlock();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_on_and_a_lost_or_broken_file_is_unsettled() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::create(folder.path()).unwrap();
        let sequence = Sequence::open(&state).unwrap();
        {
            let mut turn = sequence.turn().unwrap();
            assert!(!turn.settled());
            assert_eq!((turn.take(), turn.take()), (1, 2));
            turn.settle().unwrap();
        }
        assert_eq!(sequence.turn().unwrap().next(), 3);
        assert!(sequence.turn().unwrap().settled());
        for broken in ["", "garbage", "00000000000000000003 sett"] {
            std::fs::write(state.sequence(), broken).unwrap();
            let turn = sequence.turn().unwrap();
            assert_eq!((turn.next(), turn.settled()), (1, false), "{broken:?}");
        }
    }
}
