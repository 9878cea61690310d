//! `[workload]`, `[[phase]]` and the failures of `[link]`: what happens in the window, and when.

use std::time::Duration;

use ticker::{Arrivals, Engine, Stage, Transport};
use toml::Spanned;

use super::{
    decode::Sources,
    error::{Problem, ScenarioError},
    scalar::{One, Span, Time},
    sweep::Draft,
    values::{self, Words},
    wire::{self, File},
};
use crate::{
    clients::{self, Conflict},
    plan::{
        Compression, Driver, Encoding, HttpClient, Link, PollMode, Workload,
        link::{Failure, Level, LinkEvent},
        options::Word as _,
        workload::{SlowReaders, Storm},
    },
};

/// How long a burst lasts, and how many times the rate it is.
const BURST: (Duration, f64) = (Duration::from_secs(2), 100.0);
/// Share of slow readers, and what they read a second.
const SLOW: (f64, u32) = (0.01, 1_000);
/// How long a failure of the link lasts.
const FAILURE: Duration = Duration::from_secs(1);
/// Quotes a second of a feed that says nothing.
const SILENCE: f64 = 1e-5;
/// Members that a server's rooms take (docs/PROTOCOL.md).
const MOST_MEMBERS: u32 = 10_000;
/// The fastest feed (`feed.updates_per_second`).
const FASTEST: f64 = 1e6;

/// Whose workload is asked for.
pub(super) struct Asked {
    pub(super) kind: Transport,
    pub(super) engine: Engine,
    /// Where an error points to.
    pub(super) span: Span,
    /// Whether it is somebody else's server.
    pub(super) of_others: bool,
    /// Where the number of clients stands, if the file says it.
    pub(super) clients: Option<Span>,
}

/// What the workload comes to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) kind: Workload,
    pub(super) storm: Option<Storm>,
    pub(super) slow: Option<SlowReaders>,
}

/// What the file says that is done.
pub(super) fn kind(file: &File, sources: &Sources) -> Result<Workload, ScenarioError> {
    let Some(given) = &file.workload.kind else { return Ok(Workload::default()) };
    values::word(sources, "workload.kind", given, &Words { supported: Workload::WORDS, planned: &[] })
}

/// The workload of one variant; the stages of the feed go into its draft.
pub(super) fn resolve(
    file: &File,
    sources: &Sources,
    asked: &Asked,
    draft: &mut Draft,
) -> Result<Resolved, ScenarioError> {
    let kind = self::kind(file, sources)?;
    if let Some(given) = &file.workload.kind {
        check(sources, asked, kind, given)?;
    }
    check_keys(file, sources, kind)?;
    let publish = kind.clients_publish() || kind.has_rooms();
    if let Some(given) = file.load.symbols_per_client.as_ref().filter(|_| publish) {
        let problem = Problem::Conflict {
            kind: asked.kind.to_string(),
            what: format!("`load.symbols_per_client` and `workload.kind = \"{}\"`", kind.word()),
            advice: "each client hears the whole feed: leave it out".to_owned(),
        };
        return Err(sources.error(problem, given.span.clone(), "this number"));
    }
    if kind.has_rooms() {
        check_rooms(sources, asked, draft)?;
    }
    if kind.clients_publish() {
        // The last client begins one message later than the first: only after two do all of them speak all the time.
        let settled = Duration::from_secs_f64(2.0 / draft.feed.updates_per_second);
        draft.load.warmup = draft.load.warmup.max(settled);
    }
    if kind == Workload::Idle {
        // The first quote of such a feed comes when the trial is long over.
        (draft.feed.updates_per_second, draft.feed.arrivals) = (SILENCE, Arrivals::Constant);
    }
    draft.feed.stages = stages(file, sources, kind, draft)?;
    let at = at(file, sources, draft)?;
    let storm = (kind == Workload::Storm).then_some(Storm { at, jitter: draft.storm_jitter });
    if let Some(given) = file.workload.jitter.as_ref()
        && storm.is_some_and(|storm| storm.at + storm.jitter >= draft.load.measure)
    {
        let problem = Problem::OutOfRange {
            key: "workload.jitter".to_owned(),
            found: humantime::format_duration(draft.storm_jitter).to_string(),
            expected: format!(
                "less than {}, what is left of the window",
                humantime::format_duration(draft.load.measure - at)
            ),
            advice: "all are to be back before the window ends".to_owned(),
        };
        return Err(sources.error(problem, given.span.clone(), "this time"));
    }
    let slow = (kind == Workload::SlowReader).then(|| slow(file, sources, draft.load.clients)).transpose()?;
    Ok(Resolved { kind, storm, slow })
}

