//! `[[claim]]` -> claims: each a published figure in the unit that is printed, of variants that the plan has.

use measurement::{
    claim::{Bound, Claim, Judge},
    metrics::Metric,
};
use toml::Spanned;

use crate::plan::Plan;

use super::{
    decode::Sources,
    error::{Problem, ScenarioError, nearest},
    gates,
    scalar::{One, Quantity},
    values::{self, Words},
    wire::{self, File},
};

/// Resolves the file's claims.
pub(super) fn resolve(
    file: &File,
    sources: &Sources,
    plan: &Plan,
    labels: &[String],
) -> Result<Vec<Claim>, ScenarioError> {
    let resolver = Resolver { sources, plan, labels };
    file.claim.iter().flatten().map(|given| resolver.claim(given)).collect()
}

struct Resolver<'a> {
    sources: &'a Sources,
    plan: &'a Plan,
    labels: &'a [String],
}

impl Resolver<'_> {
    fn claim(&self, spanned: &Spanned<wire::Claim>) -> Result<Claim, ScenarioError> {
        let given = spanned.get_ref();
        let missing = |key: &str, advice: &str| {
            let table = "a `[[claim]]`".to_owned();
            let problem = Problem::MissingKey { key: key.to_owned(), table, advice: advice.to_owned() };
            self.sources.error(problem, spanned.span(), "this one")
        };
        let text =
            given.text.as_ref().ok_or_else(|| missing("text", "write what was claimed, a sentence"))?;
        let source =
            given.source.as_ref().ok_or_else(|| missing("source", "write where it was published"))?;
        let claimed =
            given.claimed.as_ref().ok_or_else(|| missing("claimed", "write the published figure"))?;
        let variant = given
            .variant
            .as_ref()
            .ok_or_else(|| missing("variant", "write whose figure is held against it"))?;
        let metric = given
            .metric
            .as_ref()
            .ok_or_else(|| missing("metric", "write metric = \"…\", a name of `loadgen list metrics`"))?;
        let metric = gates::metric(self.sources, "claim.metric", metric)?;
        if let (Some(_), Some(second)) = (&given.over, &given.minus) {
            let problem = Problem::Conflict {
                kind: "a claim".to_owned(),
                what: "`over` and `minus`".to_owned(),
                advice: "a figure is a ratio or a difference: write two claims".to_owned(),
            };
            return Err(self.sources.error(problem, second.span.clone(), "the second variant"));
        }
        let other = |key: &str, named: &Option<One<String>>| {
            named.as_ref().map(|named| self.variant(key, named)).transpose()
        };
        Ok(Claim {
            text: self.text("text", text)?,
            source: self.text("source", source)?,
            claimed: self.claimed(given, claimed, metric)?,
            variant: self.variant("variant", variant)?,
            metric: metric.name.to_owned(),
            over: other("over", &given.over)?,
            minus: other("minus", &given.minus)?,
            factor: given.factor.as_ref().map_or(Ok(1.0), |factor| self.factor(factor))?,
            unit: given.unit.as_ref().map(|unit| self.text("unit", unit)).transpose()?,
            tolerance: given.tolerance.as_ref().map_or(Ok(0.0), |share| self.tolerance(share))?,
            bound: self.word("bound", given.bound.as_ref(), Bound::WORDS)?,
            judge: self.word("judge", given.judge.as_ref(), Judge::WORDS)?,
            why: given.why.as_ref().map(|why| self.text("why", why)).transpose()?,
        })
    }

    /// Text that says something.
    fn text(&self, key: &str, given: &One<String>) -> Result<String, ScenarioError> {
        let text = given.value.trim();
        if text.is_empty() {
            let found = format!("{:?}", given.value);
            return Err(self.out_of_range((key, given), found, "text", "the report prints it"));
        }
        Ok(text.to_owned())
    }

    /// The variant of that name, or of that label where it has one point only.
    fn variant(&self, key: &str, wanted: &One<String>) -> Result<String, ScenarioError> {
        let names = || self.plan.variants.iter().map(|variant| variant.name.as_str());
        if let Some(name) = names().find(|name| *name == wanted.value) {
            return Ok(name.to_owned());
        }
        let points: Vec<&str> = names()
            .zip(self.labels)
            .filter(|(_, label)| **label == wanted.value)
            .map(|(name, _)| name)
            .collect();
        let problem = match points.as_slice() {
            [name] => return Ok((*name).to_owned()),
            [] => Problem::NoSuchVariant {
                option: format!("claim.{key}"),
                name: wanted.value.clone(),
                nearest: nearest(&wanted.value, names()),
                known: names().map(str::to_owned).collect(),
            },
            [_, ..] => Problem::Conflict {
                kind: "a claim".to_owned(),
                what: format!("`{key} = {:?}`, which is a sweep", wanted.value),
                advice: format!("name one of its points: {}", points.join(", ")),
            },
        };
        Err(self.sources.error(problem, wanted.span.clone(), "this name"))
    }

    /// The published figure. With a unit of the claim's own, and of ratios, it is a number.
    fn claimed(
        &self,
        given: &wire::Claim,
        claimed: &One<Quantity>,
        metric: &Metric,
    ) -> Result<f64, ScenarioError> {
        let (unit, advice) = if let Some(own) = &given.unit {
            ("", format!("it is in the claim's own unit, {}", own.value.trim()))
        } else if given.over.is_some() {
            ("", "the figure is a ratio, which has no unit".to_owned())
        } else {
            (metric.unit, format!("{} is {}", metric.name, metric.meaning))
        };
        let figure = match (&claimed.value, unit) {
            // Only a difference can be below zero, and only as a number.
            (Quantity::Bare(number), "" | "count" | "1/s" | "bytes" | "share") if given.minus.is_some() => {
                number.is_finite().then_some(*number)
            }
            (quantity, unit) => gates::quantity(quantity, unit),
        };
        figure.ok_or_else(|| {
            let found = gates::as_written(&claimed.value);
            self.out_of_range(("claimed", claimed), found, gates::expected(unit), &advice)
        })
    }

    fn factor(&self, given: &One<f64>) -> Result<f64, ScenarioError> {
        if given.value.is_finite() && given.value > 0.0 {
            return Ok(given.value);
        }
        let advice = "the measured figure is multiplied by it";
        Err(self.out_of_range(("factor", given), given.value.to_string(), "a number above 0", advice))
    }

    fn tolerance(&self, given: &One<Quantity>) -> Result<f64, ScenarioError> {
        gates::quantity(&given.value, "share").ok_or_else(|| {
            let advice = "it is a share of the published figure";
            let found = gates::as_written(&given.value);
            self.out_of_range(("tolerance", given), found, gates::expected("share"), advice)
        })
    }

    fn word<T: Copy + Default>(
        &self,
        key: &str,
        given: Option<&One<String>>,
        words: &[(&str, T)],
    ) -> Result<T, ScenarioError> {
        let words = Words { supported: words, planned: &[] };
        given.map_or(Ok(T::default()), |given| {
            values::word(self.sources, &format!("claim.{key}"), given, &words)
        })
    }

    fn out_of_range<T>(
        &self,
        (key, given): (&str, &One<T>),
        found: String,
        expected: &str,
        advice: &str,
    ) -> ScenarioError {
        let problem = Problem::OutOfRange {
            key: format!("claim.{key}"),
            found,
            expected: expected.to_owned(),
            advice: advice.to_owned(),
        };
        self.sources.error(problem, given.span.clone(), "this one")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Overrides, load_text};

    const HEAD: &str = "title = \"x\"\n[[transport]]\nkind = \"polling\"\nname = \"swept\"\ninterval = [\"1s\", \"2s\"]\n\
                        [[transport]]\nkind = \"websocket\"\n[[transport]]\nkind = \"sse\"\n";
    const NEEDED: &str = "[[claim]]\ntext = \"A sentence.\"\nsource = \"Somebody 2009\"\nvariant = \"sse\"\n";

    fn claims(text: &str) -> Result<Vec<Claim>, String> {
        let plan = load_text("x.toml", &format!("{HEAD}{text}"), &|_| None);
        plan.map(|plan| plan.claims).map_err(|error| error.to_string())
    }

    #[test]
    fn figures_have_the_unit_of_their_metric_or_their_own() {
        let check = |metric: &str, more: &str, expected: f64| {
            let found = claims(&format!("{NEEDED}metric = \"{metric}\"\n{more}")).unwrap().remove(0);
            assert_eq!((found.claimed, found.metric.as_str()), (expected, metric), "{more}");
        };
        check("delivery_delay.p50", "claimed = \"50ms\"", 50_000.0);
        check("requests.useless_share", "claimed = \"96%\"", 0.96);
        check("requests.useless_share", "claimed = 0.96", 0.96);
        check("bytes.per_second", "claimed = \"12 kB\"", 12_000.0);
        check("bytes.per_second", "claimed = 6_968_000\nfactor = 8\nunit = \"bit/s\"", 6_968_000.0);
        check("delivery_delay.p50", "claimed = 3\nover = \"websocket\"", 3.0);
        check("delivery_delay.p50", "claimed = 50\nfactor = 0.001\nunit = \"ms\"", 50.0);
        check("bytes.per_second", "claimed = -5\nminus = \"websocket\"", -5.0);
    }

    #[test]
    fn what_is_left_out_has_its_default_and_what_is_written_is_kept() {
        let plain = claims(&format!("{NEEDED}metric = \"updates.lost\"\nclaimed = 0")).unwrap().remove(0);
        let expected = Claim {
            text: "A sentence.".to_owned(),
            source: "Somebody 2009".to_owned(),
            claimed: 0.0,
            variant: "sse".to_owned(),
            metric: "updates.lost".to_owned(),
            over: None,
            minus: None,
            factor: 1.0,
            unit: None,
            tolerance: 0.0,
            bound: Bound::About,
            judge: Judge::Assert,
            why: None,
        };
        assert_eq!(plain, expected);
        let more = "metric = \"updates.lost\"\nclaimed = 2\nover = \"websocket\"\nfactor = 8.0\nunit = \"times\"\n\
                    tolerance = \"2%\"\nbound = \"at-least\"\njudge = \"context\"\nwhy = \" Because. \"";
        let full = claims(&format!("{NEEDED}{more}")).unwrap().remove(0);
        let expected = Claim {
            claimed: 2.0,
            over: Some("websocket".to_owned()),
            factor: 8.0,
            unit: Some("times".to_owned()),
            tolerance: 0.02,
            bound: Bound::AtLeast,
            judge: Judge::Context,
            why: Some("Because.".to_owned()),
            ..expected
        };
        assert_eq!(full, expected);
    }

    #[test]
    fn a_claim_goes_with_any_of_its_variants_and_can_be_set() {
        let text = format!("{HEAD}{NEEDED}metric = \"updates.lost\"\nclaimed = 2\nover = \"websocket\"");
        let of = |only: &[&str], set: &[&str]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("x.toml");
            std::fs::write(&path, &text).unwrap();
            let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
            let overrides = Overrides { only: owned(only), set: owned(set), ..Overrides::default() };
            crate::scenario::load(&path.display().to_string(), &overrides).unwrap().claims.len()
        };
        assert_eq!((of(&[], &[]), of(&["sse", "websocket"], &[])), (1, 1));
        assert_eq!((of(&["sse"], &[]), of(&["websocket"], &[]), of(&[], &["claim=[]"])), (0, 0, 0));
    }

    #[test]
    fn what_cannot_be_a_claim_is_refused() {
        let check = |text: &str, expected: &str| {
            let error = claims(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        };
        check("[[claim]]\nsource = \"x\"", "a `[[claim]]` has no `text`");
        check("[[claim]]\ntext = \"x\"", "has no `source`");
        check("[[claim]]\ntext = \"x\"\nsource = \"x\"", "has no `claimed`");
        check("[[claim]]\ntext = \"x\"\nsource = \"x\"\nclaimed = 1", "has no `variant`");
        check(&format!("{NEEDED}claimed = 1"), "has no `metric`");
        let check = |more: &str, expected: &str| check(&format!("{NEEDED}{more}"), expected);
        check("claimed = 1\nmetric = \"updates.losst\"", "unknown metric `updates.losst`");
        let lost = "metric = \"updates.lost\"\n";
        let check_lost = |more: &str, expected: &str| check(&format!("{lost}{more}"), expected);
        check_lost("claimed = 1\nover = \"websockets\"", "`claim.over` names no variant `websockets`");
        check_lost("claimed = 1\nminus = \"swept\"", "`minus = \"swept\"`, which is a sweep");
        check_lost("claimed = 1\nover = \"websocket\"\nminus = \"websocket\"", "`over` and `minus`");
        check_lost("claimed = \"50ms\"", "`claim.claimed` is \"50ms\", expected a number");
        check_lost("claimed = -1", "expected a number");
        check_lost("claimed = \"96%\"\nover = \"websocket\"", "expected a number");
        check_lost("claimed = \"8 kB\"\nunit = \"bit\"", "expected a number");
        check_lost("claimed = 1\nfactor = 0", "expected a number above 0");
        check_lost("claimed = 1\ntolerance = \"2ms\"", "`claim.tolerance` is \"2ms\", expected a share");
        check_lost("claimed = 1\nbound = \"below\"", "unknown bound `below`");
        check_lost("claimed = 1\njudge = \"never\"", "unknown judge `never`");
        check_lost("claimed = 1\nwhy = \" \"", "`claim.why` is \" \", expected text");
        check_lost("claimed = 1\nsorce = \"x\"", "unknown key `sorce` in [[claim]]");
        check("metric = \"delivery_delay.p50\"\nclaimed = 5", "expected a duration");
    }
}
