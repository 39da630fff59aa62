//! What a refusal looks like on the wire.

use domain::refusal::Refusal;

use super::problem::{FailedRule, FieldCode, FieldError, Problem};
use crate::operations::{BrokenRules, Refused};

/// The problem document of a refusal.
#[must_use]
pub fn problem_of(refused: &Refused) -> Problem {
    match refused {
        Refused::NotFound => Problem::not_found(),
        Refused::BodyIdsNotFound(pointers) => Problem::invalid_request(
            pointers
                .iter()
                .map(|pointer| FieldError::new(pointer.clone(), FieldCode::NotFound, "there is no such object"))
                .collect(),
        ),
        Refused::Rules(broken) => problem_of_rules(broken),
        Refused::Inconsistent(_) => Problem::internal(),
    }
}

fn problem_of_rules(broken: &BrokenRules) -> Problem {
    let rules: Vec<domain::refusal::FailedRule> = broken.refusals.iter().map(Refusal::failed_rule).collect();
    let Some(first) = rules.first() else { return Problem::internal() };
    let mut problem = Problem::refused(first.rule, first.message.clone());
    if let Some((status, acts)) = &broken.current {
        problem = problem.with_state(status.code(), acts.iter().map(|act| act.code().to_owned()).collect());
    }
    for refusal in &broken.refusals {
        if let Refusal::SignedDocumentsMissing { missing } = refusal {
            problem = problem.with_missing(missing.iter().map(|kind| kind.code().to_owned()).collect());
        }
    }
    let immutable = broken.refusals.iter().flat_map(immutable_fields);
    let errors = immutable.map(|field| FieldError::new(format!("/{field}"), FieldCode::Immutable, "cannot be changed"));
    let problem = problem.with_errors(errors.collect());
    problem.with_failed_rules(rules.into_iter().map(shown).collect())
}

/// The fields that a refusal is about because they are fixed.
fn immutable_fields(refusal: &Refusal) -> Vec<String> {
    if let Refusal::CampaignImmutable { fields } = refusal {
        return fields.clone();
    }
    if let Refusal::FactIsFinal { field } = refusal {
        return vec![(*field).to_owned()];
    }
    Vec::new()
}

fn shown(rule: domain::refusal::FailedRule) -> FailedRule {
    let value = |text: Option<String>| text.map_or(serde_json::Value::Null, serde_json::Value::String);
    FailedRule { rule: rule.rule.to_owned(), limit: value(rule.limit), actual: value(rule.actual), message: rule.message }
}
