//! The scenario file's JSON schema, for editors: made of the wire types, whose doc comments are its descriptions.
//!
//! It says what a key may hold by itself. What keys may stand together, and which a transport takes, only `loadgen check` knows.

use std::{borrow::Cow, ops::RangeInclusive};

use measurement::claim::{Bound, Judge};
use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::{Value, json};
use ticker::{Arrivals, Transport, quote};

use super::{
    headers::Profile,
    scalar::{Literal, One, OneOrMany, Quantity, Time},
    values, wire,
};
use crate::plan::{
    Driver, Workload,
    options::Word,
    peer::{ClockKind, TimeUnit},
};

/// JSON schema (draft 2020-12) of a scenario file.
pub fn scenario() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<wire::File>().to_value();
    without_null(&mut schema);
    schema
}

/// TOML has no null: a key that may be left out is left out, which is said by its not being required.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(without_null);
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [one] = types.as_slice() {
                    let one = one.clone();
                    object.insert("type".to_owned(), one);
                }
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice["type"] != "null");
                if let [Value::Object(one)] = choices.as_slice() {
                    let one = one.clone();
                    object.remove("anyOf");
                    object.extend(one);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a scalar looks like where its key says no more.
pub(super) trait Plain {
    fn plain() -> Value;
}

impl Plain for String {
    fn plain() -> Value {
        json!({ "type": "string" })
    }
}

impl Plain for bool {
    fn plain() -> Value {
        json!({ "type": "boolean" })
    }
}

impl Plain for f64 {
    fn plain() -> Value {
        json!({ "type": "number", "minimum": 0 })
    }
}

impl Plain for i128 {
    fn plain() -> Value {
        json!({ "type": "integer", "minimum": 0 })
    }
}

impl Plain for Quantity {
    fn plain() -> Value {
        json!({ "type": ["number", "string"], "minimum": 0 })
    }
}

impl Plain for Time {
    /// The units of humantime; a bare number is no duration.
    fn plain() -> Value {
        let units = "nanos|nsec|ns|usec|us|µs|millis|msec|ms|seconds|second|secs|sec|s|minutes|minute|mins|min|m\
                     |hours|hour|hrs|hr|h|days|day|d|weeks|week|wk|w";
        json!({ "type": "string", "pattern": format!("^\\s*(0|([0-9]+(\\.[0-9]+)?\\s*({units})\\s*)+)$") })
    }
}

impl Plain for Literal {
    fn plain() -> Value {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl<T: Plain> JsonSchema for One<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "One".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        one(T::plain())
    }
}

impl<T: Plain> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "OneOrMany".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        one_or_many(&T::plain())
    }
}

impl JsonSchema for wire::Headers {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let profile = strings(Profile::ALL.iter().map(|profile| profile.name()));
        let fields = json!({ "type": "object", "additionalProperties": { "type": "string" } });
        json_schema!({ "anyOf": [profile, { "type": "array", "items": profile, "minItems": 1 }, fields] })
    }
}

pub(super) fn metric(_: &mut SchemaGenerator) -> Schema {
    one(strings(measurement::metrics::ALL.iter().map(|metric| metric.name)))
}

/// A published figure; a difference may be below zero.
pub(super) fn claimed(_: &mut SchemaGenerator) -> Schema {
    one(json!({ "type": ["number", "string"] }))
}

pub(super) fn factor(_: &mut SchemaGenerator) -> Schema {
    one(json!({ "type": "number", "exclusiveMinimum": 0 }))
}

pub(super) fn bound(_: &mut SchemaGenerator) -> Schema {
    one(strings(Bound::WORDS.iter().map(|(word, _)| *word)))
}

pub(super) fn judge(_: &mut SchemaGenerator) -> Schema {
    one(strings(Judge::WORDS.iter().map(|(word, _)| *word)))
}

fn one(value: Value) -> Schema {
    Schema::try_from(value).unwrap_or_default()
}

/// A value, or a list of such values to sweep over.
fn one_or_many(value: &Value) -> Schema {
    json_schema!({ "anyOf": [value, { "type": "array", "items": value, "minItems": 1 }] })
}

fn strings<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({ "type": "string", "enum": words.into_iter().collect::<Vec<_>>() })
}

fn integer(range: &RangeInclusive<u32>) -> Value {
    json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
}

/// An option's words.
pub(super) fn words<T: Word>(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&strings(T::WORDS.iter().map(|(word, _)| *word)))
}

