//! Rules that span streams hold whoever is quicker: claims, conditions, and commands that reach other streams.

use kvali_domain::contact_point::{ContactPoint, Kind};
use kvali_domain::pipeline::{self, Policy};
use kvali_domain::{
    Command, ContactId, DealId, Due, Event, LeadId, NoteId, Personal, State, StreamId, SubjectId, Target,
    TaskId, TenantId, UserId, contact, deal, lead, merge, note, task, user,
};
use kvali_eventstore::{Answer, Outcome, Store};
use kvali_tests::samples::{CONTRACT, LEAD, OFFER, REPAIR, Sales, move_to, transfer};
use kvali_tests::{Database, accepted, envelope, new_id, now, order, refused, tenant};

const MAIL: &str = "Tamar.Unmistakable@Example.ge";

async fn send(store: &Store, stream: StreamId, command: impl Into<Command>) -> Outcome {
    store.handle(order(stream, command), envelope(tenant(1))).await.expect("the store answers")
}

async fn done(store: &Store, stream: StreamId, command: impl Into<Command>) -> Answer {
    accepted(Ok(send(store, stream, command).await))
}

fn by_mail() -> contact::Create {
    let point = ContactPoint { kind: Kind::Email, value: Personal::new(MAIL), region: None };
    contact::Create { points: vec![point], ..contact::Create::default() }
}

async fn a_user(store: &Store) -> UserId {
    let user = UserId(new_id());
    done(store, user.stream(), user::Command::Register { user, name: Personal::new("Nino") }).await;
    user
}

async fn a_task(store: &Store, assignee: UserId, deal: DealId) -> TaskId {
    let task = TaskId(new_id());
    let due = Due::At(now() + chrono::TimeDelta::days(3));
    let create = task::Create {
        targets: vec![Target::Deal(deal)],
        ..task::Create::new(Personal::new("call"), due, assignee)
    };
    done(store, task.stream(), task::Command::Create(create)).await;
    task
}

fn complete() -> task::Command {
    task::Command::Complete { result: Personal::default() }
}

fn is_accepted(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Accepted(_))
}

async fn types(store: &Store, tenant: TenantId) -> Vec<String> {
    let events = store.read(tenant, 0, 10_000).await.expect("the log is read");
    events.into_iter().map(|event| event.event_type).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_contacts_with_one_mail_address_created_at_once_one_is() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let store = stores[n % 2].clone();
            tokio::spawn(async move {
                let created = contact::Command::Create(by_mail());
                send(&store, ContactId(new_id()).stream(), created).await
            })
        })
        .collect();
    let mut created = 0;
    for task in tasks {
        match task.await.unwrap() {
            Outcome::Accepted(_) => created += 1,
            Outcome::Refused(refusal) => {
                assert_eq!(refusal.code(), "taken");
                assert!(!refusal.to_string().to_lowercase().contains("tamar"), "{refusal}");
            }
            Outcome::Reused => panic!("every command has an id of its own"),
        }
    }
    assert_eq!(created, 1);
    let meant = contact::Create { override_duplicate: true, reason: Personal::new("twins"), ..by_mail() };
    done(&stores[0], ContactId(new_id()).stream(), contact::Command::Create(meant)).await;
    let told = database.rows("kvali").await.into_iter().any(|row| row.to_lowercase().contains("tamar"));
    assert!(!told, "no table holds the address in clear");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_point_is_let_go_of_by_its_own_value_only() {
    let database = Database::create().await;
    let store = database.connect().await;
    let (anna, boris) = (ContactId(new_id()), ContactId(new_id()));
    let named = contact::Create { full: Personal::new("Anna"), ..by_mail() };
    done(&store, anna.stream(), contact::Command::Create(named)).await;
    let remove =
        |value: &str| contact::Command::RemovePoint { point: 1, value: Personal::new(value), region: None };
    let words = refused(Ok(send(&store, anna.stream(), remove("somebody@else.ge")).await));
    assert!(words.contains("not the value"), "{words}");
    done(&store, anna.stream(), remove(" mailto:tamar.unmistakable@example.ge ")).await;
    done(&store, boris.stream(), contact::Command::Create(by_mail())).await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_merges_of_one_contact_one_takes_place() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let named =
        || contact::Command::Create(contact::Create { full: Personal::new("Anna"), ..Default::default() });
    for round in 0..8 {
        let [one, other, twin] = [(); 3].map(|()| ContactId(new_id()));
        for contact in [one, other, twin] {
            done(&stores[0], contact.stream(), named()).await;
        }
        let merge = |survivor: ContactId| {
            let seen = [survivor, twin].map(|id| merge::Seen { id, version: 1 });
            let choices = vec![merge::Choice { field: "name".to_owned(), from: survivor }];
            contact::Command::Merge(merge::Merge { losers: vec![twin], seen: seen.to_vec(), choices })
        };
        // Into two others, and in half of the rounds into each other.
        let second = if round % 2 == 0 { (other, merge(other)) } else { (twin, crossed(one, twin)) };
        let (a, b) = tokio::join!(
            send(&stores[0], one.stream(), merge(one)),
            send(&stores[1], second.0.stream(), second.1)
        );
        let lost: Vec<_> = [&a, &b].into_iter().filter(|outcome| !is_accepted(outcome)).collect();
        let [Outcome::Refused(refusal)] = lost[..] else { panic!("one of two is refused: {a:?} {b:?}") };
        // The last is the answer to whoever looks while the first merge is just being appended.
        let codes = ["merged_away", "survivor_is_loser", "stale_preview"];
        assert!(codes.contains(&refusal.code().as_str()), "{refusal}");
        let states = [one, other, twin].map(|contact| stores[0].state(tenant(1), contact.stream()));
        let mut gone = 0;
        for state in states {
            let (_, state) = state.await.unwrap().expect("it was created");
            gone += i32::from(state.merged_into().is_some());
        }
        assert_eq!(gone, 1);
    }
    database.drop().await;
}

