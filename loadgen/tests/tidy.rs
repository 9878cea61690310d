//! Tidiness of the whole workspace as a test: what ARCHITECTURE.md promises and a reader can check by looking.

use std::{
    fs,
    path::{Path, PathBuf},
};

const CRATES: [&str; 8] =
    ["ticker", "wire", "relay", "measurement", "servers", "teach", "loadgen", "reports"];
const LONGEST_MAIN: usize = 80;
/// The result file's types are one long list; everything else stays below 520 lines.
const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Every Rust file of the workspace with its path from the root, in order.
fn sources() -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut folders: Vec<PathBuf> = CRATES.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).expect("within the workspace").display().to_string();
                files.push((name, fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    files.sort();
    assert!(files.len() > 60, "only {} files were found", files.len());
    files
}

fn check(rule: &str, breaks: impl Fn(&str, &str) -> bool) {
    let broken: Vec<String> =
        sources().into_iter().filter(|(name, text)| breaks(name, text)).map(|(name, _)| name).collect();
    assert!(broken.is_empty(), "{rule}: {broken:#?}");
}

#[test]
fn every_file_opens_by_saying_what_it_is() {
    check("a file opens with a //! line", |_, text| !text.starts_with("//! "));
}

#[test]
fn programs_hold_no_logic_and_files_stay_readable() {
    check("main.rs has at most 80 lines", |name, text| {
        name.ends_with("main.rs") && !name.contains("/tests/") && text.lines().count() > LONGEST_MAIN
    });
    check("no file is too long to be read in one go", |_, text| text.lines().count() > LONGEST_FILE);
}

#[test]
fn transports_are_named_in_their_own_files_and_the_list_only() {
    let at_home = ["servers/src/transports/", "loadgen/src/clients/", "ticker/src/transport.rs"];
    let names = [
        "Transport::Polling",
        "Transport::LongPolling",
        "Transport::Sse",
        "Transport::WebSocket",
        "Transport::SocketIo",
        "Transport::WebTransport",
    ];
    check("no other code names a transport", |name, text| {
        let test = name.contains("/tests/") || name.ends_with("tests.rs");
        !test
            && !at_home.iter().any(|home| name.starts_with(home))
            && names.iter().any(|known| text.contains(known))
    });
    let labels = [
        "\"polling\"",
        "\"long-polling\"",
        "\"sse\"",
        "\"ndjson\"",
        "\"websocket\"",
        "\"socketio\"",
        "\"grpc\"",
        "\"webtransport\"",
    ];
    check("reports know transports as labels only", |name, text| {
        name.starts_with("reports/src/") && labels.iter().any(|label| text.contains(label))
    });
}

#[test]
fn dependencies_point_one_way() {
    let allowed: [(&str, &[&str]); 8] = [
        ("ticker", &[]),
        ("wire", &[]),
        ("relay", &["ticker"]),
        ("measurement", &["ticker"]),
        ("servers", &["ticker", "wire"]),
        ("teach", &["ticker", "wire", "relay", "servers"]),
        ("loadgen", &["ticker", "wire", "relay", "measurement", "servers", "teach", "reports"]),
        ("reports", &["measurement"]),
    ];
    for (name, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        let own = manifest.split("[dev-dependencies]").next().expect("the part before");
        for other in CRATES {
            let uses = own.lines().any(|line| line.starts_with(&format!("{other}.workspace")));
            assert!(!uses || allowed.contains(&other), "{name} depends on {other}");
        }
    }
    let edges = ["loadgen/src/target/reference.rs", "loadgen/src/cli.rs", "loadgen/src/main.rs"];
    check("only the edge of loadgen knows servers", |name, text| {
        name.starts_with("loadgen/src/") && !edges.contains(&name) && text.contains("servers::")
    });
    let verbs = ["run", "report", "history", "compare", "gating", "ab", "capacity", "crossover"];
    let edges = verbs.map(|verb| format!("loadgen/src/verbs/{verb}.rs"));
    check("only the rendering verbs know reports", |name, text| {
        name.starts_with("loadgen/src/")
            && !edges.iter().any(|edge| edge == name)
            && text.contains("reports::")
    });
}

#[test]
fn nothing_async_and_no_socket_where_quotes_and_results_are_defined() {
    let pure = ["ticker/", "wire/", "measurement/"];
    for name in pure {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a manifest");
        for asynchronous in ["tokio", "hyper", "axum", "reqwest"] {
            assert!(!manifest.contains(asynchronous), "{name} depends on {asynchronous}");
        }
    }
}

#[test]
fn every_finding_is_in_the_table_of_the_methodology_and_the_other_way_round() {
    use measurement::validity::rules;

    let text = fs::read_to_string(root().join("METHODOLOGY.md")).expect("a METHODOLOGY");
    let table = text.split("\n### Findings\n").nth(1).expect("the table of findings");
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| `")).collect();
    let wanted: Vec<String> = rules::ALL.iter().map(rules::Rule::row).collect();
    assert_eq!(rows, wanted);

    let judging = |name: &str| name.starts_with("measurement/src/validity/") && !name.ends_with("tests.rs");
    let sources: Vec<(String, String)> = sources().into_iter().filter(|(name, _)| judging(name)).collect();
    let (table, code): (Vec<_>, Vec<_>) =
        sources.iter().partition(|(name, _)| name.ends_with("rules.rs") || name.ends_with("evidence.rs"));
    assert!(table.len() == 2 && code.len() == 5, "{} and {} files", table.len(), code.len());
    // String literals that look like a code are one; `pX` is made of its stem and a percentile.
    let is_code = |word: &&str| {
        let part = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        word.replace("{quantile}", "p").contains('.')
            && word.split('.').all(|word| part(word) || ["p99", "{quantile}"].contains(&word))
    };
    let known = |word: &str| {
        let word = word.replace("{quantile}", "p50");
        rules::of(&word).is_some() || rules::of(&format!("{word}.p50")).is_some()
    };
    for (name, text) in &code {
        for word in text.split('"').skip(1).step_by(2).filter(is_code) {
            assert!(known(word), "{name}: no rule has {word}");
        }
    }
    for rule in rules::ALL {
        let stem = format!("\"{}", rule.code.trim_end_matches("pX").trim_end_matches('.'));
        assert!(code.iter().any(|(_, text)| text.contains(&stem)), "nothing says {}", rule.code);
    }
}

#[test]
fn the_readme_names_what_exists() {
    let readme = fs::read_to_string(root().join("README.md")).expect("a README");
    let commands: Vec<&str> =
        readme.lines().filter(|line| line.starts_with("cargo ") || line.starts_with("./")).collect();
    assert_eq!(commands.first(), Some(&"cargo run --release -- run scenarios/ticker.toml"));
    assert_eq!(commands.get(1), Some(&"./scripts/test"));
    for link in readme.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(
            link.starts_with("http") || link.starts_with('#') || root().join(link).exists(),
            "README links to {link}"
        );
    }
}
