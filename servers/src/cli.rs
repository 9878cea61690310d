//! The command line of a server, shared by `servers` and `loadgen serve`; and its side of the control channel.

use std::{
    future::pending,
    io::{self, BufRead as _, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{
    ArgGroup, Args, ValueEnum,
    builder::{PossibleValuesParser, TypedValueParser as _},
};
use ticker::{Arrivals, Engine, FeedSettings, Stage};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::{mpsc, oneshot},
};

use crate::{
    Listeners,
    asked::{self, Question, Questions},
    control::{Acknowledged, Command, Hello, PROTOCOL, Reply, Start},
    fault::Fault,
    identity::Identity,
    listen, listen_both, listen_shared, os,
    serve::{self, ServeError},
    settings::{Deflate, Settings, SettingsError},
};

/// Port of a server that a person starts.
const DEFAULT_PORT: u16 = 8080;
/// Files that the process needs besides connections.
const RESERVED_FILES: u64 = 100;

/// Options of a server.
#[derive(Args, Clone, Debug)]
#[command(group(ArgGroup::new("encrypted").multiple(true)))]
pub struct ServeArgs {
    /// Address to listen on [default: 127.0.0.1:8080, under --control any free port]
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Listen on addresses that other machines can reach
    #[arg(long)]
    allow_remote: bool,
    /// Take commands from a parent process: JSON lines on stdin and stdout
    #[arg(long, value_name = "CHANNEL")]
    control: Option<Channel>,
    /// Take TLS connections on the same port, with a certificate of its own (self-signed, for loopback names)
    #[arg(long, group = "encrypted")]
    tls: bool,
    /// Write the certificate to this file (PEM), for clients to trust
    #[arg(long, value_name = "FILE", requires = "encrypted")]
    write_certificate: Option<PathBuf>,
    /// Use this certificate and its key (PEM, both in one file) instead of making one
    #[arg(long, value_name = "FILE", requires = "encrypted")]
    identity: Option<PathBuf>,
    /// Listen for HTTP/3 too, on the UDP port of the same number, with a certificate of its own
    #[arg(long, group = "encrypted")]
    quic: bool,
    /// Share the port with other servers that have this option: each gets a part of the connections
    #[arg(long, conflicts_with = "quic", hide_short_help = true)]
    reuse_port: bool,
    #[command(flatten)]
    feed: FeedArgs,
    #[command(flatten)]
    tuning: TuningArgs,
    #[command(flatten)]
    faults: FaultArgs,
}

/// Where commands come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Channel {
    Stdio,
}

/// Options of the feed.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Feed")]
pub struct FeedArgs {
    /// Number of symbols
    #[arg(long, value_name = "N", default_value_t = FeedSettings::default().symbols)]
    symbols: u32,
    /// Quotes per second over all symbols
    #[arg(long, value_name = "RATE", default_value_t = FeedSettings::default().updates_per_second)]
    updates_per_second: f64,
    /// How due times are spread
    #[arg(long, value_name = "KIND", value_parser = arrivals())]
    #[arg(default_value = FeedSettings::default().arrivals.name())]
    arrivals: Arrivals,
    /// Length of every quote's JSON
    #[arg(long, value_name = "BYTES", default_value_t = FeedSettings::default().quote_bytes)]
    quote_bytes: u32,
    /// Seed of due times, symbols, prices and quantities
    #[arg(long, value_name = "N", default_value_t = FeedSettings::default().seed)]
    seed: u64,
    /// A time of another rate: its beginning after t0 and its length in nanoseconds, the rates at both ends
    #[arg(long = "stage", value_name = "FROM:LASTS:RATE:RATE", hide_short_help = true)]
    stages: Vec<Stage>,
}

