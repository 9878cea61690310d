//! The two servers of a comparison: what the command line says of each, proved before the first trial.
//!
//! A side is a program of ours, a command of the user's, or a url. It changes where a plan's clients go, nothing else.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use miette::Diagnostic;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;

use crate::{
    clients,
    plan::{
        Plan, VariantPlan,
        peer::{MessageRules, Open, Peer, PeerServer, Text},
    },
    process::{self, Cores},
    scenario,
    target::{Program, Target, TargetError},
};

/// What the sides are called, on the command line and as folders.
pub const NAMES: [&str; 2] = ["base", "candidate"];

/// The word for this program.
const SELF: &str = "self";
/// How long a program may take to tell its version.
const VERSION_TIME: Duration = Duration::from_secs(10);

/// Why two servers cannot be compared as asked.
#[derive(Debug, thiserror::Error, Diagnostic)]
pub enum SideError {
    /// Text that is neither a command nor a url.
    #[error("--{side} is {found:?}, expected a command with closed quotes or a url")]
    Syntax {
        /// Which side.
        side: &'static str,
        /// What was given.
        found: String,
    },
    /// A scenario with variants of both sorts.
    #[error("the scenario measures both the reference server ({ours}) and another one ({theirs})")]
    #[diagnostic(help("keep variants of one sort with --only"))]
    Mixed {
        /// A variant without url.
        ours: String,
        /// One with.
        theirs: String,
    },
    /// Sides whose figures are made in different ways.
    #[error("one side is a url and the other a program of ours")]
    #[diagnostic(help(
        "of a server at a url the feed is learned, of our own it is known: give two urls or two programs"
    ))]
    Unlike,
    /// A server of somebody else's for a mix.
    #[error("--{side} is a url, and the scenario's transports share one server")]
    #[diagnostic(help("workload.kind = \"mixed\" is for the reference server: give a program of ours"))]
    Together {
        /// Which side.
        side: &'static str,
    },
    /// `{port}` for a server of ours.
    #[error("--{side} has {{port}}, but the scenario's transports have no url for it")]
    #[diagnostic(help("write url = \"…:{{port}}/…\" in the scenario (docs/servers-of-others.md)"))]
    PortUnused {
        /// Which side.
        side: &'static str,
    },
    /// `{port}` on one of command and url only.
    #[error("{{port}} is only in {place}, expected in --{side} and in the url of {variant:?}, or in neither")]
    PortAlone {
        /// Which side.
        side: &'static str,
        /// Where it is.
        place: &'static str,
        /// The variant.
        variant: String,
    },
    /// A url that cannot be taken.
    #[error("--{side} is {found:?}, expected {expected}")]
    #[diagnostic(help("paths and schemes are the scenario's; a side says only where"))]
    Url {
        /// Which side.
        side: &'static str,
        /// What was given.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A program that cannot be started.
    #[error("--{side}: failed to start {program}: {cause}")]
    Start {
        /// Which side.
        side: &'static str,
        /// The program.
        program: String,
        /// What the system says.
        cause: io::Error,
    },
    /// A program that is not ours.
    #[error(
        "--{side}: {program} is no server of ours: expected \"loadgen …\" or \"servers …\" from --version, found {found}"
    )]
    #[diagnostic(help(
        "a server of yours needs {{port}} in its command and a scenario whose transports have a url"
    ))]
    NotOurs {
        /// Which side.
        side: &'static str,
        /// The program.
        program: String,
        /// What it said.
        found: String,
    },
    /// A server that does not begin to serve, or not in our way.
    #[error("--{side}: {command} cannot be measured with {variant:?}: {cause}")]
    #[diagnostic(help(
        "the side's own arguments come first, then those of the trial; a server of ours must speak version 1 of the \
         control channel (docs/PROTOCOL.md)"
    ))]
    Serve {
        /// Which side.
        side: &'static str,
        /// As given.
        command: String,
        /// With which variant.
        variant: String,
        /// What went wrong.
        cause: Box<TargetError>,
    },
}

