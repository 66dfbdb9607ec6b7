//! The messages of a `kernel_log` reading, for a person who wants to know what the kernel said. It keeps
//! no message whose time it does not know.

use super::kernel_log::{event, timed};
use super::text::decimal;

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelMessage {
    /// How long before the reading it came.
    pub before_s: f64,
    /// As the kernel wrote it, without its time. Not escaped.
    pub text: String,
    /// What it means, where that is known: `io_error`.
    pub event: Option<&'static str>,
}

/// In the order of the log.
pub fn kernel_messages(raw: &[u8]) -> Vec<KernelMessage> {
    let mut now_s = None;
    let mut found = Vec::new();
    for line in raw.split(|byte| *byte == b'\n') {
        if let Some(mark) = line.strip_prefix(b"@@@ now ") {
            now_s = mark.split(|byte| *byte == b' ').next().and_then(decimal);
        } else if let (Some((at_s, message)), Some(now_s)) = (timed(line), now_s) {
            let text = String::from_utf8_lossy(message).into_owned();
            let event = event(&text);
            found.push(KernelMessage { before_s: f64::max(now_s - at_s, 0.0), text, event });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_a_time_and_a_meaning() {
        let raw = b"@@@ now 1000.50 01234567-89ab-cdef-0123-456789abcdef\n@@@ first 1.0\n\
                    <3>[  400.500000] I/O error, dev sdb, sector 7\n continued\n[ 2000.0] of tomorrow\n";
        let found = kernel_messages(raw);
        let expected = [
            KernelMessage {
                before_s: 600.0,
                text: "I/O error, dev sdb, sector 7".to_owned(),
                event: Some("io_error"),
            },
            KernelMessage { before_s: 0.0, text: "of tomorrow".to_owned(), event: None },
        ];
        assert_eq!(found, expected);
        assert_eq!(kernel_messages(b"[1.0] before any clock\n\xff"), []);
    }
}
