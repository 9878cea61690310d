//! The load generator: scenario -> plan -> run -> result.

pub mod clients;
pub mod plan;