/// Rooms are full, and what is said in them is heard whole and as text.
fn check_rooms(sources: &Sources, asked: &Asked, draft: &Draft) -> Result<(), ScenarioError> {
    let (clients, symbols) = (draft.load.clients, draft.feed.symbols);
    if clients > MOST_MEMBERS {
        let problem = Problem::OutOfRange {
            key: "load.clients".to_owned(),
            found: clients.to_string(),
            expected: format!("at most {MOST_MEMBERS} members of rooms"),
            advice: "a chat's server is one process".to_owned(),
        };
        let span = asked.clients.clone().unwrap_or_else(|| asked.span.clone());
        return Err(sources.error(problem, span, "this number"));
    }
    if !clients.is_multiple_of(symbols) {
        let above = clients.next_multiple_of(symbols);
        let nearest = match above - symbols {
            0 => above.to_string(),
            below => format!("{below} or {above}"),
        };
        let problem = Problem::OutOfRange {
            key: "load.clients".to_owned(),
            found: clients.to_string(),
            expected: format!("{nearest}, a multiple of feed.symbols, which is {symbols}"),
            advice: "a room has a member for each symbol".to_owned(),
        };
        let span = asked.clients.clone().unwrap_or_else(|| asked.span.clone());
        return Err(sources.error(problem, span, "this number"));
    }
    let options = &draft.options;
    let conflicts = [
        (options.encoding != Encoding::Text, "encoding", "what members say is text"),
        (options.mode != PollMode::Since, "mode", "who is told only the newest does not hear everybody"),
        (options.conditional, "conditional", "answers of rooms have no tag"),
        (options.compression != Compression::None, "compression", "answers of rooms are not compressed"),
        (options.client == HttpClient::Pooled, "client", "a member has connections of its own"),
        (!options.keep_alive, "keep_alive", "a member has connections that last"),
    ];
    let Some((_, key, why)) = conflicts.into_iter().find(|(there, ..)| *there) else { return Ok(()) };
    let problem = Problem::Conflict {
        kind: asked.kind.to_string(),
        what: format!("`workload.kind = \"chat\"` and `{key}`"),
        advice: format!("{why}: leave it out"),
    };
    Err(sources.error(problem, asked.span.clone(), "this one"))
}

/// Not every transport can do everything, and not on every engine.
fn check(sources: &Sources, asked: &Asked, kind: Workload, given: &One<String>) -> Result<(), ScenarioError> {
    if !clients::workloads(asked.kind).contains(&kind) {
        let able = |transport: &Transport| clients::workloads(*transport).contains(&kind);
        let able: Vec<_> = Transport::ALL.into_iter().filter(able).map(Transport::name).collect();
        let problem = Problem::Conflict {
            kind: asked.kind.to_string(),
            what: format!("`workload.kind = \"{}\"`", given.value),
            advice: format!("its clients cannot do it, those of {} can", able.join(", ")),
        };
        return Err(sources.error(problem, asked.span.clone(), "this one"));
    }
    let Some(Conflict { what, why }) = kind.conflict(asked.engine, asked.of_others) else { return Ok(()) };
    let problem =
        Problem::Conflict { kind: asked.kind.to_string(), what: what.to_owned(), advice: why.to_owned() };
    Err(sources.error(problem, asked.span.clone(), "this one"))
}

/// Keys of a workload that is another one would be ignored, which nothing here is.
fn check_keys(file: &File, sources: &Sources, kind: Workload) -> Result<(), ScenarioError> {
    let given = &file.workload;
    let keys = [
        ("at", given.at.as_ref().map(|key| &key.span), [Workload::Burst, Workload::Storm].as_slice()),
        ("lasts", given.lasts.as_ref().map(|key| &key.span), &[Workload::Burst]),
        ("factor", given.factor.as_ref().map(|key| &key.span), &[Workload::Burst]),
        ("jitter", given.jitter.as_ref().map(|key| &key.span), &[Workload::Storm]),
        ("share", given.share.as_ref().map(|key| &key.span), &[Workload::SlowReader]),
        ("read", given.read.as_ref().map(|key| &key.span), &[Workload::SlowReader]),
    ];
    for (key, span, kinds) in keys {
        let Some(span) = span.filter(|_| !kinds.contains(&kind)) else { continue };
        let words: Vec<&str> = kinds.iter().map(|kind| kind.word()).collect();
        let problem = Problem::Conflict {
            kind: format!("workload {}", kind.word()),
            what: format!("`workload.{key}`"),
            advice: format!("it is for {}: leave it out", words.join(" and ")),
        };
        return Err(sources.error(problem, span.clone(), "this key"));
    }
    Ok(())
}

