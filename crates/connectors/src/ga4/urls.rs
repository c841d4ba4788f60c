//! URLs as Google may see them: where somebody was and what brought them there, and nothing of what else a page was told.

use url::Url;

/// Parameters that say what brought somebody, beside `utm_…`.
const KEPT: &[&str] =
    &["gclid", "gbraid", "wbraid", "dclid", "srsltid", "gad_source", "gad_campaignid", "fbclid", "msclkid", "ttclid"];

/// A URL without user, fragment and every parameter that does not say what brought somebody; without its path if an address
/// stands there. `None` for what is no URL.
pub(super) fn without_people(text: &str) -> Option<String> {
    let mut url = Url::parse(text).ok().filter(|url| !url.cannot_be_a_base())?;
    // Where there is no host there is no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_fragment(None);
    let is_kept = |name: &str| name.starts_with("utm_") || KEPT.contains(&name);
    let pairs = url.query_pairs().filter(|(name, value)| is_kept(name) && !holds_address(value));
    let kept: Vec<_> = pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
    if holds_address(url.path()) {
        url.set_path("/");
    }
    (!holds_address(url.as_str())).then(|| url.into())
}

/// Whether something in a text looks like an e-mail address.
pub(super) fn holds_address(text: &str) -> bool {
    let text = text.replace("%40", "@").replace("%2E", ".").replace("%2e", ".");
    text.match_indices('@').any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || "._+-%".contains(c);
        let host: String = text[at + 1..].chars().take_while(|c| is_part(*c)).collect();
        text[..at].ends_with(is_part) && host.trim_matches('.').contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_says_where_somebody_was_and_what_brought_them_and_no_more() {
        for (url, expect) in [
            ("https://a.example/go/x", Some("https://a.example/go/x")),
            ("https://a.example/?email=ada@example.org&utm_source=mail", Some("https://a.example/?utm_source=mail")),
            ("https://a.example/p?name=Ada&gclid=G1#token", Some("https://a.example/p?gclid=G1")),
            ("https://a.example/?utm_term=ada%40example.org", Some("https://a.example/")),
            ("https://ada:secret@a.example/x", Some("https://a.example/x")),
            ("https://a.example/u/ada%40example.org/orders", Some("https://a.example/")),
            ("https://a.example/@acme/post", Some("https://a.example/@acme/post")),
            ("myapp://product/42?user=7", Some("myapp://product/42")),
            ("mailto:ada@example.org", None),
            ("not a url", None),
        ] {
            assert_eq!(without_people(url).as_deref(), expect, "{url}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_handle() {
        for text in ["ada@example.org", "from ada@example.org today", "x=ada%40example%2Eorg", "<a.b+c@d.e>"] {
            assert!(holds_address(text), "{text}");
        }
        for text in ["@acme", "spring@home", "a @ b.c", "50% @ 2.0", "", "@"] {
            assert!(!holds_address(text), "{text}");
        }
    }
}
