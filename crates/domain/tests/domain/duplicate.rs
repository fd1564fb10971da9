//! Pairs of records that somebody looked at.

use crate::deal_more::after;
use crate::given::{given, on};
use crate::joining::merged;
use crate::merging::looked_up_in;
use crate::party::BORIS;
use crate::sales::*;
use kvali_domain::duplicate::{Command, Confirmed, Event, Refusal, Rejected, pair};
use kvali_domain::{Personal, Refusal as AnyRefusal, SubjectId, Target, contact};

macro_rules! refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Duplicate($pattern))
    };
}

const ONE: Target = Target::Contact(ANNA);
const OTHER: Target = Target::Contact(BORIS);

fn reject(one: Target, other: Target, reason: &str) -> kvali_domain::Order {
    on(pair(one, other), Command::Reject { one, other, reason: Personal::new(reason) })
}

fn confirm() -> kvali_domain::Order {
    on(pair(ONE, OTHER), Command::Confirm { one: ONE, other: OTHER })
}

fn rejected(reason: &str) -> Event {
    let reason = if reason.is_empty() { Personal::default() } else { Personal::new(reason) };
    Event::Rejected(Rejected { subject: SubjectId(ANNA.0), one: ONE, other: OTHER, reason })
}

fn two() -> Vec<crate::given::Happened> {
    vec![contact_known(ANNA), contact_known(BORIS), lead_captured(LEAD, None)]
}

#[test]
fn a_pair_is_one_pair_whichever_is_named_first() {
    assert_eq!(pair(ONE, OTHER), pair(OTHER, ONE));
    assert_ne!(pair(ONE, OTHER), pair(ONE, Target::Lead(LEAD)));
}

#[test]
fn a_pair_is_rejected_with_a_reason_and_stays_so() {
    given(two()).when(reject(ONE, OTHER, "father and son")).then([rejected("father and son")]);
    given(two()).because("household").when(reject(ONE, OTHER, " ")).then([rejected("")]);
    given(two())
        .when(reject(ONE, OTHER, ""))
        .refused(refusal!(Refusal::ReasonMissing))
        .naming(["reason code"]);
    let log = after(two(), [reject(ONE, OTHER, "father and son")]);
    given(log.clone()).when(reject(OTHER, ONE, "")).then_it_is_already_so();
    given(log).when(confirm()).then([Event::Confirmed(Confirmed { one: ONE, other: OTHER })]);
}

#[test]
fn a_lead_and_a_contact_may_be_a_pair() {
    let lead = Target::Lead(LEAD);
    let event = Rejected { subject: SubjectId(LEAD.0), one: lead, other: ONE, reason: Personal::new("no") };
    given(two()).when(reject(lead, ONE, "no")).then([Event::Rejected(event)]);
}

#[test]
fn a_pair_is_confirmed_once() {
    given(two()).when(confirm()).then([Event::Confirmed(Confirmed { one: ONE, other: OTHER })]);
    let log = after(two(), [confirm()]);
    given(log.clone()).when(confirm()).then_it_is_already_so();
    given(log).when(reject(ONE, OTHER, "not after all")).then([rejected("not after all")]);
}

#[test]
fn a_pair_is_two_records_that_exist_in_the_stream_of_the_pair() {
    given(two()).when(reject(ONE, ONE, "x")).refused(refusal!(Refusal::SameRecord { .. }));
    given([contact_known(ANNA)])
        .when(confirm())
        .refused(refusal!(Refusal::NoSuchTarget { .. }))
        .naming([BORIS.to_string().as_str()]);
    given(two())
        .when(on(ANNA.stream(), Command::Confirm { one: ONE, other: OTHER }))
        .refused(|refusal| matches!(refusal, AnyRefusal::General(_)));
    given(two())
        .when(on(pair(ONE, Target::Lead(LEAD)), Command::Confirm { one: ONE, other: OTHER }))
        .refused(refusal!(Refusal::OtherPair { .. }))
        .naming([pair(ONE, OTHER).to_string().as_str()]);
}

#[test]
fn nothing_is_said_of_a_pair_that_is_one() {
    let log = two();
    let merge = on(ANNA.stream(), contact::Command::Merge(merged(&[BORIS])));
    let merge = looked_up_in(&merge, &log);
    given(after(log, [merge]))
        .when(confirm())
        .refused(refusal!(Refusal::Merged { .. }))
        .naming(["undo the merge"]);
}
