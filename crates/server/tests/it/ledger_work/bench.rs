//! The ledger work driven by hand, on a real archive and a chain whose blocks are made by hand.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use domain::campaign::{CampaignTerms, Rule};
use domain::country::Country;
use domain::credit::{Credit, CreditState};
use domain::document::{ContentCheck, SignedDocumentType};
use domain::ids::{CampaignId, CreditId, DocumentId, HolderId, InvestmentId, InvestorId, OrganisationId, ProductId, WalletId};
use domain::instant::Instant;
use domain::investment::Investment;
use domain::ledger_transaction::Purpose;
use domain::money::{Currency, Percent, Price};
use domain::network::NetworkName;
use domain::product::{AssetCode, Product, Token};
use domain::text::Name;
use domain::units::Units;
use domain::wallet::EvmAddress;
use ledger::contract::total_supply;
use ledger::embedded::{BASE_FEE_PER_GAS_WEI, GenesisConfig};
use ledger::fake::FakeChain;
use ledger::transaction::{DeviceSignature, Fees, LocalSigner, Signer, SignerError, Unsigned};
use ledger::{
    Address, Answer, At, BlockRef, CallOutcome, CallRequest, Chain, ChainIdentity, Estimate, FeeMarket, Log, LogFilter, Receipt,
    TxHash,
};
use server::backup::RESTORED_SETTING;
use server::jobs::{LedgerFault, LedgerParts, LedgerPolicy, LedgerWork};
use server::keyring::KeyUse;
use server::operations::campaign::CreateCampaign;
use server::operations::credit::OrderCredit;
use server::operations::document::StoreDocument;
use server::operations::investment::{CreateInvestment, DocumentReference, StatedFacts};
use server::operations::ledger::ReserveDeployment;
use server::operations::listing::CreateListing;
use server::operations::product::CreateProduct;
use server::operations::sandbox::{Inhabitants, SettleSandbox};
use server::program::{Office, embedded_policy, genesis, history, place};
use store::dump::{DumpSource, DumpTarget, EmptyDatabase};
use store::queries::{LiveLedgerTransaction, Viewer};
use store::{Database, Reader};
use tempfile::TempDir;
use tokio::sync::Notify;
use uuid::Uuid;

use crate::world::{database_of, keep_embedded};

/// Seconds that a signed batch may run.
pub const VALIDITY_S: i64 = 600;
/// How long a worker without a sign of life keeps the lane from others.
pub const LEASE: Duration = Duration::from_millis(300);
/// The holder that the bench's own worker is, however often it is restarted.
const OWN: HolderId = HolderId::new(Uuid::from_u128(1));
/// Rounds in which everything ends that can end.
const ROUNDS_MAX: usize = 40;

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A chain that looks into the archive whenever something is sent.
pub struct Watched {
    pub fake: FakeChain,
    archive: Mutex<Arc<Reader>>,
    /// Every sent transaction.
    pub sent: Mutex<Vec<Vec<u8>>>,
    /// From which blocks logs were asked for.
    pub logs_from: Mutex<Vec<u64>>,
    unstored: AtomicUsize,
}

