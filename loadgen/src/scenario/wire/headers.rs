//! Header fields as they are written: profiles by name, or fields of one's own in the file's order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use toml::Spanned;

use crate::scenario::scalar::{One, OneOrMany};

/// `headers`: a profile's name, several to sweep over, or a table of header fields.
#[derive(Clone, Debug)]
pub(in crate::scenario) enum Headers {
    /// Profiles.
    Profiles(OneOrMany<String>),
    /// Fields in the file's order.
    Own(Vec<(One<String>, One<String>)>),
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<BareHeaders>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(match spanned.into_inner() {
            BareHeaders::Profile(value) => {
                let values = vec![One { value, span: span.clone() }];
                Self::Profiles(OneOrMany { values, list: false, span })
            }
            BareHeaders::Profiles(values) => Self::Profiles(OneOrMany { values, list: true, span }),
            BareHeaders::Own(mut fields) => {
                fields.sort_by_key(|(name, _)| name.span.start);
                Self::Own(fields)
            }
        })
    }
}

enum BareHeaders {
    Profile(String),
    Profiles(Vec<One<String>>),
    Own(Vec<(One<String>, One<String>)>),
}

impl<'de> Deserialize<'de> for BareHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = BareHeaders;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a header profile, a list of such names, or a table of header fields")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(BareHeaders::Profile(name.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = list.next_element()? {
            names.push(name);
        }
        Ok(BareHeaders::Profiles(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((name, value)) = map.next_entry::<Spanned<String>, One<String>>()? {
            let span = name.span();
            fields.push((One { value: name.into_inner(), span }, value));
        }
        Ok(BareHeaders::Own(fields))
    }
}