/// A side as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    /// A program of ours and its arguments.
    Ours(Vec<String>),
    /// A command of the user's.
    Command(Vec<String>),
    /// Somewhere.
    Url { secure: bool, authority: String },
}

/// A side that is ready to be measured.
#[derive(Debug)]
pub struct Server {
    /// What serves, where the server is ours.
    pub program: Program,
    /// The scenario's plan with its clients sent there.
    pub plan: Plan,
    /// What it is, for the manifest: `command` as given, and `version` and `sha256` of a binary.
    pub facts: Value,
}

/// Reads both sides and starts each once with every kind of server that the plan needs.
pub async fn prove(plan: &Plan, texts: [&str; 2]) -> Result<[Server; 2], SideError> {
    let written = [read(NAMES[0], texts[0], plan)?, read(NAMES[1], texts[1], plan)?];
    let url = |side: &Written| matches!(side, Written::Url { .. });
    if plan.variants.iter().all(|variant| variant.peer.is_none()) && url(&written[0]) != url(&written[1]) {
        return Err(SideError::Unlike);
    }
    let [base, candidate] = written;
    Ok([ready(NAMES[0], texts[0], base, plan).await?, ready(NAMES[1], texts[1], candidate, plan).await?])
}

fn read(side: &'static str, text: &str, plan: &Plan) -> Result<Written, SideError> {
    let named = |theirs: bool| plan.variants.iter().find(|variant| variant.peer.is_some() == theirs);
    if let (Some(ours), Some(theirs)) = (named(false), named(true)) {
        return Err(SideError::Mixed { ours: ours.name.clone(), theirs: theirs.name.clone() });
    }
    if text.contains("://") && !text.contains(char::is_whitespace) {
        if plan.variants.iter().any(|variant| variant.mix.is_some()) {
            return Err(SideError::Together { side });
        }
        return address(side, text);
    }
    let words = scenario::words(text).filter(|words| words.first().is_some_and(|word| !word.is_empty()));
    let words = words.ok_or_else(|| SideError::Syntax { side, found: text.to_owned() })?;
    let told = text.contains("{port}");
    if named(true).is_none() {
        return if told { Err(SideError::PortUnused { side }) } else { Ok(Written::Ours(words)) };
    }
    for variant in &plan.variants {
        let needed = variant.peer.as_ref().is_some_and(|peer| peer.url.filled.contains("{port}"));
        if needed != told {
            let place = if told { "the command" } else { "the url" };
            return Err(SideError::PortAlone { side, place, variant: variant.name.clone() });
        }
    }
    Ok(Written::Command(words))
}

fn address(side: &'static str, text: &str) -> Result<Written, SideError> {
    let wrong =
        |expected: &str| SideError::Url { side, found: text.to_owned(), expected: expected.to_owned() };
    let uri: http::Uri = text.parse().map_err(|_| wrong("http://HOST:PORT or https://HOST:PORT"))?;
    let secure = match uri.scheme_str() {
        Some("http" | "ws") => false,
        Some("https" | "wss") => true,
        Some(_) | None => return Err(wrong("http://HOST:PORT or https://HOST:PORT")),
    };
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(wrong("scheme, host and port only"));
    }
    let authority = uri.authority().ok_or_else(|| wrong("a host"))?.to_string();
    Ok(Written::Url { secure, authority })
}

async fn ready(side: &'static str, text: &str, written: Written, plan: &Plan) -> Result<Server, SideError> {
    let mut facts = json!({ "command": text });
    let mut program = Program::loadgen("");
    let mut plan = plan.clone();
    match written {
        Written::Ours(words) => program = identify(side, words, &mut facts).await?,
        Written::Command(words) => {
            for peer in plan.variants.iter_mut().filter_map(|variant| variant.peer.as_mut()) {
                let ready = match peer.server.take() {
                    Some(PeerServer::Command { ready, .. }) => ready,
                    Some(PeerServer::Pid(_)) | None => None,
                };
                let words = words.iter().map(Text::plain).collect();
                peer.server = Some(PeerServer::Command { words, ready });
            }
        }
        Written::Url { secure, authority } => {
            for variant in &mut plan.variants {
                send(side, text, variant, secure, &authority)?;
            }
        }
    }
    let server = Server { program, plan, facts };
    server.start_once(side, text).await?;
    Ok(server)
}

