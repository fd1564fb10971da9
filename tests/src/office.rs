//! Random but repeatable work with customers of all kinds: they come, are called, merged, told apart and erased.

use crate::random::Dice;
use crate::samples::{CONTRACT, LEAD, OFFER, Sales};
use crate::{envelope, new_id, order};
use chrono::{DateTime, TimeDelta, Utc};
use kvali_domain::pipeline::Policy;
use kvali_domain::{Command, Occurred, StreamId, SubjectId, TenantId, fields, merge, tags};
use kvali_eventstore::{Outcome, Store};
use serde_json::{Value, json};
use uuid::Uuid;

pub const VIP: Uuid = Uuid::from_u128(0x7a6);
/// A field of contacts in clear, one that is sealed, and one of deals.
pub const COLOUR: Uuid = Uuid::from_u128(0xf1);
pub const DIAGNOSIS: Uuid = Uuid::from_u128(0xf2);
pub const BUDGET: Uuid = Uuid::from_u128(0xf3);

pub struct Office {
    pub store: Store,
    pub sales: Sales,
    pub users: Vec<Uuid>,
    pub contacts: Vec<Uuid>,
    pub companies: Vec<Uuid>,
    pub leads: Vec<Uuid>,
    pub deals: Vec<Uuid>,
    tasks: Vec<Uuid>,
    threads: Vec<Uuid>,
    calls: Vec<Uuid>,
    dice: Dice,
    clock: DateTime<Utc>,
}

const GIVEN: [&str; 6] = ["Nino", "Giorgi", "გიორგი", "Юрий", "محمد", "Mariam"];
const FAMILY: [&str; 6] = ["Beridze", "ბერიძე", "Kapanadze", "Smith", "Иванов", "Müller"];

impl Office {
    pub async fn open(store: &Store, tenant: TenantId, seed: u64) -> Self {
        let sales = Sales::set_up(store, tenant, Policy::PERMISSIVE).await;
        let mut office = Self {
            store: store.clone(),
            sales,
            users: Vec::new(),
            contacts: Vec::new(),
            companies: Vec::new(),
            leads: Vec::new(),
            deals: Vec::new(),
            tasks: Vec::new(),
            threads: Vec::new(),
            calls: Vec::new(),
            dice: Dice::new(seed),
            clock: "2024-01-01T09:00:00Z".parse().expect("a date"),
        };
        for name in ["Tamar", "Levan"] {
            let user = new_id();
            office.must(user, "RegisterUser", json!({ "user": user, "name": name })).await;
            office.users.push(user);
        }
        office.must(tags::STREAM.0, "DefineTag", json!({ "tag": VIP, "name": "VIP" })).await;
        let defined = [
            (COLOUR, "contact", "colour", "none"),
            (DIAGNOSIS, "contact", "diagnosis", "sensitive"),
            (BUDGET, "deal", "budget", "none"),
        ];
        for (field, entity, key, class) in defined {
            let body = json!({ "field": field, "entity": entity, "key": key, "label": key, "type": "text", "class": class });
            office.must(fields::STREAM.0, "DefineField", body).await;
        }
        office
    }

    pub fn tenant(&self) -> TenantId {
        self.sales.tenant
    }

    /// A command that must be accepted.
    pub async fn must(&mut self, id: Uuid, name: &str, body: Value) {
        match self.send(id, name, body).await {
            Outcome::Accepted(_) => {}
            other => panic!("{name} was not accepted: {other:?}"),
        }
    }

    /// Whether the rules accept it.
    async fn try_to(&mut self, id: Uuid, name: &str, body: Value) -> bool {
        matches!(self.send(id, name, body).await, Outcome::Accepted(_))
    }

