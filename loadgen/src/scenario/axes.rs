//! Which keys can be swept, and how each of their values is checked.

use ticker::{Arrivals, Engine, FeedSettings, Transport};

use crate::{
    clients,
    plan::{TransportOptions, options::Word},
};

use super::{
    decode::Sources,
    error::{Problem, ScenarioError},
    headers::Profile,
    scalar::{One, OneOrMany, Time},
    sweep::{Axis, Setting},
    values::{self, DurationRange, Words},
    wire,
};

/// Beyond this a connection hardly lives.
const MOST_LOSS: f64 = 0.5;

/// The axes of `[feed]`, `[load]`, `[link]` and `[workload]`, in that order.
pub(super) fn shared(sources: &Sources, file: &wire::File) -> Result<Vec<Axis>, ScenarioError> {
    let (feed, load) = (&file.feed, &file.load);
    let axes = [
        axis(sources, "feed.symbols", &feed.symbols, |given| symbols(sources, given))?,
        axis(sources, "feed.updates_per_second", &feed.updates_per_second, |given| rate(sources, given))?,
        axis(sources, "feed.arrivals", &feed.arrivals, |given| arrivals(sources, given))?,
        axis(sources, "feed.quote_bytes", &feed.quote_bytes, |given| quote_bytes(sources, given))?,
        axis(sources, "load.clients", &load.clients, |given| {
            values::number(sources, "load.clients", given, &values::clients_range()).map(Setting::Clients)
        })?,
        time(
            sources,
            "load.connect_over",
            &load.connect_over,
            &values::connect_range(),
            Setting::ConnectOver,
        )?,
        time(sources, "load.warmup", &load.warmup, &values::warmup_range(), Setting::Warmup)?,
        time(sources, "load.measure", &load.measure, &values::measure_range(), Setting::Measure)?,
        time(sources, "load.session", &load.session, &values::session_range(), Setting::Session)?,
        profiles(sources, load.headers.as_ref())?,
    ];
    let workload = &file.workload;
    let jitter =
        time(sources, "workload.jitter", &workload.jitter, &values::event_range(), Setting::StormJitter)?;
    let axes = axes.into_iter().chain(link(sources, &file.link)?).chain([jitter]);
    Ok(axes.flatten().collect())
}

/// The axes of `[link]`: the preset first, so that the others change it.
fn link(sources: &Sources, link: &wire::Link) -> Result<[Option<Axis>; 7], ScenarioError> {
    let bandwidth = |key: &'static str, given: &Option<OneOrMany<String>>, make: fn(u32) -> Setting| {
        axis(sources, key, given, |value| values::bandwidth(sources, key, value).map(make))
    };
    Ok([
        axis(sources, "link.preset", &link.preset, |given| {
            word(sources, "link.preset", given).map(Setting::Preset)
        })?,
        time(sources, "link.rtt", &link.rtt, &values::rtt_range(), Setting::Rtt)?,
        time(sources, "link.jitter", &link.jitter, &values::rtt_range(), Setting::Jitter)?,
        bandwidth("link.down", &link.down, Setting::Down)?,
        bandwidth("link.up", &link.up, Setting::Up)?,
        axis(sources, "link.loss", &link.loss, |given| {
            values::share(sources, "link.loss", given, MOST_LOSS).map(Setting::Loss)
        })?,
        axis(sources, "link.level", &link.level, |given| {
            word(sources, "link.level", given).map(Setting::Level)
        })?,
    ])
}

/// Header profiles; a table of one's own is no axis.
fn profiles(sources: &Sources, given: Option<&wire::Headers>) -> Result<Option<Axis>, ScenarioError> {
    let Some(wire::Headers::Profiles(given)) = given else { return Ok(None) };
    let supported: Vec<_> = Profile::ALL.iter().map(|profile| (profile.name(), *profile)).collect();
    axis(sources, "load.headers", &Some(given.clone()), |given| {
        let words = Words { supported: &supported, planned: &[] };
        values::word(sources, "load.headers", given, &words).map(Setting::Headers)
    })
}

