//! The recorder against its oracles: transports in virtual time, whose delays and faults are planted and known.
//!
//! No socket, no clock, no sleep. Expected figures come from closed forms or from a plain count of the definitions.

mod closed_forms;
mod faults;
mod held;
mod plain;
mod polling;
mod push;
mod stalls;
mod synthetic;
