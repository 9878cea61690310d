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
    ("crossover", include_str!("../../../scenarios/crossover.toml")),
    ("links", include_str!("../../../scenarios/links.toml")),
    ("storm", include_str!("../../../scenarios/storm.toml")),
    ("slow-reader", include_str!("../../../scenarios/slow-reader.toml")),
    ("burst", include_str!("../../../scenarios/burst.toml")),
    ("uplink", include_str!("../../../scenarios/uplink.toml")),
    ("echo", include_str!("../../../scenarios/echo.toml")),
    ("chat", include_str!("../../../scenarios/chat.toml")),
    ("browsers", include_str!("../../../scenarios/browsers.toml")),
    ("mixed", include_str!("../../../scenarios/mixed.toml")),
    ("ci", include_str!("../../../scenarios/ci.toml")),
    ("smoke", include_str!("../../../scenarios/smoke.toml")),
    ("scale", include_str!("../../../scenarios/scale.toml")),
    ("huge", include_str!("../../../scenarios/huge.toml")),
];

/// Folders below `scenarios/` whose files have bare names too. Names are unique over all of them.
pub const FOLDERS: [&str; 2] = ["classics", "gallery"];

/// Those that reproduce published results, and those that answer a question of daily work.
pub const SHIPPED_BELOW: &[(&str, &str)] = &[
    ("kaazing-a", include_str!("../../../scenarios/classics/kaazing-a.toml")),
    ("kaazing-b", include_str!("../../../scenarios/classics/kaazing-b.toml")),
    ("kaazing-c", include_str!("../../../scenarios/classics/kaazing-c.toml")),
    ("delft-2007", include_str!("../../../scenarios/classics/delft-2007.toml")),
    ("delft-2009", include_str!("../../../scenarios/classics/delft-2009.toml")),
    ("wind-4hz", include_str!("../../../scenarios/classics/wind-4hz.toml")),
    ("open-data", include_str!("../../../scenarios/classics/open-data.toml")),
    ("five-updates", include_str!("../../../scenarios/classics/five-updates.toml")),
    ("rooms", include_str!("../../../scenarios/classics/rooms.toml")),
    ("shootout", include_str!("../../../scenarios/classics/shootout.toml")),
    ("fanout-10hz", include_str!("../../../scenarios/classics/fanout-10hz.toml")),
    ("idle", include_str!("../../../scenarios/classics/idle.toml")),
    ("compression", include_str!("../../../scenarios/classics/compression.toml")),
    ("coalesce", include_str!("../../../scenarios/classics/coalesce.toml")),
    ("reconnect", include_str!("../../../scenarios/classics/reconnect.toml")),
    ("sports", include_str!("../../../scenarios/gallery/sports.toml")),
    ("cursors", include_str!("../../../scenarios/gallery/cursors.toml")),
    ("game", include_str!("../../../scenarios/gallery/game.toml")),
    ("location", include_str!("../../../scenarios/gallery/location.toml")),
    ("notifications", include_str!("../../../scenarios/gallery/notifications.toml")),
    ("team-chat", include_str!("../../../scenarios/gallery/team-chat.toml")),
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

/// Reads what the command line names: a bare name means `./scenarios/NAME.toml` where that exists, or one of
/// the folders below, else the shipped text.
pub(super) fn find(given: &str) -> Result<Source, ScenarioError> {
    if is_bare(given) {
        for folder in [""].into_iter().chain(FOLDERS) {
            let local = Path::new("scenarios").join(folder).join(format!("{given}.toml"));
            if local.is_file() {
                return read(given, &local);
            }
        }
        if let Some((name, text)) = SHIPPED.iter().chain(SHIPPED_BELOW).find(|(name, _)| *name == given) {
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
    let shipped: Vec<String> =
        SHIPPED.iter().chain(SHIPPED_BELOW).map(|(name, _)| (*name).to_owned()).collect();
    let nearest = nearest(&stem, shipped.iter().map(String::as_str));
    ScenarioError::new(Problem::Missing { name: given.to_owned(), nearest, shipped })
}