/// The axes of one transport's options. From `[defaults]` an option applies only where it is taken; in the
/// transport's own table one that is not taken is an error.
pub(super) fn of_transport(
    sources: &Sources,
    kind: Transport,
    own: &wire::Transport,
    file: &wire::File,
) -> Result<Vec<Axis>, ScenarioError> {
    let defaults = &file.defaults;
    let takes = clients::keys(kind);
    let pick = |key: &'static str| Picker { sources, kind, takes, key };
    let range = values::interval_range();
    macro_rules! option {
        ($key:ident, $read:expr) => {
            axis(
                sources,
                concat!("transport.", stringify!($key)),
                &pick(stringify!($key)).from(&own.$key, &defaults.$key)?,
                $read,
            )?
        };
    }
    macro_rules! words {
        ($key:ident, $make:expr) => {
            option!($key, |given| word(sources, concat!("transport.", stringify!($key)), given).map($make))
        };
    }
    let interval = pick("interval").from(&own.interval, &defaults.interval)?;
    // A default that the transport does not have is meant for others.
    let mut carrier = words!(carrier, Setting::Carrier);
    if own.carrier.is_none() {
        carrier = had(
            carrier,
            |setting| matches!(setting, Setting::Carrier(carrier) if clients::carriers(kind).contains(carrier)),
        );
    }
    let mut http = words!(http, Setting::Http);
    if own.http.is_none() {
        http =
            had(http, |setting| matches!(setting, Setting::Http(http) if clients::http(kind).contains(http)));
    }
    // All transports have an engine; a default that one cannot have is meant for others.
    let given = own.engine.as_ref().or(defaults.engine.as_ref()).cloned();
    let mut engine = axis(sources, "transport.engine", &given, |given| {
        word(sources, "transport.engine", given).map(Setting::Engine)
    })?;
    if own.engine.is_none() {
        let all = clients::engines(kind, &TransportOptions::default());
        let engines = if own.url.is_some() { &[Engine::Library] } else { all };
        engine =
            had(engine, |setting| matches!(setting, Setting::Engine(engine) if engines.contains(engine)));
    }
    let coalesce = pick("coalesce").from(&own.coalesce, &defaults.coalesce)?;
    let axes = [
        driver(sources, own, file)?,
        engine,
        time(sources, "transport.coalesce", &coalesce, &values::coalesce_range(), Setting::Coalesce)?,
        carrier,
        http,
        option!(tls, |given| Ok(Setting::Tls(given.value))),
        option!(keep_alive, |given| Ok(Setting::KeepAlive(given.value))),
        time(sources, "transport.interval", &interval, &range, Setting::Interval)?,
        words!(mode, Setting::Mode),
        option!(conditional, |given| Ok(Setting::Conditional(given.value))),
        words!(compression, Setting::Compression),
        words!(client, Setting::Client),
        words!(pace, Setting::Pace),
        words!(encoding, Setting::Encoding),
        words!(deflate, Setting::Deflate),
    ];
    Ok(axes.into_iter().flatten().collect())
}

/// What the clients are: the transport's own word, the file's for all transports, or that of `[load]`.
fn driver(
    sources: &Sources,
    own: &wire::Transport,
    file: &wire::File,
) -> Result<Option<Axis>, ScenarioError> {
    let of_load = file.load.driver.as_ref().map(|given| OneOrMany {
        values: vec![given.clone()],
        list: false,
        span: given.span.clone(),
    });
    let given = own.driver.clone().or_else(|| file.defaults.driver.clone()).or(of_load);
    axis(sources, "transport.driver", &given, |given| {
        word(sources, "transport.driver", given).map(Setting::Driver)
    })
}

/// The axis without values that the transport does not have.
fn had(axis: Option<Axis>, has: impl Fn(&Setting) -> bool) -> Option<Axis> {
    let mut axis = axis?;
    axis.choices.retain(has);
    (!axis.choices.is_empty()).then_some(axis)
}

/// One of an option's words.
fn word<T: Word>(sources: &Sources, key: &str, given: &One<String>) -> Result<T, ScenarioError> {
    values::word(sources, key, given, &Words { supported: T::WORDS, planned: &[] })
}

struct Picker<'a> {
    sources: &'a Sources,
    kind: Transport,
    takes: &'static [&'static str],
    key: &'static str,
}

