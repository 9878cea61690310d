//! `loadgen list`: what the names in scenarios and results stand for.

use std::io::{self, Write};

use measurement::metrics::{self, Comparison};
use ticker::Transport;

use super::{printed, table, write_table};
use crate::{
    cli::{ListArgs, Listed},
    clients,
    plan::TransportOptions,
    scenario::{self, Overrides, SHIPPED},
};

/// Prints one list or all of them.
pub fn run(arguments: &ListArgs, out: &mut dyn Write) -> miette::Result<()> {
    let all = [Listed::Transports, Listed::Scenarios, Listed::Metrics];
    for what in all.into_iter().filter(|what| arguments.what.is_none_or(|asked| asked == *what)) {
        let written = match what {
            Listed::Transports => transports(out),
            Listed::Scenarios => scenarios(out)?,
            Listed::Metrics => metrics(out),
        };
        printed(written)?;
    }
    Ok(())
}

fn transports(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Transports (kind in a [[transport]])\n")?;
    let mut rows = table(&["kind", "what it does", "options"]);
    for transport in Transport::ALL {
        let several = clients::engines(transport, &TransportOptions::default()).len() > 1;
        let keys: Vec<&str> =
            clients::keys(transport).iter().copied().chain(several.then_some("engine")).collect();
        rows.add_row([transport.name(), transport.summary(), &keys.join(", ")]);
    }
    write_table(out, &rows)
}

fn scenarios(out: &mut dyn Write) -> miette::Result<io::Result<()>> {
    let mut rows = table(&["name", "title", "why"]);
    for (name, _) in SHIPPED {
        let plan = scenario::load(name, &Overrides::default())?;
        let why = plan.why.unwrap_or_default();
        rows.add_row([*name, &plan.title, first_sentence(&why)]);
    }
    let heading = "Scenarios (loadgen run NAME; a file ./scenarios/NAME.toml comes first)\n";
    Ok(writeln!(out, "{heading}").and_then(|()| write_table(out, &rows)))
}

fn metrics(out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Metrics (names in results and summaries)\n")?;
    let mut rows = table(&["metric", "unit", "compared as", "what it means"]);
    for metric in metrics::ALL {
        let unit = if metric.unit.is_empty() { "-" } else { metric.unit };
        let compared = match metric.comparison {
            Comparison::Constant => "constant",
            Comparison::Total => "total",
            Comparison::Timed => "timed",
        };
        rows.add_row([metric.name, unit, compared, metric.meaning]);
    }
    write_table(out, &rows)
}

/// Up to the first full stop, question mark or line end that ends a sentence.
fn first_sentence(text: &str) -> &str {
    let end = text.match_indices(['.', '?', '\n']).find(|(at, _)| {
        text[at + 1..].chars().next().is_none_or(char::is_whitespace) || text[*at..].starts_with('\n')
    });
    end.map_or(text, |(at, mark)| text[..at + mark.len()].trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(what: Option<Listed>) -> String {
        let mut out = Vec::new();
        run(&ListArgs { what }, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn lists_name_everything_there_is() {
        let all = listed(None);
        for name in
            Transport::ALL.map(Transport::name).into_iter().chain(SHIPPED.iter().map(|(name, _)| *name))
        {
            assert!(all.contains(name), "{name} is missing in:\n{all}");
        }
        for metric in metrics::ALL {
            assert!(all.contains(metric.name), "{} is missing", metric.name);
        }
        assert!(!listed(Some(Listed::Transports)).contains("Metrics"));
    }

    #[test]
    fn first_sentences_end_at_their_mark() {
        let check = |text, expected| assert_eq!(first_sentence(text), expected);
        check("One. Two.", "One.");
        check("Every 0.5 s? Yes.", "Every 0.5 s?");
        check("No end", "No end");
        check("", "");
    }
}
