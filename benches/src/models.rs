//! (f) Rebuild of every read model, or of those that are named, against COPY of the same events out of the log.

use crate::ground::Ground;
use crate::measure::{Leg, Pair};
use crate::sales::{LEAD, OFFER, Sales, new_id, now};
use crate::{Scale, raw};
use chrono::Days;
use kvali_domain::contact_point::{self, ContactPoint};
use kvali_domain::deal;
use kvali_domain::money::Currency;
use kvali_domain::task::{self, Create};
use kvali_domain::{
    Command, ContactId, DealId, Due, Money, Order, Personal, StreamId, Target, TaskId, contact,
};
use kvali_eventstore::project::Projection;
use kvali_eventstore::{Outcome, Plan};
use sqlx::Executor;
use std::sync::Arc;
use std::time::Instant;

/// What one customer leaves in the log: a contact and its mail address; a deal, four times moved, and its value; a task,
/// put off once, and done.
const EVENTS: usize = 10;
/// Customers whose events lie side by side in the log.
const SIDE_BY_SIDE: usize = 2_000;

pub async fn run(ground: &Ground, scale: Scale, models: &[Arc<dyn Projection>]) {
    let customers = scale.replay / EVENTS;
    println!(
        "(f) {} events of {customers} contacts, their deals and their tasks, one tenant; raw is",
        scale.replay
    );
    println!("    COPY … TO STDOUT BINARY of these events in order of position, not decoded.");
    let sales = Sales::set_up(&ground.store).await;
    for start in (0..customers).step_by(SIDE_BY_SIDE) {
        fill(&sales, start..customers.min(start + SIDE_BY_SIDE)).await;
    }
    let mut connection = ground.connect().await;
    connection.execute("vacuum analyze kvali.event").await.expect("a superuser may say so");
    let ordered =
        format!("(select * from kvali.event where tenant_id = '{}' order by position)", sales.tenant);
    for model in models {
        let mut pair = Pair::default();
        for _ in 0..scale.rounds {
            ground.settle().await;
            let start = Instant::now();
            raw::copy_out(&mut connection, &ordered).await;
            let raw = Leg::of(scale.replay, start.elapsed());
            let start = Instant::now();
            ground.store.rebuild(model.clone(), &|_, _| {}).await.expect("the read model is rebuilt");
            pair.push(raw, Leg::of(scale.replay, start.elapsed()));
        }
        pair.print(&format!("(f) rebuild of {}", model.name()));
    }
}

async fn fill(sales: &Sales, customers: std::ops::Range<usize>) {
    let customers: Vec<Customer> = customers.map(Customer::new).collect();
    for act in ACTS {
        let plans: Vec<Plan> = customers.iter().map(|customer| sales.plan(act(sales, customer))).collect();
        let outcomes = sales.store.handle_all(sales.tenant, &plans).await.expect("the batch is appended");
        let refused = outcomes.iter().find(|outcome| !matches!(outcome, Outcome::Accepted(_)));
        assert!(refused.is_none(), "{refused:?}");
    }
}

struct Customer {
    nth: usize,
    contact: ContactId,
    deal: DealId,
    task: TaskId,
}

impl Customer {
    fn new(nth: usize) -> Self {
        Self { nth, contact: ContactId(new_id()), deal: DealId(new_id()), task: TaskId(new_id()) }
    }
}

fn due_in(days: u64) -> Due {
    let date = now().date_naive().checked_add_days(Days::new(days)).expect("the calendar goes on");
    Due::Day { date, zone: chrono_tz::Asia::Tbilisi }
}

const ACTS: [fn(&Sales, &Customer) -> Order; 9] = [
    |_, customer| order(customer.contact.stream(), created(customer)),
    |sales, customer| sales.open_with(customer.deal, customer.contact),
    |sales, customer| order(customer.task.stream(), planned(sales, customer)),
    |_, customer| Sales::move_to(customer.deal, OFFER),
    |_, customer| order(customer.deal.stream(), deal::Command::SetValue { value: worth(customer) }),
    |_, customer| Sales::move_to(customer.deal, LEAD),
    |_, customer| {
        let later = task::Command::Reschedule { due: due_in(9), reason: Personal::default() };
        order(customer.task.stream(), later)
    },
    |_, customer| Sales::move_to(customer.deal, OFFER),
    |_, customer| {
        order(customer.task.stream(), task::Command::Complete { result: Personal::new("they like it") })
    },
];

fn order(stream: StreamId, command: impl Into<Command>) -> Order {
    Order { stream, command: command.into() }
}

fn created(customer: &Customer) -> contact::Command {
    let nth = customer.nth;
    let mail = ContactPoint {
        kind: contact_point::Kind::Email,
        value: Personal::new(format!("{}.{nth}@example.org", FAMILY[nth % FAMILY.len()].to_lowercase())),
        region: None,
    };
    contact::Command::Create(contact::Create {
        given: Personal::new(GIVEN[nth % GIVEN.len()]),
        family: Personal::new(FAMILY[nth / GIVEN.len() % FAMILY.len()]),
        points: vec![mail],
        ..contact::Create::default()
    })
}

fn planned(sales: &Sales, customer: &Customer) -> task::Command {
    let mut create = Create::new(Personal::new("Call back"), due_in(3), sales.owner());
    create.targets = vec![Target::Deal(customer.deal)];
    task::Command::Create(create)
}

fn worth(customer: &Customer) -> Money {
    Money {
        amount: (100 + customer.nth % 9_000).into(),
        currency: Currency::parse("GEL").expect("three capitals"),
    }
}

const GIVEN: [&str; 12] =
    ["Nino", "Giorgi", "Ana", "Luka", "Mariam", "Davit", "Tamar", "Irakli", "Anna", "Peter", "Olga", "Yusuf"];
const FAMILY: [&str; 17] = [
    "Abashidze",
    "Beridze",
    "Kapanadze",
    "Gelashvili",
    "Maisuradze",
    "Giorgadze",
    "Lomidze",
    "Smith",
    "Miller",
    "Petrova",
    "Ivanova",
    "Yilmaz",
    "Schmidt",
    "Weber",
    "Novak",
    "Kowalska",
    "Rossi",
];
