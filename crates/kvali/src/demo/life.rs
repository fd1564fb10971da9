//! One deal's life: opened, moved, changed, won or lost, and sometimes tried again.

use super::company::{self, Account, BRANCHES, CUSTOMERS, LOSS_REASONS, OWNERS, TAGS};
use super::customers::chosen;
use super::dice::Dice;
use super::scene::{END, START, Script};
use super::{leads, work};
use crate::ids;
use chrono::{DateTime, Days, TimeDelta, Utc};
use kvali_domain::deal::{Command, ContactRole, External, Line, Matter, Open, Party};
use kvali_domain::lead::ToDeal;
use kvali_domain::money::Currency;
use kvali_domain::{DealId, Money, Personal, PipelineId, ProductId, StageId, UserId};
use rust_decimal::Decimal;

const DAYS: u32 = 730;

/// By stage: how many days a deal usually stands there, and how many of a hundred go on.
const PACE: [(u32, i32); 5] = [(6, 68), (10, 72), (14, 70), (12, 68), (9, 82)];

const COMMENTS: [&str; 4] = [
    "They had hoped for a lower price",
    "Our champion has left the company",
    "დაპირდნენ, რომ გაისად დაბრუნდებიან",
    "Signed with a bigger supplier",
];

pub(crate) struct Life {
    nth: u32,
    pub(crate) deal: DealId,
    pub(crate) account: Account,
    pub(crate) dice: Dice,
    pub(crate) now: DateTime<Utc>,
    owner: usize,
    value: Decimal,
    of_lines: bool,
    expected: Option<DateTime<Utc>>,
    /// Asked for so far.
    approvals: i32,
    visits: i32,
    was_elsewhere: bool,
    pub(crate) script: Script,
}

impl Life {
    pub(crate) fn new(nth: u32) -> Self {
        let mut dice = Dice::new("deal", nth);
        let begins = START
            + Days::new(u64::from(dice.below(DAYS)))
            + TimeDelta::minutes(60 + i64::from(dice.below(540)));
        let below = |dice: &mut Dice, count: usize| {
            dice.below(u32::try_from(count).expect("a list of the demo is short")) as usize
        };
        Self {
            nth,
            deal: ids::deal("demo", &external(nth)),
            account: Account {
                customer: below(&mut dice, CUSTOMERS.len()),
                branch: below(&mut dice, BRANCHES.len()),
            },
            now: begins,
            owner: below(&mut dice, OWNERS.len()),
            value: Decimal::from((1 + dice.below(40)) * (1 + dice.below(40)) * 50),
            of_lines: dice.percent(30),
            expected: None,
            approvals: 0,
            visits: 1,
            was_elsewhere: false,
            dice,
            script: Script::default(),
        }
    }

    pub(crate) fn live(mut self) -> Script {
        self.open();
        if self.pass_through(0) || !self.dice.percent(12) {
            return self.script;
        }
        self.try_again();
        self.script
    }

    pub(crate) fn owner(&self) -> UserId {
        company::owner(self.owner)
    }

    /// Whether it was not lost.
    fn pass_through(&mut self, from: usize) -> bool {
        for stage in from..PACE.len() {
            match self.spend_time_in(stage) {
                Fate::GoesOn => {}
                Fate::Lost => return false,
                Fate::Rests => return true,
            }
        }
        true
    }

    fn spend_time_in(&mut self, stage: usize) -> Fate {
        let (usual_days, of_hundred) = PACE[stage];
        self.have_incidents(stage);
        let leaves = self.now + self.dice.wait(usual_days);
        work::in_stage(self, stage, leaves);
        self.rest(stage, leaves);
        self.now = leaves;
        if self.now > END {
            return Fate::Rests;
        }
        let chances = u32::try_from(of_hundred + OWNERS[self.owner].1).unwrap_or(0);
        if !self.dice.percent(chances) {
            // Some of those that will not go on are never closed either.
            if !self.dice.percent(88) {
                return Fate::Rests;
            }
            if self.is_for_later() {
                return self.wait_elsewhere(stage);
            }
            self.lose();
            return Fate::Lost;
        }
        if stage + 1 == PACE.len() {
            self.tell(Command::CloseWon { pipeline_version: None });
            return Fate::Rests;
        }
        self.enter(stage + 1);
        Fate::GoesOn
    }

