//! The append-only file of blocks.
//!
//! The file begins with the genesis it belongs to. Each record is a header (mark, length, block number, and a checksum
//! of these three), the block, and a checksum of the block. A block counts as made once its record is synced.
//! An append that a crash cut short is dropped when the file is opened; damage that has an intact record behind it is
//! not a torn append, and the file is refused.

use super::block::Block;
use super::codec::{Reader, put_bytes};
use super::genesis::GenesisConfig;
use crate::chain::ChainError;
use sha2::{Digest, Sha256};
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const FILE_MARK: [u8; 8] = *b"scripbl1";
const RECORD_MARK: [u8; 4] = *b"BLK1";
const RECORD_HEADER_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 8;

/// Far more than the few accounts of a genesis take.
const GENESIS_BYTES_MAX: u64 = 1 << 20;

/// Where a record lies in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// Keeps the records of blocks: in a file, or in memory for tests.
pub(super) enum BlockLog {
    File(FileLog),
    Memory(Mutex<Vec<Vec<u8>>>),
}

/// Block records in a file.
pub(super) struct FileLog {
    path: PathBuf,
    handle: Mutex<Handle>,
}

struct Handle {
    file: File,
    end: u64,
    /// After a failed sync nobody knows what the file holds, so nothing more is appended until it is opened again.
    broken: bool,
}

/// A record found when the file is read from front to back.
enum Found {
    Record {
        number: u64,
        payload: Vec<u8>,
        span: Span,
    },
    End,
    /// Bytes that are no whole record, from this offset on.
    Damaged(u64),
}

impl BlockLog {
    pub(super) fn append(&self, block: &Block) -> Result<Span, ChainError> {
        let record = record(block.header.number, &block.to_bytes());
        match self {
            Self::File(log) => log.append(&record),
            Self::Memory(records) => {
                let mut records = records.lock().unwrap_or_else(PoisonError::into_inner);
                records.push(record);
                let offset = u64::try_from(records.len() - 1).map_err(storage)?;
                Ok(Span { offset, length: 0 })
            }
        }
    }

    pub(super) fn read(&self, span: Span) -> Result<Block, ChainError> {
        match self {
            Self::File(log) => log.read_block(span),
            Self::Memory(records) => {
                let records = records.lock().unwrap_or_else(PoisonError::into_inner);
                let record = usize::try_from(span.offset)
                    .ok()
                    .and_then(|index| records.get(index))
                    .ok_or_else(|| storage("no such record"))?;
                block_of(record, span)
            }
        }
    }

    /// The last byte that is in use, for a snapshot to begin behind.
    pub(super) fn end(&self) -> u64 {
        match self {
            Self::File(log) => log.end(),
            Self::Memory(_) => 0,
        }
    }
}

impl FileLog {
    /// Opens or makes the file; returns the genesis it belongs to and the offset of its first record.
    pub(super) fn open(path: &Path, genesis: &GenesisConfig) -> Result<(Self, GenesisConfig, u64), ChainError> {
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(storage)?;
        let fresh = file.metadata().map_err(storage)?.len() == 0;
        if fresh {
            write_genesis(path, genesis)?;
            file = OpenOptions::new().read(true).write(true).open(path).map_err(storage)?;
        }
        let (found, first) = read_genesis(&mut file, path)?;
        if !found.begins_same_chain(genesis) {
            return Err(storage(format!(
                "{} belongs to another chain: chain id {}, expected {}, or other prefunded accounts",
                path.display(),
                found.chain_id,
                genesis.chain_id
            )));
        }
        let end = file.metadata().map_err(storage)?.len();
        let handle = Mutex::new(Handle { file, end, broken: false });
        Ok((Self { path: path.to_owned(), handle }, found, first))
    }

