//! Creating the legal entities behind products.

use domain::ids::OrganisationId;
use domain::organisation::OrganisationKind;
use domain::product::Issuer;
use domain::text::Name;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Creates an issuer under an issuer-side organisation.
#[derive(Clone, Debug)]
pub struct CreateIssuer {
    /// The organisation that manages it.
    pub organisation_id: OrganisationId,
    /// Its company name.
    pub company_name: Name,
    /// Who keeps its commercial register.
    pub commercial_register: Name,
    /// Its number there.
    pub commercial_register_number: Name,
}

impl Operation for CreateIssuer {
    type Output = Issuer;

    fn want(&self, wanted: &mut Wanted) {
        wanted.organisations.insert(self.organisation_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Issuer, Refused> {
        let organisation = book.organisations.get(&self.organisation_id).filter(|o| o.kind == OrganisationKind::Issuer);
        organisation.ok_or(Refused::NotFound)?;
        let issuer = Issuer {
            id: cx.entropy.id(cx.now),
            organisation_id: self.organisation_id,
            company_name: self.company_name.clone(),
            commercial_register: self.commercial_register.clone(),
            commercial_register_number: self.commercial_register_number.clone(),
            created_at: cx.now,
        };
        cx.journal(book, "create_issuer", &issuer)?;
        book.issuers.put(issuer.id, issuer.clone());
        Ok(issuer)
    }
}
