//! What the columns of somebody's file hold, by their names.

use super::NotReadable;
use kvali_projections::duplicate_candidates::Details;
use std::collections::BTreeSet;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Meaning {
    /// The record's own id.
    Id,
    /// What all records of one entity share.
    Cluster,
    NotCompared,
    Known(Known),
    /// Any other text, compared under the column's name.
    Other,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Known {
    GivenName,
    FamilyName,
    FullName,
    Organisation,
    Email,
    Phone,
    Website,
    Identifier,
    BirthDate,
    StreetNumber,
    Street,
    SecondLine,
    Postcode,
    City,
}

/// The first name is what `--map` calls it.
const KNOWN: &[(Known, &[&str])] = &[
    (
        Known::GivenName,
        &["given_name", "given", "first_name", "first", "firstname", "fname", "forename", "forenames"],
    ),
    (
        Known::FamilyName,
        &["family_name", "family", "surname", "last_name", "last", "lastname", "lname", "sname"],
    ),
    (
        Known::FullName,
        &["name", "full_name", "fullname", "person_name", "contact_name", "customer_name", "display_name"],
    ),
    (
        Known::Organisation,
        &[
            "organisation",
            "organization",
            "org",
            "org_name",
            "organisation_name",
            "organization_name",
            "company",
            "company_name",
            "business",
            "business_name",
            "account",
            "account_name",
            "employer",
            "institution",
            "legal_name",
            "trade_name",
            "site_name",
            "firm",
            "agency_name",
            "supplier",
            "vendor",
        ],
    ),
    (Known::Email, &["email", "e_mail", "email_address", "mail", "work_email", "emailaddress"]),
    (
        Known::Phone,
        &[
            "phone",
            "phone_number",
            "phone_no",
            "telephone",
            "tel",
            "mobile",
            "mobile_phone",
            "cell",
            "cell_phone",
            "phonenumber",
            "contact_number",
            "home_phone",
            "work_phone",
        ],
    ),
    (Known::Website, &["website", "domain", "url", "homepage", "home_page", "web", "web_site"]),
    (
        Known::Identifier,
        &[
            "identifier",
            "soc_sec_id",
            "ssn",
            "social_security_number",
            "national_id",
            "tax_id",
            "taxid",
            "tax_number",
            "vat",
            "vat_id",
            "vat_number",
            "ein",
            "inn",
            "tin",
            "nip",
            "duns",
            "registration_id",
            "registration_number",
            "company_number",
            "passport",
            "passport_number",
            "nhs_number",
        ],
    ),
    (
        Known::BirthDate,
        &["birth_date", "date_of_birth", "dob", "birthdate", "birthday", "born", "dateofbirth", "d_o_b"],
    ),
    (
        Known::StreetNumber,
        &[
            "street_number",
            "house_number",
            "street_no",
            "house_no",
            "streetnumber",
            "building_number",
            "number",
        ],
    ),
    (
        Known::Street,
        &[
            "street",
            "address",
            "address_1",
            "address1",
            "address_line_1",
            "addr",
            "addr1",
            "street_name",
            "street_address",
            "mailing_address",
            "road",
            "address_line1",
        ],
    ),
    (
        Known::SecondLine,
        &[
            "second_line",
            "address_2",
            "address2",
            "address_line_2",
            "address_line2",
            "unit",
            "unit_number",
            "apartment",
        ],
    ),
    (Known::Postcode, &["postcode", "post_code", "postal_code", "zip", "zipcode", "zip_code", "plz"]),
    (Known::City, &["city", "suburb", "town", "locality", "village", "municipality", "place"]),
];

const IDS: &[&str] = &["id", "rec_id", "record_id", "unique_id", "uid", "recid", "row_id", "key", "index"];

/// What tells the truth or where a record comes from, which no two records of one entity would differ in by chance.
const NEVER_COMPARED: &[&str] =
    &["cluster", "entity", "ent", "group", "label", "match", "is_match", "truth", "source", "dataset"];

/// What the person at the keyboard said of the columns.
pub(super) struct Mapping<'a> {
    pub(super) maps: &'a [String],
    pub(super) cluster: Option<&'a str>,
}

impl Mapping<'_> {
    /// The meaning of each column of a file.
    pub(super) fn of(&self, header: &[String]) -> Result<Vec<Meaning>, NotReadable> {
        let mut meanings: Vec<Meaning> = header.iter().map(|column| found(column)).collect();
        // A second column that might be the id is the name of something else.
        let ids: Vec<usize> = (0..meanings.len()).filter(|at| meanings[*at] == Meaning::Id).collect();
        ids.iter().skip(1).for_each(|at| meanings[*at] = Meaning::NotCompared);
        for map in self.maps {
            let (column, meaning) =
                map.split_once('=').ok_or_else(|| NotReadable::Map { map: map.clone() })?;
            meanings[place(header, column)?] = said(meaning.trim())?;
        }
        if let Some(cluster) = self.cluster {
            meanings[place(header, cluster)?] = Meaning::Cluster;
        }
        Ok(meanings)
    }
}

