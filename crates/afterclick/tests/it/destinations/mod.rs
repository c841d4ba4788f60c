//! Destinations end to end: the real program, its API and its command line, against simulators of the vendors and real
//! servers.

mod failures;
mod fleet;
mod guides;
mod hubspot;
mod once;
mod person;
mod pipedrive;
mod salesforce;
mod sdk;
mod sparing;
mod storm;
mod tally;
mod traffic;
mod warehouses;
