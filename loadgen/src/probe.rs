//! `loadgen probe`: what a server says, heard by the same clients that measure it, and a scenario that fits it.
//!
//! It knows no transport: keys that mean nothing to one are left out by what its own file says.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed, mpsc},
    time::Duration,
};

use measurement::recorder::Frame;
use ticker::{Anchor, Timetable, Transport, clock};
use tokio::sync::watch;

use crate::{
    clients,
    plan::{Plan, VariantPlan, peer},
    process::{self, Cores},
    scenario::{self, ScenarioError},
    target::{Program, Target, TargetError},
    worker::{self, Job, Live, Stage},
};

mod guess;

pub use guess::{Guess, guess};

/// How many messages are waited for.
const MESSAGES: usize = 3;
/// From the first message on, more may come for a guess to rest on.
const MORE: Duration = Duration::from_millis(1_500);
const MOST: usize = 40;
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What to ask, as the command line says it.
pub struct Question {
    /// The transport.
    pub kind: Transport,
    /// Where.
    pub url: String,
    /// Whether it may be another machine.
    pub allow_remote: bool,
    /// A PEM file.
    pub ca: Option<String>,
    /// Header fields, name and value.
    pub headers: Vec<(String, String)>,
    /// Subprotocols to offer.
    pub subprotocols: Vec<String>,
    /// Messages to send first.
    pub send: Vec<String>,
    /// How long to wait for messages.
    pub patience: Duration,
}

/// A message as it came, secrets redacted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Its text.
    pub text: String,
    /// Its type, where the transport has one.
    pub event: Option<String>,
}

/// What a server said, and what to make of it.
pub struct Probed {
    /// The first messages.
    pub samples: Vec<Sample>,
    /// What they seem to be.
    pub guess: Guess,
    /// A scenario that runs.
    pub scenario: String,
}

/// Why nothing can be told.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The url or what is to be said first cannot be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// Nothing is there.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// It said nothing.
    #[error("the server at {url} said nothing in {seconds} s{detail}")]
    Silent {
        /// As given.
        url: String,
        /// How long was waited.
        seconds: u64,
        /// What a client met.
        detail: String,
    },
    /// No thread.
    #[error("failed to start a client: {0}")]
    Thread(#[from] std::io::Error),
}

/// Listens to a server with one client and guesses.
pub async fn probe(question: &Question) -> Result<Probed, ProbeError> {
    let plan = parse(&head(question))?;
    let variant = plan.variants.into_iter().next().map(Arc::new);
    let Some(variant) = variant else { return Err(silent(question, None)) };
    let cores = Cores::split(&process::allowed_cores());
    let target = Target::start(&Program::loadgen(""), &[&variant], (&cores, None), None).await?;
    let (samples, error) = listen(&variant, &target, question.patience).await?;
    target.stop().await?;
    if samples.is_empty() {
        return Err(silent(question, error));
    }
    let guess = guess(&samples, clients::peer_keys(question.kind), clock::unix_ns());
    let scenario = format!("{}{}", head(question), guess.toml());
    // What is printed must run: the reader of scenarios has the last word.
    parse(&scenario)?;
    Ok(Probed { samples: samples.into_iter().take(MESSAGES).collect(), guess, scenario })
}

fn silent(question: &Question, error: Option<String>) -> ProbeError {
    let detail = error.map(|error| format!(": {error}")).unwrap_or_default();
    ProbeError::Silent { url: question.url.clone(), seconds: question.patience.as_secs(), detail }
}

fn parse(text: &str) -> Result<Plan, ScenarioError> {
    scenario::load_text("probe", text, &|name| std::env::var(name).ok())
}

