//! What somebody meant who wrote a word that is not known.

/// The known word that is nearest to `word`, if one is near enough to be what was meant.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let near = known.into_iter().map(|known| (strsim::damerau_levenshtein(word, known), known)).min()?;
    let tolerated = (word.chars().count() / 3).max(2);
    (near.0 <= tolerated).then_some(near.1)
}

/// "did you mean …", or all that is known when nothing is near.
pub fn hint(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there is none to set here".to_owned(),
        None => {
            format!("known here: {}", known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_offered_and_only_if_it_is_near() {
        assert_eq!(nearest("conector", ["connector", "concurrency"]), Some("connector"));
        assert_eq!(nearest("evnets", ["events", "retry"]), Some("events"));
        assert_eq!(nearest("colour", ["events", "retry"]), None);
        assert_eq!(hint("colour", &["events", "retry"]), "known here: `events`, `retry`");
    }
}
