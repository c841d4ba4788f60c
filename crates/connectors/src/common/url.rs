//! Which URLs a receiver may have. Where it leads is the guard's business, on the address that is dialled.

pub(crate) use url::Url;

/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2_048;

/// Where a login belongs that stands in a URL, if headers can be sent along.
pub(crate) const INTO_A_HEADER: &str = "send them as an `Authorization` header under `headers`";

/// The URL in its normal form, or how the sentence "setting `url` …" ends.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    parse_or(text, "leave them out; there are other settings for whoever logs in")
}

/// The same for a connector that knows better what to do with a login in a URL.
pub(crate) fn parse_or(text: &str, login: &str) -> Result<Url, String> {
    if text.len() > URL_BYTES_MAX {
        return Err(format!("is longer than {URL_BYTES_MAX} bytes"));
    }
    // A parser made for browsers drops tabs and line breaks and turns backslashes around; what was meant is unclear.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err("holds a space, a control character or a backslash; percent-encode it".to_owned());
    }
    let url = Url::parse(text)
        .map_err(|error| format!("is not a URL ({error}); write it like `https://example.com/hooks`"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(format!("begins with `{}:`; use `https:`", url.scheme()));
    }
    // The parser also takes `https:example.com` and `https:///example.com`.
    let authority = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || url.host_str().is_none_or(str::is_empty) {
        return Err("has no host; write it like `https://example.com/hooks`".to_owned());
    }
    if authority.contains('@') {
        return Err(format!("holds a user name or password; {login}"));
    }
    if url.port() == Some(0) {
        return Err("names port 0; leave the port out or give the right one".to_owned());
    }
    if url.fragment().is_some() {
        return Err("has a fragment, which is never sent; leave out `#` and what follows".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(text: &str, expect: &str) {
        assert_eq!(parse(text).map(String::from).as_deref(), Ok(expect));
    }

    fn refused(text: &str, message: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.contains(message), "{text}: {error}");
    }

    #[test]
    fn a_url_is_brought_into_its_normal_form() {
        accepted("https://example.com", "https://example.com/");
        accepted("HTTPS://Example.COM:443/a%20b", "https://example.com/a%20b");
        accepted("http://127.0.0.1:8080/hook?x=1", "http://127.0.0.1:8080/hook?x=1");
        accepted("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4");
        accepted("http://0x7f.1/", "http://127.0.0.1/");
        accepted("https://[2001:db8::1]/", "https://[2001:db8::1]/");
    }

    #[test]
    fn who_logs_in_is_told_where_that_belongs() {
        let error = |login| parse_or("https://u:p@example.com/", login).unwrap_err();
        assert_eq!(error("say it there"), "holds a user name or password; say it there");
        assert!(!parse("https://u:p@example.com/").unwrap_err().contains("`headers`"), "most connectors have none");
    }

    #[test]
    fn what_is_unclear_or_dangerous_is_refused() {
        refused("", "is not a URL");
        refused("/hooks", "is not a URL");
        refused("ftp://example.com/", "begins with `ftp:`");
        refused("file:///etc/passwd", "begins with `file:`");
        refused("https:example.com", "has no host");
        refused("https:///example.com", "has no host");
        refused("https://user:pw@example.com/", "user name or password");
        refused("https://@example.com/", "user name or password");
        refused("https://example.com/#x", "has a fragment");
        refused("https://example.com:0/", "port 0");
        refused("https://example.com:99999/", "is not a URL");
        refused("https://[fe80::1%25eth0]/", "is not a URL");
        refused("https://exa\tmple.com/", "control character");
        refused("https://example.com/\r\nHost: x", "control character");
        refused("https:\\\\example.com\\", "backslash");
        refused(" https://example.com/", "space");
        refused(&format!("https://example.com/{}", "x".repeat(2_048)), "longer than 2048 bytes");
    }
}
