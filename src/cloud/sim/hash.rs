//! Everything that looks like chance in a world: a hash of the world's seed and a name.

/// A well-mixed number from a seed, two names and a counter (FNV-1a, finished with SplitMix64's mixer).
pub(super) fn number(seed: u64, first: &str, second: &str, counter: i64) -> u64 {
    let mut state = 0xcbf2_9ce4_8422_2325_u64;
    let separated = first.bytes().chain([0]).chain(second.bytes()).chain([0]);
    for byte in seed.to_le_bytes().into_iter().chain(separated).chain(counter.to_le_bytes()) {
        state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The same as a fraction in `[0, 1)`.
pub(super) fn unit(seed: u64, first: &str, second: &str, counter: i64) -> f64 {
    (number(seed, first, second, counter) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_names_give_equal_numbers_and_others_give_others() {
        assert_eq!(number(1, "a", "b", 2), number(1, "a", "b", 2));
        assert_ne!(number(1, "a", "b", 2), number(1, "ab", "", 2));
        assert_ne!(number(1, "a", "b", 2), number(2, "a", "b", 2));
        assert!((0..1_000).all(|counter| (0.0..1.0).contains(&unit(1, "a", "b", counter))));
    }
}
