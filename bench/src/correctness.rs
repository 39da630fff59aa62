//! What must hold after a load. A figure without it is worth nothing, so a run fails where one does not.

use crate::Failure;
use crate::findings::{Check, Load};
use crate::sandbox::{Place, Sandbox, Scrip};

/// Effects that a load may have left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Intents {
    /// Keys whose effect was acknowledged: each must be there once.
    pub acknowledged: u64,
    /// Keys whose answer never came: each may be there once.
    pub unanswered: u64,
}

/// What was sold in a campaign.
#[derive(Clone, Debug)]
pub struct Sold {
    /// The campaign.
    pub campaign_id: String,
    /// Its allocation, in units.
    pub allocation: u64,
}

impl Intents {
    /// The sum of several loads. What was answered from memory had its effect before.
    pub fn of(loads: &[&Load]) -> Self {
        let acknowledged = loads.iter().map(|load| load.succeeded.saturating_sub(load.replayed)).sum();
        Self { acknowledged, unanswered: loads.iter().map(|load| load.unanswered).sum() }
    }

    /// Whether a number of effects fits.
    pub fn fits(self, effects: u64) -> bool {
        (self.acknowledged..=self.acknowledged + self.unanswered).contains(&effects)
    }
}

/// Every acknowledged create is found once, and no campaign sold more than it had. All creates are of one unit.
pub async fn creates(sandbox: &mut Sandbox, what: &str, campaigns: &[Sold], intents: Intents) -> Result<Check, Failure> {
    let (mut rows, mut used) = (0, 0);
    for campaign in campaigns {
        let found = sandbox.count(&format!("&campaign_id={}", campaign.campaign_id)).await?;
        let available = sandbox.units_available(&campaign.campaign_id).await?;
        let Some(sold) = campaign.allocation.checked_sub(available) else {
            return Err(format!("{what}: {available} units are left of {}", campaign.allocation).into());
        };
        if sold != found {
            return Err(format!("{what}: {sold} units are sold by {found} investments of one").into());
        }
        rows += found;
        used += sold;
    }
    let found = format!(
        "{} acknowledged, {} unanswered; {rows} rows, {used} units used of {}",
        intents.acknowledged,
        intents.unanswered,
        campaigns.iter().map(|campaign| campaign.allocation).sum::<u64>()
    );
    held(what, found, intents.fits(rows))
}

/// Every change of a status is in the outbox: creates have one each, and nothing is delivered.
pub async fn outbox(scrip: &Scrip, place: &Place, creates: Intents) -> Result<Check, Failure> {
    let waiting = scrip.events_waiting(place).await?;
    let found = format!("{} acknowledged, {} unanswered; {waiting} events wait", creates.acknowledged, creates.unanswered);
    held("every create has its event", found, creates.fits(waiting))
}

/// A repeated key is answered from memory and has no second effect.
pub fn replays(first: &Load, replays: &Load) -> Result<Check, Failure> {
    let all = first.succeeded == first.statuses.values().sum::<u64>() && first.unanswered == 0;
    let found = format!("{} answers, {} from memory", replays.succeeded, replays.replayed);
    held("a repeated key is answered from memory", found, !all || replays.succeeded == replays.replayed)
}

/// Every ordered credit was delivered, once.
pub fn credits(ordered: Intents, delivered: u64) -> Result<Check, Failure> {
    let found = format!("{} ordered, {} unanswered; {delivered} delivered", ordered.acknowledged, ordered.unanswered);
    held("every ordered credit is delivered once", found, ordered.fits(delivered))
}

/// `scrip verify` finds nothing.
pub async fn verify(scrip: &Scrip, place: &Place) -> Result<Check, Failure> {
    if place.database.is_some() && !scrip.verifies_database {
        let found = "not checked: scrip verify does not take --database".to_owned();
        return Ok(Check { what: "scrip verify".to_owned(), found });
    }
    let output = scrip.verify(place).await?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    held("scrip verify", said.lines().next_back().unwrap_or_default().to_owned(), output.status.success())
}

fn held(what: &str, found: String, holds: bool) -> Result<Check, Failure> {
    if holds { Ok(Check { what: what.to_owned(), found }) } else { Err(format!("does not hold: {what}: {found}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_and_doubled_effects_do_not_fit() {
        let intents = Intents { acknowledged: 10, unanswered: 2 };
        assert_eq!([9, 10, 11, 12, 13].map(|effects| intents.fits(effects)), [false, true, true, true, false]);
        assert!(credits(intents, 9).is_err());
        assert!(credits(intents, 10).is_ok());
    }
}
