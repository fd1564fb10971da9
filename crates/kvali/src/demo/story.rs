//! What happens to the sample company in two years: every command, in the order of time.

use super::company::{self, BRANCHES, CUSTOMERS, LOSS_REASONS, OWNERS};
use super::dice::Dice;
use crate::ids;
use chrono::{DateTime, Days, TimeDelta, Utc};
use kvali_domain::deal::{self, External, Open, Party};
use kvali_domain::money::Currency;
use kvali_domain::{ActorId, Command, CompanyId, DealId, Money, Personal, StreamId, loss_reasons, user};
use rust_decimal::Decimal;

/// 2025-12-31 in the evening: fixed, so that the story is the same whenever it is told.
const END: DateTime<Utc> = moment(20_453, 18);
/// 2024-01-01, in the morning.
const START: DateTime<Utc> = moment(19_723, 6);
const DAYS: u32 = 730;

/// By stage: how many days a deal usually stands there, and how many of a hundred go on.
const PACE: [(u32, i32); 5] = [(6, 68), (10, 72), (14, 70), (12, 68), (9, 82)];

const COMMENTS: [&str; 4] = [
    "They had hoped for a lower price",
    "Our champion has left the company",
    "დაპირდნენ, რომ გაისად დაბრუნდებიან",
    "Signed with a bigger supplier",
];

const fn moment(day: i64, hour: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(day * 86_400 + hour * 3_600, 0).expect("a moment of our own century")
}

/// One command and its moment.
pub(crate) struct Scene {
    pub(crate) at: DateTime<Utc>,
    pub(crate) actor: ActorId,
    pub(crate) stream: StreamId,
    pub(crate) command: Command,
    /// Which of the stream's scenes it is, so that none is taken for another with the same words.
    pub(crate) nth: u32,
}

/// The whole story. The first `n` deals are the same in every story of at least `n`.
pub(crate) fn tell(deals: u32) -> Vec<Scene> {
    let mut scenes = prologue();
    scenes.extend((0..deals).flat_map(|nth| Deal::new(nth).live()));
    // A stable sort: what happens to a deal at one moment stays in its order.
    scenes.sort_by_key(|scene| scene.at);
    scenes
}

fn prologue() -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut tell = |stream: StreamId, command: Command| {
        let nth = u32::try_from(scenes.len()).expect("the prologue is short");
        scenes.push(Scene { at: START, actor: ids::operator(), stream, command, nth });
    };
    for (at, (name, _)) in OWNERS.iter().enumerate() {
        let user = company::owner(at);
        tell(user.stream(), user::Command::Register { user, name: Personal::new(*name) }.into());
    }
    tell(company::pipeline().stream(), company::create().into());
    for (_, (code, label)) in LOSS_REASONS {
        let define = loss_reasons::Command::Define {
            reason: company::reason(code),
            code: code.to_owned(),
            label: label.to_owned(),
            pipelines: Vec::new(),
        };
        tell(loss_reasons::STREAM, define.into());
    }
    scenes
}

/// One deal's life.
struct Deal {
    id: DealId,
    external: String,
    dice: Dice,
    now: DateTime<Utc>,
    owner: usize,
    value: Decimal,
    expected: Option<DateTime<Utc>>,
    scenes: Vec<Scene>,
}

impl Deal {
    fn new(nth: u32) -> Self {
        let mut dice = Dice::new("deal", nth);
        let external = format!("D-{:05}", nth + 1);
        let begins = START
            + Days::new(u64::from(dice.below(DAYS)))
            + TimeDelta::minutes(60 + i64::from(dice.below(540)));
        Self {
            id: ids::deal("demo", &external),
            external,
            now: begins,
            owner: dice.below(u32::try_from(OWNERS.len()).expect("few owners")) as usize,
            value: Decimal::from((1 + dice.below(40)) * (1 + dice.below(40)) * 50),
            expected: None,
            dice,
            scenes: Vec::new(),
        }
    }

    fn live(mut self) -> Vec<Scene> {
        self.open();
        for stage in 0..PACE.len() {
            if !self.spend_time_in(stage) {
                break;
            }
        }
        self.scenes
    }

