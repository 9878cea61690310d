//! The command line: verbs and their arguments.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::scenario::Overrides;

pub mod ab;
pub mod capacity;
pub mod compare;
pub mod crossover;
pub mod doctor;
mod history;

pub use ab::AbArgs;
pub use capacity::CapacityArgs;
pub use crossover::CrossoverArgs;
pub use doctor::DoctorArgs;
pub use history::{FilterArgs, Format as HistoryFormat, HistoryAction, HistoryArgs};

/// Measures how stale a stock ticker is, and what it costs, over polling, server-sent events and WebSocket
#[derive(Debug, Parser)]
#[command(name = "loadgen", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs of this version.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Measure a scenario and write a dated folder with the result and its report
    #[command(after_help = RUN_HELP)]
    Run(RunArgs),
    /// Validate a scenario, print the resolved plan, its duration and needs; run nothing
    #[command(after_help = CHECK_HELP)]
    Check(CheckArgs),
    /// Render the report of a result again
    Report(ReportArgs),
    /// List transports, shipped scenarios and metrics
    List(ListArgs),
    /// Show three messages of a server of yours, guess what they mean, print a scenario that runs
    #[command(after_help = PROBE_HELP)]
    Probe(ProbeArgs),
    /// Check a server that claims to speak docs/PROTOCOL.md, and name each deviation
    #[command(after_help = VERIFY_HELP)]
    Verify(VerifyArgs),
    /// Judge a result against another: better, worse, equal, or not to be told
    #[command(after_help = compare::HELP)]
    Compare(compare::CompareArgs),
    /// Compare two servers in pairs of trials that run beside each other
    #[command(after_help = ab::HELP)]
    Ab(AbArgs),
    /// Find the most clients, or updates, with which a condition holds
    #[command(after_help = capacity::HELP)]
    Capacity(CapacityArgs),
    /// Draw where asking on a timetable beats pushing: interval × round trip × rate, predicted beside measured
    #[command(after_help = crossover::HELP)]
    Crossover(CrossoverArgs),
    /// Keep results by commit, find what changed, draw trends
    #[command(after_help = history::HELP)]
    History(HistoryArgs),
    /// Run the reference servers: every transport on one address
    Serve(servers::cli::ServeArgs),
    /// Open the teaching page: real connections side by side in your browser, to change and to break
    #[command(after_help = TEACH_HELP)]
    Teach(teach::TeachArgs),
    /// Say what this machine can and cannot measure
    Doctor(DoctorArgs),
    /// Generate a part of the load for a parent process (docs/processes.md)
    #[command(hide = true)]
    Worker,
}

const AFTER_HELP: &str = "\
Examples:
  loadgen run ticker                         polling, SSE and WebSocket compared
  loadgen run ticker --set load.clients=50   the same with fewer users
  loadgen check my-scenario.toml             what a scenario of your own would do
  loadgen capacity ticker --until 'delivery_delay.p95 < 500ms'   how many users fit
  loadgen ab ticker --base ./old --candidate self   two servers, in pairs of trials
  loadgen teach                              see it happen, in your browser
  loadgen doctor --noise                     how far this machine can be trusted

Exit codes:
  0  all well
  1  a gate or a claim failed
  2  bad usage, scenario or result file
  3  the run could not be completed, or cannot be trusted
  4  inconclusive";

const TEACH_HELP: &str = "\
Examples:
  loadgen teach                              then open http://127.0.0.1:8600/
  loadgen teach --updates-per-second 0.5     a slow feed: when is polling good enough?
  loadgen teach --lane sse=127.0.0.1:9000    your own server as a lane (docs/starters)
  loadgen teach --listen 0.0.0.0:8600 --allow-origin http://192.168.1.10:8600
                                             one server for a class: what the laptops call it";

const RUN_HELP: &str = "\
Examples:
  loadgen run ticker
  loadgen run smoke --quiet
  loadgen run ticker --live
  loadgen run scenarios/ticker.toml --only websocket --only sse --quick
  loadgen run ticker --set load.clients='[50, 100, 200]' --set feed.updates_per_second=100
  loadgen run ticker --set transport.polling.interval=500ms
  loadgen run ci --baseline reports/baselines/ci.json   in CI: did anything that is counted get worse?";

