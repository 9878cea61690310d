//! `url`, `[transport.server]`, `[transport.open]`, `[transport.send]` and `[transport.message]` -> [`Peer`]: every value checked.

mod message;
mod rooms;

use std::{path::PathBuf, str::FromStr as _, time::Duration};

use toml::Spanned;

use crate::{
    clients,
    plan::peer::{ClockKind, Keepalive, MessageRules, Open, Peer, PeerServer, Secret, Text},
};

use self::message::foreign;
use super::{
    decode::Sources,
    error::{Problem, ScenarioError},
    headers,
    scalar::{One, Span},
    values::{self, DurationRange},
    wire,
};

type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads the tables of one transport; `None` for the reference server.
pub(super) fn resolve(
    sources: &Sources,
    environment: Environment<'_>,
    kind: ticker::Transport,
    own: &wire::Transport,
    allowed: bool,
    has_rooms: bool,
) -> Result<Option<Peer>, ScenarioError> {
    let reader = Reader { sources, environment, takes: clients::peer_keys(kind), kind, has_rooms };
    let Some(url) = &own.url else {
        return reader.without_url(own).map(|()| None);
    };
    let mut secrets = Vec::new();
    let url_text = reader.text(url, &mut secrets)?;
    let asks = Asks::of(own);
    let remote = reader.url(url, &url_text, allowed, &asks)?;
    let server = own.server.as_ref().map(|server| reader.server(server, &mut secrets)).transpose()?;
    reader.port(url, &url_text, own.server.as_ref(), server.as_ref())?;
    let open = own.open.as_ref().map(|open| reader.open(open.get_ref(), &mut secrets)).transpose()?;
    let say = reader.say(own, &mut secrets)?;
    let message = match &own.message {
        Some(message) => reader.message(message)?,
        None => MessageRules { clock: default_clock(remote), ..MessageRules::default() },
    };
    Ok(Some(Peer {
        url: url_text,
        ca: own.ca.as_ref().map(|ca| reader.ca(ca)).transpose()?,
        remote,
        server,
        open: open.unwrap_or_default(),
        say,
        message: MessageRules {
            clock: if own.message.as_ref().is_none_or(|message| message.get_ref().clock.is_none()) {
                default_clock(remote)
            } else {
                message.clock
            },
            ..message
        },
        secrets,
    }))
}

fn default_clock(remote: bool) -> ClockKind {
    if remote { ClockKind::None } else { ClockKind::SameHost }
}

/// Whether polls carry a cursor of some kind.
struct Asks {
    cursor: bool,
}

impl Asks {
    fn of(own: &wire::Transport) -> Self {
        let message = own.message.as_ref().map(Spanned::get_ref);
        let told = |message: &wire::Message| message.cursor.is_some() || message.sequence.is_some();
        // The ticker's own messages tell one.
        Self { cursor: message.is_none_or(|message| told(message) || !foreign(message)) }
    }
}

struct Reader<'a> {
    sources: &'a Sources,
    environment: Environment<'a>,
    takes: &'static [&'static str],
    kind: ticker::Transport,
    /// Whether members of rooms speak, and hear each other.
    has_rooms: bool,
}

