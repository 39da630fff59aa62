//! The section on credits through a real node.

use crate::findings::{Findings, Outcome};
use crate::page::{Page, shown_ratio, thousands};

/// Describes what was measured through a real node, which may be a run of its own.
pub fn describe(page: &mut Page, (findings, source): (&Findings, &str)) {
    page.heading("Credits through a real node");
    let part = match &findings.anvil {
        Outcome::Measured(part) => part,
        Outcome::Skipped(why) => {
            page.paragraph(&format!("Not measured: {why}."));
            return;
        }
    };
    page.paragraph(&format!(
        "From [`{source}`](../{source}), commit `{}` of {}. anvil makes a block for every transaction at once and ten each second \
         besides; Scrip looks at it every 50 ms. The bare loop sends batches of a hundred issues to new holders, signed before, to a \
         token of the same contract, 16 at most in flight, until the last is in a block. Each has a fresh node, because what a node \
         holds slows it. Scrip's credits count from the first POST to the last DELIVERED: authentication, rules, journal, pre-flight, \
         signature, stored bytes, finality and verdict included; it puts up to two hundred into a batch. Both share two cores with \
         the node.",
        findings.commit.id, findings.commit.date
    ));
    let bare = part.bare_per_second.iter().zip(["before", "after"]).map(|(per_second, when)| {
        let cpu = thousands(part.node_cpu_us_per_bare_issue);
        vec![format!("bare loop, {when}"), thousands(part.bare_issues), thousands(*per_second), cpu]
    });
    let credits = [part.credits, part.credits_per_second, part.node_cpu_us_per_credit].map(thousands);
    let credits = [vec!["credits".to_owned()], credits.to_vec()].concat();
    page.table(&["", "issues", "per second", "node CPU µs"], bare.chain([credits]).collect());
    let targets = findings.targets.iter().filter(|target| target.what.contains("anvil"));
    page.table(&["target", "bound", "found", "verdict"], targets.map(|target| target.cells().to_vec()).collect());
    let ratio = findings.ratios.anvil_to_bare.map_or("–".to_owned(), shown_ratio);
    page.paragraph(&format!("Credits to the faster bare loop: {ratio} ×."));
    let checks = part.checks.iter().map(|check| vec![check.what.clone(), check.found.clone()]);
    page.table(&["checked afterwards", "found"], checks.collect());
}