fn crossed(one: ContactId, twin: ContactId) -> contact::Command {
    let seen = [one, twin].map(|id| merge::Seen { id, version: 1 }).to_vec();
    let choices = vec![merge::Choice { field: "name".to_owned(), from: twin }];
    contact::Command::Merge(merge::Merge { losers: vec![one], seen, choices })
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_asked_while_records_are_merged_to_and_fro_answers() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await, database.connect().await];
    let pair = [(); 2].map(|()| ContactId(new_id()));
    for contact in pair {
        let create = contact::Create { full: Personal::new("Anna"), ..Default::default() };
        done(&stores[0], contact.stream(), contact::Command::Create(create)).await;
    }
    let (turn, turns) = tokio::sync::watch::channel(());
    let turning = tokio::spawn({
        let store = stores[0].clone();
        async move {
            let mut merges = [0, 0];
            while merges[1] < 20 {
                for (at, (survivor, loser)) in
                    [(pair[0], pair[1]), (pair[1], pair[0])].into_iter().enumerate()
                {
                    merges[at] += 1;
                    // The preview may be overtaken by the others' commands.
                    while !is_accepted(
                        &send(&store, survivor.stream(), seen_now(&store, survivor, loser).await).await,
                    ) {}
                    turn.send_replace(());
                    let unmerge = merge::Unmerge { merge: merges[at], chain: false };
                    done(&store, survivor.stream(), contact::Command::Unmerge(unmerge)).await;
                    turn.send_replace(());
                }
            }
        }
    });
    let asking = stores[1..].iter().zip(pair).map(|(store, contact)| {
        let (store, mut turns) = (store.clone(), turns.clone());
        tokio::spawn(async move {
            let mut asked = 0;
            // Once a turn, just as the next one begins, or every preview would be overtaken.
            while turns.changed().await.is_ok() {
                let names = [contact::LifecycleStage::Lead, contact::LifecycleStage::Customer];
                let stage = names[asked % 2];
                let command = contact::Command::SetLifecycleStage { stage, reason: Personal::new("turn") };
                match store.handle(order(contact.stream(), command), envelope(tenant(1))).await {
                    Ok(Outcome::Accepted(_)) => asked += 1,
                    Ok(other) => panic!("{other:?}"),
                    Err(error) => {
                        assert!(matches!(error, kvali_eventstore::Error::Contended { .. }), "{error}");
                    }
                }
            }
            asked
        })
    });
    let asking: Vec<_> = asking.collect();
    turning.await.unwrap();
    for asked in asking {
        assert!(asked.await.unwrap() > 0);
    }
    database.drop().await;
}

