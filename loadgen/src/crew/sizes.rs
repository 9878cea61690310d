//! How many processes each side of a trial needs, and from how many addresses clients come: pure functions.

use crate::{
    plan::{Driver, Http, Processes, VariantPlan},
    scenario::estimate::Limits,
    sources,
};

/// Open files of a process besides one for each connection: listeners, runtimes, logs, /proc; and connections that
/// are closing, or that ask for /stats.
const ROOM: u64 = 200;
/// More processes on one machine tell of their scheduler.
const MOST: u32 = 64;
/// The kernel deals connections out at random: a server may get so many standard deviations more than the mean.
const DEVIATIONS: u64 = 6;

/// Processes and source addresses of a trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Processes that generate the load; 0 for threads of the parent.
    pub generators: u32,
    /// Processes that serve.
    pub servers: u32,
    /// Addresses that connections come from.
    pub sources: u32,
}

impl Sizes {
    /// What a variant takes on a machine with these limits.
    pub fn of(variant: &VariantPlan, limits: &Limits) -> Self {
        let sockets = u64::from(variant.connections());
        // At least half of few files: their lack is then told by a refusal, not by a crowd of processes.
        let room = limits.files.map_or(u64::MAX, |files| files.saturating_sub(ROOM).max(files / 2).max(1));
        let clients = variant.load.clients.max(1);
        let (generators, servers) = match variant.load.processes {
            Processes::Number(number) => (number, number),
            Processes::Auto => {
                let fewest = |share: &dyn Fn(u64) -> u64| {
                    (1..MOST).find(|&count| share(u64::from(count)) <= room).unwrap_or(MOST)
                };
                let generators = fewest(&|count| sockets.div_ceil(count));
                let generators = if generators == 1 { 0 } else { generators };
                (generators, fewest(&|count| of_a_server(sockets, count)))
            }
        };
        Self {
            // A browser is started by a thread of this process, and holds all tabs.
            generators: if variant.driver == Driver::Chromium { 0 } else { generators.min(clients) },
            servers: if shares_its_port(variant) { servers } else { 1 },
            sources: sources(variant, sockets, limits.ports),
        }
    }

    /// What variants take that run at the same time: the clients of several are threads, and one process serves them.
    pub fn together(variants: &[&VariantPlan], limits: &Limits) -> Self {
        match variants {
            [one] => Self::of(one, limits),
            [first, ..] => {
                let sockets = variants.iter().map(|variant| u64::from(variant.connections())).sum();
                Self { generators: 0, servers: 1, sources: sources(first, sockets, limits.ports) }
            }
            [] => Self { generators: 0, servers: 1, sources: 1 },
        }
    }

    /// Most connections that one process of either side holds, of `sockets` in all.
    pub fn most_of_one(&self, sockets: u64) -> u64 {
        let generators = u64::from(self.generators.max(1));
        sockets.div_ceil(generators).max(of_a_server(sockets, u64::from(self.servers.max(1))))
    }
}

/// Most connections of one of several servers that share a port.
fn of_a_server(sockets: u64, servers: u64) -> u64 {
    let mean = sockets.div_ceil(servers);
    if servers == 1 { mean } else { (mean + DEVIATIONS * mean.isqrt()).min(sockets) }
}

/// Whether the connections of a client may be served by different processes: not where it has several at a time, for
/// they may belong together, nor where clients talk to each other, and not over QUIC, whose connections the kernel does not
/// know.
fn shares_its_port(variant: &VariantPlan) -> bool {
    variant.peer.is_none()
        && !variant.workload.has_rooms()
        && variant.options.http != Http::H3
        && variant.connections() <= variant.load.clients
}

/// One address as long as its even ports are enough, which `connect` takes first: beyond them it looks through all of
/// them each time, a millisecond for each connection. Several have a third of their ports each.
fn sources(variant: &VariantPlan, sockets: u64, ports: Option<u64>) -> u32 {
    let spread = variant.peer.is_none() && !variant.counted_by_server() && variant.options.http != Http::H3;
    match ports {
        Some(ports) if spread && sockets > ports / 2 => {
            let count = sockets.div_ceil((ports / 3).max(1));
            u32::try_from(count).unwrap_or(u32::MAX).min(sources::MOST)
        }
        Some(_) | None => 1,
    }
}

/// The cores of part `number` of `count`: some of its own, or one that it shares.
pub fn share(cores: &[u32], number: u32, count: u32) -> Vec<u32> {
    let (number, count) = (number as usize, count.max(1) as usize);
    if cores.len() < count {
        return cores.get(number % cores.len().max(1)).copied().into_iter().collect();
    }
    cores[cores.len() * number / count..cores.len() * (number + 1) / count].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load};

    fn sizes(set: &[&str], only: &str) -> Sizes {
        let set = set.iter().map(|&set| set.to_owned()).collect();
        let plan = load("ticker", &Overrides { set, only: vec![only.to_owned()], ..Overrides::default() });
        let limits = Limits { files: Some(20_000), ports: Some(28_232), no_browser: None };
        Sizes::of(&plan.unwrap().variants[0], &limits)
    }

    #[test]
    fn few_clients_need_one_process_of_each_and_many_as_many_as_files_allow() {
        let check = |set: &[&str], only: &str, (generators, servers, sources): (u32, u32, u32)| {
            assert_eq!(sizes(set, only), Sizes { generators, servers, sources }, "{set:?} {only}");
        };
        check(&[], "websocket", (0, 1, 1));
        check(&["load.clients=10000"], "websocket", (0, 1, 1));
        check(&["load.clients=19800"], "websocket", (0, 1, 3));
        check(&["load.clients=19801"], "websocket", (2, 2, 3));
        check(&["load.clients=60000"], "websocket", (4, 4, 7));
        check(&["load.clients=200000"], "websocket", (11, 11, 22));
        check(&["load.processes=1"], "websocket", (1, 1, 1));
        check(&["load.processes=3"], "sse", (3, 3, 1));
        check(&["load.processes=3", "load.clients=2"], "sse", (2, 3, 1));
    }

    #[test]
    fn the_fullest_process_has_room() {
        for clients in [20_000_u64, 60_000, 100_000, 200_000, 400_000] {
            let sizes = sizes(&[&format!("load.clients={clients}")], "websocket");
            assert!(sizes.most_of_one(clients) <= 19_800, "{sizes:?}");
        }
        assert_eq!(Sizes { generators: 0, servers: 1, sources: 1 }.most_of_one(500), 500);
    }

    #[test]
    fn cores_are_shared_out() {
        let check = |cores: &[u32], number, count, expected: &[u32]| {
            assert_eq!(share(cores, number, count), expected);
        };
        check(&[4, 5, 6], 0, 1, &[4, 5, 6]);
        check(&[4, 5, 6], 1, 2, &[5, 6]);
        check(&[4, 5], 5, 11, &[5]);
        check(&[], 0, 2, &[]);
    }
}