pub(super) fn kind(_: &mut SchemaGenerator) -> Schema {
    one(strings(Transport::ALL.map(Transport::name)))
}

pub(super) fn workload(_: &mut SchemaGenerator) -> Schema {
    one(strings(Workload::WORDS.iter().map(|(word, _)| *word)))
}

/// A share of a whole.
pub(super) fn share(_: &mut SchemaGenerator) -> Schema {
    let text = json!({ "type": "string", "pattern": "^\\s*[0-9]+(\\.[0-9]+)?\\s*%?\\s*$" });
    one_or_many(&json!({ "anyOf": [{ "type": "number", "minimum": 0, "maximum": 1 }, text] }))
}

/// Bytes or bits a second.
pub(super) fn bandwidth(_: &mut SchemaGenerator) -> Schema {
    let units = values::BANDWIDTHS.map(|(unit, _)| unit.replace('/', "\\/")).join("|");
    one_or_many(&json!({ "type": "string", "pattern": format!("^\\s*[0-9]+(\\.[0-9]+)?\\s*({units})\\s*$") }))
}

pub(super) fn driver(_: &mut SchemaGenerator) -> Schema {
    one(strings(Driver::WORDS.iter().map(|(word, _)| *word)))
}

pub(super) fn processes(_: &mut SchemaGenerator) -> Schema {
    one(json!({ "anyOf": [{ "const": "auto" }, integer(&values::processes_range().range)] }))
}

pub(super) fn arrivals(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&strings(Arrivals::ALL.iter().map(|arrivals| arrivals.name())))
}

pub(super) fn symbols(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&integer(&(1..=quote::MOST_SYMBOLS)))
}

pub(super) fn quote_bytes(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&integer(&(quote::SHORTEST_BYTES..=quote::LONGEST_BYTES)))
}

pub(super) fn rate(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000 }))
}

pub(super) fn clients(_: &mut SchemaGenerator) -> Schema {
    one_or_many(&integer(&values::clients_range().range))
}

pub(super) fn trials(_: &mut SchemaGenerator) -> Schema {
    one(integer(&values::trials_range().range))
}

pub(super) fn format(_: &mut SchemaGenerator) -> Schema {
    one(strings(["json", "text"]))
}

pub(super) fn time_unit(_: &mut SchemaGenerator) -> Schema {
    one(strings(TimeUnit::ALL.iter().map(|(name, _)| *name)))
}

pub(super) fn clock(_: &mut SchemaGenerator) -> Schema {
    one(strings(ClockKind::ALL.iter().map(|(name, _)| *name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(schema: &Value) -> Vec<&str> {
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect()
    }

    #[test]
    fn every_key_is_there_with_its_words_and_nothing_else_is_taken() {
        let schema = scenario();
        let check = |schema: &Value, mut expected: Vec<String>| {
            let mut found = keys(schema);
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
            assert_eq!(schema["additionalProperties"], false);
            for (key, property) in schema["properties"].as_object().unwrap() {
                assert!(
                    property["description"].as_str().is_some_and(|text| text.len() > 5),
                    "{key}: {property}"
                );
            }
        };
        check(&schema, wire::keys_of::<wire::File>());
        let of = |name: &str| schema["$defs"][name].clone();
        check(&of("Feed"), wire::keys_of::<wire::Feed>());
        check(&of("Load"), wire::keys_of::<wire::Load>());
        check(&of("Workload"), wire::keys_of::<wire::Workload>());
        check(&of("Link"), wire::keys_of::<wire::Link>());
        check(&of("LinkEvent"), wire::keys_of::<wire::LinkEvent>());
        check(&of("Phase"), wire::keys_of::<wire::Phase>());
        check(&of("Defaults"), wire::keys_of::<wire::Defaults>());
        check(&of("Transport"), wire::keys_of::<wire::Transport>());
        check(&of("Server"), wire::keys_of::<wire::Server>());
        check(&of("Open"), wire::keys_of::<wire::Open>());
        check(&of("Keepalive"), wire::keys_of::<wire::Keepalive>());
        check(&of("Message"), wire::keys_of::<wire::Message>());
        check(&of("Gate"), wire::keys_of::<wire::Gate>());
        check(&of("Claim"), wire::keys_of::<wire::Claim>());
        let http = of("Transport")["properties"]["http"]["anyOf"][0]["enum"].clone();
        assert_eq!(http, json!(["1.1", "2", "3"]));
        assert!(!schema.to_string().contains("null"));
    }
}
