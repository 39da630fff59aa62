//! What the background work records about the ledger: nonces, signed bytes, verdicts.

use domain::credit::{Credit, CreditFailure, CreditState};
use domain::ids::{InstructionId, LedgerTransactionId, ProductId};
use domain::instruction::{Instruction, InstructionState};
use domain::investment::Investment;
use domain::ledger_transaction::{Attempt, LedgerTransaction, LedgerTransactionState, Purpose, Signer};
use domain::product::{Inconsistent, Token};
use domain::wallet::EvmAddress;
use store::{Book, Wanted};

use super::{Context, Operation, Refused};

/// Reserves the signer's next nonce for a deployment.
#[derive(Clone, Debug)]
pub struct ReserveDeployment {
    /// Who will sign.
    pub signer: EvmAddress,
    /// What for.
    pub purpose: Purpose,
}

impl Operation for ReserveDeployment {
    type Output = LedgerTransaction;

    fn want(&self, wanted: &mut Wanted) {
        wanted.signers.insert(self.signer);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<LedgerTransaction, Refused> {
        Ok(reserve(self.signer, self.purpose, book, cx))
    }
}

/// Claims those of the named instructions that are queued and that no other process is claiming, reserves the signer's
/// next nonce for them, and binds them to it, in one commit.
#[derive(Clone, Debug)]
pub struct BindInstructions {
    /// Who will sign.
    pub signer: EvmAddress,
    /// The product.
    pub product_id: ProductId,
    /// After this second of ledger time the contract refuses the whole batch.
    pub valid_until_seconds: i64,
    /// The instructions, in order of instruction.
    pub instruction_ids: Vec<InstructionId>,
}

/// A nonce, and the instructions that are bound to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound {
    /// The slot.
    pub ledger_transaction: LedgerTransaction,
    /// The instructions, in order of instruction.
    pub instructions: Vec<Instruction>,
}

impl Operation for BindInstructions {
    /// `None` where every one was taken already: no nonce is spent then.
    type Output = Option<Bound>;

    fn want(&self, wanted: &mut Wanted) {
        wanted.signers.insert(self.signer);
        wanted.claimed_instructions.extend(&self.instruction_ids);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Option<Bound>, Refused> {
        // An instruction is in at most one live ledger transaction.
        let named = self.instruction_ids.iter().filter_map(|id| book.instructions.get(id)).copied();
        let mut instructions: Vec<Instruction> = named.filter(|one| one.state == InstructionState::Queued).collect();
        if instructions.is_empty() {
            return Ok(None);
        }
        let purpose = Purpose::Execute { product_id: self.product_id, valid_until_seconds: self.valid_until_seconds };
        let ledger_transaction = reserve(self.signer, purpose, book, cx);
        for instruction in &mut instructions {
            instruction.state = InstructionState::Bound(ledger_transaction.id);
            book.instructions.put(instruction.id, *instruction);
        }
        Ok(Some(Bound { ledger_transaction, instructions }))
    }
}

/// The signer's next slot.
pub(super) fn reserve(address: EvmAddress, purpose: Purpose, book: &mut Book, cx: &mut Context<'_>) -> LedgerTransaction {
    let unknown = Signer { address, next_nonce: 0, version: 0 };
    let mut signer = book.signers.get(&address).copied().unwrap_or(unknown);
    let ledger_transaction = LedgerTransaction {
        id: cx.entropy.id(cx.now),
        signer: address,
        nonce: signer.next_nonce,
        purpose,
        state: LedgerTransactionState::Live,
        created_at: cx.now,
        version: 0,
    };
    signer.next_nonce += 1;
    book.signers.put(address, signer);
    book.ledger_transactions.put(ledger_transaction.id, ledger_transaction);
    ledger_transaction
}

/// Stores signed bytes. They are sent only after this is committed.
#[derive(Clone, Debug)]
pub struct RecordAttempt {
    /// What they are a version of.
    pub ledger_transaction_id: LedgerTransactionId,
    /// The signed bytes.
    pub raw: Vec<u8>,
    /// Their Keccak-256.
    pub hash: [u8; 32],
}

impl Operation for RecordAttempt {
    type Output = Attempt;

