//! The embedded chain's files: restart, torn and damaged files, snapshots.

use crate::world::*;
use ledger::contract::{self, Checkpoint};
use ledger::embedded::{EmbeddedChain, GenesisConfig, copy_blocks};
use ledger::transaction::Signer as _;
use ledger::{Address, At, B256, BlockRef, Chain, ChainError, TxHash};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::path::Path;

const UNTIL: u64 = START.unsigned_abs() + 6_000_000;

fn open(folder: &Path) -> Result<EmbeddedChain, ChainError> {
    EmbeddedChain::open(folder, &genesis(), 2, Time::new().clock())
}

fn refused(folder: &Path) -> String {
    match open(folder) {
        Err(ChainError::Storage(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it opened"),
    }
}

/// A chain of eight blocks with a token and three issues.
fn grown(folder: &Path) -> (Address, Vec<TxHash>) {
    let chain = open(folder).unwrap();
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let mut hashes = Vec::new();
    for number in 0..3 {
        hashes.push(send(&chain, &batch(2 + number, token, UNTIL, &[issue(number, 10)])));
        chain.produce().unwrap();
        chain.produce().unwrap();
    }
    (token, hashes)
}

fn head(chain: &EmbeddedChain) -> BlockRef {
    now(chain.head()).unwrap()
}

#[test]
fn a_restart_keeps_state_receipts_logs_and_finality() {
    let folder = tempfile::tempdir().unwrap();
    let (token, hashes) = grown(folder.path());
    let chain = open(folder.path()).unwrap();
    assert_eq!(head(&chain).number, 8);
    assert_eq!(finalized(&chain).number, 6);
    for (hash, number) in hashes.iter().zip(0..) {
        let receipt = receipt(&chain, *hash);
        assert!(receipt.succeeded);
        assert_eq!(receipt.block.number, 3 + 2 * number);
        assert_eq!(now(contract::balance_of(&chain, token, account(number), At::Head)), Ok(10));
    }
    assert_eq!(now(contract::total_supply(&chain, token, At::Finalized)), Ok(20));
    let since = Checkpoint { next_block: 0, running_hash: B256::ZERO };
    let trusted = now(contract::trusted_records(&chain, token, since, finalized(&chain))).unwrap();
    assert_eq!(trusted.records.len(), 2);
    send(&chain, &batch(5, token, UNTIL, &[issue(3, 10)]));
    let made = chain.produce().unwrap();
    assert_eq!(made.number, 9);
    let rest = now(contract::trusted_records(&chain, token, trusted.checkpoint, finalized(&chain))).unwrap();
    assert_eq!(rest.records.len(), 1);
}

/// Blocks 1 and 2 hold the nonces 0 and 1, blocks 3, 5 and 7 the nonces 2, 3 and 4.
#[test]
fn b18_a_copy_beside_a_running_chain_ends_before_the_first_nonce_that_is_not_known() {
    let (folder, copies) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (token, _) = grown(folder.path());
    let _running = open(folder.path()).unwrap();
    for (nonce_end, blocks, units) in
        [(0, 0, None), (1, 1, None), (2, 2, Some(0)), (3, 4, Some(10)), (4, 6, Some(20)), (9, 8, Some(30))]
    {
        let copy = copies.path().join(nonce_end.to_string());
        std::fs::create_dir(&copy).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(copy_blocks(folder.path(), signer().address(), nonce_end, &mut bytes), Ok(blocks));
        std::fs::write(copy.join("blocks.log"), bytes).unwrap();
        let chain = open(&copy).unwrap();
        assert_eq!(head(&chain).number, blocks);
        assert_eq!(now(chain.nonce(signer().address(), At::Head)), Ok(nonce_end.min(5)));
        assert_eq!(now(contract::total_supply(&chain, token, At::Head)).ok(), units);
    }
    let mut whole = Vec::new();
    assert_eq!(copy_blocks(folder.path(), account(1), 0, &mut whole), Ok(8), "others' nonces are of no interest");
    let file = folder.path().join("blocks.log");
    assert_eq!(whole, std::fs::read(&file).unwrap());
    // An append that is under way is left out; damage is not.
    let mut bytes = whole.clone();
    bytes.truncate(whole.len() - 3);
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(copy_blocks(folder.path(), account(1), 0, &mut Vec::new()), Ok(7));
    bytes[whole.len() / 2] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let damaged = copy_blocks(folder.path(), account(1), 0, &mut Vec::new()).unwrap_err();
    assert!(damaged.to_string().contains("is damaged at byte"), "{damaged}");
}

#[test]
fn the_folder_is_locked_while_the_chain_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let chain = open(folder.path()).unwrap();
    assert!(refused(folder.path()).contains("another process uses"));
    drop(chain);
    open(folder.path()).unwrap();
}

#[test]
fn another_genesis_is_refused_but_its_time_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let first = head(&open(folder.path()).unwrap());
    let later = GenesisConfig { genesis_time_seconds: 5, ..genesis() };
    let clock = Time::new().clock();
    let chain = EmbeddedChain::open(folder.path(), &later, 2, clock.clone()).unwrap();
    assert_eq!(head(&chain), first);
    drop(chain);
    for other in [GenesisConfig { chain_id: 1, ..genesis() }, GenesisConfig { prefunded: Vec::new(), ..genesis() }] {
        let error = EmbeddedChain::open(folder.path(), &other, 2, clock.clone()).err();
        assert!(matches!(&error, Some(ChainError::Storage(text)) if text.contains("another chain")), "{error:?}");
    }
}