/// When a burst or a storm comes: a quarter of the window into it, unless the file says otherwise.
fn at(file: &File, sources: &Sources, draft: &Draft) -> Result<Duration, ScenarioError> {
    match &file.workload.at {
        Some(given) => inside(sources, "workload.at", given, draft.load.measure),
        None => Ok(draft.load.measure / 4),
    }
}

/// An instant of the window.
fn inside(
    sources: &Sources,
    key: &str,
    given: &One<Time>,
    measure: Duration,
) -> Result<Duration, ScenarioError> {
    let at = values::duration(sources, key, given, &values::event_range())?;
    if at < measure {
        return Ok(at);
    }
    let problem = Problem::OutOfRange {
        key: key.to_owned(),
        found: humantime::format_duration(at).to_string(),
        expected: format!("less than {}, the length of the window", humantime::format_duration(measure)),
        advice: "it counts from the window's beginning".to_owned(),
    };
    Err(sources.error(problem, given.span.clone(), "this instant"))
}

/// How the feed's rate changes, in nanoseconds after t0.
fn stages(
    file: &File,
    sources: &Sources,
    kind: Workload,
    draft: &Draft,
) -> Result<Vec<Stage>, ScenarioError> {
    let base = draft.feed.updates_per_second;
    let window_ns = draft.load.warmup.as_nanos() as u64;
    if kind == Workload::Burst {
        if let Some(phase) = file.phase.iter().flatten().next() {
            return Err(no_phase(sources, phase, kind));
        }
        let given = &file.workload;
        let lasts = match &given.lasts {
            Some(given) => values::duration(sources, "workload.lasts", given, &values::measure_range())?,
            None => BURST.0,
        };
        let factor = given.factor.as_ref().map_or(BURST.1, |given| given.value);
        let rate = base * factor;
        if !(factor > 0.0 && rate <= FASTEST) {
            let problem = Problem::OutOfRange {
                key: "workload.factor".to_owned(),
                found: factor.to_string(),
                expected: format!("more than 0, and at most {FASTEST} quotes a second with it"),
                advice: format!("the feed has {base} a second"),
            };
            let span = given.factor.as_ref().map_or(0..0, |given| given.span.clone());
            return Err(sources.error(problem, span, "this number"));
        }
        let from_ns = window_ns + at(file, sources, draft)?.as_nanos() as u64;
        return Ok(vec![Stage {
            from_ns,
            lasts_ns: lasts.as_nanos() as u64,
            from_rate: rate,
            to_rate: rate,
        }]);
    }
    if !kind.server_publishes() {
        if let Some(phase) = file.phase.iter().flatten().next() {
            return Err(no_phase(sources, phase, kind));
        }
        return Ok(Vec::new());
    }
    let mut stages = Vec::new();
    let (mut from_ns, mut rate) = (window_ns, base);
    for phase in file.phase.iter().flatten() {
        let stage = stage(sources, phase, (from_ns, rate))?;
        (from_ns, rate) = (stage.from_ns + stage.lasts_ns, stage.to_rate);
        stages.push(stage);
    }
    Ok(stages)
}

fn no_phase(sources: &Sources, phase: &Spanned<wire::Phase>, kind: Workload) -> ScenarioError {
    let problem = Problem::Conflict {
        kind: format!("workload {}", kind.word()),
        what: "`[[phase]]`".to_owned(),
        advice: "stages are of a feed that the server publishes, and a burst has its own: leave them out"
            .to_owned(),
    };
    sources.error(problem, phase.span(), "this one")
}

fn stage(
    sources: &Sources,
    phase: &Spanned<wire::Phase>,
    (from_ns, before): (u64, f64),
) -> Result<Stage, ScenarioError> {
    let given = phase.get_ref();
    let missing = |key: &str, advice: &str| {
        let table = "a `[[phase]]`".to_owned();
        let problem = Problem::MissingKey { key: key.to_owned(), table, advice: advice.to_owned() };
        sources.error(problem, phase.span(), "this one")
    };
    let lasts = given.lasts.as_ref().ok_or_else(|| missing("lasts", "write lasts = \"5s\""))?;
    let lasts = values::duration(sources, "phase.lasts", lasts, &values::measure_range())?;
    let rate = given
        .updates_per_second
        .as_ref()
        .ok_or_else(|| missing("updates_per_second", "write updates_per_second = 100.0"))?;
    if !(rate.value > 0.0 && rate.value <= FASTEST) {
        let problem = Problem::OutOfRange {
            key: "phase.updates_per_second".to_owned(),
            found: rate.value.to_string(),
            expected: format!("more than 0 and at most {FASTEST}"),
            advice: String::new(),
        };
        return Err(sources.error(problem, rate.span.clone(), "this number"));
    }
    let ramps = given.ramp.as_ref().is_some_and(|given| given.value);
    let from_rate = if ramps { before } else { rate.value };
    Ok(Stage { from_ns, lasts_ns: lasts.as_nanos() as u64, from_rate, to_rate: rate.value })
}