    pub async fn send(&mut self, id: Uuid, name: &str, body: Value) -> Outcome {
        let command = Command::decode(name, &body).unwrap_or_else(|error| panic!("{name} {body}: {error}"));
        self.clock += TimeDelta::minutes(7);
        let at = self.clock;
        let occurred = match self.dice.roll(12) {
            0 => Occurred::Unknown,
            1 => Occurred::Day {
                at: at.date_naive().and_hms_opt(0, 0, 0).expect("midnight").and_utc(),
                zone: chrono_tz::UTC,
            },
            _ => Occurred::Instant { at },
        };
        let envelope = envelope(self.sales.tenant).occurred(occurred);
        self.store.handle(order(StreamId(id), command), envelope).await.expect("the store answers")
    }

    pub async fn erase(&mut self, subject: Uuid) {
        let erased = self.store.erase(SubjectId(subject), envelope(self.sales.tenant)).await;
        erased.expect("the store answers");
    }

    /// Merges records of a kind; where they differ the survivor's values stay.
    pub async fn merge(&mut self, name: &str, survivor: Uuid, loser: Uuid) {
        let mut states = Vec::new();
        for id in [survivor, loser] {
            let state = self.store.state(self.sales.tenant, StreamId(id)).await.expect("the store answers");
            states.extend(state.map(|(_, state)| (StreamId(id), state)));
        }
        let records: Vec<_> = states.iter().map(|(id, state)| (*id, &**state)).collect();
        let Some(preview) = merge::preview_of(&records) else { return };
        let choices = preview.fields.iter().filter(|field| field.conflict);
        let choices: Vec<_> =
            choices.map(|field| json!({ "field": field.field, "from": field.values[0].0 })).collect();
        let body = json!({ "losers": [loser], "seen": preview.seen, "choices": choices });
        self.send(survivor, name, body).await;
    }

    fn some(&mut self, of: fn(&Self) -> &Vec<Uuid>) -> Uuid {
        let len = of(self).len() as u64;
        if len == 0 {
            return new_id();
        }
        let at = usize::try_from(self.dice.roll(len)).expect("an index");
        of(self)[at]
    }

    fn user(&mut self) -> Uuid {
        self.some(|office| &office.users)
    }

    fn contact(&mut self) -> Uuid {
        self.some(|office| &office.contacts)
    }

    fn company(&mut self) -> Uuid {
        self.some(|office| &office.companies)
    }

    fn deal(&mut self) -> Uuid {
        self.some(|office| &office.deals)
    }

    fn task(&mut self) -> Uuid {
        self.some(|office| &office.tasks)
    }

    fn lead(&mut self) -> Uuid {
        self.some(|office| &office.leads)
    }

    fn target(&mut self) -> Value {
        match self.dice.roll(4) {
            0 => json!({ "lead": self.lead() }),
            1 => json!({ "contact": self.contact() }),
            2 => json!({ "company": self.company() }),
            _ => json!({ "deal": self.deal() }),
        }
    }

    /// The next thing that somebody tries.
    pub async fn click(&mut self) {
        match self.dice.roll(10) {
            0..=1 => self.meet().await,
            2..=3 => self.change_customer().await,
            4..=6 => self.sell().await,
            7..=8 => self.work().await,
            _ => self.tidy().await,
        }
    }

    async fn meet(&mut self) {
        let (id, owner, number) = (new_id(), self.user(), self.dice.roll(90_000_000) + 10_000_000);
        let (given, family) = (*self.dice.pick(&GIVEN), *self.dice.pick(&FAMILY));
        match self.dice.roll(4) {
            0 => {
                let body = json!({ "name": format!("{family} LLC"), "owner": owner });
                if self.try_to(id, "CreateCompany", body).await {
                    self.companies.push(id);
                }
            }
            1 => {
                let body = json!({ "given": given, "family": family, "owner": owner, "company_name": "Acme",
                    "points": [{ "kind": "email", "value": format!("lead{number}@example.com") }] });
                if self.try_to(id, "CaptureLead", body).await {
                    self.leads.push(id);
                }
            }
            _ => {
                let body = json!({ "given": given, "family": family, "owner": owner, "points": [
                    { "kind": "email", "value": format!("c{number}@example.com") },
                    { "kind": "phone", "value": format!("+995555{:06}", number % 1_000_000) },
                ] });
                if self.try_to(id, "CreateContact", body).await {
                    self.contacts.push(id);
                }
            }
        }
    }