/// A signing device that is away as often as it is told.
pub struct Device {
    pub key: LocalSigner,
    away: Mutex<VecDeque<()>>,
    /// Says that it was asked, and waits until it is told to go on, once.
    pause: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

pub struct Bench {
    pub office: Office,
    pub chain: Arc<Watched>,
    pub device: Arc<Device>,
    pub work: LedgerWork,
    /// How the next worker works.
    pub policy: LedgerPolicy,
    pub inhabitants: Inhabitants,
    documents: Vec<DocumentReference>,
    pub folder: TempDir,
}

/// An investment and its credit.
#[derive(Clone, Copy, Debug)]
pub struct Ordered {
    pub investment_id: InvestmentId,
    pub credit_id: CreditId,
}

impl Bench {
    /// A settled sandbox whose token stands on the ledger.
    pub async fn start(finality_blocks: u64) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), finality_blocks).await
    }

    /// The same on the embedded engine whatever the environment names, for tests that change its rows.
    pub async fn start_embedded(finality_blocks: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        keep_embedded(folder.path());
        Self::start_in(folder, finality_blocks).await
    }

    async fn start_in(folder: TempDir, finality_blocks: u64) -> Self {
        let office = Office::open(&folder.path().join("data"), database_of(folder.path()).as_deref()).unwrap();
        let key = LocalSigner::new(office.keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
        let now = office.clock.now();
        let fake = FakeChain::new(&genesis(&key, u64::try_from(now.seconds_floor()).unwrap()), finality_blocks);
        let (archive, unstored) = (Mutex::new(office.archive.clone()), AtomicUsize::new(0));
        let chain = Arc::new(Watched { fake, archive, sent: Mutex::default(), logs_from: Mutex::default(), unstored });
        let device = Arc::new(Device { key, away: Mutex::default(), pause: Mutex::default() });
        let inhabitants = office.desk.run(SettleSandbox { network: NetworkName::embedded() }, now).await.unwrap();
        let policy = LedgerPolicy { validity_s: VALIDITY_S, look_every: Duration::ZERO, ..embedded_policy(LEASE) };
        let work = worker(&office, &chain, &device, OWN, policy);
        let mut bench = Self { office, chain, device, work, policy, inhabitants, documents: Vec::new(), folder };
        for document_type in SignedDocumentType::ALL {
            let document_id = bench.document(document_type.code()).await;
            bench.documents.push(DocumentReference { document_type, document_id });
        }
        let stands = |bench: &Self| matches!(bench.product(bench.product_id()).token, Token::Deployed(_));
        bench.until_mining(finality_blocks.max(1), stands).await;
        bench
    }

    /// The same ledger with the database of a moment before, in another folder, as a program would open it.
    pub async fn restored(self, backup: &mut Backup) -> Self {
        let (from, folder) = (self.folder.path().join("data"), tempfile::tempdir().unwrap());
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        std::fs::copy(from.join("root.key"), data.join("root.key")).unwrap();
        let url = database_of(self.folder.path()).map(|_of_server| {
            let name = format!("restored_{}_{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
            cluster::shared().unwrap().create_database(&name, None).unwrap()
        });
        match &url {
            Some(url) => std::fs::write(folder.path().join("database-url"), url).unwrap(),
            None => keep_embedded(folder.path()),
        }
        let empty = EmptyDatabase::open(&place(&data, url.as_deref())).unwrap();
        let schema = backup.schema;
        empty.load(schema, backup, (RESTORED_SETTING, b"by hand")).unwrap();
        let office = Office::open(&data, url.as_deref()).unwrap();
        office.clock.set_ahead_micros(self.office.clock.ahead_micros());
        history::settle(&office, &data).await.unwrap();
        *self.chain.archive.lock().unwrap() = office.archive.clone();
        let work = worker(&office, &self.chain, &self.device, OWN, self.policy);
        Self { office, work, folder, ..self }
    }

    /// The database as it is now.
    pub fn backup(&self) -> Backup {
        let url = database_of(self.folder.path());
        let database = Database::open(&place(&self.folder.path().join("data"), url.as_deref())).unwrap();
        let mut backup = Backup::default();
        backup.schema = database.dump(&mut backup).unwrap().schema;
        backup
    }

    /// A paid investment with a wallet, and no credit.
    pub async fn paid(&self, campaign_id: CampaignId, units: u64) -> InvestmentId {
        let (investor, wallet) = (self.inhabitants.investor_id, self.inhabitants.wallet_id);
        self.paid_by(campaign_id, units, InvestorId::new(investor), WalletId::new(wallet)).await
    }

    /// A worker that was given another chain.
    pub fn worker_on_another_chain(&self) -> (LedgerWork, Arc<Watched>) {
        let genesis = genesis(&self.device.key, 1);
        let fake = FakeChain::new(&GenesisConfig { chain_id: genesis.chain_id + 1, ..genesis }, 1);
        let archive = Mutex::new(self.office.archive.clone());
        let chain = Arc::new(Watched {
            fake,
            archive,
            sent: Mutex::default(),
            logs_from: Mutex::default(),
            unstored: AtomicUsize::new(0),
        });
        (worker(&self.office, &chain, &self.device, OWN, self.policy), chain)
    }

    /// A worker of another process, on the same chain with the same key.
    pub fn other_worker(&self, number: u128, device: &Arc<Device>) -> LedgerWork {
        worker(&self.office, &self.chain, device, HolderId::new(Uuid::from_u128(number)), self.policy)
    }

    /// A worker of another process, on a chain of its own choice.
    pub fn worker_on(&self, chain: Arc<dyn Chain>, signer: Arc<dyn Signer>, holder: HolderId, lease: Duration) -> LedgerWork {
        worker_with(&self.office, chain, signer, holder, LedgerPolicy { lease, ..self.policy })
    }

    /// The worker is gone with all it knew; another one takes over.
    pub fn restart_worker(&mut self) {
        self.work = worker(&self.office, &self.chain, &self.device, OWN, self.policy);
    }

    /// One look of the worker, then one block.
    pub async fn step(&mut self) -> Result<(), LedgerFault> {
        let looked = self.work.round().await;
        self.mine(1);
        looked
    }

    /// Steps until something is so. A round that is cut short goes on in the next.
    pub async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        self.until_mining(1, is_so).await;
    }

    /// The same with more blocks to each step.
    async fn until_mining(&mut self, blocks: u64, is_so: impl Fn(&Self) -> bool) {
        for _round in 0..ROUNDS_MAX {
            if is_so(self) {
                return;
            }
            if let Err(fault) = self.work.round().await {
                println!("a round was cut short: {fault}");
            }
            self.mine(blocks);
        }
        panic!("it does not come about");
    }

    /// Steps until no credit is processing and no nonce is in flight, then compares register and ledger.
    pub async fn finish(&mut self, ordered: &[Ordered]) {
        self.finish_of(ordered).await;
        self.compare().await;
    }

    /// The same without the comparison, where register and ledger are meant to differ.
    pub async fn finish_of(&mut self, ordered: &[Ordered]) {
        self.until(|bench| ordered.iter().all(|one| bench.credit(*one).state != CreditState::Processing)).await;
        self.until(|bench| bench.live().is_empty()).await;
    }

    /// Finishes once something was done that lets it.
    pub async fn finish_after(&mut self, ordered: &[Ordered], done: impl FnOnce(&Self)) {
        self.work.round().await.unwrap();
        done(self);
        self.finish(ordered).await;
    }

    /// Every product's supply is what its delivered investments hold, and nothing was sent that was not stored before.
    pub async fn compare(&self) {
        for product in self.office.archive.all_products(None, 100).unwrap() {
            let Token::Deployed(token) = product.token else { continue };
            let held = self.office.archive.delivered_units_by_address(product.id).unwrap();
            let held: u128 = held.values().map(|units| u128::from(units.get())).sum();
            let supply = total_supply(&self.chain.fake, Address(token.bytes()), At::Finalized).await.unwrap();
            assert_eq!(supply, held, "product {}", product.id);
        }
        assert_eq!(self.chain.unstored.load(Ordering::Relaxed), 0, "bytes were sent before they were committed");
    }

    /// Makes blocks at business time.
    pub fn mine(&self, blocks: u64) {
        self.chain.fake.set_time(self.now().seconds_floor());
        self.chain.fake.mine(blocks).unwrap();
    }

    pub fn now(&self) -> Instant {
        self.office.clock.now()
    }

    /// Turns business time forwards.
    pub fn pass(&self, seconds: i64) {
        self.office.clock.set_ahead_micros(self.office.clock.ahead_micros() + seconds * 1_000_000);
    }

    pub fn live(&self) -> Vec<LiveLedgerTransaction> {
        self.office.archive.live_ledger_transactions().unwrap()
    }

    pub fn credit(&self, ordered: Ordered) -> Credit {
        self.office.archive.credit(self.platform_id(), ordered.investment_id, ordered.credit_id).unwrap().unwrap()
    }

    pub fn find_investment(&self, id: InvestmentId) -> Option<Investment> {
        self.office.archive.investment(Viewer::Platform(self.platform_id()), id).unwrap()
    }

    #[track_caller]
    pub fn expect_succeeded(&self, ordered: &[Ordered]) {
        for one in ordered {
            let state = self.credit(*one).state;
            assert!(matches!(state, CreditState::Succeeded { .. }), "{state:?}");
        }
    }

    pub fn product_id(&self) -> ProductId {
        ProductId::new(self.inhabitants.product_id)
    }

    pub fn product(&self, id: ProductId) -> Product {
        self.office.archive.product_any(id).unwrap().unwrap()
    }

    /// A further product, listed on the platform; its token is deployed by the next rounds.
    pub async fn further_product(&self) -> ProductId {
        let seeded = self.product(self.product_id());
        let mut terms = seeded.terms.clone();
        terms.asset_code = AssetCode::parse(&format!("T{}", SERIAL.fetch_add(1, Ordering::Relaxed))).unwrap();
        let (organisation_id, issuer_id) = (seeded.organisation_id, seeded.issuer_id);
        let created = self.office.desk.run(CreateProduct { organisation_id, issuer_id, terms }, self.now()).await.unwrap();
        let listing = CreateListing { organisation_id, product_id: created.id, platform_id: self.platform_id() };
        self.office.desk.run(listing, self.now()).await.unwrap();
        created.id
    }

    pub async fn campaign(&self, product_id: ProductId) -> CampaignId {
        let units = |units| Units::new(units).unwrap();
        let terms = CampaignTerms {
            platform_id: self.platform_id(),
            name: Name::parse("By hand").unwrap(),
            allocation: units(10_000),
            price_per_token: Price::from_wire("100", 2, Currency::parse("EUR").unwrap()).unwrap(),
            min_number_of_tokens: units(1),
            max_number_of_tokens: units(10_000),
            legal_persons_allowed: true,
            natural_persons_allowed: true,
            country: Country::parse("DEU").unwrap(),
            rule: Rule::PublicOffering,
            agio_percent: Percent::ZERO,
        };
        let organisation_id = self.product(product_id).organisation_id;
        let create = CreateCampaign { organisation_id, product_id, terms, agio_percent: None, is_active: true };
        self.office.desk.run(create, self.now()).await.unwrap().id
    }

    /// Paid investments, each with a credit ordered.
    pub async fn order(&self, campaign_id: CampaignId, count: u64) -> Vec<Ordered> {
        futures_util::future::join_all((0..count).map(|index| self.order_one(campaign_id, 1 + index % 7))).await
    }

    async fn order_one(&self, campaign_id: CampaignId, units: u64) -> Ordered {
        let (investor, wallet) = (self.inhabitants.investor_id, self.inhabitants.wallet_id);
        self.order_for(campaign_id, units, InvestorId::new(investor), WalletId::new(wallet)).await
    }

    /// A paid investment of an investor of the platform, with a credit ordered.
    pub async fn order_for(&self, campaign_id: CampaignId, units: u64, investor_id: InvestorId, wallet_id: WalletId) -> Ordered {
        let investment_id = self.paid_by(campaign_id, units, investor_id, wallet_id).await;
        self.order_again(investment_id).await
    }

    async fn paid_by(&self, campaign_id: CampaignId, units: u64, investor_id: InvestorId, wallet_id: WalletId) -> InvestmentId {
        let facts = StatedFacts {
            disagio: None,
            accepted_at: Some(self.now()),
            paid_at: Some(self.now()),
            wallet_id: Some(wallet_id),
            ..StatedFacts::default()
        };
        let create = CreateInvestment {
            platform_id: self.platform_id(),
            investor_id,
            campaign_id,
            units: Units::new(units).unwrap(),
            signed_at: self.now(),
            signed_documents: self.documents.clone(),
            facts,
        };
        self.office.desk.run(create, self.now()).await.unwrap().id
    }

    /// Orders a credit of an investment.
    pub async fn order_again(&self, investment_id: InvestmentId) -> Ordered {
        let order = OrderCredit { platform_id: self.platform_id(), investment_id };
        Ordered { investment_id, credit_id: self.office.desk.run(order, self.now()).await.unwrap().id }
    }

    async fn document(&self, name: &str) -> DocumentId {
        let store = StoreDocument {
            id: DocumentId::new(Uuid::from_u128(u128::from(SERIAL.fetch_add(1, Ordering::Relaxed)))),
            organisation_id: self.platform_id(),
            file_name: name.to_owned(),
            content_type: "application/pdf".to_owned(),
            size_bytes: 1,
            sha256: [1; 32],
            content_check: ContentCheck::of(b"%PDF-1.4", b"%%EOF"),
        };
        self.office.desk.run(store, self.now()).await.unwrap().id
    }

    /// A metric's value.
    pub fn metric(&self, name: &str) -> String {
        let text = self.office.meters.registry().text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} is not in\n{text}")).to_owned()
    }

    /// A key calls a product's token beside the program.
    pub async fn call_token(&self, key: &LocalSigner, product_id: ProductId, data: Vec<u8>) {
        let Token::Deployed(token) = self.product(product_id).token else { panic!("the token stands") };
        self.call_as(key, Some(Address(token.bytes())), 0, data).await;
    }

    /// A key sends a transaction beside the program. The registrar's own takes a nonce that the database reserves for it.
    pub async fn call_as(&self, key: &LocalSigner, to: Option<Address>, value_wei: u128, data: Vec<u8>) {
        let own = key.address() == self.device.address();
        let nonce = if own {
            let reserve = ReserveDeployment { signer: EvmAddress::new(key.address().0), purpose: Purpose::FillGap };
            self.office.desk.run(reserve, self.now()).await.unwrap().nonce
        } else {
            self.chain.nonce(key.address(), At::Head).await.unwrap()
        };
        let fees = Fees { max_fee_per_gas_wei: u128::from(BASE_FEE_PER_GAS_WEI) * 2, max_priority_fee_per_gas_wei: 0 };
        let chain_id = self.chain.chain_id();
        let unsigned = Unsigned { chain_id, nonce, gas_limit: 1_000_000, fees, to, value_wei, data };
        let signed = unsigned.sign(key).unwrap();
        self.chain.fake.send(&signed.raw).await.unwrap();
        self.mine(1);
        assert!(self.chain.receipt(signed.tx_hash).await.unwrap().unwrap().succeeded);
    }

    pub fn platform_id(&self) -> OrganisationId {
        OrganisationId::new(self.inhabitants.distribution_platform_id)
    }
}

