//! How fast the embedded chain is. Run with `--release -- --ignored --nocapture`.

use crate::world::*;
use ledger::embedded::EmbeddedChain;
use ledger::{At, Chain, contract};
use std::time::Instant;

const UNTIL: u64 = START.unsigned_abs() + 600;
const BATCHES: u64 = 500;

#[test]
#[ignore = "a measurement"]
fn mints_per_second_and_time_to_open() {
    let folder = tempfile::tempdir().unwrap();
    let time = Time::new();
    let chain = EmbeddedChain::open(folder.path(), &genesis(), 1, time.clock()).unwrap();
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let signed: Vec<_> = (0..BATCHES)
        .map(|index| {
            let items: Vec<_> = (index * 200..index * 200 + 200).map(|n| issue(n, 1)).collect();
            sign(&batch(2 + index, token, UNTIL, &items)).raw
        })
        .collect();
    let started = Instant::now();
    let mut blocks = 0;
    let mut slowest_ms = 0;
    for group in signed.chunks(8) {
        for raw in group {
            now(chain.send(raw)).unwrap();
        }
        let block_started = Instant::now();
        chain.produce().unwrap();
        slowest_ms = slowest_ms.max(block_started.elapsed().as_millis());
        blocks += 1;
    }
    while !chain.is_settled().unwrap() {
        chain.produce().unwrap();
        blocks += 1;
    }
    let mints = u128::from(BATCHES * 200);
    let elapsed_ms = started.elapsed().as_millis().max(1);
    assert_eq!(now(contract::total_supply(&chain, token, At::Finalized)), Ok(mints));
    println!("{} mints/s, {blocks} blocks, slowest block {slowest_ms} ms", mints * 1_000 / elapsed_ms);
    drop(chain);
    let log_bytes = std::fs::metadata(folder.path().join("blocks.log")).unwrap().len();
    let snapshot = std::fs::metadata(folder.path().join("state.snapshot"));
    println!("blocks.log {log_bytes} bytes, snapshot {:?} bytes", snapshot.map(|file| file.len()).ok());
    let started = Instant::now();
    let chain = EmbeddedChain::open(folder.path(), &genesis(), 1, time.clock()).unwrap();
    println!("open after {mints} mints: {} ms", started.elapsed().as_millis());
    let started = Instant::now();
    for _ in 0..100_000 {
        chain.produce().unwrap();
    }
    println!("100,000 empty blocks: {} ms", started.elapsed().as_millis());
    drop(chain);
    let started = Instant::now();
    EmbeddedChain::open(folder.path(), &genesis(), 1, time.clock()).unwrap();
    println!("open with 100,000 more blocks: {} ms", started.elapsed().as_millis());
}
