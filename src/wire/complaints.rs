//! A channel's stderr, which several write to: login shells and sudo first, then the script. The supervisor
//! writes a line of its own before the script's first, and nothing before that line is the script's.

/// What has come so far.
#[derive(Debug)]
pub(super) struct Complaints {
    mark: Vec<u8>,
    /// How much is kept, of each of the two.
    max: usize,
    /// What was there before the line; until it is here, all of it.
    chatter: Vec<u8>,
    own: Option<Vec<u8>>,
}

impl Complaints {
    pub fn new(mark: Vec<u8>, max: usize) -> Self {
        Self { mark, max, chatter: Vec::new(), own: None }
    }

    /// The next bytes: kept up to the limit, the rest is dropped.
    pub fn take(&mut self, bytes: &[u8]) {
        if let Some(own) = &mut self.own {
            let room = self.max.saturating_sub(own.len());
            own.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
            return;
        }
        let searched = self.chatter.len().saturating_sub(self.mark.len());
        self.chatter.extend_from_slice(bytes);
        let new = self.chatter.get(searched..).unwrap_or_default();
        if let Some(at) = new.windows(self.mark.len()).position(|window| window == self.mark) {
            let mut own = self.chatter.split_off(searched + at + self.mark.len());
            own.truncate(self.max);
            self.chatter.truncate((searched + at).min(self.max));
            self.own = Some(own);
        } else if self.chatter.len() > self.max + self.mark.len() {
            // However much it is, the line may be on its way: its first half may be the end of this.
            self.chatter.drain(self.max..self.chatter.len() - self.mark.len());
        }
    }

    /// What was said before the script, and what the script said; `None` where that is nothing.
    pub fn told_apart(&mut self) -> (Vec<u8>, Option<Vec<u8>>) {
        self.chatter.truncate(self.max);
        (std::mem::take(&mut self.chatter), self.own.take())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(pieces: &[&[u8]]) -> (String, Option<String>) {
        let mut complaints = Complaints::new(b"\n[MARK]\n".to_vec(), 10);
        for piece in pieces {
            complaints.take(piece);
        }
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (chatter, own) = complaints.told_apart();
        (text(chatter), own.map(text))
    }

    #[test]
    fn the_line_is_found_wherever_it_is_cut() {
        let check = |all: &str, chatter: &str, own: Option<&str>| {
            let expected = (chatter.to_owned(), own.map(str::to_owned));
            assert_eq!(split(&[all.as_bytes()]), expected, "{all}");
            let bytes: Vec<&[u8]> = all.as_bytes().chunks(1).collect();
            assert_eq!(split(&bytes), expected, "{all}");
            for cut in 0..all.len() {
                let (one, two) = all.as_bytes().split_at(cut);
                assert_eq!(split(&[one, two]), expected, "{all} cut at {cut}");
            }
        };
        check("", "", None);
        check("sudo: no", "sudo: no", None);
        check("\n[MARK]\nmine", "", Some("mine"));
        check("noise\n[MARK]\n", "noise", Some(""));
        check("noise\n[MARK]\n[MARK]\nx", "noise", Some("[MARK]\nx"));
        // Either may be longer than what is kept.
        check(&format!("{}\n[MARK]\n{}", "n".repeat(50), "m".repeat(50)), "nnnnnnnnnn", Some("mmmmmmmmmm"));
        check(&"n".repeat(50), "nnnnnnnnnn", None);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut complaints = Complaints::new(b"\n[MARK]\n".to_vec(), 10);
        for _ in 0..1_000 {
            complaints.take(&[b'x'; 100]);
            assert!(complaints.chatter.len() <= 10 + 8);
        }
        complaints.take(b"\n[MARK]\n");
        for _ in 0..1_000 {
            complaints.take(&[b'x'; 100]);
        }
        assert_eq!(complaints.own.as_ref().map(Vec::len), Some(10));
    }
}
