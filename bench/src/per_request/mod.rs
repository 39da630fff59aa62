//! The baseline that group commit is compared with: each create is one database transaction that locks the campaign's row,
//! checks, inserts a row with the idempotency key, and commits. No journal, no outbox, no remembered answer.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use clap::Args;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::Failure;
use crate::echo::{CreatedInvestment, NewInvestment, created, serve_on_free_port};

/// Database connections of the baseline.
pub const POOL_CONNECTIONS: usize = 16;
/// The campaign of the baseline.
pub const CAMPAIGN_ID: Uuid = Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0001);

const SCHEMA: &str = include_str!("schema.sql");
const CAMPAIGN: &str = include_str!("campaign.sql");
const LOCK: &str = include_str!("lock.sql");
const INVESTMENT: &str = include_str!("investment.sql");
const USE: &str = include_str!("use.sql");
const COUNT: &str = include_str!("count.sql");

/// Where the baseline works.
#[derive(Debug, Args)]
pub struct PerRequestArgs {
    /// An empty `PostgreSQL` database.
    #[arg(long)]
    database: String,
    /// Units that may be sold.
    #[arg(long, default_value_t = 1_000_000)]
    allocation: i64,
}

/// What is in the baseline's database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sold {
    /// Rows.
    pub investments: u64,
    /// Units of all rows.
    pub units: u64,
    /// Units that the campaign counts as sold.
    pub used: u64,
}

impl Sold {
    /// Counts.
    pub async fn read(database: &str) -> Result<Self, Failure> {
        let (client, connection) = tokio_postgres::connect(database, NoTls).await?;
        let driver = tokio::spawn(connection);
        let row = client.query_one(COUNT, &[&CAMPAIGN_ID]).await?;
        drop(client);
        driver.await??;
        let column = |index: usize| -> Result<u64, Failure> { Ok(u64::try_from(row.try_get::<_, i64>(index)?)?) };
        Ok(Self { investments: column(0)?, units: column(1)?, used: column(2)? })
    }
}

/// Makes the tables and serves until it is told to stop. The first line on standard output is the address.
pub async fn serve(args: PerRequestArgs) -> Result<(), Failure> {
    let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    let manager = Manager::from_config(args.database.parse()?, NoTls, manager);
    let pool = Pool::builder(manager).max_size(POOL_CONNECTIONS).build()?;
    let client = pool.get().await?;
    client.batch_execute(SCHEMA).await?;
    client.execute(CAMPAIGN, &[&CAMPAIGN_ID, &args.allocation]).await?;
    drop(client);
    serve_on_free_port(Router::new().route("/", post(create)).with_state(Arc::new(pool))).await
}

async fn create(
    State(pool): State<Arc<Pool>>,
    headers: HeaderMap,
    Json(body): Json<NewInvestment>,
) -> Result<(StatusCode, Json<CreatedInvestment>), StatusCode> {
    let key = headers.get("x-idempotency-key").and_then(|key| key.to_str().ok()).ok_or(StatusCode::BAD_REQUEST)?;
    let id = |text: &str| text.parse::<Uuid>().map_err(|_| StatusCode::BAD_REQUEST);
    let (campaign_id, investor_id) = (id(&body.campaign_id)?, id(&body.investor_id)?);
    let units = i64::try_from(body.units).map_err(|_| StatusCode::BAD_REQUEST)?;
    let mut client = pool.get().await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let wanted = Wanted { key, campaign_id, investor_id, units, signed_at: &body.signed_at };
    match wanted.sell(&mut client).await {
        Ok(true) => Ok((StatusCode::CREATED, Json(created(body)))),
        Ok(false) => Err(StatusCode::CONFLICT),
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Err(StatusCode::CONFLICT),
        Err(error) => {
            eprintln!("{error}");
            Err(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

struct Wanted<'a> {
    key: &'a str,
    campaign_id: Uuid,
    investor_id: Uuid,
    units: i64,
    signed_at: &'a str,
}

impl Wanted<'_> {
    /// One transaction; whether there were units left.
    async fn sell(&self, client: &mut deadpool_postgres::Client) -> Result<bool, tokio_postgres::Error> {
        let transaction = client.transaction().await?;
        let lock = transaction.prepare_cached(LOCK).await?;
        let Some(campaign) = transaction.query_opt(&lock, &[&self.campaign_id]).await? else { return Ok(false) };
        let (allocation, used): (i64, i64) = (campaign.try_get(0)?, campaign.try_get(1)?);
        if used.saturating_add(self.units) > allocation {
            return Ok(false);
        }
        let insert = transaction.prepare_cached(INVESTMENT).await?;
        let row: [&(dyn tokio_postgres::types::ToSql + Sync); 5] =
            [&self.campaign_id, &self.investor_id, &self.units, &self.signed_at, &self.key];
        transaction.execute(&insert, &row).await?;
        let update = transaction.prepare_cached(USE).await?;
        transaction.execute(&update, &[&self.campaign_id, &self.units]).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