    pub(super) fn end(&self) -> u64 {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).end
    }

    /// Gives every block from `offset` on to `each`, in order; drops a torn tail.
    ///
    /// # Errors
    /// Where a record is damaged and an intact one follows, and whatever `each` refuses.
    pub(super) fn replay(
        &self,
        offset: u64,
        mut each: impl FnMut(Block, Span) -> Result<(), ChainError>,
    ) -> Result<(), ChainError> {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        let mut offset = offset;
        loop {
            match next_record(&mut handle, offset)? {
                Found::Record { number, payload, span } => {
                    let block = Block::from_bytes(&payload).map_err(storage)?;
                    if block.header.number != number {
                        return Err(damaged(&self.path, offset));
                    }
                    offset += span.length;
                    each(block, span)?;
                }
                Found::End => return Ok(()),
                Found::Damaged(at) => {
                    self.drop_torn_tail(&mut handle, at)?;
                    return Ok(());
                }
            }
        }
    }

    fn drop_torn_tail(&self, handle: &mut Handle, at: u64) -> Result<(), ChainError> {
        handle.file.seek(SeekFrom::Start(at)).map_err(storage)?;
        let mut rest = Vec::new();
        handle.file.read_to_end(&mut rest).map_err(storage)?;
        if has_record_behind_start(&rest) {
            return Err(damaged(&self.path, at));
        }
        tracing::warn!(
            file = %self.path.display(),
            from_byte = at,
            dropped_bytes = rest.len(),
            "an append that was cut short is dropped"
        );
        handle.file.set_len(at).map_err(storage)?;
        handle.file.sync_all().map_err(storage)?;
        handle.end = at;
        Ok(())
    }

    fn append(&self, record: &[u8]) -> Result<Span, ChainError> {
        let mut handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner);
        if handle.broken {
            return Err(ChainError::SyncFailed("an earlier write failed; the chain must be opened again".to_owned()));
        }
        let offset = handle.end;
        let written = handle.file.seek(SeekFrom::Start(offset)).and_then(|_| handle.file.write_all(record));
        if let Err(error) = written {
            // Whatever was written of the record must not stand before the next one.
            handle.broken = handle.file.set_len(offset).is_err();
            return Err(storage(error));
        }
        if let Err(error) = handle.file.sync_data() {
            handle.broken = true;
            return Err(ChainError::SyncFailed(error.to_string()));
        }
        let length = u64::try_from(record.len()).map_err(storage)?;
        handle.end = offset + length;
        Ok(Span { offset, length })
    }

    pub(super) fn read_block(&self, span: Span) -> Result<Block, ChainError> {
        let mut file = File::open(&self.path).map_err(storage)?;
        file.seek(SeekFrom::Start(span.offset)).map_err(storage)?;
        let mut bytes = Vec::new();
        file.take(span.length).read_to_end(&mut bytes).map_err(storage)?;
        block_of(&bytes, span)
    }
}

/// Copies a file of blocks that a running program may be appending to, up to the first block that `is_wanted` refuses or
/// an append that is not finished. Says how many blocks were copied.
///
/// # Errors
/// The file is missing, damaged, or `to` fails.
pub(super) fn copy(path: &Path, mut is_wanted: impl FnMut(&Block) -> bool, to: &mut impl Write) -> Result<u64, ChainError> {
    let mut file = File::open(path).map_err(storage)?;
    let (_, first) = read_genesis(&mut file, path)?;
    file.seek(SeekFrom::Start(0)).map_err(storage)?;
    std::io::copy(&mut (&mut file).take(first), to).map_err(storage)?;
    let end = file.metadata().map_err(storage)?.len();
    let mut handle = Handle { file, end, broken: false };
    let (mut offset, mut blocks) = (first, 0);
    loop {
        match next_record(&mut handle, offset)? {
            Found::Record { number, payload, span } => {
                if !is_wanted(&Block::from_bytes(&payload).map_err(storage)?) {
                    return Ok(blocks);
                }
                to.write_all(&record(number, &payload)).map_err(storage)?;
                offset += span.length;
                blocks += 1;
            }
            Found::End => return Ok(blocks),
            Found::Damaged(at) => {
                handle.file.seek(SeekFrom::Start(at)).map_err(storage)?;
                let mut rest = Vec::new();
                (&mut handle.file).take(end - at).read_to_end(&mut rest).map_err(storage)?;
                return if has_record_behind_start(&rest) { Err(damaged(path, at)) } else { Ok(blocks) };
            }
        }
    }
}

fn damaged(path: &Path, at: u64) -> ChainError {
    storage(format!("{} is damaged at byte {at} and intact blocks follow: restore it from a backup", path.display()))
}

/// Whether an intact record follows on bytes that begin with a damaged one: then no append was cut short.
fn has_record_behind_start(bytes: &[u8]) -> bool {
    bytes
        .windows(RECORD_MARK.len())
        .enumerate()
        .skip(1)
        .filter(|(_, window)| *window == RECORD_MARK)
        .any(|(start, _)| matches!(bytes.get(start..).map(|bytes| parse(bytes, 0)), Some(Found::Record { .. })))
}

#[expect(clippy::needless_pass_by_value, reason = "it is given to map_err, which hands errors over by value")]
pub(super) fn storage(error: impl ToString) -> ChainError {
    ChainError::Storage(error.to_string())
}