#[test]
fn every_torn_tail_is_dropped_and_the_chain_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (token, _) = grown(folder.path());
    let log = folder.path().join("blocks.log");
    let whole = std::fs::read(&log).unwrap();
    let chain = open(folder.path()).unwrap();
    let made = {
        send(&chain, &batch(5, token, UNTIL, &[issue(3, 10)]));
        chain.produce().unwrap()
    };
    drop(chain);
    let longer = std::fs::read(&log).unwrap();
    let seed = getrandom::u64().unwrap();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let record_bytes = longer.len() - whole.len();
    let random_cuts = (0..20).map(|_| 1 + usize::try_from(random.next_u64()).unwrap() % (record_bytes - 1)).collect::<Vec<_>>();
    for cut in [1, 3, 23, 24, 25, record_bytes - 1].into_iter().chain(random_cuts) {
        std::fs::write(&log, &longer[..whole.len() + cut]).unwrap();
        let chain = open(folder.path()).unwrap();
        assert_eq!(head(&chain).number, 8, "cut at {cut}");
        assert_eq!(std::fs::read(&log).unwrap(), whole, "cut at {cut}");
        send(&chain, &batch(5, token, UNTIL, &[issue(3, 10)]));
        assert_eq!(chain.produce().unwrap().hash, made.hash, "cut at {cut}");
        drop(chain);
        assert_eq!(std::fs::read(&log).unwrap(), longer, "cut at {cut}");
    }
    // Pages that were never written read as zeros.
    let mut zeros = whole.clone();
    zeros.extend(vec![0; 5_000]);
    std::fs::write(&log, &zeros).unwrap();
    assert_eq!(head(&open(folder.path()).unwrap()).number, 8);
}

#[test]
fn damage_in_the_middle_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    grown(folder.path());
    let log = folder.path().join("blocks.log");
    let whole = std::fs::read(&log).unwrap();
    let last = whole.windows(4).rposition(|window| window == b"BLK1").unwrap();
    let first = whole.windows(4).position(|window| window == b"BLK1").unwrap();
    let seed = getrandom::u64().unwrap();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let spread = (0..40).map(|_| first + usize::try_from(random.next_u64()).unwrap() % (last - first)).collect::<Vec<_>>();
    // Mark, length, number and checksum of the first record; then anywhere before the last.
    for at in [first, first + 4, first + 7, first + 8, first + 16].into_iter().chain(spread) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(&log, &damaged).unwrap();
        let text = refused(folder.path());
        assert!(text.contains("is damaged at byte"), "byte {at}: {text}");
        assert_eq!(std::fs::read(&log).unwrap(), damaged, "byte {at}");
    }
    let mut other = whole.clone();
    other[0] ^= 1;
    std::fs::write(&log, &other).unwrap();
    assert!(refused(folder.path()).contains("is not a file of blocks"));
    std::fs::write(&log, &whole).unwrap();
    assert_eq!(head(&open(folder.path()).unwrap()).number, 8);
}

