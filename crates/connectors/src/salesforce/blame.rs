//! Who is to blame for a refusal. What one record holds, or who owns it, refuses that record; what stands in the settings, or
//! what the integration user may not do at all, is the same for everybody.

use super::reply::{ItemError, Outcome};
use super::settings::Org;

/// What Salesforce says of an id that is none, or of nothing that can be referred to.
const NO_REFERENCE: [&str; 4] =
    ["INVALID_CROSS_REFERENCE_KEY", "INACTIVE_OWNER_OR_USER", "OP_WITH_INVALID_USER_TYPE_EXCEPTION", "MALFORMED_ID"];
/// The same of something that this record may not refer to.
const UNFIT_REFERENCE: [&str; 2] = ["INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY", "FIELD_INTEGRITY_EXCEPTION"];
/// What it says of access to one record, whoever else may be let in elsewhere.
const ONE_RECORD: [&str; 2] = ["INSUFFICIENT_ACCESS_OR_READONLY", "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"];
/// What the names of fields end in that hold ids.
const ID: &str = "Id";

/// What was to be done with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    /// To write it, and nothing is known of one that is there: nobody owns it yet.
    New,
    /// To write one that is there.
    Known,
    Merge,
    Conversion,
}

/// What is known of a call, to judge what was refused in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame {
    pub(super) deed: Deed,
    /// It is not for the one record that nobody was let in.
    pub(super) is_nobody_let_in: bool,
}

impl Blame {
    /// Of a call with these outcomes.
    pub(super) fn of(deed: Deed, outcomes: &[Outcome]) -> Self {
        let is_alone = outcomes.len() < 2 && deed != Deed::New;
        let is_shut_out = |outcome: &Outcome| {
            let mut errors = outcome.errors().iter().filter(|error| error.is_about_access());
            errors.any(|error| !is_alone || !error.is(&ONE_RECORD))
        };
        Self { deed, is_nobody_let_in: outcomes.iter().all(is_shut_out) }
    }

    /// Of a call that is about one record that is there, and no more.
    pub(super) const fn one_record() -> Self {
        Self { deed: Deed::Known, is_nobody_let_in: false }
    }

    /// Of a call that was refused whole.
    pub(super) const fn everybody() -> Self {
        Self { deed: Deed::Known, is_nobody_let_in: true }
    }
}

impl Org {
    /// Which settings gave every record the value that this one is refused for, as `on_create.OwnerId`; none if it is the
    /// record's own.
    pub(super) fn blamed(&self, error: &ItemError, blame: Blame) -> Vec<String> {
        let is_new = blame.deed == Deed::New;
        let named = error.fields();
        let is_named = |field: &str| named.iter().any(|named| named.eq_ignore_ascii_case(field));
        let blamed = match error.code() {
            // What a record may hold depends on its type, and one that is there may be of one of its own.
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" | "INVALID_STATUS" if is_new => self.fixed(true, is_named),
            code if NO_REFERENCE.contains(&code) && !named.is_empty() => self.fixed(is_new, is_named),
            code if UNFIT_REFERENCE.contains(&code) && is_new && !named.is_empty() => self.fixed(true, is_named),
            code if [&NO_REFERENCE[..], &UNFIT_REFERENCE].concat().contains(&code) && is_new => {
                self.fixed(true, |field| field.ends_with(ID))
            }
            _ => Vec::new(),
        };
        // If one of those that are named is the record's own, that may be what is wrong.
        let is_all = named.iter().all(|field| {
            blamed
                .iter()
                .any(|blamed| blamed.rsplit('.').next().is_some_and(|blamed| blamed.eq_ignore_ascii_case(field)))
        });
        if is_all { blamed } else { Vec::new() }
    }

    /// Whether the settings have every record refer to another one.
    pub(super) fn refers(&self) -> bool {
        self.constants.iter().any(|(_, field)| field.ends_with(ID))
    }

    /// Where the fields get their value that get the same one in every record.
    fn fixed(&self, is_new: bool, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let is_overridden =
            |setting: &str, field: &str| setting == "on_create" && self.properties.names().any(|name| name == field);
        let constants = self.constants.iter().filter(|(setting, field)| {
            wanted(field) && (is_new || *setting != "on_create") && !is_overridden(setting, field)
        });
        constants.map(|(setting, field)| format!("{setting}.{field}")).collect()
    }
}
