//! The demo's words: for somebody who has never heard of any of this.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use domain::Secret;
use http::StatusCode;

use super::SOURCE;
use super::board::Board;
use super::office::{Desks, Office};
use super::receiver::STUMBLES;
use super::sender::{Sender, Sent};
use crate::cli::{Paint, count, now, say};

/// Width of the column of event types, and of the one of times.
const TYPE_CHARS: usize = 25;
const TIME_CHARS: usize = 9;
/// How many names of events are shown.
const NAMES_SHOWN: usize = 3;
/// Longest detail that is shown.
const DETAIL_CHARS_MAX: usize = 72;

/// Who takes part.
pub(super) fn introduction(server: SocketAddr, receiver: SocketAddr) {
    let paint = Paint::for_stdout();
    say(&paint.bold("Afterclick takes in what happens after somebody clicks a link, and gets it to"));
    say(&paint.bold("where it is needed."));
    say("");
    say(&format!("  server    http://{server}"));
    say("            stores each event on disk, then delivers it");
    say(&format!("  receiver  http://{receiver}"));
    say("            five destinations, each with its own way to check a signature; the");
    say(&format!("            fifth limps: it answers \"503, not now\" to the first {STUMBLES} tries"));
    say("  office    look-alikes of Slack, Segment, ClickHouse and HubSpot, in this");
    say("            process and without an account");
    say("");
    say("Now a link platform reports what its users did, every kind of event there is,");
    say("as signed webhooks. The server answers when an event is safe on disk, not");
    say("before. ✓ is a delivery whose signature the receiver has verified.");
    say("");
}

/// The head of the table.
pub(super) fn headings(board: &Board) {
    let inboxes = board.inboxes.join("  ");
    say(&Paint::for_stdout().dim(&format!("  {:TYPE_CHARS$}{:>TIME_CHARS$}  {inboxes}", "sent", "on disk")));
}

/// One type, when all its events have arrived; whether every signature was genuine.
pub(super) fn row(event_type: &str, sent: &[Sent], board: &Board) -> bool {
    let name = if sent.len() > 1 { format!("{event_type} ×{}", sent.len()) } else { event_type.to_owned() };
    let slowest = sent.iter().map(|event| event.took).max().unwrap_or_default();
    let took = format!("{:.1} ms", slowest.as_secs_f64() * 1_000.0);
    let ids: Vec<_> = sent.iter().map(|event| event.event_id.as_str()).collect();
    line(&name, &took, &ids, board)
}

/// An event that somebody else sent.
pub(super) fn visitor(event_id: &str, event_type: &str, board: &Board) {
    line(event_type, "yours", &[event_id], board);
}

/// A line of the table; whether every signature was genuine.
fn line(name: &str, took: &str, event_ids: &[&str], board: &Board) -> bool {
    let paint = Paint::for_stdout();
    let mut line = format!("  {name:TYPE_CHARS$}{took:>TIME_CHARS$}");
    let mut genuine = true;
    for inbox in &board.inboxes {
        let marks: Vec<_> = event_ids.iter().map(|event_id| board.mark(event_id, inbox)).collect();
        let refused = marks.iter().any(|mark| mark.refused.is_some());
        let tries = marks.iter().map(|mark| mark.tries).max().unwrap_or(0);
        genuine &= !refused;
        let text = match (refused, tries) {
            (true, _) => "✗".to_owned(),
            (false, 0 | 1) => "✓".to_owned(),
            (false, tries) => format!("✓ try {tries}"),
        };
        line.push_str(&" ".repeat((inbox.chars().count() + 2).saturating_sub(text.chars().count())));
        line.push_str(&if refused { paint.bad(&text) } else { paint.good(&text) });
    }
    say(&line);
    genuine
}

/// What else can happen on the way in; whether the server did the right thing.
pub(super) async fn what_else(sender: &mut Sender, board: &Board) -> Result<bool> {
    let duplicate = sender.send_again().await?;
    let (status, code) = sender.send_forged().await?;
    let refused = status == StatusCode::UNAUTHORIZED;
    let stumbles = board.totals().stumbles;
    say("");
    tell(duplicate, "The last one came twice, as happens: a duplicate, delivered only once.");
    tell(refused, &format!("A forged copy came too: refused with {} ({code}), not stored.", status.as_u16()));
    let text = format!("The limping receiver said no {stumbles} times and was asked again until it had all.");
    tell(stumbles > 0, &text);
    Ok(duplicate && refused)
}

