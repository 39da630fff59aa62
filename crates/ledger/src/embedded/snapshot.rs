//! The state and the index as one file, so that a start need not run every block again.
//!
//! A snapshot is only a cache: where it is missing, damaged or not of this chain, the blocks are run again.

use super::codec::{Reader, Truncated, put_bytes, put_length};
use super::file::{Span, replace_file};
use super::genesis::GenesisConfig;
use super::state::{Account, Changes, State};
use super::world::{Entry, Place, World};
use alloy::primitives::map::HashMap;
use alloy::primitives::{Address, B256, Bytes, U256};
use revm::bytecode::Bytecode;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

const MARK: [u8; 8] = *b"scripsn1";
const CHECKSUM_BYTES: usize = 32;
/// How much is gathered before it is written.
const CHUNK_BYTES: usize = 1 << 20;

/// A copy of what a snapshot holds, taken at once and written without holding anybody up.
pub(super) struct Snapshot {
    genesis_hash: B256,
    state: State,
    entries: Vec<Entry>,
    places: HashMap<B256, Place>,
    undos: VecDeque<Arc<Changes>>,
    log_end: u64,
}

struct Sink<'a> {
    file: &'a mut File,
    hasher: Sha256,
    chunk: Vec<u8>,
}

impl Sink<'_> {
    fn flush_above(&mut self, limit: usize) -> std::io::Result<()> {
        if self.chunk.len() > limit {
            self.hasher.update(&self.chunk);
            self.file.write_all(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(())
    }
}

impl Snapshot {
    pub(super) fn of(world: &World, log_end: u64) -> Self {
        Self {
            genesis_hash: world.genesis_header.hash_slow(),
            state: world.state.clone(),
            entries: world.entries.clone(),
            places: world.places.clone(),
            undos: world.undos.clone(),
            log_end,
        }
    }

    pub(super) fn write(&self, path: &Path) -> std::io::Result<()> {
        replace_file(path, |file| {
            let mut sink = Sink { file, hasher: Sha256::new(), chunk: Vec::new() };
            self.put(&mut sink)?;
            sink.flush_above(0)?;
            let checksum = sink.hasher.finalize();
            sink.file.write_all(&checksum)
        })
    }

    fn put(&self, sink: &mut Sink<'_>) -> std::io::Result<()> {
        sink.chunk.extend_from_slice(&MARK);
        sink.chunk.extend_from_slice(self.genesis_hash.as_slice());
        sink.chunk.extend_from_slice(&self.log_end.to_le_bytes());
        put_length(&mut sink.chunk, self.entries.len());
        for entry in &self.entries {
            put_entry(&mut sink.chunk, entry);
            sink.flush_above(CHUNK_BYTES)?;
        }
        put_length(&mut sink.chunk, self.places.len());
        for (hash, (number, position)) in &self.places {
            sink.chunk.extend_from_slice(hash.as_slice());
            sink.chunk.extend_from_slice(&number.to_le_bytes());
            sink.chunk.extend_from_slice(&position.to_le_bytes());
            sink.flush_above(CHUNK_BYTES)?;
        }
        put_length(&mut sink.chunk, self.state.codes().len());
        for code in self.state.codes().values() {
            put_bytes(&mut sink.chunk, &code.original_bytes());
        }
        put_length(&mut sink.chunk, self.state.accounts().len());
        for (address, account) in self.state.accounts() {
            put_account(&mut sink.chunk, *address, Some(*account));
            sink.flush_above(CHUNK_BYTES)?;
        }
        put_length(&mut sink.chunk, self.state.shards().count());
        for (address, shard) in self.state.shards() {
            sink.chunk.extend_from_slice(address.as_slice());
            put_length(&mut sink.chunk, shard.len());
            for (slot, value) in shard {
                sink.chunk.extend_from_slice(&slot.to_le_bytes::<32>());
                sink.chunk.extend_from_slice(&value.to_le_bytes::<32>());
            }
            sink.flush_above(CHUNK_BYTES)?;
        }
        put_length(&mut sink.chunk, self.undos.len());
        for undo in &self.undos {
            put_undo(&mut sink.chunk, undo);
            sink.flush_above(CHUNK_BYTES)?;
        }
        Ok(())
    }
}

/// Reads a snapshot of this chain; `None` where there is none that can be used. With it comes the offset behind the
/// last block that it holds.
pub(super) fn load(path: &Path, genesis: &GenesisConfig, kept: usize) -> Option<(World, u64)> {
    let bytes = std::fs::read(path).ok()?;
    let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM_BYTES)?)?;
    let intact = Sha256::digest(content).as_slice() == checksum;
    let read = if intact { read_world(content, genesis, kept) } else { Err(Truncated) };
    if read.is_err() {
        tracing::warn!(file = %path.display(), "the snapshot cannot be used: every block is run again");
    }
    read.ok()
}

