//! Access tokens: minting, checking, and what arrives at the token and revocation endpoints.
//!
//! A token is a JWT (RFC 7519) signed with HMAC-SHA256. The header is compared with the one header this program
//! writes, so there is nothing a client could choose in it: no algorithm, no key id, no embedded key (RFC 8725).

mod endpoint;
mod verified;

use std::fmt;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use domain::ids::{ClientId, OrganisationId};
use domain::instant::Instant;
use domain::organisation::{OrganisationKind, Scope};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

pub use self::endpoint::{
    ClientAuthentication, ClientCredentials, Form, OauthError, OauthErrorKind, RevocationRequest, SecretText,
    TokenEndpointRefusal, TokenRequest, TokenResponse,
};
pub use self::verified::VerifiedTokens;
use super::problem::Problem;

/// The life of an access token, in seconds (design section 9).
pub const TOKEN_LIFE_S: i64 = 15 * 60;
/// How far the clocks of two servers may differ, in seconds.
pub const CLOCK_LEEWAY_S: i64 = 60;

const TOKEN_BYTES_MAX: usize = 4 * 1024;
const ISSUER: &str = "scrip";
const AUDIENCE: &str = "scrip-api";
/// base64url of `{"typ":"JWT","alg":"HS256"}`.
const HEADER_SEGMENT: &str = "eyJ0eXAiOiJKV1QiLCJhbGciOiJIUzI1NiJ9";

/// A set of scopes in the form of RFC 6749 section 3.3: sorted, unique, separated by single spaces.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Scopes(String);

/// The text is no list of scopes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("a scope holds a character that RFC 6749 does not allow")]
pub struct ScopesFault;

/// What a token lets its bearer do, and for whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Grant {
    /// The client.
    pub client_id: ClientId,
    /// The tenant it acts for.
    pub organisation_id: OrganisationId,
    /// The tenant's kind: the API it may call.
    pub kind: OrganisationKind,
    /// What it may do there.
    pub scopes: Scopes,
    /// The client's epoch when the token was minted; a higher stored epoch revokes the token.
    pub epoch: u64,
}

/// A token whose signature and times hold. Whether its epoch still does is for the caller to ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VerifiedToken {
    /// What it grants.
    pub grant: Grant,
    /// Its own id, by which it is revoked.
    pub token_id: Uuid,
    /// When it begins, without leeway.
    pub not_before: Instant,
    /// When it ends, without leeway.
    pub expires_at: Instant,
}

/// Why a token does not hold. For the log: a caller is only told that it does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum TokenFault {
    /// Not three segments, too long, or claims of another shape.
    #[error("malformed")]
    Malformed,
    /// A header other than ours: another algorithm, a key id, an embedded key.
    #[error("foreign header")]
    ForeignHeader,
    /// The signature was not made with our key over these claims.
    #[error("bad signature")]
    BadSignature,
    /// Issued by or for another party.
    #[error("foreign issuer or audience")]
    ForeignParty,
    /// Its time has not come.
    #[error("not yet valid")]
    NotYetValid,
    /// Its time is over.
    #[error("expired")]
    Expired,
}

/// A token could not be signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
#[error("the token could not be signed")]
pub struct SigningFault;

/// Mints and checks tokens with one key.
#[derive(Clone)]
pub struct TokenSigner {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Claims {
    iss: String,
    aud: String,
    sub: Uuid,
    org: Uuid,
    kind: String,
    scope: String,
    epoch: u64,
    jti: Uuid,
    iat: i64,
    nbf: i64,
    exp: i64,
}

impl Scopes {
    /// The set of some known scopes.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        let mut names: Vec<&str> = scopes.iter().map(|scope| scope.code()).collect();
        names.sort_unstable();
        names.dedup();
        Self(names.join(" "))
    }

    /// Reads scopes separated by spaces; repeated ones count once.
    ///
    /// # Errors
    /// A character outside RFC 6749's `scope-token`.
    pub fn parse(text: &str) -> Result<Self, ScopesFault> {
        let is_allowed = |byte: u8| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if !text.bytes().all(is_allowed) {
            return Err(ScopesFault);
        }
        let mut names: Vec<&str> = text.split(' ').filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names.dedup();
        Ok(Self(names.join(" ")))
    }

