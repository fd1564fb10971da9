//! The columns of a table of rows: which part of an item each is, by its name.

use crate::batch::Item;
use crate::error::Problem;
use crate::fields::{Field, Kind};
use serde_json::{Map, Value, json};

/// What an item has beside the fields of its command. A field of one of these names is called `body.id`, and so on.
const BESIDE: [(&str, Target); 5] = [
    ("id", Target::Id),
    ("idempotency_key", Target::IdempotencyKey),
    ("if_version", Target::IfVersion),
    ("reason", Target::Reason),
    ("occurred_at", Target::OccurredAt),
];
const BODY: &str = "body.";
/// Items of one list that have columns of their own, at most.
const MOST_ITEMS: usize = 100;

pub(super) struct Columns {
    aggregate: String,
    command: String,
    all: Vec<Column>,
}

struct Column {
    name: String,
    target: Target,
    takes: String,
}

#[derive(Clone, PartialEq, Debug)]
enum Target {
    Id,
    IdempotencyKey,
    IfVersion,
    Reason,
    OccurredAt,
    Field(Vec<Step>, Kind),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Member(String),
    Item(usize),
}

impl Columns {
    /// Every name is one that the command with that permanent word has, and none is missing.
    pub(super) fn of(aggregate: &str, command: &str, name: &str, names: &[&str]) -> Result<Self, Problem> {
        let fields = Field::of_command(name);
        let mut all: Vec<Column> = Vec::with_capacity(names.len());
        for told in names {
            let column =
                Column::of(told.trim(), &fields).ok_or_else(|| unknown(told.trim(), name, &fields))?;
            if let Some(other) = all.iter().find(|other| other.target.meets(&column.target)) {
                let detail =
                    format!("the columns {:?} and {:?} are for the same field", other.name, column.name);
                return Err(Problem::malformed(column.name, detail));
            }
            all.push(column);
        }
        let begins = |name: &str| {
            let first = |column: &Column| match &column.target {
                Target::Field(way, _) => way.first() == Some(&Step::Member(name.to_owned())),
                _ => false,
            };
            all.iter().any(first)
        };
        if let Some(missing) = fields.required().into_iter().find(|required| !begins(required)) {
            return Err(Problem::malformed(missing, format!("{name} needs {missing}, and no column has it")));
        }
        Ok(Self { aggregate: aggregate.to_owned(), command: command.to_owned(), all })
    }

    /// The item that is made of the texts of one row. An empty one says nothing.
    pub(super) fn item(&self, cells: &[&str]) -> Result<Item, Problem> {
        if cells.len() != self.all.len() {
            let (cells, columns) = (cells.len(), self.all.len());
            let detail = format!("the row has {cells} cells and the header {columns}");
            return Err(Problem::malformed("row", detail));
        }
        let (aggregate, command) = (self.aggregate.clone(), self.command.clone());
        let (id, mut body) = ("-".to_owned(), Value::Object(Map::new()));
        let mut item = Item {
            aggregate,
            id,
            command,
            body: None,
            idempotency_key: None,
            if_version: None,
            reason: None,
            occurred_at: None,
        };
        for (column, cell) in self.all.iter().zip(cells).filter(|(_, cell)| !cell.trim().is_empty()) {
            let text = || Some(cell.trim().to_owned());
            match &column.target {
                Target::Id => cell.trim().clone_into(&mut item.id),
                Target::IdempotencyKey => item.idempotency_key = text(),
                Target::Reason => item.reason = text(),
                Target::OccurredAt => item.occurred_at = text(),
                Target::IfVersion => {
                    item.if_version = Some(cell.trim().parse().map_err(|_| column.misfit())?);
                }
                Target::Field(way, kind) => {
                    put(&mut body, way, kind.value(cell).ok_or_else(|| column.misfit())?);
                }
            }
        }
        close_up(&mut body);
        item.body = Some(body);
        Ok(item)
    }
}

impl Column {
    fn of(name: &str, fields: &Field<'static>) -> Option<Self> {
        let beside = BESIDE.iter().find(|(beside, _)| *beside == name);
        if let Some((_, target)) = beside {
            let takes = if *target == Target::IfVersion { "a whole number" } else { "a text" };
            return Some(Self { name: name.to_owned(), target: target.clone(), takes: takes.to_owned() });
        }
        let (mut field, mut way) = (fields.clone(), Vec::new());
        for step in name.strip_prefix(BODY).unwrap_or(name).split('.') {
            let next = field.step(step)?;
            way.push(match step.parse() {
                Ok(item) if field.is_list() => Step::Item(item),
                _ => Step::Member(step.to_owned()),
            });
            field = next;
        }
        let fits = way.iter().all(|step| !matches!(step, Step::Item(item) if *item >= MOST_ITEMS));
        let target = Target::Field(way, field.kind());
        fits.then(|| Self { name: name.to_owned(), target, takes: field.takes() })
    }

    fn misfit(&self) -> Problem {
        let Self { name, takes, .. } = self;
        Problem::malformed(name.clone(), format!("column {name:?} does not take this; it takes {takes}"))
    }
}

impl Target {
    /// Whether one is the other, or a part of it.
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Field(one, _), Self::Field(other, _)) => {
                let shared = one.len().min(other.len());
                one[..shared] == other[..shared]
            }
            _ => self == other,
        }
    }
}

