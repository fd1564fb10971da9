//! Users and accounts that a file knows by name: ids that follow from the names, and registrations before first use.

use super::sink::Sink;
use crate::failure::Failure;
use kvali_domain::deal::{Party, external_key};
use kvali_domain::{CompanyId, Personal, UserId, company, user};
use kvali_eventstore::Plan;
use std::collections::{HashMap, HashSet};

/// Grows with the number of distinct names.
#[derive(Default)]
pub(crate) struct People {
    users: HashMap<String, UserId>,
    accounts: HashMap<String, (Party, Personal)>,
    companies: HashSet<CompanyId>,
}

/// The user that a source knows by that id; another source's of the same id is somebody else.
pub(crate) fn brought(sink: &Sink<'_>, source: &str, id: &str) -> UserId {
    UserId(sink.keyed_id("user of a source", &format!("{source}\u{1f}{id}")))
}

impl People {
    /// The user that the source has brought under that id; else the one of that name, at first sight with the plan that
    /// registers them.
    pub(crate) async fn user(
        &mut self,
        sink: &Sink<'_>,
        source: &str,
        name: &str,
    ) -> Result<(UserId, Option<Plan>), Failure> {
        if let Some(id) = self.users.get(name) {
            return Ok((*id, None));
        }
        let brought = brought(sink, source, name);
        if sink.state(brought.stream()).await?.is_some() {
            self.users.insert(name.to_owned(), brought);
            return Ok((brought, None));
        }
        let user = UserId(sink.keyed_id("user", name));
        self.users.insert(name.to_owned(), user);
        let register = user::Command::Register { user, name: Personal::new(name) };
        Ok((user, Some(sink.registration(user.stream(), register))))
    }

    /// The company of that name, as deals name it; at first sight with the plan that creates it.
    pub(crate) fn company(&mut self, sink: &Sink<'_>, name: &str) -> (CompanyId, Option<Plan>) {
        let company = CompanyId(sink.keyed_id("account", name));
        if !self.companies.insert(company) {
            return (company, None);
        }
        let create = company::Create { name: Personal::new(name), ..company::Create::default() };
        (company, Some(sink.registration(company.stream(), company::Command::Create(create))))
    }

    /// The company that the source has brought under that id; else one known by that name, with the name.
    pub(crate) async fn account(
        &mut self,
        sink: &Sink<'_>,
        source: &str,
        name: &str,
    ) -> Result<(Party, Personal), Failure> {
        if let Some(account) = self.accounts.get(name) {
            return Ok(account.clone());
        }
        let brought = sink.holder(company::EXTERNAL_CLAIM, &external_key(source, name)).await?;
        let account = if let Some(stream) = brought {
            (Party::Company(CompanyId(stream.0)), Personal::default())
        } else {
            let company = CompanyId(sink.keyed_id("account", name));
            (Party::Company(company), Personal::new(name))
        };
        self.accounts.insert(name.to_owned(), account.clone());
        Ok(account)
    }
}
