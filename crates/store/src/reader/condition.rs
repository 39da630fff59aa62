//! The condition of a list, put together from parts, with its parameters in the order of their places.

use uuid::Uuid;

use super::snapshot::Value;
use crate::queries::Viewer;

/// A condition and its parameters.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    text: String,
    parameters: Vec<Value>,
}

impl Condition {
    /// A comparison with `?`.
    pub(super) fn with(text: &str, parameter: impl Into<Value>) -> Self {
        Self { text: text.to_owned(), parameters: vec![parameter.into()] }
    }

    /// A comparison with several `?`.
    pub(super) fn with_all(text: &str, parameters: impl IntoIterator<Item = Value>) -> Self {
        Self { text: text.to_owned(), parameters: parameters.into_iter().collect() }
    }

    /// A comparison of ids with `?`.
    pub(super) fn with_id(text: &str, id: Uuid) -> Self {
        Self::with(text, id)
    }

    /// And another comparison.
    pub(super) fn and(mut self, text: &str, parameters: impl IntoIterator<Item = Value>) -> Self {
        self.text.push_str(" AND ");
        self.text.push_str(text);
        self.parameters.extend(parameters);
        self
    }

    /// And another comparison of ids.
    pub(super) fn and_id(self, text: &str, id: Uuid) -> Self {
        self.and(text, [id.into()])
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The parameters.
    pub(super) fn parameters(&self) -> Vec<Value> {
        self.parameters.clone()
    }
}

/// The products a viewer sees: an issuer-side organisation its own, a platform those that are listed on it.
pub(super) fn products_of(viewer: Viewer) -> Condition {
    match viewer {
        Viewer::Platform(platform) => {
            Condition::with_id("id IN (SELECT product_id FROM listing WHERE platform_id = ?)", platform.uuid())
        }
        Viewer::Issuer(organisation) => Condition::with_id("organisation_id = ?", organisation.uuid()),
    }
}

/// The campaigns a viewer sees: an issuer-side organisation those of its products, a platform those made for it.
pub(super) fn campaigns_of(viewer: Viewer) -> Condition {
    match viewer {
        Viewer::Platform(platform) => Condition::with_id("platform_id = ?", platform.uuid()),
        Viewer::Issuer(organisation) => Condition::with_id("organisation_id = ?", organisation.uuid()),
    }
}

/// The investments a viewer sees: an issuer-side organisation those in its products, a platform its own.
pub(super) fn investments_of(viewer: Viewer) -> Condition {
    match viewer {
        Viewer::Platform(platform) => Condition::with_id("platform_id = ?", platform.uuid()),
        Viewer::Issuer(organisation) => Condition::with_id("issuer_organisation_id = ?", organisation.uuid()),
    }
}
