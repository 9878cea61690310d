//! The floor test: how small a delay this machine resolves. Raw TCP connections on the loopback, read as workers read.
//!
//! A thread on the server's cores writes its clock reading to one connection at a time; workers on the generator's
//! cores read and stamp. No HTTP, no fan-out, no publisher: what is left is the kernel, the event loop and the machine.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    io::{self, Write as _},
    net::{TcpListener, TcpStream},
    rc::Rc,
    thread,
    time::Duration,
};

use measurement::{histogram::Recorder, result, validity};
use serde_json::{Value, json};
use socket2::SockRef;
use ticker::{clock, random};
use tokio::{io::AsyncReadExt as _, task::LocalSet};

use crate::{
    conditions::CONGESTION_CONTROL,
    process::{self, Cores},
};

/// More connections tell nothing new: the event loop finds the ready one in constant time.
pub const MOST_CONNECTIONS: u32 = 1_000;
/// Messages of a test: enough for a 99th percentile, in about half a second.
pub const MESSAGES: u64 = 1_050;
const SPACING: Duration = Duration::from_micros(500);
/// Messages before them that are not recorded.
const WARM_UP: u64 = 50;
const STREAM: u64 = 47;

/// Delays of `messages` messages over `connections` connections of both ends in this process.
pub fn measure(connections: u32, messages: u64, cores: &Cores) -> io::Result<result::Histogram> {
    let (clients, servers) = connect(connections.max(1))?;
    let count = cores.loadgen.len().clamp(1, clients.len());
    let mut shares: Vec<Vec<TcpStream>> = (0..count).map(|_| Vec::new()).collect();
    for (number, client) in clients.into_iter().enumerate() {
        shares[number % count].push(client);
    }
    let readers: Vec<_> = shares
        .into_iter()
        .enumerate()
        .map(|(number, share)| {
            let core = cores.loadgen.get(number).copied();
            thread::Builder::new().name("floor".to_owned()).spawn(move || read(share, core))
        })
        .collect::<io::Result<_>>()?;
    let on = cores.server.clone();
    let writer = thread::Builder::new()
        .name("floor-writer".to_owned())
        .spawn(move || write(servers, WARM_UP + messages, &on))?;
    let panicked = |_| io::Error::other("a thread of the floor test panicked");
    let mut found = Recorder::default();
    let written = writer.join().map_err(panicked)?;
    for reader in readers {
        found.merge(&reader.join().map_err(panicked)??);
    }
    written?;
    found.finish(found.count()).ok_or_else(|| io::Error::other("nothing arrived"))
}

/// Both ends of `count` connections, with the options that all sockets of a run have.
fn connect(count: u32) -> io::Result<(Vec<TcpStream>, Vec<TcpStream>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
            #[cfg(target_os = "linux")]
            // Where cubic is not to be had, runs go without it too.
            let _ = SockRef::from(end).set_tcp_congestion(CONGESTION_CONTROL.as_bytes());
        }
        // No TIME_WAIT is left behind: the ports are the run's.
        SockRef::from(&client).set_linger(Some(Duration::ZERO))?;
        client.set_nonblocking(true)?;
        clients.push(client);
        servers.push(server);
    }
    Ok((clients, servers))
}

fn write(mut servers: Vec<TcpStream>, messages: u64, cores: &[u32]) -> io::Result<()> {
    // As the publisher: where pinning or the finer timer is refused, the figures show it.
    let _ = process::pin_thread(cores);
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_timerslack(1);
    let start_ns = clock::now_ns();
    for message in 0..messages {
        clock::sleep_until(start_ns + message * SPACING.as_nanos() as u64);
        let number = random::below(1, STREAM, message, servers.len() as u64) as usize;
        let stamp_ns = if message < WARM_UP { 0 } else { clock::now_ns() };
        servers[number].write_all(&stamp_ns.to_le_bytes())?;
    }
    Ok(())
}

