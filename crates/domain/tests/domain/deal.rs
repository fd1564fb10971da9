use crate::given::{Happened, given, on};
use crate::sales::*;
use chrono_tz::Asia::Tbilisi;
use kvali_domain::assignee::AssigneeProblem;
use kvali_domain::deal::{self, Command, Event, External, Refusal};
use kvali_domain::pipeline::{Class, Policy, Stage};
use kvali_domain::{Claim, Occurred, Personal, PipelineId, Refusal as AnyRefusal, StageId, pipeline, user};

macro_rules! deal_refusal {
    ($pattern:pat $(if $guard:expr)?) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Deal($pattern) $(if $guard)?)
    };
}

mod opening {
    use super::*;

    #[test]
    fn a_deal_opens_in_the_first_entry_stage() {
        given([sales()]).when(Command::Open(open())).then([Event::Opened(opening())]);
    }

    #[test]
    fn a_deal_opens_in_the_entry_stage_that_is_named() {
        let entries = pipeline::Event::EntryStagesSet(pipeline::EntryStagesSet { stages: vec![TALK, NEW] });
        given([sales(), sales_event(entries)])
            .when(Command::Open(deal::Open { stage: Some(NEW), ..open() }))
            .then([Event::Opened(deal::Opened { pipeline_version: 2, ..opening() })]);
    }

    #[test]
    fn an_opening_keeps_all_that_is_known() {
        let external = Some(External { source: "amo".to_owned(), id: "17".to_owned() });
        let command = deal::Open {
            party: Some(ACME),
            party_name: Personal::new("შპს აკმე"),
            owner: Some(NINO),
            value: Some(usd("1054.00")),
            expected_close: Some(date("2024-09-30")),
            external: external.clone(),
            ..open()
        };
        let event = deal::Opened {
            party: Some(ACME),
            party_name: Personal::new("შპს აკმე"),
            owner: Some(NINO),
            value: Some(usd("1054.00")),
            expected_close: Some(date("2024-09-30")),
            external,
            ..opening()
        };
        given([sales(), registered(NINO)]).when(Command::Open(command)).then([Event::Opened(event)]);
    }

    #[test]
    fn an_external_id_is_claimed_for_one_deal() {
        use kvali_domain::decider::Describe;
        let external = Some(External { source: "amo".to_owned(), id: "17".to_owned() });
        let event = Event::Opened(deal::Opened { external, ..opening() });
        let stands = Claim::count("stage.deals", NEW.to_string());
        assert_eq!(event.claims(), [Claim::take("deal.external_id", "amo\u{1f}17"), stands.clone()]);
        assert_eq!(Event::Opened(opening()).claims(), [stands]);
    }

