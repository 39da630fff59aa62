//! Uploaded documents, and the two that an investor signs.

use crate::ids::{DocumentId, InvestmentId, OrganisationId, SignedDocumentId};
use crate::instant::Instant;

/// The largest document, in bytes.
pub const DOCUMENT_BYTES_MAX: u64 = 25 * 1024 * 1024;

/// A stored document: what was sent, unchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// Its id; the bytes are stored under it.
    pub id: DocumentId,
    /// The organisation that uploaded it.
    pub organisation_id: OrganisationId,
    /// The name it was sent with: metadata, never part of a path.
    pub file_name: String,
    /// The media type it was sent with.
    pub content_type: String,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// What its bytes are, whatever the sender said.
    pub content_check: ContentCheck,
    /// When it was stored.
    pub created_at: Instant,
}

/// What a document's bytes turn out to be. Documents are stored as sent; this says what a reader will find.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentCheck {
    /// Begins as a PDF and ends as one.
    Pdf,
    /// Something else.
    NotPdf,
}

impl ContentCheck {
    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pdf => "pdf",
            Self::NotPdf => "not_pdf",
        }
    }

    /// Judges a document by its first and last bytes.
    #[must_use]
    pub fn of(first: &[u8], last: &[u8]) -> Self {
        let ends = last.windows(5).any(|window| window == b"%%EOF");
        if first.starts_with(b"%PDF-") && ends { Self::Pdf } else { Self::NotPdf }
    }
}

/// What a signed document is (guide, "Signed documents").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum SignedDocumentType {
    /// The signed terms of service and data protection terms of the registrar.
    EffectaCryptoregistryTos,
    /// The signed issuance document, such as bond conditions.
    EffectaDocument,
}

impl SignedDocumentType {
    /// Both types; both are needed at acceptance.
    pub const ALL: [Self; 2] = [Self::EffectaCryptoregistryTos, Self::EffectaDocument];

    /// The word used on the wire and in storage.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::EffectaCryptoregistryTos => "effecta_cryptoregistry_tos",
            Self::EffectaDocument => "effecta_document",
        }
    }

    /// The type a word names.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }
}

/// A document attached to an investment. It is never replaced or taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedDocument {
    /// Its id.
    pub id: SignedDocumentId,
    /// The investment it was signed for.
    pub investment_id: InvestmentId,
    /// What it is.
    pub document_type: SignedDocumentType,
    /// The stored document.
    pub document_id: DocumentId,
    /// When it was attached.
    pub created_at: Instant,
}
