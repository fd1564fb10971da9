//! How the company sets itself up: people, teams, working time, dictionaries, pipelines.

use super::company::{self, AWAY, HEAD, LOSS_REASONS, OWNERS, SOURCES, STAGES, StageRow, TAGS, ZONE};
use super::scene::{START, Script};
use crate::ids;
use chrono::{Datelike, Months, NaiveDate, Weekday};
use kvali_domain::access::{self, Role};
use kvali_domain::calendar::{self, Interval};
use kvali_domain::fields::{self, Entity, FieldOption, FieldType};
use kvali_domain::funnel::{self, Corrections, Definition, PopulationKind, Rule, Start, Step};
use kvali_domain::money::Currency;
use kvali_domain::pipeline::{self, Class, Clock, ForecastCategory, Policy, Requirement, Stage};
use kvali_domain::{
    CalendarId, Command, FieldId, FunnelId, Personal, PipelineId, StreamId, TeamId, UserId, activity_types,
    exchange_rates, loss_reasons, match_rule, sources, tags, task_templates, team, user,
};
use kvali_projections::duplicate_candidates::{Rarity, Weights, rule};
use rust_decimal::Decimal;

pub(crate) fn script() -> Script {
    let mut script = Script::default();
    let mut tell = |stream: StreamId, command: Command| script.tell(START, ids::operator(), stream, command);
    people(&mut tell);
    teams(&mut tell);
    working_time(&mut tell);
    dictionaries(&mut tell);
    custom_fields(&mut tell);
    build(&mut tell, company::PIPELINE, &STAGES);
    build(&mut tell, company::RECYCLE, &company::RECYCLE_STAGES);
    requirements(&mut tell);
    tell(match_rule::STREAM, shipped_match_rule());
    tell(FunnelId(ids::invented("funnel", company::FUNNEL)).stream(), quarterly_funnel());
    exchange_rates_of_two_years(&mut script);
    script
}

/// As if nothing were said of it; said so that it has a version to compare later ones with.
fn shipped_match_rule() -> Command {
    let (weights, rarity) = (Weights::shipped(), Rarity::default());
    match_rule::Command::Define(rule(&weights, &rarity, None)).into()
}

/// How far deals come within a quarter; talking of needs is one step.
fn quarterly_funnel() -> Command {
    let step = |name: &str, stages: &[usize]| Step {
        name: name.to_owned(),
        stages: stages.iter().map(|stage| company::stage(*stage)).collect(),
    };
    let definition = Definition {
        pipeline: company::pipeline(),
        steps: vec![step("Lead", &[0]), step("Needs", &[1, 2]), step("Offer", &[3]), step("Won", &[5])],
        rule: Rule::Ordered,
        window: "90d".parse().ok(),
        start: Start::First,
        population: PopulationKind::All,
        corrections: Corrections::Effective,
        impute_lost: false,
    };
    funnel::Command::Define { name: company::FUNNEL.to_owned(), definition }.into()
}

fn people(tell: &mut impl FnMut(StreamId, Command)) {
    for (at, (name, _)) in OWNERS.iter().enumerate() {
        let user = company::owner(at);
        tell(user.stream(), user::Command::Register { user, name: Personal::new(*name) }.into());
        let (work, period) = (user::WorkKind::Tasks, user::Period::Day);
        tell(user.stream(), user::Command::SetCapacity { work, period, count: 8 }.into());
        tell(access::STREAM, access::Command::GrantRole { user, role: Role::Sales }.into());
    }
    for ((name, mail), user) in [(HEAD, company::head()), (AWAY, company::away())] {
        let (name, mail) = (Personal::new(name), Personal::new(mail));
        tell(user.stream(), user::Command::Invite { user, name, mail }.into());
        tell(user.stream(), user::Command::Activate {}.into());
    }
}