/// The scenario up to `[transport.message]`.
fn head(question: &Question) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let list = |texts: &[String]| {
        format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
    };
    let mut lines = vec![format!("title = {}", quoted(&format!("{} of {}", question.kind, question.url)))];
    if question.allow_remote {
        lines.push("allow_remote = true".to_owned());
    } else {
        lines.push("\n[load]\nclients = 10".to_owned());
    }
    lines.push(format!("\n[[transport]]\nkind = \"{}\"\nurl = {}", question.kind, quoted(&question.url)));
    if let Some(ca) = &question.ca {
        lines.push(format!("ca = {}", quoted(ca)));
    }
    let mut open = Vec::new();
    if !question.headers.is_empty() {
        let fields =
            question.headers.iter().map(|(name, value)| format!("{} = {}", quoted(name), quoted(value)));
        open.push(format!("headers = {{ {} }}", fields.collect::<Vec<_>>().join(", ")));
    }
    if !question.subprotocols.is_empty() {
        open.push(format!("subprotocols = {}", list(&question.subprotocols)));
    }
    if !question.send.is_empty() {
        open.push(format!("send = {}", list(&question.send)));
    }
    if !open.is_empty() {
        lines.push(format!("\n[transport.open]\n{}", open.join("\n")));
    }
    lines.join("\n") + "\n"
}

/// Runs one client until enough messages came; also what it met, if something.
async fn listen(
    variant: &Arc<VariantPlan>,
    target: &Target,
    patience: Duration,
) -> Result<(Vec<Sample>, Option<String>), ProbeError> {
    let (heard, messages) = mpsc::channel::<Sample>();
    let secrets = variant.peer.as_ref().map(|peer| peer.secrets.clone()).unwrap_or_default();
    let listening = move |text: &[u8], event: Option<&str>| {
        let text = peer::redact(&String::from_utf8_lossy(text), &secrets);
        // A listener that has heard enough is gone.
        let _ = heard.send(Sample { text, event: event.map(str::to_owned) });
    };
    let frame = Frame {
        table: Arc::new(Timetable::heard([], 0)),
        t0_ns: u64::MAX,
        window: 0..u64::from(u32::MAX),
        coalesces: false,
        asked: false,
        subscriptions: Default::default(),
        phases: None,
    };
    let started_ns = clock::now_ns();
    let mut alone = VariantPlan::clone(variant);
    alone.load.clients = 1;
    let job = Job {
        variant: Arc::new(alone),
        seed: 1,
        endpoint: Arc::new(target.endpoint()),
        listening: Some(Arc::new(listening)),
        home: None,
        clients: 0..1,
        frame,
        anchor: Anchor::now(),
        ramp_from_ns: started_ns,
        cores: Vec::new(),
        watched: false,
    };
    let (stage, stages) = watch::channel(Stage::Connect);
    let live = Arc::new(Live::default());
    let worker = worker::spawn(job, stages, Arc::clone(&live))?;
    stage.send_replace(Stage::Run { t0_ns: started_ns });
    let samples = tokio::task::spawn_blocking(move || collect(&messages, &live, patience)).await;
    stage.send_replace(Stage::Close);
    let found = tokio::task::spawn_blocking(move || worker.join()).await.map_err(std::io::Error::other)?;
    let found = found.map_err(|_| std::io::Error::other("it panicked"))??;
    Ok((samples.map_err(std::io::Error::other)?, found.errors.into_iter().next()))
}

/// Three messages at least, and for a while more; what came when patience ends, or the client gives up.
fn collect(messages: &mpsc::Receiver<Sample>, live: &Live, patience: Duration) -> Vec<Sample> {
    let mut samples = Vec::new();
    let until_ns = clock::now_ns() + patience.as_nanos() as u64;
    let mut enough_ns = u64::MAX;
    while samples.len() < MOST && clock::now_ns() < until_ns.min(enough_ns) {
        match messages.recv_timeout(LOOK_EVERY) {
            Ok(sample) => samples.push(sample),
            // A client that gave up says nothing more.
            Err(_) if live.failed.load(Relaxed) + live.disconnected.load(Relaxed) > 0 => break,
            Err(_) => {}
        }
        if samples.len() >= MESSAGES {
            enough_ns = enough_ns.min(clock::now_ns() + MORE.as_nanos() as u64);
        }
    }
    samples
}
