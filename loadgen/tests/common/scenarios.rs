//! Scenarios written in a test, loaded as from a file.

use loadgen::{
    plan::Plan,
    scenario::{self, Overrides, ScenarioError},
};
use miette::{GraphicalReportHandler, GraphicalTheme};

/// A transport with nothing but defaults.
pub(crate) const PUSH: &str = "[[transport]]\nkind = \"websocket\"\n";

/// Loads a text from a file, with command-line changes written as on the command line.
pub(crate) fn load(text: &[u8], arguments: &[&str]) -> Result<Plan, (ScenarioError, String)> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, text).unwrap();
    let mut overrides = Overrides::default();
    for pair in arguments.chunks(2) {
        match pair {
            ["--set", value] => overrides.set.push((*value).to_owned()),
            ["--only", value] => overrides.only.push((*value).to_owned()),
            _ => overrides.quick = true,
        }
    }
    let environment = |name: &str| (name == "TOKEN").then(|| "very-secret".to_owned());
    let given = path.to_str().unwrap().to_owned();
    scenario::load_with(&given, &overrides, &environment)
        .map_err(|error| (error, format!("{}/", folder.path().display())))
}

/// The plan of a text that is in order.
pub(crate) fn plan(text: &str, arguments: &[&str]) -> Plan {
    match load(text.as_bytes(), arguments) {
        Ok(plan) => plan,
        Err((error, folder)) => panic!("{}", render(&error, &folder)),
    }
}

/// An error as it is printed, without the folder of the file.
pub(crate) fn render(error: &ScenarioError, folder: &str) -> String {
    let mut text = String::new();
    GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_width(100)
        .render_report(&mut text, error)
        .unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n").replace(folder, "")
}