fn teams(tell: &mut impl FnMut(StreamId, Command)) {
    let id = |name: &str| TeamId(ids::invented("team", name));
    let owners = |range: std::ops::Range<usize>| range.map(company::owner).collect::<Vec<_>>();
    let all: [(&str, Option<&str>, Vec<UserId>); 3] = [
        ("Sales", None, vec![company::head()]),
        ("New business", Some("Sales"), owners(0..5)),
        ("Second chance", Some("Sales"), [owners(5..8), vec![company::away()]].concat()),
    ];
    for (name, parent, members) in all {
        let stream = id(name).stream();
        tell(stream, team::Command::Create { name: name.to_owned(), parent: parent.map(id) }.into());
        tell(stream, team::Command::SetManager { manager: company::head() }.into());
        for member in members {
            tell(stream, team::Command::AddMember { member }.into());
        }
    }
}

fn working_time(tell: &mut impl FnMut(StreamId, Command)) {
    let stream = CalendarId(ids::invented("calendar", "Tbilisi")).stream();
    let days = [Weekday::Mon, Weekday::Tue, Weekday::Wed, Weekday::Thu, Weekday::Fri];
    let week = days.map(|day| Interval { day, start: 10 * 60, end: 19 * 60 }).to_vec();
    tell(stream, calendar::Command::Define { name: "Tbilisi".to_owned(), zone: ZONE, week }.into());
    for year in [2024, 2025] {
        for (month, day, name) in [(1, 1, "New Year"), (5, 26, "Independence Day"), (11, 23, "Giorgoba")] {
            let Some(date) = NaiveDate::from_ymd_opt(year, month, day) else { continue };
            tell(stream, calendar::Command::AddHoliday { date, name: name.to_owned() }.into());
        }
    }
}

fn dictionaries(tell: &mut impl FnMut(StreamId, Command)) {
    for (_, (code, label)) in LOSS_REASONS {
        let (reason, pipelines) = (company::reason(code), Vec::new());
        let (code, label) = (code.to_owned(), label.to_owned());
        tell(loss_reasons::STREAM, loss_reasons::Command::Define { reason, code, label, pipelines }.into());
    }
    for (_, (code, label, channel)) in SOURCES {
        let (source, code, label) = (company::source(code), code.to_owned(), label.to_owned());
        tell(sources::STREAM, sources::Command::Define { source, code, label, channel }.into());
    }
    for name in TAGS {
        let tag = company::tag(name);
        tell(tags::STREAM, tags::Command::Define { tag, name: name.to_owned() }.into());
    }
    let types = [
        ("call", "Call", activity_types::Kind::Task, false),
        ("offer", "Offer", activity_types::Kind::Task, true),
        ("interested", "Interested", activity_types::Kind::Call, false),
        ("call_again", "Call again", activity_types::Kind::Call, false),
        ("no_need", "No need", activity_types::Kind::Call, false),
    ];
    for (code, label, kind, result_required) in types {
        let define = activity_types::Command::Define {
            activity_type: company::activity_type(code),
            code: code.to_owned(),
            label: label.to_owned(),
            kind,
            result_required,
            minimum_lead_minutes: 60,
        };
        tell(activity_types::STREAM, define.into());
    }
}

/// Key and label of each.
type Options = &'static [(&'static str, &'static str)];

fn custom_fields(tell: &mut impl FnMut(StreamId, Command)) {
    let choices: [(Entity, &str, &str, Options); 3] = [
        (Entity::Deal, "contract", "Contract", &[("one_off", "Once"), ("yearly", "Yearly")]),
        (
            Entity::Company,
            "industry",
            "Industry",
            &[("trade", "Trade"), ("food", "Food"), ("travel", "Travel")],
        ),
        (Entity::Contact, "language", "Language", &[("ka", "Georgian"), ("en", "English"), ("de", "German")]),
    ];
    for (entity, key, label, options) in choices {
        let option =
            |(key, label): &(&str, &str)| FieldOption { key: (*key).to_owned(), label: (*label).to_owned() };
        let options = options.iter().map(option).collect();
        tell(fields::STREAM, define(company::field(key), entity, key, label, FieldType::Choice, options));
    }
    let team = define(company::field("staff"), Entity::Lead, "staff", "Staff", FieldType::Number, Vec::new());
    tell(fields::STREAM, team);
}

