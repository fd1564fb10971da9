use crate::configuring::*;
use crate::given::{Happened, given};
use crate::sales::at_start;
use kvali_domain::tags::{Command, Defined, Event, Merged, Refusal, Renamed, STREAM, Tags};
use kvali_domain::{Decider, Refusal as AnyRefusal, TagId};

macro_rules! tag_refusal {
    ($pattern:pat) => {
        |refusal: &AnyRefusal| matches!(refusal, AnyRefusal::Tags($pattern))
    };
}

fn define(tag: TagId, name: &str) -> Command {
    Command::Define { tag, name: name.to_owned() }
}

fn rename(tag: TagId, name: &str) -> Command {
    Command::Rename { tag, name: name.to_owned() }
}

fn merge(tag: TagId, into: TagId) -> Command {
    Command::Merge { tag, into }
}

fn happened(event: Event) -> Happened {
    at_start(STREAM, event)
}

fn defined(tag: TagId, name: &str) -> Happened {
    happened(Event::Defined(Defined { tag, name: name.to_owned() }))
}

fn renamed(tag: TagId, from: &str, to: &str) -> Event {
    Event::Renamed(Renamed { tag, from: from.to_owned(), to: to.to_owned() })
}

fn merged(tag: TagId, into: TagId) -> Event {
    Event::Merged(Merged { tag, into })
}

fn three() -> Vec<Happened> {
    vec![defined(VIP, "VIP"), defined(BIG, "Big client"), defined(LOYAL, "ერთგული")]
}

/// The log with `VIP` merged into `BIG`.
fn with_an_alias() -> Vec<Happened> {
    three().into_iter().chain([happened(merged(VIP, BIG))]).collect()
}

fn folded(log: Vec<Happened>) -> Tags {
    let mut tags = Tags::default();
    for (version, happened) in (1..).zip(log) {
        let kvali_domain::Event::Tags(event) = happened.event else { unreachable!("tag events only") };
        tags.evolve(&event, version, &happened.occurred);
    }
    tags
}

#[test]
fn a_tag_is_defined_once() {
    let event = Event::Defined(Defined { tag: VIP, name: "VIP".to_owned() });
    given([]).when(define(VIP, " VIP ")).then([event]);
    given([defined(VIP, "VIP")]).when(define(VIP, "vip")).then_it_is_already_so();
}

#[test]
fn a_tags_name_is_unique_whatever_its_case_and_spaces() {
    for name in ["Big client", "BIG CLIENT", " big   client "] {
        given(three())
            .when(define(TagId(DAY), name))
            .refused(tag_refusal!(Refusal::NameTaken { .. }))
            .naming([r#""Big client" exists already"#]);
        given(three())
            .when(rename(VIP, name))
            .refused(tag_refusal!(Refusal::NameTaken { .. }))
            .naming([r#""Big client" exists already"#]);
    }
}

const DAY: uuid::Uuid = uuid::Uuid::from_u128(0xda1);

#[test]
fn the_name_of_a_merged_tag_stays_taken_by_the_tag_it_stands_for() {
    for command in [define(TagId(DAY), "vip"), define(VIP, "VIP"), rename(LOYAL, "VIP")] {
        given(with_an_alias())
            .when(command)
            .refused(tag_refusal!(Refusal::NameTaken { .. }))
            .naming([r#""Big client""#, "use it"]);
    }
    given(with_an_alias()).when(rename(BIG, "VIP")).then([renamed(BIG, "Big client", "VIP")]);
}

#[test]
fn an_id_is_one_tags() {
    given(three())
        .when(define(VIP, "Small"))
        .refused(tag_refusal!(Refusal::IdTaken { .. }))
        .naming([r#""VIP""#, "use another id"]);
}

#[test]
fn a_name_says_something() {
    for command in [define(VIP, " "), rename(VIP, "\t")] {
        given([defined(VIP, "VIP")])
            .when(command)
            .refused(|refusal| refusal.code() == "blank")
            .naming(["visible character"]);
    }
}

#[test]
fn a_tag_is_renamed_once_also_in_its_case_only() {
    given(three()).when(rename(VIP, "Vip")).then([renamed(VIP, "VIP", "Vip")]);
    given(three().into_iter().chain([happened(renamed(VIP, "VIP", "Vip"))]))
        .when(rename(VIP, "Vip"))
        .then_it_is_already_so();
}

#[test]
fn a_merged_tag_stands_for_another() {
    given(three()).when(merge(VIP, BIG)).then([merged(VIP, BIG)]);
    given(with_an_alias()).when(merge(VIP, BIG)).then_it_is_already_so();
    let tags = folded(with_an_alias());
    assert_eq!(tags.resolve(VIP).map(|tag| tag.id), Some(BIG));
    assert_eq!(tags.resolve(LOYAL).map(|tag| tag.id), Some(LOYAL));
    assert_eq!(tags.named("vip").map(|tag| tag.id), Some(BIG));
    assert_eq!(tags.names(), ["Big client", "ერთგული"]);
    assert_eq!(tags.resolve(TagId(DAY)), None);
}

#[test]
fn aliases_follow_the_tag_that_they_stand_for() {
    let log = || with_an_alias().into_iter().chain([happened(merged(BIG, LOYAL))]).collect::<Vec<_>>();
    let tags = folded(log());
    for tag in [VIP, BIG, LOYAL] {
        assert_eq!(tags.resolve(tag).map(|tag| tag.id), Some(LOYAL));
    }
    given(log()).when(merge(VIP, LOYAL)).then_it_is_already_so();
}

#[test]
fn a_merge_into_an_alias_is_one_into_the_tag_that_it_stands_for() {
    given(with_an_alias()).when(merge(LOYAL, VIP)).then([merged(LOYAL, BIG)]);
}

#[test]
fn two_tags_that_are_merged_differ() {
    for (log, tag, into) in [(three(), VIP, VIP), (with_an_alias(), BIG, VIP)] {
        given(log)
            .when(merge(tag, into))
            .refused(tag_refusal!(Refusal::SameTag { .. }))
            .naming(["two that differ", "ერთგული"]);
    }
}

#[test]
fn a_merged_tag_is_neither_renamed_nor_merged_elsewhere() {
    for command in [rename(VIP, "Very important"), merge(VIP, LOYAL)] {
        given(with_an_alias())
            .when(command)
            .refused(tag_refusal!(Refusal::MergedTag { .. }))
            .naming([r#""VIP" was merged into "Big client""#, "use that one"]);
    }
}

#[test]
fn an_unknown_tag_is_answered_with_those_in_use() {
    for command in [rename(TagId(DAY), "Day"), merge(TagId(DAY), LOYAL), merge(LOYAL, TagId(DAY))] {
        given(with_an_alias())
            .when(command)
            .refused(tag_refusal!(Refusal::NoSuchTag { .. }))
            .naming([r#"there are "Big client", "ერთგული""#])
            .not_naming(["VIP"]);
    }
}