/// Sends a variant's clients to a url: at the scenario's path, or at the transport's own.
fn send(
    side: &'static str,
    text: &str,
    variant: &mut VariantPlan,
    secure: bool,
    authority: &str,
) -> Result<(), SideError> {
    let wrong = |expected: String| SideError::Url { side, found: text.to_owned(), expected };
    let schemes = clients::schemes(variant.kind);
    let is_secure = |scheme: &str| matches!(scheme, "https" | "wss");
    let scheme = schemes.iter().find(|scheme| is_secure(scheme) == secure).ok_or_else(|| {
        wrong(format!("one that {:?} is reached by: {}", variant.name, schemes.join(" or ")))
    })?;
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let here = scenario::is_here(host);
    if !here && !variant.is_remote() {
        let expected =
            "this machine: 127.0.0.1, ::1 or localhost, or a scenario with url and allow_remote = true";
        return Err(wrong(expected.to_owned()));
    }
    match &mut variant.peer {
        Some(peer) => {
            let moved = |url: &str| {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let path = rest.find(['/', '?']).map_or("", |cut| &rest[cut..]);
                format!("{scheme}://{authority}{path}")
            };
            peer.url = Text { written: moved(&peer.url.written), filled: moved(&peer.url.filled) };
            peer.server = None;
        }
        None => {
            variant.headers = scenario::stranger_headers(std::mem::take(&mut variant.headers), &[]);
            // The direct engine reads the reference server's own feed only.
            variant.engine = ticker::Engine::Library;
            variant.peer = Some(Peer {
                url: Text::plain(format!("{scheme}://{authority}")),
                ca: None,
                remote: false,
                server: None,
                open: Open::default(),
                say: None,
                message: MessageRules::default(),
                secrets: Vec::new(),
            });
        }
    }
    variant.options.tls = secure;
    Ok(())
}

/// The program behind words: a `loadgen` serves by its verb, a `servers` as it is.
async fn identify(side: &'static str, words: Vec<String>, facts: &mut Value) -> Result<Program, SideError> {
    let mut words = words.into_iter();
    let first = words.next().unwrap_or_default();
    let start = |cause| SideError::Start { side, program: first.clone(), cause };
    let path = if first == SELF { std::env::current_exe().map_err(start)? } else { PathBuf::from(&first) };
    let said = version(&path).await.map_err(start)?;
    let mut arguments: Vec<String> = words.collect();
    match said.split_whitespace().next() {
        Some("loadgen") if arguments.first().is_none_or(|word| word != "serve") => {
            arguments.insert(0, "serve".to_owned());
        }
        Some("loadgen" | "servers") => {}
        Some(_) | None => {
            let found = if said.is_empty() { "nothing".to_owned() } else { format!("{said:?}") };
            return Err(SideError::NotOurs { side, program: first, found });
        }
    }
    facts["version"] = said.into();
    facts["sha256"] = digest(&path).map_or(Value::Null, Value::from);
    Ok(Program { path, arguments })
}

/// The first line that `--version` brings.
async fn version(path: &Path) -> io::Result<String> {
    let mut command = tokio::process::Command::new(path);
    command.arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let Output { stdout, .. } = timeout(VERSION_TIME, command.output())
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    let said = String::from_utf8_lossy(&stdout);
    Ok(said.lines().next().unwrap_or_default().chars().take(80).collect())
}