fn define(
    field: FieldId,
    entity: Entity,
    key: &str,
    label: &str,
    kind: FieldType,
    options: Vec<FieldOption>,
) -> Command {
    let (key, label) = (key.to_owned(), label.to_owned());
    let (default, class) = (None, fields::Classification::default());
    fields::Command::Define { field, entity, key, label, kind, options, default, class }.into()
}

/// Strict: forward only, one stage at a time, and what is closed stays closed.
fn build(tell: &mut impl FnMut(StreamId, Command), name: &str, rows: &[StageRow]) {
    let pipeline: PipelineId = ids::pipeline(name);
    let stream = pipeline.stream();
    let stage = |row: &StageRow| Stage {
        id: ids::stage(pipeline, row.name),
        name: row.name.into(),
        class: row.class,
    };
    let create = pipeline::Command::Create {
        name: name.to_owned(),
        stages: rows.iter().map(stage).collect(),
        entry_stages: Vec::new(),
        policy: Policy::default(),
    };
    tell(stream, create.into());
    for row in rows {
        let stage = ids::stage(pipeline, row.name);
        let probability = row.probability;
        let category = match (row.class, probability) {
            (Class::Success, _) => ForecastCategory::Closed,
            (Class::Failure, _) => ForecastCategory::Omitted,
            (Class::Process, 80..) => ForecastCategory::Commit,
            (Class::Process, 40..) => ForecastCategory::BestCase,
            (Class::Process, _) => ForecastCategory::Pipeline,
        };
        tell(stream, pipeline::Command::SetForecast { stage, probability, category }.into());
        if row.max_days.is_some() {
            let (max_days, idle_days, clock) = (row.max_days, None, Clock::Calendar);
            tell(stream, pipeline::Command::SetLimits { stage, max_days, idle_days, clock }.into());
        }
        if !row.hint.is_empty() {
            tell(stream, pipeline::Command::SetHint { stage, hint: row.hint.to_owned() }.into());
        }
        if let Some((subject, offset_days)) = row.task {
            let template = company::template(subject);
            let define = task_templates::Command::Define {
                template,
                subject: subject.to_owned(),
                activity_type: company::activity_type(if subject.contains("offer") {
                    "offer"
                } else {
                    "call"
                }),
                offset_days,
                clock: Clock::Calendar,
            };
            tell(task_templates::STREAM, define.into());
            tell(stream, pipeline::Command::SetTaskTemplates { stage, templates: vec![template] }.into());
        }
    }
}

/// What an offer and a contract need; and where lost deals go.
fn requirements(tell: &mut impl FnMut(StreamId, Command)) {
    let stream = company::pipeline().stream();
    let contract = Requirement::Field(company::field("contract"));
    for (at, entry) in
        [(3, vec![Requirement::Value]), (4, vec![Requirement::Value, Requirement::ExpectedClose, contract])]
    {
        let (stage, exit) = (company::stage(at), vec![Requirement::Owner]);
        tell(stream, pipeline::Command::SetRequirements { stage, entry, exit }.into());
    }
    tell(stream, pipeline::Command::LinkRecycle { to: company::recycle() }.into());
}

fn exchange_rates_of_two_years(script: &mut Script) {
    let currency = |code: &str| Currency::parse(code).expect("three capitals");
    for month in 0..24 {
        let Some(at) = START.checked_add_months(Months::new(month)) else { continue };
        for (code, tetri) in [("USD", 268), ("EUR", 292)] {
            let rate = Decimal::new(tetri + i64::from(at.month() % 7), 2);
            let (from, to, effective) = (currency(code), currency("GEL"), at.date_naive());
            let set = exchange_rates::Command::Set { from, to, rate, effective };
            script.tell(at, ids::operator(), exchange_rates::STREAM, set);
        }
    }
}
