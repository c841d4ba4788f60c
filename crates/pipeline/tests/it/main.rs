//! The pipeline over the memory store, on paused time.

mod house;
mod intake;
mod replay;