    fn want(&self, wanted: &mut Wanted) {
        wanted.ledger_transactions.insert(self.ledger_transaction_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<Attempt, Refused> {
        book.ledger_transactions.get(&self.ledger_transaction_id).ok_or(Refused::NotFound)?;
        let attempt = Attempt {
            id: cx.entropy.id(cx.now),
            ledger_transaction_id: self.ledger_transaction_id,
            raw: self.raw.clone(),
            hash: self.hash,
            created_at: cx.now,
        };
        cx.record.attempts.push(attempt.clone());
        Ok(attempt)
    }
}

/// What the judge said about one instruction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The units are in the wallet, finally.
    Succeeded {
        /// The ledger transaction's hash.
        transaction_hash: [u8; 32],
        /// The block that holds it.
        block_number: u64,
    },
    /// It can never change the ledger any more.
    Failed(CreditFailure),
    /// The ledger would skip it, and nothing was signed for it: that ends it only while it still waits in the queue.
    Refused(CreditFailure),
    /// The ledger holds its number for another order, and an operator has acknowledged that: the order is given anew under a
    /// number of its own.
    NumberTaken,
}

/// Records verdicts: credit, investment and instruction in one commit, so that they can never part.
#[derive(Clone, Debug)]
pub struct SettleCredits {
    /// The verdicts, in order of instruction.
    pub verdicts: Vec<(InstructionId, Verdict)>,
}

impl Operation for SettleCredits {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.instructions.extend(self.verdicts.iter().map(|(id, _)| *id));
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        for (id, verdict) in &self.verdicts {
            settle(*id, *verdict, book, cx)?;
        }
        Ok(())
    }
}

fn settle(id: InstructionId, verdict: Verdict, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
    let mut instruction = *book.instructions.get(&id).ok_or(Inconsistent("instruction"))?;
    match (instruction.state, verdict) {
        (
            InstructionState::Queued,
            Verdict::Succeeded { .. } | Verdict::Failed(_) | Verdict::Refused(_) | Verdict::NumberTaken,
        )
        | (InstructionState::Bound(_), Verdict::Succeeded { .. } | Verdict::Failed(_) | Verdict::NumberTaken) => {}
        // A verdict is said once. What another worker bound meanwhile may take effect, whatever was foreseen before.
        (
            InstructionState::Judged,
            Verdict::Succeeded { .. } | Verdict::Failed(_) | Verdict::Refused(_) | Verdict::NumberTaken,
        )
        | (InstructionState::Bound(_), Verdict::Refused(_)) => return Ok(()),
    }
    let mut credit = *book.credits.get(&instruction.credit_id).ok_or(Inconsistent("instruction.credit_id"))?;
    let investment = book.investments.get(&credit.investment_id).ok_or(Inconsistent("credit.investment_id"))?;
    let next = match verdict {
        Verdict::Succeeded { transaction_hash, block_number } => {
            credit.state = CreditState::Succeeded { transaction_hash, block_number, finished_at: cx.now };
            investment.delivered(cx.now)?
        }
        Verdict::Failed(failure) | Verdict::Refused(failure) => {
            credit.state = CreditState::Failed { failure, finished_at: cx.now };
            investment.credit_failed(cx.now)
        }
        Verdict::NumberTaken => {
            let failure = CreditFailure::RefusedByContract;
            credit.state = CreditState::Failed { failure, finished_at: cx.now };
            let investment = investment.credit_failed(cx.now);
            order_anew(&credit, &investment, book, cx)?
        }
    };
    instruction.state = InstructionState::Judged;
    cx.journal(book, "settle_credit", &credit)?;
    cx.journal(book, "settle_credit", &next)?;
    book.investments.put(next.id, next);
    book.credits.put(credit.id, credit);
    book.instructions.put(id, instruction);
    Ok(())
}

/// Orders a credit again, to the same wallet, under a number that nothing has. Gives the investment with it.
fn order_anew(before: &Credit, investment: &Investment, book: &mut Book, cx: &mut Context<'_>) -> Result<Investment, Refused> {
    let campaign = book.campaigns.get(&investment.campaign_id).ok_or(Inconsistent("investment.campaign_id"))?;
    let mut campaign = campaign.clone();
    let number = campaign.spare_number()?;
    let id = cx.entropy.id(cx.now);
    let next = investment.credited_anew(id, cx.now);
    let credit = Credit { id, number, state: CreditState::Processing, created_at: cx.now, version: 0, ..*before };
    cx.journal(book, "skip_numbers", &campaign)?;
    cx.journal(book, "order_credit", &credit)?;
    book.campaigns.put(campaign.id, campaign);
    queue(&credit, book, cx);
    Ok(next)
}

/// Puts a credit and its instruction into the queue.
pub(super) fn queue(credit: &Credit, book: &mut Book, cx: &mut Context<'_>) {
    put_with_instruction(credit, InstructionState::Queued, book, cx);
}

/// Puts a credit with an instruction that says the same to the ledger.
pub(super) fn put_with_instruction(credit: &Credit, state: InstructionState, book: &mut Book, cx: &mut Context<'_>) {
    let instruction = Instruction {
        id: cx.entropy.id(cx.now),
        credit_id: credit.id,
        product_id: credit.product_id,
        investment_id: credit.investment_id,
        number: credit.number,
        account: credit.address,
        units: credit.units,
        state,
        created_at: cx.now,
        version: 0,
    };
    book.credits.put(credit.id, *credit);
    book.instructions.put(instruction.id, instruction);
}

/// Gives the instructions of a ledger transaction back to the queue: nothing was ever signed for them, and what would be
/// signed now would be refused as too late.
#[derive(Clone, Debug)]
pub struct ReleaseInstructions {
    /// The ledger transaction.
    pub ledger_transaction_id: LedgerTransactionId,
    /// What is bound to it.
    pub instruction_ids: Vec<InstructionId>,
}

impl Operation for ReleaseInstructions {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.claimed_instructions.extend(&self.instruction_ids);
    }