impl FeedArgs {
    /// The feed that they ask for, not checked yet.
    pub fn settings(&self) -> FeedSettings {
        FeedSettings {
            symbols: self.symbols,
            updates_per_second: self.updates_per_second,
            arrivals: self.arrivals,
            quote_bytes: self.quote_bytes,
            seed: self.seed,
            stages: self.stages.clone(),
        }
    }
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Tuning")]
struct TuningArgs {
    /// Run on these cores only, as in 0,1
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Threads that serve connections [default: one for each core it may run on]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Who serves quotes over plain HTTP/1.1: the libraries, or code of our own on the hot paths
    #[arg(long, value_name = "ENGINE", value_parser = engine())]
    #[arg(default_value = Settings::default().engine.name())]
    engine: Engine,
    /// Gather quotes for so long after the first one and send them in one write (direct engine)
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = humantime::parse_duration)]
    coalesce: Duration,
    /// Assign every byte to its layer and show the sums in /stats
    #[arg(long)]
    scan: bool,
    /// Compress polls' answers for clients that take gzip
    #[arg(long)]
    compress: bool,
    /// Compress WebSocket messages for clients that offer permessage-deflate
    #[arg(long, value_name = "HOW", value_enum, default_value_t = Deflate::Off)]
    deflate: Deflate,
    /// Send back what clients say at /ws/echo, for the workload echo and conformance suites
    #[arg(long)]
    echo: bool,
    /// Open a chat room at /ws/chat and in Socket.IO's namespace /chat
    #[arg(long)]
    chat: bool,
    /// Let clients open rooms at /ws/room, /sse/room, /room and in Socket.IO's namespace /room, for the workload chat
    #[arg(long)]
    rooms: bool,
    /// Quotes kept for clients that are behind or come back
    #[arg(long, value_name = "QUOTES", default_value_t = Settings::default().replay_window)]
    replay_window: usize,
    /// Silence after which event streams get a comment; period of WebSocket pings
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = humantime::parse_duration)]
    heartbeat: Duration,
    /// Open connections beyond which new ones get 503 [default: 19000, or the file limit less 100]
    #[arg(long, value_name = "N")]
    max_connections: Option<usize>,
    /// Pages that may open a WebSocket besides the server's own, as in https://example.org
    #[arg(long, value_name = "ORIGIN")]
    allow_origin: Vec<String>,
}

#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Faults, to see what a gate catches")]
struct FaultArgs {
    /// Do something wrong on purpose
    #[arg(long, value_name = "FAULT", value_enum, hide_short_help = true)]
    fault: Option<Fault>,
}

fn arrivals() -> impl clap::builder::TypedValueParser<Value = Arrivals> {
    PossibleValuesParser::new(Arrivals::ALL.map(Arrivals::name)).map(|name| {
        let named = |arrivals: &Arrivals| arrivals.name() == name;
        Arrivals::ALL.into_iter().find(named).expect("one of the possible values")
    })
}

fn engine() -> impl clap::builder::TypedValueParser<Value = Engine> {
    PossibleValuesParser::new(Engine::ALL.map(Engine::name))
        .map(|name| Engine::of_name(&name).expect("one of the possible values"))
}

/// What keeps a server from starting, or ends it.
#[derive(Debug, thiserror::Error)]
enum CliError {
    #[error("{0} can be reached from other machines: add --allow-remote if that is what you want")]
    Remote(SocketAddr),
    #[error("this build leaves out webtransport: build with --features quic")]
    WithoutQuic,
    #[error("failed to pin to cores {cpus:?}: {cause}")]
    Cpus { cpus: Vec<usize>, cause: nix::Error },
    #[error("{0}")]
    Settings(#[from] SettingsError),
    #[error("failed to listen on {address}: {cause}{advice}")]
    Listen { address: SocketAddr, cause: io::Error, advice: &'static str },
    #[error("failed to make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("failed to use {path} as identity: {cause}, expected a certificate and its private key in PEM")]
    Identity { path: String, cause: String },
    #[error("failed to write the certificate to {path}: {cause}")]
    WriteCertificate { path: String, cause: io::Error },
    #[error("failed to start: {0}")]
    Start(#[source] io::Error),
    #[error("failed to serve: {0}")]
    Serve(#[from] ServeError),
}

impl CliError {
    /// 2 for what another command line would cure, 3 for the rest.
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Remote(_)
            | Self::WithoutQuic
            | Self::Cpus { .. }
            | Self::Settings(_)
            | Self::Listen { .. }
            | Self::Identity { .. }
            | Self::WriteCertificate { .. } => ExitCode::from(2),
            Self::Certificate(_) | Self::Start(_) | Self::Serve(_) => ExitCode::from(3),
        }
    }
}

/// Runs a server until it is told to stop. Exit codes: 0 stopped in order, 2 bad usage (an address in use among
/// it), 3 could not serve.
pub fn run(args: &ServeArgs) -> ExitCode {
    match try_run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nobody left to tell if stderr is gone.
            let _ = writeln!(io::stderr(), "error: {error}");
            error.exit_code()
        }
    }
}