const CHECK_HELP: &str = "\
Examples:
  loadgen check ticker
  loadgen check my-scenario.toml --set load.clients=5000";

const PROBE_HELP: &str = "\
Examples:
  loadgen probe http://127.0.0.1:3000/events --kind sse
  loadgen probe ws://127.0.0.1:3000/feed --kind websocket --send '{\"method\":\"SUBSCRIBE\"}'
  loadgen probe 'http://127.0.0.1:3000/quotes?after={after}' --kind polling > mine.toml
  loadgen probe wss://localhost:3000/ --kind websocket --ca ca.pem --header 'authorization=Bearer ${TOKEN}'";

/// `loadgen probe`
#[derive(Args, Clone, Debug)]
pub struct ProbeArgs {
    /// Where the server is; {after} in a poll's query stands for the cursor
    #[arg(value_name = "URL")]
    pub url: String,
    /// How the server is reached: polling, long-polling, sse or websocket
    #[arg(long, value_name = "KIND")]
    pub kind: ticker::Transport,
    /// Let the server be on another machine
    #[arg(long)]
    pub allow_remote: bool,
    /// A header field to send; ${NAME} is filled in from the environment; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    pub header: Vec<(String, String)>,
    /// A message to send first; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub send: Vec<String>,
    /// A subprotocol to offer; may be repeated
    #[arg(long, value_name = "NAME")]
    pub subprotocol: Vec<String>,
    /// Certificate authority to trust, a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<String>,
    /// How long to wait for messages
    #[arg(long, value_name = "TIME", default_value = "15s")]
    pub wait: humantime::Duration,
}

const VERIFY_HELP: &str = "\
Examples:
  loadgen verify http://127.0.0.1:8080
  loadgen verify http://127.0.0.1:8080 --kind sse --kind websocket
  loadgen verify ws://127.0.0.1:8080/feed --kind websocket --quiet

Exit codes: 0 it conforms, 1 it deviates, 2 bad usage, 3 it could not be reached";

/// `loadgen verify`
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// Where the server is; a path is taken for that of the one transport that --kind names
    #[arg(value_name = "URL")]
    pub url: String,
    /// Transport to check; may be repeated; all if not given
    #[arg(long, value_name = "KIND")]
    pub kind: Vec<ticker::Transport>,
    /// Let the server be on another machine
    #[arg(long)]
    pub allow_remote: bool,
    /// Certificate authority to trust, a PEM file
    #[arg(long, value_name = "FILE")]
    pub ca: Option<String>,
    /// Print deviations only
    #[arg(long)]
    pub quiet: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Which scenario, and what to change about it.
#[derive(Args, Clone, Debug)]
pub struct ScenarioArgs {
    /// Path of a scenario file, or the bare name of a shipped one (see `loadgen list scenarios`)
    #[arg(value_name = "SCENARIO")]
    pub scenario: String,
    /// Change a key of the scenario, for example load.clients=50; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Keep only this variant, transport name or kind; may be repeated
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
    /// One trial and half the window; the result says so
    #[arg(long)]
    pub quick: bool,
}

impl ScenarioArgs {
    /// The changes, as `scenario::load` takes them.
    pub fn overrides(&self) -> Overrides {
        Overrides { set: self.set.clone(), only: self.only.clone(), quick: self.quick }
    }
}

/// `loadgen run`
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
    /// Folder for results; each run makes a new dated folder in it
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub out: PathBuf,
    /// Print only the result
    #[arg(long)]
    pub quiet: bool,
    /// Show the run on the whole screen while it goes on; q stops it in order
    #[arg(long, conflicts_with = "quiet")]
    pub live: bool,
    /// Judge the run's counted metrics against this result; exits with 1 where one is worse
    #[arg(long, value_name = "RESULT")]
    pub baseline: Option<PathBuf>,
    /// What an undecided comparison with the baseline means for the exit code: 1 or 0 instead of 4
    #[arg(long, value_name = "EXIT", requires = "baseline")]
    pub on_inconclusive: Option<compare::OnInconclusive>,
}

