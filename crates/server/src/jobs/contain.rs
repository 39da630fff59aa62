//! One bad credit, or one bad product, stops nothing but itself.

use std::any::Any;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use domain::ids::{InstructionId, ProductId};

use super::{LedgerFault, LedgerWork};

/// After what time something that could not be worked on is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// Instructions that could not be worked on, and when they are tried again.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    until: BTreeMap<InstructionId, Instant>,
}

impl SetAside {
    /// Leaves an instruction alone for a while.
    pub(super) fn put(&mut self, id: InstructionId, now: Instant) {
        self.until.insert(id, now + TRIED_AGAIN_AFTER);
    }

    /// Whether an instruction is left alone.
    pub(super) fn holds(&self, id: InstructionId) -> bool {
        self.until.contains_key(&id)
    }

    /// Forgets those whose time has come.
    pub(super) fn let_go(&mut self, now: Instant) {
        self.until.retain(|_, until| now < *until);
    }

    /// How many are left alone.
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }
}

impl LedgerWork {
    /// What the work on one product came to; `None` where it failed by its own fault, which is told and tried again later.
    ///
    /// # Errors
    /// A fault that concerns all products.
    pub(super) fn contained<T>(
        &mut self,
        product_id: ProductId,
        came_to: Result<Result<T, LedgerFault>, Box<dyn Any + Send>>,
    ) -> Result<Option<T>, LedgerFault> {
        let fault = match came_to {
            Ok(Ok(done)) => return Ok(Some(done)),
            Ok(Err(fault)) if fault.is_contained() => fault,
            Ok(Err(fault)) => return Err(fault),
            Err(_panic) => LedgerFault::Panicked(product_id),
        };
        self.meters.contained.increment(1);
        tracing::error!(%fault, %product_id, network = %self.network, "the work on one product came to nothing; the others go on");
        // What was known of it may be half-way.
        self.seen.remove(&product_id);
        self.tokens.remove(&product_id);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_is_set_aside_comes_back_after_its_time() {
        let (mut aside, now) = (SetAside::default(), Instant::now());
        let id = InstructionId::new(Uuid::from_u128(1));
        aside.put(id, now);
        aside.let_go(now + TRIED_AGAIN_AFTER.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(aside.holds(id) && aside.len() == 1);
        aside.let_go(now + TRIED_AGAIN_AFTER);
        assert!(!aside.holds(id) && aside.len() == 0);
    }
}
