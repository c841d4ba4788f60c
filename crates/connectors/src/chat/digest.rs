//! Digests: everything that happened in an interval, in one message.

use std::collections::HashMap;
use std::time::Duration;

use domain::catalogue;
use domain::connector::Batch;

use super::sentence::{Span, money, shown};

/// Most types in a digest; the others are summed up.
const TYPES_MAX: usize = 15;
/// Most campaigns that are named, for a type and for all.
const CAMPAIGNS_MAX: usize = 5;
/// Most currencies that are named.
const CURRENCIES_MAX: usize = 3;

/// The lines of a digest: what it is about, one line per type with its campaigns, the top campaigns of all, the money.
pub(crate) fn digest(batch: &Batch<'_>, interval: Duration) -> Vec<Vec<Span>> {
    let counts = Counts::of(batch);
    let mut lines = vec![vec![Span::Strong(format!("{} events in {}", batch.items.len(), in_words(interval)))]];
    for (title, tally) in counts.types.ranked(TYPES_MAX) {
        let mut line = vec![Span::Plain("• "), Span::Value(title.to_owned()), Span::Plain(": ")];
        line.push(Span::Strong(tally.total.to_string()));
        if !tally.campaigns.is_empty() {
            line.push(Span::Plain(", of which "));
            list(&tally.campaigns, &mut line);
        }
        lines.push(line);
    }
    if let Some((others, events)) = counts.types.rest(TYPES_MAX) {
        lines.push(vec![Span::Plain("• "), Span::Value(format!("{events} of {others} other types"))]);
    }
    if counts.types.len() > 1 && !counts.campaigns.is_empty() {
        let mut line = vec![Span::Plain("Top campaigns: ")];
        list(&counts.campaigns, &mut line);
        lines.push(line);
    }
    if !counts.money.is_empty() {
        let sums = counts.money.iter().take(CURRENCIES_MAX);
        let sums: Vec<_> = sums.map(|(currency, sum)| money(*sum, currency.as_deref())).collect();
        lines.push(vec![Span::Plain("Conversions and purchases: "), Span::Strong(sums.join(" and "))]);
    }
    lines
}

/// `spring-sale 20, instagram-story-may 9 and 8 in 3 others`.
fn list(campaigns: &Tallies<usize>, line: &mut Vec<Span>) {
    for (index, (campaign, count)) in campaigns.ranked(CAMPAIGNS_MAX).enumerate() {
        if index > 0 {
            line.push(Span::Plain(", "));
        }
        line.push(Span::Value(format!("{campaign} {count}")));
    }
    if let Some((others, count)) = campaigns.rest(CAMPAIGNS_MAX) {
        line.push(Span::Value(format!(" and {count} in {others} others")));
    }
}

struct Counts {
    types: Tallies<Tally>,
    campaigns: Tallies<usize>,
    money: Vec<(Option<String>, f64)>,
}

#[derive(Default)]
struct Tally {
    total: usize,
    campaigns: Tallies<usize>,
}

impl Counts {
    fn of(batch: &Batch<'_>) -> Self {
        let mut counts = Self { types: Tallies::default(), campaigns: Tallies::default(), money: Vec::new() };
        for item in batch.items {
            let event_type = item.event.event_type.as_str();
            let fields = item.fields();
            let tally = counts.types.at(catalogue::find(event_type).map_or(event_type, |kind| kind.title));
            tally.total += 1;
            if let Some(campaign) = &fields.campaign {
                let campaign = shown(campaign);
                *tally.campaigns.at(&campaign) += 1;
                *counts.campaigns.at(&campaign) += 1;
            }
            let is_income = matches!(event_type, "link.conversion" | "ecommerce.purchase");
            if let Some(revenue) = fields.revenue.filter(|_| is_income) {
                let currency = fields.currency.map(std::borrow::Cow::into_owned);
                match counts.money.iter_mut().find(|(known, _)| *known == currency) {
                    Some((_, sum)) => *sum += revenue,
                    None => counts.money.push((currency, revenue)),
                }
            }
        }
        counts
    }
}

/// Something counted by name, the names in the order in which they came up.
struct Tallies<T> {
    by_name: HashMap<String, usize>,
    all: Vec<(String, T)>,
}

impl<T> Default for Tallies<T> {
    fn default() -> Self {
        Self { by_name: HashMap::new(), all: Vec::new() }
    }
}

impl<T: Default + Weight> Tallies<T> {
    fn at(&mut self, name: &str) -> &mut T {
        let index = self.by_name.get(name).copied().unwrap_or_else(|| {
            self.by_name.insert(name.to_owned(), self.all.len());
            self.all.push((name.to_owned(), T::default()));
            self.all.len() - 1
        });
        &mut self.all[index].1
    }

    fn len(&self) -> usize {
        self.all.len()
    }

    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The largest, the first to come up before others as large. One that would be the only other is named too.
    fn ranked(&self, most: usize) -> impl Iterator<Item = (&str, &T)> {
        self.sorted().into_iter().take(self.named(most)).map(|(name, tally)| (name.as_str(), tally))
    }

    /// How many are not among the largest, and what they come to.
    fn rest(&self, most: usize) -> Option<(usize, usize)> {
        let rest: Vec<_> = self.sorted().into_iter().skip(self.named(most)).map(|(_, tally)| tally.weight()).collect();
        (!rest.is_empty()).then(|| (rest.len(), rest.iter().sum()))
    }

    fn named(&self, most: usize) -> usize {
        if self.all.len() == most + 1 { most + 1 } else { most }
    }

    fn sorted(&self) -> Vec<&(String, T)> {
        let mut sorted: Vec<_> = self.all.iter().collect();
        sorted.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.weight()));
        sorted
    }
}

trait Weight {
    fn weight(&self) -> usize;
}

impl Weight for usize {
    fn weight(&self) -> usize {
        *self
    }
}

impl Weight for Tally {
    fn weight(&self) -> usize {
        self.total
    }
}

/// `30 seconds`, `5 minutes`, `1 hour`.
fn in_words(interval: Duration) -> String {
    let seconds = interval.as_secs().max(1);
    let (count, unit) = match seconds {
        s if s % 86_400 == 0 => (s / 86_400, "day"),
        s if s % 3_600 == 0 => (s / 3_600, "hour"),
        s if s % 60 == 0 => (s / 60, "minute"),
        s => (s, "second"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_is_said_in_the_largest_unit_that_fits() {
        for (seconds, expect) in [
            (30, "30 seconds"),
            (1, "1 second"),
            (60, "1 minute"),
            (90, "90 seconds"),
            (7_200, "2 hours"),
            (86_400, "1 day"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), expect);
        }
    }
}
