//! The reference server of a trial: a fresh process of our own binary, told what to do over its stdin, asked over HTTP.
//!
//! This is the one file of the load generator that knows the `servers` crate.

use std::{
    net::{Ipv4Addr, SocketAddr},
    ops::Range,
};

use futures_util::future::{join_all, select_all};
pub(super) use servers::control;
pub use servers::stats;
use servers::{
    control::{Command, Hello, Reply, Start},
    stats::Stats,
};
use ticker::{Anchor, clock};

use super::{
    Program, TargetError,
    member::{Member, START_TIME},
};
use crate::{
    conditions::HEARTBEAT,
    crew::{Sizes, message::Where, share},
    endpoint::Endpoint,
    machine,
    network::Home,
    plan::{Compression, Deflate, Http, VariantPlan, options::Word as _},
    process::Cores,
};

/// The system chooses the port.
const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Connections of the server beyond its clients: the control plane's, and a few that are closing.
const SPARE_CONNECTIONS: u32 = 16;

/// Quotes a second of a server whose clients publish.
const IDLE_RATE: f64 = 0.001;

/// What `/clock` answers, as far as it matters here.
#[derive(serde::Deserialize)]
struct Reading {
    mono_ns: u64,
}

/// A running reference server: one process, or several that share its port.
pub struct Reference {
    /// Where clients connect.
    pub endpoint: Endpoint,
    /// The same, as another process is told it.
    pub place: Where,
    members: Vec<Member>,
    /// Whether it lives in a network of its own, where it cannot be asked over HTTP.
    is_away: bool,
    http: reqwest::Client,
}

impl Reference {
    /// Starts the embedded server for variants that run at the same time and waits until it is ready.
    ///
    /// `program` may be of another version, as long as it speaks the same control protocol and is one process.
    pub async fn start(
        program: &Program,
        variants: &[&VariantPlan],
        (cores, home): (&Cores, Option<Home>),
    ) -> Result<Self, TargetError> {
        let home = home.as_ref();
        let listen = home.map_or(ANY_PORT, |home| SocketAddr::new(home.address, 0));
        let count = Sizes::together(variants, &machine::limits()).servers;
        let arguments = |listen: SocketAddr, number| arguments(variants, cores, listen, (number, count));
        let (first, hello) = Member::start(program, &arguments(listen, 0), home).await?;
        let (mut members, mut hellos) = (vec![first], vec![hello]);
        let address = hellos[0].address;
        // The port is taken: the others can start beside each other.
        let others: Vec<Vec<String>> = (1..count).map(|number| arguments(address, number)).collect();
        for started in join_all(others.iter().map(|arguments| Member::start(program, arguments, home))).await
        {
            let (member, hello) = started?;
            members.push(member);
            hellos.push(hello);
        }
        let http = reqwest::Client::builder().no_proxy().timeout(START_TIME).build()?;
        let place = place(&hellos, variants.iter().any(|variant| variant.options.tls));
        let endpoint = place.endpoint(None).await?;
        let reference = Self { endpoint, place, members, is_away: home.is_some(), http };
        if reference.has_own_port() {
            reference.http.get(reference.url("/healthz")).send().await?.error_for_status()?;
        }
        reference.check_clock().await?;
        Ok(reference)
    }

    /// One that shares its port cannot be asked over it, nor one in a network of its own.
    fn has_own_port(&self) -> bool {
        self.members.len() == 1 && !self.is_away
    }

    /// Its processes.
    pub fn pids(&self) -> Vec<u32> {
        self.members.iter().map(|member| member.pid).collect()
    }

    /// Connections of its own that it counts when it is asked for its counters.
    pub fn askers(&self) -> u64 {
        u64::from(self.has_own_port())
    }

    /// One-way delays are differences of two processes' readings: all must read the same clock.
    async fn check_clock(&self) -> Result<(), TargetError> {
        let before_ns = clock::now_ns();
        let mut readings = Vec::new();
        if self.has_own_port() {
            let answer = self.http.get(self.url("/clock")).send().await?.error_for_status()?;
            readings.push(answer.json::<Reading>().await?.mono_ns);
        } else {
            for reply in self.tell_all(&Command::Clock {}, "its clock").await? {
                readings.push(match reply {
                    Reply::Clock { mono_ns } => mono_ns,
                    other @ (Reply::Ack(_) | Reply::Stats(_) | Reply::Error(_)) => {
                        return Err(unexpected("its clock", &other));
                    }
                });
            }
        }
        let after_ns = clock::now_ns();
        match readings.iter().find(|reading| !(before_ns..=after_ns).contains(*reading)) {
            None => Ok(()),
            Some(reading) => {
                let found = format!("{reading} outside {before_ns} to {after_ns}");
                Err(TargetError::Unexpected { expected: "a reading of our own monotonic clock", found })
            }
        }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.endpoint.address)
    }

    /// Tells all processes the same at once.
    async fn tell_all(&self, command: &Command, expected: &'static str) -> Result<Vec<Reply>, TargetError> {
        join_all(self.members.iter().map(|member| member.tell(command, expected))).await.into_iter().collect()
    }

    /// Tells the server when to publish, and waits for its acknowledgement.
    pub async fn publish(&mut self, start: Start) -> Result<(), TargetError> {
        let expected = "an acknowledgement";
        for reply in self.tell_all(&Command::Start(start), expected).await? {
            if !matches!(reply, Reply::Ack(_)) {
                return Err(unexpected(expected, &reply));
            }
        }
        Ok(())
    }

    /// The server's counters, of all its processes together.
    pub async fn stats(&self) -> Result<Stats, TargetError> {
        if self.has_own_port() {
            return Ok(self.http.get(self.url("/stats")).send().await?.error_for_status()?.json().await?);
        }
        let mut all = Vec::new();
        for reply in self.tell_all(&Command::Stats {}, "its counters").await? {
            match reply {
                Reply::Stats(stats) => all.push(*stats),
                other @ (Reply::Ack(_) | Reply::Clock { .. } | Reply::Error(_)) => {
                    return Err(unexpected("its counters", &other));
                }
            }
        }
        Ok(Stats::together(all).unwrap_or_default())
    }

    /// Ends when a process of the server does, which it should not do by itself.
    pub async fn ended(&mut self) -> TargetError {
        let ends = self.members.iter_mut().map(|member| Box::pin(member.ended()));
        select_all(ends).await.0
    }

    /// Tells the server to stop and waits; a process that does not is killed.
    pub async fn stop(self) -> Result<(), TargetError> {
        join_all(self.members.into_iter().map(Member::stop)).await.into_iter().collect()
    }
}