fn try_run(args: &ServeArgs) -> Result<(), CliError> {
    let address = args.address()?;
    if args.quic && !cfg!(feature = "quic") {
        return Err(CliError::WithoutQuic);
    }
    // Before any thread is made: threads inherit the cores.
    if !args.tuning.cpus.is_empty() {
        let cpus = args.tuning.cpus.clone();
        os::pin_to(&cpus).map_err(|cause| CliError::Cpus { cpus, cause })?;
    }
    let settings = args.settings(os::raise_file_limit().ok());
    settings.check()?;
    let listeners = args.listeners(address)?;
    let hello = hello(&listeners).map_err(CliError::Start)?;
    let runtime = runtime(args.tuning.workers).map_err(CliError::Start)?;
    // Before anyone is told that the server is there: from then on a signal must not kill it.
    let mut signals = Signals::listen(&runtime).map_err(CliError::Start)?;

    let Orders { start, questions, stop } = match args.control {
        Some(Channel::Stdio) => obey_stdin(&hello).map_err(CliError::Start)?,
        None => obey_signals(&hello, listeners.identity.as_deref(), &settings).map_err(CliError::Start)?,
    };
    // Under control Ctrl-C is the parent's business, which may still need its server to drain.
    let interrupt_stops = args.control.is_none();
    let serving = async move {
        let shutdown = async {
            tokio::select! {
                () = arrives(stop) => {}
                _ = signals.terminate.recv() => {}
                _ = signals.interrupt.recv(), if interrupt_stops => {}
            }
        };
        serve::serve_and_tell(listeners, settings, arrives(start), questions, shutdown).await?;
        Ok(())
    };
    // On a worker, like the tasks that it makes; the main thread only waits.
    let served = runtime.block_on(runtime.spawn(serving));
    served.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

impl ServeArgs {
    fn address(&self) -> Result<SocketAddr, CliError> {
        let port = if self.control.is_some() { 0 } else { DEFAULT_PORT };
        let address = self.listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, port).into());
        if address.ip().is_loopback() || self.allow_remote {
            Ok(address)
        } else {
            Err(CliError::Remote(address))
        }
    }

    /// Binds what was asked for, with a certificate where something is encrypted.
    fn listeners(&self, address: SocketAddr) -> Result<Listeners, CliError> {
        let given = self.identity.as_deref().map(given_identity).transpose()?;
        let listeners = match (self.quic, self.reuse_port) {
            (true, _) => listen_both(address),
            (false, true) => listen_shared(address).map(Listeners::from),
            (false, false) => listen(address).map(Listeners::from),
        };
        let mut listeners = listeners.map_err(|cause| CliError::listen(address, cause))?;
        if given.is_some() {
            listeners.identity = given;
        }
        if self.tls && listeners.identity.is_none() {
            listeners.identity = Some(Arc::new(Identity::self_signed()?));
        }
        if let (Some(path), Some(identity)) = (&self.write_certificate, &listeners.identity) {
            std::fs::write(path, identity.pem())
                .map_err(|cause| CliError::WriteCertificate { path: path.display().to_string(), cause })?;
        }
        Ok(listeners)
    }

    fn settings(&self, file_limit: Option<u64>) -> Settings {
        let Self { feed, tuning, .. } = self;
        let default = Settings::default();
        let room = |limit: u64| limit.saturating_sub(RESERVED_FILES).max(limit / 2) as usize;
        let most =
            file_limit.map_or(default.max_connections, |limit| default.max_connections.min(room(limit)));
        Settings {
            feed: feed.settings(),
            replay_window: tuning.replay_window,
            heartbeat: tuning.heartbeat,
            max_connections: tuning.max_connections.unwrap_or(most),
            allowed_origins: tuning.allow_origin.clone(),
            scan: tuning.scan,
            compress: tuning.compress,
            deflate: tuning.deflate,
            echo: tuning.echo,
            chat: tuning.chat,
            rooms: tuning.rooms,
            fault: self.faults.fault,
            engine: tuning.engine,
            coalesce: tuning.coalesce,
            ..default
        }
    }
}

/// The identity in a file.
fn given_identity(path: &Path) -> Result<Arc<Identity>, CliError> {
    let read = std::fs::read_to_string(path).map_err(|cause| cause.to_string());
    let identity = read.and_then(|pem| Identity::from_pem(&pem).map_err(|cause| cause.to_string()));
    let wrong = |cause| CliError::Identity { path: path.display().to_string(), cause };
    identity.map(Arc::new).map_err(wrong)
}

impl CliError {
    fn listen(address: SocketAddr, cause: io::Error) -> Self {
        let in_use = cause.kind() == io::ErrorKind::AddrInUse;
        let advice =
            if in_use { "; another program listens there, choose another address with --listen" } else { "" };
        Self::Listen { address, cause, advice }
    }
}

fn runtime(workers: Option<u16>) -> io::Result<Runtime> {
    // It counts the cores of the affinity mask, so --cpus decides here too.
    let workers = workers.map_or_else(std::thread::available_parallelism, |workers| {
        Ok(std::num::NonZero::from(std::num::NonZeroU16::new(workers).expect("the option starts at 1")))
    })?;
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers.get())
        .thread_name("worker")
        .enable_all()
        .build()
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen(runtime: &Runtime) -> io::Result<Self> {
        let _inside = runtime.enter();
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }
}