/// A worker: one runtime, a task for each connection, stamped after the read.
fn read(clients: Vec<TcpStream>, core: Option<u32>) -> io::Result<Recorder> {
    if let Some(core) = core {
        let _ = process::pin_thread(&[core]);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = Rc::new(RefCell::new(Recorder::default()));
    LocalSet::new().block_on(&runtime, async {
        let mut tasks = tokio::task::JoinSet::new();
        for client in clients {
            let mut client = tokio::net::TcpStream::from_std(client)?;
            let found = Rc::clone(&found);
            tasks.spawn_local(async move {
                let mut stamp = [0; 8];
                // Ends with the writer.
                while client.read_exact(&mut stamp).await.is_ok() {
                    let now_ns = clock::now_ns();
                    let sent_ns = u64::from_le_bytes(stamp);
                    if sent_ns > 0 {
                        found.borrow_mut().record(now_ns.saturating_sub(sent_ns));
                    }
                }
            });
        }
        while tasks.join_next().await.is_some() {}
        Ok::<(), io::Error>(())
    })?;
    Ok(Rc::unwrap_or_clone(found).into_inner())
}

/// The floors of a run: one test for each number of clients, before the first trial that needs it.
#[derive(Default)]
pub struct Floors(BTreeMap<u32, Result<result::Histogram, String>>);

impl Floors {
    /// Makes sure that there is a floor for a trial with `clients` clients. Blocks for half a second, once.
    pub fn prepare(&mut self, clients: u32, cores: &Cores) {
        self.0.entry(capped(clients)).or_insert_with(|| {
            measure(capped(clients), MESSAGES, cores)
                .map_err(|error| format!("the floor test failed: {error}"))
        });
    }

    /// Gives a trial with `clients` clients its floor and judges it by that. A failed trial has nothing to judge.
    pub fn judge(&self, clients: u32, trial: &mut result::Trial) {
        let Some(found) = self.0.get(&capped(clients)) else { return };
        if trial.status == result::Status::Failed {
            return;
        }
        match found {
            Ok(floor) => {
                trial.floor = Some(floor.clone());
                trial.unavailable.remove("floor");
            }
            Err(reason) => {
                trial.unavailable.insert("floor".to_owned(), reason.clone());
            }
        }
        validity::judge_floor(trial);
    }

    /// For the manifest: connections, and percentiles in microseconds or why there are none.
    pub fn facts(&self) -> Value {
        let fact = |(connections, found): (&u32, &Result<result::Histogram, String>)| match found {
            Ok(floor) => json!({
                "connections": connections,
                "messages": floor.count,
                "p50_us": floor.p50_us,
                "p99_us": floor.p99_us,
                "max_us": floor.max_us,
            }),
            Err(reason) => json!({ "connections": connections, "error": reason }),
        };
        self.0.iter().map(fact).collect()
    }
}

/// Both ends are in this process: a connection takes two of its files.
fn capped(clients: u32) -> u32 {
    use nix::sys::resource::{Resource, getrlimit};
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft);
    let most = (files.saturating_sub(64) / 2).clamp(1, u64::from(MOST_CONNECTIONS));
    clients.min(most as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_is_stamped_once() {
        let cores = Cores::split(&process::allowed_cores());
        let floor = measure(5, 100, &cores).unwrap();
        assert_eq!((floor.count, floor.distinct), (100, 100));
        assert!(floor.p50_us.is_some_and(|us| us > 0.0 && us < 1e6), "{floor:?}");
        assert_eq!(floor.p99_us, None);
    }

    #[test]
    fn a_trial_gets_the_floor_of_its_number_of_clients_or_the_reason() {
        let floor = result::Histogram { p50_us: Some(40.0), ..result::Histogram::default() };
        let floors = Floors(BTreeMap::from([(5, Ok(floor)), (7, Err("no sockets".to_owned()))]));
        let judged = |clients: u32, status| {
            let delay = result::Histogram { p50_us: Some(100.0), ..result::Histogram::default() };
            let mut trial = result::Trial { status, delivery_delay: Some(delay), ..result::Trial::default() };
            floors.judge(clients, &mut trial);
            trial.validity.findings.iter().map(|finding| finding.code.clone()).collect::<Vec<_>>()
        };
        assert_eq!(judged(5, result::Status::Complete), ["floor.p50"]);
        assert_eq!(judged(7, result::Status::Complete), ["floor.missing"]);
        assert_eq!(judged(5, result::Status::Failed), Vec::<String>::new());
        assert_eq!(floors.facts()[0]["p50_us"], 40.0);
    }
}