/// Every row of a database, in memory.
#[derive(Default)]
pub struct Backup {
    schema: i64,
    tables: Vec<(String, Vec<u8>)>,
}

impl DumpTarget for Backup {
    fn begin(&mut self, table: &str) -> io::Result<()> {
        self.tables.push((table.to_owned(), Vec::new()));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.tables.last_mut().unwrap().1.extend_from_slice(bytes);
        Ok(())
    }

    fn end(&mut self, _rows: u64) -> io::Result<()> {
        Ok(())
    }
}

impl DumpSource for Backup {
    fn tables(&self) -> Vec<String> {
        self.tables.iter().map(|(name, _)| name.clone()).collect()
    }

    fn open(&mut self, table: &str) -> io::Result<Box<dyn io::Read + '_>> {
        let found = self.tables.iter().find(|(name, _)| name == table).unwrap();
        Ok(Box::new(found.1.as_slice()))
    }
}

fn worker(office: &Office, chain: &Arc<Watched>, device: &Arc<Device>, holder: HolderId, policy: LedgerPolicy) -> LedgerWork {
    worker_with(office, chain.clone(), device.clone(), holder, policy)
}

fn worker_with(
    office: &Office,
    chain: Arc<dyn Chain>,
    signer: Arc<dyn Signer>,
    holder: HolderId,
    policy: LedgerPolicy,
) -> LedgerWork {
    LedgerWork::new(LedgerParts {
        network: NetworkName::embedded(),
        desk: office.desk.clone(),
        archive: office.archive.clone(),
        chain,
        signer,
        clock: office.clock.clone(),
        holder,
        policy,
        meters: office.meters.ledger.clone(),
        sent: Arc::new(Notify::new()),
        block: Arc::new(Notify::new()),
        standing: office.standing.clone(),
    })
}

