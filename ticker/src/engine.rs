//! The two ways in which either side can be written. It knows neither.

/// How a side speaks the protocols that both engines know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Engine {
    /// With the libraries that everybody uses: the code that a reader would write.
    Library,
    /// With code of our own on the hot paths of plain HTTP/1.1: no task, channel or copy for each client and quote.
    #[default]
    Direct,
}

impl Engine {
    /// Both, in the order in which they are listed.
    pub const ALL: [Self; 2] = [Self::Library, Self::Direct];

    /// Its name in scenarios, results and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Direct => "direct",
        }
    }

    /// The engine of that name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|engine| engine.name() == name)
    }
}

impl serde::Serialize for Engine {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> serde::Deserialize<'de> for Engine {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let unknown = || serde::de::Error::custom(format!("engine {name}, expected library or direct"));
        Self::of_name(&name).ok_or_else(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for engine in Engine::ALL {
            assert_eq!(Engine::of_name(engine.name()), Some(engine));
        }
        assert_eq!(Engine::of_name("fast"), None);
    }
}
