//! Lengths, and texts that are too long.

use domain::expression::Escape;

/// The length of a text as the vendors count it: in UTF-16 code units, which is never less than in characters.
pub(crate) fn length(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// The text, or its beginning and `…`, not longer than `max`. Whatever the escape has made of a value is kept whole or
/// left out whole, so that a cut opens no markup.
pub(crate) fn cut(text: String, max: usize, escape: Escape) -> String {
    if length(&text) <= max {
        return text;
    }
    let mut room = max.saturating_sub(1);
    let fits = |c: &char| {
        let width = c.len_utf16();
        let does = width <= room;
        room = if does { room - width } else { 0 };
        does
    };
    let mut text: String = text.chars().take_while(fits).collect();
    match escape {
        Escape::Slack => drop_open_entity_or_link(&mut text),
        Escape::Markdown => drop_open_backslash(&mut text),
        Escape::None | Escape::Line | Escape::Json | Escape::Url | Escape::Html => {}
    }
    if max > 0 {
        text.push('…');
    }
    text
}

/// `&am` and `<https://exa`.
fn drop_open_entity_or_link(text: &mut String) {
    for (opens, closes) in [('<', '>'), ('&', ';')] {
        let Some(open) = text.rfind(opens) else { continue };
        // An ampersand far back is one that somebody has written into the template.
        let is_near = opens == '<' || text.len() - open <= "&quot".len();
        if is_near && !text[open..].contains(closes) {
            text.truncate(open);
        }
    }
}

fn drop_open_backslash(text: &mut String) {
    let backslashes = text.chars().rev().take_while(|c| *c == '\\').count();
    if backslashes % 2 == 1 {
        text.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, max: usize, escape: Escape, expect: &str) {
        assert_eq!(cut(text.to_owned(), max, escape), expect);
    }

    #[test]
    fn what_fits_stays_and_what_does_not_ends_in_an_ellipsis() {
        check("hello", 5, Escape::Line, "hello");
        check("hello!", 5, Escape::Line, "hell…");
        check("🔗🔗🔗", 5, Escape::Line, "🔗🔗…");
        check("x", 0, Escape::Line, "");
    }

    #[test]
    fn a_cut_leaves_no_half_of_an_entity_a_link_or_an_escape() {
        check("ab &lt;!channel&gt;", 8, Escape::Slack, "ab &lt;…");
        check("ab &lt;!channel&gt;", 7, Escape::Slack, "ab …");
        check("see <https://example.com|here>", 12, Escape::Slack, "see …");
        check("a\\*b", 3, Escape::Markdown, "a…");
        check("a\\\\b", 4, Escape::Markdown, "a\\\\b");
        check("a\\\\bc", 4, Escape::Markdown, "a\\\\…");
    }

    proptest! {
        #[test]
        fn no_cut_is_longer_than_it_may_be(text in "\\PC{0,60}", max in 0_usize..60) {
            for escape in [Escape::Line, Escape::Slack, Escape::Markdown] {
                prop_assert!(length(&cut(escape.apply(&text), max, escape)) <= max);
            }
        }
    }
}
