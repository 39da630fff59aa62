//! Documents and what was signed.

use domain::document::{ContentCheck, Document, SignedDocument, SignedDocumentType};

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

table!(
    Document, "document",
    fixed: ["id", "organisation_id", "file_name", "content_type", "size_bytes", "sha256", "content_check", "created_at"],
    changing: []
);

impl Encode for Document {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid())
            .id(self.organisation_id.uuid())
            .text(&self.file_name)
            .text(&self.content_type)
            .number(self.size_bytes)
            .bytes(&self.sha256)
            .text(self.content_check.code())
            .instant(self.created_at);
    }
}

impl Decode for Document {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let checks = [ContentCheck::Pdf, ContentCheck::NotPdf];
        Ok(Self {
            id: row.id()?,
            organisation_id: row.id()?,
            file_name: row.text()?.to_owned(),
            content_type: row.text()?.to_owned(),
            size_bytes: row.number()?,
            sha256: row.array()?,
            content_check: row.code(|code| checks.into_iter().find(|check| check.code() == code))?,
            created_at: row.instant()?,
        })
    }
}

/// A signed document with its place among those of its investment: the order of attachment, which two documents
/// attached in one microsecond would lose.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    /// From 0.
    pub(crate) position: u64,
    /// What is attached.
    pub(crate) document: &'a SignedDocument,
}

const COLUMNS: &super::Columns = &super::Columns {
    table: "signed_document",
    fixed: &["id", "investment_id", "position", "document_type", "document_id", "created_at"],
    changing: &[],
};

impl super::Table for Attached<'_> {
    const COLUMNS: &'static super::Columns = COLUMNS;
}

impl super::Table for SignedDocument {
    const COLUMNS: &'static super::Columns = COLUMNS;
}

impl Encode for Attached<'_> {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.document.id.uuid())
            .id(self.document.investment_id.uuid())
            .number(self.position)
            .text(self.document.document_type.code())
            .id(self.document.document_id.uuid())
            .instant(self.document.created_at);
    }
}

impl Decode for SignedDocument {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let (id, investment_id) = (row.id()?, row.id()?);
        let _position: u64 = row.number()?;
        Ok(Self {
            id,
            investment_id,
            document_type: row.code(SignedDocumentType::from_code)?,
            document_id: row.id()?,
            created_at: row.instant()?,
        })
    }
}
