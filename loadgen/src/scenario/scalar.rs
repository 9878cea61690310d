//! Values of a scenario file with their positions: one scalar, or a scalar and a list of them (a sweep).
//!
//! Hand-written visitors instead of untagged enums, which lose the position and the words of an error.

use std::{fmt, marker::PhantomData, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{self, SeqAccess, Unexpected, Visitor},
};
use toml::Spanned;

/// Bytes of the source text.
pub(super) type Span = Range<usize>;

/// What a scalar of the file can become.
pub(super) trait Scalar: Sized {
    /// For errors: "expected …".
    const EXPECTED: &'static str;

    fn from_integer(_integer: i128) -> Option<Self> {
        None
    }

    fn from_float(_float: f64) -> Option<Self> {
        None
    }

    fn from_text(_text: &str) -> Option<Self> {
        None
    }

    fn from_boolean(_boolean: bool) -> Option<Self> {
        None
    }
}

impl Scalar for i128 {
    const EXPECTED: &'static str = "a whole number";

    fn from_integer(integer: i128) -> Option<Self> {
        Some(integer)
    }
}

impl Scalar for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_integer(integer: i128) -> Option<Self> {
        Some(integer as f64)
    }

    fn from_float(float: f64) -> Option<Self> {
        Some(float)
    }
}

impl Scalar for String {
    const EXPECTED: &'static str = "text in quotes";

    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Scalar for bool {
    const EXPECTED: &'static str = "true or false";

    fn from_boolean(boolean: bool) -> Option<Self> {
        Some(boolean)
    }
}

/// A duration as it is written.
#[derive(Clone, Debug)]
pub(super) enum Time {
    /// With its unit, not yet parsed.
    Text(String),
    /// A bare number, which no duration is; kept so that the error can say what to write.
    Bare(f64),
}

impl Scalar for Time {
    const EXPECTED: &'static str = "a duration such as \"1s\"";

    fn from_integer(integer: i128) -> Option<Self> {
        Some(Self::Bare(integer as f64))
    }

    fn from_float(float: f64) -> Option<Self> {
        Some(Self::Bare(float))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Text(text.to_owned()))
    }
}

/// A number, or text with a unit; what it means is known where the metric is.
#[derive(Clone, Debug)]
pub(super) enum Quantity {
    /// With its unit, not yet parsed.
    Text(String),
    /// A number.
    Bare(f64),
}

impl Scalar for Quantity {
    const EXPECTED: &'static str = "a number, or text such as \"50ms\" or \"1%\"";

    fn from_integer(integer: i128) -> Option<Self> {
        Some(Self::Bare(integer as f64))
    }

    fn from_float(float: f64) -> Option<Self> {
        Some(Self::Bare(float))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Text(text.to_owned()))
    }
}

/// `"auto"` or a number; the text is checked where the key is known.
#[derive(Clone, Debug)]
pub(super) enum AutoOr {
    /// A word, which must be `auto`.
    Word(String),
    /// A number.
    Number(i128),
}

impl Scalar for AutoOr {
    const EXPECTED: &'static str = "\"auto\" or a whole number";

    fn from_integer(integer: i128) -> Option<Self> {
        Some(Self::Number(integer))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self::Word(text.to_owned()))
    }
}

/// A plain value that a message is compared with.
#[derive(Clone, Debug)]
pub(super) struct Literal(pub(super) serde_json::Value);

impl Scalar for Literal {
    const EXPECTED: &'static str = "text, a number, or true or false";

    fn from_integer(integer: i128) -> Option<Self> {
        i64::try_from(integer).ok().map(|integer| Self(integer.into()))
    }

    fn from_float(float: f64) -> Option<Self> {
        Some(Self(float.into()))
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(text.into()))
    }

    fn from_boolean(boolean: bool) -> Option<Self> {
        Some(Self(boolean.into()))
    }
}

