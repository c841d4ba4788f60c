//! The headers a receiver may ask for, next to those that are ours.

use domain::Settings;
use domain::connector::SettingsError;
use http::HeaderName;

/// Most headers of one destination.
const HEADERS_MAX: usize = 32;
/// Longest value of one header, in bytes.
const VALUE_BYTES_MAX: usize = 4_096;

/// Names that frame the message, speak for the connection or belong to the signature.
const RESERVED: &[&str] = &[
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
const RESERVED_PREFIXES: &[&str] = &["proxy-", "webhook-", "x-webhook-"];

/// Checks the setting `headers`.
pub(crate) fn validate(settings: &Settings) -> Result<(), SettingsError> {
    let Some(headers) = settings.object("headers") else {
        return Ok(());
    };
    let wrong = |message: String| SettingsError::new("headers", message);
    if headers.len() > HEADERS_MAX {
        return Err(wrong(format!("has more than {HEADERS_MAX} headers")));
    }
    let mut seen = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let parsed = check_name(name).map_err(wrong)?;
        if seen.contains(&parsed) {
            return Err(wrong(format!("holds `{name}` twice in different spellings; keep one")));
        }
        seen.push(parsed);
        check_value(name, value.as_str().unwrap_or_default()).map_err(wrong)?;
    }
    Ok(())
}

/// The headers of the setting `headers`, as written.
pub(crate) fn custom(settings: &Settings) -> impl Iterator<Item = (String, String)> {
    let headers = settings.object("headers").into_iter().flatten();
    headers.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
}

fn check_name(name: &str) -> Result<HeaderName, String> {
    let Ok(parsed) = name.parse::<HeaderName>() else {
        return Err(format!("holds `{}`, which is not a header name", name.escape_debug()));
    };
    let lower = parsed.as_str();
    if RESERVED.contains(&lower) || RESERVED_PREFIXES.iter().any(|prefix| lower.starts_with(prefix)) {
        return Err(format!("holds `{name}`, which is set by us or by the connection; leave it out"));
    }
    Ok(parsed)
}

fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(format!("has a value of more than {VALUE_BYTES_MAX} bytes under `{name}`"));
    }
    let visible = value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if !visible || value.trim() != value {
        return Err(format!(
            "has a value under `{name}` that is not visible ASCII without spaces at its ends; encode it"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &serde_json::Value) -> Result<(), String> {
        let settings = Settings([("headers".to_owned(), headers.clone())].into_iter().collect());
        validate(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn ordinary_headers_pass() {
        assert_eq!(check(&serde_json::json!({"Authorization": "Bearer a b", "X-Tenant": "", "x_y": "1"})), Ok(()));
    }

    #[test]
    fn names_that_are_ours_are_refused_in_any_spelling() {
        for name in
            ["Host", "CONTENT-LENGTH", "Transfer-Encoding", "proxy-authorization", "Webhook-Id", "X-Webhook-Event"]
        {
            let error = check(&serde_json::json!({name: "x"})).unwrap_err();
            assert!(error.contains("is set by us or by the connection"), "{error}");
        }
    }

    #[test]
    fn nothing_can_be_smuggled_in() {
        for name in ["", "a b", "a:b", "a\r\nHost", "é"] {
            assert!(check(&serde_json::json!({name: "x"})).is_err(), "{name:?}");
        }
        for value in ["a\r\nHost: x", "a\nb", "\u{0}", "é", " a", "a\t", &"x".repeat(4_097)] {
            assert!(check(&serde_json::json!({"X-A": value})).is_err(), "{value:?}");
        }
        assert!(check(&serde_json::json!({"X-A": "1", "x-a": "2"})).unwrap_err().contains("twice"));
        let many: serde_json::Map<_, _> = (0..33).map(|n| (format!("x-{n}"), "1".into())).collect();
        assert!(check(&many.into()).unwrap_err().contains("more than 32"));
    }
}