fn read_world(content: &[u8], genesis: &GenesisConfig, kept: usize) -> Result<(World, u64), Truncated> {
    let mut world = World::begin(genesis, kept, super::BLOCKS_KEPT);
    let mut reader = Reader::new(content);
    let mark: [u8; 8] = reader.array()?;
    let genesis_hash = B256::from(reader.array::<32>()?);
    if mark != MARK || Some(genesis_hash) != world.entry(0).map(|entry| entry.hash) {
        return Err(Truncated);
    }
    let log_end = reader.u64()?;
    let entry_count = reader.length()?;
    world.entries = (0..entry_count).map(|_| read_entry(&mut reader)).collect::<Result<_, _>>()?;
    world.numbers = world.entries.iter().map(|entry| entry.hash).zip(0..).collect();
    let place_count = reader.length()?;
    world.places.reserve(place_count);
    for _ in 0..place_count {
        let hash = B256::from(reader.array::<32>()?);
        world.places.insert(hash, (reader.u64()?, reader.u32()?));
    }
    world.state = read_state(&mut reader)?;
    let undo_count = reader.length()?;
    world.undos = (0..undo_count).map(|_| read_undo(&mut reader).map(Arc::new)).collect::<Result<_, _>>()?;
    Ok((world, log_end))
}

fn read_state(reader: &mut Reader<'_>) -> Result<State, Truncated> {
    let mut state = State::default();
    let mut changes = Changes::default();
    for _ in 0..reader.length()? {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(reader.bytes()?));
        changes.codes.insert(code.hash_slow(), code);
    }
    for _ in 0..reader.length()? {
        let (address, account) = read_account(reader)?;
        changes.accounts.insert(address, account);
    }
    state.apply(&changes);
    for _ in 0..reader.length()? {
        let address = Address::from(reader.array::<20>()?);
        for _ in 0..reader.length()? {
            let slot = U256::from_le_bytes(reader.array::<32>()?);
            state.set_slot(address, slot, U256::from_le_bytes(reader.array::<32>()?));
        }
    }
    Ok(state)
}

fn put_entry(out: &mut Vec<u8>, entry: &Entry) {
    out.extend_from_slice(entry.hash.as_slice());
    out.extend_from_slice(&entry.time_seconds.to_le_bytes());
    out.extend_from_slice(&entry.span.offset.to_le_bytes());
    out.extend_from_slice(&entry.span.length.to_le_bytes());
    out.extend_from_slice(&entry.transaction_count.to_le_bytes());
    out.push(u8::from(entry.has_logs));
}

fn read_entry(reader: &mut Reader<'_>) -> Result<Entry, Truncated> {
    Ok(Entry {
        hash: B256::from(reader.array::<32>()?),
        time_seconds: reader.u64()?,
        span: Span { offset: reader.u64()?, length: reader.u64()? },
        transaction_count: reader.u32()?,
        has_logs: reader.u8()? == 1,
    })
}

fn put_account(out: &mut Vec<u8>, address: Address, account: Option<Account>) {
    out.extend_from_slice(address.as_slice());
    out.push(u8::from(account.is_some()));
    let account = account.unwrap_or_default();
    out.extend_from_slice(&account.nonce.to_le_bytes());
    out.extend_from_slice(&account.balance.to_le_bytes::<32>());
    out.extend_from_slice(account.code_hash.as_slice());
}

fn read_account(reader: &mut Reader<'_>) -> Result<(Address, Option<Account>), Truncated> {
    let address = Address::from(reader.array::<20>()?);
    let exists = reader.u8()? == 1;
    let account = Account {
        nonce: reader.u64()?,
        balance: U256::from_le_bytes(reader.array::<32>()?),
        code_hash: B256::from(reader.array::<32>()?),
    };
    Ok((address, exists.then_some(account)))
}

fn put_undo(out: &mut Vec<u8>, undo: &Changes) {
    put_length(out, undo.accounts.len());
    for (address, account) in &undo.accounts {
        put_account(out, *address, *account);
    }
    put_length(out, undo.slots.len());
    for ((address, slot), value) in &undo.slots {
        out.extend_from_slice(address.as_slice());
        out.extend_from_slice(&slot.to_le_bytes::<32>());
        out.extend_from_slice(&value.to_le_bytes::<32>());
    }
}

fn read_undo(reader: &mut Reader<'_>) -> Result<Changes, Truncated> {
    let mut undo = Changes::default();
    for _ in 0..reader.length()? {
        let (address, account) = read_account(reader)?;
        undo.accounts.insert(address, account);
    }
    for _ in 0..reader.length()? {
        let address = Address::from(reader.array::<20>()?);
        let slot = U256::from_le_bytes(reader.array::<32>()?);
        undo.slots.insert((address, slot), U256::from_le_bytes(reader.array::<32>()?));
    }
    Ok(undo)
}
