//! `[transport.message]`: how the messages of a server of others are read.

use toml::Spanned;

use super::Reader;
use crate::{
    plan::peer::{ClockKind, Format, MessageRules, TimeUnit},
    scenario::{
        error::{Problem, ScenarioError},
        scalar::{One, Span},
        values::{self, Words},
        wire,
    },
};

impl Reader<'_> {
    pub(super) fn message(&self, table: &Spanned<wire::Message>) -> Result<MessageRules, ScenarioError> {
        let message = table.get_ref();
        let mut rules = MessageRules::default();
        if let Some(clock) = &message.clock {
            let words = Words { supported: &ClockKind::ALL, planned: &[] };
            rules.clock = values::word(self.sources, "transport.message.clock", clock, &words)?;
        }
        if self.has_rooms {
            return self.heard_in_rooms(message, rules);
        }
        self.only_in_rooms("transport.message.said", message.said.as_ref().map(|said| &said.span))?;
        if !foreign(message) {
            return Ok(rules);
        }
        rules.format = self.format(message, &table.span())?;
        if let Some(event) = &message.event {
            self.taken("event", &event.span)?;
            rules.event = Some(event.value.clone());
        }
        if let Some(snapshot) = &message.snapshot {
            self.taken("snapshot", &snapshot.span)?;
            rules.snapshot = snapshot.value;
        }
        if let Some(cursor) = &message.cursor {
            self.taken("cursor", &cursor.span)?;
        }
        let json = rules.format == Format::Json;
        let place = |key: &str, given: &Option<One<String>>| {
            given.as_ref().map(|given| self.pointer(key, given, json)).transpose()
        };
        rules.cursor = place("cursor", &message.cursor)?;
        rules.items = place("items", &message.items)?;
        rules.sequence = place("sequence", &message.sequence)?;
        rules.symbol = place("symbol", &message.symbol)?;
        rules.symbol_sequence = place("symbol_sequence", &message.symbol_sequence)?;
        rules.sent_at = place("sent_at", &message.sent_at)?;
        if let Some(unit) = &message.sent_at_unit {
            let words = Words { supported: &TimeUnit::ALL, planned: &[] };
            rules.sent_at_unit = values::word(self.sources, "transport.message.sent_at_unit", unit, &words)?;
        }
        for (pointer, value) in message.when.iter().flatten() {
            let given = One { value: pointer.get_ref().clone(), span: pointer.span() };
            rules.when.push((self.pointer("when", &given, json)?, value.value.0.clone()));
        }
        self.numbered(message, &rules)?;
        Ok(rules)
    }

    /// A symbol's counter needs the symbol; two counters are one too many.
    fn numbered(&self, message: &wire::Message, rules: &MessageRules) -> Result<(), ScenarioError> {
        let Some(own) = &message.symbol_sequence else { return Ok(()) };
        if rules.symbol.is_none() {
            let problem = Problem::MissingKey {
                key: "symbol".to_owned(),
                table: "[transport.message]".to_owned(),
                advice: "symbol_sequence counts within a symbol: say where the symbol is".to_owned(),
            };
            return Err(self.sources.error(problem, own.span.clone(), "of which symbol?"));
        }
        if rules.sequence.is_some() {
            let advice = "keep `sequence` if one counter runs over all symbols, else `symbol_sequence`";
            return Err(self.wrong("transport.message.symbol_sequence", own, "one counter", advice));
        }
        Ok(())
    }

    fn format(&self, message: &wire::Message, table: &Span) -> Result<Format, ScenarioError> {
        let text = match &message.format {
            None => message.pattern.is_some(),
            Some(given) => {
                let words = Words { supported: &[("json", false), ("text", true)], planned: &[] };
                values::word(self.sources, "transport.message.format", given, &words)?
            }
        };
        match (&message.pattern, text) {
            (None, false) => Ok(Format::Json),
            (Some(pattern), true) => {
                let groups = crate::clients::check_pattern(&pattern.value);
                groups.map_err(|cause| {
                    self.wrong(
                        "transport.message.pattern",
                        pattern,
                        "a regular expression with named groups",
                        &cause,
                    )
                })?;
                Ok(Format::Text { pattern: pattern.value.clone() })
            }
            (Some(pattern), false) => {
                Err(self.wrong("transport.message.pattern", pattern, "none with format = \"json\"", ""))
            }
            (None, true) => {
                let problem = Problem::MissingKey {
                    key: "pattern".to_owned(),
                    table: "[transport.message]".to_owned(),
                    advice: "write one, for example pattern = '(?<sent_at>\\d+)'".to_owned(),
                };
                Err(self.sources.error(problem, table.clone(), "text is read by what?"))
            }
        }
    }

    /// A JSON pointer (RFC 6901). Text is read by named groups alone.
    pub(super) fn pointer(
        &self,
        key: &str,
        given: &One<String>,
        json: bool,
    ) -> Result<String, ScenarioError> {
        let key = format!("transport.message.{key}");
        if !json {
            let advice = "in text, name a group of the pattern so: (?<sequence>\\d+)";
            return Err(self.wrong(&key, given, "none with format = \"text\"", advice));
        }
        if given.value.starts_with('/') || given.value.is_empty() {
            return Ok(given.value.clone());
        }
        Err(self.wrong(
            &key,
            given,
            "a JSON pointer such as \"/data/seq\" (RFC 6901)",
            "write it with a / in front",
        ))
    }
}

/// Whether the table says how to read messages, not only which clock to use.
pub(super) fn foreign(message: &wire::Message) -> bool {
    let keys = [
        message.format.is_some(),
        message.items.is_some(),
        message.sequence.is_some(),
        message.symbol.is_some(),
        message.symbol_sequence.is_some(),
        message.sent_at.is_some(),
        message.pattern.is_some(),
        message.event.is_some(),
        message.when.is_some(),
        message.cursor.is_some(),
        message.snapshot.is_some(),
    ];
    keys.contains(&true)
}
