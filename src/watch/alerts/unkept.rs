//! What was told while the disk took nothing: remembered as long as the process lives, so that the next sweep
//! on a full disk is no new incident. It is no second book: the one on the disk counts again as soon as it
//! can be written, or as soon as somebody else has written it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::book::{Book, Incident, Queued};

#[derive(Debug, Default)]
pub struct Unkept(Mutex<Held>);

#[derive(Debug, Default)]
pub(super) struct Held {
    /// The incidents as they are on the disk, and as they have become since.
    incidents: Option<(Vec<Incident>, Vec<Incident>)>,
    /// Messages that no receiver took either.
    untold: Vec<Queued>,
}

impl Unkept {
    /// Keeps messages that were in vain. Past `most`, the oldest go.
    pub fn untold(&self, messages: Vec<Queued>, most: usize) {
        let mut held = self.held();
        held.untold.extend(messages);
        let over = held.untold.len().saturating_sub(most);
        held.untold.drain(..over);
    }

    /// To be held as long as a book is changed.
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        // Each change of it is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Brings a book from the disk up to what is remembered.
    pub fn lay_over(&mut self, book: &mut Book) {
        if let Some((on_disk, ours)) = &self.incidents
            && *on_disk == book.incidents
        {
            book.incidents.clone_from(ours);
        }
        book.queue_again(std::mem::take(&mut self.untold));
    }

    /// `book` could not be written over `on_disk`. Returns the messages to be sent at once.
    pub fn hold(&mut self, on_disk: Book, book: Book) -> Vec<Queued> {
        self.incidents = Some((on_disk.incidents, book.incidents));
        book.queue.into_iter().filter(|it| !on_disk.queue.contains(it)).collect()
    }

    /// The book is on the disk.
    pub fn kept(&mut self) {
        *self = Self::default();
    }
}
