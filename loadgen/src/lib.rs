//! The load generator: scenario -> plan -> run -> result.

pub mod assemble;
pub mod cli;
pub mod clients;
pub mod closing;
pub mod counters;
pub mod events;
pub mod exhaustion;
pub mod floor;
pub mod folder;
pub mod judged;
pub mod machine;
pub mod pacer;
pub mod plan;
pub mod process;
pub mod progress;
pub mod runner;
pub mod scenario;
pub mod socket;
pub mod target;
pub mod timeline;
pub mod trial;
pub mod verbs;
pub mod worker;