    /// Whether the deal went on to the next stage.
    fn spend_time_in(&mut self, stage: usize) -> bool {
        let (usual_days, of_hundred) = PACE[stage];
        self.have_incidents(stage);
        self.now += self.dice.wait(usual_days);
        if self.now > END {
            return false;
        }
        let chances = u32::try_from(of_hundred + OWNERS[self.owner].1).unwrap_or(0);
        if !self.dice.percent(chances) {
            // Some of those that will not go on are never closed either.
            if self.dice.percent(88) {
                self.lose();
            }
            return false;
        }
        if stage + 1 == PACE.len() {
            self.tell(deal::Command::CloseWon { pipeline_version: None });
            return false;
        }
        self.enter(stage + 1);
        true
    }

    fn open(&mut self) {
        let name = format!("{}{}", self.dice.one_of(&CUSTOMERS), self.dice.one_of(&BRANCHES));
        let open = Open {
            party: Some(Party::Company(CompanyId(ids::invented("account", &name)))),
            party_name: Personal::new(name),
            owner: Some(company::owner(self.owner)),
            external: Some(External { source: "demo".to_owned(), id: self.external.clone() }),
            ..Open::new(company::pipeline())
        };
        self.tell(deal::Command::Open(open));
    }

    fn enter(&mut self, stage: usize) {
        self.move_to(stage);
        // One in fifty is a slip of the hand, put right within the hour.
        if self.dice.percent(2) && self.now + TimeDelta::hours(2) < END {
            self.correct(stage);
        }
    }

    fn move_to(&mut self, stage: usize) {
        self.tell(deal::Command::Move { to: company::stage(stage), pipeline_version: None });
    }

    /// The slip is taken back, and the deal moves for good an hour later.
    fn correct(&mut self, stage: usize) {
        let moves = self.scenes.iter().filter(|scene| is_move(&scene.command)).count();
        let visit = i32::try_from(moves + 1).expect("a deal of the demo has few visits");
        self.now += TimeDelta::minutes(20);
        let (to, reason) = (company::stage(stage - 1), Personal::new("Moved the wrong deal"));
        self.tell(deal::Command::CorrectStage { visit, to, reason });
        self.now += TimeDelta::hours(1);
        self.move_to(stage);
    }

    /// What may happen on the way besides moving.
    fn have_incidents(&mut self, stage: usize) {
        if stage == 1 {
            self.set_value();
            self.expect_close(40);
        }
        if stage >= 2 && self.dice.percent(25) {
            self.value = self.value * Decimal::from(70 + self.dice.below(60)) / Decimal::from(100);
            self.set_value();
        }
        if stage >= 2 && self.dice.percent(20) {
            self.expect_close(25);
        }
        if self.dice.percent(4) {
            self.owner = (self.owner + 1 + self.dice.below(6) as usize) % OWNERS.len();
            self.tell(deal::Command::assign(company::owner(self.owner)));
        }
    }

    fn set_value(&mut self) {
        let currency = Currency::parse("GEL").expect("GEL is three capitals");
        self.tell(deal::Command::SetValue { value: Money { amount: self.value.round_dp(2), currency } });
    }

    /// A first date, or a later one than before.
    fn expect_close(&mut self, in_days: u32) {
        let from = self.expected.unwrap_or(self.now).max(self.now);
        let expected = from + Days::new(u64::from(5 + self.dice.below(in_days)));
        self.expected = Some(expected);
        self.tell(deal::Command::SetExpectedClose { date: expected.date_naive() });
    }

    fn lose(&mut self) {
        let (code, _) = self.dice.weighted(&LOSS_REASONS);
        let reason = Some(company::reason(code));
        let comment = if self.dice.percent(10) {
            Personal::new(*self.dice.one_of(&COMMENTS))
        } else {
            Personal::default()
        };
        self.tell(deal::Command::CloseLost { reason, stage: None, comment, pipeline_version: None });
    }

    fn tell(&mut self, command: deal::Command) {
        let nth = u32::try_from(self.scenes.len()).expect("a deal's life is short");
        let actor = company::owner(self.owner).into();
        self.scenes.push(Scene {
            at: self.now,
            actor,
            stream: self.id.stream(),
            command: command.into(),
            nth,
        });
    }
}

fn is_move(command: &Command) -> bool {
    matches!(command, Command::Deal(deal::Command::Move { .. }))
}
