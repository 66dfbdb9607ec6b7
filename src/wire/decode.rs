//! The collector's end: what came back, and whether it is whole.

use super::Flow;

/// Takes a channel's bytes as they come.
#[derive(Debug, Default)]
pub struct Decoder {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Decoder {
    pub fn stdout(&mut self, bytes: &[u8]) -> Flow {
        self.stdout.extend_from_slice(bytes);
        Flow::Continue
    }

    pub fn stderr(&mut self, bytes: &[u8]) {
        self.stderr.extend_from_slice(bytes);
    }
}