    #[test]
    fn a_deal_opens_in_an_entry_stage_only() {
        for (stage, name) in [(OFFER, "Offer"), (WON, "Won"), (LOST, "Lost")] {
            given([sales()])
                .when(Command::Open(deal::Open { stage: Some(stage), ..open() }))
                .refused(deal_refusal!(Refusal::NotAnEntryStage { .. }))
                .naming([name, r#"deals start in "New""#])
                .not_naming(["Talk"]);
        }
    }

    #[test]
    fn an_unknown_stage_is_answered_with_the_entry_stages() {
        given([sales()])
            .when(Command::Open(deal::Open { stage: Some(NOWHERE), ..open() }))
            .refused(deal_refusal!(Refusal::UnknownStage { stage: NOWHERE, .. }))
            .naming(["Sales", r#"accepted: "New""#])
            .not_naming(["Talk", "Won"]);
    }

    #[test]
    fn a_deal_needs_a_pipeline_that_exists() {
        given([])
            .when(Command::Open(open()))
            .refused(deal_refusal!(Refusal::NoSuchPipeline { pipeline: SALES }))
            .naming(["create it first", &SALES.to_string()]);
    }

    #[test]
    fn a_party_is_wanted_by_policy_only() {
        let wants = || [sales_with(Policy { party_required: true, ..STRICT })];
        given(wants())
            .when(Command::Open(open()))
            .refused(deal_refusal!(Refusal::PartyRequired))
            .naming(["a contact or a company", "`party`"]);
        given(wants())
            .when(Command::Open(deal::Open { party: Some(ACME), ..open() }))
            .then([Event::Opened(deal::Opened { party: Some(ACME), ..opening() })]);
    }

    #[test]
    fn a_name_needs_a_party_that_bears_it() {
        given([sales()])
            .when(Command::Open(deal::Open { party_name: Personal::new("Acme"), ..open() }))
            .refused(deal_refusal!(Refusal::NameWithoutParty))
            .naming(["name the contact or company"])
            .not_naming(["Acme"]);
    }

    #[test]
    fn a_blank_name_is_no_name() {
        let blank = deal::Open { party_name: Personal::new("  "), ..open() };
        given([sales()]).when(Command::Open(blank)).then([Event::Opened(opening())]);
    }

    #[test]
    fn a_deal_is_owned_by_an_active_user() {
        let owned = || Command::Open(deal::Open { owner: Some(NINO), ..open() });
        for log in [vec![sales()], vec![sales(), registered(NINO), deactivated(NINO)]] {
            given(log)
                .when(owned())
                .refused(deal_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: NINO })))
                .naming([&*NINO.to_string(), "registered, active user"]);
        }
    }

    #[test]
    fn a_value_is_zero_or_more() {
        given([sales()])
            .when(Command::Open(deal::Open { value: Some(usd("-0.01")), ..open() }))
            .refused(deal_refusal!(Refusal::NegativeValue { .. }))
            .naming(["-0.01 USD", "zero or more"]);
        given([sales()])
            .when(Command::Open(deal::Open { value: Some(usd("0")), ..open() }))
            .then([Event::Opened(deal::Opened { value: Some(usd("0")), ..opening() })]);
    }

    #[test]
    fn an_id_is_used_for_one_deal() {
        given([sales(), opened()])
            .when(Command::Open(open()))
            .refused(deal_refusal!(Refusal::AlreadyOpened))
            .naming(["an id is used once"]);
    }

    #[test]
    fn a_deal_that_was_never_opened_refuses_everything_else() {
        for command in everything_but_opening() {
            given([sales(), reason(PRICE, "price", &[]), registered(NINO)])
                .when(command)
                .refused(deal_refusal!(Refusal::NoSuchDeal))
                .naming(["open it first"]);
        }
    }
}

/// A command of every other type, each of which an open deal in `New` would accept.
fn everything_but_opening() -> Vec<Command> {
    vec![
        move_to(TALK),
        correct(1, TALK, "typo"),
        Command::assign(NINO),
        Command::SetValue { value: usd("10") },
        Command::SetExpectedClose { date: date("2024-12-31") },
        CLOSE_WON,
        close_lost(Some(PRICE)),
    ]
}

mod moving {
    use super::*;

    const BACK: Policy = Policy { allow_backward: true, ..STRICT };
    const SKIP: Policy = Policy { allow_skip: true, ..STRICT };

    /// A deal that came to `Offer` stage by stage.
    fn in_offer(policy: Policy) -> [Happened; 4] {
        [sales_with(policy), opened(), deal_event(moved(NEW, TALK, 2)), deal_event(moved(TALK, OFFER, 3))]
    }

    #[test]
    fn a_deal_moves_to_the_next_stage() {
        given([sales(), opened()]).when(move_to(TALK)).then([moved(NEW, TALK, 2)]);
    }

    #[test]
    fn a_move_to_where_the_deal_stands_is_already_so() {
        given([sales(), opened()]).when(move_to(NEW)).then_it_is_already_so();
    }