    /// Some deals come of leads.
    fn open(&mut self) {
        let open = Open {
            party: Some(Party::Company(self.account.id())),
            party_name: Personal::new(self.account.name()),
            owner: Some(self.owner()),
            external: Some(External { source: "demo".to_owned(), id: external(self.nth) }),
            ..Open::new(company::pipeline())
        };
        if self.nth % 4 == 3 && self.now > START + TimeDelta::days(4) {
            let (deal, from) = (ToDeal { id: self.deal, with: open }, (self.account, self.owner()));
            leads::become_deal(&mut self.script, self.nth, from, deal, self.now);
        } else {
            self.tell(Command::Open(open));
        }
        for (person, role, of_hundred) in [(0, ContactRole::DecisionMaker, 70), (1, ContactRole::Payer, 25)] {
            if self.dice.percent(of_hundred) {
                self.tell(Command::AddContact { contact: self.account.contact(person), role });
            }
        }
        if self.dice.percent(15) {
            let tag = company::tag(self.dice.one_of::<&str>(&TAGS));
            self.tell(Command::Tag { tag });
        }
    }

    fn enter(&mut self, stage: usize) {
        self.move_to(stage);
        // One in fifty is a slip of the hand, put right within the hour.
        if self.dice.percent(2) && self.now + TimeDelta::hours(2) < END {
            self.correct(stage);
        }
    }

    fn move_to(&mut self, stage: usize) {
        self.visits += 1;
        self.tell(Command::Move { to: company::stage(stage), pipeline_version: None });
    }

    /// The slip is taken back, and the deal moves for good an hour later.
    fn correct(&mut self, stage: usize) {
        self.now += TimeDelta::minutes(20);
        let (to, reason) = (company::stage(stage - 1), Personal::new("Moved the wrong deal"));
        self.tell(Command::CorrectStage { visit: self.visits, to, reason });
        self.now += TimeDelta::hours(1);
        self.move_to(stage);
    }

    /// What may happen on the way besides moving.
    fn have_incidents(&mut self, stage: usize) {
        if stage == 1 {
            self.say_value();
            self.expect_close(40);
        }
        if stage >= 2 && self.dice.percent(25) {
            self.value = self.value * Decimal::from(70 + self.dice.below(60)) / Decimal::from(100);
            self.change_value();
        }
        if stage >= 2 && self.dice.percent(20) {
            self.expect_close(25);
        }
        if stage == 3 {
            let contract = *self.dice.one_of(&["one_off", "yearly"]);
            self.tell(Command::SetFields { fields: vec![chosen("contract", contract)] });
        }
        if stage == 2 && self.dice.percent(15) {
            self.ask_for_discount();
        }
        if self.dice.percent(4) {
            self.owner = (self.owner + 1 + self.dice.below(6) as usize) % OWNERS.len();
            self.tell(Command::assign(self.owner()));
        }
        if self.dice.percent(8) {
            let text = Personal::new("Ask again about the date");
            self.tell(Command::SetNextStep { text, task: None });
        }
    }

    fn money(&self) -> Money {
        let currency = Currency::parse("GEL").expect("GEL is three capitals");
        Money { amount: self.value.round_dp(2), currency }
    }

    fn line(&self, product: &str) -> Line {
        let product = ProductId(ids::invented("product", product));
        let discount_percent = Decimal::from(if self.nth.is_multiple_of(2) { 5 } else { 0 });
        Line { product, quantity: Decimal::ONE, unit_price: self.money(), discount_percent }
    }

    /// As a sum, or as lines.
    fn say_value(&mut self) {
        if self.of_lines {
            self.tell(Command::AddLine { line: self.line("delivery") });
            self.tell(Command::AddLine { line: self.line("service") });
        } else {
            self.change_value();
        }
    }

    fn change_value(&mut self) {
        if self.of_lines {
            self.tell(Command::ChangeLine { number: 1, line: self.line("delivery") });
        } else {
            self.tell(Command::SetValue { value: self.money() });
        }
    }

    /// A first date, or a later one than before.
    fn expect_close(&mut self, in_days: u32) {
        let from = self.expected.unwrap_or(self.now).max(self.now);
        let expected = from + Days::new(u64::from(5 + self.dice.below(in_days)));
        self.expected = Some(expected);
        self.tell(Command::SetExpectedClose { date: expected.date_naive() });
    }

