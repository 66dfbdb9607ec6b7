//! Output that somebody saved: as a script printed it, compressed, or taken out of an archive with its
//! trailer. Unlike a [`super::Decoder`] this believes the trailer: there is no run left to know its nonce.

use std::io::Read as _;

use flate2::read::MultiGzDecoder;

use super::Nonce;
use super::trailer::{MAX_TRAILER, Trailer};
use crate::model::{ByteSize, HostClock};

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const TRAILER_HEAD: &[u8] = b"\ndropsonde/1 ";

/// What was saved.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// The probe's output.
    pub raw: Vec<u8>,
    /// From the trailer, if there is one.
    pub clock: Option<HostClock>,
    /// Why this is not all of it.
    pub cut: Option<String>,
}

/// Reads a saved output of up to `max` bytes.
pub fn read_saved(bytes: Vec<u8>, max: ByteSize) -> Saved {
    let (mut raw, mut cut) = if bytes.starts_with(GZIP_MAGIC) { inflate(&bytes, max) } else { (bytes, None) };
    if raw.len() as u64 > max.0 {
        raw.truncate(max.0 as usize);
        cut = Some(format!("it is longer than {max}, and the rest was not read"));
    }
    let trailer = nonce(&raw).and_then(|nonce| Trailer::split(&raw, nonce));
    let clock = trailer.and_then(|(at, trailer)| {
        raw.truncate(at);
        trailer.clock
    });
    Saved { raw, clock, cut }
}

fn inflate(bytes: &[u8], max: ByteSize) -> (Vec<u8>, Option<String>) {
    let mut raw = Vec::new();
    let inflated = MultiGzDecoder::new(bytes).take(max.0 + 1).read_to_end(&mut raw);
    (raw, inflated.err().map(|error| format!("its gzip stream is broken or torn off ({error})")))
}

/// The nonce of the last line, if that looks like a trailer.
fn nonce(raw: &[u8]) -> Option<Nonce> {
    let tail = &raw[raw.len().saturating_sub(MAX_TRAILER)..];
    let at = tail.windows(TRAILER_HEAD.len()).rposition(|window| window == TRAILER_HEAD)?;
    let digits = tail.get(at + TRAILER_HEAD.len()..)?.get(..32)?;
    Nonce::from_hex(std::str::from_utf8(digits).ok()?)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const MAX: ByteSize = ByteSize(1 << 20);
    const TRAILER: &str = "\ndropsonde/1 0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a 3282.02 3285.07 0 - 0m0.010000s \
                           0m0.020000s c0ffee01 - 3285.08 1795395068.5\n";

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_compressed_and_archived_output_are_the_same() {
        let check = |bytes: Vec<u8>, has_clock: bool| {
            let saved = read_saved(bytes, MAX);
            assert_eq!((saved.raw.as_slice(), saved.cut), (&b"a 1\n"[..], None));
            assert_eq!(saved.clock.is_some(), has_clock);
        };
        check(b"a 1\n".to_vec(), false);
        check(gzip("a 1\n"), false);
        check([gzip("a "), gzip("1\n")].concat(), false);
        check(gzip(&format!("a 1\n{TRAILER}")), true);
        check(format!("a 1\n{TRAILER}").into_bytes(), true);
    }

    #[test]
    fn what_is_torn_off_or_too_long_is_read_as_far_as_it_goes() {
        let whole = gzip(&"a 1\nsome more text\n".repeat(1_000));
        let torn = read_saved(whole[..whole.len() - 20].to_vec(), MAX);
        assert!(torn.raw.starts_with(b"a 1\n") && torn.cut.is_some(), "{torn:?}");
        let bomb = read_saved(gzip(&"x".repeat(3 << 20)), MAX);
        assert_eq!(bomb.raw.len(), 1 << 20);
        assert!(bomb.cut.is_some_and(|cut| cut.contains("longer than 1MiB")));
        assert_eq!(read_saved(Vec::new(), MAX), Saved::default());
        assert_eq!(read_saved(TRAILER.replace("3285.07", "x").into_bytes(), MAX).clock, None);
    }
}
