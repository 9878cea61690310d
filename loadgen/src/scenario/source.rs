//! Finds and reads the scenario: a path, or the bare name of a shipped one.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::error::{Problem, ScenarioError, nearest};

/// The shipped scenarios, name and text: an installed binary has them without the repository.
pub const SHIPPED: &[(&str, &str)] = &[
    ("ticker", include_str!("../../../scenarios/ticker.toml")),
    ("poll-interval", include_str!("../../../scenarios/poll-interval.toml")),
    ("family", include_str!("../../../scenarios/family.toml")),
    ("headers", include_str!("../../../scenarios/headers.toml")),
    ("encodings", include_str!("../../../scenarios/encodings.toml")),
    ("echo", include_str!("../../../scenarios/echo.toml")),
    ("mixed", include_str!("../../../scenarios/mixed.toml")),
    ("ci", include_str!("../../../scenarios/ci.toml")),
    ("smoke", include_str!("../../../scenarios/smoke.toml")),
    ("scale", include_str!("../../../scenarios/scale.toml")),
    ("huge", include_str!("../../../scenarios/huge.toml")),
];

/// A scenario's text before it is decoded.
#[derive(Debug)]
pub(super) struct Source {
    /// File name without its ending.
    pub(super) name: String,
    /// As errors and the result show it.
    pub(super) path: PathBuf,
    pub(super) text: String,
}

/// Reads what the command line names: a bare name means `./scenarios/NAME.toml` where that exists, else the
/// shipped text.
pub(super) fn find(given: &str) -> Result<Source, ScenarioError> {
    if is_bare(given) {
        let local = Path::new("scenarios").join(format!("{given}.toml"));
        if local.is_file() {
            return read(given, &local);
        }
        if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == given) {
            let path = PathBuf::from(format!("shipped:{name}"));
            return Ok(Source { name: (*name).to_owned(), path, text: (*text).to_owned() });
        }
    }
    read(given, Path::new(given))
}

fn is_bare(given: &str) -> bool {
    !given.contains(['/', '\\']) && !given.ends_with(".toml")
}

fn read(given: &str, path: &Path) -> Result<Source, ScenarioError> {
    let unreadable = |cause: String, advice: &str| {
        ScenarioError::new(Problem::Unreadable { name: given.to_owned(), cause, advice: advice.to_owned() })
    };
    if path.is_dir() {
        return Err(unreadable("it is a directory".to_owned(), "name one of the .toml files in it"));
    }
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(given)),
        Err(error) => return Err(unreadable(error.to_string(), "")),
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|&&byte| byte == b'\n').count() + 1;
        unreadable(format!("line {line} is not UTF-8 text (byte {at})"), "save the file as UTF-8")
    })?;
    let name = path.file_stem().map_or_else(|| given.to_owned(), |stem| stem.to_string_lossy().into_owned());
    Ok(Source { name, path: path.to_owned(), text })
}

fn missing(given: &str) -> ScenarioError {
    let stem = Path::new(given).file_stem().map_or(given.into(), |stem| stem.to_string_lossy());
    let shipped: Vec<String> = SHIPPED.iter().map(|(name, _)| (*name).to_owned()).collect();
    let nearest = nearest(&stem, shipped.iter().map(String::as_str));
    ScenarioError::new(Problem::Missing { name: given.to_owned(), nearest, shipped })
}
