//! The checked-in schema of the result file is the one that the types make.

use std::{fs, path::Path};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/tickertape-result-1.schema.json");

#[test]
fn the_checked_in_schema_of_the_result_is_up_to_date() {
    let schema = measurement::schema::result();
    let made = serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::write(Path::new(FILE), &made).expect("the schema can be written");
    }
    let checked_in = fs::read_to_string(FILE).unwrap_or_default();
    let advice =
        "run `UPDATE_SCHEMAS=1 cargo test --release -p measurement --test schema` and look at the difference";
    assert!(checked_in == made, "docs/schema/tickertape-result-1.schema.json is stale: {advice}");
}

#[test]
fn every_definition_says_what_it_is() {
    let schema = measurement::schema::result();
    let definitions = schema["$defs"].as_object().expect("definitions");
    assert!(definitions.len() > 30, "{}", definitions.len());
    for (name, definition) in definitions {
        assert!(definition["description"].is_string(), "{name} has no description");
    }
    for name in ["format", "variants", "manifest"] {
        assert!(schema["required"].as_array().expect("required").contains(&name.into()), "{name}");
    }
}
