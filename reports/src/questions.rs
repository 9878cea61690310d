//! Six questions that anybody should ask of a benchmark, answered from the result's own figures.
//!
//! They are Brendan Gregg's ("Evaluating the evaluation: a benchmarking checklist", 2018). What the figures cannot tell
//! is said to be unknown.

use measurement::result::{Process, RunResult, Severity, Status, Summary, Trial, Variant};

use crate::format;

/// Above this share of its cores the server may have been what limited the run.
const BUSY_SERVER: f64 = 0.8;
/// The limit of the finding about the generator.
const BUSY_GENERATOR: f64 = 0.7;
/// Below so many times the floor no difference is resolved.
const FLOORS: f64 = 3.0;

/// A question with its answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Question {
    /// As it is asked.
    pub question: &'static str,
    /// In a word or two.
    pub answer: String,
    /// What it rests on.
    pub grounds: String,
}

/// All six; none where nothing ran to its end.
pub(crate) fn questions(result: &RunResult) -> Vec<Question> {
    let ended = || trials(result).filter(|(_, trial)| trial.status != Status::Failed);
    if ended().next().is_none() {
        return Vec::new();
    }
    let ended: Vec<(&Variant, &Trial)> = ended().collect();
    vec![
        why_not_double(&ended),
        limits(result, &ended),
        errors(result, &ended),
        reproduces(result),
        matters(result, &ended),
        happened(&ended),
    ]
}

fn trials(result: &RunResult) -> impl Iterator<Item = (&Variant, &Trial)> {
    result.variants.iter().flat_map(|variant| variant.trials.iter().map(move |trial| (variant, trial)))
}

fn question(question: &'static str, answer: &str, grounds: String) -> Question {
    Question { question, answer: answer.to_owned(), grounds }
}