    #[test]
    fn a_move_backward_is_refused_and_told_what_is_accepted() {
        given([sales(), opened(), deal_event(moved(NEW, TALK, 2))])
            .when(move_to(NEW))
            .refused(deal_refusal!(Refusal::Backward { .. }))
            .naming([r#""New" lies before "Talk""#, r#"accepted: "Offer", CloseWon or CloseLost"#]);
    }

    #[test]
    fn from_the_last_stage_only_closing_leads_on() {
        given(in_offer(STRICT))
            .when(move_to(TALK))
            .refused(deal_refusal!(Refusal::Backward { .. }))
            .naming(["accepted: CloseWon or CloseLost"]);
    }

    #[test]
    fn a_move_backward_is_allowed_by_policy() {
        given(in_offer(BACK)).when(move_to(NEW)).then([moved(OFFER, NEW, 4)]);
    }

    #[test]
    fn a_skip_is_refused_and_told_what_it_skips() {
        given([sales(), opened()])
            .when(move_to(OFFER))
            .refused(deal_refusal!(Refusal::Skips { .. }))
            .naming([r#"from "New" to "Offer" skips "Talk""#, r#"accepted: "Talk", CloseWon or CloseLost"#]);
    }

    #[test]
    fn moving_backward_does_not_allow_skipping() {
        given([sales_with(BACK), opened()])
            .when(move_to(OFFER))
            .refused(deal_refusal!(Refusal::Skips { .. }))
            .naming(["Talk"]);
    }

    #[test]
    fn skipping_does_not_allow_moving_backward() {
        given([sales_with(SKIP), opened(), deal_event(moved(NEW, TALK, 2))])
            .when(move_to(NEW))
            .refused(deal_refusal!(Refusal::Backward { .. }))
            .naming(["Offer"]);
    }

    #[test]
    fn a_skip_is_allowed_by_policy() {
        given([sales_with(SKIP), opened()]).when(move_to(OFFER)).then([moved(NEW, OFFER, 2)]);
    }

    #[test]
    fn an_unknown_stage_is_answered_with_the_process_stages() {
        given([sales(), opened()])
            .when(move_to(NOWHERE))
            .refused(deal_refusal!(Refusal::UnknownStage { stage: NOWHERE, .. }))
            .naming([&*NOWHERE.to_string(), r#"accepted: "New", "Talk", "Offer""#])
            .not_naming(["Won", "Lost"]);
    }

    #[test]
    fn a_closing_stage_is_reached_by_its_own_command() {
        for (stage, class, command) in [(WON, "success", "CloseWon"), (SPAM, "failure", "CloseLost")] {
            given([sales_with(Policy::PERMISSIVE), opened()])
                .when(move_to(stage))
                .refused(deal_refusal!(Refusal::WrongClass { .. }))
                .naming([class, command]);
        }
    }

    #[test]
    fn the_order_that_counts_is_the_present_one() {
        let order = vec![TALK, NEW, OFFER];
        let reordered = pipeline::Event::StagesReordered(pipeline::StagesReordered { order });
        given([sales(), opened(), sales_event(reordered)])
            .when(move_to(TALK))
            .refused(deal_refusal!(Refusal::Backward { .. }))
            .naming(["Offer"]);
    }
}

mod pipeline_versions {
    use super::*;

    fn naming_version(version: i32) -> Command {
        Command::Move { to: TALK, pipeline_version: Some(version) }
    }

    #[test]
    fn the_event_records_the_version_that_it_obeyed() {
        given([sales(), sales_renamed(), opened()]).when(move_to(TALK)).then([moved_under(2, NEW, TALK, 2)]);
    }

    #[test]
    fn an_older_version_conflicts_when_rules_have_changed() {
        given([sales(), policy_set(Policy::PERMISSIVE), sales_renamed(), opened()])
            .when(naming_version(1))
            .refused(deal_refusal!(Refusal::RulesChanged { named: 1, changed_in: 2, current: 3 }))
            .naming(["changed in version 2", "after version 1", "name version 3"]);
    }

    #[test]
    fn every_command_that_obeys_rules_may_name_a_version() {
        let log = || [sales(), policy_set(Policy::PERMISSIVE), opened(), reason(PRICE, "price", &[])];
        let named = Some(1);
        let lose = Command::CloseLost {
            reason: Some(PRICE),
            stage: None,
            comment: Personal::default(),
            pipeline_version: named,
        };
        for command in [naming_version(1), Command::CloseWon { pipeline_version: named }, lose] {
            given(log())
                .when(command)
                .refused(deal_refusal!(Refusal::RulesChanged { .. }))
                .naming(["name version 2"]);
        }
        given([sales(), policy_set(Policy::PERMISSIVE)])
            .when(Command::Open(deal::Open { pipeline_version: named, ..open() }))
            .refused(deal_refusal!(Refusal::RulesChanged { .. }))
            .naming(["name version 2"]);
    }

    #[test]
    fn a_rename_changes_no_rule() {
        let (from, to) = ("Talk".to_owned(), "საუბარი".to_owned());
        let stage_renamed = pipeline::Event::StageRenamed(pipeline::StageRenamed { stage: TALK, from, to });
        given([sales(), opened(), sales_renamed(), sales_event(stage_renamed)])
            .when(naming_version(1))
            .then([moved_under(3, NEW, TALK, 2)]);
    }

    #[test]
    fn an_added_stage_changes_the_rules() {
        let stage = stage(NOWHERE, "Demo", Class::Process);
        let added = pipeline::Event::StageAdded(pipeline::StageAdded { stage, before: Some(OFFER) });
        given([sales(), opened(), sales_event(added)])
            .when(naming_version(1))
            .refused(deal_refusal!(Refusal::RulesChanged { .. }))
            .naming(["version 2"]);
    }

    #[test]
    fn the_version_since_the_last_change_of_rules_is_as_good_as_the_current_one() {
        for named in [2, 3] {
            given([sales(), policy_set(Policy::PERMISSIVE), sales_renamed(), opened()])
                .when(naming_version(named))
                .then([moved_under(3, NEW, TALK, 2)]);
        }
    }

    #[test]
    fn a_version_that_is_yet_to_come_is_refused() {
        given([sales(), opened()])
            .when(naming_version(2))
            .refused(deal_refusal!(Refusal::NoSuchVersion { named: 2, current: 1 }))
            .naming(["the current one is 1"]);
    }
}

mod winning {
    use super::*;

    #[test]
    fn a_deal_is_won_from_any_stage() {
        given([sales(), opened()]).when(CLOSE_WON).then([won(NEW, 2, None)]);
        given([sales(), opened(), deal_event(moved(NEW, TALK, 2))])
            .when(CLOSE_WON)
            .then([won(TALK, 3, None)]);
    }

    #[test]
    fn a_value_above_zero_is_wanted_by_policy_only() {
        let policy = Policy { value_required: true, ..STRICT };
        let valued = |value| deal_event(Event::Opened(deal::Opened { value, ..opening() }));
        for value in [None, Some(usd("0")), Some(usd("0.00"))] {
            given([sales_with(policy), valued(value)])
                .when(CLOSE_WON)
                .refused(deal_refusal!(Refusal::ValueRequired))
                .naming(["above zero", "SetDealValue"]);
        }
        let value = Some(usd("0.01"));
        given([sales_with(policy), valued(value)]).when(CLOSE_WON).then([won(NEW, 2, value)]);
    }
}

mod losing {
    use super::*;

    fn reasons() -> [Happened; 5] {
        [
            sales(),
            reason(PRICE, "price", &[]),
            reason(TIMING, "timing", &[SALES]),
            reason(BREAKAGE, "breakage", &[SERVICE]),
            opened(),
        ]
    }

    #[test]
    fn a_deal_is_lost_into_the_first_failure_stage() {
        given(reasons()).when(close_lost(Some(PRICE))).then([lost(NEW, 2)]);
    }

    #[test]
    fn a_deal_is_lost_into_the_failure_stage_that_is_named() {
        let comment = Personal::new("ძალიან ძვირია");
        let command = Command::CloseLost {
            reason: Some(TIMING),
            stage: Some(SPAM),
            comment: comment.clone(),
            pipeline_version: None,
        };
        given(reasons()).when(command).then([Event::Lost(deal::Lost {
            from: NEW,
            stage: SPAM,
            pipeline_version: 1,
            visit: 2,
            holds: holds_in(NEW),
            reason: TIMING,
            subject: Some(DEAL.into()),
            comment,
        })]);
    }

    #[test]
    fn a_loss_needs_a_reason_and_is_told_which() {
        given(reasons())
            .when(close_lost(None))
            .refused(deal_refusal!(Refusal::LossReasonMissing { .. }))
            .naming([r#"accepted: "price", "timing""#])
            .not_naming(["breakage"]);
    }

    #[test]
    fn a_loss_without_any_reason_defined_says_that_there_is_none() {
        given([sales(), opened()])
            .when(close_lost(None))
            .refused(deal_refusal!(Refusal::LossReasonMissing { .. }))
            .naming(["accepted: none"]);
    }

    #[test]
    fn an_unknown_reason_is_refused() {
        given([sales(), opened(), reason(TIMING, "timing", &[])])
            .when(close_lost(Some(PRICE)))
            .refused(deal_refusal!(Refusal::LossReasonUnknown { reason: PRICE, .. }))
            .naming([&*PRICE.to_string(), r#"accepted: "timing""#]);
    }

    #[test]
    fn a_retired_reason_is_refused() {
        given(reasons().into_iter().chain([reason_retired(PRICE)]))
            .when(close_lost(Some(PRICE)))
            .refused(deal_refusal!(Refusal::LossReasonUnknown { reason: PRICE, .. }))
            .naming([r#"accepted: "timing""#])
            .not_naming([r#""price""#]);
    }

    #[test]
    fn a_reason_of_another_pipeline_is_refused() {
        given(reasons())
            .when(close_lost(Some(BREAKAGE)))
            .refused(deal_refusal!(Refusal::LossReasonUnknown { reason: BREAKAGE, .. }))
            .naming([r#"accepted: "price", "timing""#]);
    }

    #[test]
    fn a_loss_ends_in_a_failure_stage() {
        let into = |stage| Command::CloseLost {
            reason: Some(PRICE),
            stage: Some(stage),
            comment: Personal::default(),
            pipeline_version: None,
        };
        for (stage, class, command) in [(WON, "success", "CloseWon"), (TALK, "process", "MoveDeal")] {
            given(reasons())
                .when(into(stage))
                .refused(deal_refusal!(Refusal::WrongClass { .. }))
                .naming([class, command]);
        }
        given(reasons())
            .when(into(NOWHERE))
            .refused(deal_refusal!(Refusal::UnknownStage { .. }))
            .naming([r#"accepted: "Lost", "Spam""#])
            .not_naming(["Talk", "Won"]);
    }

    #[test]
    fn a_blank_comment_is_no_comment() {
        let command = Command::CloseLost {
            reason: Some(PRICE),
            stage: None,
            comment: Personal::new(" \n"),
            pipeline_version: None,
        };
        given(reasons()).when(command).then([lost(NEW, 2)]);
    }
}

mod closed {
    use super::*;

    fn closed_deals(policy: Policy) -> [(&'static str, Vec<Happened>); 2] {
        let before = || vec![sales_with(policy), reason(PRICE, "price", &[]), registered(NINO), opened()];
        let ended = |event| before().into_iter().chain([deal_event(event)]).collect();
        [("won", ended(won(NEW, 2, None))), ("lost", ended(lost(NEW, 2)))]
    }

    #[test]
    fn a_closed_deal_refuses_everything() {
        for (outcome, log) in closed_deals(STRICT) {
            for command in everything_but_opening().into_iter().chain([reopen(NEW, "they called back")]) {
                given(log.clone())
                    .when(command)
                    .refused(deal_refusal!(Refusal::Closed { may_reopen: false, .. }))
                    .naming([outcome, "open a new deal"])
                    .not_naming(["ReopenDeal"]);
            }
        }
    }

    #[test]
    fn a_closed_deal_that_may_be_reopened_says_so_whatever_it_is_told() {
        for (outcome, log) in closed_deals(Policy::PERMISSIVE) {
            for command in everything_but_opening() {
                given(log.clone())
                    .when(command)
                    .refused(deal_refusal!(Refusal::Closed { may_reopen: true, .. }))
                    .naming([outcome, "ReopenDeal"]);
            }
        }
    }

    #[test]
    fn a_closed_deal_is_not_opened_again() {
        for (_, log) in closed_deals(Policy::PERMISSIVE) {
            given(log)
                .when(Command::Open(open()))
                .refused(deal_refusal!(Refusal::AlreadyOpened))
                .naming(["used once"]);
        }
    }

    #[test]
    fn a_closed_deal_reopens_where_policy_allows() {
        let reason = Personal::new("დარეკეს");
        let [(_, was_won), (_, was_lost)] = closed_deals(Policy { allow_reopen: true, ..STRICT });
        given(was_won).when(reopen(OFFER, "დარეკეს")).then([reopened(WON, OFFER, 3, reason.clone())]);
        given(was_lost).when(reopen(OFFER, "დარეკეს")).then([reopened(LOST, OFFER, 3, reason)]);
    }

    #[test]
    fn reopening_needs_a_reason_in_words_or_as_a_code() {
        let [(_, log), _] = closed_deals(Policy::PERMISSIVE);
        given(log.clone())
            .when(reopen(NEW, "  "))
            .refused(deal_refusal!(Refusal::ReasonMissing))
            .naming(["`reason`", "reason code"]);
        given(log.clone())
            .because(" ")
            .when(reopen(NEW, ""))
            .refused(deal_refusal!(Refusal::ReasonMissing))
            .naming(["reason code"]);
        given(log).because("called_back").when(reopen(NEW, "")).then([reopened(
            WON,
            NEW,
            3,
            Personal::default(),
        )]);
    }

    #[test]
    fn a_deal_reopens_in_a_process_stage() {
        let [(_, log), _] = closed_deals(Policy::PERMISSIVE);
        given(log.clone())
            .when(reopen(LOST, "mistake"))
            .refused(deal_refusal!(Refusal::WrongClass { .. }))
            .naming(["failure"]);
        given(log)
            .when(reopen(NOWHERE, "mistake"))
            .refused(deal_refusal!(Refusal::UnknownStage { .. }))
            .naming([r#"accepted: "New", "Talk", "Offer""#]);
    }

    #[test]
    fn an_open_deal_is_not_reopened() {
        given([sales_with(Policy::PERMISSIVE), opened()])
            .when(reopen(NEW, "why not"))
            .refused(deal_refusal!(Refusal::NotClosed))
            .naming(["only a closed deal"]);
    }

    #[test]
    fn a_reopened_deal_goes_on_and_closes_again() {
        let [_, (_, log)] = closed_deals(Policy { allow_reopen: true, ..STRICT });
        let log: Vec<_> =
            log.into_iter().chain([deal_event(reopened(LOST, TALK, 3, Personal::default()))]).collect();
        given(log.clone()).when(move_to(OFFER)).then([moved(TALK, OFFER, 4)]);
        given(log).when(CLOSE_WON).then([won(TALK, 4, None)]);
    }
}

mod correcting {
    use super::*;

    fn three_visits() -> [Happened; 4] {
        [sales(), opened(), deal_event(moved(NEW, TALK, 2)), deal_event(moved(TALK, OFFER, 3))]
    }

    #[test]
    fn any_visit_is_corrected_in_any_direction() {
        for (visit, from) in [(1, NEW), (2, TALK), (3, OFFER)] {
            for to in [NEW, TALK, OFFER].into_iter().filter(|to| *to != from) {
                let told = if visit == 3 { corrected } else { corrected_before };
                let event = told(visit, from, to, Personal::new("შეცდომა"));
                given(three_visits()).when(correct(visit, to, "შეცდომა")).then([event]);
            }
        }
    }

    #[test]
    fn a_correction_of_the_last_visit_moves_the_deal() {
        let log =
            || three_visits().into_iter().chain([deal_event(corrected(3, OFFER, NEW, Personal::default()))]);
        given(log()).when(move_to(TALK)).then([moved(NEW, TALK, 4)]);
        given(log()).when(move_to(NEW)).then_it_is_already_so();
    }

    #[test]
    fn a_correction_of_an_earlier_visit_leaves_the_deal_where_it_stands() {
        given(three_visits().into_iter().chain([deal_event(corrected_before(
            1,
            NEW,
            TALK,
            Personal::default(),
        ))]))
        .when(move_to(OFFER))
        .then_it_is_already_so();
    }

    #[test]
    fn a_correction_needs_a_reason() {
        given(three_visits())
            .when(correct(1, TALK, ""))
            .refused(deal_refusal!(Refusal::ReasonMissing))
            .naming(["`reason`", "reason code"]);
        given(three_visits()).because("typo").when(correct(1, TALK, "")).then([corrected_before(
            1,
            NEW,
            TALK,
            Personal::default(),
        )]);
    }

    #[test]
    fn a_correction_to_what_stands_there_is_already_so() {
        given(three_visits()).when(correct(2, TALK, "")).then_it_is_already_so();
    }

    #[test]
    fn a_visit_that_never_was_is_refused() {
        for visit in [i32::MIN, -1, 0, 4, i32::MAX] {
            given(three_visits())
                .when(correct(visit, NEW, "typo"))
                .refused(deal_refusal!(Refusal::NoSuchVisit { last: 3, .. }))
                .naming(["visits 1 to 3"]);
        }
    }

    #[test]
    fn a_visit_is_corrected_to_a_process_stage() {
        given(three_visits())
            .when(correct(1, WON, "typo"))
            .refused(deal_refusal!(Refusal::WrongClass { .. }))
            .naming(["success", "CloseWon"]);
        given(three_visits())
            .when(correct(1, NOWHERE, "typo"))
            .refused(deal_refusal!(Refusal::UnknownStage { .. }))
            .naming([r#"accepted: "New", "Talk", "Offer""#]);
    }

    #[test]
    fn a_closing_visit_is_undone_by_reopening() {
        given([
            sales(),
            opened(),
            deal_event(won(NEW, 2, None)),
            deal_event(reopened(WON, NEW, 3, Personal::default())),
        ])
        .when(correct(2, TALK, "typo"))
        .refused(deal_refusal!(Refusal::ClosingVisit { visit: 2 }))
        .naming(["ReopenDeal"]);
    }
}

mod owner_value_and_date {
    use super::*;

    #[test]
    fn a_deal_is_assigned_to_an_active_user() {
        given([sales(), opened(), registered(NINO)])
            .when(Command::assign(NINO))
            .then([Event::Assigned(assigned(None, NINO))]);
    }

    #[test]
    fn a_deal_is_not_assigned_to_a_stranger_or_to_someone_who_left() {
        for log in [vec![], vec![registered(GIORGI), deactivated(GIORGI)]] {
            given([sales(), opened()].into_iter().chain(log))
                .when(Command::assign(GIORGI))
                .refused(deal_refusal!(Refusal::Owner(AssigneeProblem::OwnerNotActive { user: GIORGI })))
                .naming(["registered, active user"]);
        }
    }

    #[test]
    fn the_present_owner_is_already_so_even_after_leaving() {
        let assigned = Event::Assigned(assigned(None, NINO));
        given([sales(), opened(), registered(NINO), deal_event(assigned), deactivated(NINO)])
            .when(Command::assign(NINO))
            .then_it_is_already_so();
    }

    #[test]
    fn an_activated_user_may_own_deals_again() {
        let back = nino_event(user::Event::Activated(user::Activated {}));
        given([sales(), opened(), registered(NINO), deactivated(NINO), back])
            .when(Command::assign(NINO))
            .then([Event::Assigned(assigned(None, NINO))]);
    }

    #[test]
    fn a_value_changes_and_keeps_what_it_was() {
        let first = deal::ValueChanged { from: None, to: usd("10") };
        let second = deal::ValueChanged { from: Some(usd("10")), to: usd("0") };
        given([sales(), opened()])
            .when(Command::SetValue { value: usd("10") })
            .then([Event::ValueChanged(first.clone())]);
        given([sales(), opened(), deal_event(Event::ValueChanged(first))])
            .when(Command::SetValue { value: usd("0") })
            .then([Event::ValueChanged(second)]);
    }

    #[test]
    fn the_same_value_written_otherwise_is_already_so() {
        let event = Event::ValueChanged(deal::ValueChanged { from: None, to: usd("10") });
        given([sales(), opened(), deal_event(event)])
            .when(Command::SetValue { value: usd("10.00") })
            .then_it_is_already_so();
    }

    #[test]
    fn a_negative_value_is_refused() {
        given([sales(), opened()])
            .when(Command::SetValue { value: usd("-5") })
            .refused(deal_refusal!(Refusal::NegativeValue { .. }))
            .naming(["-5 USD", "zero or more"]);
    }

    #[test]
    fn only_a_later_date_counts_as_a_push() {
        let set = |from: Option<&str>, to: &str, push_count| {
            Event::ExpectedCloseChanged(deal::ExpectedCloseChanged {
                from: from.map(date),
                to: date(to),
                push_count,
            })
        };
        let ask = |day: &str| Command::SetExpectedClose { date: date(day) };
        let mut log = vec![sales(), opened()];
        for (day, event) in [
            ("2024-09-30", set(None, "2024-09-30", 0)),
            ("2024-10-31", set(Some("2024-09-30"), "2024-10-31", 1)),
            ("2024-10-01", set(Some("2024-10-31"), "2024-10-01", 1)),
            ("2024-10-02", set(Some("2024-10-01"), "2024-10-02", 2)),
        ] {
            given(log.clone()).when(ask(day)).then([event.clone()]);
            log.push(deal_event(event));
        }
        given(log).when(ask("2024-10-02")).then_it_is_already_so();
    }
}

mod time {
    use super::*;

    fn entered(occurred: Occurred) -> [Happened; 3] {
        [sales(), reason(PRICE, "price", &[]), opened().on(occurred)]
    }

    #[test]
    fn nothing_happens_in_the_future() {
        let tomorrow = day("2024-07-04", Tbilisi);
        for occurred in [instant("2024-07-03T09:46:40.000001Z"), tomorrow] {
            given(entered(instant("2024-06-01T08:00:00Z")))
                .back_dated(occurred)
                .when(move_to(TALK))
                .refused(|refusal| refusal.code() == "in_the_future")
                .naming(["2024-07-03 09:46:40 UTC", "back-dated, never post-dated"]);
        }
    }

    #[test]
    fn this_very_instant_and_today_are_not_the_future() {
        for occurred in [Occurred::Instant { at: NOW }, day("2024-07-03", Tbilisi), Occurred::Unknown] {
            given(entered(instant("2024-06-01T08:00:00Z")))
                .back_dated(occurred)
                .when(move_to(TALK))
                .then([moved(NEW, TALK, 2)]);
        }
    }

    #[test]
    fn stage_entries_never_run_backwards() {
        for command in [move_to(TALK), CLOSE_WON, close_lost(Some(PRICE))] {
            given(entered(instant("2024-06-01T08:00:00Z")))
                .back_dated(instant("2024-06-01T07:59:59.999999Z"))
                .when(command)
                .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
                .naming(["2024-06-01 08:00:00 UTC", "never run backwards"]);
        }
    }

    #[test]
    fn a_reopening_does_not_run_backwards_either() {
        given([
            sales_with(Policy::PERMISSIVE),
            opened(),
            deal_event(won(NEW, 2, None)).on(instant("2024-06-02T08:00:00Z")),
        ])
        .back_dated(instant("2024-06-01T12:00:00Z"))
        .when(reopen(NEW, "mistake"))
        .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
        .naming(["2024-06-02 08:00:00 UTC"]);
    }

    #[test]
    fn two_entries_may_share_an_instant() {
        given(entered(instant("2024-06-01T08:00:00Z")))
            .back_dated(instant("2024-06-01T08:00:00Z"))
            .when(move_to(TALK))
            .then([moved(NEW, TALK, 2)]);
    }

    #[test]
    fn a_day_may_follow_an_instant_within_it() {
        // 23:30 of 1 June in Tbilisi.
        given(entered(instant("2024-06-01T19:30:00Z")))
            .back_dated(day("2024-06-01", Tbilisi))
            .when(move_to(TALK))
            .then([moved(NEW, TALK, 2)]);
    }

    #[test]
    fn a_day_before_the_local_day_runs_backwards() {
        // 00:30 of 2 June in Tbilisi, still 1 June in London.
        given(entered(instant("2024-06-01T20:30:00Z")))
            .back_dated(day("2024-06-01", Tbilisi))
            .when(move_to(TALK))
            .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
            .naming(["never run backwards"]);
        given(entered(instant("2024-06-01T20:30:00Z")))
            .back_dated(day("2024-06-01", chrono_tz::Europe::London))
            .when(move_to(TALK))
            .then([moved(NEW, TALK, 2)]);
    }

    #[test]
    fn a_day_between_does_not_let_a_later_entry_run_backwards() {
        let log = entered(instant("2024-06-01T15:00:00Z"))
            .into_iter()
            .chain([deal_event(moved(NEW, TALK, 2)).on(day("2024-06-01", Tbilisi))]);
        given(log)
            .back_dated(instant("2024-06-01T06:00:00Z"))
            .when(move_to(OFFER))
            .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
            .naming(["2024-06-01 15:00:00 UTC"]);
    }

    #[test]
    fn an_unknown_date_neither_runs_backwards_nor_hides_the_date_before_it() {
        let log = || {
            entered(instant("2024-06-01T15:00:00Z"))
                .into_iter()
                .chain([deal_event(moved(NEW, TALK, 2)).on(Occurred::Unknown)])
        };
        given(log()).back_dated(Occurred::Unknown).when(move_to(OFFER)).then([moved(TALK, OFFER, 3)]);
        given(log())
            .back_dated(instant("2024-06-01T14:00:00Z"))
            .when(move_to(OFFER))
            .refused(deal_refusal!(Refusal::RunsBackwards { .. }))
            .naming(["2024-06-01 15:00:00 UTC"]);
    }

    #[test]
    fn after_an_unknown_date_any_past_date_may_follow() {
        given(entered(Occurred::Unknown))
            .back_dated(instant("1999-01-01T00:00:00Z"))
            .when(move_to(TALK))
            .then([moved(NEW, TALK, 2)]);
    }

    #[test]
    fn a_day_is_as_long_as_its_zone_makes_it() {
        use chrono_tz::{America::Havana, Europe::Berlin};
        // Clocks went forward, so this day ended after 23 hours.
        let short = day("2024-03-31", Berlin);
        assert!(!short.is_before("2024-03-31T21:59:59Z".parse().unwrap()));
        assert!(short.is_before("2024-03-31T22:00:00Z".parse().unwrap()));
        // Clocks went back, so this one took 25.
        let long = day("2024-10-27", Berlin);
        assert!(!long.is_before("2024-10-27T22:59:59Z".parse().unwrap()));
        assert!(long.is_before("2024-10-27T23:00:00Z".parse().unwrap()));
        // Clocks jumped over midnight, so the next day began at one o'clock.
        let before_gap = day("2024-03-09", Havana);
        assert!(!before_gap.is_before("2024-03-10T04:59:59Z".parse().unwrap()));
        assert!(before_gap.is_before("2024-03-10T05:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_day_at_the_ends_of_time_is_compared_without_panic() {
        use chrono::{DateTime, Utc};
        for zone in [Tbilisi, chrono_tz::America::New_York] {
            assert!(Occurred::Day { at: DateTime::<Utc>::MIN_UTC, zone }.is_before(NOW));
            assert!(!Occurred::Day { at: DateTime::<Utc>::MAX_UTC, zone }.is_before(NOW));
        }
    }
}

#[test]
fn a_stream_of_another_aggregate_refuses_a_deals_commands() {
    given([sales()])
        .when(on(SALES.stream(), move_to(TALK)))
        .refused(|refusal| refusal.code() == "other_aggregate")
        .naming(["belongs to a pipeline", "use another id"]);
}

#[test]
fn a_stage_name_in_georgian_is_named_as_it_is_written() {
    let names = ["ახალი", "საუბარი", "შეთავაზება", "მოგებული", "წაგებული", "სპამი"];
    let renamed = |(stage, name): (Stage, &str)| Stage { name: name.to_owned(), ..stage };
    let stages: Vec<Stage> = stages().into_iter().zip(names).map(renamed).collect();
    let entry_stages: Vec<StageId> = vec![NEW];
    let name = "გაყიდვები".to_owned();
    let created = pipeline::Created { name, stages, entry_stages, policy: STRICT };
    let pipeline: PipelineId = SALES;
    given([sales_event(pipeline::Event::Created(created)), opened()])
        .when(move_to(OFFER))
        .refused(deal_refusal!(Refusal::Skips { .. }))
        .naming([r#"skips "საუბარი""#, r#"accepted: "საუბარი""#])
        .not_naming([&*pipeline.to_string()]);
}