async fn seen_now(store: &Store, survivor: ContactId, loser: ContactId) -> contact::Command {
    let mut seen = Vec::new();
    let mut stages = Vec::new();
    for id in [survivor, loser] {
        let (version, state) =
            store.state(tenant(1), id.stream()).await.expect("it is read").expect("it was created");
        seen.push(merge::Seen { id, version });
        if let State::Contact(contact) = &*state {
            stages.extend(contact.record().and_then(|record| record.lifecycle_stage));
        }
    }
    let differ = stages.len() == 2 && stages[0] != stages[1];
    let fields = ["name", "lifecycle_stage"].into_iter().take(if differ { 2 } else { 1 });
    let choices = fields.map(|field| merge::Choice { field: field.to_owned(), from: survivor }).collect();
    contact::Command::Merge(merge::Merge { losers: vec![loser], seen, choices })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deal_does_not_move_on_while_its_last_open_task_is_completed() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let policy = Policy { next_task_required: true, ..Policy::PERMISSIVE };
    let sales = Sales::set_up(&stores[0], tenant(1), policy).await;
    let user = a_user(&stores[0]).await;
    let (mut moved, mut stayed) = (0, 0);
    for _ in 0..24 {
        let deal = sales.open_deal(&stores[0]).await;
        let words = refused(Ok(send(&stores[0], deal.stream(), move_to(OFFER)).await));
        assert!(words.contains("open_task"), "{words}");
        let task = a_task(&stores[0], user, deal).await;
        let [first, second] = stores.clone();
        let moving = tokio::spawn(async move { send(&first, deal.stream(), move_to(OFFER)).await });
        let completing = tokio::spawn(async move { send(&second, task.stream(), complete()).await });
        let (moving, completing) = (moving.await.unwrap(), completing.await.unwrap());
        let completed = accepted(Ok(completing)).first_position.unwrap();
        match moving {
            Outcome::Accepted(answer) => {
                assert!(answer.first_position.unwrap() < completed, "it moved while the task was open");
                moved += 1;
            }
            Outcome::Refused(_) | Outcome::Reused => stayed += 1,
        }
    }
    println!("moved {moved}, stayed {stayed}");
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_deactivated_with_open_work_nor_given_work_after() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let sales = Sales::set_up(&stores[0], tenant(1), Policy::PERMISSIVE).await;
    for _ in 0..24 {
        let user = a_user(&stores[0]).await;
        let deal = sales.open_deal(&stores[0]).await;
        let [first, second] = stores.clone();
        let assign = deal::Command::assign(user);
        let assigning = tokio::spawn(async move { send(&first, deal.stream(), assign).await });
        let leaving = user::Command::Deactivate {};
        let leaving = tokio::spawn(async move { send(&second, user.stream(), leaving).await });
        let (assigned, left) = (assigning.await.unwrap(), leaving.await.unwrap());
        assert!(is_accepted(&assigned) != is_accepted(&left), "{assigned:?} and {left:?}");
        if is_accepted(&assigned) {
            done(&stores[0], deal.stream(), deal::Command::CloseWon { pipeline_version: None }).await;
            done(&stores[0], user.stream(), user::Command::Deactivate {}).await;
        }
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_open_deal_stays_in_a_stage_that_is_retired_at_the_same_time() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let sales = Sales::set_up(&stores[0], tenant(1), Policy::PERMISSIVE).await;
    let (known, late) = (sales.open_deal(&stores[0]).await, sales.open_deal(&stores[0]).await);
    done(&stores[0], known.stream(), move_to(OFFER)).await;
    let retire =
        |deals: Vec<DealId>| pipeline::Command::RetireStage { stage: OFFER, to: Some(CONTRACT), deals };
    let words = refused(Ok(send(&stores[0], sales.pipeline.stream(), retire(vec![])).await));
    assert!(words.contains("stage.deals"), "{words}");
    let [first, second] = stores.clone();
    let (pipeline, command) = (sales.pipeline, retire(vec![known]));
    let retiring = tokio::spawn(async move { send(&first, pipeline.stream(), command).await });
    let moving = tokio::spawn(async move { send(&second, late.stream(), move_to(OFFER)).await });
    let (retired, moved) = (retiring.await.unwrap(), moving.await.unwrap());
    assert!(is_accepted(&retired) != is_accepted(&moved), "{retired:?} and {moved:?}");
    if is_accepted(&retired) {
        let types = types(&stores[0], tenant(1)).await;
        assert_eq!(types[types.len() - 2..], ["pipeline.stage_retired", "deal.stage_changed"]);
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_deal_is_transferred_into_a_stage_that_is_retired_at_the_same_time() {
    let database = Database::create().await;
    let stores = [database.connect().await, database.connect().await];
    let sales = Sales::set_up(&stores[0], tenant(1), Policy::PERMISSIVE).await;
    for round in 0..8 {
        let service = sales.service(&stores[0], &format!("Service {round}")).await;
        let deal = sales.open_deal(&stores[0]).await;
        let retire = pipeline::Command::RetireStage { stage: REPAIR, to: None, deals: Vec::new() };
        let (transferred, retired) = tokio::join!(
            send(&stores[0], deal.stream(), transfer(service, REPAIR)),
            send(&stores[1], service.stream(), retire)
        );
        assert!(is_accepted(&transferred) != is_accepted(&retired), "{transferred:?} and {retired:?}");
        if is_accepted(&transferred) {
            // It keeps its new pipeline from being archived, and the old one no more.
            let archive = || pipeline::Command::Archive {};
            let words = refused(Ok(send(&stores[0], service.stream(), archive()).await));
            assert!(words.contains("stage.deals"), "{words}");
            done(&stores[0], deal.stream(), transfer(sales.pipeline, OFFER)).await;
            done(&stores[0], service.stream(), archive()).await;
        }
        done(&stores[0], deal.stream(), deal::Command::CloseWon { pipeline_version: None }).await;
    }
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_converted_whole_or_not_at_all() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let (user, lead) = (a_user(&store).await, LeadId(new_id()));
    let capture = lead::Capture { points: by_mail().points, owner: Some(user), ..lead::Capture::default() };
    done(&store, lead.stream(), lead::Command::Capture(capture)).await;
    done(&store, lead.stream(), lead::Command::Qualify {}).await;
    let (contact, deal) = (ContactId(new_id()), DealId(new_id()));
    let convert = |stage| {
        lead::Command::Convert(Box::new(lead::Convert {
            contact: lead::ToContact::Create { id: contact, with: Box::new(by_mail()) },
            company: None,
            deal: Some(lead::ToDeal {
                id: deal,
                with: deal::Open { stage: Some(stage), ..deal::Open::new(sales.pipeline) },
            }),
        }))
    };
    let before = types(&store, tenant(1)).await;
    let words = refused(Ok(send(&store, lead.stream(), convert(CONTRACT)).await));
    assert!(words.contains("entry stage"), "{words}");
    assert_eq!(types(&store, tenant(1)).await, before, "the refused part took the others with it");
    let answer = done(&store, lead.stream(), convert(LEAD)).await;
    assert_eq!(answer.event_count, 4);
    let all = types(&store, tenant(1)).await;
    assert_eq!(
        all[before.len()..],
        ["lead.converted", "contact.created", "contact.point_added", "deal.opened"]
    );
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redacted_note_can_be_read_by_nobody() {
    let database = Database::create().await;
    let store = database.connect().await;
    let sales = Sales::set_up(&store, tenant(1), Policy::PERMISSIVE).await;
    let (deal, note) = (sales.open_deal(&store).await, NoteId(new_id()));
    let text = Personal::new("do not lend to Tamar");
    let add = note::Command::Add { about: Target::Deal(deal), text, visibility: note::Visibility::Team };
    done(&store, note.stream(), add).await;
    let read = async || {
        let events = store.stream(tenant(1), note.stream()).await.unwrap();
        let opened = store.open(tenant(1), events).await.unwrap();
        opened.into_iter().find_map(|opened| match opened.event {
            Event::Note(note::Event::Added(event)) => event.text.as_deref().map(str::to_owned),
            _ => None,
        })
    };
    assert_eq!(read().await.as_deref(), Some("do not lend to Tamar"));
    done(&store, note.stream(), note::Command::Redact { reason: Personal::new("libel") }).await;
    assert_eq!(read().await, None);
    let erased = SubjectId::from(note).stream();
    assert_eq!(store.stream(tenant(1), erased).await.unwrap().len(), 1);
    database.drop().await;
}
