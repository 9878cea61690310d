//! How late this machine wakes a thread: by every way of waiting that the project knows of, and over a raw connection.

use std::{rc::Rc, sync::mpsc, thread, time::Duration};

use ticker::clock;
use tokio::task::LocalSet;

use super::micros;
use crate::{
    floor,
    pacer::Pacer,
    process::{self, Cores},
};

/// Waits of each kind.
pub(super) const ROUNDS: u64 = 200;
const STEP: Duration = Duration::from_millis(1);
/// Connections and messages of the floor tests: about 0.55 s each.
const FLOORS: [(u32, u64); 2] = [(1, floor::MESSAGES), (100, floor::MESSAGES)];

/// Sorted lags in nanoseconds; `None` where they could not be measured.
type Lags = Option<Vec<u64>>;

/// One row for each way of waiting; together they take about a second and a half.
pub(super) fn rows() -> Vec<[String; 4]> {
    let cores = Cores::split(&process::allowed_cores());
    vec![
        row("absolute sleep and short spin", &precise(), "how the publisher waits"),
        row("plain thread sleep", &plain(), "how an ordinary program waits"),
        row("timerfd in the event loop", &in_event_loop(true), "how the generator's clients wait"),
        row("tokio sleep", &in_event_loop(false), "a timer wheel of 1 ms: no figure depends on it"),
        row(
            "waking another thread",
            &handed_over(&cores),
            "scheduling lag, from the server's core to the generator's",
        ),
    ]
}

fn row(name: &str, lags: &Lags, meaning: &str) -> [String; 4] {
    let at = |share: f64| match lags {
        Some(lags) if !lags.is_empty() => micros(lags[((lags.len() - 1) as f64 * share) as usize]),
        Some(_) | None => "not told".to_owned(),
    };
    [name.to_owned(), at(0.5), at(0.99), meaning.to_owned()]
}

/// The floor test as runs make it.
pub(super) fn floor_rows() -> Vec<[String; 4]> {
    let cores = Cores::split(&process::allowed_cores());
    let row = |(connections, messages): (u32, u64)| {
        let time = |us: Option<f64>| us.map_or("not told".to_owned(), |us| micros((us * 1e3) as u64));
        match floor::measure(connections, messages, &cores) {
            Ok(floor) => [
                connections.to_string(),
                time(floor.p50_us),
                time(floor.p99_us),
                format!("smaller delays are marked ~; the largest was {}", time(floor.max_us)),
            ],
            Err(error) => [connections.to_string(), time(None), time(None), error.to_string()],
        }
    };
    FLOORS.into_iter().map(row).collect()
}

fn sorted(mut lags: Vec<u64>) -> Vec<u64> {
    lags.sort_unstable();
    lags
}

/// Instants to wait for: each lies a step after the moment at which it is asked for.
fn instants() -> impl Iterator<Item = u64> {
    (0..ROUNDS).map(|_| clock::now_ns() + STEP.as_nanos() as u64)
}

fn late(due_ns: u64) -> u64 {
    clock::now_ns().saturating_sub(due_ns)
}

fn precise() -> Lags {
    let measured = thread::spawn(|| {
        #[cfg(target_os = "linux")]
        // Where it is refused the lag shows it.
        let _ = nix::sys::prctl::set_timerslack(1);
        instants()
            .map(|due_ns| {
                clock::sleep_until(due_ns);
                late(due_ns)
            })
            .collect()
    });
    measured.join().ok().map(sorted)
}

fn plain() -> Lags {
    let measured = thread::spawn(|| {
        instants()
            .map(|due_ns| {
                thread::sleep(Duration::from_nanos(due_ns.saturating_sub(clock::now_ns())));
                late(due_ns)
            })
            .collect()
    });
    measured.join().ok().map(sorted)
}

/// With the pacer's timerfd, or with the runtime's own timer.
fn in_event_loop(paced: bool) -> Lags {
    let measured = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        LocalSet::new().block_on(&runtime, async {
            let pacer = Rc::new(Pacer::new().ok()?);
            let driver = tokio::task::spawn_local(Rc::clone(&pacer).drive());
            let mut lags = Vec::new();
            for due_ns in instants() {
                if paced {
                    pacer.at(due_ns).await;
                } else {
                    tokio::time::sleep(Duration::from_nanos(due_ns.saturating_sub(clock::now_ns()))).await;
                }
                lags.push(late(due_ns));
            }
            driver.abort();
            Some(lags)
        })
    });
    measured.join().ok().flatten().map(sorted)
}

/// From the instant at which one thread hands a message over to the instant at which a sleeping one has it.
fn handed_over(cores: &Cores) -> Lags {
    let (sender, receiver) = mpsc::channel();
    let (on, off) = (cores.loadgen.clone(), cores.server.clone());
    let woken = thread::spawn(move || {
        // Unpinned it is measured too, only less exactly.
        let _ = process::pin_thread(&on);
        receiver.iter().map(late).collect()
    });
    let waker = thread::spawn(move || {
        let _ = process::pin_thread(&off);
        for due_ns in instants() {
            clock::sleep_until(due_ns);
            if sender.send(clock::now_ns()).is_err() {
                return;
            }
        }
    });
    waker.join().ok()?;
    woken.join().ok().map(sorted)
}