fn slow(file: &File, sources: &Sources, clients: u32) -> Result<SlowReaders, ScenarioError> {
    let share = match &file.workload.share {
        Some(given) => {
            let share = values::share(sources, "workload.share", given, 1.0)?;
            if share == 0.0 {
                let problem = Problem::OutOfRange {
                    key: "workload.share".to_owned(),
                    found: "0".to_owned(),
                    expected: "more than 0".to_owned(),
                    advice: "without slow readers it is the workload ticker".to_owned(),
                };
                return Err(sources.error(problem, given.span.clone(), "this share"));
            }
            share
        }
        None => SLOW.0,
    };
    let bytes_per_second = match &file.workload.read {
        Some(given) => values::bandwidth(sources, "workload.read", given)?,
        None => SLOW.1,
    };
    let clients = ((f64::from(clients) * share).ceil() as u32).max(1);
    Ok(SlowReaders { clients, bytes_per_second })
}

/// The failures of the link, in the order of time.
pub(super) fn failures(
    file: &File,
    sources: &Sources,
    measure: Duration,
) -> Result<Option<Vec<LinkEvent>>, ScenarioError> {
    let Some(given) = &file.link.event else { return Ok(None) };
    let mut events = Vec::new();
    for spanned in given {
        let event = spanned.get_ref();
        let missing = |key: &str, advice: &str| {
            let table = "a `[[link.event]]`".to_owned();
            let problem = Problem::MissingKey { key: key.to_owned(), table, advice: advice.to_owned() };
            sources.error(problem, spanned.span(), "this one")
        };
        let at =
            event.at.as_ref().ok_or_else(|| missing("at", "write at = \"2s\", after the window begins"))?;
        let what =
            event.what.as_ref().ok_or_else(|| missing("what", "write what = \"partition\" or \"reset\""))?;
        let words = Words { supported: Failure::WORDS, planned: &[] };
        events.push(LinkEvent {
            at: inside(sources, "link.event.at", at, measure)?,
            what: values::word(sources, "link.event.what", what, &words)?,
            lasts: match &event.lasts {
                Some(given) => values::duration(sources, "link.event.lasts", given, &values::event_range())?,
                None => FAILURE,
            },
        });
    }
    events.sort_by_key(|event| event.at);
    let overlap = events.windows(2).find(|pair| pair[1].at < pair[0].at + pair[0].lasts);
    if let Some([first, _]) = overlap {
        let problem = Problem::OutOfRange {
            key: "link.event.at".to_owned(),
            found: "two failures at the same time".to_owned(),
            expected: format!(
                "the second after {}, when the first is over",
                humantime::format_duration(first.at + first.lasts)
            ),
            advice: "a link fails in one way at a time".to_owned(),
        };
        let span = given.last().map_or(0..0, Spanned::span);
        return Err(sources.error(problem, span, "the failures"));
    }
    Ok(Some(events))
}

/// What a link cannot be had with; `None` if it can.
pub(super) fn link_conflict(
    link: &Link,
    kind: Workload,
    of_others: bool,
    driver: Driver,
) -> Option<Conflict> {
    let packets = link.level == Level::Packets;
    let both =
        "packets are moved between namespaces of our own, connections anywhere: write level = \"auto\"";
    let because = |what, why| Some(Conflict { what, why });
    if packets && link.resets() {
        return because(
            "`link.level = \"packets\"` and a failure \"reset\"",
            "connections are reset by the relay of connections only: write level = \"auto\"",
        );
    }
    if packets && of_others {
        return because("`link.level = \"packets\"` and `url`", both);
    }
    if packets && driver == Driver::Chromium {
        return because("`link.level = \"packets\"` and `driver = \"chromium\"`", both);
    }
    if link.resets() && (kind.clients_publish() || kind.has_rooms()) {
        return because(
            "clients that publish and a failure \"reset\"",
            "what they were to say meanwhile would be nobody's: write what = \"partition\"",
        );
    }
    None
}
