//! `[transport.send]`, and `[transport.message]` where members of rooms hear each other.

use ticker::Transport;
use toml::Spanned;

use super::Reader;
use crate::{
    clients,
    plan::{
        Workload,
        peer::{MessageRules, Say, Secret, Text},
    },
    scenario::{
        error::{Problem, ScenarioError},
        scalar::{One, Span},
        wire,
    },
};

/// Transports that have rooms, and say what the scenario wants to be said.
fn able() -> Vec<&'static str> {
    let able = |kind: &Transport| {
        clients::workloads(*kind).contains(&Workload::Chat) && clients::peer_keys(*kind).contains(&"send")
    };
    Transport::ALL.into_iter().filter(able).map(Transport::name).collect()
}

impl Reader<'_> {
    /// How members say something; `None` where there are no rooms.
    pub(super) fn say(
        &self,
        own: &wire::Transport,
        secrets: &mut Vec<Secret>,
    ) -> Result<Option<Say>, ScenarioError> {
        let span = own.send.as_ref().map(Spanned::span);
        if !self.has_rooms {
            return self.only_in_rooms("[transport.send]", span.as_ref()).map(|()| None);
        }
        let url = own.url.as_ref().map_or(0..0, |url| url.span.clone());
        if !self.takes.contains(&"send") {
            let problem = Problem::Conflict {
                kind: self.kind.to_string(),
                what: "`workload.kind = \"chat\"` and `url`".to_owned(),
                advice: format!(
                    "a member says something on the connection that it hears by, as of {}",
                    able().join(", ")
                ),
            };
            return Err(self.sources.error(problem, url, "this server"));
        }
        let given = own.send.as_ref().map(Spanned::get_ref);
        let event = given.and_then(|given| given.event.as_ref());
        match event {
            Some(event) => self.taken("event", &event.span)?,
            None if self.takes.contains(&"event") => {
                let advice = "name the event that carries what a member says: event = \"say\"";
                let span = span.unwrap_or_else(|| url.clone());
                return Err(self.no_event("[transport.send]", span, advice));
            }
            None => {}
        }
        let heard = own.message.as_ref();
        if self.takes.contains(&"event") && heard.is_none_or(|heard| heard.get_ref().event.is_none()) {
            let advice = "name the event that brings what members said: event = \"said\"";
            return Err(self.no_event("[transport.message]", heard.map_or(url, Spanned::span), advice));
        }
        let message = match given.and_then(|given| given.message.as_ref()) {
            None => Text::plain(Say::MESSAGE),
            Some(given) if given.value.matches(Say::MESSAGE).count() == 1 && self.carries(&given.value) => {
                self.text(given, secrets)?
            }
            Some(given) => {
                let advice = "{message} stands for what is said, a JSON object; {room} and {member} may be \
                              there too, in quotes where it is JSON";
                let expected = if self.takes.contains(&"event") {
                    "one {message} among the event's arguments, as JSON: '\"{room}\",{message}'"
                } else {
                    "one {message} in it"
                };
                return Err(self.wrong("transport.send.message", given, expected, advice));
            }
        };
        Ok(Some(Say { event: event.map(|event| event.value.clone()), message }))
    }

    /// Whether what is around a message leaves it what it is: an event's arguments are JSON.
    fn carries(&self, message: &str) -> bool {
        if !self.takes.contains(&"event") {
            return true;
        }
        let example = message.replace(Say::MESSAGE, "{}").replace("{room}", "room").replace("{member}", "0");
        let arguments = serde_json::from_str::<Vec<serde_json::Value>>(&format!("[{example}]"));
        // Text within text would have to be escaped.
        arguments.is_ok_and(|_| !message.contains("\"{message}\""))
    }

    /// What members hear is what members said: where it is, and in which events.
    pub(super) fn heard_in_rooms(
        &self,
        message: &wire::Message,
        mut rules: MessageRules,
    ) -> Result<MessageRules, ScenarioError> {
        let others = [
            ("format", message.format.as_ref().map(|key| &key.span)),
            ("pattern", message.pattern.as_ref().map(|key| &key.span)),
            ("items", message.items.as_ref().map(|key| &key.span)),
            ("sequence", message.sequence.as_ref().map(|key| &key.span)),
            ("symbol", message.symbol.as_ref().map(|key| &key.span)),
            ("symbol_sequence", message.symbol_sequence.as_ref().map(|key| &key.span)),
            ("sent_at", message.sent_at.as_ref().map(|key| &key.span)),
            ("sent_at_unit", message.sent_at_unit.as_ref().map(|key| &key.span)),
            ("cursor", message.cursor.as_ref().map(|key| &key.span)),
            ("snapshot", message.snapshot.as_ref().map(|key| &key.span)),
        ];
        if let Some((key, span)) = others.into_iter().find_map(|(key, span)| Some((key, span?))) {
            let problem = Problem::Conflict {
                kind: self.kind.to_string(),
                what: format!("`workload.kind = \"chat\"` and `transport.message.{key}`"),
                advice: "what is heard is what members said, which is known: say `event` and `said`"
                    .to_owned(),
            };
            return Err(self.sources.error(problem, span.clone(), "this key"));
        }
        if let Some(event) = &message.event {
            self.taken("event", &event.span)?;
            rules.event = Some(event.value.clone());
        }
        for (pointer, value) in message.when.iter().flatten() {
            let given = One { value: pointer.get_ref().clone(), span: pointer.span() };
            rules.when.push((self.pointer("when", &given, true)?, value.value.0.clone()));
        }
        rules.said = message.said.as_ref().map(|said| self.pointer("said", said, true)).transpose()?;
        Ok(rules)
    }

    /// Refuses a key that only members of rooms need.
    pub(super) fn only_in_rooms(&self, key: &str, span: Option<&Span>) -> Result<(), ScenarioError> {
        let Some(span) = span else { return Ok(()) };
        let problem = Problem::Conflict {
            kind: self.kind.to_string(),
            what: format!("`{key}` without rooms"),
            advice: "clients say something in a chat: write [workload] kind = \"chat\", or leave it out"
                .to_owned(),
        };
        Err(self.sources.error(problem, span.clone(), "this one"))
    }

    fn no_event(&self, table: &str, span: Span, advice: &str) -> ScenarioError {
        let problem = Problem::MissingKey {
            key: "event".to_owned(),
            table: table.to_owned(),
            advice: advice.to_owned(),
        };
        self.sources.error(problem, span, "which event?")
    }
}
