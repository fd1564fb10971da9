//! A row that is understood, before it is known which record it is about.

use super::custom::Fields;
use super::held::Held;
use super::refer::Named;
use super::{companies, contacts, deal_contacts, leads, tasks, users};
use crate::edge;
use crate::failure::Failure;
use crate::ids;
use crate::import::records::{RecordRow, RecordRows};
use crate::import::{Kind, RecordsMap, RowProblem};
use chrono_tz::Tz;
use kvali_domain::country::Country;
use kvali_domain::deal::External;
use kvali_domain::{Claim, Command, Condition, Event, Facts, Given, Refusal, State, StreamId};
use kvali_eventstore::Choice;
use uuid::Uuid;

/// What a part does in the state that it finds.
pub(super) type Choose = Box<dyn Fn(&State) -> Choice + Send + Sync>;

/// A row that is understood.
pub(super) struct Draft {
    pub(super) row: RecordRow,
    /// What the record would claim for itself alone, each with the key of its cell.
    pub(super) claims: Vec<(Claim, &'static str)>,
    pub(super) build: Box<dyn FnOnce(Known<'_>) -> Record + Send>,
}

/// What is known of the record when its commands are made.
pub(super) struct Known<'a> {
    pub(super) stream: StreamId,
    pub(super) external: External,
    pub(super) named: Named,
    /// Duplicates are meant.
    pub(super) keep: bool,
    pub(super) held: &'a Held,
}

impl Known<'_> {
    /// Whether the record is to hold a key that another one holds.
    pub(super) fn overrides(&self, claims: &[(Claim, &'static str)]) -> bool {
        self.keep && claims.iter().any(|(claim, _)| self.held.other(claim, self.stream).is_some())
    }

    pub(super) fn has(&self, claim: &Claim) -> bool {
        self.held.has(self.stream, claim)
    }
}

/// A row as commands.
pub(super) struct Record {
    /// The state before the record is created.
    pub(super) before: State,
    /// `None`: the row says something of a record that is there already.
    pub(super) create: Option<Command>,
    pub(super) parts: Vec<Part>,
}

/// One thing that a row says of its record.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// The cell to look at when it is refused.
    pub(super) key: String,
    /// What makes it the same part when it comes again.
    pub(super) content: Vec<String>,
    /// Whether the creation says it too.
    pub(super) carried: bool,
    pub(super) choose: Choose,
}

impl Part {
    pub(super) fn new(
        name: &'static str,
        content: &[&str],
        choose: impl Fn(&State) -> Choice + Send + Sync + 'static,
    ) -> Self {
        let content = content.iter().map(|text| (*text).to_owned()).collect();
        Self { name, key: name.to_owned(), content, carried: false, choose: Box::new(choose) }
    }

    /// One command whatever the state; the rules find out if it is so already.
    pub(super) fn always(name: &'static str, content: &[&str], command: impl Into<Command>) -> Self {
        let command = command.into();
        Self::new(name, content, move |_| Choice::Do(command.clone()))
    }

    pub(super) fn carried(self) -> Self {
        Self { carried: true, ..self }
    }

    pub(super) fn at(self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self }
    }
}

/// `Do`, unless it is so.
pub(super) fn unless(so: bool, command: impl Into<Command>) -> Choice {
    if so { Choice::AlreadySo(command.into()) } else { Choice::Do(command.into()) }
}

/// What holds for all rows of a file.
pub(super) struct Setting {
    pub(super) region: Option<Country>,
    pub(super) zone: Tz,
    pub(super) fields: Fields,
}

impl Setting {
    pub(super) fn new(map: &RecordsMap, fields: Fields) -> Result<Self, Failure> {
        let parse = |code: &String| {
            Country::parse(code).ok_or_else(|| {
                Failure::Impossible(format!(
                    "the map says region = {code:?}: write the code of a country in two capital letters, such as \"GE\""
                ))
            })
        };
        Ok(Self { region: map.region.as_ref().map(parse).transpose()?, zone: map.dates.zone(), fields })
    }
}

pub(super) fn draft(
    kind: Kind,
    row: RecordRow,
    setting: &Setting,
    file: &mut RecordRows<'_>,
) -> Result<Draft, RowProblem> {
    match kind {
        Kind::Companies => companies::draft(row, setting, file),
        Kind::Contacts => contacts::draft(row, setting, file),
        Kind::Leads => leads::draft(row, setting, file),
        Kind::Tasks => tasks::draft(row, setting, file),
        Kind::Users => users::draft(row, file),
        Kind::DealContacts => deal_contacts::draft(row, file),
    }
}

/// The claims that creating a record would make, found by trying it on nothing; none where the rules refuse it, which
/// they will say again when it is sent.
/// `key` tells the cell of a claim, of a contact point by the number of the point.
pub(super) fn claims(
    create: &Command,
    key: impl Fn(&Claim, usize) -> &'static str,
) -> Vec<(Claim, &'static str)> {
    let events = tried(create).unwrap_or_default();
    let mut points = 0;
    let mut claims = Vec::new();
    for event in &events {
        points += usize::from(is_point(event));
        let taken = event.claims().into_iter().filter(|claim| claim.condition == Condition::Take);
        claims.extend(taken.map(|claim| {
            let key = key(&claim, points);
            (claim, key)
        }));
    }
    claims
}

/// What creating a record comes to where there is nothing else.
pub(super) fn tried(create: &Command) -> Result<Vec<Event>, Refusal> {
    let given = Given {
        stream: StreamId(Uuid::nil()),
        actor: ids::importer(),
        now: edge::now(),
        occurred: None,
        reason_code: None,
        facts: &Facts::default(),
    };
    State::before(create).decide(create, &given)
}

impl Record {
    /// Whether a creation is refused because it does not tell who is to be created.
    pub(super) fn says_not_who(&self) -> bool {
        let code = self.create.as_ref().and_then(|create| tried(create).err()).map(|refusal| refusal.code());
        matches!(code.as_deref(), Some("blank_name" | "no_identifier" | "nothing_known"))
    }
}

fn is_point(event: &Event) -> bool {
    use kvali_domain::{contact, lead};
    matches!(event, Event::Contact(contact::Event::PointAdded(_)) | Event::Lead(lead::Event::PointAdded(_)))
}
