//! Names as Snowflake writes them: in capitals, unless they are quoted.

use domain::connector::SettingsError;

/// An account and a user of it.
#[derive(Debug)]
pub(super) struct Names {
    account: String,
    user: String,
}

impl Names {
    pub(super) fn read(account: &str, user: &str) -> Result<Self, SettingsError> {
        let is_account = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if account.is_empty() || !account.chars().all(is_account) {
            let message =
                "is not the name of an account; it is like `ACME-LINKS`, organisation and account, or a locator";
            return Err(SettingsError::new("account", message));
        }
        Ok(Self { account: account.to_owned(), user: user.to_owned() })
    }

    /// `ACME-LINKS.AFTERCLICK`: who a token is for. A region behind a locator does not belong to it.
    pub(super) fn subject(&self) -> String {
        let account = self.account.split('.').next().unwrap_or_default();
        format!("{account}.{}", self.user).to_uppercase()
    }

    pub(super) fn account_url(&self) -> String {
        format!("https://{}.snowflakecomputing.com", self.account.to_lowercase().replace('_', "-"))
    }
}

/// The name under which Snowflake keeps what is written without quotes.
pub(super) fn stored(name: &str) -> String {
    name.to_uppercase()
}

/// The first half of a fingerprint in the shape of a UUID.
pub(super) fn uuid(fingerprint: &str) -> String {
    let part = |from: usize, to: usize| fingerprint.get(from..to).unwrap_or_default();
    [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_written_in_two_ways() {
        let names = Names::read("acme-my_links", "afterclick").unwrap();
        assert_eq!(names.subject(), "ACME-MY_LINKS.AFTERCLICK");
        assert_eq!(names.account_url(), "https://acme-my-links.snowflakecomputing.com");
        let locator = Names::read("xy12345.eu-west-1", "a").unwrap();
        assert_eq!(locator.subject(), "XY12345.A");
        assert_eq!(locator.account_url(), "https://xy12345.eu-west-1.snowflakecomputing.com");
        for account in ["", "a/b", "a b", "https://a"] {
            assert!(Names::read(account, "a").is_err(), "{account}");
        }
    }

    #[test]
    fn a_fingerprint_becomes_a_uuid() {
        assert_eq!(uuid(&"0123456789abcdef".repeat(4)), "01234567-89ab-cdef-0123-456789abcdef");
    }
}
