//! Contacts and companies as random commands have them.

use crate::configuring::BIG;
use crate::given::Happened;
use crate::given::on;
use crate::sales::at_start;
use crate::sales::{ACME_LTD, ANNA, NOW, id};
use crate::stories::{SECRET, a_personal, a_user};
use chrono::{Days, NaiveDate};
use kvali_domain::company::{self, GrantTerms, LegalIds};
use kvali_domain::contact::{self, LifecycleStage, Relation, Role};
use kvali_domain::contact_point::{ContactPoint, Kind, Network};
use kvali_domain::country::Country;
use kvali_domain::deal::External;
use kvali_domain::field_changes::{FieldSetting, FieldValue};
use kvali_domain::fields;
use kvali_domain::sources::{self, ChannelType};
use kvali_domain::{CompanyId, ContactId, FieldId, Order, Personal, ProductId, SourceId, TagId, tags};
use proptest::prelude::*;
use proptest::sample::select;

pub(crate) const BORIS: ContactId = ContactId(id(61));
pub(crate) const GLOBEX: CompanyId = CompanyId(id(62));
pub(crate) const INITECH: CompanyId = CompanyId(id(63));
pub(crate) const SIZE: FieldId = FieldId(id(64));
pub(crate) const COLOUR: FieldId = FieldId(id(65));
/// Of contacts, sensitive.
pub(crate) const BIRTHDAY: FieldId = FieldId(id(69));
/// Of companies, sensitive.
pub(crate) const OWNER_ID: FieldId = FieldId(id(70));
pub(crate) const VIP: TagId = TagId(id(66));
pub(crate) const CHAIR: ProductId = ProductId(id(67));
pub(crate) const FAIR: SourceId = SourceId(id(68));

pub(crate) fn country(code: &str) -> Country {
    Country::parse(code).expect("a country")
}

/// Whoever is known by name only.
pub(crate) fn named() -> contact::Command {
    let full = Personal::new(format!("{SECRET} Anna"));
    contact::Command::Create(contact::Create { full, ..contact::Create::default() })
}

pub(crate) fn company_named() -> company::Command {
    let name = Personal::new(format!("{SECRET} Ltd"));
    company::Command::Create(company::Create { name, ..company::Create::default() })
}

pub(crate) fn a_contact_order() -> impl Strategy<Value = Order> {
    let contact = select(vec![ANNA, ANNA, BORIS]);
    (contact, a_contact_command()).prop_map(|(contact, command)| on(contact.stream(), command))
}

pub(crate) fn a_company_order() -> impl Strategy<Value = Order> {
    (a_company(), a_company_command()).prop_map(|(company, command)| on(company.stream(), command))
}

fn a_company() -> impl Strategy<Value = CompanyId> {
    select(vec![ACME_LTD, ACME_LTD, GLOBEX, INITECH])
}

fn a_day() -> impl Strategy<Value = NaiveDate> {
    (0_u64..90).prop_map(|days| NOW.date_naive() - Days::new(60) + Days::new(days))
}

fn a_country() -> impl Strategy<Value = Country> {
    select(vec![country("GE"), country("DE"), country("XK")])
}

fn a_point() -> impl Strategy<Value = ContactPoint> {
    let network = Network::parse("telegram").expect("a network");
    let kind = select(vec![Kind::Email, Kind::Phone, Kind::Handle { network }]);
    let text = select(vec!["+995 555 12 34 56", "555 12 34 57", "SECRET@example.ge", "@SECRET", ""]);
    (kind, text, prop::option::of(a_country())).prop_map(|(kind, text, region)| ContactPoint {
        kind,
        value: Personal::new(text.replace("SECRET", SECRET)),
        region,
    })
}

fn settings() -> impl Strategy<Value = Vec<FieldSetting>> {
    let value = select(vec![
        None,
        Some(FieldValue::Bool(true)),
        Some(FieldValue::Number((-12).into())),
        Some(FieldValue::Text("12.50".to_owned())),
        Some(FieldValue::MultiChoice(vec![])),
    ]);
    let setting =
        (select(vec![SIZE, COLOUR]), value).prop_map(|(field, value)| FieldSetting { field, value });
    let secret = Some(FieldValue::Text(SECRET.to_owned()));
    let private = (select(vec![BIRTHDAY, OWNER_ID]), select(vec![None, secret]))
        .prop_map(|(field, value)| FieldSetting { field, value });
    prop::collection::vec(prop_oneof![setting, private], 0..3)
}

