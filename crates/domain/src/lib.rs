//! The nouns and rules of Afterclick.
//!
//! Pure: nothing in this crate opens a file or a socket, reads a clock, draws a random number or awaits. What time it
//! is and which random bits to use always come in as arguments, so that every rule here can be tested as a function.
//!
//! One file is one noun. [`event`] is where to start, [`delivery`] holds the state machine everything else obeys.

pub mod appspace;
pub mod attempt;
pub mod body;
pub mod catalogue;
pub mod connector;
pub mod delivery;
pub mod destination;
pub mod event;
pub mod expression;
pub mod fields;
pub mod hint;
pub mod id;
pub mod identity;
pub mod key;
pub mod mapping;
pub mod name;
pub mod privacy;
pub mod reading;
pub mod replay;
pub mod retry;
pub mod retry_after;
pub mod secret;
pub mod settings;
pub mod signature;
pub mod source;
pub mod subscription;
pub mod time;
pub mod verdict;
pub mod volume;
mod wait;

pub use appspace::Appspace;
pub use attempt::Attempt;
pub use connector::{Connector, Outlet};
pub use destination::Destination;
pub use event::{Event, EventType};
pub use id::{AppspaceId, DeliveryId, DestinationId, EventId, KeyId, ReplayId, SourceId, SubjectId};
pub use name::Name;
pub use privacy::Privacy;
pub use reading::Reading;
pub use secret::Secret;
pub use settings::Settings;
pub use source::Source;
pub use time::Timestamp;
pub use verdict::Verdict;
pub use volume::Volume;