impl Kind {
    fn value(self, cell: &str) -> Option<Value> {
        match self {
            Self::Text => Some(json!(cell)),
            // Spreadsheets write them in capitals.
            Self::Boolean => Some(json!(cell.trim().to_ascii_lowercase().parse::<bool>().ok()?)),
            Self::Number => serde_json::from_str(cell).ok().filter(Value::is_number),
            Self::Json => {
                serde_json::from_str(cell).ok().filter(|value: &Value| value.is_array() || value.is_object())
            }
        }
    }
}

fn unknown(name: &str, command: &str, fields: &Field<'_>) -> Problem {
    let is_beside = |way: &str| BESIDE.iter().any(|(name, _)| *name == way);
    let ways = fields.ways().into_iter().map(|way| if is_beside(&way) { format!("body.{way}") } else { way });
    let accepted: Vec<String> = BESIDE.iter().map(|(name, _)| (*name).to_owned()).chain(ways).collect();
    let detail = format!("{command} has no field {name:?}; columns are {}", accepted.join(", "));
    let mut problem = Problem::malformed(name, detail);
    problem.more.insert("accepted".to_owned(), json!(accepted));
    problem
}

fn put(at: &mut Value, way: &[Step], value: Value) {
    match way.split_first() {
        None => *at = value,
        Some((Step::Member(name), rest)) => {
            if !at.is_object() {
                *at = json!({});
            }
            put(&mut at[name.as_str()], rest, value);
        }
        Some((Step::Item(place), rest)) => {
            if !at.is_array() {
                *at = json!([]);
            }
            let items = at.as_array_mut().expect("it was made one");
            if items.len() <= *place {
                items.resize(place + 1, Value::Null);
            }
            put(&mut items[*place], rest, value);
        }
    }
}

/// Items of a list that a row says nothing of are none: the others move up.
fn close_up(value: &mut Value) {
    match value {
        Value::Array(items) => {
            items.retain(|item| !item.is_null());
            items.iter_mut().for_each(close_up);
        }
        Value::Object(members) => members.values_mut().for_each(close_up),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;
    use crate::error::Problem;
    use serde_json::{Value, json};

    fn columns(command: &str, names: &[&str]) -> Result<Columns, Problem> {
        Columns::of("company", "create-company", command, names)
    }

    #[test]
    fn cells_become_the_members_that_their_columns_name() {
        let names = [
            "id",
            "name",
            "domains",
            "legal_ids.country",
            "legal_ids.tax_id",
            "override_duplicate",
            "reason",
            "body.reason",
        ];
        let columns = columns("CreateCompany", &names).expect("all of them are fields");
        let cells = ["7", "Acme, Ltd", r#"["a.ge"]"#, "GE", "", "TRUE", "import", "A branch"];
        let item = columns.item(&cells).expect("an item");
        let body = json!({
            "name": "Acme, Ltd",
            "domains": ["a.ge"],
            "legal_ids": { "country": "GE" },
            "override_duplicate": true,
            "reason": "A branch",
        });
        assert_eq!((item.id.as_str(), item.reason.as_deref(), item.body), ("7", Some("import"), Some(body)));
        let item = columns.item(&["", "Acme", "", "", "", "", "", ""]).expect("an item");
        assert_eq!((item.id.as_str(), item.body), ("-", Some(json!({ "name": "Acme" }))));
    }

    #[test]
    fn items_of_a_list_have_columns_and_empty_ones_are_left_out() {
        let names = ["given", "points.0.kind", "points.0.value", "points.1.kind", "points.1.value"];
        let columns = columns("CreateContact", &names).expect("all of them are fields");
        let body =
            |cells: &[&str]| columns.item(cells).expect("an item").body.expect("a body")["points"].clone();
        let mail = json!({ "kind": "email", "value": "n@a.ge" });
        assert_eq!(body(&["Nino", "", "", "email", "n@a.ge"]), json!([mail]));
        assert_eq!(body(&["Nino", "", "", "", ""]), Value::Null);
    }

    #[test]
    fn a_column_that_is_no_field_is_named_with_those_that_are() {
        let problem = columns("CreateCompany", &["name", "nmae"]).err().expect("a problem");
        assert_eq!(problem.field.as_deref(), Some("nmae"));
        assert!(problem.detail.contains("legal_ids.country"), "{}", problem.detail);
        let twice =
            columns("CreateCompany", &["name", "legal_ids", "legal_ids.country"]).err().expect("a problem");
        assert!(twice.detail.contains("the same field"), "{}", twice.detail);
        let missing = columns("CreateCompany", &["domains"]).err().expect("a problem");
        assert_eq!(missing.field.as_deref(), Some("name"));
        for name in ["domains.100", "domains.x", "", "body.", "name.0"] {
            assert!(columns("CreateCompany", &["name", name]).is_err(), "{name}");
        }
    }

    #[test]
    fn a_cell_that_does_not_fit_is_named_by_its_column_and_not_repeated() {
        let columns = columns(
            "CreateTask",
            &["subject", "due.day.date", "due.day.zone", "assignee", "estimate_minutes"],
        );
        let columns = columns.expect("all of them are fields");
        let problem = columns.item(&["S", "2026-01-01", "UTC", "x", "Secret"]).expect_err("no number");
        assert_eq!(problem.detail, "column \"estimate_minutes\" does not take this; it takes a whole number");
        let problem = columns.item(&["S"]).expect_err("too few");
        assert_eq!(problem.detail, "the row has 1 cells and the header 5");
    }
}
