//! A part's bytes: frames of a flag (1 on the last one), a length, and so many sealed bytes. Each frame opens only at its
//! own place in its own part, so that frames can neither be dropped, moved nor exchanged.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use sha2::{Digest, Sha256};

use super::manifest::Part;
use crate::entropy::Entropy;
use crate::keyring;

/// Plain bytes of a frame at most.
const FRAME_BYTES: usize = 1024 * 1024;
/// What sealing adds is far less.
const SEALED_BYTES_MAX: usize = FRAME_BYTES + 1024;

/// Writes a part.
#[derive(Debug)]
pub struct SealedWriter {
    file: File,
    key: [u8; 32],
    entropy: Entropy,
    name: String,
    pending: Vec<u8>,
    frames: u64,
    bytes: u64,
    digest: Sha256,
}

impl SealedWriter {
    /// Begins a part in a file that is empty.
    pub fn new(file: File, name: &str, key: [u8; 32], entropy: Entropy) -> Self {
        let pending = Vec::with_capacity(2 * FRAME_BYTES);
        Self { file, key, entropy, name: name.to_owned(), pending, frames: 0, bytes: 0, digest: Sha256::new() }
    }

    /// Ends the part, and makes sure that it survives a crash of the machine.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self) -> io::Result<Part> {
        let rest = std::mem::take(&mut self.pending);
        self.put_frame(&rest, true)?;
        self.file.sync_all()?;
        Ok(Part { name: self.name, bytes: self.bytes, sha256: hex::encode(self.digest.finalize()) })
    }

    fn put_frame(&mut self, plain: &[u8], is_last: bool) -> io::Result<()> {
        let sealed = keyring::seal(&self.key, &place_of(&self.name, self.frames, is_last), plain, &mut self.entropy);
        let length = u32::try_from(sealed.len()).map_err(io::Error::other)?;
        let mut frame = vec![u8::from(is_last)];
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(&sealed);
        self.file.write_all(&frame)?;
        self.digest.update(&frame);
        self.bytes += frame.len() as u64;
        self.frames += 1;
        Ok(())
    }
}

impl Write for SealedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME_BYTES);
        self.pending.extend_from_slice(bytes.get(..taken).unwrap_or_default());
        if self.pending.len() >= FRAME_BYTES {
            let rest = self.pending.split_off(FRAME_BYTES);
            let full = std::mem::replace(&mut self.pending, rest);
            self.put_frame(&full, false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Reads a part.
#[derive(Debug)]
pub struct SealedReader {
    file: BufReader<File>,
    key: [u8; 32],
    name: String,
    plain: Vec<u8>,
    read: usize,
    frames: u64,
    is_over: bool,
}

impl SealedReader {
    /// Begins with the first frame.
    pub fn new(file: File, name: &str, key: [u8; 32]) -> Self {
        let file = BufReader::new(file);
        Self { file, key, name: name.to_owned(), plain: Vec::new(), read: 0, frames: 0, is_over: false }
    }

    fn next_frame(&mut self) -> io::Result<()> {
        let mut head = [0; 5];
        self.file.read_exact(&mut head)?;
        let [flag, length @ ..] = head;
        let (is_last, length) = (flag == 1, usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?);
        if length > SEALED_BYTES_MAX {
            return Err(self.damaged());
        }
        let mut sealed = vec![0; length];
        self.file.read_exact(&mut sealed)?;
        let place = place_of(&self.name, self.frames, is_last);
        self.plain = keyring::open(&self.key, &place, &sealed).map_err(|_| self.damaged())?;
        self.read = 0;
        self.frames += 1;
        self.is_over = is_last;
        Ok(())
    }

    fn damaged(&self) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("part {} cannot be opened", self.name))
    }
}

impl Read for SealedReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.read == self.plain.len() && !self.is_over {
            self.next_frame()?;
        }
        let rest = self.plain.get(self.read..).unwrap_or_default();
        let taken = rest.len().min(into.len());
        for (to, from) in into.iter_mut().zip(rest) {
            *to = *from;
        }
        self.read += taken;
        Ok(taken)
    }
}

/// What a frame is bound to.
fn place_of(name: &str, frame: u64, is_last: bool) -> Vec<u8> {
    let mut place = name.as_bytes().to_vec();
    place.push(0);
    place.extend_from_slice(&frame.to_be_bytes());
    place.push(u8::from(is_last));
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part_of(path: &std::path::Path, name: &str, plain: &[u8]) -> Part {
        let file = File::create(path).unwrap();
        let mut writer = SealedWriter::new(file, name, [1; 32], Entropy::from_seed([2; 32]));
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn read(path: &std::path::Path, name: &str, key: [u8; 32]) -> io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        SealedReader::new(File::open(path)?, name, key).read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn a_part_opens_whole_in_its_place_with_its_key_and_not_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("part");
        for length in [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 3 * FRAME_BYTES] {
            let plain: Vec<u8> = (0..length).map(|n| u8::try_from(n % 251).unwrap()).collect();
            let part = part_of(&path, "rows-a", &plain);
            assert_eq!(part.bytes, std::fs::metadata(&path).unwrap().len());
            assert_eq!(part.sha256, hex::encode(Sha256::digest(std::fs::read(&path).unwrap())));
            assert!(read(&path, "rows-a", [1; 32]).unwrap() == plain, "{length} bytes");
            assert!(read(&path, "rows-b", [1; 32]).is_err(), "another part");
            assert!(read(&path, "rows-a", [3; 32]).is_err(), "another key");
        }
        // A frame that is left out, cut off, or put in another place.
        let whole = std::fs::read(&path).unwrap();
        let frame = 5 + usize::try_from(u32::from_be_bytes(whole[1..5].try_into().unwrap())).unwrap();
        for damaged in [
            whole[frame..].to_vec(),
            whole[..whole.len() - 1].to_vec(),
            whole[..frame].to_vec(),
            [&whole[frame..2 * frame], &whole[..frame], &whole[2 * frame..]].concat(),
        ] {
            std::fs::write(&path, damaged).unwrap();
            assert!(read(&path, "rows-a", [1; 32]).is_err());
        }
    }
}
