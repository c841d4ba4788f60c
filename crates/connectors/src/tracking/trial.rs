//! A connector against a vendor's look-alike, without a network and without an engine: steps are taken in turn, a batch
//! that is refused whole is halved, and what is to be tried again is tried again.

use domain::connector::{Call, Outlet, Progress, Step};
use domain::{Event, Verdict, catalogue};
use vendors::{Book, Request, Vendor};

use crate::kit::{Variant, answered, asked, event_with, with_batch};

/// Most calls about one batch; more would go on for ever.
const CALLS_MAX: u32 = 20;

/// Hands events over as the engine would, without retries, and says what became of each.
pub(crate) fn deliver(
    outlet: &dyn Outlet,
    events: &[Event],
    vendor: &mut impl Vendor,
    book: &mut Book,
) -> Vec<Verdict> {
    deliver_with(outlet, events, vendor, book, |request| request)
}

/// The same with a hand on every request.
pub(crate) fn deliver_with(
    outlet: &dyn Outlet,
    events: &[Event],
    vendor: &mut impl Vendor,
    book: &mut Book,
    touch: fn(Request) -> Request,
) -> Vec<Verdict> {
    let end = with_batch(events, false, |batch| {
        let mut progress = Progress::default();
        let mut step = outlet.prepare(batch, &mut progress);
        for replies in 1..=CALLS_MAX {
            let (Step::Send(Call::Http(call)) | Step::SendOnce { call: Call::Http(call), .. }) = &step else {
                return step;
            };
            let reply = answered(vendor.answer(&touch(asked(call)), book));
            progress.replies = replies;
            step = outlet.advance(batch, &mut progress, &reply);
        }
        panic!("the connector never comes to an end: {step:?}")
    });
    match end {
        Step::Settle(verdicts) => verdicts,
        Step::Split { alone } if events.len() == 1 => vec![alone],
        Step::Split { .. } => {
            let (first, second) = events.split_at(events.len() / 2);
            let mut verdicts = deliver_with(outlet, first, vendor, book, touch);
            verdicts.extend(deliver_with(outlet, second, vendor, book, touch));
            verdicts
        }
        step => panic!("no verdict: {step:?}"),
    }
}

/// Hands over each event of the catalogue by itself. The vendor must keep all of them and have nothing against any.
pub(crate) fn deliver_catalogue(outlet: &dyn Outlet, vendor: &mut impl Vendor) {
    let mut book = Book::default();
    for kind in catalogue::ALL {
        for variant in Variant::ALL {
            let verdicts = deliver(outlet, &[event_with(kind.event_type, variant)], vendor, &mut book);
            assert_eq!(verdicts, [Verdict::Delivered], "{} {variant:?}", kind.event_type);
        }
    }
    assert_eq!((&book.lost, &book.refused, &book.flagged), (&vec![], &vec![], &vec![]));
    assert_eq!(book.stored.len(), catalogue::ALL.len() * Variant::ALL.len());
}
