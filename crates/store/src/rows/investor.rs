//! Investors and wallets.

use domain::investor::{Investor, Kyc, PersonKind};
use domain::wallet::Wallet;

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;

const KYC_PENDING: &str = "PENDING";
const KYC_PASSED: &str = "SUCCESS";
const KYC_FAILED: &str = "REJECTED";

table!(
    Investor, "investor",
    fixed: ["id", "platform_id", "person", "created_at"],
    changing: ["kyc", "kyc_at", "kyc_valid_until", "benefiting_persons", "version"]
);

impl Encode for Investor {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let (at, valid_until) = match self.kyc {
            Kyc::Pending => (None, None),
            Kyc::Passed { at, valid_until } => (Some(at), valid_until),
            Kyc::Failed { at } => (Some(at), None),
        };
        row.id(self.id.uuid())
            .id(self.platform_id.uuid())
            .text(self.person.code())
            .instant(self.created_at)
            .text(self.kyc.code())
            .optional_instant(at)
            .optional_instant(valid_until)
            .number(u64::from(self.benefiting_persons))
            .next_version(self.version);
    }
}

impl Decode for Investor {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            platform_id: row.id()?,
            person: row.code(|code| [PersonKind::Natural, PersonKind::Legal].into_iter().find(|kind| kind.code() == code))?,
            created_at: row.instant()?,
            kyc: kyc(row)?,
            benefiting_persons: row.number()?,
            version: row.number()?,
        })
    }
}

fn kyc<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Kyc, StoreError> {
    let code = row.text()?;
    match (code, row.optional_instant()?, row.optional_instant()?) {
        (KYC_PENDING, None, None) => Ok(Kyc::Pending),
        (KYC_PASSED, Some(at), valid_until) => Ok(Kyc::Passed { at, valid_until }),
        (KYC_FAILED, Some(at), None) => Ok(Kyc::Failed { at }),
        _ => Err(row.fault_at("kyc")),
    }
}

table!(
    Wallet, "wallet",
    fixed: ["id", "investor_id", "platform_id", "address", "receiving_enabled", "created_at"],
    changing: []
);

impl Encode for Wallet {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        row.id(self.id.uuid())
            .id(self.investor_id.uuid())
            .id(self.platform_id.uuid())
            .bytes(&self.address.bytes())
            .flag(self.receiving_enabled)
            .instant(self.created_at);
    }
}

impl Decode for Wallet {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id()?,
            investor_id: row.id()?,
            platform_id: row.id()?,
            address: row.address()?,
            receiving_enabled: row.flag()?,
            created_at: row.instant()?,
        })
    }
}
