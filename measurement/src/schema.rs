//! The result file's JSON schema, made of its types: descriptions are their doc comments. It writes no file.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::result::{FORMAT, RunResult};

/// JSON schema (draft 2020-12) of a result file as readers take it: fields that this version does not know are
/// allowed, since later ones add some.
pub fn result() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<RunResult>();
    let mut schema = schema.to_value();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), format!("Result of a run, {FORMAT}").into());
    }
    schema
}
