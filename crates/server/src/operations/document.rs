//! Documents whose bytes are already in the object store.

use std::collections::BTreeSet;

use domain::document::{ContentCheck, Document};
use domain::ids::{DocumentId, OrganisationId};
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Makes the row of an uploaded document.
#[derive(Clone, Debug)]
pub struct StoreDocument {
    /// Its id, under which the bytes are stored.
    pub id: DocumentId,
    /// Who uploaded it.
    pub organisation_id: OrganisationId,
    /// The name it was sent with.
    pub file_name: String,
    /// The media type it was sent with.
    pub content_type: String,
    /// Its length.
    pub size_bytes: u64,
    /// Its hash.
    pub sha256: [u8; 32],
    /// What its bytes are.
    pub content_check: ContentCheck,
}

impl Operation for StoreDocument {
    type Output = Document;

    fn want(&self, _wanted: &mut Wanted) {}

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Document, Refused> {
        let document = Document {
            id: self.id,
            organisation_id: self.organisation_id,
            file_name: self.file_name.clone(),
            content_type: self.content_type.clone(),
            size_bytes: self.size_bytes,
            sha256: self.sha256,
            content_check: self.content_check,
            created_at: cx.now,
        };
        cx.journal(book, "store_document", &document)?;
        book.documents.put(document.id, document.clone());
        Ok(document)
    }
}

/// Which documents have a row. Asked as a command, because then no commit is under way any more: a commit that a crash cut
/// off has ended one way or the other.
#[derive(Clone, Debug)]
pub struct FindDocuments {
    /// The documents.
    pub ids: BTreeSet<DocumentId>,
}

impl Operation for FindDocuments {
    type Output = BTreeSet<DocumentId>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.documents.extend(&self.ids);
    }

    fn run(&self, book: &mut Book, _cx: &mut Context<'_>) -> Result<BTreeSet<DocumentId>, Refused> {
        Ok(self.ids.iter().filter(|id| book.documents.get(id).is_some()).copied().collect())
    }
}
