//! `loadgen check`: the resolved plan in words, how long it takes, what it needs. Runs nothing.

use std::{
    io::{self, Write},
    time::Duration,
};

use measurement::{
    claim::{Bound, Claim, Judge},
    gate::{Gate, Limit},
    metrics,
    result::{Model, ModelKind},
};

use super::{printed, table, write_table};
use crate::{
    cli::CheckArgs,
    clients,
    machine::Machine,
    plan::{HttpClient, Plan, VariantPlan, Workload},
    scenario::{
        self, Estimate, Needs,
        estimate::{Limits, thousands},
    },
};

/// Distinct events that a 99th percentile needs: ten above it.
const EVENTS_FOR_P99: f64 = 1_000.0;

/// Loads the scenario and prints what a run would do. Fails where a run would refuse to start.
pub fn run(arguments: &CheckArgs, out: &mut dyn Write) -> miette::Result<()> {
    let plan = scenario::load(&arguments.scenario.scenario, &arguments.scenario.overrides())?;
    let machine = Machine::read();
    let limits = machine.limits();
    let needs = Needs::of(&plan, &limits);
    printed(print(&plan, &needs, &limits, machine.cores.as_ref().ok().copied(), out))?;
    needs.check(&limits)?;
    Ok(())
}

fn print(
    plan: &Plan,
    needs: &Needs,
    limits: &Limits,
    cores: Option<u64>,
    out: &mut dyn Write,
) -> io::Result<()> {
    writeln!(out, "{}  ({})", plan.title, plan.path.display())?;
    for (heading, text) in [("Why", &plan.why), ("Notice", &plan.notice)] {
        if let Some(text) = text {
            writeln!(out, "{heading}: {text}")?;
        }
    }
    writeln!(out)?;
    variants(plan, out)?;
    let estimate = Estimate::of(plan);
    let trials = plan.variants.len() as u64 * u64::from(plan.trials);
    let order = if plan.together().len() < plan.variants.len() {
        ", all variants at the same time against one server"
    } else {
        " in random order"
    };
    writeln!(
        out,
        "Takes about {}: {trials} trials, {} of each variant{order}{}",
        rounded(estimate.total),
        plan.trials,
        if plan.quick { " (quick: one trial, half the window)" } else { "" },
    )?;
    let limit = |limit: Option<u64>| {
        limit.map_or_else(|| "limit unknown".to_owned(), |n| format!("of {}", thousands(n)))
    };
    writeln!(
        out,
        "Needs {} of the load generator and {} of the server, up to {} open files in each ({}), {} local ports ({}){}",
        processes(needs.generators),
        processes(needs.servers),
        thousands(needs.files),
        limit(limits.files),
        thousands(needs.ports),
        limit(limits.ports),
        if needs.sources > 1 {
            format!(" of each of {} source addresses", needs.sources)
        } else {
            String::new()
        },
    )?;
    for gate in &plan.gates {
        writeln!(out, "Gate: {}: {}", gate.variant, gate_words(gate))?;
    }
    for claim in &plan.claims {
        writeln!(out, "Claim: {}: {}", claim.text, claim_words(claim))?;
    }
    for note in notes(plan, cores) {
        writeln!(out, "Note: {note}")?;
    }
    Ok(())
}

fn processes(count: u64) -> String {
    format!("{count} process{}", if count == 1 { "" } else { "es" })
}

fn gate_words(gate: &Gate) -> String {
    let unit = metrics::find(&gate.metric).map_or("", |metric| metric.unit);
    let value = |value: f64| figure(value, unit);
    let limit = match gate.limit {
        Limit::Below(most) => format!("below {}", value(most)),
        Limit::Above(least) => format!("above {}", value(least)),
        Limit::Equals(exactly) => format!("equal to {}", value(exactly)),
        Limit::MaxIncrease(share) => format!("at most {} % worse than the baseline", share * 100.0),
    };
    format!("{} {limit}", gate.metric)
}

