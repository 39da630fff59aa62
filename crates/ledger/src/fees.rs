//! What is offered for gas (EIP-1559), as pure functions.

use crate::chain::FeeMarket;

/// Over how many of the newest blocks the tip is looked at.
pub const FEE_HISTORY_BLOCKS: u64 = 10;

/// Fees per gas in wei (EIP-1559).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fees {
    /// The most that is paid per gas, base fee included.
    pub max_fee_per_gas_wei: u128,
    /// The most that the block's maker gets per gas.
    pub max_priority_fee_per_gas_wei: u128,
}

/// What an operator is willing to pay on a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeePolicy {
    /// The ceiling of what is paid per gas, base fee included. Above it nothing is signed.
    pub max_fee_per_gas_wei_max: u128,
    /// The ceiling of the tip per gas.
    pub max_priority_fee_per_gas_wei_max: u128,
    /// The floor of the tip per gas: some networks refuse less.
    pub max_priority_fee_per_gas_wei_min: u128,
    /// Which percentile (0–100) of the tips of the newest blocks is offered.
    pub tip_percentile: u8,
    /// How many times the base fee is offered; 2 outlasts six full blocks in a row, each of which raises it by an eighth.
    pub base_fee_factor: u8,
}

/// What to offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeeOffer {
    /// These fees.
    Offered(Fees),
    /// Nothing: even the next block's base fee and the least tip are above the ceiling. The queue waits.
    AboveCeiling {
        /// What a block would take at least, in wei per gas.
        needed_per_gas_wei: u128,
        /// The operator's ceiling, in wei per gas.
        ceiling_per_gas_wei: u128,
    },
}

impl FeePolicy {
    /// What to offer for a transaction at this market: the base fee times the factor, and the tip, both cut at their
    /// ceilings, as long as the next block would still take it.
    #[must_use]
    pub fn offer(&self, market: FeeMarket) -> FeeOffer {
        let ceiling = self.max_fee_per_gas_wei_max;
        let most_tip = self.max_priority_fee_per_gas_wei_max.min(ceiling);
        let tip = market.tip_per_gas_wei.max(self.max_priority_fee_per_gas_wei_min).min(most_tip);
        let needed = market.base_fee_per_gas_wei.saturating_add(self.max_priority_fee_per_gas_wei_min.min(most_tip));
        if needed > ceiling {
            return FeeOffer::AboveCeiling { needed_per_gas_wei: needed, ceiling_per_gas_wei: ceiling };
        }
        let factor = u128::from(self.base_fee_factor.max(1));
        let wanted = market.base_fee_per_gas_wei.saturating_mul(factor).saturating_add(tip);
        FeeOffer::Offered(Fees { max_fee_per_gas_wei: wanted.min(ceiling), max_priority_fee_per_gas_wei: tip })
    }
}

/// The fees that replace an attempt at the same nonce: at least an eighth more on both (geth asks for a tenth, others
/// for an eighth), and at least the market's offer. `None` at a ceiling: the same bytes are sent again, and somebody is
/// told.
#[must_use]
pub fn bump(previous: Fees, policy: &FeePolicy, market: FeeMarket) -> Option<Fees> {
    let least = previous.bumped(policy.max_fee_per_gas_wei_max)?;
    if least.max_priority_fee_per_gas_wei > policy.max_priority_fee_per_gas_wei_max {
        return None;
    }
    let offered = match policy.offer(market) {
        FeeOffer::Offered(fees) => fees,
        FeeOffer::AboveCeiling { .. } => least,
    };
    Some(Fees {
        max_fee_per_gas_wei: least.max_fee_per_gas_wei.max(offered.max_fee_per_gas_wei),
        max_priority_fee_per_gas_wei: least.max_priority_fee_per_gas_wei.max(offered.max_priority_fee_per_gas_wei),
    })
}

impl Fees {
    /// The smallest fees that replace these at the same nonce on every common node: 12.5 % more on both, rounded up.
    /// `None` where the maximum fee would pass `max_fee_per_gas_wei_max`, the operator's ceiling.
    #[must_use]
    pub fn bumped(self, max_fee_per_gas_wei_max: u128) -> Option<Self> {
        let raise = |wei: u128| wei.checked_add((wei / 8).checked_add(1)?);
        let max_priority_fee_per_gas_wei = raise(self.max_priority_fee_per_gas_wei)?;
        let max_fee_per_gas_wei = raise(self.max_fee_per_gas_wei)?.max(max_priority_fee_per_gas_wei);
        (max_fee_per_gas_wei <= max_fee_per_gas_wei_max).then_some(Self { max_fee_per_gas_wei, max_priority_fee_per_gas_wei })
    }
}

/// Gas limit from an estimate: 30 % more, because the state may be another one when it runs. `None` above the cap of one
/// transaction.
#[must_use]
pub fn gas_limit_of_estimate(estimate_gas: u64, transaction_gas_max: u64) -> Option<u64> {
    let raised = u128::from(estimate_gas) * 13 / 10;
    u64::try_from(raised).ok().filter(|gas| *gas <= transaction_gas_max)
}