    fn run(&self, book: &mut Book, _cx: &mut Context<'_>) -> Result<(), Refused> {
        for id in &self.instruction_ids {
            let bound = book.instructions.get(id).filter(|one| one.state == InstructionState::Bound(self.ledger_transaction_id));
            if let Some(bound) = bound {
                let queued = Instruction { state: InstructionState::Queued, ..*bound };
                book.instructions.put(*id, queued);
            }
        }
        Ok(())
    }
}

/// Closes a ledger transaction that can change nothing any more.
#[derive(Clone, Copy, Debug)]
pub struct CloseLedgerTransaction {
    /// The ledger transaction.
    pub ledger_transaction_id: LedgerTransactionId,
}

impl Operation for CloseLedgerTransaction {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.ledger_transactions.insert(self.ledger_transaction_id);
    }

    fn run(&self, book: &mut Book, _cx: &mut Context<'_>) -> Result<(), Refused> {
        let mut closed = *book.ledger_transactions.get(&self.ledger_transaction_id).ok_or(Refused::NotFound)?;
        closed.state = LedgerTransactionState::Closed;
        book.ledger_transactions.put(closed.id, closed);
        Ok(())
    }
}

/// Records that a product's token contract stands in a finalized block, and closes its deployment.
#[derive(Clone, Copy, Debug)]
pub struct RecordToken {
    /// The product.
    pub product_id: ProductId,
    /// Where the contract stands.
    pub address: EvmAddress,
    /// The deployment.
    pub ledger_transaction_id: LedgerTransactionId,
}

impl Operation for RecordToken {
    type Output = ();

    fn want(&self, wanted: &mut Wanted) {
        wanted.products.insert(self.product_id);
        wanted.ledger_transactions.insert(self.ledger_transaction_id);
    }

    fn run(&self, book: &mut Book, cx: &mut Context<'_>) -> Result<(), Refused> {
        let mut product = book.products.get(&self.product_id).ok_or(Refused::NotFound)?.clone();
        product.token = Token::Deployed(self.address);
        cx.journal(book, "record_token", &product)?;
        book.products.put(product.id, product);
        CloseLedgerTransaction { ledger_transaction_id: self.ledger_transaction_id }.run(book, cx)
    }
}
