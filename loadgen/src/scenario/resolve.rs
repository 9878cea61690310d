//! Wire types -> [`Plan`]: defaults filled in, every value checked, sweeps unrolled, names unique.

use ticker::{Engine, Transport};
use toml::Spanned;

use crate::{
    clients::{self, Conflict},
    plan::{
        Driver, Http, Link, Plan, TransportOptions, VariantPlan, Workload, link::Failure, options::Word as _,
    },
};

use super::{
    axes, browser,
    decode::Sources,
    error::{Problem, ScenarioError},
    headers::{self, Profile},
    mixed, peer,
    scalar::{One, Span},
    source::Source,
    sweep::{self, Axis, Draft, Point},
    values::{self, Words},
    wire::{self, File},
    workload::{self, Asked},
};

/// The most variants of one scenario.
const MOST_VARIANTS: usize = 100;

/// A plan, and for each of its variants the transport's name before the sweep's suffix.
pub(super) struct Resolved {
    pub(super) plan: Plan,
    pub(super) labels: Vec<String>,
}

/// Resolves a decoded file.
pub(super) fn resolve(
    source: &Source,
    file: &File,
    sources: &Sources,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Resolved, ScenarioError> {
    let resolver = Resolver { file, sources, environment };
    let variants = resolver.variants()?;
    let text = |key: &Option<One<String>>| key.as_ref().map(|text| text.value.trim().to_owned());
    let plan = Plan {
        name: source.name.clone(),
        path: source.path.clone(),
        title: text(&file.title).unwrap_or_else(|| source.name.clone()),
        why: text(&file.why),
        notice: text(&file.notice),
        text: std::iter::once(source.text.trim_end().to_owned())
            .chain(sources.sets())
            .collect::<Vec<_>>()
            .join("\n")
            + "\n",
        trials: match &file.load.trials {
            Some(given) => values::number(sources, "load.trials", given, &values::trials_range())?,
            // Somebody else's machine is asked for as little as possible.
            None if variants.iter().any(|named| named.variant.is_remote()) => 1,
            None => 3,
        },
        seed: resolver.seed()?,
        quick: false,
        variants: Vec::new(),
        gates: Vec::new(),
        claims: Vec::new(),
    };
    let labels = variants.iter().map(|named| named.label.clone()).collect();
    let variants = variants.into_iter().map(|named| named.variant).collect();
    Ok(Resolved { plan: Plan { variants, ..plan }, labels })
}

struct Resolver<'a> {
    file: &'a File,
    sources: &'a Sources,
    environment: &'a dyn Fn(&str) -> Option<String>,
}

struct Named {
    variant: VariantPlan,
    label: String,
    span: Span,
}

/// A transport with its kind known and its keys checked.
struct Entry<'a> {
    own: &'a wire::Transport,
    kind: Transport,
    span: Span,
    axes: Vec<Axis>,
}

