//! `Retry-After`: when a destination asks us to come back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::time::Timestamp;

/// Longest wait a destination may ask for; anything longer counts as this.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// How long to wait, for the value of a `Retry-After` header: whole seconds, or one of the three HTTP date forms.
///
/// A date in the past is no wait. Anything else is `None`: a garbled wish is no wish.
pub fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds still say "very long".
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        timestamp(httpdate::parse_http_date(value).ok()?).since(now)
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn timestamp(time: SystemTime) -> Timestamp {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp::from_secs(1_772_634_728);

    fn check(value: &str, expect: Option<u64>) {
        assert_eq!(parse(value, NOW), expect.map(Duration::from_secs), "{value:?}");
    }

    #[test]
    fn seconds_are_read_and_clamped() {
        check("0", Some(0));
        check("120", Some(120));
        check(" 7 ", Some(7));
        check("86401", Some(86_400));
        check("99999999999999999999999999", Some(86_400));
    }

    #[test]
    fn the_three_http_date_forms_are_read() {
        check("Wed, 04 Mar 2026 14:33:08 GMT", Some(60));
        check("Wednesday, 04-Mar-26 14:33:08 GMT", Some(60));
        check("Wed Mar  4 14:33:08 2026", Some(60));
        check("Thu, 04 Mar 2027 14:33:08 GMT", Some(86_400));
    }

    #[test]
    fn a_date_in_the_past_is_no_wait() {
        check("Wed, 04 Mar 2026 14:31:08 GMT", Some(0));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
    }

    #[test]
    fn garbage_is_no_wish() {
        for garbage in ["", " ", "-1", "+1", "1.5", "1e3", "soon", "٣", "12 34", "2026-03-04T14:33:08Z", "Wed, 32 Mar"]
        {
            check(garbage, None);
        }
    }

    proptest! {
        #[test]
        fn no_value_panics_or_waits_longer_than_the_limit(value in ".{0,64}", now in any::<i64>()) {
            prop_assert!(parse(&value, Timestamp::from_millis(now)).is_none_or(|wait| wait <= RETRY_AFTER_MAX));
        }

        #[test]
        fn any_number_of_seconds_is_itself_up_to_the_limit(secs in any::<u64>()) {
            prop_assert_eq!(parse(&secs.to_string(), NOW), Some(Duration::from_secs(secs.min(86_400))));
        }

        #[test]
        fn any_http_date_is_its_distance(ahead in 0_u64..86_400) {
            let date = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(1_772_634_728 + ahead));
            prop_assert_eq!(parse(&date, NOW), Some(Duration::from_secs(ahead)));
        }
    }
}
