//! The contact points that a row names.

use super::draft::Setting;
use crate::import::RowProblem;
use crate::import::records::{RecordRow, RecordRows};
use kvali_domain::Personal;
use kvali_domain::contact_point::{ContactPoint, Kind};

pub(super) struct Point {
    /// The key of its cell.
    pub(super) key: &'static str,
    /// By which two points are the same.
    pub(super) value: String,
    pub(super) asked: ContactPoint,
}

const KEYS: [(&str, Kind); 4] =
    [("email", Kind::Email), ("email_2", Kind::Email), ("phone", Kind::Phone), ("phone_2", Kind::Phone)];

/// Those that can be used, each once.
pub(super) fn points(
    row: &RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Vec<Point>, RowProblem> {
    let mut points: Vec<Point> = Vec::new();
    for (key, kind) in KEYS {
        let Some(cell) = row.cells.get(key) else { continue };
        let point = ContactPoint { kind, value: Personal::new(cell), region: setting.region };
        match point.key() {
            Ok(value) => {
                if !points.iter().any(|known| (&known.asked.kind, &known.value) == (&point.kind, &value)) {
                    points.push(Point { key, value, asked: point });
                }
            }
            Err(problem) => file.unusable(row.line, key, cell, problem.to_string())?,
        }
    }
    Ok(points)
}
