//! Digests: one mail about everything that happened in an interval, to a team.

use domain::Verdict;
use domain::connector::{Batch, Progress};

use super::letter::Content;
use super::templates::Templates;
use crate::tracking::set_aside;

/// Largest text, and largest HTML, after which no other event is added, in bytes; mailboxes take a few of these.
const BYTES_MAX: usize = 1024 * 1024;

/// What a mail about the events of a batch says. An event that makes no mail is set aside; nothing is left if none
/// does.
pub(super) fn write(
    templates: &Templates,
    batch: &Batch<'_>,
    progress: &mut Progress,
) -> Result<Option<Content>, Verdict> {
    let (mut digest, mut more, mut unwritten) = (None, 0, 0);
    for (index, item) in batch.items.iter().enumerate() {
        let next = match templates.write(item) {
            Ok(next) => next,
            Err(verdict) => {
                set_aside(progress, index, &verdict);
                continue;
            }
        };
        match &mut digest {
            None => digest = Some(next),
            Some(digest) => {
                more += 1;
                if digest.len() < BYTES_MAX { digest.append(next)? } else { unwritten += 1 }
            }
        }
    }
    if let Some(digest) = &mut digest {
        digest.close(more, unwritten);
    }
    Ok(digest)
}

impl Content {
    fn len(&self) -> usize {
        let Self::Rendered { text, html, .. } = self else { return 0 };
        let of = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        of(text).max(of(html))
    }

    /// Puts another event's mail below this one.
    fn append(&mut self, next: Self) -> Result<(), Verdict> {
        let (Self::Rendered { text, html, .. }, Self::Rendered { text: more_text, html: more_html, .. }) = (self, next)
        else {
            return Err(Verdict::misconfigured(
                "several events in one mail are written here, not by a template of the provider; give this \
                 destination a `text` or `html`, or take its digest away",
            ));
        };
        join(text, more_text, "\n\n");
        join(html, more_html, "\n<hr>\n");
        Ok(())
    }

    /// Says how many events there are, and how many for which there was no room.
    fn close(&mut self, more: usize, unwritten: usize) {
        let Self::Rendered { subject, text, html } = self else { return };
        if more > 0 {
            *subject = format!("{subject} (and {more} more)");
        }
        if unwritten > 0 {
            let rest = format!("… and {unwritten} more events, which are in the log.");
            join(text, text.is_some().then(|| rest.clone()), "\n\n");
            join(html, html.is_some().then(|| format!("<p>{rest}</p>")), "\n<hr>\n");
        }
    }
}

fn join(first: &mut Option<String>, second: Option<String>, between: &str) {
    match (first.as_mut(), second) {
        (Some(first), Some(second)) => {
            first.push_str(between);
            first.push_str(&second);
        }
        (None, second) => *first = second,
        (Some(_), None) => {}
    }
}
