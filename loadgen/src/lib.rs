//! The load generator: scenario -> plan -> run -> result.

pub mod assemble;
pub mod cli;
pub mod clients;
pub mod endpoint;
pub mod events;
pub mod folder;
pub mod machine;
pub mod pacer;
pub mod peers;
pub mod plan;
pub mod probe;
pub mod process;
pub mod progress;
pub mod runner;
pub mod scenario;
pub mod socket;
pub mod stream;
pub mod target;
pub mod timeline;
pub mod trial;
pub mod verbs;
pub mod worker;