impl Picker<'_> {
    fn from<T: Clone>(
        &self,
        own: &Option<OneOrMany<T>>,
        default: &Option<OneOrMany<T>>,
    ) -> Result<Option<OneOrMany<T>>, ScenarioError> {
        if self.takes.contains(&self.key) {
            return Ok(own.as_ref().or(default.as_ref()).cloned());
        }
        match own {
            None => Ok(None),
            Some(given) => {
                let problem = Problem::NotTaken {
                    key: self.key.to_owned(),
                    kind: self.kind.to_string(),
                    takes: self.takes.iter().map(|key| (*key).to_owned()).collect(),
                };
                Err(self.sources.error(problem, given.span.clone(), "this option"))
            }
        }
    }
}

fn axis<T>(
    sources: &Sources,
    key: &'static str,
    given: &Option<OneOrMany<T>>,
    read: impl Fn(&One<T>) -> Result<Setting, ScenarioError>,
) -> Result<Option<Axis>, ScenarioError> {
    let Some(given) = given else {
        return Ok(None);
    };
    if given.values.is_empty() {
        let problem = Problem::EmptyList { key: key.to_owned() };
        return Err(sources.error(problem, given.span.clone(), "no values"));
    }
    let mut choices: Vec<Setting> = Vec::new();
    for value in &given.values {
        let setting = read(value)?;
        if let Some(before) = choices.iter().position(|choice| *choice == setting) {
            let problem = Problem::ListedTwice { key: key.to_owned(), value: setting.text() };
            let labels = [(value.span.clone(), "again"), (given.values[before].span.clone(), "first")];
            return Err(sources.error_at(problem, &labels));
        }
        choices.push(setting);
    }
    Ok(Some(Axis { key, swept: given.list, span: given.span.clone(), choices }))
}

fn time(
    sources: &Sources,
    key: &'static str,
    given: &Option<OneOrMany<Time>>,
    range: &DurationRange,
    make: fn(std::time::Duration) -> Setting,
) -> Result<Option<Axis>, ScenarioError> {
    axis(sources, key, given, |value| values::duration(sources, key, value, range).map(make))
}

fn symbols(sources: &Sources, given: &One<i128>) -> Result<Setting, ScenarioError> {
    let symbols = saturated(given.value);
    check_feed(sources, given, &FeedSettings { symbols, ..FeedSettings::default() })?;
    Ok(Setting::Symbols(symbols))
}

fn quote_bytes(sources: &Sources, given: &One<i128>) -> Result<Setting, ScenarioError> {
    let quote_bytes = saturated(given.value);
    check_feed(sources, given, &FeedSettings { quote_bytes, ..FeedSettings::default() })?;
    Ok(Setting::QuoteBytes(quote_bytes))
}

fn rate(sources: &Sources, given: &One<f64>) -> Result<Setting, ScenarioError> {
    check_feed(sources, given, &FeedSettings { updates_per_second: given.value, ..FeedSettings::default() })?;
    Ok(Setting::UpdatesPerSecond(given.value))
}

fn arrivals(sources: &Sources, given: &One<String>) -> Result<Setting, ScenarioError> {
    let supported: Vec<_> = Arrivals::ALL.iter().map(|arrivals| (arrivals.name(), *arrivals)).collect();
    values::word(sources, "feed.arrivals", given, &Words { supported: &supported, planned: &[] })
        .map(Setting::Arrivals)
}

/// The nearest u32: whatever lies outside is out of the feed's own range too.
fn saturated(number: i128) -> u32 {
    u32::try_from(number).unwrap_or(if number < 0 { 0 } else { u32::MAX })
}

/// The feed's own check of settings that differ from good ones in one key; its words "KEY is X, expected Y"
/// are shown with the value as it is written.
fn check_feed<T: ToString>(
    sources: &Sources,
    given: &One<T>,
    settings: &FeedSettings,
) -> Result<(), ScenarioError> {
    settings.check().map_err(|error| {
        let words = error.to_string();
        let key = words.split(' ').next().unwrap_or_default();
        let expected = words.split_once("expected ").map_or("", |(_, expected)| expected);
        let problem = Problem::OutOfRange {
            key: format!("feed.{key}"),
            found: given.value.to_string(),
            expected: expected.to_owned(),
            advice: String::new(),
        };
        sources.error(problem, given.span.clone(), "this number")
    })
}