/// Share of its cores, one where it was not pinned, with the variant that used most of it.
fn busiest<'a>(
    ended: &[(&'a Variant, &Trial)],
    process: fn(&Trial) -> &Process,
) -> Option<(f64, usize, &'a str)> {
    let share = |(variant, trial): &(&'a Variant, &Trial)| {
        let process = process(trial);
        let cores = process.cores.len().max(1);
        (trial.window_s > 0.0).then_some((
            process.cpu_seconds? / trial.window_s / cores as f64,
            cores,
            variant.name.as_str(),
        ))
    };
    ended.iter().filter_map(share).max_by(|a, b| a.0.total_cmp(&b.0))
}

fn why_not_double(ended: &[(&Variant, &Trial)]) -> Question {
    const ASKED: &str = "Why not double?";
    let server = busiest(ended, |trial| &trial.server);
    let generator = busiest(ended, |trial| &trial.loadgen);
    let told = |who: &str, busiest: Option<(f64, usize, &str)>| match busiest {
        Some((share, 1, name)) => format!("{who} used at most {} of one core ({name})", format::share(share)),
        Some((share, cores, name)) => {
            format!("{who} used at most {} of its {cores} cores ({name})", format::share(share))
        }
        None => format!("what {who} used is not known"),
    };
    let grounds = format!(
        "The scenario sets rate and clients; nobody tried how far they go. {}; {}.",
        told("The server", server),
        told("the load generator", generator)
    );
    let above =
        |busiest: Option<(f64, usize, &str)>, limit: f64| busiest.is_some_and(|(share, ..)| share > limit);
    let answer = if above(generator, BUSY_GENERATOR) {
        "the generator was the limit"
    } else if above(server, BUSY_SERVER) {
        "the server was busy"
    } else if server.is_none() || generator.is_none() {
        "not known"
    } else {
        "more was not asked for"
    };
    question(ASKED, answer, grounds)
}

fn limits(result: &RunResult, ended: &[(&Variant, &Trial)]) -> Question {
    let findings = || trials(result).flat_map(|(_, trial)| &trial.validity.findings);
    let invalid = findings().filter(|finding| finding.severity == Severity::Invalid).count();
    let unresolved = findings().filter(|finding| finding.severity == Severity::Unresolved).count();
    let faster = ended.iter().filter(|(_, trial)| {
        let floor = trial.floor.as_ref().and_then(|floor| floor.min_us);
        let least = trial.delivery_delay.as_ref().and_then(|delay| delay.p50_us);
        floor.zip(least).is_some_and(|(floor, delay)| delay < floor)
    });
    let faster = faster.count();
    let floors = ended.iter().filter_map(|(_, trial)| trial.floor.as_ref()?.p50_us);
    let floor = floors.min_by(f64::total_cmp);
    let retransmitted: u64 = ended.iter().map(|(_, trial)| trial.bytes.kernel.retransmitted).sum();
    let floor = match floor {
        Some(us) => format!(
            "No update can be faster than a raw loopback connection here ({} in the median); {} trials were.",
            format::duration(us),
            if faster == 0 { "no".to_owned() } else { faster.to_string() }
        ),
        None => "What a raw connection takes here was not measured.".to_owned(),
    };
    let grounds = format!(
        "{floor} Findings that void figures: {invalid}; that put a percentile in doubt: {unresolved}. Segments sent \
         again: {}.",
        format::count(retransmitted)
    );
    let answer = match (invalid, faster) {
        (0, 0) => "no",
        (_, 0) => "the run's own limits",
        _ => "yes: it cannot be",
    };
    question("Did it break limits?", answer, grounds)
}

fn errors(result: &RunResult, ended: &[(&Variant, &Trial)]) -> Question {
    let failed = trials(result).filter(|(_, trial)| trial.status == Status::Failed).count() as u64;
    let sum = |read: fn(&Trial) -> u64| ended.iter().map(|(_, trial)| read(trial)).sum::<u64>();
    let counts = [
        ("failed trials", failed),
        ("lost connections", sum(|trial| trial.clients.disconnected)),
        ("lost updates", sum(|trial| trial.updates.lost.unwrap_or(0))),
        ("updates not there at the end", sum(|trial| trial.updates.pending_at_end.unwrap_or(0))),
        ("duplicates", sum(|trial| trial.updates.duplicated.unwrap_or(0))),
        ("out of order", sum(|trial| trial.updates.reordered.unwrap_or(0))),
        ("polls never sent", sum(|trial| trial.schedule.dropped_polls)),
    ];
    let late = sum(|trial| trial.schedule.late_polls);
    let told = counts.iter().map(|(what, count)| format!("{what}: {}", format::count(*count)));
    let grounds =
        format!("{}; polls sent late: {}.", told.collect::<Vec<_>>().join("; "), format::count(late));
    let answer = if counts.iter().all(|(_, count)| *count == 0) { "no" } else { "yes" };
    question("Did it error?", answer, upper(&grounds))
}

fn upper(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The figure that varied most over the trials of one variant: by what share, and whose.
fn widest<'a>(result: &'a RunResult, metric: &str) -> Option<(f64, &'a str)> {
    let spread = |variant: &'a Variant| {
        let Summary { median, low, high, trials } = *variant.summary.get(metric)?;
        (trials > 1 && median > 0.0).then_some(((high - low) / median, variant.name.as_str()))
    };
    result.variants.iter().filter_map(spread).max_by(|a, b| a.0.total_cmp(&b.0))
}

