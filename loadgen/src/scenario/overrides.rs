//! What the command line changes about a scenario: `--set`, `--only`, `--quick`.

use toml::Spanned;

use crate::plan::Plan;

use super::{
    decode::Sources,
    error::{Problem, ScenarioError, nearest},
    wire::{Defaults, Feed, File, Link, Load, Message, Open, Server, Set, Transport, Workload},
};

/// Changes that the command line makes.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `key=value`, dotted as in TOML: `load.clients=50`, `transport.polling.interval=2s`.
    pub set: Vec<String>,
    /// Names to keep: of variants, of transports, or kinds. Empty keeps all.
    pub only: Vec<String>,
    /// One trial, half the window.
    pub quick: bool,
}

macro_rules! overlay {
    ($base:expr, $over:expr; $($key:ident),* $(,)?) => {
        $(if $over.$key.is_some() { $base.$key = $over.$key; })*
    };
}

/// Lays one `--set` over the file.
pub(super) fn apply(file: &mut File, set: Set, sources: &Sources) -> Result<(), ScenarioError> {
    for (name, over) in set.transport {
        let span = name.span();
        let name = name.into_inner();
        let mut found = false;
        for transport in
            file.transport.iter_mut().map(Spanned::as_mut).filter(|transport| answers_to(transport, &name))
        {
            lay_transport(transport, over.clone());
            found = true;
        }
        if !found {
            return Err(sources.error(no_transport(file, name), span, "this name"));
        }
    }
    overlay!(file, set; title, why, notice, allow_remote, gate, phase, claim);
    lay_link(&mut file.link, set.link);
    lay_workload(&mut file.workload, set.workload);
    lay_feed(&mut file.feed, set.feed);
    lay_load(&mut file.load, set.load);
    lay_defaults(&mut file.defaults, set.defaults);
    Ok(())
}

/// Keeps the variants that `--only` names.
pub(super) fn keep_only(plan: &mut Plan, labels: &[String], only: &[String]) -> Result<(), ScenarioError> {
    if only.is_empty() {
        return Ok(());
    }
    let mut kept = vec![false; plan.variants.len()];
    for name in only {
        let mut found = false;
        for (index, variant) in plan.variants.iter().enumerate() {
            if [variant.name.as_str(), labels[index].as_str(), variant.kind.name()].contains(&name.as_str()) {
                kept[index] = true;
                found = true;
            }
        }
        if !found {
            let known: Vec<String> = plan.variants.iter().map(|variant| variant.name.clone()).collect();
            return Err(ScenarioError::new(Problem::NoSuchVariant {
                option: "--only".to_owned(),
                name: name.clone(),
                nearest: nearest(name, known.iter().map(String::as_str)),
                known,
            }));
        }
    }
    let mut kept = kept.into_iter();
    plan.variants.retain(|_| kept.next() == Some(true));
    let left = |variant: &str| plan.variants.iter().any(|kept| kept.name == variant);
    plan.gates.retain(|gate| left(&gate.variant));
    plan.claims.retain(|claim| {
        [Some(&claim.variant), claim.over.as_ref(), claim.minus.as_ref()]
            .into_iter()
            .flatten()
            .all(|name| left(name))
    });
    Ok(())
}

/// One trial, half the window.
pub(super) fn quicken(plan: &mut Plan) {
    plan.quick = true;
    plan.trials = 1;
    for variant in &mut plan.variants {
        variant.load.measure /= 2;
    }
}

fn answers_to(transport: &Transport, name: &str) -> bool {
    [&transport.name, &transport.kind].into_iter().flatten().any(|key| key.value == name)
}

fn no_transport(file: &File, name: String) -> Problem {
    let mut known = Vec::new();
    for transport in file.transport.iter().map(Spanned::as_ref) {
        for key in [&transport.name, &transport.kind].into_iter().flatten() {
            if !known.contains(&key.value) {
                known.push(key.value.clone());
            }
        }
    }
    let nearest = nearest(&name, known.iter().map(String::as_str));
    Problem::NoSuchVariant { option: "--set transport.…".to_owned(), name, nearest, known }
}

fn lay_workload(base: &mut Workload, over: Workload) {
    overlay!(base, over; kind, at, lasts, factor, jitter, share, read);
}

fn lay_link(base: &mut Link, over: Link) {
    overlay!(base, over; preset, rtt, jitter, down, up, loss, level, event);
}

fn lay_feed(base: &mut Feed, over: Feed) {
    overlay!(base, over; symbols, updates_per_second, arrivals, quote_bytes, seed);
}

fn lay_load(base: &mut Load, over: Load) {
    overlay!(
        base, over;
        clients, symbols_per_client, connect_over, warmup, measure, trials, session, processes, driver, headers,
    );
}

fn lay_defaults(base: &mut Defaults, over: Defaults) {
    overlay!(base, over; engine, driver, coalesce, tls, http, allow_remote, interval, mode, conditional, client, pace, keep_alive,
        compression, encoding, deflate, carrier);
}

fn lay_transport(base: &mut Transport, over: Transport) {
    overlay!(
        base, over;
        kind, name, engine, driver, coalesce, tls, http, allow_remote, interval, mode, conditional, client, pace, keep_alive,
        compression, encoding, deflate, carrier, share, url, ca,
    );
    lay_table(&mut base.server, over.server, |base: &mut Server, over: Server| {
        overlay!(base, over; command, ready, pid);
    });
    lay_table(&mut base.open, over.open, |base: &mut Open, over: Open| {
        overlay!(base, over; headers, subprotocols, send, keepalive);
    });
    lay_table(&mut base.message, over.message, |base: &mut Message, over: Message| {
        overlay!(
            base, over;
            format, pattern, event, when, items, sequence, symbol, symbol_sequence, sent_at, sent_at_unit, cursor,
            snapshot, clock,
        );
    });
}

/// Lays a table over one that may be absent.
fn lay_table<T>(base: &mut Option<Spanned<T>>, over: Option<Spanned<T>>, lay: impl Fn(&mut T, T)) {
    match (base, over) {
        (Some(base), Some(over)) => lay(base.as_mut(), over.into_inner()),
        (base @ None, over) => *base = over,
        (Some(_), None) => {}
    }
}