    fn ask_for_discount(&mut self) {
        let reason = Personal::new("They order for three shops");
        self.tell(Command::RequestApproval { matter: Matter::Discount, reason });
        self.approvals += 1;
        let approval = self.approvals;
        let answer = if self.dice.percent(70) {
            Command::GrantApproval { approval }
        } else {
            Command::RefuseApproval { approval, reason: Personal::new("No margin left") }
        };
        let soon = self.now + TimeDelta::minutes(45);
        self.script.tell(soon, company::head(), self.deal.stream(), answer);
    }

    /// A deal that stands long is put on hold, or found to stand too long.
    fn rest(&mut self, stage: usize, leaves: DateTime<Utc>) {
        let (stays, stream) = (leaves - self.now, self.deal.stream());
        if stays > TimeDelta::days(8) && self.dice.percent(6) {
            let (from, until) = (self.now + stays / 4, self.now + stays / 2);
            let reason = Personal::new("Their director is abroad");
            let hold = Command::PutOnHold { until: until.date_naive(), reason };
            self.script.tell(from, self.owner(), stream, hold);
            self.script.tell(until, self.owner(), stream, Command::Resume {});
            return;
        }
        let limit = company::STAGES[stage].max_days.unwrap_or(i32::MAX);
        // After the hour of a correction, which begins a visit of its own.
        let exceeded = self.now + TimeDelta::days(i64::from(limit)) + TimeDelta::hours(2);
        if exceeded < leaves {
            self.script.tell(exceeded, ids::operator(), stream, Command::ReportStageLimit { limit: None });
        }
    }

    fn lose(&mut self) {
        let (code, _) = self.dice.weighted(&LOSS_REASONS);
        let reason = Some(company::reason(code));
        let comment = if self.dice.percent(10) {
            Personal::new(*self.dice.one_of(&COMMENTS))
        } else {
            Personal::default()
        };
        self.tell(Command::CloseLost { reason, stage: None, comment, pipeline_version: None });
    }

    /// Not given up, but for those who call again; of dice of its own, or every other deal would have another life.
    fn is_for_later(&self) -> bool {
        !self.was_elsewhere && Dice::new("for later", self.nth).percent(10)
    }

    /// The same deal in the recycle pipeline; some come back to where they were.
    fn wait_elsewhere(&mut self, stage: usize) -> Fate {
        self.was_elsewhere = true;
        self.transfer(company::recycle(), company::recycle_stage(0));
        self.later(10, 30);
        if self.dice.percent(40) {
            self.lose();
            return Fate::Rests;
        }
        self.transfer(company::pipeline(), company::stage(stage));
        if self.pass_through(stage) { Fate::Rests } else { Fate::Lost }
    }

    fn transfer(&mut self, pipeline: PipelineId, to: StageId) {
        self.visits += 1;
        self.tell(Command::Transfer { pipeline, to, pipeline_version: None });
    }

    /// In the recycle pipeline; what has found new interest there comes back to sales as a new deal.
    fn try_again(&mut self) {
        self.later(60, 60);
        let recycled = ids::deal("demo again", &external(self.nth));
        self.tell(Command::Revive { recycled, owner: Some(self.owner()) });
        self.deal = recycled;
        self.later(3, 20);
        if self.dice.percent(45) {
            let reason = Some(company::reason("no_reply"));
            let comment = Personal::default();
            self.tell(Command::CloseLost { reason, stage: None, comment, pipeline_version: None });
            return;
        }
        self.tell(Command::Move { to: company::recycle_stage(1), pipeline_version: None });
        self.later(3, 20);
        self.tell(Command::CloseWon { pipeline_version: None });
        let back = ids::deal("demo back", &external(self.nth));
        self.later(1, 3);
        self.tell(Command::HandBack { deal: back, owner: Some(self.owner()) });
        if self.now > END {
            return;
        }
        (self.deal, self.of_lines, self.expected, self.visits, self.approvals) = (back, false, None, 1, 0);
        self.value += Decimal::from(100);
        self.pass_through(0);
    }

    fn later(&mut self, least_days: u32, more_days: u32) {
        let minutes = least_days * 24 * 60 + self.dice.below(more_days * 24 * 60);
        self.now += TimeDelta::minutes(i64::from(minutes));
    }

    fn tell(&mut self, command: Command) {
        self.script.tell(self.now, self.owner(), self.deal.stream(), command);
    }
}

/// What becomes of a deal in a stage.
enum Fate {
    GoesOn,
    Lost,
    /// Won, or left where it is.
    Rests,
}

fn external(nth: u32) -> String {
    format!("D-{:05}", nth + 1)
}
