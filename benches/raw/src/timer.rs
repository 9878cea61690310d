//! A bare timerfd loop: how late the kernel alone wakes a thread. It sends nothing.

use std::io;

use measurement::histogram::Recorder;
use serde_json::json;
use ticker::clock;

use crate::{meter::read, options::Options, poll::ticks};

/// Prints lateness and processor time of `--rate` ticks a second.
pub(crate) fn run(options: &Options) -> io::Result<()> {
    let period_ns = (1e9 / options.rate) as u64;
    let mut due_ns = clock::now_ns() + period_ns;
    let timer = ticks(due_ns, period_ns)?;
    let end_ns = due_ns + (options.seconds * 1e9) as u64;
    let mut lateness = Recorder::default();
    let before = read(None)?;
    while due_ns < end_ns {
        timer.wait()?;
        let now_ns = clock::now_ns();
        // A thread that slept over several ticks was late for each.
        while due_ns <= now_ns {
            lateness.record(now_ns - due_ns);
            due_ns += period_ns;
        }
    }
    let cpu = read(None)?.cpu_share_since(before, options.seconds);
    let us = |q| lateness.quantile_ns(q) as f64 / 1e3;
    println!(
        "{}",
        json!({ "count": lateness.count(), "p50_us": us(0.5), "p99_us": us(0.99), "cpu_share": cpu })
    );
    Ok(())
}
