//! Which symbols a reader wants: all of them, or those that it names.
//!
//! It knows no log and no transport.

use std::sync::Arc;

use ticker::symbol_index;

/// A set of symbols. Clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection(Option<Arc<[u32]>>);

/// A name that is none of the feed's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("symbol {name:?} is not in the feed, expected names such as ACME, {symbols} of them")]
pub(crate) struct UnknownSymbol {
    name: String,
    symbols: u32,
}

impl Selection {
    /// Names between commas, as in a query; without a list all symbols, with an empty one none.
    pub(crate) fn of_list(list: Option<&str>, symbols: u32) -> Result<Self, UnknownSymbol> {
        let Some(list) = list else { return Ok(Self::default()) };
        Self::of_names(list.split(',').filter(|name| !name.is_empty()), symbols)
    }

    /// The symbols of these names, of a feed with `symbols` of them.
    pub(crate) fn of_names<'a>(
        names: impl IntoIterator<Item = &'a str>,
        symbols: u32,
    ) -> Result<Self, UnknownSymbol> {
        let index = |name: &str| {
            let index = symbol_index(name).filter(|&index| index < symbols);
            index.ok_or_else(|| UnknownSymbol { name: name.to_owned(), symbols })
        };
        let mut indices = names.into_iter().map(index).collect::<Result<Vec<u32>, _>>()?;
        indices.sort_unstable();
        indices.dedup();
        Ok(Self(Some(indices.into())))
    }

    /// Whether it holds every symbol.
    pub(crate) fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// The indices of its symbols, ascending; `None` for all.
    pub(crate) fn symbols(&self) -> Option<&[u32]> {
        self.0.as_deref()
    }

    /// Whether it holds the symbol with this index.
    #[inline]
    pub(crate) fn wants(&self, symbol: u32) -> bool {
        self.0.as_ref().is_none_or(|wanted| wanted.binary_search(&symbol).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_selects_its_symbols() {
        let wanted = |list: Option<&str>| {
            let selection = Selection::of_list(list, 4).unwrap();
            (0..4).filter(|&symbol| selection.wants(symbol)).collect::<Vec<_>>()
        };
        assert_eq!(wanted(None), [0, 1, 2, 3]);
        assert_eq!(wanted(Some("BOLT,ACME,BOLT")), [0, 1]);
        assert!(wanted(Some("")).is_empty());
        assert!(Selection::of_list(Some("ACME,ECHO"), 4).is_err(), "the fifth symbol of four");
        assert!(Selection::of_list(Some("acme"), 4).is_err());
    }
}