impl Reader<'_> {
    fn without_url(&self, own: &wire::Transport) -> Result<(), ScenarioError> {
        let tables = [
            ("[transport.server]", own.server.as_ref().map(Spanned::span)),
            ("[transport.open]", own.open.as_ref().map(Spanned::span)),
            ("[transport.send]", own.send.as_ref().map(Spanned::span)),
            ("[transport.message]", own.message.as_ref().map(Spanned::span)),
            ("ca", own.ca.as_ref().map(|ca| ca.span.clone())),
        ];
        match tables.into_iter().find_map(|(table, span)| Some((table, span?))) {
            None => Ok(()),
            Some((table, span)) => {
                let problem = Problem::MissingKey {
                    key: "url".to_owned(),
                    table: format!("a transport with `{table}`"),
                    advice: "write where your server is: url = \"ws://127.0.0.1:{port}/feed\"".to_owned(),
                };
                Err(self.sources.error(problem, span, "for which server?"))
            }
        }
    }

    fn wrong(&self, key: &str, given: &One<String>, expected: &str, advice: &str) -> ScenarioError {
        let problem = Problem::OutOfRange {
            key: key.to_owned(),
            found: format!("{:?}", given.value),
            expected: expected.to_owned(),
            advice: advice.to_owned(),
        };
        self.sources.error(problem, given.span.clone(), "this text")
    }

    /// Fills in the environment and remembers what must not be shown.
    fn text(&self, given: &One<String>, secrets: &mut Vec<Secret>) -> Result<Text, ScenarioError> {
        let filled = headers::fill(&given.value, self.environment).map_err(|name| {
            self.sources.error(Problem::MissingVariable { name }, given.span.clone(), "asked for here")
        })?;
        for name in headers::variables(&given.value) {
            if let Some(value) = (self.environment)(&name) {
                secrets.push(Secret { name, value });
            }
        }
        Ok(Text { written: given.value.clone(), filled })
    }

    /// Checks a url; true if it leads to another machine, which must be allowed.
    fn url(
        &self,
        given: &One<String>,
        url: &Text,
        allowed: bool,
        asks: &Asks,
    ) -> Result<bool, ScenarioError> {
        let schemes = clients::schemes(self.kind);
        let expected = format!("{}://HOST[:PORT]/PATH", schemes.join(":// or "));
        let wrong = |advice: &str| self.wrong("transport.url", given, &expected, advice);
        let sample = url.filled.replace("{port}", "1").replace("{after}", "0");
        let uri = http::Uri::from_str(&sample).map_err(|error| wrong(&format!("{error}")))?;
        if !uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme)) || uri.host().is_none() {
            return Err(wrong(&format!("{} is reached by {}", self.kind, schemes.join(" or "))));
        }
        if url.filled.contains("{after}") {
            let advice = "only a poll's query has a cursor: write it as ?after={after}";
            let in_query = url.filled.split_once('?').is_some_and(|(path, _)| !path.contains("{after}"));
            if !self.takes.contains(&"cursor") || !in_query {
                return Err(self.wrong("transport.url", given, "no `{after}` there", advice));
            }
            if !asks.cursor {
                let problem = Problem::MissingKey {
                    key: "cursor` or `sequence".to_owned(),
                    table: "[transport.message]".to_owned(),
                    advice: "one of them fills {after}: say where it is in an answer".to_owned(),
                };
                return Err(self.sources.error(problem, given.span.clone(), "{after} is filled with what?"));
            }
        }
        let host = uri.host().unwrap_or_default();
        if !allowed && !is_here(host) {
            let problem = Problem::OutOfRange {
                key: "transport.url".to_owned(),
                found: format!("host {host}"),
                expected: "this machine: 127.0.0.1, ::1 or localhost".to_owned(),
                advice: "load sent to somebody else's machine can do harm; if it is yours to load, write \
                         allow_remote = true: it starts with 1 client and 1 trial"
                    .to_owned(),
            };
            return Err(self.sources.error(problem, given.span.clone(), "another machine"));
        }
        Ok(!is_here(host))
    }

    /// `{port}` needs a command that is told it, and a command is told it by `{port}`.
    fn port(
        &self,
        given: &One<String>,
        url: &Text,
        table: Option<&Spanned<wire::Server>>,
        server: Option<&PeerServer>,
    ) -> Result<(), ScenarioError> {
        let words = match server {
            Some(PeerServer::Command { words, .. }) => words.as_slice(),
            Some(PeerServer::Pid(_)) | None => &[],
        };
        let told = words.iter().any(|word| word.filled.contains("{port}"));
        let needed = url.filled.contains("{port}");
        if needed == told {
            return Ok(());
        }
        let span = if needed { given.span.clone() } else { table.map_or(given.span.clone(), Spanned::span) };
        let problem = Problem::MissingKey {
            key: "{port}".to_owned(),
            table: if needed { "[transport.server] command".to_owned() } else { "transport.url".to_owned() },
            advice: "{port} is a free port of each trial: the url and the command both name it, or neither"
                .to_owned(),
        };
        Err(self.sources.error(problem, span, "only here"))
    }

    fn ca(&self, given: &One<String>) -> Result<PathBuf, ScenarioError> {
        let path = PathBuf::from(&given.value);
        match std::fs::metadata(&path) {
            Ok(found) if found.is_file() => Ok(path),
            Ok(_) => Err(self.wrong("transport.ca", given, "a PEM file", "")),
            Err(error) => {
                let advice =
                    format!("failed to read it: {error}; the path counts from the working directory");
                Err(self.wrong("transport.ca", given, "a PEM file", &advice))
            }
        }
    }

    fn server(
        &self,
        table: &Spanned<wire::Server>,
        secrets: &mut Vec<Secret>,
    ) -> Result<PeerServer, ScenarioError> {
        let server = table.get_ref();
        match (&server.command, &server.pid) {
            (Some(command), None) => {
                let text = self.text(command, secrets)?;
                let (Some(written), Some(filled)) = (words(&text.written), words(&text.filled)) else {
                    return Err(self.wrong("transport.server.command", command, "closed quotes", ""));
                };
                if filled.is_empty() {
                    return Err(self.wrong(
                        "transport.server.command",
                        command,
                        "a program and its arguments",
                        "",
                    ));
                }
                // A secret with a space in it makes more words than are written: the arguments are then shown as one.
                let written =
                    if written.len() == filled.len() { written } else { vec![text.written; filled.len()] };
                let words = written.into_iter().zip(filled);
                let words = words.map(|(written, filled)| Text { written, filled }).collect();
                if let Some(ready) = server.ready.as_ref().filter(|ready| !ready.value.starts_with('/')) {
                    return Err(self.wrong(
                        "transport.server.ready",
                        ready,
                        "a path such as \"/healthz\"",
                        "",
                    ));
                }
                Ok(PeerServer::Command {
                    words,
                    ready: server.ready.as_ref().map(|ready| ready.value.clone()),
                })
            }
            (None, Some(pid)) => match u32::try_from(pid.value) {
                Ok(number @ 1..) => Ok(PeerServer::Pid(number)),
                Ok(0) | Err(_) => {
                    let problem = Problem::OutOfRange {
                        key: "transport.server.pid".to_owned(),
                        found: pid.value.to_string(),
                        expected: "the number of a running process".to_owned(),
                        advice: String::new(),
                    };
                    Err(self.sources.error(problem, pid.span.clone(), "this number"))
                }
            },
            (Some(_), Some(pid)) => {
                let problem = Problem::OutOfRange {
                    key: "transport.server.pid".to_owned(),
                    found: format!("{} beside a command", pid.value),
                    expected: "one of the two".to_owned(),
                    advice: "a command is started fresh for each trial, a pid is only watched".to_owned(),
                };
                Err(self.sources.error(problem, pid.span.clone(), "whose process?"))
            }
            (None, None) => {
                let problem = Problem::MissingKey {
                    key: "command` or `pid".to_owned(),
                    table: "[transport.server]".to_owned(),
                    advice:
                        "write one of them: a command is started fresh for each trial, a pid is only watched"
                            .to_owned(),
                };
                Err(self.sources.error(problem, table.span(), "one of the two"))
            }
        }
    }

    fn open(&self, open: &wire::Open, secrets: &mut Vec<Secret>) -> Result<Open, ScenarioError> {
        let mut found = Open::default();
        match &open.headers {
            None => {}
            Some(wire::Headers::Profiles(names)) => {
                let name = names.values.first().map_or("", |name| name.value.as_str()).to_owned();
                let name = One { value: name, span: names.span.clone() };
                return Err(self.wrong("transport.open.headers", &name, "a table of header fields", ""));
            }
            Some(wire::Headers::Own(fields)) => {
                for (name, value) in fields {
                    let text = self.text(value, secrets)?;
                    headers::check_field(&name.value, &text.filled).map_err(|cause| {
                        let problem =
                            Problem::BadHeader { name: name.value.clone(), cause: cause.to_owned() };
                        self.sources.error(problem, name.span.clone(), "this field")
                    })?;
                    found.headers.push((name.value.to_lowercase(), text));
                }
            }
        }
        for given in open.subprotocols.iter().flatten() {
            self.taken("subprotocols", &given.span)?;
            if http::HeaderName::from_bytes(given.value.as_bytes()).is_err() {
                return Err(self.wrong(
                    "transport.open.subprotocols",
                    given,
                    "a token (RFC 6455 section 4.1)",
                    "",
                ));
            }
            found.subprotocols.push(given.value.clone());
        }
        for given in open.send.iter().flatten() {
            self.taken("send", &given.span)?;
            found.send.push(self.text(given, secrets)?);
        }
        if let Some(table) = &open.keepalive {
            self.taken("keepalive", &table.span())?;
            found.keepalive = Some(self.keepalive(table, secrets)?);
        }
        Ok(found)
    }

    fn keepalive(
        &self,
        table: &Spanned<wire::Keepalive>,
        secrets: &mut Vec<Secret>,
    ) -> Result<Keepalive, ScenarioError> {
        let keepalive = table.get_ref();
        let Some(every) = &keepalive.every else {
            let problem = Problem::MissingKey {
                key: "every".to_owned(),
                table: "`keepalive`".to_owned(),
                advice: "write keepalive = { every = \"30s\", send = \"ping\" }".to_owned(),
            };
            return Err(self.sources.error(problem, table.span(), "how often?"));
        };
        let range = DurationRange {
            range: Duration::from_millis(100)..=Duration::from_secs(3_600),
            advice: "a keep-alive is for silence",
        };
        let every = values::duration(self.sources, "transport.open.keepalive.every", every, &range)?;
        let send = keepalive.send.as_ref().map(|send| self.text(send, secrets)).transpose()?;
        Ok(Keepalive { every, send: send.unwrap_or_else(|| Text::plain("ping")) })
    }

    /// Refuses a key that means nothing to this transport.
    fn taken(&self, key: &str, span: &Span) -> Result<(), ScenarioError> {
        if self.takes.contains(&key) {
            return Ok(());
        }
        let problem = Problem::NotTaken {
            key: key.to_owned(),
            kind: self.kind.to_string(),
            takes: self.takes.iter().map(|key| (*key).to_owned()).collect(),
        };
        Err(self.sources.error(problem, span.clone(), "this option"))
    }
}

