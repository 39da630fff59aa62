//! Tenants and their OAuth clients.

use std::fmt;

use crate::ids::{ClientId, OrganisationId};
use crate::instant::Instant;
use crate::text::Name;

/// What an organisation is in the market. It decides which API its clients may call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum OrganisationKind {
    /// Sets up products and campaigns: the Issuer API.
    Issuer,
    /// Brings investors and their investments: the Distributor API.
    Distributor,
    /// Operates the instance: the Registrar API.
    Registrar,
}

impl OrganisationKind {
    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Issuer => "issuer",
            Self::Distributor => "distributor",
            Self::Registrar => "registrar",
        }
    }

    /// The kind a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::Issuer, Self::Distributor, Self::Registrar].into_iter().find(|kind| kind.code() == code)
    }

    /// Every scope a client of such an organisation may hold.
    #[must_use]
    pub const fn scopes(self) -> &'static [Scope] {
        match self {
            Self::Issuer => &[
                Scope::DocumentsWrite,
                Scope::IssuersRead,
                Scope::IssuersWrite,
                Scope::ProductsRead,
                Scope::ProductsWrite,
                Scope::InvestmentsRead,
            ],
            Self::Distributor => &[
                Scope::DocumentsWrite,
                Scope::InvestorsRead,
                Scope::InvestorsWrite,
                Scope::InvestmentsRead,
                Scope::InvestmentsWrite,
                Scope::ProductsRead,
            ],
            Self::Registrar => &[Scope::RegistrarRead, Scope::RegistrarWrite],
        }
    }
}

/// A permission that a token carries.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Scope {
    /// Upload documents, and read back what one uploaded.
    DocumentsWrite,
    /// Read issuers.
    IssuersRead,
    /// Create and change issuers.
    IssuersWrite,
    /// Read products, listings, distribution platforms and campaigns.
    ProductsRead,
    /// Create and change products, listings and campaigns.
    ProductsWrite,
    /// Read investors and wallets.
    InvestorsRead,
    /// Create and change investors and wallets.
    InvestorsWrite,
    /// Read investments and what belongs to them.
    InvestmentsRead,
    /// Create, change, cancel and credit investments.
    InvestmentsWrite,
    /// Read everything the registrar keeps.
    RegistrarRead,
    /// Act as the registrar.
    RegistrarWrite,
}

impl Scope {
    /// The scope's name in a token.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::DocumentsWrite => "documents:write",
            Self::IssuersRead => "issuers:read",
            Self::IssuersWrite => "issuers:write",
            Self::ProductsRead => "products:read",
            Self::ProductsWrite => "products:write",
            Self::InvestorsRead => "investors:read",
            Self::InvestorsWrite => "investors:write",
            Self::InvestmentsRead => "investments:read",
            Self::InvestmentsWrite => "investments:write",
            Self::RegistrarRead => "registrar:read",
            Self::RegistrarWrite => "registrar:write",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// A tenant. Every object belongs to one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Organisation {
    /// Its id; for a distributor also the id of the distribution platform.
    pub id: OrganisationId,
    /// What it is.
    pub kind: OrganisationKind,
    /// Its company name, unique among organisations of its kind.
    pub name: Name,
    /// When it was set up.
    pub created_at: Instant,
}

/// The SHA-256 of a client secret. The secret has 256 random bits, so a slow hash would add nothing (RFC 9700 asks
/// for slow hashes where people choose the secret).
pub type SecretDigest = [u8; 32];

/// An OAuth client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Client {
    /// Its public identifier.
    pub id: ClientId,
    /// The tenant it acts for.
    pub organisation_id: OrganisationId,
    /// The tenant's kind.
    pub kind: OrganisationKind,
    /// The digest of its secret.
    pub secret_digest: SecretDigest,
    /// Tokens that carry an older epoch are refused.
    pub epoch: u64,
    /// When the client was revoked for good.
    pub revoked_at: Option<Instant>,
    /// When it was created.
    pub created_at: Instant,
}