/// `polling 1s over websocket, bytes.per_second about 435, within 2 %`
fn claim_words(claim: &Claim) -> String {
    let other = match (&claim.over, &claim.minus) {
        (Some(other), _) => format!(" over {other}"),
        (None, Some(other)) => format!(" minus {other}"),
        (None, None) => String::new(),
    };
    let claimed = match (&claim.unit, &claim.over) {
        (Some(own), _) => format!("{} {own}", claim.claimed),
        (None, Some(_)) => claim.claimed.to_string(),
        (None, None) => figure(claim.claimed, metrics::find(&claim.metric).map_or("", |metric| metric.unit)),
    };
    let bound = match claim.bound {
        Bound::About if claim.tolerance == 0.0 && claim.judge == Judge::Assert => "exactly",
        Bound::About => "about",
        Bound::AtLeast => "at least",
        Bound::AtMost => "at most",
    };
    let judged = match claim.judge {
        Judge::Assert if claim.tolerance > 0.0 => {
            format!(", within {} %", (claim.tolerance * 1e4).round() / 1e2)
        }
        Judge::Assert => String::new(),
        Judge::Context => ", for context".to_owned(),
    };
    format!("{}{other}, {} {bound} {claimed}{judged}", claim.variant, claim.metric)
}

/// A value in a metric's unit; only a duration is never below zero.
fn figure(value: f64, unit: &str) -> String {
    match unit {
        "us" => written(Duration::from_secs_f64(value / 1e6)),
        "share" => format!("{} %", value * 100.0),
        unit => format!("{value} {unit}").trim_end().to_owned(),
    }
}

fn variants(plan: &Plan, out: &mut dyn Write) -> io::Result<()> {
    let estimate = Estimate::of(plan);
    let heading = [
        "variant",
        "how quotes come",
        "clients",
        "updates/s",
        "feed",
        "headers",
        "connect",
        "warm-up",
        "measure",
        "a trial",
    ];
    let mut rows = table(&heading);
    for (variant, trial) in plan.variants.iter().zip(&estimate.trials) {
        let (feed, load) = (&variant.feed, &variant.load);
        let (rate, feed_words) = match &variant.peer {
            None => (
                feed.updates_per_second.to_string(),
                format!("{} symbols, {}, {} B", feed.symbols, feed.arrivals.name(), feed.quote_bytes),
            ),
            Some(peer) => ("its own".to_owned(), format!("of {}", peer.url.written)),
        };
        rows.add_row([
            variant.name.clone(),
            match variant.workload {
                Workload::Echo => "sent by each client and back".to_owned(),
                Workload::Uplink => "sent by each client and acknowledged".to_owned(),
                Workload::Chat => "sent by each member to its room".to_owned(),
                Workload::Idle => "silent".to_owned(),
                Workload::Ticker
                | Workload::Burst
                | Workload::Storm
                | Workload::SlowReader
                | Workload::Mixed => model_words(clients::model(variant.kind, &variant.options)),
            },
            thousands(load.clients),
            rate,
            feed_words,
            variant.header_profile.clone(),
            written(load.connect_over),
            written(load.warmup),
            written(load.measure),
            written(*trial),
        ]);
    }
    write_table(out, &rows)
}

fn model_words(model: Model) -> String {
    match (model.kind, model.period_us) {
        (ModelKind::Pull, Some(us)) => {
            format!("asked for every {}", written(Duration::from_secs_f64(us / 1e6)))
        }
        (ModelKind::Pull, None) => "asked for".to_owned(),
        (ModelKind::Held, _) => "asked for, the answer held".to_owned(),
        (ModelKind::Push, _) => "pushed".to_owned(),
    }
}

