//! What was paid, computed again from what it was computed from.

use thiserror::Error;

use super::Investment;
use crate::campaign::Campaign;
use crate::money::Money;
use crate::payable::{Payable, RULE_VERSION};
use crate::product::Product;
use crate::refusal::Refusal;

/// Why what was paid does not follow from terms, rules and value date.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum PaymentFault {
    /// The terms that it was computed from are not those of the product.
    #[error("was computed from version {paid_by} of the product's terms, the product has version {product}")]
    OtherTerms {
        /// The version that the investment names.
        paid_by: u32,
        /// The product's.
        product: u32,
    },
    /// It was computed by rules that this program does not have.
    #[error("was computed by version {0} of the rules, which this program does not know")]
    UnknownRules(u32),
    /// By terms and rules nothing could have been paid on that day.
    #[error("could not have been paid: {0}")]
    NotPayable(&'static str),
    /// An amount is another.
    #[error("has {stored} as {component}, {computed} follows from its terms")]
    OtherAmount {
        /// The field that shows it.
        component: &'static str,
        /// What is stored.
        stored: Money,
        /// What follows.
        computed: Money,
    },
}

impl Investment {
    /// Computes what was paid again; an investment that is not paid has nothing to compare.
    ///
    /// # Errors
    /// The first thing that does not follow.
    pub fn compare_payment(&self, campaign: &Campaign, product: &Product) -> Result<(), PaymentFault> {
        let Some(paid) = self.facts.progress.paid() else { return Ok(()) };
        let (paid_by, product_version) = (self.basis.terms_version, product.terms_version);
        if paid_by != product_version {
            return Err(PaymentFault::OtherTerms { paid_by, product: product_version });
        }
        if self.basis.rule_version != RULE_VERSION {
            return Err(PaymentFault::UnknownRules(self.basis.rule_version));
        }
        let computed = self.payable_on(campaign, product, paid.at.value_date());
        let computed = computed.map_err(|broken| PaymentFault::NotPayable(broken.first().map_or("unknown", Refusal::code)))?;
        same(&self.payable, &computed.payable)
    }
}

fn same(stored: &Payable, computed: &Payable) -> Result<(), PaymentFault> {
    let pairs = [
        ("investment_amount", stored.investment_amount, computed.investment_amount),
        ("agio", stored.agio, computed.agio),
        ("disagio", stored.disagio, computed.disagio),
        ("accrued_interest", stored.accrued_interest, computed.accrued_interest),
        ("payment_total", stored.payment_total, computed.payment_total),
    ];
    match pairs.into_iter().find(|(_, stored, computed)| stored != computed) {
        None => Ok(()),
        Some((component, stored, computed)) => Err(PaymentFault::OtherAmount { component, stored, computed }),
    }
}