impl Device {
    /// A device with the registrar's key that stands still at its first signature. Gives who hears of that, and what lets
    /// it go on.
    pub fn that_stands_still(office: &Office) -> (Self, (mpsc::Receiver<()>, mpsc::Sender<()>)) {
        let key = LocalSigner::new(office.keyring.derive(KeyUse::EmbeddedLedger)).unwrap();
        let ((asked, hears), (lets, told)) = (mpsc::channel(), mpsc::channel());
        let pause = Mutex::new(Some((asked, told)));
        (Self { key, away: Mutex::default(), pause }, (hears, lets))
    }

    /// Gives signatures again.
    pub fn come_back(&self) {
        self.away.lock().unwrap().clear();
    }

    /// Gives no signature the next times.
    pub fn leave(&self, times: usize) {
        self.away.lock().unwrap().extend(std::iter::repeat_n((), times));
    }
}

impl Signer for Device {
    fn address(&self) -> Address {
        self.key.address()
    }

    fn sign_digest(&self, digest: [u8; 32]) -> Result<DeviceSignature, SignerError> {
        if let Some((asked, told)) = self.pause.lock().unwrap().take() {
            asked.send(()).unwrap();
            told.recv().unwrap();
        }
        match self.away.lock().unwrap().pop_front() {
            Some(()) => Err(SignerError::Unavailable("away".to_owned())),
            None => self.key.sign_digest(digest),
        }
    }
}