fn place(header: &[String], column: &str) -> Result<usize, NotReadable> {
    let named = |held: &String| held.trim().eq_ignore_ascii_case(column.trim());
    header
        .iter()
        .position(named)
        .ok_or_else(|| NotReadable::NoColumn { column: column.to_owned(), columns: header.join(", ") })
}

fn said(meaning: &str) -> Result<Meaning, NotReadable> {
    let plain = plain(meaning);
    match plain.as_str() {
        _ if meaning == "-" => Ok(Meaning::NotCompared),
        "id" => Ok(Meaning::Id),
        "text" => Ok(Meaning::Other),
        plain => known(plain).map(Meaning::Known).ok_or_else(|| NotReadable::Meaning {
            meaning: meaning.to_owned(),
            known: KNOWN.iter().map(|(_, names)| names[0]).collect::<Vec<_>>().join(", "),
        }),
    }
}

fn found(column: &str) -> Meaning {
    let name = plain(column);
    if let Some(known) = known(&name) {
        return Meaning::Known(known);
    }
    if IDS.contains(&name.as_str()) {
        return Meaning::Id;
    }
    if NEVER_COMPARED.contains(&name.as_str()) || name.ends_with("_id") || name.is_empty() {
        return Meaning::NotCompared;
    }
    Meaning::Other
}

fn known(name: &str) -> Option<Known> {
    KNOWN.iter().find(|(_, names)| names.contains(&name)).map(|(known, _)| *known)
}

/// In small letters, with `_` for whatever is neither letter nor digit, and between a small letter and a capital.
pub(super) fn plain(column: &str) -> String {
    let mut plain = String::new();
    let mut after_small = false;
    for c in column.trim().chars() {
        if (c.is_uppercase() && after_small) || !c.is_alphanumeric() {
            plain.push('_');
        }
        if c.is_alphanumeric() {
            plain.extend(c.to_lowercase());
        }
        after_small = c.is_lowercase();
    }
    plain.trim_matches('_').replace("__", "_")
}

impl Meaning {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Id => "id".to_owned(),
            Self::Cluster => "the truth".to_owned(),
            Self::NotCompared => "not compared".to_owned(),
            Self::Other => "text".to_owned(),
            Self::Known(known) => {
                let named = KNOWN.iter().find(|(meaning, _)| meaning == known);
                named.map_or_else(String::new, |(_, names)| names[0].replace('_', " "))
            }
        }
    }
}

impl Known {
    pub(super) fn put(self, value: &str, details: &mut Details) {
        let one = match self {
            Self::Email => return add(&mut details.emails, value),
            Self::Phone => return add(&mut details.phones, value),
            Self::Website => return add(&mut details.domains, value),
            Self::Identifier => return add(&mut details.identifiers, value),
            Self::GivenName => &mut details.given,
            Self::FamilyName => &mut details.family,
            Self::FullName => &mut details.full,
            Self::Organisation => &mut details.organisation,
            Self::BirthDate => &mut details.birth_date,
            Self::StreetNumber => &mut details.number,
            Self::Street => &mut details.street,
            Self::SecondLine => &mut details.second_line,
            Self::Postcode => &mut details.postcode,
            Self::City => &mut details.town,
        };
        if one.is_empty() {
            value.clone_into(one);
        }
    }
}

fn add(values: &mut BTreeSet<String>, value: &str) {
    values.insert(value.to_owned());
}

#[cfg(test)]
mod tests {
    use super::{Known, Mapping, Meaning};

    fn meanings(columns: &[&str], maps: &[&str]) -> Vec<Meaning> {
        let header: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let maps: Vec<String> = maps.iter().map(|map| (*map).to_owned()).collect();
        Mapping { maps: &maps, cluster: None }.of(&header).unwrap()
    }

    #[test]
    fn columns_are_known_by_the_names_that_people_give_them() {
        let found = meanings(
            &["rec_id", "FirstName", "Last Name", "Zip", "e-mail", "occupation", "household_id"],
            &[],
        );
        let known = |known| Meaning::Known(known);
        let expected = [
            Meaning::Id,
            known(Known::GivenName),
            known(Known::FamilyName),
            known(Known::Postcode),
            known(Known::Email),
            Meaning::Other,
            Meaning::NotCompared,
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_map_says_otherwise() {
        let found = meanings(&["Home", "Notes"], &["home=city", "Notes=-"]);
        assert_eq!(found, [Meaning::Known(Known::City), Meaning::NotCompared]);
        let refused = Mapping { maps: &["Home=planet".to_owned()], cluster: None }.of(&["Home".to_owned()]);
        assert!(refused.unwrap_err().to_string().contains("city"));
    }
}
