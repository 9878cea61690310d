//! `loadgen worker`: a generator process of a parent that speaks to it over stdin and stdout. Nobody types it.

use std::process::ExitCode;

use super::run::raise_file_limit;
use crate::crew::obey;

/// Does a parent's job. Exit codes: 0 done or not needed any more, 1 it could not be done, as the parent was told.
pub fn run() -> ExitCode {
    raise_file_limit();
    if obey::obey() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