    async fn change_customer(&mut self) {
        let (contact, company, lead) = (self.contact(), self.company(), self.lead());
        let (name, owner) = (*self.dice.pick(&FAMILY), self.user());
        let value = if self.dice.roll(3) == 0 { json!(null) } else { json!({ "text": "red" }) };
        match self.dice.roll(14) {
            0 => self.send(contact, "RenameContact", json!({ "full": name })).await,
            1 => self.send(contact, "TagContact", json!({ "tag": VIP })).await,
            2 => self.send(contact, "UntagContact", json!({ "tag": VIP })).await,
            3 => {
                let body = json!({ "fields": [{ "field": COLOUR, "value": value }, { "field": DIAGNOSIS, "value": value }] });
                self.send(contact, "SetContactFields", body).await
            }
            4 => self.send(contact, "AssignContact", json!({ "owner": owner })).await,
            5 => {
                let body = json!({ "company": company, "role": "director", "from": "2024-01-01" });
                self.send(contact, "StartAffiliation", body).await
            }
            6 => {
                let body = json!({ "contact_point": { "kind": "email", "value": format!("{}@example.com", new_id()) } });
                self.send(contact, "AddContactPoint", body).await
            }
            7 => self.send(contact, "SetLifecycleStage", json!({ "stage": "customer" })).await,
            8 => self.send(company, "RenameCompany", json!({ "name": format!("{name} JSC") })).await,
            9 => self.send(company, "AssignCompany", json!({ "owner": owner })).await,
            10 => self.send(lead, "QualifyLead", json!({})).await,
            11 => {
                let body = json!({ "contact": { "link": contact }, "company": { "link": company } });
                self.send(lead, "ConvertLead", body).await
            }
            12 => self.send(lead, "AssignLead", json!({ "owner": owner })).await,
            _ => {
                let body = json!({ "country": "GE", "lines": "Rustaveli 1" });
                self.send(contact, "ChangeContactAddress", body).await
            }
        };
    }

    async fn sell(&mut self) {
        let (deal, contact, company) = (self.deal(), self.contact(), self.company());
        let stage = *self.dice.pick(&[LEAD, OFFER, CONTRACT]);
        let owner = self.user();
        let value = json!({ "amount": format!("{}.50", self.dice.roll(1000)), "currency": "GEL" });
        match self.dice.roll(16) {
            0..=3 => {
                let id = new_id();
                let mut body = json!({ "pipeline": self.sales.pipeline, "owner": owner, "value": value });
                if self.dice.roll(3) > 0 {
                    body["party"] = json!({ "contact": contact });
                }
                if self.try_to(id, "OpenDeal", body).await {
                    self.deals.push(id);
                }
            }
            4..=6 => drop(self.send(deal, "MoveDeal", json!({ "to": stage })).await),
            7 => drop(self.send(deal, "CloseWon", json!({})).await),
            8 => drop(self.send(deal, "CloseLost", json!({ "reason": self.sales.reason })).await),
            9 => drop(self.send(deal, "ReopenDeal", json!({ "to": stage, "reason": "back" })).await),
            10 => {
                let body = json!({ "contact": contact, "role": "influencer" });
                self.send(deal, "AddDealContact", body).await;
            }
            11 => drop(self.send(deal, "RemoveDealContact", json!({ "contact": contact })).await),
            12 => drop(self.send(deal, "SetDealCompany", json!({ "company": company })).await),
            13 => drop(self.send(deal, "RenameDeal", json!({ "name": "A large one" })).await),
            14 => {
                let body = json!({ "fields": [{ "field": BUDGET, "value": { "text": "2000" } }] });
                self.send(deal, "SetDealFields", body).await;
            }
            _ => drop(self.send(deal, "SetExpectedClose", json!({ "date": "2024-12-31" })).await),
        }
    }

