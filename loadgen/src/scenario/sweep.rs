//! Lists become variants: each key is an axis, each point of their product one variant. Pure functions of values.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use ticker::{Arrivals, Engine, FeedSettings};

use crate::plan::{
    Carrier, Compression, Deflate, Driver, Encoding, Http, HttpClient, Link, Load, Pace, PollMode, Processes,
    TransportOptions,
    link::{Level, Preset},
};

use super::{headers::Profile, scalar::Span};

/// A variant while its keys are being set; starts with the defaults.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) feed: FeedSettings,
    pub(super) load: Load,
    pub(super) options: TransportOptions,
    /// `None` for the default of what the other options come to.
    pub(super) engine: Option<Engine>,
    pub(super) driver: Driver,
    pub(super) profile: Profile,
    pub(super) link: Option<Link>,
    /// Over which the clients of a storm come back.
    pub(super) storm_jitter: Duration,
}

impl Draft {
    fn link(&mut self) -> &mut Link {
        self.link.get_or_insert_default()
    }
}

impl Default for Draft {
    fn default() -> Self {
        let load = Load {
            clients: 200,
            symbols_per_client: u32::MAX,
            connect_over: Duration::from_secs(1),
            warmup: Duration::from_secs(3),
            measure: Duration::from_secs(10),
            session: Duration::from_secs(600),
            processes: Processes::Auto,
        };
        Self {
            feed: FeedSettings::default(),
            load,
            options: TransportOptions::default(),
            engine: None,
            driver: Driver::Native,
            profile: Profile::Browser,
            link: None,
            storm_jitter: Duration::ZERO,
        }
    }
}

/// A checked value of a key that can be swept.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Setting {
    Symbols(u32),
    UpdatesPerSecond(f64),
    Arrivals(Arrivals),
    QuoteBytes(u32),
    Clients(u32),
    ConnectOver(Duration),
    Warmup(Duration),
    Measure(Duration),
    Session(Duration),
    Interval(Duration),
    Mode(PollMode),
    Conditional(bool),
    Client(HttpClient),
    Pace(Pace),
    Http(Http),
    Tls(bool),
    KeepAlive(bool),
    Compression(Compression),
    Encoding(Encoding),
    Deflate(Deflate),
    Carrier(Carrier),
    Engine(Engine),
    Driver(Driver),
    Coalesce(Duration),
    Headers(Profile),
    Preset(Preset),
    Rtt(Duration),
    Jitter(Duration),
    Down(u32),
    Up(u32),
    Loss(f64),
    Level(Level),
    StormJitter(Duration),
}

impl Setting {
    pub(super) fn apply(&self, draft: &mut Draft) {
        match self {
            Self::Symbols(symbols) => draft.feed.symbols = *symbols,
            Self::UpdatesPerSecond(rate) => draft.feed.updates_per_second = *rate,
            Self::Arrivals(arrivals) => draft.feed.arrivals = *arrivals,
            Self::QuoteBytes(bytes) => draft.feed.quote_bytes = *bytes,
            Self::Clients(clients) => draft.load.clients = *clients,
            Self::ConnectOver(duration) => draft.load.connect_over = *duration,
            Self::Warmup(duration) => draft.load.warmup = *duration,
            Self::Measure(duration) => draft.load.measure = *duration,
            Self::Session(duration) => draft.load.session = *duration,
            Self::Interval(duration) => draft.options.interval = *duration,
            Self::Mode(mode) => draft.options.mode = *mode,
            Self::Conditional(conditional) => draft.options.conditional = *conditional,
            Self::Client(client) => draft.options.client = *client,
            Self::Pace(pace) => draft.options.pace = *pace,
            Self::Http(http) => draft.options.http = *http,
            Self::Tls(tls) => draft.options.tls = *tls,
            Self::KeepAlive(keep_alive) => draft.options.keep_alive = *keep_alive,
            Self::Compression(compression) => draft.options.compression = *compression,
            Self::Encoding(encoding) => draft.options.encoding = *encoding,
            Self::Deflate(deflate) => draft.options.deflate = *deflate,
            Self::Carrier(carrier) => draft.options.carrier = Some(*carrier),
            Self::Engine(engine) => draft.engine = Some(*engine),
            Self::Driver(driver) => draft.driver = *driver,
            Self::Coalesce(time) => draft.options.coalesce = Some(*time),
            Self::Headers(profile) => draft.profile = *profile,
            Self::Preset(preset) => draft.link = Some(preset.link()),
            Self::Rtt(rtt) => draft.link().rtt = *rtt,
            Self::Jitter(jitter) => draft.link().jitter = *jitter,
            Self::Down(bytes) => draft.link().down_bytes_per_second = Some(*bytes),
            Self::Up(bytes) => draft.link().up_bytes_per_second = Some(*bytes),
            Self::Loss(share) => draft.link().loss = *share,
            Self::Level(level) => draft.link().level = *level,
            Self::StormJitter(jitter) => draft.storm_jitter = *jitter,
        }
    }

