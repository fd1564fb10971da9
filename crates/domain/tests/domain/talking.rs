//! Random commands for calls, conversations and notes.

use crate::given::on;
use crate::sales::{CALL, CHAT, NOTE, NOW};
use crate::stories::{DEALS, a_personal, a_user};
use chrono::TimeDelta;
use kvali_domain::{
    CallId, ContactId, ContentHash, ConversationId, LeadId, NoteId, Order, Target, TaskId, call,
    conversation, note,
};
use proptest::prelude::*;
use proptest::sample::select;
use uuid::Uuid;

pub(crate) fn an_order() -> BoxedStrategy<Order> {
    prop_oneof![
        6 => (a_call(), a_call_command()).prop_map(|(call, command)| on(call.stream(), command)),
        6 => (a_conversation(), a_conversation_command()).prop_map(|(id, command)| on(id.stream(), command)),
        4 => (a_note(), a_note_command()).prop_map(|(note, command)| on(note.stream(), command)),
    ]
    .boxed()
}

pub(crate) fn a_call() -> impl Strategy<Value = CallId> {
    select(vec![CALL, CallId(Uuid::from_u128(0xca11))])
}

fn a_contact() -> impl Strategy<Value = ContactId> {
    (0xc1_u128..0xc4).prop_map(|number| ContactId(Uuid::from_u128(number)))
}

fn a_hash() -> impl Strategy<Value = ContentHash> {
    select(vec!["a", "B", "0"]).prop_map(|digit| ContentHash::parse(&digit.repeat(64)).expect("64 digits"))
}

fn a_code() -> impl Strategy<Value = String> {
    select(vec!["sms", "no_answer", "en-1.2", "No", ""]).prop_map(str::to_owned)
}

pub(crate) fn a_call_command() -> impl Strategy<Value = call::Command> {
    use call::{Belongs, Command, Consent, Direction, Match};
    let direction = select(vec![Direction::Inbound, Direction::Inbound, Direction::Outbound]);
    let task = select(vec![TaskId(Uuid::from_u128(0x7a51)), TaskId(Uuid::from_u128(0x7a52))]);
    let due = (0_i64..3000).prop_map(|hours| NOW + TimeDelta::hours(hours));
    let belongs = prop_oneof![
        select(DEALS.to_vec()).prop_map(Belongs::Deal),
        Just(Belongs::Lead(LeadId(Uuid::from_u128(0x1ead)))),
    ];
    let found = prop_oneof![
        2 => (a_contact(), belongs).prop_map(|(contact, belongs_to)| Match::Contact { contact, belongs_to }),
        2 => prop::collection::vec(a_contact(), 0..4).prop_map(|candidates| Match::Several { candidates }),
        1 => Just(Match::Nobody {}),
    ];
    let consent = prop_oneof![
        Just(Consent::Given {}),
        a_personal().prop_map(|reason| Consent::NotRequired { reason }),
        Just(Consent::Refused {}),
    ];
    prop_oneof![
        2 => (a_code(), a_code(), direction, a_personal(), a_personal()).prop_map(
            |(provider, provider_id, direction, from, to)| {
                Command::Register { provider, provider_id, direction, from, to }
            }
        ),
        1 => a_user().prop_map(|by| Command::Answer { by }),
        1 => prop_oneof![-1_i32..3, any::<i32>()].prop_map(|duration_s| Command::End { duration_s }),
        1 => (task, a_user(), due, any::<bool>(), a_personal()).prop_map(|(task, assignee, due, force, reason)| {
            Command::Miss { task, assignee, due, force, reason }
        }),
        2 => (found, a_personal()).prop_map(|(outcome, reason)| Command::Match { outcome, reason }),
        1 => (a_code(), a_personal()).prop_map(|(code, comment)| Command::SetDisposition { code, comment }),
        1 => (a_hash(), consent).prop_map(|(hash, consent)| Command::AttachRecording { hash, consent }),
        1 => prop::option::of(a_call()).prop_map(|by| Command::Return { by }),
    ]
}

fn a_target() -> impl Strategy<Value = Target> {
    prop_oneof![
        select(DEALS.to_vec()).prop_map(Target::Deal),
        a_contact().prop_map(Target::Contact),
        Just(Target::Lead(LeadId(Uuid::from_u128(0x1ead)))),
    ]
}

pub(crate) fn a_conversation() -> impl Strategy<Value = ConversationId> {
    select(vec![CHAT, ConversationId(Uuid::from_u128(0xc0de))])
}

pub(crate) fn a_conversation_command() -> impl Strategy<Value = conversation::Command> {
    use conversation::{Command, Purpose, Report, Template};
    let purpose = select(vec![Purpose::Service, Purpose::Marketing]);
    let template = (a_code(), 0_i32..3).prop_map(|(code, version)| Template { code, version });
    let report = prop_oneof![
        Just(Report::Delivered {}),
        a_code().prop_map(|code| Report::Failed { code }),
        Just(Report::Read {}),
    ];
    let message = prop_oneof![9 => 1_i32..4, 1 => 0_i32..5, 1 => any::<i32>()];
    prop_oneof![
        2 => (a_code(), a_code(), prop::option::of(a_contact()))
            .prop_map(|(channel, thread_id, contact)| Command::Open { channel, thread_id, contact }),
        2 => (a_code(), a_personal()).prop_map(|(message_id, text)| Command::Receive { message_id, text }),
        3 => (a_personal(), purpose, prop::option::of(a_code()), prop::option::of(template)).prop_map(
            |(text, purpose, consent, template)| Command::Send { text, purpose, consent, template }
        ),
        8 => (message, report).prop_map(|(message, report)| Command::RecordDelivery { message, report }),
        1 => (a_user(), any::<bool>(), a_personal())
            .prop_map(|(assignee, force, reason)| Command::Assign { assignee, force, reason }),
        1 => Just(Command::Close {}),
        1 => a_target().prop_map(|to| Command::Link { to }),
    ]
}

pub(crate) fn a_note() -> impl Strategy<Value = NoteId> {
    select(vec![NOTE, NoteId(Uuid::from_u128(0x0e02)), NoteId(Uuid::from_u128(0x0e03))])
}

pub(crate) fn a_note_command() -> impl Strategy<Value = note::Command> {
    use note::{Command, MAX_FILE_BYTES, Visibility};
    let visibility = select(vec![Visibility::Team, Visibility::Private, Visibility::All]);
    let media_type = select(vec!["application/pdf", "Image/PNG", "text/html"]).prop_map(str::to_owned);
    let size = prop_oneof![4 => 1_i32..100, 1 => any::<i32>(), 1 => Just(MAX_FILE_BYTES)];
    let file = prop_oneof![9 => 0_i32..3, 1 => any::<i32>()];
    prop_oneof![
        3 => (a_target(), a_personal(), visibility)
            .prop_map(|(about, text, visibility)| Command::Add { about, text, visibility }),
        2 => (a_personal(), a_personal()).prop_map(|(text, reason)| Command::Revise { text, reason }),
        1 => a_personal().prop_map(|reason| Command::Redact { reason }),
        1 => Just(Command::Pin {}),
        1 => Just(Command::Unpin {}),
        4 => (a_personal(), media_type, size, a_hash()).prop_map(|(name, media_type, size_bytes, hash)| {
            Command::AttachFile { name, media_type, size_bytes, hash }
        }),
        4 => file.prop_map(|file| Command::DetachFile { file }),
    ]
}
