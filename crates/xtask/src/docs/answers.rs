//! What becomes of an event for each answer that a vendor may give.

use std::fmt::Write as _;

use domain::retry::format_wait;
use domain::{Connector, Verdict};

use super::exchange::{Judgement, judged};
use super::fixture::{Answer, Fixture};
use super::page::{cell, cut};

/// Longest answer that is shown, in characters.
const ANSWER_CHARS_MAX: usize = 90;

/// What is said and done about each answer, those first that want a person; answers that mean the same in one row.
pub(crate) fn table(connector: &dyn Connector, fixture: &Fixture) -> String {
    let mut rows: Vec<(u8, String, Vec<String>)> = Vec::new();
    for answer in &fixture.replies {
        let Some(judgement) = judged(connector, fixture, answer) else { continue };
        let (order, then) = consequence(&judgement);
        let answered = answered(answer);
        match rows.iter_mut().find(|(_, known, _)| *known == then) {
            Some((_, _, answers)) if answers.contains(&answered) => {}
            Some((_, _, answers)) => answers.push(answered),
            None => rows.push((order, then, vec![answered])),
        }
    }
    rows.sort_by_key(|(order, ..)| *order);
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "## What its answers mean\n\nThese answers are what the tests hold the connector to. Deliveries of a paused \
                    destination are held, not lost.\n\n| it answers | then |\n| --- | --- |\n"
            .to_owned();
    for (_, then, answers) in rows {
        let _ = writeln!(text, "| {} | {} |", answers.join("<br>"), cell(&then));
    }
    text
}

fn answered(answer: &Answer) -> String {
    let status = if answer.status == 0 { String::new() } else { format!("`{}`", answer.status) };
    let code = answer.code.as_ref().map(|code| format!(" `{code}`")).unwrap_or_default();
    let headers =
        answer.headers.iter().fold(String::new(), |text, (name, value)| text + &format!(" `{name}: {value}`"));
    let body = answer.text().replace(['`', '\n', '\r'], " ");
    let body = if body.is_empty() { String::new() } else { format!(" `{}`", cut(&body, ANSWER_CHARS_MAX)) };
    let text = cell(format!("{status}{code}{headers}{body}").trim());
    if text.is_empty() { "no error".to_owned() } else { text }
}

fn consequence(judgement: &Judgement) -> (u8, String) {
    match judgement {
        Judgement::Verdict(verdict) => of_verdict(verdict),
        Judgement::Reauthorize(message) => {
            (1, format!("a new token is fetched once; if that is refused too, the destination is paused: {message}"))
        }
        Judgement::Split(alone) => {
            let (order, then) = of_verdict(alone);
            (order, format!("a batch is halved until the event is found to which this applies: {then}"))
        }
    }
}

fn of_verdict(verdict: &Verdict) -> (u8, String) {
    let told = |message: &Option<String>| message.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
    match verdict {
        Verdict::Pause { reason, message } => {
            (0, format!("**the destination is paused** ({}): {message}", reason.code()))
        }
        Verdict::Reject { reason, message } => (2, format!("dead letter ({}){}", reason.code(), told(message))),
        Verdict::Skip { message } => (3, format!("skipped: {message}")),
        Verdict::Wait { after, message } => {
            (4, format!("nothing is sent for {}, no try is spent{}", format_wait(*after), told(message)))
        }
        Verdict::Retry { after, reason, message } => {
            let after = after.map(|after| format!(", not before {}", format_wait(after))).unwrap_or_default();
            (5, format!("tried again ({}){after}{}", reason.code(), told(message)))
        }
        Verdict::Delivered => (6, "delivered".to_owned()),
    }
}
