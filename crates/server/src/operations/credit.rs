//! Ordering the units of an investment to be issued.

use domain::credit::{Credit, CreditState};
use domain::ids::{CreditId, InvestmentId, InvestorId, OrganisationId};
use domain::investment::Party;
use domain::product::Inconsistent;
use store::{Book, Wanted};

use super::investment::{investment_of, subject_of};
use super::ledger::queue;
use super::{Context, Operation, Refused, refused_on};

/// Orders a credit and queues its instruction. The address is copied now: a later change of wallets changes nothing.
#[derive(Clone, Copy, Debug)]
pub struct OrderCredit {
    /// The distribution platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investments.
    pub investment_id: InvestmentId,
}

impl Operation for OrderCredit {
    type Output = Credit;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investments.insert(self.investment_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Credit, Refused> {
        let investment = investment_of(book, self.platform_id, self.investment_id)?;
        let investor = book.investors.get(&investment.investor_id).ok_or(Inconsistent("investment.investor_id"))?;
        let product = book.products.get(&investment.product_id).ok_or(Inconsistent("investment.product_id"))?;
        let id: CreditId = cx.entropy.id(cx.now);
        let credited = investment.credited((investor, product), id, cx.now);
        let (next, wallet) = credited.map_err(|refusals| refused_on(investment, Party::Distributor, refusals))?;
        let credit = Credit {
            id,
            investment_id: next.id,
            product_id: next.product_id,
            platform_id: next.platform_id,
            investor_id: next.investor_id,
            number: next.number,
            units: next.units,
            address: wallet.address,
            state: CreditState::Processing,
            created_at: cx.now,
            version: 0,
        };
        cx.journal(book, "order_credit", &next)?;
        cx.journal(book, "order_credit", &credit)?;
        book.investments.put(next.id, next);
        queue(&credit, book, cx);
        Ok(credit)
    }

    fn subject(&self, book: &Book) -> Option<InvestorId> {
        subject_of(book, self.investment_id)
    }
}
