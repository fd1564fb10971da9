//! Random commands for users' absences, teams, calendars and hand-overs.

use crate::dealing;
use crate::given::on;
use crate::sales::{CALENDAR, COMPANY, DEAL, HANDOVER, LEAD, NOW, REGION, TASK, TEAM};
use crate::stories::{DEALS, SECRET, a_name, a_personal, a_user};
use chrono::{NaiveDate, TimeDelta, Weekday};
use chrono_tz::Tz;
use kvali_domain::absence::Kind;
use kvali_domain::access::{self, ApiKeyIssued, Role};
use kvali_domain::handover::{self, HandOver, Item, Scope, Work};
use kvali_domain::{
    ApiKeyId, ContentHash, HandoverId, LeadId, Order, Personal, TaskId, TeamId, calendar, team, user,
};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub(crate) fn an_order() -> BoxedStrategy<Order> {
    prop_oneof![
        3 => (a_team(), a_team_command()).prop_map(|(team, command)| on(team.stream(), command)),
        2 => an_access_command().prop_map(|command| on(access::STREAM, command)),
        1 => a_calendar_command().prop_map(|command| on(CALENDAR.stream(), command)),
        6 => (select(HANDOVERS.to_vec()), a_handover_command()).prop_map(|(id, command)| on(id.stream(), command)),
    ]
    .boxed()
}

pub(crate) const HANDOVERS: [HandoverId; 3] =
    [HANDOVER, HandoverId(Uuid::from_u128(0x4a01)), HandoverId(Uuid::from_u128(0x4a02))];

pub(crate) fn a_mail() -> impl Strategy<Value = Personal> {
    select(vec!["nino@example.com", " Nino@Example.com", "nino@", "@example.com", "nino", ""])
        .prop_map(|mail| Personal::new(mail.replace("nino", SECRET)))
}

fn a_day() -> impl Strategy<Value = NaiveDate> {
    prop_oneof![
        20 => (0_u64..60).prop_map(|days| NOW.date_naive() + chrono::Days::new(days)),
        1 => select(vec![NaiveDate::MIN, NaiveDate::MAX]),
    ]
}

fn a_zone() -> impl Strategy<Value = Tz> {
    select(vec![chrono_tz::Asia::Tbilisi, chrono_tz::Europe::Berlin, chrono_tz::Pacific::Kiritimati])
}

pub(crate) fn an_absence_command() -> impl Strategy<Value = user::Command> {
    use user::Command;
    let number = || prop_oneof![6 => Just(1), 3 => 0_i32..5, 1 => any::<i32>()];
    let kind = select(vec![Kind::Vacation, Kind::Sickness, Kind::Other]);
    let plan = (kind, a_day(), -1_i64..4, a_zone(), prop::option::of(a_user()));
    let work = select(vec![user::WorkKind::Deals, user::WorkKind::Leads, user::WorkKind::Tasks]);
    let capacity = (work, select(vec![user::Period::Day, user::Period::Week]), -1_i32..3);
    prop_oneof![
        2 => plan.prop_map(|(kind, from, days, zone, substitute)| {
            let to = from.checked_add_signed(TimeDelta::days(days)).unwrap_or(from);
            Command::PlanAbsence { kind, from, to, zone, substitute }
        }),
        2 => number().prop_map(|absence| Command::StartAbsence { absence }),
        4 => number().prop_map(|absence| Command::EndAbsence { absence }),
        2 => number().prop_map(|absence| Command::CancelAbsence { absence }),
        1 => capacity.prop_map(|(work, period, count)| Command::SetCapacity { work, period, count }),
    ]
}

pub(crate) fn a_team() -> impl Strategy<Value = TeamId> {
    select(vec![TEAM, REGION, COMPANY])
}

pub(crate) fn a_team_command() -> impl Strategy<Value = team::Command> {
    use team::Command;
    prop_oneof![
        2 => (a_name(), prop::option::weighted(0.3, a_team()))
            .prop_map(|(name, parent)| Command::Create { name, parent }),
        1 => a_name().prop_map(|name| Command::Rename { name }),
        1 => a_user().prop_map(|member| Command::AddMember { member }),
        1 => a_user().prop_map(|member| Command::RemoveMember { member }),
        1 => a_user().prop_map(|manager| Command::SetManager { manager }),
        3 => prop::collection::vec(a_team(), 0..3).prop_map(|chain| Command::SetParent { chain }),
    ]
}

pub(crate) fn a_calendar_command() -> impl Strategy<Value = calendar::Command> {
    use calendar::{Command, Interval};
    let day = select(vec![Weekday::Mon, Weekday::Sun]);
    let interval = (day, select(vec![0, 540, 600, -1]), select(vec![600, 700, 1440, 1441]));
    let interval = interval.prop_map(|(day, start, end)| Interval { day, start, end });
    prop_oneof![
        (a_name(), a_zone(), prop::collection::vec(interval, 0..3))
            .prop_map(|(name, zone, week)| Command::Define { name, zone, week }),
        (a_day(), a_name()).prop_map(|(date, name)| Command::AddHoliday { date, name }),
    ]
}

fn a_work() -> impl Strategy<Value = Work> {
    prop_oneof![
        4 => select(vec![Work::Deal(dealing::BEGUN), Work::Lead(LEAD), Work::Task(TASK)]),
        2 => select(DEALS.to_vec()).prop_map(Work::Deal),
        1 => select(vec![Work::Lead(LeadId(DEAL.0)), Work::Task(TaskId(DEAL.0))]),
    ]
}

pub(crate) fn a_handover_command() -> impl Strategy<Value = handover::Command> {
    use handover::Command;
    let item = || (a_work(), a_user()).prop_map(|(work, to)| Item { work, to });
    let items = prop_oneof![5 => prop::collection::vec(item(), 1), 1 => prop::collection::vec(item(), 0..3)];
    let works =
        prop_oneof![5 => prop::collection::vec(a_work(), 1), 1 => prop::collection::vec(a_work(), 0..3)];
    let scope = select(vec![Scope::All, Scope::Selected]);
    prop_oneof![
        (a_user(), scope, items, any::<bool>(), a_personal()).prop_map(
            |(from, scope, items, return_after, reason)| {
                Command::HandOver(HandOver { from, scope, items, return_after, reason })
            }
        ),
        (works, prop::bool::weighted(0.7))
            .prop_map(|(items, confirmed)| Command::Return { items, confirmed }),
    ]
}

pub(crate) fn key_of(key: ApiKeyId, role: Role) -> ApiKeyIssued {
    let digest = ContentHash::parse(&"0c".repeat(32)).expect("64 hexadecimal digits");
    ApiKeyIssued { key, name: "Till".to_owned(), role, owner: None, digest, expires: None, scopes: None }
}

pub(crate) fn an_access_command() -> impl Strategy<Value = access::Command> {
    use access::Command;
    let role = || select(vec![Role::Admin, Role::Sales]);
    let key = || select(vec![ApiKeyId(DEAL.0), ApiKeyId(LEAD.0)]);
    prop_oneof![
        3 => (a_user(), role()).prop_map(|(user, role)| Command::GrantRole { user, role }),
        2 => (a_user(), role()).prop_map(|(user, role)| Command::RevokeRole { user, role }),
        2 => (key(), role(), prop::option::of(a_user()))
            .prop_map(|(key, role, owner)| Command::IssueApiKey(ApiKeyIssued { owner, ..key_of(key, role) })),
        1 => key().prop_map(|key| Command::RevokeApiKey { key }),
    ]
}