/// The middle of the tips that blocks paid; of two middle ones the lower. A zero is that of a block without transactions,
/// which says nothing about what is asked for. Zero where no block paid any.
#[must_use]
pub fn median_tip(mut tips: Vec<u128>) -> u128 {
    tips.retain(|tip| *tip > 0);
    tips.sort_unstable();
    tips.get(tips.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GWEI: u128 = 1_000_000_000;

    fn policy() -> FeePolicy {
        FeePolicy {
            max_fee_per_gas_wei_max: 100 * GWEI,
            max_priority_fee_per_gas_wei_max: 5 * GWEI,
            max_priority_fee_per_gas_wei_min: 1,
            tip_percentile: 50,
            base_fee_factor: 2,
        }
    }

    fn market(base_fee_per_gas_wei: u128, tip_per_gas_wei: u128) -> FeeMarket {
        FeeMarket { base_fee_per_gas_wei, tip_per_gas_wei }
    }

    #[test]
    fn an_offer_is_twice_the_base_fee_and_the_tip() {
        let fees = Fees { max_fee_per_gas_wei: 22 * GWEI, max_priority_fee_per_gas_wei: 2 * GWEI };
        assert_eq!(policy().offer(market(10 * GWEI, 2 * GWEI)), FeeOffer::Offered(fees));
        let least = Fees { max_fee_per_gas_wei: 20 * GWEI + 1, max_priority_fee_per_gas_wei: 1 };
        assert_eq!(policy().offer(market(10 * GWEI, 0)), FeeOffer::Offered(least));
    }

    #[test]
    fn l22_a_hundredfold_spike_is_cut_at_the_ceiling_and_then_waits() {
        let cut = Fees { max_fee_per_gas_wei: 100 * GWEI, max_priority_fee_per_gas_wei: 5 * GWEI };
        assert_eq!(policy().offer(market(90 * GWEI, 500 * GWEI)), FeeOffer::Offered(cut));
        let waits = FeeOffer::AboveCeiling { needed_per_gas_wei: 1_000 * GWEI + 1, ceiling_per_gas_wei: 100 * GWEI };
        assert_eq!(policy().offer(market(1_000 * GWEI, GWEI)), waits);
        assert_eq!(bump(cut, &policy(), market(1_000 * GWEI, GWEI)), None, "at the ceiling nothing is raised");
    }

    #[test]
    fn l03_a_bump_is_more_than_an_eighth_and_stops_at_the_ceiling() {
        let fees = Fees { max_fee_per_gas_wei: 80, max_priority_fee_per_gas_wei: 0 };
        let bumped = fees.bumped(1_000).unwrap();
        assert_eq!(bumped.max_fee_per_gas_wei, 91);
        assert_eq!(bumped.max_priority_fee_per_gas_wei, 1);
        assert_eq!(fees.bumped(90), None);
        let most = Fees { max_fee_per_gas_wei: u128::MAX, max_priority_fee_per_gas_wei: 1 };
        assert_eq!(most.bumped(u128::MAX), None);
    }

    #[test]
    fn l21_the_gas_limit_is_the_estimate_and_three_tenths_within_the_cap() {
        assert_eq!(gas_limit_of_estimate(100_000, 16_777_216), Some(130_000));
        assert_eq!(gas_limit_of_estimate(12_905_550, 16_777_216), Some(16_777_215));
        assert_eq!(gas_limit_of_estimate(12_905_552, 16_777_216), None);
        assert_eq!(gas_limit_of_estimate(u64::MAX, u64::MAX), None);
    }

    #[test]
    fn the_median_is_the_lower_middle() {
        assert_eq!(median_tip(vec![]), 0);
        assert_eq!(median_tip(vec![0, 9, 0, 1, 5, 0]), 5);
        assert_eq!(median_tip(vec![4, 1, 3, 2]), 2);
    }

    proptest! {
        #[test]
        fn l03_every_bump_outbids_on_both_and_keeps_the_ceilings(
            fee in 0..200 * GWEI, tip in 0..10 * GWEI, base in 0..300 * GWEI, paid in 0..20 * GWEI,
        ) {
            let previous = Fees { max_fee_per_gas_wei: fee.max(tip), max_priority_fee_per_gas_wei: tip };
            if let Some(bumped) = bump(previous, &policy(), market(base, paid)) {
                for (new, old) in [
                    (bumped.max_fee_per_gas_wei, previous.max_fee_per_gas_wei),
                    (bumped.max_priority_fee_per_gas_wei, previous.max_priority_fee_per_gas_wei),
                ] {
                    prop_assert!(new > old && new * 8 >= old * 9);
                }
                prop_assert!(bumped.max_fee_per_gas_wei <= policy().max_fee_per_gas_wei_max);
                prop_assert!(bumped.max_priority_fee_per_gas_wei <= policy().max_priority_fee_per_gas_wei_max);
                prop_assert!(bumped.max_priority_fee_per_gas_wei <= bumped.max_fee_per_gas_wei);
            } else {
                let at_ceiling = |wei: u128, most: u128| wei + wei / 8 + 1 > most;
                let policy = policy();
                prop_assert!(
                    at_ceiling(previous.max_fee_per_gas_wei, policy.max_fee_per_gas_wei_max)
                        || at_ceiling(previous.max_priority_fee_per_gas_wei, policy.max_priority_fee_per_gas_wei_max)
                );
            }
        }

        #[test]
        fn l22_an_offer_never_passes_a_ceiling_and_the_next_block_takes_it(base in 0..300 * GWEI, paid in 0..20 * GWEI) {
            match policy().offer(market(base, paid)) {
                FeeOffer::Offered(fees) => {
                    prop_assert!(fees.max_fee_per_gas_wei <= policy().max_fee_per_gas_wei_max);
                    prop_assert!(fees.max_priority_fee_per_gas_wei <= policy().max_priority_fee_per_gas_wei_max);
                    prop_assert!(fees.max_fee_per_gas_wei >= base);
                }
                FeeOffer::AboveCeiling { needed_per_gas_wei, ceiling_per_gas_wei } => {
                    prop_assert!(needed_per_gas_wei > ceiling_per_gas_wei);
                }
            }
        }
    }
}