/// SHA-256 of a binary; `None` where its file is not known, as of a name that PATH resolves.
fn digest(path: &Path) -> Option<String> {
    let bytes = std::fs::read(path).ok()?;
    Some(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

impl Server {
    /// Starts and stops a server for each set of options: what fails here would fail in every trial.
    async fn start_once(&self, side: &'static str, command: &str) -> Result<(), SideError> {
        let cores = Cores::split(&process::allowed_cores());
        let mut seen = BTreeSet::new();
        for variant in &self.plan.variants {
            let options = &variant.options;
            // A stranger's server may be slow to start, and is the same for all.
            let sort = match &variant.peer {
                Some(_) => String::new(),
                None => format!(
                    "{:?} {} {:?} {:?} {}",
                    options.http,
                    options.tls,
                    options.deflate,
                    options.compression,
                    variant.counted_by_server()
                ),
            };
            if !seen.insert(sort) {
                continue;
            }
            let failed = |cause: TargetError| SideError::Serve {
                side,
                command: command.to_owned(),
                variant: variant.name.clone(),
                cause: Box::new(cause),
            };
            let target =
                Target::start(&self.program, &[variant], (&cores, None), None).await.map_err(failed)?;
            target.stop().await.map_err(failed)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load, load_text};

    const THEIRS: &str = "[[transport]]\nkind = \"websocket\"\nurl = \"ws://127.0.0.1:{port}/feed?x=1\"\n\
                          [transport.server]\ncommand = \"node server.js {port}\"\nready = \"/healthz\"\n";

    fn ours() -> Plan {
        load("smoke", &Overrides { only: vec!["sse".to_owned()], ..Overrides::default() }).unwrap()
    }

    fn theirs() -> Plan {
        load_text("mine", THEIRS, &|_| None).unwrap()
    }

    fn words(text: &[&str]) -> Vec<String> {
        text.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn a_side_is_a_program_a_command_or_a_url() {
        let url = |secure, authority: &str| Written::Url { secure, authority: authority.to_owned() };
        let check = |text: &str, plan: &Plan, expected: Written| {
            assert_eq!(read("base", text, plan).unwrap(), expected, "{text}");
        };
        check("self", &ours(), Written::Ours(words(&["self"])));
        check(
            "./old/loadgen serve --fault slow",
            &ours(),
            Written::Ours(words(&["./old/loadgen", "serve", "--fault", "slow"])),
        );
        check("http://127.0.0.1:80", &ours(), url(false, "127.0.0.1:80"));
        check("wss://[::1]:8443/", &theirs(), url(true, "[::1]:8443"));
        check("sh -c 'x {port}'", &theirs(), Written::Command(words(&["sh", "-c", "x {port}"])));
    }

    #[test]
    fn what_cannot_be_a_side_is_refused_with_the_reason() {
        let check = |text: &str, plan: &Plan, expected: &str| {
            let error = read("base", text, plan).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("", &ours(), "expected a command");
        check("sh 'x", &ours(), "closed quotes");
        check("./mine {port}", &ours(), "the scenario's transports have no url");
        check("./mine", &theirs(), "{port} is only in the url");
        check("http://127.0.0.1:80/feed", &theirs(), "scheme, host and port only");
        check("ftp://127.0.0.1:80", &theirs(), "expected http://HOST:PORT");
        let mut mixed = ours();
        mixed.variants.extend(theirs().variants);
        check("self", &mixed, "measures both the reference server (sse)");
    }

    #[test]
    fn a_url_takes_the_place_of_scheme_host_and_port_only() {
        let moved = |plan: Plan, secure, authority: &str| {
            let mut variant = plan.variants[0].clone();
            send("base", "x", &mut variant, secure, authority).map(|()| variant.peer.unwrap().url.filled)
        };
        assert_eq!(moved(theirs(), true, "127.0.0.1:9").unwrap(), "wss://127.0.0.1:9/feed?x=1");
        assert_eq!(moved(theirs(), false, "[::1]:9").unwrap(), "ws://[::1]:9/feed?x=1");
        assert_eq!(moved(ours(), false, "127.0.0.1:9").unwrap(), "http://127.0.0.1:9");
        let error = moved(theirs(), false, "example.org:80").unwrap_err().to_string();
        assert!(error.contains("this machine"), "{error}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_not_ours_is_named() {
        let plan = ours();
        let check = async |text: &str, expected: &str| {
            let error = prove(&plan, [text, "self"]).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("./not-there", "failed to start ./not-there: No such file").await;
        check("./Cargo.toml", "failed to start ./Cargo.toml: Permission denied").await;
        check("true", "true is no server of ours").await;
        check("http://127.0.0.1:1", "one side is a url").await;
    }
}