fn a_number() -> impl Strategy<Value = i32> {
    prop_oneof![9 => 1_i32..4, 1 => any::<i32>()]
}

fn an_external() -> impl Strategy<Value = Option<External>> {
    select(vec![None, Some(External { source: "amo".to_owned(), id: "კონ-17".to_owned() })])
}

fn a_contact_command() -> impl Strategy<Value = contact::Command> {
    use contact::Command;
    let names = || (a_personal(), a_personal(), a_personal());
    let override_ = || (prop::bool::weighted(0.2), a_personal());
    let create = (
        names(),
        prop::collection::vec(a_point(), 0..3),
        select(vec![None, Some(FAIR)]),
        an_external(),
        prop::option::of(a_user()),
        override_(),
    )
        .prop_map(
            |((given, family, full), points, source, external, owner, (override_duplicate, reason))| {
                contact::Create {
                    given,
                    family,
                    full,
                    points,
                    source,
                    external,
                    owner,
                    override_duplicate,
                    reason,
                }
            },
        );
    let stage = select(vec![
        LifecycleStage::Subscriber,
        LifecycleStage::Lead,
        LifecycleStage::Customer,
        LifecycleStage::Other,
    ]);
    let role = || select(vec![Role::Director, Role::Director, Role::Other]);
    let relation = || (select(vec![ANNA, BORIS, BORIS]), Just(Relation::Referrer));
    prop_oneof![
        2 => create.prop_map(Command::Create),
        1 => names().prop_map(|(given, family, full)| Command::Rename { given, family, full }),
        4 => (a_point(), override_()).prop_map(|(contact_point, (override_duplicate, reason))| Command::AddPoint {
            contact_point,
            override_duplicate,
            reason
        }),
        2 => a_number().prop_map(|point| Command::SetPrimary { point }),
        3 => (a_number(), a_personal()).prop_map(|(point, evidence)| Command::Verify { point, evidence }),
        3 => (a_number(), a_personal()).prop_map(|(point, evidence)| Command::Invalidate { point, evidence }),
        4 => (a_number(), a_point()).prop_map(|(point, ContactPoint { value, region, .. })| Command::RemovePoint {
            point,
            value,
            region
        }),
        1 => (a_country(), a_personal()).prop_map(|(country, lines)| Command::ChangeAddress { country, lines }),
        1 => settings().prop_map(|fields| Command::SetFields { fields }),
        4 => (a_company(), role(), a_personal(), prop::option::of(a_day()))
            .prop_map(|(company, role, title, from)| Command::StartAffiliation { company, role, title, from }),
        4 => (a_company(), role(), a_day())
            .prop_map(|(company, role, until)| Command::EndAffiliation { company, role, until }),
        3 => relation().prop_map(|(other, relation)| Command::Relate { other, relation }),
        3 => relation().prop_map(|(other, relation)| Command::Unrelate { other, relation }),
        1 => (a_user(), any::<bool>(), a_personal())
            .prop_map(|(owner, force, reason)| Command::Assign { owner, force, reason }),
        2 => (stage, a_personal()).prop_map(|(stage, reason)| Command::SetLifecycleStage { stage, reason }),
        1 => Just(Command::Tag { tag: VIP }),
        1 => Just(Command::Untag { tag: VIP }),
        1 => Just(Command::Archive {}),
        3 => Just(Command::Restore {}),
    ]
}

fn some_ids() -> impl Strategy<Value = LegalIds> {
    let text = || {
        select(vec![None, Some("204 378 869"), Some("DE 136 695 976"), Some("00")])
            .prop_map(|text| Personal(text.map(str::to_owned)))
    };
    (a_country(), text(), text()).prop_map(|(country, tax_id, registration_id)| LegalIds {
        country,
        tax_id,
        registration_id,
    })
}

