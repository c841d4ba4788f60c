//! The seam to the vendors: a connector turns events into calls and replies into verdicts, and does nothing else.
//!
//! A connector is sans-I/O. It opens no socket, sleeps, retries, reads no storage and no clock; the engine does, so one
//! retry loop, one address guard, one deadline and one log serve every vendor, and "what would be sent?" is the same
//! function call.
//!
//! [`Connector::open`] reads a destination's settings once, templates compiled, and gives back an [`Outlet`]: from then
//! on that is what the engine talks to. One exchange is [`Outlet::prepare`], then a call, then [`Outlet::advance`], and so
//! on until there is a verdict for every item.

mod batch;
mod call;
mod manifest;
mod progress;
mod provision;
mod token;

use std::time::Duration;

use crate::settings::Settings;
use crate::time::Timestamp;
use crate::verdict::Verdict;

pub use batch::{Batch, Item};
pub use call::{
    Broker, Bucket, Call, HttpCall, MailCall, MailLogin, MailServer, MailTls, NatsLogin, ObjectCall,
    REPLY_BYTES_DEFAULT, REPLY_BYTES_MAX, Record, RecordRefusal, RecordsCall, Reply, Sasl, SaslMechanism, Server,
    ServerTls, Shown, SqlCall, SqlServer,
};
pub(crate) use manifest::check_fields;
pub use manifest::{BatchLimits, Category, Field, FieldKind, Manifest, Rate, SettingsError};
pub use progress::Progress;
pub use provision::{Action, Means};
pub use token::Token;

/// The code that speaks one vendor's language.
pub trait Connector: Send + Sync {
    /// What the vendor is called, which settings it takes, how much fits into one batch.
    fn manifest(&self) -> &'static Manifest;

    /// Reads the settings of one destination. Called after [`Manifest::check`] passed; refuses what the manifest cannot
    /// say.
    fn open(&self, settings: &Settings) -> Result<Box<dyn Outlet>, SettingsError>;
}

/// A connector with the settings of one destination. It keeps no state between calls: everything that must be
/// remembered is in the [`Progress`] of an exchange or kept by the engine.
pub trait Outlet: Send + Sync {
    /// What to do first for a batch: a call, or verdicts at once.
    fn prepare(&self, batch: &Batch<'_>, progress: &mut Progress) -> Step;

    /// What to do after a reply: the next call of a multi-step exchange, or one verdict per item.
    fn advance(&self, batch: &Batch<'_>, progress: &mut Progress, reply: &Reply) -> Step;

    /// What is to be said of each item when the call that was to be made next got no answer, though others before it in the same
    /// exchange did. `None` if it concerns all of them alike: then `otherwise` is said of each.
    fn cut_off(&self, _batch: &Batch<'_>, _progress: &Progress, _otherwise: &Verdict) -> Option<Vec<Verdict>> {
        None
    }

    /// What is shown to somebody who asks what would be sent about a batch: what [`Outlet::prepare`] comes to when nothing is
    /// known, unless that only asks the vendor for something that the answer to the question depends on.
    fn preview(&self, batch: &Batch<'_>) -> Step {
        self.prepare(batch, &mut Progress::default())
    }

    /// The servers that it dials by host and port, each with the setting that names it. URLs among the settings are known
    /// by their kind; these are not.
    fn servers(&self) -> Vec<(&'static str, Server)> {
        Vec::new()
    }

    /// The call that fetches a token, for a vendor that wants one. The engine makes it before [`Outlet::prepare`], keeps
    /// the token for as long as it is good and hands it on in [`Batch::token`]; one call at a time per destination.
    fn authorize(&self, _now: Timestamp) -> Option<HttpCall> {
        None
    }

    /// Reads the reply to [`Outlet::authorize`]: a token, or what the refusal means for the deliveries.
    fn token(&self, reply: &Reply) -> Result<Token, Verdict> {
        Err(Verdict::unauthorized(format!("the token was refused with {}", reply.status)))
    }

    /// Subjects whose remote ids the exchange will ask for with [`Progress::bound`]. The engine looks them up before.
    fn subjects(&self, _batch: &Batch<'_>) -> Vec<String> {
        Vec::new()
    }

    /// Whether it wants the record of a person once more when something becomes known of them by an event that it does not
    /// get. Only for vendors that keep records of people.
    fn reissues(&self) -> bool {
        false
    }

    /// The calls whose replies [`Outlet::plan`] needs to see what is there already. They change nothing. `None` if there
    /// is nothing that the destination needs to have made for it.
    fn survey(&self, _means: &Means<'_>) -> Option<Vec<Call>> {
        None
    }

    /// What has to be made, given the replies of the survey in order; empty if everything is there. Never removes
    /// anything. The error is for a person: why nothing can be planned, and what to do.
    fn plan(&self, _means: &Means<'_>, _replies: &[Reply]) -> Result<Vec<Action>, String> {
        Ok(Vec::new())
    }

    /// Whether the reply to an [`Action`] says that it was done. The error is for a person.
    fn is_done(&self, reply: &Reply) -> Result<(), String> {
        if reply.is_success() { Ok(()) } else { Err(format!("it was answered with {}", reply.status)) }
    }
}

/// What the engine is to do next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Make this call and come back with the reply.
    Send(Call),
    /// Make this call if no earlier try can have made it, and come back with the reply: for vendors without an idempotency
    /// key, where a repetition would be a second message to a person. `key` names the message among those of the event.
    /// Whether it is on its way is on disk before it is; a try whose outcome is unknown is never repeated by itself, unless
    /// the vendor recognises a repetition by the same delivery: then it is for as long as this is `known_for`, counted from
    /// the first try. That is for batches of one only, because another batch would be another message.
    SendOnce { key: String, call: Call, known_for: Option<Duration> },
    /// Done: one verdict per item, in order.
    Settle(Vec<Verdict>),
    /// The batch was refused whole and nobody says for which item: each half is tried for itself. A batch of one gets
    /// `alone`.
    Split { alone: Verdict },
    /// The token was refused: get a new one and begin again. If a new one is refused too, the destination is paused with
    /// this message.
    Reauthorize { message: String },
}

impl Step {
    /// One verdict for every item of a batch.
    pub fn settle_all(batch: &Batch<'_>, verdict: &Verdict) -> Self {
        Self::Settle(vec![verdict.clone(); batch.items.len()])
    }
}
