//! Arrivals: the order in which the day is told, which is not the order in which it happened.

use serde_json::{Map, Value, json};

use super::chance::Chance;
use super::day::{Day, HOUR, MINUTE};
use super::deed::{Deed, Millis};

/// So many of a hundred events are sent once more, byte for byte.
const AGAIN_PERCENT: u64 = 8;
/// So many are told once more in other words, as a second event that says nothing new.
const RETOLD_PERCENT: u64 = 2;

/// Something that a sender sends.
#[derive(Debug, Clone)]
pub(super) enum Post {
    /// A webhook of the source, to be signed.
    Webhook(String),
    /// An event for `POST /v1/events`.
    Event(Value),
    /// A call to identify.
    Identify(Value),
}

/// Everything that is sent, in order.
pub(super) fn of(day: &Day) -> Vec<Post> {
    let mut chance = day.chance.clone().fork();
    let mut posts: Vec<(Millis, Post)> = Vec::new();
    for (number, deed) in day.deeds.iter().enumerate() {
        let at = deed.at + lateness(&mut chance);
        let post = post(deed, number, &mut chance);
        if chance.percent(AGAIN_PERCENT) {
            posts.push((at + chance.between(0, 3 * HOUR), post.clone()));
        }
        if chance.percent(RETOLD_PERCENT) {
            let retold = self::post(deed, number + day.deeds.len(), &mut chance);
            posts.push((at + chance.between(0, 3 * HOUR), retold));
        }
        posts.push((at, post));
    }
    for call in &day.calls {
        posts.push((call.at, Post::Identify(call.body.clone())));
        // An app says it at every start.
        if chance.percent(30) {
            posts.push((call.at, Post::Identify(call.body.clone())));
        }
    }
    posts.sort_by_key(|(at, _)| *at);
    posts.into_iter().map(|(_, post)| post).collect()
}

/// Every event as one post, in the order in which the day has them.
pub(super) fn as_told(day: &Day) -> Vec<Post> {
    let mut chance = day.chance.clone().fork();
    day.deeds.iter().enumerate().map(|(number, deed)| post(deed, number, &mut chance)).collect()
}

/// Every event as one post, in an order of its own for each person; the people take turns.
pub(super) fn in_any_order(day: &Day) -> Vec<Post> {
    let mut chance = day.chance.clone().fork();
    let mut people: Vec<Vec<usize>> = vec![Vec::new(); day.lives.len()];
    for (number, deed) in day.deeds.iter().enumerate() {
        people[deed.who.expect("somebody's")].push(number);
    }
    for deeds in &mut people {
        chance.shuffle(deeds);
    }
    let turns = people.iter().map(Vec::len).max().unwrap_or_default();
    let numbers = (0..turns).flat_map(|turn| people.iter().filter_map(move |deeds| deeds.get(turn)));
    numbers.map(|&number| post(&day.deeds[number], number, &mut chance)).collect()
}

/// Most events come soon; some come hours later, and a few at the end of the day.
fn lateness(chance: &mut Chance) -> Millis {
    match chance.below(10) {
        0 => chance.between(HOUR, 20 * HOUR),
        1 | 2 => chance.between(MINUTE, 3 * HOUR),
        _ => chance.between(0, 2 * MINUTE),
    }
}

fn post(deed: &Deed, number: usize, chance: &mut Chance) -> Post {
    let mut envelope = deed.envelope(chance);
    if chance.percent(50) {
        envelope.insert("id".to_owned(), json!(format!("day-{number}")));
        return Post::Event(Value::Object(envelope));
    }
    // Two who do the same at the same time are told apart by this, as a sender's own number would.
    envelope.insert("sequence".to_owned(), json!(number));
    let text = if chance.percent(50) { Value::Object(envelope).to_string() } else { pretty(&envelope) };
    Post::Webhook(text)
}

fn pretty(envelope: &Map<String, Value>) -> String {
    serde_json::to_string_pretty(envelope).expect("it is JSON")
}
