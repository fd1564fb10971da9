//! Which stream a command is for, whether it starts one, and who answers it once its record was merged away.

use crate::sales::*;
use kvali_domain::{
    Command, CommandType, Condition, Personal, StreamId, SubjectId, Target, access, activity_types,
    command_types, duplicate, exchange_rates, fields, loss_reasons, match_rule, sources, subject, tags,
    task_templates, user,
};
use std::collections::BTreeSet;

/// Every command, as its example gives it.
fn every_command() -> impl Iterator<Item = (CommandType, Command)> {
    command_types().into_iter().map(|known| {
        let command = Command::decode(known.name, &known.example).expect("an example is read");
        (known, command)
    })
}

/// The words of the commands of which `is` holds.
fn words(is: impl Fn(&Command) -> bool) -> BTreeSet<&'static str> {
    every_command().filter(|(_, command)| is(command)).map(|(known, _)| known.name).collect()
}

#[test]
fn a_dictionary_has_one_stream_whatever_is_said_of_it() {
    let dictionaries: [(&str, StreamId); 9] = [
        ("access", access::STREAM),
        ("activity_type", activity_types::STREAM),
        ("exchange_rate", exchange_rates::STREAM),
        ("field", fields::STREAM),
        ("loss_reason", loss_reasons::STREAM),
        ("match_rule", match_rule::STREAM),
        ("source", sources::STREAM),
        ("tag", tags::STREAM),
        ("task_template", task_templates::STREAM),
    ];
    let mut met = BTreeSet::new();
    for (known, command) in every_command() {
        if let Some((name, stream)) = dictionaries.iter().find(|(name, _)| *name == known.aggregate) {
            assert_eq!(command.home(), Some(*stream), "{}", known.name);
            met.insert(name);
        }
    }
    assert_eq!(met.len(), dictionaries.len(), "{met:?}");
}

#[test]
fn a_users_a_pairs_and_a_subjects_stream_follow_from_the_command() {
    let name = || Personal::new("ნინო");
    let register = user::Command::Register { user: NINO, name: name() };
    let invite = user::Command::Invite { user: NINO, name: name(), mail: Personal::new("nino@example.ge") };
    for command in [register, invite] {
        assert_eq!(Command::from(command).home(), Some(NINO.stream()));
    }
    assert_eq!(Command::from(user::Command::Deactivate {}).home(), None, "which user, the sender says");
    let (one, other) = (Target::Contact(ANNA), Target::Lead(LEAD));
    let confirm = duplicate::Command::Confirm { one: other, other: one };
    assert_eq!(Command::from(confirm).home(), Some(duplicate::pair(one, other)));
    let subject = SubjectId::from(NINO);
    assert_eq!(Command::from(subject::Command::Erase { subject }).home(), Some(subject.stream()));
}

#[test]
fn these_commands_start_a_stream_and_no_others() {
    let starting = [
        "AddNote",
        "CaptureLead",
        "CreateCompany",
        "CreateContact",
        "CreatePipeline",
        "CreateTask",
        "CreateTaskFromTemplate",
        "CreateTeam",
        "DefineFunnel",
        "HandOverWork",
        "InviteUser",
        "OpenConversation",
        "OpenDeal",
        "OpenRepeatDeal",
        "RegisterCall",
        "RegisterUser",
        "ScheduleMeeting",
    ];
    assert_eq!(words(Command::begins), starting.into_iter().collect());
}

/// What is about the record alone: its points, ids, terms, visits and approvals stay with it, and so does its way back.
#[test]
fn a_record_that_was_merged_away_answers_these_commands_itself_and_no_others() {
    let own = [
        "CorrectStage",
        "EndContractTerms",
        "GrantApproval",
        "InvalidateContactPoint",
        "RefuseApproval",
        "RemoveContactPoint",
        "SeparateCompany",
        "SeparateContact",
        "SeparateDeal",
        "SeparateLead",
        "SetCompanyLegalIds",
        "SetPrimaryContactPoint",
        "UnmergeCompanies",
        "UnmergeContacts",
        "UnmergeDeals",
        "UnmergeLeads",
        "VerifyContactPoint",
        "YieldCompany",
        "YieldContact",
        "YieldDeal",
        "YieldLead",
    ];
    assert_eq!(words(Command::is_own), own.into_iter().collect());
}

#[test]
fn what_demands_something_of_others_can_be_refused() {
    use Condition::{Count, Free, Join, None, Own, Release, Some, Take, Uncount};
    for condition in [Take, Free, Own, Some, None] {
        assert!(condition.is_demand(), "{condition:?}");
    }
    for condition in [Join, Release, Count, Uncount] {
        assert!(!condition.is_demand(), "{condition:?}");
    }
}