#[test]
fn a_removed_block_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    grown(folder.path());
    let log = folder.path().join("blocks.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let starts: Vec<_> = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"BLK1").map(|(start, _)| start).collect();
    bytes.drain(starts[3]..starts[4]);
    std::fs::write(&log, &bytes).unwrap();
    assert!(refused(folder.path()).contains("does not follow the block before it"));
}

#[test]
fn a_verified_file_ends_at_the_head() {
    let folder = tempfile::tempdir().unwrap();
    grown(folder.path());
    let end = EmbeddedChain::verify_file(folder.path(), &genesis()).unwrap();
    assert_eq!(end, head(&open(folder.path()).unwrap()));
}

/// Grows a chain until it writes a snapshot, then compares a start from it with a start without it.
#[test]
fn a_start_from_a_snapshot_equals_running_every_block_again() {
    let seed = getrandom::u64().unwrap();
    println!("seed {seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let chain = open(folder.path()).unwrap();
    let (_, token) = deploy(&chain, || chain.produce().map(drop).unwrap());
    let (mut nonce, mut number) = (2, 0_u64);
    let snapshot = folder.path().join("state.snapshot");
    // Empty blocks alone bring the snapshot about; a few issues fall before and after it.
    while head(&chain).number < 4_200 {
        if random.next_u64().is_multiple_of(64) {
            let count = 1 + random.next_u64() % 5;
            let items: Vec<_> = (number..number + count).map(|each| issue(each, 1)).collect();
            send(&chain, &batch(nonce, token, UNTIL, &items));
            (nonce, number) = (nonce + 1, number + count);
        }
        chain.produce().unwrap();
    }
    drop(chain);
    assert!(snapshot.exists());
    let facts = |chain: &EmbeddedChain| {
        let since = Checkpoint { next_block: 0, running_hash: B256::ZERO };
        let records = now(contract::trusted_records(chain, token, since, finalized(chain))).unwrap();
        let balances: Vec<_> =
            (0..=number).map(|each| now(contract::balance_of(chain, token, account(each), At::Head)).unwrap()).collect();
        let supply = [At::Head, At::Finalized].map(|at| now(contract::total_supply(chain, token, at)).unwrap());
        let nonce = now(chain.nonce(signer_address(), At::Head)).unwrap();
        (head(chain), finalized(chain), records, balances, supply, nonce)
    };
    let fast = facts(&open(folder.path()).unwrap());
    let intact = std::fs::read(&snapshot).unwrap();
    std::fs::remove_file(&snapshot).unwrap();
    let slow = facts(&open(folder.path()).unwrap());
    assert_eq!(fast, slow);
    assert_eq!(fast.5, nonce);

    // A damaged snapshot, one of another file and a cut one are as good as none.
    let mut damaged = intact.clone();
    damaged[intact.len() / 2] ^= 1;
    for bytes in [&damaged[..], &intact[..intact.len() - 1], &[], b"scripsn1"] {
        std::fs::write(&snapshot, bytes).unwrap();
        assert_eq!(facts(&open(folder.path()).unwrap()), slow);
    }
    // A file of blocks that ends before its snapshot has lost synced blocks.
    std::fs::write(&snapshot, &intact).unwrap();
    let log = folder.path().join("blocks.log");
    let bytes = std::fs::read(&log).unwrap();
    std::fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    assert!(refused(folder.path()).contains("ends before block"));
    std::fs::remove_file(&snapshot).unwrap();
    assert!(head(&open(folder.path()).unwrap()).number < 4_096);
}

fn signer_address() -> Address {
    ledger::transaction::Signer::address(&signer())
}
