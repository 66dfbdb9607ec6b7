//! Where the book of alerts stands between two looks at it. One that cannot be read is set aside: the
//! alerts of tomorrow are worth more than those of yesterday.

use std::path::Path;

use super::book::Book;
use crate::store::note::{Note, Pen};
use crate::store::{StateDir, StoreError};

pub(super) fn note(root: &Path) -> Note {
    Note::new(StateDir::at(root), "alerts")
}

/// The book, to be changed by whoever holds the pen; and what was amiss with the old one.
pub(super) fn open(note: &Note, pen: &mut Pen<'_>) -> Result<(Book, Option<String>), StoreError> {
    match note.read::<Book>() {
        Ok(book) => Ok((book, None)),
        Err(error) => {
            let kept = pen.set_aside()?;
            Ok((
                Book::default(),
                Some(format!("alerts begin anew: {error}; it is kept as {}", kept.display())),
            ))
        }
    }
}

/// Asks the book something, on a thread that may block.
pub(super) async fn look<T: Send + 'static>(
    root: &Path,
    question: impl FnOnce(&Book) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let root = root.to_owned();
    let ask = move || note(&root).read::<Book>().map(|book| question(&book));
    tokio::task::spawn_blocking(ask).await.map_err(|_| StoreError::Stopped)?
}

/// Changes the book, on a thread that may block. Returns when that is on the disk.
pub(super) async fn change<T: Send + 'static>(
    root: &Path,
    change: impl FnOnce(&mut Book) -> T + Send + 'static,
) -> Result<T, StoreError> {
    let root = root.to_owned();
    let work = move || {
        let note = note(&root);
        let mut pen = note.pen()?;
        let mut book: Book = note.read()?;
        let done = change(&mut book);
        pen.replace(&book)?;
        Ok(done)
    };
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?
}