/// One scalar and where it stands.
#[derive(Clone, Debug)]
pub(super) struct One<T> {
    pub(super) value: T,
    pub(super) span: Span,
}

impl<'de, T: Scalar> Deserialize<'de> for One<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Bare<T>>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(Self { value: spanned.into_inner().0, span })
    }
}

/// One scalar, or a list of them to sweep over.
#[derive(Clone, Debug)]
pub(super) struct OneOrMany<T> {
    pub(super) values: Vec<One<T>>,
    /// Whether it is written as a list.
    pub(super) list: bool,
    pub(super) span: Span,
}

impl<'de, T: Scalar> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<BareOrList<T>>::deserialize(deserializer)?;
        let span = spanned.span();
        Ok(match spanned.into_inner() {
            BareOrList::Bare(value) => {
                Self { values: vec![One { value, span: span.clone() }], list: false, span }
            }
            BareOrList::List(values) => Self { values, list: true, span },
        })
    }
}

struct Bare<T>(T);

impl<'de, T: Scalar> Deserialize<'de> for Bare<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match deserializer.deserialize_any(ScalarVisitor { lists: false, scalar: PhantomData })? {
            BareOrList::Bare(value) => Ok(Self(value)),
            BareOrList::List(_) => Err(de::Error::invalid_type(Unexpected::Seq, &T::EXPECTED)),
        }
    }
}

enum BareOrList<T> {
    Bare(T),
    List(Vec<One<T>>),
}

impl<'de, T: Scalar> Deserialize<'de> for BareOrList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor { lists: true, scalar: PhantomData })
    }
}

struct ScalarVisitor<T> {
    lists: bool,
    scalar: PhantomData<T>,
}

impl<T: Scalar> ScalarVisitor<T> {
    fn take<E: de::Error>(&self, found: Unexpected<'_>, value: Option<T>) -> Result<BareOrList<T>, E> {
        match value {
            Some(value) => Ok(BareOrList::Bare(value)),
            None if self.lists => Err(E::invalid_type(found, &ExpectedOrList(T::EXPECTED))),
            None => Err(E::invalid_type(found, &T::EXPECTED)),
        }
    }
}

struct ExpectedOrList(&'static str);

impl de::Expected for ExpectedOrList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of such values", self.0)
    }
}

impl<'de, T: Scalar> Visitor<'de> for ScalarVisitor<T> {
    type Value = BareOrList<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.lists { de::Expected::fmt(&ExpectedOrList(T::EXPECTED), f) } else { f.write_str(T::EXPECTED) }
    }

    fn visit_bool<E: de::Error>(self, boolean: bool) -> Result<Self::Value, E> {
        self.take(Unexpected::Bool(boolean), T::from_boolean(boolean))
    }

    fn visit_i64<E: de::Error>(self, integer: i64) -> Result<Self::Value, E> {
        self.take(Unexpected::Signed(integer), T::from_integer(integer.into()))
    }

    fn visit_u64<E: de::Error>(self, integer: u64) -> Result<Self::Value, E> {
        self.take(Unexpected::Unsigned(integer), T::from_integer(integer.into()))
    }

    fn visit_i128<E: de::Error>(self, integer: i128) -> Result<Self::Value, E> {
        self.take(Unexpected::Other("a very large number"), T::from_integer(integer))
    }

    fn visit_u128<E: de::Error>(self, integer: u128) -> Result<Self::Value, E> {
        self.take(
            Unexpected::Other("a very large number"),
            i128::try_from(integer).ok().and_then(T::from_integer),
        )
    }

    fn visit_f64<E: de::Error>(self, float: f64) -> Result<Self::Value, E> {
        self.take(Unexpected::Float(float), T::from_float(float))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        self.take(Unexpected::Str(text), T::from_text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        if !self.lists {
            return Err(de::Error::invalid_type(Unexpected::Seq, &T::EXPECTED));
        }
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(BareOrList::List(values))
    }
}
