//! `summary.md`: the overview as Markdown, for pull requests and notes.

use measurement::result::RunResult;

use crate::{
    claims,
    overview::{self, Best, COLUMNS, NOT_DECIDED},
    terminal,
};

/// The whole file.
pub(crate) fn summary(result: &RunResult) -> String {
    let overview = overview::overview(result);
    let mut lines = vec![format!("# {}", escape(&result.scenario.title)), String::new()];
    lines.extend(overview.warnings.iter().map(|warning| format!("> **{}**\n", escape(warning))));
    let findings = terminal::findings(result);
    if !findings.is_empty() {
        lines.push(format!("> {} See below.\n", terminal::tally(&findings)));
    }
    lines.extend([escape(&overview.headline), String::new()]);
    let titles: Vec<&str> = COLUMNS.iter().map(|column| column.title).collect();
    lines.push(format!("| | {} | validity |", titles.join(" | ")));
    lines.push(format!("|---|{}---|", "---:|".repeat(COLUMNS.len())));
    for row in &overview.rows {
        let cells = row.cells.iter().map(|cell| {
            let text = match cell.best {
                Some(Best::Alone) => format!("**{}**", cell.text),
                Some(Best::Tie) => format!("{} (tie)", cell.text),
                None => cell.text.clone(),
            };
            if cell.spread.is_empty() { text } else { format!("{text}<br>{}", cell.spread) }
        });
        let cells: Vec<String> = cells.collect();
        lines.push(format!("| {} | {} | {} |", escape(&row.name), cells.join(" | "), escape(&row.validity)));
    }
    lines.extend([String::new(), overview.spread.clone()]);
    if !overview.marks.is_empty() {
        lines.push(escape(overview.marks));
    }
    lines.extend(claimed(result));
    lines.extend(overview.flips.iter().map(|flip| format!("\n{}", escape(flip))));
    lines.push(format!("\n{NOT_DECIDED}"));
    if !findings.is_empty() {
        lines.push("\n## Findings\n".to_owned());
        lines.extend(findings.iter().map(|(_, text)| format!("- {}", escape(text))));
    }
    let command: String = result.command.replace('`', "'").chars().filter(|c| !c.is_control()).collect();
    lines.push(format!("\nMade by `{command}` on {}.", escape(&result.started_at)));
    lines.join("\n") + "\n"
}

/// The claims as a section with a table.
fn claimed(result: &RunResult) -> Vec<String> {
    let rows = claims::rows(result);
    if rows.is_empty() {
        return Vec::new();
    }
    let under = |text: &str, small: &str| match small {
        "" => escape(text),
        small => format!("{}<br>{}", escape(text), escape(small)),
    };
    let line = |row: claims::Row| {
        let verdict = if row.fails { format!("**{}**", row.verdict) } else { row.verdict.to_owned() };
        format!(
            "| {} | {} | {} | {verdict} | {} |",
            under(&row.text, &row.source),
            under(&row.claimed, &row.tolerance),
            under(&row.measured, &row.spread),
            escape(&row.why)
        )
    };
    let head =
        format!("\n## {}\n\n| claim | claimed | measured | verdict | why they differ |", claims::TITLE);
    [head, "|---|---:|---:|---|---|".to_owned()].into_iter().chain(rows.into_iter().map(line)).collect()
}

/// Text that stays text: neither markup nor a table's end.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '\n' | '\r' => escaped.push(' '),
            c if c.is_control() => {}
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn the_summary_of_a_plain_run() {
        let text = summary(&testing::result());
        assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn claims_are_a_table_after_the_first() {
        let text = summary(&testing::claimed());
        assert!(!text.contains("<script") && !text.contains("<img"), "{text}");
        let from = text.find("## Claimed and measured").unwrap();
        let section: Vec<&str> = text[from..].lines().take_while(|line| !line.starts_with("Even")).collect();
        insta::assert_snapshot!(section.join("\n"));
    }

    #[test]
    fn no_text_of_the_result_ends_a_line_or_opens_a_tag() {
        let mut result = testing::result();
        let hostile = format!("`\n\n{}\u{1b}[2J", testing::HOSTILE);
        result.command.clone_from(&hostile);
        result.started_at.clone_from(&hostile);
        result.scenario.title = hostile;
        let text = summary(&result);
        // What is left without escaped backticks and without code spans.
        let outside: String = text.replace("\\`", "").split('`').step_by(2).collect();
        assert!(!outside.contains("<script") && !outside.contains("<img"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
        assert_eq!(text.lines().count(), summary(&testing::result()).lines().count());
    }
}