/// The profile's header fields for somebody else's server, and the scenario's own in their place.
///
/// Browsers offer compression everywhere; here it is offered only where the scenario asks for it, since it changes
/// what the bytes mean.
pub(crate) fn headers(profile: Vec<(String, String)>, own: &[(String, Text)]) -> Vec<(String, String)> {
    let left_out = ["accept-encoding", "sec-websocket-extensions"];
    let replaced = |name: &str| own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name));
    let kept = profile.into_iter().filter(|(name, _)| {
        !left_out.iter().any(|left_out| name.eq_ignore_ascii_case(left_out)) && !replaced(name)
    });
    kept.chain(own.iter().map(|(name, text)| (name.clone(), text.filled.clone()))).collect()
}

/// Whether a host is this machine by its name alone; the address is looked at again before connecting.
pub(crate) fn is_here(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Words of a command, quotes as in a shell; nothing else is. `None` for a quote that is not closed.
pub(crate) fn words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in command.chars() {
        match (quote, character) {
            (None, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default();
            }
            (Some(open), closed) if open == closed => quote = None,
            (None, space) if space.is_whitespace() => words.extend(word.take()),
            (_, other) => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_split_at_spaces_outside_quotes() {
        let check = |command: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(command), expected, "{command}");
        };
        check("node  server.js --port {port}", Some(&["node", "server.js", "--port", "{port}"]));
        check("sh -c 'cd x && ./y' \"\"", Some(&["sh", "-c", "cd x && ./y", ""]));
        check("", Some(&[]));
        check("sh -c 'x", None);
    }

    #[test]
    fn only_this_machine_is_here() {
        for host in ["127.0.0.1", "127.8.9.1", "[::1]", "localhost"] {
            assert!(is_here(host), "{host}");
        }
        for host in ["10.0.0.1", "example.com", "localhost.example.com", "[::2]"] {
            assert!(!is_here(host), "{host}");
        }
    }
}