fn written(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

/// Whole seconds below two minutes, else tens.
fn rounded(duration: Duration) -> String {
    let step = if duration < Duration::from_secs(120) { 1 } else { 10 };
    written(Duration::from_secs(duration.as_secs().next_multiple_of(step)))
}

/// What is worth knowing before the run: nothing here stops it.
fn notes(plan: &Plan, cores: Option<u64>) -> Vec<String> {
    let mut notes = Vec::new();
    match plan.trials {
        1 => notes.push("one trial cannot tell a difference from noise".to_owned()),
        2..6 => notes.push(format!(
            "{} trials describe, they do not prove: low and high are a range, not an interval of confidence",
            plan.trials,
        )),
        _ => {}
    }
    if let Some(cores) = cores.filter(|cores| *cores < 4) {
        notes.push(format!(
            "this machine has {cores} core{}: server and load generator disturb each other; see `loadgen doctor`",
            if cores == 1 { "" } else { "s" },
        ));
    }
    let names = |unlike: &dyn Fn(&VariantPlan) -> bool| -> Vec<&str> {
        plan.variants.iter().filter(|variant| unlike(variant)).map(|variant| variant.name.as_str()).collect()
    };
    // How much somebody else's feed holds nobody knows before.
    let blurred =
        names(&|variant| variant.peer.is_none() && events(variant) * f64::from(plan.trials) < EVENTS_FOR_P99);
    if !blurred.is_empty() {
        notes.push(format!(
            "too few distinct quotes or polls for a 99th percentile (1,000 needed over all trials), it will be empty: {}. \
             Raise load.measure, load.trials or feed.updates_per_second",
            blurred.join(", "),
        ));
    }
    let alone = names(&|variant| variant.peer.as_ref().is_some_and(|peer| peer.server.is_none()));
    if !alone.is_empty() {
        notes.push(format!(
            "processor time and memory of the server will not be told, write [transport.server] with command or pid: {}",
            alone.join(", ")
        ));
    }
    let unfiltered =
        names(&|variant| variant.peer.is_some() && variant.load.symbols_per_client < variant.feed.symbols);
    if !unfiltered.is_empty() {
        notes.push(format!(
            "load.symbols_per_client is for the reference server; clients of other servers take what comes: {}",
            unfiltered.join(", ")
        ));
    }
    let rare = names(&|variant| variant.options.interval * 2 > variant.load.measure && is_pull(variant));
    if !rare.is_empty() {
        notes.push(format!(
            "the window holds fewer than two polls of each client: {}. Raise load.measure",
            rare.join(", ")
        ));
    }
    let pooled = names(&|variant| variant.options.client == HttpClient::Pooled);
    if !pooled.is_empty() {
        notes.push(format!(
            "bytes come from the server's counters, the kernel's are not told: {}",
            pooled.join(", ")
        ));
    }
    notes
}

fn is_pull(variant: &VariantPlan) -> bool {
    clients::model(variant.kind, &variant.options).kind == ModelKind::Pull
}

/// Distinct events of one trial's window: quotes for push, polls for polling, messages that come back.
fn events(variant: &VariantPlan) -> f64 {
    let window = variant.load.measure.as_secs_f64();
    if variant.workload.clients_publish() {
        return f64::from(variant.load.clients) * variant.feed.updates_per_second * window;
    }
    match clients::model(variant.kind, &variant.options).period_us {
        Some(period_us) => f64::from(variant.load.clients) * window / (period_us / 1e6),
        None => variant.feed.updates_per_second * window,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Overrides;

    fn printed(set: &[&str]) -> String {
        let set = set.iter().map(|&set| set.to_owned()).collect();
        let plan = scenario::load("ticker", &Overrides { set, ..Overrides::default() }).unwrap();
        let limits = Limits { files: Some(20_000), ports: Some(28_232), no_browser: None };
        let mut out = Vec::new();
        print(&plan, &Needs::of(&plan, &limits), &limits, Some(2), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_plan_is_printed_in_words() {
        let text = printed(&["title=A title", "why=A reason.", "notice=A hint.", "load.clients=[20, 1500]"]);
        insta::assert_snapshot!(text);
    }

    #[test]
    fn claims_are_printed_with_what_they_are_held_against() {
        let text = printed(&[
            "claim=[{ text = 'It is slow', source = 'x', claimed = '50ms', variant = 'websocket', \
             metric = 'delivery_delay.p50', bound = 'at-most', tolerance = '2%' }, \
             { text = 'Heads', source = 'x', claimed = 435, variant = 'sse', over = 'websocket', \
             metric = 'bytes.per_second', judge = 'context' }, \
             { text = 'Bits', source = 'x', claimed = 16000, factor = 8, unit = 'bit/s', variant = 'sse', \
             metric = 'bytes.per_second' }]",
        ]);
        for line in [
            "Claim: It is slow: websocket, delivery_delay.p50 at most 50ms, within 2 %\n",
            "Claim: Heads: sse over websocket, bytes.per_second about 435, for context\n",
            "Claim: Bits: sse, bytes.per_second exactly 16000 bit/s\n",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[test]
    fn notes_say_what_to_change() {
        assert!(printed(&["load.trials=1"]).contains("one trial cannot tell"));
        assert!(printed(&["transport.polling.interval=8s"]).contains("fewer than two polls"));
        assert!(
            printed(&[
                "transport.polling.http='1.1'",
                "transport.polling.tls=false",
                "transport.polling.client=pooled"
            ])
            .contains("server's counters")
        );
        let large = printed(&["load.clients=60000"]);
        assert!(large.contains("4 processes of the load generator and 4 processes of the server"), "{large}");
        assert!(large.contains("of each of 7 source addresses"), "{large}");
        let many = printed(&["load.trials=10", "feed.updates_per_second=100"]);
        assert!(!many.contains("too few") && !many.contains("describe"), "{many}");
    }
}
