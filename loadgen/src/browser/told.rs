//! What tabs hand over: batches of records, as `page.js` writes them.

use serde::Deserialize;

/// A batch; they are numbered from 1.
#[derive(Debug, PartialEq, Deserialize)]
pub(super) struct Batch {
    pub(super) batch: u64,
    pub(super) records: Vec<Told>,
}

/// One record. Instants are milliseconds of the page's clock.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Told {
    /// It begins to connect.
    Opened {
        /// When.
        from: f64,
    },
    /// A pushed message.
    Message {
        /// The receipt, before anything was done with it.
        at: f64,
        /// As text.
        text: Option<String>,
        /// Otherwise in base64.
        binary: Option<String>,
    },
    /// A message without interest.
    Aside {},
    /// A question was answered.
    Answer {
        /// When it should have been asked, if there is a timetable.
        planned: Option<f64>,
        /// When it was.
        sent: f64,
        /// When the answer was whole.
        at: f64,
        /// The answer's body.
        text: String,
        /// Whether the one before held it up.
        late: bool,
    },
    /// A close handshake.
    Closed {
        /// The server's code.
        code: u16,
        /// How long it took, in milliseconds.
        took: f64,
    },
    /// It came to an end that nobody asked for.
    Lost {
        /// What the page knows.
        why: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_pages_write_them() {
        let text = r#"{"batch":2,"records":[{"kind":"answer","planned":null,"sent":1,"at":2.5,"text":"","late":false},
            {"kind":"message","at":3,"text":"{}"},{"kind":"aside"},{"kind":"closed","code":1000,"took":0.5}]}"#;
        let batch: Batch = serde_json::from_str(text).unwrap();
        assert_eq!((batch.batch, batch.records.len()), (2, 4));
        assert_eq!(batch.records[1], Told::Message { at: 3.0, text: Some("{}".to_owned()), binary: None });
    }
}
