//! Tests of what is this store's own: the suite of every store, twice, and what only a store on a disk can get wrong.

mod backup;
mod checkpoint;
mod conformance;
mod crash;
mod faults;
mod first_tries;
mod kit;
mod memos;
mod open;
mod secrets;
mod subjects;
