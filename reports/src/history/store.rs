//! The SQLite file: its schema and version, and what goes in and out in one transaction each. It knows no statistics.

use std::{fs, path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, params};

use super::{HistoryError, Key, Point};

/// Marks the file as ours: "tick" in ASCII (SQLite's `application_id`).
const APPLICATION: i64 = 0x7469_636b;
/// Of the schema (SQLite's `user_version`).
const VERSION: i64 = 1;
/// Another process may be adding.
const PATIENCE: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
CREATE TABLE result (
  id TEXT PRIMARY KEY,
  started_at TEXT NOT NULL,
  commit_name TEXT,
  scenario TEXT NOT NULL,
  machine TEXT NOT NULL,
  machine_name TEXT NOT NULL
) STRICT;
CREATE TABLE figure (
  result TEXT NOT NULL REFERENCES result(id),
  variant TEXT NOT NULL,
  metric TEXT NOT NULL,
  settings TEXT NOT NULL,
  unit TEXT NOT NULL,
  median REAL NOT NULL,
  low REAL NOT NULL,
  high REAL NOT NULL,
  trials INTEGER NOT NULL,
  PRIMARY KEY (result, variant, metric)
) STRICT, WITHOUT ROWID;
";

const POINTS: &str = "
SELECT id, started_at, commit_name, scenario, machine, machine_name,
       variant, metric, settings, unit, median, low, high, trials
FROM figure JOIN result ON figure.result = result.id
ORDER BY started_at, id, variant, metric";

/// An open history.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: std::path::PathBuf,
}

/// What was done with results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// Results that are new.
    pub new: usize,
    /// Results that were there already, and stay as they were.
    pub known: usize,
}

impl Store {
    /// Opens a history to add to it, and makes it where there is no file. A file of something else is left as it is.
    pub fn create(path: &Path) -> Result<Self, HistoryError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)
                .map_err(|cause| HistoryError::Sql { path: path.to_owned(), cause: cause.to_string() })?;
        }
        let store = Self::open_as(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        // A new file has neither mark nor tables; one with tables of others is not taken over.
        if store.mark()? == (0, 0) && store.number("SELECT count(*) FROM sqlite_schema")? == 0 {
            let schema = format!(
                "BEGIN IMMEDIATE; {SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {VERSION}; COMMIT;"
            );
            store.connection.execute_batch(&schema).map_err(|error| store.failed(&error))?;
        }
        store.check()
    }

    /// Opens a history to read it.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        if !path.exists() {
            return Err(HistoryError::NotThere(path.to_owned()));
        }
        Self::open_as(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?.check()
    }

    fn open_as(path: &Path, flags: OpenFlags) -> Result<Self, HistoryError> {
        let sql =
            |error: rusqlite::Error| HistoryError::Sql { path: path.to_owned(), cause: error.to_string() };
        // Without SQLITE_OPEN_URI: a path is a path, whatever it begins with.
        let connection =
            Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(sql)?;
        connection.busy_timeout(PATIENCE).map_err(sql)?;
        Ok(Self { connection, path: path.to_owned() })
    }

    fn check(self) -> Result<Self, HistoryError> {
        let (application, version) = self.mark()?;
        let foreign = |found: String| HistoryError::Foreign { path: self.path.clone(), found };
        if application != APPLICATION {
            return Err(foreign(format!("a SQLite file of something else (application_id {application})")));
        }
        if version != VERSION {
            return Err(foreign(format!(
                "version {version} of a history, this program knows version {VERSION}"
            )));
        }
        let checked = self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        let found = checked.map_err(|error| self.failed(&error))?;
        if found != "ok" {
            return Err(HistoryError::Damaged { path: self.path.clone(), found: super::shown(&found) });
        }
        Ok(self)
    }

    fn mark(&self) -> Result<(i64, i64), HistoryError> {
        Ok((self.number("PRAGMA application_id")?, self.number("PRAGMA user_version")?))
    }

    fn number(&self, query: &str) -> Result<i64, HistoryError> {
        self.connection.query_row(query, [], |row| row.get(0)).map_err(|error| self.failed(&error))
    }

    fn failed(&self, error: &rusqlite::Error) -> HistoryError {
        let path = self.path.clone();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) => {
                HistoryError::Foreign { path, found: "no SQLite file".to_owned() }
            }
            Some(ErrorCode::DatabaseCorrupt) => HistoryError::Damaged { path, found: error.to_string() },
            _ => HistoryError::Sql { path, cause: error.to_string() },
        }
    }

    /// Adds points of any number of results: all of them or, on an error, none. A result whose id is there is left out.
    pub fn add(&mut self, points: &[Point]) -> Result<Added, HistoryError> {
        let path = self.path.clone();
        insert(&mut self.connection, points)
            .map_err(|error| HistoryError::Sql { path, cause: error.to_string() })
    }

    /// Every point, by time.
    pub fn points(&self) -> Result<Vec<Point>, HistoryError> {
        let read = || {
            let mut query = self.connection.prepare(POINTS)?;
            let points: rusqlite::Result<Vec<Point>> = query.query_map([], point)?.collect();
            points
        };
        read().map_err(|error| self.failed(&error))
    }
}

fn insert(connection: &mut Connection, points: &[Point]) -> rusqlite::Result<Added> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut added = Added::default();
    let mut ids: Vec<&str> = points.iter().map(|point| point.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    for id in ids {
        let mut of_result = points.iter().filter(|point| point.id == id).peekable();
        let Some(first) = of_result.peek() else { continue };
        let rows = transaction.execute(
            "INSERT INTO result VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (id) DO NOTHING",
            params![
                id,
                first.started_at,
                first.commit,
                first.key.scenario,
                first.key.machine,
                first.key.machine_name
            ],
        )?;
        if rows == 0 {
            added.known += 1;
            continue;
        }
        added.new += 1;
        let mut figure =
            transaction.prepare_cached("INSERT INTO figure VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
        for Point { key, unit, median, low, high, trials, .. } in of_result {
            let trials = i64::try_from(*trials).unwrap_or(i64::MAX);
            figure.execute(params![
                id,
                key.variant,
                key.metric,
                key.settings,
                unit,
                median,
                low,
                high,
                trials
            ])?;
        }
    }
    transaction.commit()?;
    Ok(added)
}

fn point(row: &Row<'_>) -> rusqlite::Result<Point> {
    let trials: i64 = row.get("trials")?;
    Ok(Point {
        id: row.get("id")?,
        started_at: row.get("started_at")?,
        commit: row.get("commit_name")?,
        key: Key {
            scenario: row.get("scenario")?,
            variant: row.get("variant")?,
            settings: row.get("settings")?,
            metric: row.get("metric")?,
            machine: row.get("machine")?,
            machine_name: row.get("machine_name")?,
        },
        unit: row.get("unit")?,
        median: row.get("median")?,
        low: row.get("low")?,
        high: row.get("high")?,
        trials: u64::try_from(trials).unwrap_or(0),
    })
}
