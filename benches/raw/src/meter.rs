//! Processor time and memory of this process and of the one that is watched. It knows no load.

use std::{fs, io, path::PathBuf};

use measurement::histogram::Recorder;
use serde_json::{Map, Value, json};

/// One reading of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    cpu_ns: u64,
    rss_bytes: u64,
}

impl Reading {
    /// Share of one core used since `before`, over `seconds`.
    pub(crate) fn cpu_share_since(&self, before: Self, seconds: f64) -> f64 {
        (self.cpu_ns - before.cpu_ns) as f64 / 1e9 / seconds
    }
}

/// Reads a process, `None` for this one: scheduler time of all its threads, resident set.
pub(crate) fn read(process: Option<u32>) -> io::Result<Reading> {
    let folder = PathBuf::from("/proc").join(process.map_or("self".to_owned(), |id| id.to_string()));
    let mut cpu_ns = 0;
    for thread in fs::read_dir(folder.join("task"))?.flatten() {
        // A thread may end while it is looked at.
        let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
        cpu_ns += text.split(' ').next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
    }
    let status = fs::read_to_string(folder.join("status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes: u64 = resident.and_then(|text| text.trim().split(' ').next()?.parse().ok()).unwrap_or(0);
    Ok(Reading { cpu_ns, rss_bytes: kilobytes * 1024 })
}

/// Both processes, where one is watched.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Both {
    own: Reading,
    watched: Option<Reading>,
}

impl Both {
    pub(crate) fn read(watch: Option<u32>) -> io::Result<Self> {
        Ok(Self { own: read(None)?, watched: watch.map(|id| read(Some(id))).transpose()? })
    }
}

/// What a client prints.
#[derive(Debug)]
pub(crate) struct Found {
    /// Before the first connection.
    pub(crate) idle: Both,
    /// At both ends of the window.
    pub(crate) window: [Both; 2],
    /// Length of the window.
    pub(crate) seconds: f64,
    /// Messages received whole, or requests answered, within it.
    pub(crate) count: u64,
    pub(crate) clients: usize,
    /// From the first connect to the last answer to a handshake.
    pub(crate) connect_seconds: f64,
    pub(crate) delays: Recorder,
}

impl Found {
    pub(crate) fn print(&self) {
        let mut line = Map::new();
        let clients = self.clients as f64;
        line.insert("count".to_owned(), json!(self.count));
        line.insert("seconds".to_owned(), json!(self.seconds));
        line.insert("connects_per_second".to_owned(), json!(clients / self.connect_seconds));
        for (name, q) in [("p50_us", 0.5), ("p99_us", 0.99), ("p999_us", 0.999)] {
            line.insert(name.to_owned(), json!(self.delays.quantile_ns(q) as f64 / 1e3));
        }
        let [from, to] = self.window;
        let mut tell = |who: &str, idle: Reading, from: Reading, to: Reading| {
            let cpu_seconds = (to.cpu_ns - from.cpu_ns) as f64 / 1e9;
            line.insert(format!("{who}_cpu_seconds"), json!(cpu_seconds));
            line.insert(format!("{who}_per_cpu_second"), json!(self.count as f64 / cpu_seconds));
            line.insert(
                format!("{who}_rss_per_client"),
                json!((to.rss_bytes as f64 - idle.rss_bytes as f64) / clients),
            );
        };
        tell("own", self.idle.own, from.own, to.own);
        if let (Some(idle), Some(from), Some(to)) = (self.idle.watched, from.watched, to.watched) {
            tell("watched", idle, from, to);
        }
        println!("{}", Value::Object(line));
    }
}
