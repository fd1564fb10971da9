//! Somebody goes on vacation: the work goes to a colleague, and comes back.

use super::company::{self, Account, ZONE};
use super::scene::{END, Script};
use crate::ids;
use chrono::{DateTime, Days, TimeDelta, Utc};
use kvali_domain::absence::Kind;
use kvali_domain::deal::{self, External, Open, Party};
use kvali_domain::handover::{self, HandOver, Item, Scope, Work};
use kvali_domain::task::{self, Create};
use kvali_domain::{DealId, Due, HandoverId, Personal, Target, TaskId, user};

pub(crate) fn script() -> Script {
    let mut script = Script::default();
    let (eka, substitute) = (company::away(), company::owner(0));
    let leaves = END - TimeDelta::days(120);
    let back = leaves + TimeDelta::days(14);
    let works: Vec<Work> =
        (0..3).flat_map(|nth| busy(&mut script, nth, leaves - TimeDelta::days(10))).collect();
    let plan = user::Command::PlanAbsence {
        kind: Kind::Vacation,
        from: leaves.date_naive(),
        to: (back - Days::new(1)).date_naive(),
        zone: ZONE,
        substitute: Some(substitute),
    };
    script.tell(leaves - TimeDelta::days(9), eka, eka.stream(), plan);
    let stream = HandoverId(ids::invented("handover", "vacation")).stream();
    let items = works.iter().map(|work| Item { work: *work, to: substitute }).collect();
    let (scope, reason) = (Scope::All, Personal::new("Vacation"));
    let hand_over = HandOver { from: eka, scope, items, return_after: true, reason };
    script.tell(leaves, company::head(), stream, handover::Command::HandOver(hand_over));
    let minutes = TimeDelta::minutes(5);
    script.tell(leaves + minutes, eka, eka.stream(), user::Command::StartAbsence { absence: 1 });
    script.tell(back, eka, eka.stream(), user::Command::EndAbsence { absence: 1 });
    let returned = handover::Command::Return { items: works.clone(), confirmed: false };
    script.tell(back + minutes, company::head(), stream, returned);
    for work in works {
        if let Work::Deal(deal) = work {
            let close = deal::Command::CloseLost {
                reason: Some(company::reason("bad_timing")),
                stage: None,
                comment: Personal::default(),
                pipeline_version: None,
            };
            script.tell(back + TimeDelta::days(5), eka, deal.stream(), close);
        }
    }
    script
}

/// A deal and a task about it, both Eka's.
fn busy(script: &mut Script, nth: usize, at: DateTime<Utc>) -> [Work; 2] {
    let eka = company::away();
    let account = Account { customer: nth, branch: 0 };
    let external = External { source: "demo".to_owned(), id: format!("E-{:05}", nth + 1) };
    let deal: DealId = ids::deal("demo", &external.id);
    let task = TaskId(ids::invented("task of absence", &external.id));
    let open = Open {
        party: Some(Party::Company(account.id())),
        party_name: Personal::new(account.name()),
        owner: Some(eka),
        external: Some(external),
        ..Open::new(company::pipeline())
    };
    script.tell(at, eka, deal.stream(), deal::Command::Open(open));
    let due = Due::At(at + TimeDelta::days(30));
    let create = Create {
        targets: vec![Target::Deal(deal)],
        ..Create::new(Personal::new("Ask for the date of the decision"), due, eka)
    };
    script.tell(at, eka, task.stream(), task::Command::Create(create));
    [Work::Deal(deal), Work::Task(task)]
}
