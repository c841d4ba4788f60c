//! Names of databases, tables and columns. What is quoted need not be checked to be safe, but quotes are written
//! differently everywhere, so what could end them is refused.

use domain::Settings;
use domain::connector::SettingsError;

/// Longest name, in bytes: `PostgreSQL` cuts off what is longer.
const BYTES_MAX: usize = 63;

/// The name in a setting, or the one that holds if nothing is said.
pub(crate) fn read(settings: &Settings, field: &str, default: &str) -> Result<String, SettingsError> {
    let name = settings.text(field).unwrap_or(default);
    check(name).map_err(|message| SettingsError::new(field, message))?;
    Ok(name.to_owned())
}

/// Whether this can be a name; the error continues "the name …".
pub(crate) fn check(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | ' ');
    if name.is_empty() || name.len() > BYTES_MAX || !name.chars().all(fits) || name.trim() != name {
        return Err(format!("is no name of 1 to {BYTES_MAX} bytes of letters, digits, `_`, `-` and `$`"));
    }
    Ok(())
}

/// The name as `ClickHouse` and `BigQuery` quote it.
pub(crate) fn in_backticks(name: &str) -> String {
    format!("`{name}`")
}

/// The name as the standard quotes it.
pub(crate) fn in_double_quotes(name: &str) -> String {
    format!("\"{name}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_quote_is_no_name() {
        for name in ["events", "deep_link_events", "my-db", "Straße", "a b", "$x", "2026"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in ["", "a`b", "a\"b", "a'b", "a\\b", "a.b", "a\nb", " a", "a;b", &"x".repeat(64)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
