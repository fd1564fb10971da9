//! What a file of each kind may say, and under which headers it is recognised without a map.

/// What one row of a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Companies,
    Contacts,
    Leads,
    Tasks,
    Users,
    /// One contact of a deal; both are there already.
    DealContacts,
}

/// A column that an import can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its key under `[columns]`, and the header that is looked for first.
    pub key: &'static str,
    /// Whether the file must have it, filled in every row.
    pub required: bool,
    /// Other headers that mean the same; capitals, blanks, `-` and `.` make no difference.
    also: &'static [&'static str],
}

const fn known(key: &'static str, also: &'static [&'static str]) -> Known {
    Known { key, required: false, also }
}

const fn required(key: &'static str, also: &'static [&'static str]) -> Known {
    Known { key, required: true, also }
}

const ID: Known = required("id", &["external_id", "record_id"]);
const OWNER: Known = known("owner", &["owner_name", "owned_by"]);
const CREATED: Known = known("created_at", &["created", "created_date", "create_date", "createdate"]);
const OCCURRED: Known = known("occurred_at", &[]);
const GIVEN: Known = known("given", &["given_name", "first_name", "firstname"]);
const FAMILY: Known = known("family", &["family_name", "last_name", "lastname", "surname"]);
const EMAIL: Known = known("email", &["e_mail", "email_address", "mail"]);
const EMAIL_2: Known = known("email_2", &["secondary_email", "other_email"]);
const PHONE: Known = known("phone", &["phone_number", "telephone"]);
const PHONE_2: Known = known("phone_2", &["mobile", "mobile_phone"]);

const COMPANIES: &[Known] = &[
    ID,
    known("name", &["company", "company_name", "account", "account_name"]),
    known("domain", &["website", "web_site"]),
    known("country", &["country_code"]),
    known("tax_id", &["vat_id", "vat_number"]),
    known("registration_id", &["registration_number"]),
    known("territory", &[]),
    OWNER,
    CREATED,
    OCCURRED,
];

const CONTACTS: &[Known] = &[
    ID,
    GIVEN,
    FAMILY,
    known("name", &["full_name"]),
    EMAIL,
    EMAIL_2,
    PHONE,
    PHONE_2,
    known("country", &["country_code"]),
    known("address", &["street"]),
    known("company", &["company_name", "account", "account_name"]),
    known("company_id", &["account_id"]),
    known("title", &["job_title", "jobtitle"]),
    OWNER,
    CREATED,
    OCCURRED,
];

const LEADS: &[Known] = &[
    ID,
    GIVEN,
    FAMILY,
    known("name", &["full_name"]),
    EMAIL,
    EMAIL_2,
    PHONE,
    PHONE_2,
    known("company", &["company_name", "account"]),
    known("message", &["description"]),
    OWNER,
    CREATED,
    OCCURRED,
];

const TASKS: &[Known] = &[
    ID,
    required("subject", &["title", "name"]),
    required("due", &["due_date", "due_at"]),
    required("owner", &["assignee", "assigned_to", "owner_name"]),
    known("priority", &[]),
    known("status", &["state"]),
    known("about", &["related_to"]),
    known("about_2", &[]),
    CREATED,
];

const USERS: &[Known] = &[ID, GIVEN, FAMILY, known("name", &["full_name"])];

const DEAL_CONTACTS: &[Known] =
    &[required("id", &["deal_id", "deal"]), required("contact", &["contact_id"]), known("role", &[])];

impl Kind {
    /// In the plural, as in `kvali import contacts`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Companies => "companies",
            Self::Contacts => "contacts",
            Self::Leads => "leads",
            Self::Tasks => "tasks",
            Self::Users => "users",
            Self::DealContacts => "deal-contacts",
        }
    }

    /// The kind of record whose id a row bears, in the plural.
    pub fn of_ids(self) -> &'static str {
        if self == Self::DealContacts { "deals" } else { self.plural() }
    }

    pub fn columns(self) -> &'static [Known] {
        match self {
            Self::Companies => COMPANIES,
            Self::Contacts => CONTACTS,
            Self::Leads => LEADS,
            Self::Tasks => TASKS,
            Self::Users => USERS,
            Self::DealContacts => DEAL_CONTACTS,
        }
    }
}

impl Known {
    /// The header that means this column, the key itself before its other names.
    pub(super) fn among(&self, names: &[String]) -> Option<String> {
        let means = |word: &str| names.iter().find(|name| folded(name) == word);
        [self.key].iter().chain(self.also).find_map(|word| means(word)).cloned()
    }
}

fn folded(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-', '.'], "_")
}