    /// The scopes, ascending.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|name| !name.is_empty())
    }

    /// Whether the scope is in the set.
    #[must_use]
    pub fn has(&self, scope: &str) -> bool {
        self.names().any(|name| name == scope)
    }

    /// Whether every scope of this set is in the other.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        self.names().all(|name| other.has(name))
    }

    /// Whether there is no scope.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The wire's form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scopes({})", self.0)
    }
}

impl fmt::Debug for TokenSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenSigner([secret])")
    }
}

impl TokenSigner {
    /// A signer with a key of 256 random bits.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The crate would ask the machine's clock and knows no claims of ours: all claims are checked in `verify`.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { encoding: EncodingKey::from_secret(&key), decoding: DecodingKey::from_secret(&key), validation }
    }

    /// Mints a token that lives [`TOKEN_LIFE_S`] from `now`.
    ///
    /// # Errors
    /// The signature could not be made.
    pub fn mint(&self, grant: &Grant, token_id: Uuid, now: Instant) -> Result<String, SigningFault> {
        let now_s = now.seconds_floor();
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: grant.client_id.uuid(),
            org: grant.organisation_id.uuid(),
            kind: grant.kind.code().to_owned(),
            scope: grant.scopes.as_str().to_owned(),
            epoch: grant.epoch,
            jti: token_id,
            iat: now_s,
            nbf: now_s,
            exp: now_s.saturating_add(TOKEN_LIFE_S),
        };
        self.sign(&claims)
    }

    /// Checks a token at the instant `now` of the machine's clock, with [`CLOCK_LEEWAY_S`].
    ///
    /// # Errors
    /// The first thing that does not hold.
    pub fn verify(&self, token: &str, now: Instant) -> Result<VerifiedToken, TokenFault> {
        if token.len() > TOKEN_BYTES_MAX || token.bytes().filter(|byte| *byte == b'.').count() != 2 {
            return Err(TokenFault::Malformed);
        }
        if token.split('.').next() != Some(HEADER_SEGMENT) {
            return Err(TokenFault::ForeignHeader);
        }
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.map_err(|error| fault_of(&error))?.claims;
        if claims.iss != ISSUER || claims.aud != AUDIENCE {
            return Err(TokenFault::ForeignParty);
        }
        let now_s = now.seconds_floor();
        let not_before_s = claims.nbf.max(claims.iat);
        if now_s.saturating_add(CLOCK_LEEWAY_S) < not_before_s {
            return Err(TokenFault::NotYetValid);
        }
        if now_s.saturating_sub(CLOCK_LEEWAY_S) >= claims.exp {
            return Err(TokenFault::Expired);
        }
        let [not_before, expires_at] =
            [not_before_s, claims.exp].map(|second| Instant::from_micros(second.saturating_mul(1_000_000)));
        let grant = Grant {
            client_id: ClientId::new(claims.sub),
            organisation_id: OrganisationId::new(claims.org),
            kind: OrganisationKind::from_code(&claims.kind).ok_or(TokenFault::Malformed)?,
            scopes: Scopes::parse(&claims.scope).map_err(|_| TokenFault::Malformed)?,
            epoch: claims.epoch,
        };
        Ok(VerifiedToken { grant, token_id: claims.jti, not_before, expires_at })
    }

    fn sign(&self, claims: &Claims) -> Result<String, SigningFault> {
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding).map_err(|_| SigningFault)
    }
}

/// The bearer token of a request (RFC 6750 section 2.1); a token in the query or the body is never looked for.
///
/// # Errors
/// 401: no `Authorization` field, more than one, or one that is no bearer token.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return Err(Problem::unauthenticated());
    };
    let stated = field.to_str().map_err(|_| Problem::unauthenticated())?;
    let (scheme, token) = stated.split_once(' ').ok_or_else(Problem::unauthenticated)?;
    let token = token.trim_matches(' ');
    let is_token = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte));
    if !scheme.eq_ignore_ascii_case("bearer") || token.is_empty() || !is_token {
        return Err(Problem::unauthenticated());
    }
    Ok(token)
}

