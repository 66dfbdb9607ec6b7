//! Whatever a host says, nothing that a terminal acts on is left of it, in one line or in several, cut or whole.

#![no_main]

use dropsonde::render::{Lines, escape, escape_bytes, escape_limited, is_unprintable};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let one = escape_bytes(data, Lines::Single);
    assert!(!one.chars().any(is_unprintable), "{one:?}");
    let block = escape_bytes(data, Lines::Block);
    assert!(!block.chars().any(|c| c != '\n' && is_unprintable(c)), "{block:?}");
    let text = String::from_utf8_lossy(data);
    assert!(!escape(&text, Lines::Single).chars().any(is_unprintable));
    let columns = usize::from(data.first().copied().unwrap_or_default());
    let cut = escape_limited(&text, columns);
    assert!(!cut.chars().any(is_unprintable), "{cut:?}");
});
