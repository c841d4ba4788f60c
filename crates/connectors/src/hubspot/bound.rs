//! What is kept of a contact: `HubSpot`'s id, and after a blank what we want to know of it the next time.
//!
//! `101 5f3a… chipt 9c1d…` is a contact: in which account it is, which parts of it are ours, and which address we gave. `? 5f3a… chipt`
//! says that there may be one: a call that makes it was under way.

use domain::connector::Progress;
use serde::{Deserialize, Serialize};

use super::Portal;
use crate::crm::Given;

/// A remote id that says that there is no contact any more.
pub(super) const GONE: &str = "";
const MAYBE: &str = "?";

/// What stands for an address where addresses are not kept.
pub(super) type Mark = String;

/// What we have written into a contact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) given: Given,
    /// The address that it has got from us.
    pub(super) email: Option<Mark>,
}

/// What is bound of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Bound {
    /// There may be a contact.
    Maybe(Given),
    /// There is this one.
    Contact(String, Written),
    /// There was this one, in another account, or in this one when its token was another: only the key tells whether there is one.
    Elsewhere(String, Written),
}

impl Bound {
    pub(super) fn of(portal: &Portal, progress: &Progress, key: &str) -> Option<Self> {
        let mut words = progress.bound(key).filter(|text| *text != GONE)?.split(' ');
        let id = words.next().unwrap_or_default();
        let is_here = words.next() == Some(portal.place.as_str());
        let given = Given::read(words.next().unwrap_or_default());
        let written = Written { given, email: words.next().map(str::to_owned) };
        Some(match id {
            MAYBE if is_here => Self::Maybe(written.given),
            MAYBE => Self::Maybe(Given::default()),
            id if is_here => Self::Contact(id.to_owned(), written),
            id => Self::Elsewhere(id.to_owned(), written),
        })
    }

    /// The contact, if it is known to be in this account.
    pub(super) fn id(&self) -> Option<&String> {
        match self {
            Self::Contact(id, _) => Some(id),
            Self::Maybe(_) | Self::Elsewhere(..) => None,
        }
    }

    /// What of a contact that was found is ours.
    pub(super) fn written(self, found: &super::answer::Contact) -> Written {
        match self {
            Self::Maybe(given) => Written { given, email: None },
            Self::Contact(_, written) => written,
            Self::Elsewhere(id, written) if found.is(&id) => written,
            Self::Elsewhere(..) => Written::default(),
        }
    }
}

impl Portal {
    /// Keeps what there is of a subject: a contact, or without an id that there may be one.
    pub(super) fn bind(&self, key: &str, id: Option<&str>, written: &Written, progress: &mut Progress) {
        let id = id.unwrap_or(MAYBE);
        let email = written.email.as_deref().unwrap_or_default();
        let text = format!("{id} {} {} {email}", self.place, written.given);
        let text = text.trim_end();
        if progress.bound(key) != Some(text) {
            progress.bind(key, text);
        }
    }
}
