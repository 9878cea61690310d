//! `--key value` pairs, and what each is when it is left out. It knows no program that reads them.

use std::{io, str::FromStr};

/// What any of the programs can be told.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Of the server, on 127.0.0.1.
    pub(crate) port: u16,
    /// Rounds a second, or ticks of the timer.
    pub(crate) rate: f64,
    /// Questions a second of each connection; 0 for the next one as soon as the last is answered.
    pub(crate) pace: f64,
    /// What the client speaks.
    pub(crate) kind: String,
    /// What the client asks for.
    pub(crate) path: String,
    /// Connections of the client.
    pub(crate) clients: usize,
    /// Seconds before the window.
    pub(crate) warmup: f64,
    /// Length of the window in seconds.
    pub(crate) seconds: f64,
    /// The process whose cost is read at both ends of the window.
    pub(crate) watch: Option<u32>,
}

impl Options {
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut options = Self {
            port: 0,
            rate: 100.0,
            pace: 0.0,
            kind: "ws".to_owned(),
            path: String::new(),
            clients: 1000,
            warmup: 1.0,
            seconds: 3.0,
            watch: None,
        };
        while let Some(key) = arguments.next() {
            let value = arguments.next().ok_or_else(|| io::Error::other(format!("{key} has no value")))?;
            match key.as_str() {
                "--port" => options.port = number(&key, &value)?,
                "--rate" => options.rate = number(&key, &value)?,
                "--pace" => options.pace = number(&key, &value)?,
                "--kind" => options.kind = value,
                "--path" => options.path = value,
                "--clients" => options.clients = number(&key, &value)?,
                "--warmup" => options.warmup = number(&key, &value)?,
                "--seconds" => options.seconds = number(&key, &value)?,
                "--watch" => options.watch = Some(number(&key, &value)?),
                _ => return Err(io::Error::other(format!("{key} is no option"))),
            }
        }
        Ok(options)
    }
}

fn number<T: FromStr>(key: &str, value: &str) -> io::Result<T> {
    value.parse().map_err(|_| io::Error::other(format!("{key} is {value:?}, expected a number")))
}
