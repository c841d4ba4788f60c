//! The proof of what CRMs are promised: a day of events about thousands of people, told twice and out of order, to accounts
//! that misbehave, by a server that is killed in the middle; and in the end each person is there exactly once, as a sales
//! team should see them.

mod accounts;
mod arrivals;
mod chance;
mod day;
mod deed;
mod hostile;
mod judge;
mod late;
mod orders;
mod run;
mod sender;
mod stories;
mod truth;
mod whole_day;
