//! Stub.
#![allow(missing_docs)]
use measurement::result::RunResult;
use std::path::{Path, PathBuf};
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ReportError;
impl From<std::io::Error> for ReportError {
    fn from(_: std::io::Error) -> Self {
        Self
    }
}
pub fn load(path: &Path) -> Result<RunResult, ReportError> {
    Ok(serde_json::from_slice(&std::fs::read(path.join("result.json"))?).unwrap())
}
pub fn render(_r: &RunResult, f: &Path) -> Result<Vec<PathBuf>, ReportError> {
    Ok(vec![f.join("report.html")])
}
pub fn terminal_table(r: &RunResult) -> String {
    let mut s = String::new();
    for v in &r.variants {
        s += &format!("{}\n", v.name);
        for t in &v.trials {
            s += &format!(
                "  {:?} {:?} {:?}\n   {:?}\n   rec {:?}\n   sent {:?}\n",
                t.status, t.error, t.updates, t.clients, t.bytes.received, t.bytes.sent
            );
            for f in &t.validity.findings {
                s += &format!("    - {} {} {}\n", f.code, f.message, f.figure);
            }
        }
    }
    s
}
