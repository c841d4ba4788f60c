//! What Pipedrive's headers say of the calls that are left: in two seconds for a token, and in a day for the company, whose tokens all
//! integrations share.

use std::time::Duration;

use domain::Timestamp;
use domain::connector::{Progress, Reply};

use super::settings::Account;

/// The window that calls are counted in.
const WINDOW: Duration = Duration::from_secs(2);
/// The longest window that is believed. Nobody documents in what unit it is given.
const WINDOW_MAX: Duration = Duration::from_secs(10);
const HOUR_MS: i64 = 60 * 60 * 1_000;

/// Heeds what any reply says.
pub(super) fn heed(account: &Account, progress: &mut Progress, reply: &Reply) {
    if number(reply, "x-ratelimit-remaining") == Some(0) {
        progress.pause_for(window(reply));
    }
    if is_day_used_up(reply, account.token_share) {
        progress.pause_for(until_next_hour(reply.received_at));
    }
}

/// How long until there are calls again.
pub(super) fn window(reply: &Reply) -> Duration {
    let seconds = reply.header("x-ratelimit-reset").and_then(|value| value.trim().parse::<f64>().ok());
    let window = seconds.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
    window.map_or(WINDOW, |seconds| Duration::from_secs_f64(seconds.clamp(1.0, WINDOW_MAX.as_secs_f64())))
}

/// Whether this share of the day's tokens is used. The names of these headers are documented nowhere, and not every answer has them.
pub(super) fn is_day_used_up(reply: &Reply, share: u64) -> bool {
    let left = number(reply, "x-daily-ratelimit-token-remaining");
    let all = number(reply, "x-daily-ratelimit-token-limit");
    let is_share_used = match (left, all) {
        (Some(0), _) => true,
        (Some(left), Some(all)) => u128::from(left) * 100 <= u128::from(all) * u128::from(100 - share.min(100)),
        _ => false,
    };
    is_share_used || number(reply, "x-daily-requests-left") == Some(0)
}

/// A day begins at midnight of the server's time zone, which nobody tells: it is looked for at every full hour.
pub(super) fn until_next_hour(now: Timestamp) -> Duration {
    let left_ms = HOUR_MS - now.as_millis().rem_euclid(HOUR_MS);
    Duration::from_millis(u64::try_from(left_ms).unwrap_or_default())
}

fn number(reply: &Reply, name: &str) -> Option<u64> {
    reply.header(name)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::reply;

    #[test]
    fn a_window_is_believed_within_reason() {
        let of = |value: &str| window(&reply(429, &[("x-ratelimit-reset", value)], "")).as_millis();
        assert_eq!(
            [of("2"), of("0.2"), of("1500"), of("NaN"), of("-1"), of("")],
            [2_000, 1_000, 10_000, 2_000, 2_000, 2_000]
        );
    }

    #[test]
    fn a_day_is_used_up_when_its_share_is() {
        let is = |headers: &[(&str, &str)]| is_day_used_up(&reply(200, headers, ""), 90);
        let (left, all) = ("x-daily-ratelimit-token-remaining", "x-daily-ratelimit-token-limit");
        assert!(!is(&[]));
        assert!(!is(&[(left, "3001"), (all, "30000")]));
        assert!(is(&[(left, "3000"), (all, "30000")]));
        assert!(is(&[(left, "0")]));
        assert!(is(&[("x-daily-requests-left", "0")]));
    }
}
