//! Anyone's SQL over the views. It can read this index and nothing else: no other file, no write, no
//! pragma that changes something, and not for longer than it may.

use std::time::{Duration, Instant};

use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode};

use crate::model::duration_text;
use crate::store::StoreError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// More rows than these are cut off, and the table says so.
    pub max_rows: usize,
    pub timeout: Duration,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self { max_rows: usize::MAX, timeout: Duration::from_secs(300) }
    }
}

/// One cell, as SQLite types it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// There were more rows than the limit.
    pub cut: bool,
}

/// How often SQLite asks whether to go on: a few times a millisecond.
const OPS_PER_CHECK: i32 = 10_000;

pub(super) fn run(
    conn: &mut Connection,
    sql: &str,
    limits: QueryLimits,
    row: &mut dyn FnMut(&[String], Vec<Value>) -> bool,
) -> Result<Vec<String>, StoreError> {
    let deadline = Instant::now() + limits.timeout;
    let prepared = conn
        .authorizer(Some(only_reading))
        .and_then(|()| conn.progress_handler(OPS_PER_CHECK, Some(move || Instant::now() >= deadline)));
    let result = match prepared {
        Ok(()) => step_through(conn, sql, row),
        Err(error) => Err(error),
    };
    // Our own questions on this connection are not limited.
    let _ = conn.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
    let _ = conn.progress_handler(0, None::<fn() -> bool>);
    result.map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => StoreError::QueryTimeout(duration_text(limits.timeout)),
        _ => StoreError::Query(error.to_string()),
    })
}

fn step_through(
    conn: &Connection,
    sql: &str,
    take: &mut dyn FnMut(&[String], Vec<Value>) -> bool,
) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(sql)?;
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    if columns.is_empty() || !statement.readonly() {
        return Err(rusqlite::Error::InvalidQuery);
    }
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values = (0..columns.len()).map(|at| row.get_ref(at).map(owned)).collect::<Result<_, _>>()?;
        if !take(&columns, values) {
            break;
        }
    }
    Ok(columns)
}

fn owned(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => Value::Integer(integer),
        ValueRef::Real(real) => Value::Real(real),
        // What came from a host was made UTF-8 when it was recorded.
        ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
    }
}

fn only_reading(context: AuthContext<'_>) -> Authorization {
    match context.action {
        AuthAction::Select | AuthAction::Read { .. } | AuthAction::Recursive => Authorization::Allow,
        AuthAction::Function { function_name } if !function_name.eq_ignore_ascii_case("load_extension") => {
            Authorization::Allow
        }
        AuthAction::Pragma { pragma_name, pragma_value: None } if describes(pragma_name) => {
            Authorization::Allow
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) } if describes_table(pragma_name) => {
            Authorization::Allow
        }
        _ => Authorization::Deny,
    }
}

fn describes(pragma: &str) -> bool {
    ["user_version", "application_id", "table_list", "database_list", "function_list"].contains(&pragma)
}

fn describes_table(pragma: &str) -> bool {
    ["table_info", "table_xinfo", "index_list", "index_info", "table_list"].contains(&pragma)
}
