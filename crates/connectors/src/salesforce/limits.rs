//! The organisation's calls of a day, which it shares with everything else that speaks to it.

use std::time::Duration;

use domain::connector::{Progress, Reply};

use super::settings::Org;

/// How long to make way when our share is used up. The day is the last 24 hours, so there is a little more all the time.
const PAUSE: Duration = Duration::from_mins(15);

/// Makes way when the organisation has used so much that others could be left without.
pub(super) fn heed(org: &Org, progress: &mut Progress, reply: &Reply) {
    let used_up = reply.header("sforce-limit-info").into_iter().flat_map(usages).any(|(used, allowed)| {
        let share = u128::from(allowed) * u128::from(org.api_share);
        allowed > 0 && u128::from(used) * 100 >= share
    });
    if used_up {
        progress.pause_for(PAUSE);
    }
}

/// What is used and what is allowed: `api-usage=18/15000; per-app-api-usage=17/250(appName=x)`.
fn usages(header: &str) -> impl Iterator<Item = (u64, u64)> {
    header.split([';', ',']).filter_map(|usage| {
        let (_, numbers) = usage.trim().split_once("api-usage=")?;
        let (used, allowed) = numbers.split_once('/')?;
        let digits = allowed.split(|c: char| !c.is_ascii_digit()).next()?;
        Some((used.trim().parse().ok()?, digits.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_read_for_the_organisation_and_for_the_app() {
        let all = |header: &str| usages(header).collect::<Vec<_>>();
        assert_eq!(all("api-usage=18/15000"), [(18, 15_000)]);
        assert_eq!(all("api-usage=25/5000; per-app-api-usage=17/250(appName=sample)"), [(25, 5_000), (17, 250)]);
        assert_eq!(all("api-usage=x/y; 7; api-usage=99999999999999999999/1"), []);
    }
}
