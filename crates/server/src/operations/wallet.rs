//! Wallets of investors.

use domain::ids::{InvestorId, OrganisationId};
use domain::refusal::Refusal;
use domain::wallet::{EvmAddress, Wallet};
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Records a wallet whose keys are outside the system.
#[derive(Clone, Copy, Debug)]
pub struct CreateWallet {
    /// The platform that acts.
    pub platform_id: OrganisationId,
    /// One of its investors.
    pub investor_id: InvestorId,
    /// The address; it belongs to one investor and no other.
    pub address: EvmAddress,
    /// Whether it takes incoming transfers.
    pub receiving_enabled: bool,
}

impl Operation for CreateWallet {
    type Output = Wallet;

    fn want(&self, wanted: &mut Wanted) {
        wanted.investors.insert(self.investor_id);
        wanted.addresses.insert(self.address);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Wallet, Refused> {
        let investor = book.investors.get(&self.investor_id).filter(|investor| investor.platform_id == self.platform_id);
        let investor = investor.ok_or(Refused::NotFound)?;
        if investor.cleared_at(cx.now).is_none() {
            return Err(Refusal::KycNotValid.into());
        }
        if book.addresses_taken.contains_key(&self.address) {
            return Err(Refusal::AddressTaken.into());
        }
        let wallet = Wallet {
            id: cx.entropy.id(cx.now),
            investor_id: self.investor_id,
            platform_id: self.platform_id,
            address: self.address,
            receiving_enabled: self.receiving_enabled,
            created_at: cx.now,
        };
        cx.journal(book, "create_wallet", &wallet)?;
        book.addresses_taken.insert(self.address, self.investor_id);
        book.wallets.put(wallet.id, wallet);
        Ok(wallet)
    }

    fn subject(&self, _book: &Book) -> Option<InvestorId> {
        Some(self.investor_id)
    }
}
