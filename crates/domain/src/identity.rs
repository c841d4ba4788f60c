//! Identity: which clicks, installs, referrals and users are one person.
//!
//! A [`Fact`] is what one event says about somebody: the [`Identifier`]s it names, and a [`Trace`], what it adds to what is
//! known. Facts join identifiers into subjects by rule alone ([`graph`]): nothing is guessed, and the token of a link, which
//! everybody shares who taps it, is no identifier. A [`Profile`] is all that is known of one subject.
//!
//! Everything here is a function of the set of facts: in whatever order and however often they are told, the same subjects and
//! the same profiles come out. Minimum, maximum and union are the only operations, and ties are broken by what an event
//! holds, never by when it arrived.

pub mod fact;
pub mod graph;
pub mod identifier;
pub mod journey;
pub mod profile;
pub mod trace;

pub use fact::{Fact, ReferralCreated};
pub use graph::{Links, Moment};
pub use identifier::{Identifier, IdentifierKind};
pub use journey::{Journey, SalesRecord, Span, Step, StepKind};
pub use profile::{Profile, Stage};
pub use trace::{Money, Stamped, Touch, Trace, Worth};
