//! Remembered answers. The engine adds the day to the table's name.

use super::{Cells, Decode, Decoder, Encode, Encoder, Sink, table};
use crate::error::StoreError;
use crate::record::{Answer, AnswerKey};

table!(
    (AnswerKey, Answer), "answer",
    fixed: ["organisation_id", "client_id", "key", "fingerprint", "status", "is_problem", "body", "subject"],
    changing: []
);

impl Encode for (AnswerKey, Answer) {
    fn encode<S: Sink>(&self, row: &mut Encoder<'_, S>) {
        let (key, answer) = self;
        row.id(key.organisation_id.uuid())
            .id(key.client_id.uuid())
            .text(&key.key)
            .bytes(&answer.fingerprint)
            .number(u64::from(answer.status))
            .flag(answer.is_problem)
            .bytes(&answer.body)
            .optional_id(answer.subject.map(domain::ids::InvestorId::uuid));
    }
}

impl Decode for (AnswerKey, Answer) {
    fn decode<C: Cells>(row: &mut Decoder<'_, C>) -> Result<Self, StoreError> {
        let key = AnswerKey { organisation_id: row.id()?, client_id: row.id()?, key: row.text()?.to_owned() };
        let answer = Answer {
            fingerprint: row.array()?,
            status: row.number()?,
            is_problem: row.flag()?,
            body: row.bytes()?.to_vec(),
            subject: row.optional_id()?,
        };
        Ok((key, answer))
    }
}