/// Writes a whole file so that a crash leaves the old one or the new one: temporary name, sync, rename, sync of the
/// folder.
pub(super) fn replace_file(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    write(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn next_record(handle: &mut Handle, offset: u64) -> Result<Found, ChainError> {
    if offset >= handle.end {
        return Ok(Found::End);
    }
    let mut header = [0; RECORD_HEADER_BYTES];
    handle.file.seek(SeekFrom::Start(offset)).map_err(storage)?;
    let left = handle.end - offset;
    if left < RECORD_HEADER_BYTES as u64 {
        return Ok(Found::Damaged(offset));
    }
    handle.file.read_exact(&mut header).map_err(storage)?;
    let Some((_, length)) = parse_header(&header) else {
        return Ok(Found::Damaged(offset));
    };
    let rest = length.saturating_add(CHECKSUM_BYTES as u64);
    if rest > left - RECORD_HEADER_BYTES as u64 {
        return Ok(Found::Damaged(offset));
    }
    let mut bytes = header.to_vec();
    (&mut handle.file).take(rest).read_to_end(&mut bytes).map_err(storage)?;
    Ok(parse(&bytes, offset))
}

fn block_of(record: &[u8], span: Span) -> Result<Block, ChainError> {
    match parse(record, span.offset) {
        Found::Record { payload, .. } => Block::from_bytes(&payload).map_err(storage),
        Found::End | Found::Damaged(_) => Err(storage(format!("the block record at byte {} is damaged", span.offset))),
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::digest(bytes);
    let mut out = [0; CHECKSUM_BYTES];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = from;
    }
    out
}

fn record(number: u64, payload: &[u8]) -> Vec<u8> {
    let mut header = RECORD_MARK.to_vec();
    // A block's gas limit keeps it far below 4 GiB.
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    header.extend_from_slice(&length.to_le_bytes());
    header.extend_from_slice(&number.to_le_bytes());
    let header_checksum = checksum(&header);
    let mut out = header;
    out.extend_from_slice(&header_checksum);
    out.extend_from_slice(payload);
    out.extend_from_slice(&checksum(payload));
    out
}

/// The block number and the payload's length of an intact record header.
fn parse_header(bytes: &[u8]) -> Option<(u64, u64)> {
    let mut reader = Reader::new(bytes);
    let signed = bytes.get(..16)?;
    let mark: [u8; 4] = reader.array().ok()?;
    let length = reader.u32().ok()?;
    let number = reader.u64().ok()?;
    let expected: [u8; CHECKSUM_BYTES] = reader.array().ok()?;
    (mark == RECORD_MARK && checksum(signed) == expected).then_some((number, length.into()))
}

fn parse(bytes: &[u8], offset: u64) -> Found {
    let whole = || {
        let (number, length) = parse_header(bytes)?;
        let mut reader = Reader::new(bytes.get(RECORD_HEADER_BYTES..)?);
        let payload = reader.take(usize::try_from(length).ok()?).ok()?;
        let expected: [u8; CHECKSUM_BYTES] = reader.array().ok()?;
        (checksum(payload) == expected).then(|| Found::Record {
            number,
            payload: payload.to_vec(),
            span: Span { offset, length: length + (RECORD_HEADER_BYTES + CHECKSUM_BYTES) as u64 },
        })
    };
    whole().unwrap_or(Found::Damaged(offset))
}

fn write_genesis(path: &Path, genesis: &GenesisConfig) -> Result<(), ChainError> {
    let mut bytes = FILE_MARK.to_vec();
    let genesis = genesis.to_bytes();
    put_bytes(&mut bytes, &genesis);
    bytes.extend_from_slice(&checksum(&genesis));
    replace_file(path, |file| file.write_all(&bytes)).map_err(storage)
}

fn read_genesis(file: &mut File, path: &Path) -> Result<(GenesisConfig, u64), ChainError> {
    let not_ours = || storage(format!("{} is not a file of blocks", path.display()));
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0)).map_err(storage)?;
    file.take(GENESIS_BYTES_MAX).read_to_end(&mut bytes).map_err(storage)?;
    let mut reader = Reader::new(&bytes);
    let mark: [u8; 8] = reader.array().map_err(|_| not_ours())?;
    let genesis = reader.bytes().map_err(|_| not_ours())?;
    let expected: [u8; CHECKSUM_BYTES] = reader.array().map_err(|_| not_ours())?;
    if mark != FILE_MARK || checksum(genesis) != expected {
        return Err(not_ours());
    }
    let first = FILE_MARK.len() + 8 + genesis.len() + CHECKSUM_BYTES;
    let genesis = GenesisConfig::from_bytes(genesis).map_err(|_| not_ours())?;
    Ok((genesis, u64::try_from(first).map_err(storage)?))
}