fn unexpected(expected: &'static str, reply: &Reply) -> TargetError {
    let found = match reply {
        Reply::Error(found) => found.clone(),
        Reply::Ack(_) => "an acknowledgement".to_owned(),
        Reply::Stats(_) => "counters".to_owned(),
        Reply::Clock { .. } => "a clock".to_owned(),
    };
    TargetError::Unexpected { expected, found }
}

/// Where the server is. Each process has a certificate of its own: any of them may answer.
fn place(hellos: &[Hello], tls: bool) -> Where {
    let pems: Vec<&str> = hellos.iter().filter_map(|hello| hello.certificate.as_deref()).collect();
    let first = &hellos[0];
    Where::Reference {
        address: first.address,
        certificate: (tls && !pems.is_empty()).then(|| pems.concat()),
        quic: first.quic.zip(first.certificate.clone()),
    }
}

/// When to publish, and which part of it is measured, in nanoseconds after t0.
pub fn start_message(anchor: Anchor, t0_ns: u64, window: &Range<u64>) -> Start {
    Start { anchor, t0_ns, window_from_ns: window.start, window_to_ns: window.end }
}

/// Connections that the server takes: where clients come back, the old ones may still be closing.
fn most_connections(variant: &VariantPlan) -> u32 {
    let comes_back = variant.storm.is_some() || variant.link.as_ref().is_some_and(|link| link.resets());
    variant.connections().saturating_mul(1 + u32::from(comes_back))
}

/// Arguments of process `number` of `count`. Variants that share the server have feed and engine in common; what only
/// some of them ask for, it is told for those.
fn arguments(
    variants: &[&VariantPlan],
    cores: &Cores,
    listen: SocketAddr,
    (number, count): (u32, u32),
) -> Vec<String> {
    let any = |asks: fn(&VariantPlan) -> bool| variants.iter().any(|variant| asks(variant));
    let mut feed = variants.first().map(|variant| variant.feed.clone()).unwrap_or_default();
    if !any(|variant| variant.workload.server_publishes()) {
        // Nobody listens to the server's own feed: it has next to nothing to do.
        feed.updates_per_second = IDLE_RATE;
    }
    let connections =
        variants.iter().fold(SPARE_CONNECTIONS, |sum, variant| sum.saturating_add(most_connections(variant)));
    let cpus: Vec<String> = share(&cores.server, number, count).iter().map(u32::to_string).collect();
    let mut arguments: Vec<String> = ["--control", "stdio"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("--listen={listen}")])
        .chain([format!("--symbols={}", feed.symbols)])
        .chain([format!("--updates-per-second={}", feed.updates_per_second)])
        .chain([format!("--arrivals={}", feed.arrivals.name())])
        .chain([format!("--quote-bytes={}", feed.quote_bytes)])
        .chain([format!("--seed={}", feed.seed)])
        .chain(feed.stages.iter().map(|stage| format!("--stage={stage}")))
        .chain([format!("--max-connections={connections}")])
        .chain([format!("--heartbeat={}s", HEARTBEAT.as_secs())])
        .collect();
    if !listen.ip().is_loopback() {
        // Its network has one other end only, which is ours.
        arguments.push("--allow-remote".to_owned());
    }
    if cfg!(target_os = "linux") {
        arguments.push(format!("--cpus={}", cpus.join(",")));
    }
    let deflate = variants.iter().map(|variant| variant.options.deflate).find(|word| *word != Deflate::Off);
    arguments.push(format!("--deflate={}", deflate.unwrap_or(Deflate::Off).word()));
    if any(|variant| variant.options.compression == Compression::Gzip) {
        arguments.push("--compress".to_owned());
    }
    if any(|variant| variant.options.http == Http::H3) {
        arguments.push("--quic".to_owned());
    } else if any(|variant| variant.options.tls) {
        arguments.push("--tls".to_owned());
    }
    let engine = variants.first().map(|variant| variant.engine).unwrap_or_default();
    arguments.push(format!("--engine={}", engine.name()));
    if let Some(time) = variants.iter().find_map(|variant| variant.options.coalesce) {
        arguments
            .push(format!("--coalesce={}", humantime::format_duration(time).to_string().replace(' ', "")));
    }
    if any(VariantPlan::counted_by_server) {
        // Nobody else counts the pooled client's bytes.
        arguments.push("--scan".to_owned());
    }
    if any(|variant| variant.workload.clients_publish()) {
        arguments.push("--echo".to_owned());
    }
    if any(|variant| variant.workload.has_rooms()) {
        arguments.push("--rooms".to_owned());
    }
    if count > 1 {
        arguments.push("--reuse-port".to_owned());
    }
    arguments
}
