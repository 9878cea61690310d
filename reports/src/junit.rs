//! JUnit XML as CI systems read it. It knows cases and outcomes only.

use std::fmt::Write as _;

/// One test case.
pub(crate) struct Case {
    /// What is tested: a variant.
    pub suite: String,
    /// By what: a metric or a gate.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a case ended.
pub(crate) enum Outcome {
    /// Well.
    Passed,
    /// Its limit was broken.
    Failed(String),
    /// It could not be judged, and that is no success.
    Error(String),
    /// It was not judged.
    Skipped(String),
}

/// The whole document, cases grouped by suite in the order of their first.
pub(crate) fn document(name: &str, cases: &[Case]) -> String {
    let mut suites: Vec<&str> = Vec::new();
    for case in cases {
        if !suites.contains(&case.suite.as_str()) {
            suites.push(&case.suite);
        }
    }
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut line = |line: String| writeln!(xml, "{line}").expect("writing to a String does not fail");
    line(format!("<testsuites name=\"{}\" {}>", escape(name), counts(&cases.iter().collect::<Vec<_>>())));
    for suite in suites {
        let members: Vec<&Case> = cases.iter().filter(|case| case.suite == suite).collect();
        line(format!("  <testsuite name=\"{}\" {}>", escape(suite), counts(&members)));
        for case in members {
            let head =
                format!("    <testcase classname=\"{}\" name=\"{}\"", escape(suite), escape(&case.name));
            let (kind, text) = match &case.outcome {
                Outcome::Passed => {
                    line(format!("{head}/>"));
                    continue;
                }
                Outcome::Failed(text) => ("failure", text),
                Outcome::Error(text) => ("error", text),
                Outcome::Skipped(text) => ("skipped", text),
            };
            line(format!("{head}><{kind} message=\"{}\"/></testcase>", escape(text)));
        }
        line("  </testsuite>".to_owned());
    }
    line("</testsuites>".to_owned());
    xml
}

fn counts(cases: &[&Case]) -> String {
    let count = |is: fn(&Outcome) -> bool| cases.iter().filter(|case| is(&case.outcome)).count();
    format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        cases.len(),
        count(|outcome| matches!(outcome, Outcome::Failed(_))),
        count(|outcome| matches!(outcome, Outcome::Error(_))),
        count(|outcome| matches!(outcome, Outcome::Skipped(_)))
    )
}

/// Text for an attribute. XML 1.0 has no control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_grouped_counted_and_escaped() {
        let case = |suite: &str, name: &str, outcome| Case {
            suite: suite.to_owned(),
            name: name.to_owned(),
            outcome,
        };
        let cases = [
            case("a", "x", Outcome::Passed),
            case("<b>", "y", Outcome::Failed("\"3\" > 2 & \u{1}".to_owned())),
            case("a", "z", Outcome::Skipped("why".to_owned())),
        ];
        insta::assert_snapshot!(document("T", &cases), @r#"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites name="T" tests="3" failures="1" errors="0" skipped="1">
          <testsuite name="a" tests="2" failures="0" errors="0" skipped="1">
            <testcase classname="a" name="x"/>
            <testcase classname="a" name="z"><skipped message="why"/></testcase>
          </testsuite>
          <testsuite name="&lt;b&gt;" tests="1" failures="1" errors="0" skipped="0">
            <testcase classname="&lt;b&gt;" name="y"><failure message="&quot;3&quot; &gt; 2 &amp;  "/></testcase>
          </testsuite>
        </testsuites>
        "#);
    }
}