/// What somebody wants of the server, as it comes.
struct Orders {
    /// The instant to start at.
    start: oneshot::Receiver<Start>,
    questions: Questions,
    /// The instant to stop at.
    stop: oneshot::Receiver<()>,
}

/// A sender that is gone will send nothing any more.
async fn arrives<T>(order: oneshot::Receiver<T>) -> T {
    match order.await {
        Ok(order) => order,
        Err(_) => pending().await,
    }
}

/// Where it listens, and how it is recognised.
fn hello(listeners: &Listeners) -> io::Result<Hello> {
    Ok(Hello {
        protocol: PROTOCOL,
        address: listeners.tcp.local_addr()?,
        pid: std::process::id(),
        certificate: listeners.identity.as_ref().map(|identity| identity.pem().to_owned()),
        quic: listeners.udp.as_ref().map(UdpSocket::local_addr).transpose()?,
    })
}

/// Without a parent: starts at once, tells a person where, stops by signals only.
fn obey_signals(hello: &Hello, identity: Option<&Identity>, settings: &Settings) -> io::Result<Orders> {
    let address = hello.address;
    let FeedSettings { symbols, updates_per_second, arrivals, quote_bytes, .. } = &settings.feed;
    let arrivals = arrivals.name();
    writeln!(
        io::stdout(),
        "serving http://{address}/ ({symbols} symbols, {updates_per_second} quotes/s, {arrivals}, \
         {quote_bytes} bytes each); Ctrl-C stops"
    )?;
    if let Some(fault) = settings.fault {
        writeln!(io::stdout(), "with a planted fault: {}", fault.name())?;
    }
    if identity.is_some() {
        writeln!(io::stdout(), "serving https://{address}/ on the same port")?;
    }
    if let Some(quic) = hello.quic {
        writeln!(io::stdout(), "serving https://{quic}/ over HTTP/3 (UDP port {})", quic.port())?;
    }
    if let Some(identity) = identity {
        let hex: String = identity.fingerprint().iter().map(|byte| format!("{byte:02x}")).collect();
        let base64 = identity.fingerprint_base64();
        writeln!(io::stdout(), "certificate SHA-256 {hex}\n            (base64 {base64})")?;
    }
    let (start, started) = oneshot::channel();
    let _ = start.send(Start::now());
    Ok(Orders { start: started, questions: asked::nobody(), stop: oneshot::channel().1 })
}

/// With a parent: greets it and obeys what it says.
fn obey_stdin(hello: &Hello) -> io::Result<Orders> {
    say(hello)?;
    let (start, started) = oneshot::channel();
    let (stop, stopped) = oneshot::channel();
    let (ask, questions) = mpsc::unbounded_channel();
    // A thread, not a task, and never joined: only the end of the process ends a read of stdin.
    std::thread::Builder::new().name("control".to_owned()).spawn(move || {
        obey(start, &ask);
        let _ = stop.send(());
    })?;
    Ok(Orders { start: started, questions, stop: stopped })
}

/// Reads commands until one says stop, or stdin or stdout is gone.
fn obey(start: oneshot::Sender<Start>, questions: &mpsc::UnboundedSender<Question>) {
    let mut start = Some(start);
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        let reply = match serde_json::from_str(&line) {
            Ok(Command::Stop {}) => return,
            Ok(Command::Stats {}) => stats(questions),
            Ok(Command::Clock {}) => Reply::Clock { mono_ns: ticker::clock::now_ns() },
            Ok(Command::Start(instant)) => match start.take().map(|start| start.send(instant)) {
                Some(Ok(())) => Reply::Ack(Acknowledged::Start),
                Some(Err(_)) | None => {
                    Reply::Error("failed to start: the server has started before".to_owned())
                }
            },
            Err(error) => Reply::Error(format!("failed to read the command: {error}")),
        };
        if say(&reply).is_err() {
            return;
        }
    }
}

/// The counters, from the runtime that serves.
fn stats(questions: &mpsc::UnboundedSender<Question>) -> Reply {
    let (question, answer) = oneshot::channel();
    // A server that has stopped takes no question and drops those that it has.
    let _ = questions.send(question);
    match answer.blocking_recv() {
        Ok(stats) => Reply::Stats(Box::new(stats)),
        Err(_) => Reply::Error("failed to tell the counters: the server has stopped".to_owned()),
    }
}

/// Writes one line to stdout at once.
fn say(message: &impl serde::Serialize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, message)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}