impl Chain for Watched {
    fn chain_id(&self) -> u64 {
        self.fake.chain_id()
    }

    fn send<'a>(&'a self, raw: &'a [u8]) -> Answer<'a, TxHash> {
        let live = self.archive.lock().unwrap().live_ledger_transactions().unwrap();
        if !live.iter().flat_map(|open| &open.attempts).any(|attempt| attempt.raw == raw) {
            self.unstored.fetch_add(1, Ordering::Relaxed);
        }
        self.sent.lock().unwrap().push(raw.to_vec());
        self.fake.send(raw)
    }

    fn receipt(&self, hash: TxHash) -> Answer<'_, Option<Receipt>> {
        self.fake.receipt(hash)
    }

    fn call(&self, request: CallRequest, at: At) -> Answer<'_, CallOutcome> {
        self.fake.call(request, at)
    }

    fn logs(&self, filter: LogFilter) -> Answer<'_, Vec<Log>> {
        self.logs_from.lock().unwrap().push(filter.from_block);
        self.fake.logs(filter)
    }

    fn head(&self) -> Answer<'_, BlockRef> {
        self.fake.head()
    }

    fn finalized(&self) -> Answer<'_, BlockRef> {
        self.fake.finalized()
    }

    fn nonce(&self, address: Address, at: At) -> Answer<'_, u64> {
        self.fake.nonce(address, at)
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        self.fake.code(address, at)
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        self.fake.balance(address, at)
    }

    fn identity(&self) -> Answer<'_, ChainIdentity> {
        self.fake.identity()
    }

    fn block_at(&self, number: u64) -> Answer<'_, Option<BlockRef>> {
        self.fake.block_at(number)
    }

    fn pending_nonce(&self, address: Address) -> Answer<'_, u64> {
        self.fake.pending_nonce(address)
    }

    fn estimate_gas(&self, request: CallRequest) -> Answer<'_, Estimate> {
        self.fake.estimate_gas(request)
    }

    fn fee_market(&self, tip_percentile: u8) -> Answer<'_, FeeMarket> {
        self.fake.fee_market(tip_percentile)
    }
}
