//! The nearest accepted word to a mistyped one.

/// The nearest of `accepted`, when it is near enough to be what was meant: case, `-` and `_` do not count, and at
/// most a third of the letters differ (one for short words).
pub fn nearest<'a>(given: &str, accepted: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = simplify(given);
    accepted
        .into_iter()
        .map(|word| (distance(&plain, &simplify(word)), word))
        .filter(|(distance, word)| *distance <= (word.chars().count().max(3) / 3).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// `; did you mean "…"?`, or nothing.
pub(super) fn hint<'a>(given: &str, accepted: impl IntoIterator<Item = &'a str>) -> String {
    nearest(given, accepted).map(|word| format!("; did you mean {word:?}?")).unwrap_or_default()
}

fn simplify(word: &str) -> Vec<char> {
    word.chars().take(64).filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect()
}

/// Edits between two words; swapping two neighbours is one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let same = a[i - 1] == b[j - 1];
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found_and_a_strange_one_has_none() {
        let words = ["severity", "action", "grace", "mode", "allowed_domains"];
        assert_eq!(nearest("severty", words), Some("severity"));
        assert_eq!(nearest("Actoin", words), Some("action"));
        assert_eq!(nearest("allowedDomain", words), Some("allowed_domains"));
        assert_eq!(nearest("colour", words), None);
        assert_eq!(nearest("", words), None);
    }
}
