//! The closed lists of problems and of field errors.

use axum::http::StatusCode;
use domain::interest::InterestFault;
use serde::Serialize;

/// The stable kinds of problem. A kind fixes the status, the `type` and the title.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProblemKind {
    /// The request is wrong whatever is stored.
    InvalidRequest,
    /// There is no valid access token.
    Unauthenticated,
    /// The token lacks a scope (RFC 6750 section 3.1).
    InsufficientScope,
    /// The resource in the path does not exist for this caller.
    NotFound,
    /// The resource does not know the method.
    MethodNotAllowed,
    /// No representation fits the `Accept` header.
    NotAcceptable,
    /// The request did not arrive in time.
    Timeout,
    /// The stored state or a limit refuses the act.
    Refused,
    /// The body is larger than its cap.
    PayloadTooLarge,
    /// The request address is longer than its cap.
    UriTooLong,
    /// The body's media type is not the one that is due.
    UnsupportedMediaType,
    /// The idempotency key was used for another request.
    KeyReused,
    /// The caller sent more requests than its rate allows.
    TooManyRequests,
    /// The header section is larger than its cap.
    HeaderFieldsTooLarge,
    /// Something failed inside.
    Internal,
    /// The server has no room for the request now.
    Overloaded,
    /// Nothing is signed on the ledger until a person looks.
    LedgerHalted,
}

/// What may be wrong with one field. The text is the wire's `code`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldCode {
    /// The body is not JSON.
    MalformedJson,
    /// The JSON is nested deeper than allowed.
    TooDeep,
    /// A name stands twice in one object or query.
    DuplicateField,
    /// The name is not one this operation knows.
    UnknownField,
    /// A required field is absent.
    Missing,
    /// The JSON type is not the one that is due.
    WrongType,
    /// The value is outside its range.
    OutOfRange,
    /// The text or list is longer than allowed.
    TooLong,
    /// The text or list is shorter than allowed.
    TooShort,
    /// The text holds a control character.
    ControlCharacter,
    /// The value does not have the form that is due.
    InvalidValue,
    /// The id names nothing that this caller can see.
    NotFound,
    /// The field was set before and cannot be changed.
    Immutable,
    /// Interest terms, or one period of them, are not in order.
    Interest(InterestFault),
}

impl ProblemKind {
    /// The stable name, as in `type` (with hyphens) and `code` (with underscores).
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.facts().1
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.facts().0
    }

    /// The title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.facts().2
    }

    /// The kind of a bare status that another layer answered with.
    ///
    /// Client errors without a kind of their own are invalid requests; server errors are internal ones.
    #[must_use]
    pub const fn of_status(status: StatusCode) -> Self {
        match status.as_u16() {
            401 => Self::Unauthenticated,
            403 => Self::InsufficientScope,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            406 => Self::NotAcceptable,
            408 => Self::Timeout,
            409 => Self::Refused,
            413 => Self::PayloadTooLarge,
            414 => Self::UriTooLong,
            415 => Self::UnsupportedMediaType,
            429 => Self::TooManyRequests,
            431 => Self::HeaderFieldsTooLarge,
            503 => Self::Overloaded,
            code if code >= 500 => Self::Internal,
            _ => Self::InvalidRequest,
        }
    }

    const fn facts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::InvalidRequest => (StatusCode::BAD_REQUEST, "invalid_request", "The request is not valid"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated", "A valid access token is needed"),
            Self::InsufficientScope => (StatusCode::FORBIDDEN, "insufficient_scope", "The token lacks a scope"),
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "There is no such resource"),
            Self::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The resource does not know this method")
            }
            Self::NotAcceptable => (StatusCode::NOT_ACCEPTABLE, "not_acceptable", "No acceptable representation"),
            Self::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "The request did not arrive in time"),
            Self::Refused => (StatusCode::CONFLICT, "refused", "The act is refused"),
            Self::PayloadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", "The body is too large"),
            Self::UriTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long", "The request address is too long"),
            Self::UnsupportedMediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "The media type is not supported")
            }
            Self::KeyReused => {
                (StatusCode::UNPROCESSABLE_ENTITY, "key_reused", "The idempotency key was used for another request")
            }
            Self::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "Too many requests"),
            Self::HeaderFieldsTooLarge => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "header_fields_too_large", "The header section is too large")
            }
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something failed inside"),
            Self::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "The server has no room now"),
            Self::LedgerHalted => (StatusCode::SERVICE_UNAVAILABLE, "ledger_halted", "Ledger work is halted"),
        }
    }
}

impl FieldCode {
    /// The wire's code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::TooDeep => "too_deep",
            Self::DuplicateField => "duplicate_field",
            Self::UnknownField => "unknown_field",
            Self::Missing => "missing",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::TooLong => "too_long",
            Self::TooShort => "too_short",
            Self::ControlCharacter => "control_character",
            Self::InvalidValue => "invalid_value",
            Self::NotFound => "not_found",
            Self::Immutable => "immutable",
            Self::Interest(fault) => fault.code(),
        }
    }
}

impl Serialize for FieldCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