fn fault_of(error: &jsonwebtoken::errors::Error) -> TokenFault {
    use jsonwebtoken::errors::ErrorKind;
    if matches!(error.kind(), ErrorKind::InvalidSignature) { TokenFault::BadSignature } else { TokenFault::Malformed }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::*;

    const NOW_S: i64 = 1_741_763_653;

    fn signer() -> TokenSigner {
        TokenSigner::new([7; 32])
    }

    fn seconds(seconds: i64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    fn grant() -> Grant {
        Grant {
            client_id: ClientId::new(Uuid::from_u128(1)),
            organisation_id: OrganisationId::new(Uuid::from_u128(2)),
            kind: OrganisationKind::Distributor,
            scopes: Scopes::parse("investments:write investments:read").unwrap(),
            epoch: 3,
        }
    }

    fn token() -> String {
        signer().mint(&grant(), Uuid::from_u128(4), seconds(NOW_S)).unwrap()
    }

    fn claims_of(token: &str) -> Value {
        let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice(&payload).unwrap()
    }

    /// A token with any header and claims, truly signed with our key.
    fn forged(header: &str, claims: &Value) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims.to_string()));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &signer().encoding, Algorithm::HS256).unwrap();
        format!("{message}.{signature}")
    }

    #[test]
    fn a_minted_token_says_what_was_granted() {
        let token = token();
        assert_eq!(
            claims_of(&token),
            json!({
                "iss": "scrip", "aud": "scrip-api",
                "sub": "00000000-0000-0000-0000-000000000001", "org": "00000000-0000-0000-0000-000000000002",
                "kind": "distributor", "scope": "investments:read investments:write", "epoch": 3,
                "jti": "00000000-0000-0000-0000-000000000004",
                "iat": NOW_S, "nbf": NOW_S, "exp": NOW_S + 900,
            })
        );
        assert_eq!(
            signer().verify(&token, seconds(NOW_S)),
            Ok(VerifiedToken {
                grant: grant(),
                token_id: Uuid::from_u128(4),
                not_before: seconds(NOW_S),
                expires_at: seconds(NOW_S + 900)
            })
        );
    }

    #[test]
    fn t05_times_are_checked_against_the_given_clock() {
        for (offset_s, answer) in [
            (-61, Err(TokenFault::NotYetValid)),
            (-60, Ok(())),
            (0, Ok(())),
            (959, Ok(())),
            (960, Err(TokenFault::Expired)),
            (1_000_000, Err(TokenFault::Expired)),
        ] {
            let verdict = signer().verify(&token(), seconds(NOW_S + offset_s)).map(|_| ());
            assert_eq!(verdict, answer, "{offset_s}");
        }
    }

    #[test]
    fn t05_malformed_and_changed_tokens_are_refused() {
        let token = token();
        let (message, signature) = token.rsplit_once('.').unwrap();
        let (first, rest) = signature.split_at(1);
        let changed = format!("{message}.{}{rest}", if first == "A" { "B" } else { "A" });
        let other_key = TokenSigner::new([8; 32]).mint(&grant(), Uuid::nil(), seconds(NOW_S)).unwrap();
        for (token, fault) in [
            (String::new(), TokenFault::Malformed),
            ("x".to_owned(), TokenFault::Malformed),
            ("a.b".to_owned(), TokenFault::Malformed),
            (format!("{token}.x"), TokenFault::Malformed),
            ("x".repeat(5_000), TokenFault::Malformed),
            (format!("{message}.!"), TokenFault::Malformed),
            (format!("{message}."), TokenFault::BadSignature),
            (changed, TokenFault::BadSignature),
            (other_key, TokenFault::BadSignature),
            ("..".to_owned(), TokenFault::ForeignHeader),
        ] {
            assert_eq!(signer().verify(&token, seconds(NOW_S)), Err(fault), "{token}");
        }
    }

    #[test]
    fn t07_only_our_own_header_is_accepted() {
        let claims = claims_of(&token());
        let ours = r#"{"typ":"JWT","alg":"HS256"}"#;
        assert!(token().starts_with(&format!("{}.", URL_SAFE_NO_PAD.encode(ours))));
        assert!(signer().verify(&forged(ours, &claims), seconds(NOW_S)).is_ok());
        for header in [
            r#"{"typ":"JWT","alg":"none"}"#,
            r#"{"typ":"JWT","alg":"HS512"}"#,
            r#"{"typ":"JWT","alg":"RS256"}"#,
            r#"{"alg":"HS256"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"typ":"JWT","alg":"HS256","kid":"../../dev/null"}"#,
            r#"{"typ":"JWT","alg":"HS256","jwk":{"kty":"oct","k":"AA"}}"#,
            r#"{"typ":"JWT","alg":"HS256","jku":"http://attacker.example/"}"#,
            r#"{"typ":"JWT","alg":"HS256","crit":["exp"]}"#,
            "",
        ] {
            let verdict = signer().verify(&forged(header, &claims), seconds(NOW_S));
            assert_eq!(verdict, Err(TokenFault::ForeignHeader), "{header}");
        }
        let unsigned = format!("{HEADER_SEGMENT}.{}.", URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(signer().verify(&unsigned, seconds(NOW_S)), Err(TokenFault::BadSignature));
    }

    #[test]
    fn t07_claims_of_others_are_refused_even_when_signed_with_our_key() {
        let with = |name: &str, value: Value| {
            let mut claims = claims_of(&token());
            claims[name] = value;
            signer().verify(&forged(r#"{"typ":"JWT","alg":"HS256"}"#, &claims), seconds(NOW_S)).map(|_| ())
        };
        assert_eq!(with("epoch", json!(4)), Ok(()));
        for (name, value, fault) in [
            ("iss", json!("other"), TokenFault::ForeignParty),
            ("aud", json!("other"), TokenFault::ForeignParty),
            ("aud", json!(["scrip-api"]), TokenFault::Malformed),
            ("kind", json!("root"), TokenFault::Malformed),
            ("sub", json!("x"), TokenFault::Malformed),
            ("org", Value::Null, TokenFault::Malformed),
            ("scope", json!("a\"b"), TokenFault::Malformed),
            ("admin", json!(true), TokenFault::Malformed),
            ("exp", json!("9999999999"), TokenFault::Malformed),
            ("exp", json!(1e20), TokenFault::Malformed),
            ("nbf", json!(NOW_S + 61), TokenFault::NotYetValid),
            ("iat", json!(NOW_S + 61), TokenFault::NotYetValid),
        ] {
            assert_eq!(with(name, value.clone()), Err(fault), "{name} {value}");
        }
    }

    #[test]
    fn t05_a_bearer_token_stands_once_in_the_authorization_field() {
        let ask = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer_token(&headers).map(str::to_owned).map_err(|problem| problem.status().as_u16())
        };
        assert_eq!(ask(&["Bearer a.b-c_d"]), Ok("a.b-c_d".to_owned()));
        assert_eq!(ask(&["bearer  x"]), Ok("x".to_owned()));
        for values in [
            &[][..],
            &["Bearer a", "Bearer a"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearer \u{e9}"],
            &["Basic YTpi"],
            &["a.b.c"],
        ] {
            assert_eq!(ask(values), Err(401), "{values:?}");
        }
    }

    #[test]
    fn scopes_are_a_set() {
        let scopes = Scopes::parse(" b  a b ").unwrap();
        assert_eq!(scopes.as_str(), "a b");
        assert!(scopes.has("a") && !scopes.has("") && !scopes.has("a b") && !scopes.has("c"));
        assert!(Scopes::parse("b").unwrap().is_within(&scopes) && !scopes.is_within(&Scopes::parse("b").unwrap()));
        assert_eq!(Scopes::of(&[Scope::ProductsRead, Scope::InvestmentsRead]).as_str(), "investments:read products:read");
        assert!(Scopes::parse("").unwrap().is_empty() && Scopes::default().is_within(&scopes));
        for text in ["a\"", "a\\", "a\tb", "\u{e9}", "a\nb"] {
            assert_eq!(Scopes::parse(text), Err(ScopesFault), "{text:?}");
        }
    }
}