fn reproduces(result: &RunResult) -> Question {
    const ASKED: &str = "Does it reproduce?";
    let fewest = result.variants.iter().map(|variant| variant.trials.len()).min().unwrap_or(0);
    if fewest < 2 {
        let grounds = "One trial tells nothing about the next. Run it with more: --set load.trials=5, without \
                       --quick.";
        return question(ASKED, "not known", grounds.to_owned());
    }
    let told = |what: &str, metric: &str| {
        let widest = widest(result, metric);
        widest.map(|(share, name)| format!("{what} by up to {} ({name})", format::share(share)))
    };
    let parts = [
        told("bytes", "bytes.per_client_second"),
        told("mean delays", "delivery_delay.mean"),
        told("server CPU", "server.cpu_seconds"),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let grounds = format!(
        "{fewest} trials of each variant, fresh processes in random order. Between them varied {}. Other machines were \
         not asked.",
        if parts.is_empty() { "nothing that is known".to_owned() } else { parts.join("; ") }
    );
    question(ASKED, "see the spread", grounds)
}

fn matters(result: &RunResult, ended: &[(&Variant, &Trial)]) -> Question {
    const ASKED: &str = "Does it matter?";
    let delays = result
        .variants
        .iter()
        .filter_map(|variant| Some((variant.name.as_str(), variant.summary.get("delivery_delay.mean")?)));
    let mut delays: Vec<(&str, &Summary)> = delays.collect();
    delays.sort_by(|a, b| a.1.median.total_cmp(&b.1.median));
    let (Some(least), Some(most)) = (delays.first(), delays.last().filter(|_| delays.len() > 1)) else {
        return question(ASKED, "not known", "There are no two variants with valid times.".to_owned());
    };
    let floors = ended.iter().filter_map(|(_, trial)| trial.floor.as_ref()?.p50_us);
    let floor = floors.max_by(f64::total_cmp);
    let difference = most.1.median - least.1.median;
    let ratio = if least.1.median > 0.0 {
        format!(", {} times as much", format::significant(most.1.median / least.1.median))
    } else {
        String::new()
    };
    let beside = floor.map_or_else(String::new, |us| {
        let least = format::duration(FLOORS * us);
        format!(" This machine cannot tell apart what differs by less than {least} (three floors).")
    });
    let grounds = format!(
        "A price is {} late on average with {}, {} with {}{ratio}.{beside} Whether people notice {} is for you to say.",
        format::duration(least.1.median),
        least.0,
        format::duration(most.1.median),
        most.0,
        format::duration(difference)
    );
    let apart = least.1.high < most.1.low && floor.is_none_or(|floor| difference > FLOORS * floor);
    question(ASKED, if apart { "the ends differ" } else { "not to be told" }, grounds)
}

fn happened(ended: &[(&Variant, &Trial)]) -> Question {
    let count = |holds: fn(&Trial) -> bool| ended.iter().filter(|(_, trial)| holds(trial)).count();
    let all = ended.len();
    let counted = ended.iter().filter(|(_, trial)| trial.updates.expected.is_some()).count();
    let adding_up = count(|trial| trial.updates.expected.is_some() && trial.updates.add_up());
    let balanced = count(|trial| trial.bytes.balanced);
    let connected = count(|trial| trial.clients.connected == trial.clients.asked);
    let delivered: u64 = ended.iter().map(|(_, trial)| trial.updates.delivered_once).sum();
    let grounds = format!(
        "The clients received {} updates; with those left out, lost or under way they are as many as the server \
         published for them in {adding_up} of {counted} trials that can tell. The layers add up to the sockets' bytes in \
         {balanced} of {all}, all clients were connected in {connected} of {all}.",
        format::count(delivered)
    );
    let sound = delivered > 0 && (adding_up, balanced, connected) == (counted, all, all);
    let answer = match (sound, counted) {
        (true, 0) => "as far as known",
        (true, _) => "yes",
        (false, _) => "not as planned",
    };
    question("Did it even happen?", answer, grounds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn every_question_is_answered_from_the_result() {
        insta::assert_debug_snapshot!(questions(&testing::result()));
    }

    #[test]
    fn what_failed_is_no_ground_for_any_answer() {
        assert!(questions(&testing::without_figures()).is_empty());
    }

    #[test]
    fn a_broken_count_is_told() {
        let mut result = testing::result();
        result.variants[0].trials[0].updates.lost = Some(3);
        result.variants[0].trials[1].bytes.balanced = false;
        let questions = questions(&result);
        assert_eq!(questions[2].answer, "yes");
        assert!(questions[2].grounds.contains("lost updates: 3"), "{questions:?}");
        assert_eq!(questions[5].answer, "not as planned");
    }
}