fn a_company_command() -> impl Strategy<Value = company::Command> {
    use company::Command;
    let domains = || {
        let domain = select(vec!["acme.ge", "ACME.com.", "მაგალითი.გე", "gmail.com", "no domain"]);
        prop::collection::vec(domain.prop_map(str::to_owned), 0..3)
    };
    let override_ = || (prop::bool::weighted(0.2), a_personal());
    let create = (
        a_personal(),
        domains(),
        prop::option::of(some_ids()),
        an_external(),
        prop::option::of(a_user()),
        override_(),
    )
        .prop_map(|(name, domains, legal_ids, external, owner, (override_duplicate, reason))| {
            company::Create { name, domains, legal_ids, external, owner, override_duplicate, reason }
        });
    let ancestors = prop::collection::vec(a_company(), 0..3);
    let terms =
        (a_country(), select(vec![None, Some(CHAIR)]), any::<bool>(), a_day(), prop::option::of(a_day()));
    let territory = select(vec![None, Some("ge-tb"), Some("GE_1.2"), Some("Tbilisi, old town")]);
    prop_oneof![
        create.prop_map(Command::Create),
        a_personal().prop_map(|name| Command::Rename { name }),
        (domains(), override_()).prop_map(|(domains, (override_duplicate, reason))| Command::SetDomains {
            domains,
            override_duplicate,
            reason
        }),
        (some_ids(), prop::option::of(some_ids()), override_()).prop_map(
            |(ids, replaces, (override_duplicate, reason))| Command::SetLegalIds {
                ids,
                replaces,
                override_duplicate,
                reason
            }
        ),
        (ancestors, prop::bool::weighted(0.9)).prop_map(|(ancestors, told)| Command::SetParent {
            parent: ancestors.first().copied().filter(|_| told),
            ancestors
        }),
        settings().prop_map(|fields| Command::SetFields { fields }),
        (a_user(), any::<bool>(), a_personal()).prop_map(|(owner, force, reason)| Command::Assign {
            owner,
            force,
            reason
        }),
        territory.prop_map(|territory| Command::SetTerritory { territory: territory.map(str::to_owned) }),
        terms.prop_map(|(country, product, exclusive, from, until)| Command::GrantTerms(GrantTerms {
            country,
            product,
            exclusive,
            from,
            until
        })),
        (a_number(), a_day()).prop_map(|(terms, until)| Command::EndTerms { terms, until }),
        Just(Command::Archive {}),
        Just(Command::Restore {}),
        Just(Command::Restore {}),
    ]
}

/// Two fields of an entity, SIZE and COLOUR, that hold what `kind` says.
pub(crate) fn fields_of(entity: fields::Entity, kind: fields::FieldType) -> [Happened; 2] {
    [(SIZE, "size"), (COLOUR, "colour")].map(|(field, key)| {
        let defined = fields::Defined {
            field,
            entity,
            key: key.to_owned(),
            label: key.to_owned(),
            kind,
            options: vec![],
            default: None,
            class: fields::Classification::None,
        };
        at_start(fields::STREAM, fields::Event::Defined(defined))
    })
}

pub(crate) fn define_fair() -> sources::Command {
    let (code, label) = ("fair".to_owned(), "Fair".to_owned());
    sources::Command::Define { source: FAIR, code, label, channel: ChannelType::Event }
}

/// The dictionaries that contacts, leads and deals share: a source, a tag, and another that was merged into it.
pub(crate) fn dictionaries() -> [Happened; 4] {
    let fair = sources::Defined {
        source: FAIR,
        code: "fair".to_owned(),
        label: "Fair".to_owned(),
        channel: ChannelType::Event,
    };
    let tag = |tag, name: &str| tags::Event::Defined(tags::Defined { tag, name: name.to_owned() });
    let merged = tags::Event::Merged(tags::Merged { tag: BIG, into: VIP });
    [
        at_start(sources::STREAM, sources::Event::Defined(fair)),
        at_start(tags::STREAM, tag(VIP, "vip")),
        at_start(tags::STREAM, tag(BIG, "big")),
        at_start(tags::STREAM, merged),
    ]
}