    async fn work(&mut self) {
        let (id, target, task, user) = (new_id(), self.target(), self.task(), self.user());
        let due = json!({ "at": self.clock + TimeDelta::days(2) });
        match self.dice.roll(12) {
            0..=2 => {
                let body =
                    json!({ "subject": "Call back", "due": due, "assignee": user, "targets": [target] });
                if self.try_to(id, "CreateTask", body).await {
                    self.tasks.push(id);
                }
            }
            3 => drop(self.send(task, "CompleteTask", json!({ "result": "done" })).await),
            4 => drop(self.send(task, "ReopenTask", json!({ "reason": "not yet" })).await),
            5 => drop(self.send(task, "LinkTask", json!({ "target": target })).await),
            6 => drop(self.send(task, "UnlinkTask", json!({ "target": target })).await),
            7 => drop(self.send(task, "RescheduleTask", json!({ "due": due, "reason": "busy" })).await),
            8 => {
                let body = json!({ "about": target, "text": "A note", "visibility": "team" });
                self.send(id, "AddNote", body).await;
            }
            9 => {
                let contact = self.contact();
                let body = json!({ "channel": "whatsapp", "thread_id": id.to_string(), "contact": contact });
                self.send(id, "OpenConversation", body).await;
                self.threads.push(id);
            }
            10 => {
                let thread = self.some(|office| &office.threads);
                self.send(thread, "LinkConversation", json!({ "to": target })).await;
                let body = json!({ "message_id": id.to_string(), "text": "Hello" });
                self.send(thread, "ReceiveMessage", body).await;
            }
            _ => {
                let body = json!({ "provider": "pbx", "provider_id": id.to_string(), "direction": "inbound",
                    "from": "+995322123456", "to": "+995322000000" });
                self.send(id, "RegisterCall", body).await;
                self.calls.push(id);
                let (contact, deal) = (self.contact(), self.deal());
                let matched = json!({ "contact": { "contact": contact, "belongs_to": { "deal": deal } } });
                self.send(id, "MatchCall", json!({ "outcome": matched })).await;
            }
        }
    }

    /// Merges, what undoes them, archives, erasures.
    async fn tidy(&mut self) {
        let (contact, other) = (self.contact(), self.contact());
        match self.dice.roll(10) {
            0..=1 => self.merge("MergeContacts", contact, other).await,
            2 => drop(self.send(contact, "UnmergeContacts", json!({ "merge": 1, "chain": true })).await),
            3 => {
                let (one, other) = (self.deal(), self.deal());
                self.merge("MergeDeals", one, other).await;
            }
            4 => {
                let deal = self.deal();
                self.send(deal, "UnmergeDeals", json!({ "merge": 1, "chain": true })).await;
            }
            5 => {
                let (one, other) = (self.company(), self.company());
                self.merge("MergeCompanies", one, other).await;
            }
            6 => {
                let company = self.company();
                self.send(company, "UnmergeCompanies", json!({ "merge": 1, "chain": true })).await;
            }
            7 => drop(self.send(contact, "ArchiveContact", json!({})).await),
            8 => drop(self.send(contact, "RestoreContact", json!({})).await),
            _ => match self.dice.roll(4) {
                0 => self.erase(contact).await,
                1 => {
                    let (one, other) = (self.lead(), self.lead());
                    self.merge("MergeLeads", one, other).await;
                }
                2 => {
                    let lead = self.lead();
                    self.send(lead, "UnmergeLeads", json!({ "merge": 1, "chain": true })).await;
                }
                _ => {
                    let lead = self.lead();
                    self.send(lead, "ArchiveLead", json!({})).await;
                }
            },
        }
    }
}