impl Resolver<'_> {
    fn variants(&self) -> Result<Vec<Named>, ScenarioError> {
        let shared = axes::shared(self.sources, self.file)?;
        let entries =
            self.file.transport.iter().map(|own| self.entry(own, &shared)).collect::<Result<Vec<_>, _>>()?;
        if entries.is_empty() {
            return Err(self.sources.error_at(Problem::NoTransports, &[]));
        }
        self.check_count(&entries)?;
        let seed = self.seed()?;
        let mut variants: Vec<Named> = Vec::new();
        for entry in &entries {
            for point in sweep::unroll(&entry.axes) {
                let named = self.variant(entry, &point, seed)?;
                if let Some(twin) = variants.iter().find(|other| other.variant.name == named.variant.name) {
                    let problem = Problem::DuplicateName { name: named.variant.name };
                    let labels = [(named.span, "the second"), (twin.span.clone(), "the first")];
                    return Err(self.sources.error_at(problem, &labels));
                }
                variants.push(named);
            }
        }
        let axes = entries.iter().flat_map(|entry| &entry.axes);
        let mut parts = Vec::new();
        for named in &mut variants {
            parts.push(mixed::Part { span: named.span.clone(), variant: &mut named.variant });
        }
        mixed::resolve(self.file, self.sources, axes, &mut parts)?;
        Ok(variants)
    }

    fn entry<'t>(
        &self,
        own: &'t Spanned<wire::Transport>,
        shared: &[Axis],
    ) -> Result<Entry<'t>, ScenarioError> {
        let table = own.get_ref();
        let Some(written) = &table.kind else {
            let problem = Problem::MissingKey {
                key: "kind".to_owned(),
                table: "a `[[transport]]`".to_owned(),
                advice: format!(
                    "write kind = \"…\", one of {}",
                    Transport::ALL.map(Transport::name).join(", ")
                ),
            };
            return Err(self.sources.error(problem, own.span(), "this one"));
        };
        let supported: Vec<_> = Transport::ALL.iter().map(|kind| (kind.name(), *kind)).collect();
        let words = Words { supported: &supported, planned: &[] };
        let kind = values::word(self.sources, "transport.kind", written, &words)?;
        if let Some(feature) = clients::left_out(kind) {
            let problem = Problem::LeftOut { kind: kind.to_string(), feature };
            return Err(self.sources.error(problem, written.span.clone(), "this kind"));
        }
        let mut axes = shared.to_vec();
        axes.extend(axes::of_transport(self.sources, kind, table, self.file)?);
        let span = match &table.name {
            Some(name) => self.name_span(name)?,
            None => written.span.clone(),
        };
        Ok(Entry { own: table, kind, span, axes })
    }

    fn name_span(&self, name: &One<String>) -> Result<Span, ScenarioError> {
        let length = name.value.chars().count();
        if name.value.trim() == name.value
            && (1..=60).contains(&length)
            && !name.value.contains(char::is_control)
        {
            return Ok(name.span.clone());
        }
        let problem = Problem::OutOfRange {
            key: "transport.name".to_owned(),
            found: format!("{:?}", name.value),
            expected: "1 to 60 characters on one line, without spaces around them".to_owned(),
            advice: "it is a row's heading in every table".to_owned(),
        };
        Err(self.sources.error(problem, name.span.clone(), "this name"))
    }

    fn check_count(&self, entries: &[Entry<'_>]) -> Result<(), ScenarioError> {
        let variants = entries.iter().map(|entry| sweep::count(&entry.axes)).fold(0, u128::saturating_add);
        if variants <= MOST_VARIANTS as u128 {
            return Ok(());
        }
        let mut labels: Vec<(Span, &str)> = Vec::new();
        for axis in entries.iter().flat_map(|entry| &entry.axes).filter(|axis| axis.choices.len() > 1) {
            if labels.iter().all(|(span, _)| *span != axis.span) {
                labels.push((axis.span.clone(), "a sweep"));
            }
        }
        Err(self.sources.error_at(Problem::TooManyVariants { variants, limit: MOST_VARIANTS }, &labels))
    }

    fn variant(&self, entry: &Entry<'_>, point: &Point<'_>, seed: u64) -> Result<Named, ScenarioError> {
        let mut draft = point.draft(clients::http(entry.kind)[0]);
        draft.feed.seed = seed;
        // HTTP/3 has no plain form (RFC 9114 section 3.1).
        draft.options.tls |= draft.options.http == Http::H3;
        self.check_options(entry, &draft.options)?;
        draft.load.symbols_per_client = self.symbols_per_client(draft.feed.symbols)?;
        if let Some(given) = &self.file.load.processes {
            draft.load.processes = values::processes(self.sources, given)?;
        }
        let allowed = self.allows_remote(entry.own);
        let kind = workload::kind(self.file, self.sources)?;
        let has_rooms = kind.has_rooms();
        let peer = peer::resolve(self.sources, self.environment, entry.kind, entry.own, allowed, has_rooms)?;
        if let Some(peer) = &peer {
            // A default is not for it either; its name needs no word for what its url says.
            draft.options.tls = false;
            if peer.remote {
                self.spare(&mut draft.load);
            }
        }
        let (engine, is_default) = self.engine(entry, &mut draft, (peer.is_some(), kind))?;
        let clients = entry.axes.iter().find(|axis| axis.key == "load.clients").map(|axis| axis.span.clone());
        let asked =
            Asked { kind: entry.kind, engine, span: entry.span.clone(), of_others: peer.is_some(), clients };
        let workload = workload::resolve(self.file, self.sources, &asked, &mut draft)?;
        let link = self.link(&draft)?;
        if let Some(conflict) =
            link.as_ref().and_then(|link| workload::link_conflict(link, kind, peer.is_some(), draft.driver))
        {
            return Err(self.conflict(entry, &conflict));
        }
        if draft.driver == Driver::Chromium {
            self.check_browser(entry, &draft, peer.is_some(), kind)?;
        }
        let own_name = entry.own.name.as_ref().map(|name| name.value.clone());
        let suffix = point.suffix(own_name.is_some());
        let label = own_name.unwrap_or_else(|| {
            let mut label = clients::label(entry.kind, &draft.options);
            if !is_default {
                label = format!("{label} {}", engine.name());
            }
            if let Some(time) = draft.options.coalesce {
                label = format!("{label} coalesced {}", humantime::format_duration(time));
            }
            if draft.driver != Driver::Native {
                label = format!("{label} in {}", draft.driver.word());
            }
            peer.as_ref()
                .map_or_else(|| label.clone(), |peer| format!("{label} at {}", host(&peer.url.written)))
        });
        let (header_profile, mut headers) = match draft.driver {
            Driver::Native => self.headers(entry.kind, draft.profile)?,
            // A browser has its own.
            Driver::Chromium => (draft.driver.word().to_owned(), Vec::new()),
        };
        if let Some(peer) = &peer {
            draft.options.tls = self.is_encrypted(entry, &peer.url.written)?;
            headers = peer::headers(headers, &peer.open.headers);
        }
        let variant = VariantPlan {
            name: format!("{label}{suffix}"),
            kind: entry.kind,
            workload: workload.kind,
            engine,
            driver: draft.driver,
            options: draft.options,
            set: point.options(),
            point: point.swept(),
            feed: draft.feed,
            peer,
            link,
            storm: workload.storm,
            slow: workload.slow,
            mix: None,
            load: draft.load,
            header_profile,
            headers,
        };
        Ok(Named { variant, label, span: entry.span.clone() })
    }

    /// The network between: none where the file says nothing of one.
    fn link(&self, draft: &Draft) -> Result<Option<Link>, ScenarioError> {
        let mut link = draft.link.clone();
        if let Some(events) = workload::failures(self.file, self.sources, draft.load.measure)? {
            link.get_or_insert_default().events = events;
        }
        Ok(link)
    }

    /// The engine, what `[defaults]` asks for only where it can be; and whether it would be that one anyway.
    fn engine(
        &self,
        entry: &Entry<'_>,
        draft: &mut Draft,
        (of_others, workload): (bool, Workload),
    ) -> Result<(Engine, bool), ScenarioError> {
        let conflict = if of_others {
            let why = "the direct engine speaks to the reference server only: leave one of the two out";
            Some(Conflict { what: "`engine = \"direct\"` and `url`", why })
        } else {
            let only = clients::library_only(entry.kind, &draft.options);
            let comes_back = self.file.link.event.iter().flatten().any(|event| {
                event.get_ref().what.as_ref().is_some_and(|what| what.value == Failure::Reset.word())
            });
            let resets = comes_back.then_some(Conflict {
                what: "`engine = \"direct\"` and connections that are reset",
                why: "the direct engine's clients do not come back: write engine = \"library\"",
            });
            only.or_else(|| workload.conflict(Engine::Direct, false)).or(resets)
        };
        if let (Some(Engine::Direct), Some(conflict), Some(_)) = (draft.engine, &conflict, &entry.own.engine)
        {
            return Err(self.conflict(entry, conflict));
        }
        let default = match conflict {
            Some(_) => Engine::Library,
            None => Engine::default(),
        };
        let engine = if conflict.is_some() { default } else { draft.engine.unwrap_or(default) };
        if engine == Engine::Library
            && draft.options.coalesce.take().is_some()
            && entry.own.coalesce.is_some()
        {
            let why =
                "the direct engine's server holds frames back: write engine = \"direct\" or leave it out";
            return Err(
                self.conflict(entry, &Conflict { what: "`coalesce` and `engine = \"library\"`", why })
            );
        }
        Ok((engine, engine == default))
    }

    /// Refuses what tabs of a browser cannot do.
    fn check_browser(
        &self,
        entry: &Entry<'_>,
        draft: &Draft,
        of_others: bool,
        workload: Workload,
    ) -> Result<(), ScenarioError> {
        match browser::problem(entry.kind, draft, of_others, workload) {
            Some(problem) => Err(self.sources.error(problem, entry.span.clone(), "this one")),
            None => Ok(()),
        }
    }

    fn conflict(&self, entry: &Entry<'_>, conflict: &Conflict) -> ScenarioError {
        let problem = Problem::Conflict {
            kind: entry.kind.to_string(),
            what: conflict.what.to_owned(),
            advice: conflict.why.to_owned(),
        };
        self.sources.error(problem, entry.span.clone(), "this one")
    }

    /// Refuses options that the transport does not have, or not together.
    fn check_options(&self, entry: &Entry<'_>, options: &TransportOptions) -> Result<(), ScenarioError> {
        let choice = |what: String, choices: Vec<&str>| Problem::Conflict {
            kind: entry.kind.to_string(),
            what,
            advice: format!("it takes {}", choices.join(", ")),
        };
        let (versions, carriers) = (clients::http(entry.kind), clients::carriers(entry.kind));
        let problem = if !versions.contains(&options.http) {
            let words = versions.iter().map(|version| version.word()).collect();
            Some(choice(format!("`http = \"{}\"`", options.http.word()), words))
        } else if let Some(carrier) = options.carrier.filter(|carrier| !carriers.contains(carrier)) {
            let words = carriers.iter().map(|carrier| carrier.word()).collect();
            Some(choice(format!("`carrier = \"{}\"`", carrier.word()), words))
        } else {
            clients::conflict(entry.kind, options).map(|conflict| Problem::Conflict {
                kind: entry.kind.to_string(),
                what: conflict.what.to_owned(),
                advice: conflict.why.to_owned(),
            })
        };
        match problem {
            Some(problem) => Err(self.sources.error(problem, entry.span.clone(), "this one")),
            None => Ok(()),
        }
    }

    /// Whether the url's scheme wants TLS; a key that says it again could only contradict.
    fn is_encrypted(&self, entry: &Entry<'_>, url: &str) -> Result<bool, ScenarioError> {
        if let Some(given) = &entry.own.tls {
            let problem = Problem::Conflict {
                kind: entry.kind.to_string(),
                what: "`tls` and `url`".to_owned(),
                advice: "the url's scheme says whether it is encrypted: leave `tls` out".to_owned(),
            };
            return Err(self.sources.error(problem, given.span.clone(), "this key"));
        }
        Ok(matches!(url.split_once("://"), Some(("https" | "wss", _))))
    }

    /// Whether another machine may be measured.
    fn allows_remote(&self, own: &wire::Transport) -> bool {
        let given = [&own.allow_remote, &self.file.defaults.allow_remote, &self.file.allow_remote];
        given.into_iter().flatten().next().is_some_and(|given| given.value)
    }

    /// What another machine is asked for unless the file says more: one client, slowly.
    fn spare(&self, load: &mut crate::plan::Load) {
        if self.file.load.clients.is_none() {
            load.clients = 1;
        }
        if self.file.load.connect_over.is_none() {
            load.connect_over = std::time::Duration::from_secs(10);
        }
    }

    fn seed(&self) -> Result<u64, ScenarioError> {
        let Some(given) = &self.file.feed.seed else {
            return Ok(1);
        };
        u64::try_from(given.value).map_err(|_| {
            let problem = Problem::OutOfRange {
                key: "feed.seed".to_owned(),
                found: given.value.to_string(),
                expected: format!("0 to {}", u64::MAX),
                advice: String::new(),
            };
            self.sources.error(problem, given.span.clone(), "this number")
        })
    }

    /// Symbols that each client wants: all, unless the file says fewer.
    fn symbols_per_client(&self, symbols: u32) -> Result<u32, ScenarioError> {
        let Some(given) = &self.file.load.symbols_per_client else { return Ok(symbols) };
        u32::try_from(given.value).ok().filter(|wanted| (1..=symbols).contains(wanted)).ok_or_else(|| {
            let problem = Problem::OutOfRange {
                key: "load.symbols_per_client".to_owned(),
                found: given.value.to_string(),
                expected: format!("1 to {symbols}, the number of symbols"),
                advice: "leave it out: every client sees every symbol".to_owned(),
            };
            self.sources.error(problem, given.span.clone(), "this number")
        })
    }

    /// The profile's name and the fields of one request.
    fn headers(
        &self,
        kind: Transport,
        profile: Profile,
    ) -> Result<(String, Vec<(String, String)>), ScenarioError> {
        match &self.file.load.headers {
            None | Some(wire::Headers::Profiles(_)) => {
                Ok((profile.name().to_owned(), profile.fields(crate::clients::initiator(kind))))
            }
            Some(wire::Headers::Own(fields)) => {
                let fields = fields.iter().map(|(name, value)| self.own_field(name, value));
                Ok(("own".to_owned(), fields.collect::<Result<_, _>>()?))
            }
        }
    }

    fn own_field(&self, name: &One<String>, value: &One<String>) -> Result<(String, String), ScenarioError> {
        let filled = headers::fill(&value.value, self.environment).map_err(|name| {
            self.sources.error(Problem::MissingVariable { name }, value.span.clone(), "asked for here")
        })?;
        headers::check_field(&name.value, &filled).map_err(|cause| {
            let problem = Problem::BadHeader { name: name.value.clone(), cause: cause.to_owned() };
            self.sources.error(problem, name.span.clone(), "this field")
        })?;
        Ok((name.value.clone(), filled))
    }
}

/// Host and port of a url, for a name.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest)
}
