//! The status × act matrix and the state diagram, written out for `docs/states.md`.

use std::fmt::Write;

use super::status::{Act, Party, Status, may};

/// The first line of the generated document.
pub const STATES_DOCUMENT_TITLE: &str = "# The states of an investment";

/// Where an act can lead from a status, as the diagram shows it.
const STEPS: [(Status, Act, Status); 17] = [
    (Status::KycPending, Act::PassKyc, Status::ReviewPending),
    (Status::KycPending, Act::PassKyc, Status::WaitingForAcceptance),
    (Status::KycPending, Act::PassKyc, Status::Accepted),
    (Status::KycPending, Act::PassKyc, Status::Paid),
    (Status::KycPending, Act::Abort, Status::Aborted),
    (Status::KycPending, Act::FailKyc, Status::KycInsufficient),
    (Status::ReviewPending, Act::PassReview, Status::WaitingForAcceptance),
    (Status::ReviewPending, Act::FailReview, Status::KycInsufficient),
    (Status::WaitingForAcceptance, Act::Accept, Status::Accepted),
    (Status::WaitingForAcceptance, Act::Abort, Status::Aborted),
    (Status::WaitingForAcceptance, Act::Reject, Status::Rejection),
    (Status::Accepted, Act::MarkPaid, Status::Paid),
    (Status::Accepted, Act::EndUnpaid, Status::PaymentMissing),
    (Status::Accepted, Act::Withdraw, Status::Cancellation),
    (Status::Paid, Act::Credit, Status::Delivered),
    (Status::Paid, Act::Withdraw, Status::Cancellation),
    (Status::Delivered, Act::Withdraw, Status::Cancellation),
];

/// `docs/states.md`, generated from the code. A test compares the committed file with it.
#[must_use]
pub fn states_document() -> String {
    let mut text = format!("{STATES_DOCUMENT_TITLE}\n\n");
    text.push_str(
        "Generated from `crates/domain/src/investment`; `SCRIP_WRITE_DOCS=1 cargo test -p domain states` writes it anew.\n\n",
    );
    text.push_str("```mermaid\nstateDiagram-v2\n    [*] --> KYC_PENDING\n    [*] --> WAITING_FOR_ACCEPTANCE\n");
    for (from, act, to) in STEPS {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {} --> {}: {}", from.code(), to.code(), act.code());
    }
    text.push_str("```\n\n");
    text.push_str("An act that leaves the status as it is (a fact that comes early, a document, a wallet) has no arrow.\n");
    text.push_str("Crediting leads to `DELIVERED` when the judge has found the units on the ledger, not before.\n\n");
    text.push_str("## Which act is open when\n\n| act | who |");
    for status in Status::ALL {
        let _ = write!(text, " {} |", status.code());
    }
    text.push_str("\n|---|---|");
    text.push_str(&"---|".repeat(Status::ALL.len()));
    text.push('\n');
    for act in Act::ALL {
        let who: Vec<&str> = act.parties().iter().map(|party| party_name(*party)).collect();
        let _ = write!(text, "| {} | {} |", act.code(), who.join(", "));
        for status in Status::ALL {
            text.push_str(if may(status, act) { " open |" } else { " |" });
        }
        text.push('\n');
    }
    text
}

const fn party_name(party: Party) -> &'static str {
    match party {
        Party::Distributor => "distributor",
        Party::Issuer => "issuer",
        Party::Registrar => "registrar",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_document_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/states.md");
        if std::env::var_os("SCRIP_WRITE_DOCS").is_some() {
            std::fs::write(path, states_document()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), states_document(), "docs/states.md is not what the code says");
    }

    #[test]
    fn every_arrow_of_the_diagram_is_an_open_act() {
        for (from, act, to) in STEPS {
            assert!(may(from, act), "{} {}", from.code(), act.code());
            assert_ne!(from, to);
        }
    }
}
