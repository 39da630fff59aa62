//! Which investments a seeded register gets, in which order: drawn from a seed, so that two engines get the same ones.

use domain::instant::Instant;
use domain::units::Units;
use domain::wallet::EvmAddress;
use server::entropy::Entropy;

use super::UNITS_MAX_OF_ONE;
use super::chunk::{Account, Arrival, Buyer, Chunk, Identification, Sale, Stage};
use super::town::{Site, Town};

/// Investments of one command of the desk, and so of one commit.
const CHUNK_SALES_MAX: u64 = 4_000;
/// Sales for each investor who signs up: odd, so that both of two campaigns which take turns get new ones.
const SALES_PER_ARRIVAL: u64 = 41;
/// Investors of a platform who signed up last: most buyers are among them.
const RECENT_ACCOUNTS: usize = 400;

/// What remains to be sold, campaign by campaign, two at a time.
#[derive(Debug)]
pub struct Schedule {
    sites: Vec<Site>,
    sales_per_site: u64,
    /// The next sale, counted over all.
    next: u64,
    accounts: Vec<Vec<Account>>,
    random: Entropy,
    begins_at: Instant,
    step_micros: i64,
}

impl Schedule {
    /// A schedule of `sales_per_site` investments in each campaign of a town, evenly from one instant to another.
    pub fn new(town: &Town, sales_per_site: u64, [begins_at, ends_at]: [Instant; 2], seed: [u8; 32]) -> Self {
        let sales = sales_per_site.saturating_mul(town.sites.len() as u64);
        let span_micros = ends_at.micros().saturating_sub(begins_at.micros()).max(0);
        let step_micros = span_micros.checked_div(i64::try_from(sales).unwrap_or(i64::MAX)).unwrap_or(0).max(1);
        Self {
            sites: town.sites.clone(),
            sales_per_site,
            next: 0,
            accounts: vec![Vec::new(); town.platforms],
            random: Entropy::from_seed(seed),
            begins_at,
            step_micros,
        }
    }

    /// Investments that the whole schedule makes.
    pub fn sales(&self) -> u64 {
        self.sales_per_site.saturating_mul(self.sites.len() as u64)
    }

    /// Investors of a platform who can buy, in the order in which they signed up.
    pub fn accounts(&self, platform: usize) -> &[Account] {
        self.accounts.get(platform).map_or(&[], Vec::as_slice)
    }

    /// Takes in who signed up in a chunk.
    pub fn identified(&mut self, accounts: impl IntoIterator<Item = (domain::ids::OrganisationId, Account)>) {
        for (platform_id, account) in accounts {
            let platform = self.sites.iter().find(|site| site.platform_id == platform_id).map(|site| site.platform);
            if let Some(known) = platform.and_then(|platform| self.accounts.get_mut(platform)) {
                known.push(account);
            }
        }
    }

    /// The next chunk; `None` where everything is sold.
    pub fn chunk(&mut self) -> Option<Chunk> {
        let left = self.sales().saturating_sub(self.next);
        // A chunk stays within one pair of campaigns.
        let pair_sales = self.sales_per_site.saturating_mul(2).max(1);
        let until_next_pair = pair_sales - self.next % pair_sales;
        let sales = left.min(until_next_pair).min(CHUNK_SALES_MAX);
        if sales == 0 {
            return None;
        }
        let offset = i64::try_from(self.next).unwrap_or(i64::MAX).saturating_mul(self.step_micros);
        let begins_at = Instant::from_micros(self.begins_at.micros().saturating_add(offset));
        let mut chunk = Chunk { begins_at, step_micros: self.step_micros, arrivals: Vec::new(), sales: Vec::new() };
        let mut newest_arrival = vec![None; self.accounts.len()];
        for _ in 0..sales {
            let site = self.site();
            let (buyer, is_identified) = self.buyer(&site, &mut chunk.arrivals, &mut newest_arrival);
            let stage = if is_identified && !site.is_reviewed { self.stage() } else { Stage::Signed };
            let units = Units::new(1 + self.below(UNITS_MAX_OF_ONE)).unwrap_or(Units::ZERO);
            let Site { platform_id, campaign_id, papers, .. } = site;
            chunk.sales.push(Sale { platform_id, campaign_id, papers, buyer, units, stage });
            self.next += 1;
        }
        Some(chunk)
    }

    /// The campaign of the next sale: two take turns until both are sold. A last one without a partner sells alone.
    fn site(&self) -> Site {
        let pair_sales = self.sales_per_site.saturating_mul(2).max(1);
        let first = usize::try_from(self.next / pair_sales).unwrap_or(usize::MAX).saturating_mul(2);
        let second = usize::from(self.next % 2 == 1 && first + 1 < self.sites.len());
        self.sites[first + second]
    }

    fn buyer(&mut self, site: &Site, arrivals: &mut Vec<Arrival>, newest: &mut [Option<usize>]) -> (Buyer, bool) {
        let signs_up = self.next.is_multiple_of(SALES_PER_ARRIVAL)
            || self.accounts[site.platform].is_empty() && newest[site.platform].is_none();
        if signs_up {
            newest[site.platform] = Some(arrivals.len());
            let identification = match self.below(100) {
                0..88 => Identification::Passed,
                88..95 => Identification::Pending,
                _ => Identification::Failed,
            };
            arrivals.push(Arrival {
                platform_id: site.platform_id,
                identification,
                address: EvmAddress::new(self.random.bytes()),
            });
        }
        let accounts = self.accounts[site.platform].len();
        let drawn = self.below(100);
        if let Some(place) = newest[site.platform].filter(|_| signs_up || drawn < 25 || accounts == 0) {
            return (Buyer::Arriving(place), arrivals[place].identification == Identification::Passed);
        }
        let oldest = if drawn < 80 { accounts.saturating_sub(RECENT_ACCOUNTS) } else { 0 };
        let place = oldest + usize::try_from(self.below((accounts - oldest) as u64)).unwrap_or(0);
        (Buyer::Known(self.accounts[site.platform][place]), true)
    }

    fn stage(&mut self) -> Stage {
        match self.below(100) {
            0..50 => Stage::Signed,
            50..60 => Stage::Accepted,
            60..90 => Stage::Paid,
            _ => Stage::Aborted,
        }
    }

    /// A number below another. Its bias is one in many millions.
    fn below(&mut self, bound: u64) -> u64 {
        u64::from_le_bytes(self.random.bytes()).checked_rem(bound).unwrap_or(0)
    }
}