/// `loadgen check`
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// The scenario.
    #[command(flatten)]
    pub scenario: ScenarioArgs,
}

/// `loadgen report`
#[derive(Args, Clone, Debug)]
pub struct ReportArgs {
    /// A result.json, or the folder that holds it
    #[arg(value_name = "RESULT")]
    pub result: PathBuf,
    /// Also write a small result without histograms, for `run --baseline` to be held against
    #[arg(long, value_name = "FILE")]
    pub baseline: Option<PathBuf>,
}

/// `loadgen list`
#[derive(Args, Clone, Debug)]
pub struct ListArgs {
    /// Only these
    pub what: Option<Listed>,
}

/// What can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Listed {
    /// Ways to bring quotes from the server to a client.
    Transports,
    /// Scenarios inside the program.
    Scenarios,
    /// Names that results use.
    Metrics,
}

/// Verbs by what one is about, in the order of the help.
const GROUPS: &[(&str, &[&str])] = &[
    ("Use", &["run", "check", "report", "list", "probe", "verify"]),
    ("Search", &["capacity", "crossover"]),
    ("Gate", &["compare", "ab", "history"]),
    ("Teach", &["teach", "serve"]),
    ("Machine", &["doctor"]),
];

/// Parses the process's arguments; prints help or a usage error and exits (0 or 2) where that is the answer.
pub fn parse() -> Cli {
    try_parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Parses arguments, the program's name first.
pub fn try_parse_from(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::from_arg_matches(&command().try_get_matches_from_mut(arguments)?)
}

/// The command with its verbs listed in groups.
fn command() -> Command {
    let command = Cli::command();
    let width = command.get_subcommands().map(|verb| verb.get_name().len()).max().unwrap_or(0);
    let mut groups = String::new();
    for (title, verbs) in GROUPS {
        let known: Vec<_> = verbs.iter().filter_map(|verb| command.find_subcommand(verb)).collect();
        if known.is_empty() {
            continue;
        }
        groups.push_str(&format!("\n{title}:\n"));
        for verb in known {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            groups.push_str(&format!("  {:width$}  {about}\n", verb.get_name()));
        }
    }
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\nOptions:\n{{options}}{{after-help}}"
    );
    command.help_template(template)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Cli, clap::Error> {
        try_parse_from(std::iter::once("loadgen").chain(line.split_whitespace()).map(OsString::from))
    }

    #[test]
    fn every_verb_is_in_one_group_of_the_help() {
        Cli::command().debug_assert();
        let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, verbs)| verbs.iter().copied()).collect();
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let times = grouped.iter().filter(|name| **name == verb.get_name()).count();
            assert_eq!(times, 1, "{}", verb.get_name());
        }
        let help = command().render_help().to_string();
        assert!(help.contains("Use:\n  run"), "{help}");
        assert!(help.contains("Machine:\n  doctor"), "{help}");
        assert!(help.contains("Gate:\n  compare"), "{help}");
    }

    #[test]
    fn options_reach_the_overrides() {
        let line = "run ticker --set load.clients=5 --set feed.seed=2 --only sse --quick --out elsewhere";
        let Verb::Run(run) = parsed(line).unwrap().verb else { panic!("not run") };
        let overrides = run.scenario.overrides();
        assert_eq!(overrides.set, ["load.clients=5", "feed.seed=2"]);
        assert_eq!((overrides.only, overrides.quick), (vec!["sse".to_owned()], true));
        assert_eq!(run.out, PathBuf::from("elsewhere"));
        assert_eq!(parsed("run ticker --live --quiet").unwrap_err().exit_code(), 2);
        assert_eq!(parsed("frob").unwrap_err().exit_code(), 2);
        assert_eq!(parsed("--help").unwrap_err().exit_code(), 0);
    }
}
