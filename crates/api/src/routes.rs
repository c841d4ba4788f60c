//! The handlers: one file for each noun, in the order of the path. A handler reads its arguments, asks a pure function
//! or the pipeline, and shows the answer; the shapes on the wire stand beside it.

pub(crate) mod appspaces;
pub(crate) mod config;
pub(crate) mod connectors;
pub(crate) mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod destinations;
pub(crate) mod event_types;
pub(crate) mod events;
pub(crate) mod identify;
pub(crate) mod journeys;
pub(crate) mod keys;
pub(crate) mod replays;
pub(crate) mod root;
pub(crate) mod sources;
pub(crate) mod subjects;
pub(crate) mod webhooks;
