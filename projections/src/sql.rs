//! Statements on a generation's tables.

use sqlx::AssertSqlSafe;

/// Names the generation's schema in a statement. It cannot be bound; the store made it from a constant and two
/// numbers.
pub(crate) fn sql(schema: &str, statement: &str) -> AssertSqlSafe<String> {
    AssertSqlSafe(statement.replace("{schema}", schema))
}

/// One column of rows that are written in bulk, for `unnest`.
pub(crate) fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
