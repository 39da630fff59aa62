//! What the newest entry of each object says, in the order of the rows: sorted on disk, because a register may have more
//! objects than there is memory for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use domain::journal::{Digest32, Entry, Object, ObjectKind};
use uuid::Uuid;

/// Objects that are sorted in memory; about 30 MB.
const RUN_OBJECTS_MAX: usize = 250_000;
/// Bytes of an object on disk: kind, id, whether there is a subject, subject, MAC.
const RECORD_BYTES: usize = 1 + 16 + 1 + 16 + 32;

/// What the newest entry of an object says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newest {
    /// The person it concerns.
    pub subject: Option<Uuid>,
    /// The HMAC of the object's state.
    pub state_mac: Digest32,
}

/// Takes entries in the order of the journal.
#[derive(Debug)]
pub struct Collector {
    folder: PathBuf,
    objects_max: usize,
    objects: BTreeMap<Object, Newest>,
    runs: Vec<Run>,
}

/// The objects of a part of the journal, in order.
#[derive(Debug)]
enum Run {
    OnDisk(BufReader<File>),
    InMemory(std::collections::btree_map::IntoIter<Object, Newest>),
}

/// Every object once, in order of kind and id.
#[derive(Debug)]
pub struct Merged {
    /// Each with its next object; later parts of the journal come later.
    runs: Vec<(Run, Option<(Object, Newest)>)>,
}

impl Collector {
    /// A collector that keeps what does not fit into memory in a folder, which its owner removes.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), objects_max: RUN_OBJECTS_MAX, objects: BTreeMap::new(), runs: Vec::new() }
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub fn add(&mut self, entry: &Entry) -> io::Result<()> {
        let newest = Newest { subject: entry.subject, state_mac: entry.state_mac };
        self.objects.insert(entry.object, newest);
        if self.objects.len() < self.objects_max {
            return Ok(());
        }
        let path = self.folder.join(format!("newest-{}", self.runs.len()));
        self.runs.push(write_run(&path, std::mem::take(&mut self.objects))?);
        Ok(())
    }

    /// Every object once, with what its newest entry says.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn merged(self) -> io::Result<Merged> {
        let Self { mut runs, objects, .. } = self;
        runs.push(Run::InMemory(objects.into_iter()));
        let mut begun = Vec::with_capacity(runs.len());
        for mut run in runs {
            let first = run.next()?;
            begun.push((run, first));
        }
        Ok(Merged { runs: begun })
    }
}

impl Merged {
    /// The next object; `None` after the last.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(Object, Newest)>> {
        let Some(object) = self.runs.iter().filter_map(|(_, next)| next.map(|(object, _)| object)).min() else {
            return Ok(None);
        };
        let mut found = None;
        for (run, next) in &mut self.runs {
            if next.is_some_and(|(of, _)| of == object) {
                // A later part of the journal overrides an earlier one.
                found = *next;
                *next = run.next()?;
            }
        }
        Ok(found)
    }
}

impl Run {
    fn next(&mut self) -> io::Result<Option<(Object, Newest)>> {
        match self {
            Self::InMemory(objects) => Ok(objects.next()),
            Self::OnDisk(file) => {
                let mut record = [0; RECORD_BYTES];
                match file.read_exact(&mut record) {
                    Ok(()) => decode(&record).map(Some),
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

fn write_run(path: &Path, objects: BTreeMap<Object, Newest>) -> io::Result<Run> {
    let mut file = BufWriter::new(File::create_new(path)?);
    for (object, newest) in objects {
        let kind = ObjectKind::ALL.iter().position(|kind| *kind == object.kind).and_then(|kind| u8::try_from(kind).ok());
        file.write_all(&[kind.unwrap_or(u8::MAX)])?;
        file.write_all(object.id.as_bytes())?;
        file.write_all(&[u8::from(newest.subject.is_some())])?;
        file.write_all(newest.subject.unwrap_or_default().as_bytes())?;
        file.write_all(&newest.state_mac)?;
    }
    file.into_inner()?;
    Ok(Run::OnDisk(BufReader::new(File::open(path)?)))
}

fn decode(record: &[u8; RECORD_BYTES]) -> io::Result<(Object, Newest)> {
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, "not an object of this journal");
    let (kind, rest) = record.split_first().ok_or_else(unreadable)?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(unreadable)?;
    let (has_subject, rest) = rest.split_first().ok_or_else(unreadable)?;
    let (subject, mac) = rest.split_first_chunk::<16>().ok_or_else(unreadable)?;
    let kind = *ObjectKind::ALL.get(usize::from(*kind)).ok_or_else(unreadable)?;
    let subject = (*has_subject == 1).then(|| Uuid::from_bytes(*subject));
    let newest = Newest { subject, state_mac: mac.try_into().map_err(|_| unreadable())? };
    Ok((Object { kind, id: Uuid::from_bytes(*id) }, newest))
}

#[cfg(test)]
mod tests {
    use domain::instant::Instant;

    use super::*;

    /// Entries about few objects of several kinds, in an order that meets each of them again in later runs.
    fn entries() -> Vec<Entry> {
        (1..=500_u64)
            .map(|sequence| Entry {
                sequence,
                occurred_at: Instant::from_micros(1),
                actor: None,
                act: "act".to_owned(),
                object: Object {
                    kind: ObjectKind::ALL[usize::try_from(sequence * 7 % 11).unwrap()],
                    id: Uuid::from_u128(u128::from(sequence * 37 % 29)),
                },
                subject: (sequence % 3 == 0).then(|| Uuid::from_u128(u128::from(sequence))),
                state_mac: [u8::try_from(sequence % 251).unwrap(); 32],
                previous_hash: [0; 32],
            })
            .collect()
    }

    #[test]
    fn runs_on_disk_give_the_same_as_one_map_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        for objects_max in [7, 64, 100_000] {
            let path = folder.path().join(objects_max.to_string());
            std::fs::create_dir(&path).unwrap();
            let mut collector = Collector { objects_max, ..Collector::new(&path) };
            let mut expected = BTreeMap::new();
            for entry in entries() {
                collector.add(&entry).unwrap();
                expected.insert(entry.object, Newest { subject: entry.subject, state_mac: entry.state_mac });
            }
            let spilled = std::fs::read_dir(&path).unwrap().count();
            assert_eq!(spilled > 1, objects_max < 100, "{spilled} runs on disk of {objects_max}");
            let mut merged = collector.merged().unwrap();
            let mut found = Vec::new();
            while let Some(one) = merged.next().unwrap() {
                found.push(one);
            }
            assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{objects_max} in memory");
        }
    }
}
