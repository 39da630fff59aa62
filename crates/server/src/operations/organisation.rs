//! Setting up tenants.

use domain::ids::OrganisationId;
use domain::organisation::{Organisation, OrganisationKind};
use domain::refusal::Refusal;
use domain::text::Name;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Sets up a tenant.
#[derive(Clone, Debug)]
pub struct CreateOrganisation {
    /// What it is.
    pub kind: OrganisationKind,
    /// Its company name.
    pub name: Name,
}

impl Operation for CreateOrganisation {
    type Output = Organisation;

    fn want(&self, wanted: &mut Wanted) {
        wanted.organisation_names.insert((self.kind, self.name.as_str().to_owned()));
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Organisation, Refused> {
        let taken = (self.kind, self.name.as_str().to_owned());
        if book.organisation_names_taken.contains(&taken) {
            return Err(Refusal::NameTaken.into());
        }
        let id: OrganisationId = cx.entropy.id(cx.now);
        let organisation = Organisation { id, kind: self.kind, name: self.name.clone(), created_at: cx.now };
        cx.journal(book, "create_organisation", &organisation)?;
        book.organisation_names_taken.insert(taken);
        book.organisations.put(id, organisation.clone());
        Ok(organisation)
    }
}