/// What the same events came to where teams work.
pub(super) fn office(office: &Office, owed: Desks, made: &[String]) {
    let desks = office.desks();
    say("");
    say("The same events went to where teams work, each vendor in its own language:");
    say("");
    let clicks = "clicks are left to the others";
    desk("chat", "Slack", desks.chat, owed.chat, "message", clicks);
    if let Some(message) = office.latest_message() {
        detail(&format!("the latest: {message}"));
    }
    let (names, calls) = office.cdp_names();
    desk("CDP", "Segment", desks.cdp, owed.cdp, "track call", &format!("in {}", count(calls, "request")));
    let names: Vec<_> = names.iter().take(NAMES_SHOWN).map(|(name, count)| format!("{name} {count}")).collect();
    detail(&(names.join(", ") + ", …"));
    let inserts = format!("in {}", count(office.inserts(), "insert"));
    desk("warehouse", "ClickHouse", desks.warehouse, owed.warehouse, "row", &inserts);
    for made in made {
        // Why it was made is plain: it was not there.
        let made = made.split_once(", which").map_or(made.as_str(), |(what, _)| what);
        detail(&format!("made before the first event: {made}"));
    }
}

/// What has come to the office so far.
pub(super) fn desks(Desks { chat, cdp, warehouse }: Desks) {
    say(&Paint::for_stdout().dim(&format!("  {:TYPE_CHARS$}  chat {chat} · CDP {cdp} · warehouse {warehouse}", "")));
}

fn desk(what: &str, vendor: &str, has: usize, owed: usize, noun: &str, how: &str) {
    let paint = Paint::for_stdout();
    let is_full = has == owed;
    let mark = if is_full { paint.good("✓") } else { paint.bad("✗") };
    let of = if is_full { String::new() } else { format!(" of {owed}") };
    say(&format!("  {mark} {what:10} {vendor:11} {}{of}, {how}", count(has, noun)));
}

fn detail(text: &str) {
    let text = match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    };
    say(&Paint::for_stdout().dim(&format!("      {text}")));
}

/// The result.
pub(super) fn summary(board: &Board, desks: Desks) {
    let totals = board.totals();
    let paint = Paint::for_stdout();
    say("");
    let destinations = board.inboxes.len() + 3;
    let deliveries = totals.accepted as usize + desks.chat + desks.cdp + desks.warehouse;
    let numbers = format!("{} events in, {deliveries} deliveries out to {destinations} destinations", totals.events);
    match totals.refused {
        0 => {
            say(&paint.bold(&format!("{numbers},")));
            say(&paint.bold("every webhook signature verified by its receiver."));
        }
        refused => say(&paint.bad(&format!("{numbers}; {refused} had a signature that was refused."))),
    }
}

/// What did not arrive.
pub(super) fn too_late(board: &Board, after: Duration) {
    let paint = Paint::for_stdout();
    say("");
    say(&paint.bad(&format!("Not everything arrived within {} s:", after.as_secs())));
    for (inbox, missing) in board.missing() {
        say(&format!("  {inbox} still waits for {}", count(missing, "event")));
    }
}

/// What to try while the demo runs.
pub(super) fn invitation(server: SocketAddr, admin_key: &str, secret: &Secret) {
    say("");
    say("It keeps running and sends a sample now and then; press Ctrl-C to end it. In");
    say("another terminal, try:");
    say("");
    say(&format!("  export AFTERCLICK_SERVER=http://{server}"));
    say(&format!("  export AFTERCLICK_ADMIN_KEY={admin_key}"));
    say(&format!("  export AFTERCLICK_SOURCE_SECRET={}", secret.expose()));
    let program = program();
    for (command, what) in [
        ("events list", "what came in"),
        ("deliveries list", "where it went, and how"),
        ("journeys show user:ada", "Ada's way, step by step"),
        ("trigger referral.completed", "one more event, signed, through the front door"),
        ("destinations pause plain", "hold one destination; resume loses nothing"),
    ] {
        say("");
        say(&format!("  {}", Paint::for_stdout().dim(&format!("# {what}"))));
        say(&format!("  {program} {command}"));
    }
    say("");
    say("or send one yourself, signed with nothing but a shell:");
    say("");
    let body = format!(r#"{{"event":"link.clicked","timestamp":"{}","data":{{"campaign":"my-own"}}}}"#, now());
    say(&format!("  body='{body}'"));
    say("  signature=$(printf %s \"$body\" |");
    say("    openssl dgst -sha256 -hmac \"$AFTERCLICK_SOURCE_SECRET\" -r | cut -d' ' -f1)");
    say("  curl -d \"$body\" -H \"X-Webhook-Signature: $signature\" \\");
    say(&format!("    $AFTERCLICK_SERVER/webhooks/{SOURCE}"));
    say("");
}

fn tell(good: bool, text: &str) {
    let paint = Paint::for_stdout();
    say(&format!("  {} {text}", if good { paint.good("✓") } else { paint.bad("✗") }));
}

/// The program as it was called.
fn program() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "afterclick".to_owned())
}
