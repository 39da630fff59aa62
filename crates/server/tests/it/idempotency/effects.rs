//! What a request has brought about: what the journal says of its client, and what its lists and objects show.

use std::time::Duration;

use domain::ids::ClientId;

use crate::access::call::Call;
use crate::access::catalogue::Operation;
use crate::access::side::Side;
use crate::world::{Reply, Session, World};

/// Entries of the journal that are read at once; no test makes as many between two looks.
const ENTRIES_MAX: u32 = 10_000;

/// How often something is looked for that a program brings about; together a minute.
const POLLS_MAX: u32 = 6_000;

/// What there was before a request.
pub struct Before {
    sequence: u64,
    shown: Shown,
}

/// What shows the effect of an operation.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Shown {
    /// It makes an object: how many there are.
    Count(u64),
    /// It changes an object: the object.
    Object(String),
}

/// How many entries one execution of the operation writes into the journal.
pub const fn entries_of(operation: &Operation) -> usize {
    match operation.id.as_bytes() {
        // The campaign and its product, or the investment and its credit.
        b"create_campaign" | b"change_campaign" | b"order_credit" => 2,
        _one_object => 1,
    }
}

impl Before {
    /// Looks at everything that the request may change.
    pub async fn of(world: &World, side: &Side, operation: &Operation, call: &Call) -> Self {
        Self {
            sequence: world.running.office.archive.journal_head().unwrap().sequence,
            shown: look(world, side, operation, call).await,
        }
    }

    /// Asserts that the operation was executed exactly so often since.
    pub async fn assert_executed(&self, times: usize, world: &World, side: &Side, operation: &Operation, call: &Call) {
        let client_id = side.caller(operation).credentials.client_id;
        let entries = world.running.office.archive.journal_after(self.sequence, ENTRIES_MAX).unwrap();
        let own = entries.iter().filter(|stored| stored.entry.actor == Some(ClientId::new(client_id).uuid())).count();
        assert_eq!(own, times * entries_of(operation), "{}: journal entries of {times} executions", operation.id);
        if let (Shown::Count(before), true) = (&self.shown, operation.id.ends_with("_upload_document")) {
            // A request whose client has hung up takes its bytes away when it has seen that they are not needed.
            return until(|| (stored_documents(world) == before + times as u64).then_some(())).await;
        }
        match (&self.shown, look(world, side, operation, call).await) {
            (Shown::Count(before), Shown::Count(after)) => {
                assert_eq!(after, before + times as u64, "{}: {times} executions", operation.id);
            }
            (Shown::Object(before), Shown::Object(after)) => {
                assert_eq!(*before != after, times > 0, "{}: {before} has become {after}", operation.id);
            }
            (Shown::Count(_), Shown::Object(_)) | (Shown::Object(_), Shown::Count(_)) => panic!("{}", operation.id),
        }
    }
}

async fn look(world: &World, side: &Side, operation: &Operation, call: &Call) -> Shown {
    let path = call.path();
    let path = path.split('?').next().unwrap();
    match operation.id {
        "distributor_upload_document" | "issuer_upload_document" => Shown::Count(stored_documents(world)),
        "create_investment" | "order_credit" | "attach_signed_document" | "create_campaign" => {
            let list = side.caller(operation).get(path).await.expect(200);
            Shown::Count(list.body["count"].as_u64().unwrap())
        }
        "change_investment" | "change_campaign" | "change_product" => {
            Shown::Object(side.caller(operation).get(path).await.expect(200).text)
        }
        "cancel_investment" => {
            Shown::Object(side.caller(operation).get(path.strip_suffix("cancellation/").unwrap()).await.expect(200).text)
        }
        unknown => panic!("{unknown} changes something, and what shows it is not known here: add it"),
    }
}

/// Files of documents, left-overs of uploads among them.
pub fn stored_documents(world: &World) -> u64 {
    fn files(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
    }
    files(&world.folder.path().join("data").join("documents"))
}

/// Waits until something is there.
pub async fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _poll in 0..POLLS_MAX {
        if let Some(found) = look() {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it has not come about");
}

/// Whether an answer is the remembered one, to the byte.
#[track_caller]
pub fn assert_replayed(first: &Reply, again: &Reply, at: &str) {
    assert_eq!((again.status, &again.text), (first.status, &first.text), "{at}");
    assert!(again.is_replay(), "{at}: not said to be a replay");
    assert_eq!(again.headers.get("content-type"), first.headers.get("content-type"), "{at}");
}

/// Whether an answer tells of an execution.
#[track_caller]
pub fn assert_executed(reply: &Reply, at: &str) {
    assert!(matches!(reply.status, 200 | 201), "{at}: {}", reply.text);
    assert!(!reply.headers.contains_key("idempotency-replayed"), "{at}: said to be a replay");
}

/// Waits until no background work is left that the request has brought about.
pub async fn settle(session: &Session, operation: &Operation, reply: &Reply) {
    if operation.id == "order_credit" {
        let credit = session.ended_credit(reply.body["investment_id"].as_str().unwrap(), &reply.id()).await;
        assert_eq!(credit["status"], "succeeded");
    }
}
