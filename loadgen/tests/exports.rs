//! What others read off a run: its exports through the packages that are usual for them, and the checked-in schemas.

#![expect(clippy::unwrap_used, reason = "a test ends where it cannot go on")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use measurement::result::{Histogram, RunResult, Trial};
use serde_json::{Value, json};

use crate::{peers, python};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/scenario.schema.json");

type Read = fn(&Trial) -> Option<&Histogram>;
const METRICS: [(&str, Read); 3] = [
    ("delivery_delay", |trial| trial.delivery_delay.as_ref()),
    ("transit", |trial| trial.transit.as_ref()),
    ("response_time", |trial| trial.response_time.as_ref()),
];

/// Nothing in a file may become markup, a label's end or a formula.
const HOSTILE: &str = "=2+2\\\"}, <b>";

/// A short run of two variants, made once; the folder lies in the build's and is made anew by every process.
fn run() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exports");
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(&place).unwrap();
        let load = "clients = 20\nconnect_over = \"100ms\"\nwarmup = \"300ms\"\nmeasure = \"3s\"\ntrials = 2";
        let transports = format!(
            "[[transport]]\nkind = \"polling\"\ninterval = \"100ms\"\n[[transport]]\nkind = \"websocket\"\nname = '{HOSTILE}'"
        );
        let feed = "updates_per_second = 400.0";
        let text = format!("title = \"Exports\"\n[feed]\n{feed}\n[load]\n{load}\n{transports}\n");
        fs::write(place.join("exports.toml"), text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_loadgen"))
            .args(["run", "exports.toml", "--quiet"])
            .current_dir(&place)
            .output()
            .unwrap();
        // On a busy machine times may be void; the files are written all the same.
        assert!([Some(0), Some(3)].contains(&output.status.code()), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read_dir(place.join("runs/exports")).unwrap().map(|entry| entry.unwrap().path()).max().unwrap()
    })
}

/// What a reader of interval logs finds: counts and percentiles in microseconds by variant's file and tag, in order.
fn check_logs(found: &Value) {
    let result: RunResult = reports::load(run()).unwrap();
    let mut compared = 0;
    for variant in &result.variants {
        let stem = reports::format::slug(&variant.name);
        for (metric, read) in METRICS {
            let tag = format!("{stem}.{metric}");
            let recorded: Vec<_> = variant.trials.iter().filter_map(read).collect();
            let intervals = found[&stem]["log"].as_array().unwrap();
            let intervals: Vec<_> =
                intervals.iter().filter(|interval| interval["tag"] == tag.as_str()).collect();
            assert_eq!(intervals.len(), recorded.len(), "{tag}");
            for (interval, recorded) in intervals.iter().zip(recorded) {
                assert_eq!(interval["count"], json!(recorded.count), "{tag}");
                // Values above the exact maximum are cut to it in the result, a reader shows the bucket's end.
                for (name, told) in [("p50_us", recorded.p50_us), ("p99_us", recorded.p99_us)] {
                    let Some(told) = told else { continue };
                    let [low, high] = [0, 1].map(|end| interval[name][end].as_f64().unwrap());
                    let largest = recorded.max_us.unwrap();
                    let fits = (low.min(largest) - 0.001..=high + 0.001).contains(&told);
                    assert!(fits, "{tag} {name}: {told} is not in {low}..{high}");
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 10, "{compared} percentiles were compared");
}

#[test]
fn interval_logs_and_percentile_texts_mean_the_same_to_the_python_package() {
    let found = python::run("histograms.py", &[&run().join("hdr")]);
    check_logs(&found);
    for (name, file) in found.as_object().unwrap() {
        assert!(file["percentiles"].as_u64().unwrap() > 20, "{name}: {file}");
    }
}

#[test]
fn interval_logs_mean_the_same_to_the_javascript_package() {
    let output = Command::new("node")
        .arg("histograms.mjs")
        .arg(run().join("hdr"))
        .current_dir(peers::folder())
        .output()
        .expect("node is there");
    let shown = String::from_utf8_lossy(&output.stderr);
    check_logs(&serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {shown}")));
}

#[test]
fn prometheus_and_open_metrics_parse_and_agree_with_the_summary() {
    let found = python::run("metrics.py", &[&run().join("metrics.prom"), &run().join("metrics.om")]);
    let result: RunResult = reports::load(run()).unwrap();
    for format in ["prom", "om"] {
        for variant in &result.variants {
            // Bytes are there on the busiest machine; times may be void.
            let median = variant.summary["bytes.per_client_second"].median;
            let samples = found[format].as_array().unwrap();
            let sample = samples.iter().find(|sample| {
                sample["name"] == "tickertape_bytes_per_client_second_bytes"
                    && sample["labels"]["variant"] == variant.name.as_str()
                    && sample["labels"]["statistic"] == "median"
            });
            let value =
                sample.unwrap_or_else(|| panic!("{format}: {}", variant.name))["value"].as_f64().unwrap();
            assert!((value - median).abs() < 1e-9, "{format}: {value} and {median}");
        }
    }
    assert_eq!(found["prom"].as_array().unwrap().len(), found["om"].as_array().unwrap().len());
}

#[test]
fn tables_are_csv_without_formulas() {
    let found = python::run("tables.py", &[&run().join("tables")]);
    for name in ["overview", "metrics", "summary", "bytes", "staleness"] {
        assert!(found[name].as_u64().is_some_and(|rows| rows > 0), "{name}: {found}");
    }
}

#[test]
fn the_checked_in_schema_of_scenarios_is_up_to_date() {
    let made = serde_json::to_string_pretty(&loadgen::scenario::schema::scenario()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(SCHEMA, &made).unwrap();
    }
    let checked_in = fs::read_to_string(SCHEMA).unwrap_or_default();
    let advice =
        "run `UPDATE_SCHEMAS=1 cargo test --release -p loadgen --test exports` and look at the difference";
    assert!(checked_in == made, "docs/schema/scenario.schema.json is stale: {advice}");
}

#[test]
fn shipped_scenarios_and_a_result_fit_their_schemas_and_mistakes_do_not() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let found = python::run("schemas.py", &[root, &run().join("result.json")]);
    let valid = found["valid"].as_object().unwrap();
    assert!(valid.len() > loadgen::scenario::SHIPPED.len(), "{found}");
    for (name, error) in valid {
        assert!(error.is_null(), "{name}: {error}");
    }
    for (mistake, error) in found["mistakes"].as_object().unwrap() {
        assert!(error.is_string(), "the schema takes {mistake}");
    }
}

#[test]
fn shipped_scenarios_name_their_schema_first() {
    for (name, text) in loadgen::scenario::SHIPPED {
        assert!(text.starts_with("#:schema ../docs/schema/scenario.schema.json\n"), "{name}");
    }
    for (name, text) in loadgen::scenario::SHIPPED_BELOW {
        assert!(text.starts_with("#:schema ../../docs/schema/scenario.schema.json\n"), "{name}");
    }
}