    /// As the file writes it: a duration is text with its unit.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Symbols(number) | Self::QuoteBytes(number) | Self::Clients(number) => json!(number),
            Self::UpdatesPerSecond(rate) => json!(rate),
            Self::Arrivals(arrivals) => json!(arrivals),
            Self::ConnectOver(duration)
            | Self::Warmup(duration)
            | Self::Measure(duration)
            | Self::Session(duration)
            | Self::Interval(duration)
            | Self::Coalesce(duration)
            | Self::Rtt(duration)
            | Self::Jitter(duration)
            | Self::StormJitter(duration) => json!(humantime::format_duration(*duration).to_string()),
            Self::Mode(mode) => json!(mode),
            Self::Conditional(flag) | Self::Tls(flag) | Self::KeepAlive(flag) => json!(flag),
            Self::Client(client) => json!(client),
            Self::Pace(pace) => json!(pace),
            Self::Http(http) => json!(http),
            Self::Compression(compression) => json!(compression),
            Self::Encoding(encoding) => json!(encoding),
            Self::Deflate(deflate) => json!(deflate),
            Self::Carrier(carrier) => json!(carrier),
            Self::Engine(engine) => json!(engine),
            Self::Driver(driver) => json!(driver),
            Self::Headers(profile) => json!(profile.name()),
            Self::Preset(preset) => json!(preset),
            Self::Level(level) => json!(level),
            Self::Down(bytes) | Self::Up(bytes) => json!(format!("{bytes} B/s")),
            Self::Loss(share) => json!(format!("{}%", (share * 1e8).round() / 1e6)),
        }
    }

    /// For names and errors.
    pub(super) fn text(&self) -> String {
        let json = self.json();
        json.as_str().map_or_else(|| json.to_string(), str::to_owned)
    }
}

/// One key with its values.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Dotted, as in `load.clients`.
    pub(super) key: &'static str,
    /// Whether the file writes a list.
    pub(super) swept: bool,
    /// Where the value stands.
    pub(super) span: Span,
    /// At least one.
    pub(super) choices: Vec<Setting>,
}

impl Axis {
    /// Whether the key is an option of the transport.
    pub(super) fn is_option(&self) -> bool {
        self.key.starts_with("transport.")
    }

    /// The key without its table.
    pub(super) fn short(&self) -> &'static str {
        self.key.rsplit('.').next().unwrap_or(self.key)
    }
}

/// One choice of every axis.
#[derive(Clone, Debug)]
pub(super) struct Point<'a>(Vec<(&'a Axis, &'a Setting)>);

impl Point<'_> {
    /// The variant of this point, carried by `http` unless a key says otherwise.
    pub(super) fn draft(&self, http: Http) -> Draft {
        let mut draft = Draft::default();
        draft.options.http = http;
        for (_, setting) in &self.0 {
            setting.apply(&mut draft);
        }
        draft
    }

    /// Keys of the sweep and the values here.
    pub(super) fn swept(&self) -> BTreeMap<String, Value> {
        self.0
            .iter()
            .filter(|(axis, _)| axis.swept)
            .map(|(axis, setting)| (axis.key.to_owned(), setting.json()))
            .collect()
    }

    /// The transport's options that the file sets. The engine is none: the result has its own word for it; nor are
    /// native clients, which all have unless they have others.
    pub(super) fn options(&self) -> BTreeMap<String, Value> {
        self.0
            .iter()
            .filter(|(axis, _)| axis.is_option())
            .filter(|(_, setting)| !matches!(setting, Setting::Engine(_) | Setting::Driver(Driver::Native)))
            .map(|(axis, setting)| (axis.short().to_owned(), setting.json()))
            .collect()
    }

    /// ` · clients 100` for each swept key; options are left out where the label already tells them.
    pub(super) fn suffix(&self, with_options: bool) -> String {
        self.0
            .iter()
            .filter(|(axis, _)| axis.swept && (with_options || !axis.is_option()))
            .map(|(axis, setting)| format!(" · {} {}", axis.short().replace('_', " "), setting.text()))
            .collect()
    }
}

/// Number of points; the product of the lengths.
pub(super) fn count(axes: &[Axis]) -> u128 {
    axes.iter().map(|axis| axis.choices.len() as u128).fold(1, u128::saturating_mul)
}

/// Every point, the last axis changing fastest.
pub(super) fn unroll(axes: &[Axis]) -> Vec<Point<'_>> {
    let mut points = vec![Point(Vec::new())];
    for axis in axes {
        points = points
            .iter()
            .flat_map(|point| {
                axis.choices.iter().map(|choice| {
                    let mut longer = point.clone();
                    longer.0.push((axis, choice));
                    longer
                })
            })
            .collect();
    }
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &'static str, swept: bool, choices: Vec<Setting>) -> Axis {
        Axis { key, swept, span: 0..0, choices }
    }

    #[test]
    fn every_combination_is_a_point_and_the_last_axis_changes_fastest() {
        let axes = [
            axis("load.clients", true, vec![Setting::Clients(10), Setting::Clients(20)]),
            axis("load.measure", false, vec![Setting::Measure(Duration::from_secs(1))]),
            axis("feed.quote_bytes", true, [120, 200, 300].map(Setting::QuoteBytes).to_vec()),
        ];
        assert_eq!(count(&axes), 6);
        let suffixes: Vec<String> = unroll(&axes).iter().map(|point| point.suffix(true)).collect();
        assert_eq!(suffixes[0], " · clients 10 · quote bytes 120");
        assert_eq!(suffixes[1], " · clients 10 · quote bytes 200");
        assert_eq!(suffixes[5], " · clients 20 · quote bytes 300");
        let last = unroll(&axes).pop().unwrap();
        assert_eq!(last.draft(Http::H1).load.clients, 20);
        assert_eq!(last.draft(Http::H1).load.measure, Duration::from_secs(1));
        assert_eq!(json!(last.swept()), json!({"load.clients": 20, "feed.quote_bytes": 300}));
    }

    #[test]
    fn nothing_to_sweep_is_one_point_with_the_defaults() {
        let points = unroll(&[]);
        assert_eq!(points.len(), 1);
        assert_eq!(points[0].draft(Http::H1).load.clients, 200);
        assert!(points[0].swept().is_empty());
    }
}
