//! What fuzzing feeds on: bytes, taken one after another and turned into choices and texts.
//!
//! The functions that `fuzz/fuzz_targets` call (a `fuzz.rs` beside the code that each is about) take their input from
//! here, so that a few bytes lead to many different cases and every byte counts. The bytes never run out: what is
//! missing is zero. Each of those functions returns how much of its property it could ask, so that the tests beside it
//! can see that it was asked at all.

/// Bytes that are still to be used.
#[derive(Clone, Debug)]
pub struct Feed<'a>(&'a [u8]);

impl<'a> Feed<'a> {
    /// All of them.
    pub fn new(bytes: &'a [u8]) -> Feed<'a> {
        Feed(bytes)
    }

    /// Whether only zeros would follow.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number from two bytes.
    pub fn number(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        let drawn = if limit <= 256 { usize::from(self.byte()) } else { usize::from(self.number()) };
        drawn % limit
    }

    /// One of a list that is not empty.
    pub fn pick<'t, T: ?Sized>(&mut self, list: &[&'t T]) -> &'t T {
        list[self.below(list.len())]
    }

    /// Everything that is left, as text.
    pub fn rest(&mut self) -> String {
        String::from_utf8_lossy(std::mem::take(&mut self.0)).into_owned()
    }

    /// A text of at most eight parts: pieces of a list, and characters of any sort.
    pub fn woven(&mut self, pieces: &[&str]) -> String {
        let mut text = String::new();
        for _ in 0..self.below(9) {
            match self.byte() {
                // Half of all bytes choose a piece, a quarter are themselves, and a quarter begin another character.
                byte @ 0..=127 => text.push_str(pieces[usize::from(byte) % pieces.len()]),
                byte @ 128..=191 => text.push(char::from(byte & 0x7f)),
                byte => {
                    let point = u32::from(byte & 0x3f) << 16 | u32::from(self.number());
                    text.push(char::from_u32(point % 0x11_0000).unwrap_or(char::REPLACEMENT_CHARACTER));
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_taken_in_their_order_and_zeros_follow() {
        let mut feed = Feed::new(&[7, 1, 2, b'x', 0xff]);
        assert_eq!((feed.below(5), feed.number(), feed.is_empty()), (2, 258, false));
        assert_eq!(feed.rest(), "x\u{fffd}");
        assert_eq!((feed.byte(), feed.number(), feed.pick(&["a", "b"]), feed.is_empty()), (0, 0, "a", true));
        // Three parts: the second piece, an escape, and U+202E.
        assert_eq!(Feed::new(&[3, 1, 0x9b, 0xc0, 0x20, 0x2e]).woven(&["a", "b"]), "b\u{1b}\u{202e}");
    }
}
