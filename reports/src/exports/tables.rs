//! CSV files: every table as the page shows it, and two with plain numbers for programs to read.

use measurement::{
    metrics,
    result::{Class, RunResult, Status, Trial, Verdict},
};

use super::csv;
use crate::{
    format,
    overview::{self, COLUMNS},
    plots::{Plot, Table},
};

/// Names without ending, and contents. Tables without rows are left out, the two with plain numbers never.
pub(super) fn files(
    result: &RunResult,
    plots: &[Plot],
    page: Vec<(&'static str, Table)>,
) -> Vec<(String, String)> {
    let mut tables = vec![("overview".to_owned(), overview(result))];
    tables.extend(plots.iter().map(|plot| (plot.name.to_owned(), plot.table.clone())));
    tables.extend(page.into_iter().map(|(title, table)| (format::slug(title), table)));
    tables.retain(|(_, table)| !table.rows.is_empty());
    tables.extend([("metrics".to_owned(), per_trial(result)), ("summary".to_owned(), summary(result))]);
    let mut files: Vec<(String, String)> = Vec::new();
    for (stem, Table { head, rows }) in tables {
        let taken = |name: &str| files.iter().any(|(known, _)| known == name);
        let numbered = (2..).map(|number| format!("{stem}-{number}"));
        let name = std::iter::once(stem.clone()).chain(numbered).find(|name| !taken(name));
        files.push((name.unwrap_or(stem), csv::table(&head, &rows)));
    }
    files
}

fn overview(result: &RunResult) -> Table {
    let mut head = vec!["variant".to_owned()];
    for column in COLUMNS {
        head.extend([column.title.to_owned(), format!("{}, spread", column.title)]);
    }
    head.push("validity".to_owned());
    let rows = overview::overview(result).rows.into_iter().map(|row| {
        let cells = row.cells.into_iter().flat_map(|cell| [cell.text, cell.spread]);
        std::iter::once(row.name).chain(cells).chain([row.validity]).collect()
    });
    Table { head, rows: rows.collect() }
}

fn head(titles: &[&str]) -> Vec<String> {
    titles.iter().map(|&title| title.to_owned()).collect()
}

/// Every metric of every trial, in its own unit, with what may be thought of it.
fn per_trial(result: &RunResult) -> Table {
    let mut rows = Vec::new();
    for variant in &result.variants {
        for trial in variant.trials.iter().filter(|trial| trial.status != Status::Failed) {
            for metric in metrics::ALL {
                let Some(value) = (metric.read)(trial) else { continue };
                rows.push(vec![
                    variant.name.clone(),
                    trial.index.to_string(),
                    metric.name.to_owned(),
                    metric.unit.to_owned(),
                    value.to_string(),
                    verdict(trial, metric.class).to_owned(),
                ]);
            }
        }
    }
    Table { head: head(&["variant", "trial", "metric", "unit", "value", "verdict"]), rows }
}

fn verdict(trial: &Trial, class: Class) -> &'static str {
    match trial.validity.classes.of(class) {
        Verdict::Ok => "ok",
        Verdict::Unresolved => "unresolved",
        Verdict::Invalid => "invalid",
    }
}

/// Every metric of every variant over its trials.
fn summary(result: &RunResult) -> Table {
    let mut rows = Vec::new();
    for variant in &result.variants {
        for metric in metrics::ALL {
            let Some(figure) = variant.summary.get(metric.name) else { continue };
            rows.push(vec![
                variant.name.clone(),
                metric.name.to_owned(),
                metric.unit.to_owned(),
                figure.median.to_string(),
                figure.low.to_string(),
                figure.high.to_string(),
                figure.trials.to_string(),
            ]);
        }
    }
    Table { head: head(&["variant", "metric", "unit", "median", "low", "high", "trials"]), rows }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{html, plots, testing};

    fn written(result: &RunResult) -> Vec<(String, String)> {
        files(result, &plots::all(result).unwrap(), html::tables(result))
    }

    #[test]
    fn every_table_of_the_page_is_a_file_and_reads_back_whole() {
        let result = testing::result();
        let plots = plots::all(&result).unwrap();
        let files = written(&result);
        for plot in &plots {
            assert!(files.iter().any(|(name, _)| name == plot.name), "{}", plot.name);
        }
        for (title, table) in html::tables(&result).iter().filter(|(_, table)| !table.rows.is_empty()) {
            let name = format::slug(title);
            let (_, text) = files.iter().find(|(known, _)| *known == name).unwrap();
            let rows = csv::read(text).unwrap();
            assert_eq!(rows.len(), table.rows.len() + 1, "{title}");
            assert!(rows.iter().all(|row| row.len() == table.head.len()), "{title}");
        }
        let mut names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), files.len());
    }

    #[test]
    fn plain_numbers_are_the_metrics_own() {
        let result = testing::result();
        let files = written(&result);
        let rows = |name: &str| csv::read(&files.iter().find(|(known, _)| known == name).unwrap().1).unwrap();
        let (metrics, summary) = (rows("metrics"), rows("summary"));
        let row = summary.iter().find(|row| row[..2] == ["polling 1s", "delivery_delay.p50"]).unwrap();
        assert_eq!(row[2], "us");
        assert_eq!(row[3].parse(), Ok(result.variants[0].summary["delivery_delay.p50"].median));
        assert_eq!(metrics[0], ["variant", "trial", "metric", "unit", "value", "verdict"]);
        assert!(metrics.iter().any(|row| row[0] == testing::HOSTILE && row[5] == "invalid"));
    }

    #[test]
    fn names_that_are_formulas_stay_text() {
        let mut result = testing::result();
        result.variants[0].name = "=cmd|' /C calc'!A0".to_owned();
        for (name, text) in written(&result) {
            for row in csv::read(&text).unwrap() {
                assert!(row.iter().all(|cell| !cell.starts_with('=')), "{name}: {row:?}");
            }
        }
    }

    #[test]
    fn without_figures_there_are_headings_only() {
        let files = written(&testing::without_figures());
        let metrics = files.iter().find(|(name, _)| name == "metrics").unwrap();
        assert_eq!(metrics.1, "variant,trial,metric,unit,value,verdict\r\n");
    }
}
