//! What other tools read: HdrHistogram logs, Prometheus text, OpenMetrics, and CSV of every table.
//!
//! Each is made of the result alone; where files go is the caller's business, but for the folder within a run's.

use measurement::result::RunResult;

use crate::{ReportError, html, plots::Plot};

pub(crate) mod csv;
mod hdrlog;
mod prometheus;
mod tables;

pub(crate) use hdrlog::merged;

/// Every export's path within the run's folder, with its bytes.
pub(crate) fn files(result: &RunResult, plots: &[Plot]) -> Result<Vec<(String, Vec<u8>)>, ReportError> {
    let families = prometheus::families(result)?;
    let mut files = vec![
        ("metrics.prom".to_owned(), prometheus::text(&families).into_bytes()),
        ("metrics.om".to_owned(), prometheus::open_metrics(&families).into_bytes()),
    ];
    let tables = tables::files(result, plots, html::tables(result));
    files.extend(tables.into_iter().map(|(name, text)| (format!("tables/{name}.csv"), text.into_bytes())));
    files.extend(hdrlog::files(result)?.into_iter().map(|(name, bytes)| (format!("hdr/{name}"), bytes)));
    Ok(files)
}
