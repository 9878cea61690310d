//! What was found: histograms, delivery and staleness accounting, the byte ledger, validity, the result-file contract.
//!
//! This crate opens no socket, reads no clock and names no transport. Recorders are fed by one worker each and
//! merged at the end; everything else is a pure function of recorded values.

pub mod capacity;
pub mod changes;
pub mod claim;
pub mod crossover;
pub mod delivery;
pub mod gate;
pub mod glimpse;
pub mod histogram;
pub mod learn;
pub mod ledger;
pub mod metrics;
pub mod noise;
pub mod offset;
pub mod paired;
pub mod recorder;
pub mod result;
pub mod schema;
pub mod series;
pub mod slices;
pub mod staleness;
pub mod summary;
pub mod tape;
pub mod transfer;
pub mod trend;
pub mod validity;

pub use ticker::random;
