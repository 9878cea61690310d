//! Shows events to a person: a bar on a terminal, plain lines elsewhere, nothing when asked to be quiet.

use std::{io::IsTerminal as _, sync::Arc, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};
use measurement::result::{Severity, Status, Trial};

use crate::{
    events::{self, Event, InPair, Listener},
    plan::VariantPlan,
};

/// The listener for a person at standard error.
pub fn for_person(quiet: bool) -> Box<dyn Listener> {
    if quiet {
        Box::new(Quiet)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bar::default())
    } else {
        Box::new(Lines::default())
    }
}

/// The listener for one run of many, of which only the end is told.
pub fn for_steps(quiet: bool) -> Box<dyn Listener> {
    if quiet { Box::new(Quiet) } else { Box::new(Steps) }
}

/// Says a line of one's own, unless asked to be quiet.
pub fn tell(quiet: bool, line: &str) {
    if !quiet {
        say(line);
    }
}

struct Steps;

impl Listener for Steps {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Stopping => say(STOPPING),
            Event::Started { .. } | Event::Trial { .. } | Event::Progress { .. } | Event::Ended { .. } => {}
        }
    }
}

struct Quiet;

impl Listener for Quiet {
    fn event(&mut self, _event: &Event<'_>) {}
}

/// What the whole run is, to say how far it is.
#[derive(Default)]
struct Whole {
    trials: u32,
    seconds: f64,
    order: u32,
    name: String,
    /// Whether several variants share the trial.
    is_mixed: bool,
}

impl Whole {
    fn started(&mut self, trials: u32, seconds: f64) {
        (self.trials, self.seconds) = (trials, seconds);
    }

    fn trial(&mut self, order: u32, variants: &[Arc<VariantPlan>], pair: Option<InPair>) {
        (self.order, self.is_mixed) = (order, variants.len() > 1);
        let name = events::name(variants);
        self.name = match pair {
            None => name,
            Some(InPair { pair, pairs, side }) => format!("pair {} of {pairs}, {side}: {name}", pair + 1),
        };
    }

    fn heading(&self) -> String {
        format!("[{}/{}] {}", self.order + 1, self.trials, self.name)
    }

    /// How a variant's part of the trial ended.
    fn ended(&self, variant: &VariantPlan, trial: &Trial) -> String {
        let heading = self.heading();
        if self.is_mixed {
            format!("{heading}: {}: {}", variant.name, outcome(trial))
        } else {
            format!("{heading}: {}", outcome(trial))
        }
    }
}

/// Plain lines, one for each trial and its end.
#[derive(Default)]
struct Lines {
    whole: Whole,
}

impl Listener for Lines {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { trials, seconds, folder } => {
                self.whole.started(*trials, *seconds);
                say(&format!("{trials} trials, about {}, into {}", rounded(*seconds), folder.display()));
            }
            Event::Trial { order, variants, pair } => self.whole.trial(*order, variants, *pair),
            Event::Progress { .. } => {}
            Event::Ended { variant, trial } => say(&self.whole.ended(variant, trial)),
            Event::Stopping => say(STOPPING),
        }
    }
}

/// One bar for the run, with the phase and live counts of the current trial.
#[derive(Default)]
struct Bar {
    whole: Whole,
    bar: Option<ProgressBar>,
}

impl Listener for Bar {
    fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Started { trials, seconds, folder } => {
                self.whole.started(*trials, *seconds);
                let bar = ProgressBar::new(u64::from(*trials));
                let style = ProgressStyle::with_template("{bar:20} {elapsed} {msg}");
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                bar.enable_steady_tick(Duration::from_millis(500));
                bar.println(format!(
                    "{trials} trials, about {}, into {}",
                    rounded(*seconds),
                    folder.display()
                ));
                self.bar = Some(bar);
            }
            Event::Trial { order, variants, pair } => self.whole.trial(*order, variants, *pair),
            Event::Progress { phase, seconds, connected, delivered, workers: _ } => {
                self.on_bar(|bar, heading| {
                    let phase = phase.name();
                    bar.set_message(format!(
                        "{heading}: {phase}, {seconds:.0} s, {connected} clients, {delivered} updates"
                    ));
                });
            }
            Event::Ended { variant, trial } => {
                let line = self.whole.ended(variant, trial);
                self.on_bar(|bar, _| {
                    bar.println(line);
                    bar.inc(1);
                    if bar.length() == Some(bar.position()) {
                        bar.finish_and_clear();
                    }
                });
            }
            Event::Stopping => self.on_bar(|bar, _| bar.println(STOPPING)),
        }
    }
}

impl Bar {
    fn on_bar(&self, change: impl FnOnce(&ProgressBar, String)) {
        if let Some(bar) = &self.bar {
            change(bar, self.whole.heading());
        }
    }
}

const STOPPING: &str = "stopping: the trial is ended and what was found is written (Ctrl-C again to give up)";

fn outcome(trial: &Trial) -> String {
    match (trial.status, &trial.error) {
        (Status::Complete, _) => {
            let delay = trial.delivery_delay.as_ref().and_then(|delay| delay.mean_us);
            let delay =
                delay.map_or("no deliveries".to_owned(), |us| format!("mean delay {:.2} ms", us / 1e3));
            let verdict = verdict(trial);
            format!("{} updates, {delay}, {verdict}", trial.updates.delivered_once)
        }
        (Status::Partial, Some(error)) => format!("partial: {error}"),
        (Status::Failed, Some(error)) => format!("FAILED: {error}"),
        (Status::Partial | Status::Failed, None) => "did not end".to_owned(),
    }
}

/// `valid`, or what voids figures.
fn verdict(trial: &Trial) -> String {
    let grave = trial.validity.findings.iter().filter(|finding| finding.severity == Severity::Invalid);
    let codes: Vec<&str> = grave.map(|finding| finding.code.as_str()).collect();
    if trial.validity.valid { "valid".to_owned() } else { format!("INVALID: {}", codes.join(", ")) }
}

fn rounded(seconds: f64) -> String {
    humantime::format_duration(Duration::from_secs(seconds.round() as u64)).to_string()
}

#[expect(clippy::print_stderr, reason = "this is the one place that shows progress")]
fn say(line: &str) {
    eprintln!("{line}");
}
