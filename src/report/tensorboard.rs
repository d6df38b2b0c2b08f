//! Event files for TensorBoard: TFRecords of the protocol-buffer message `Event`.
//!
//! ```text
//! record: length u64, masked CRC-32C of it u32, event, masked CRC-32C of that u32; little-endian
//! event:  wall_time = 1 double, step = 2 int64, file_version = 3 string or summary = 5 message
//! summary: repeated value = 1 message { tag = 1 string, simple_value = 2 float }
//! ```

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crc::{CRC_32_ISCSI, Crc, Table};

use crate::{Error, Result};

/// CRC-32C (Castagnoli).
static CRC: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISCSI);
/// What TensorBoard knows event files by.
const MARK: &str = ".tfevents.";
/// First event of every file.
const VERSION: &str = "brain.Event:2";
/// Bytes beside a record's event.
const LENGTH: usize = 8;
const CHECK: usize = 4;
/// How the fields of a message are stored.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const BYTES: u64 = 2;
const FIXED32: u64 = 5;

/// An event file that is being written.
#[derive(Debug)]
pub struct EventLog {
    path: PathBuf,
    file: File,
    /// The last step of each tag in the folder's earlier files.
    written: HashMap<String, u64>,
}

impl EventLog {
    /// Starts an event file in the folder `dir`. With `resume` files may be there already, and what they
    /// hold is not written again.
    ///
    /// # Errors
    /// Event files that are there without `resume`; a folder or file that cannot be read or written.
    pub fn create(dir: &Path, resume: bool) -> Result<Self> {
        fs::create_dir_all(dir).map_err(|e| Error::file(dir, e))?;
        let mut written = HashMap::new();
        for entry in fs::read_dir(dir).map_err(|e| Error::file(dir, e))? {
            let path = entry.map_err(|e| Error::file(dir, e))?.path();
            if !path.file_name().is_some_and(|name| name.to_string_lossy().contains(MARK)) {
                continue;
            }
            if !resume {
                let message =
                    "holds event files already; --resume adds to them, or name another folder";
                return Err(Error::file(dir, message));
            }
            let bytes = fs::read(&path).map_err(|e| Error::file(&path, e))?;
            records(&bytes).for_each(|event| note_tags(event, &mut written));
        }
        let (path, file) = new_file(dir)?;
        let mut log = Self { path, file, written };
        let mut version = Message::default();
        version.double(1, seconds()).bytes(3, VERSION.as_bytes());
        log.write(&version.0)?;
        Ok(log)
    }

    /// Adds the named `values` of `step`, except those that an earlier file has.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn add(&mut self, step: u64, values: &[(String, f64)]) -> Result<()> {
        let new = |(tag, _): &&(String, f64)| self.written.get(tag).is_none_or(|last| *last < step);
        let values: Vec<&(String, f64)> = values.iter().filter(new).collect();
        if values.is_empty() { Ok(()) } else { self.write(&event(seconds(), step, &values)) }
    }

    /// One call, so that a killed run leaves whole records but for the last.
    fn write(&mut self, event: &[u8]) -> Result<()> {
        self.file.write_all(&record(event)).map_err(|e| Error::file(&self.path, e))
    }
}

/// A file of a name that is new; TensorBoard reads the files of a folder in the order of their names.
fn new_file(dir: &Path) -> Result<(PathBuf, File)> {
    let now = since_epoch().as_millis();
    for number in 0.. {
        let path =
            dir.join(format!("events.out{MARK}{:010}.{:013}.anomem", now / 1000, now + number));
        match OpenOptions::new().append(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(Error::file(path, e)),
        }
    }
    Err(Error::Internal("no name is left for an event file".into()))
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn seconds() -> f64 {
    since_epoch().as_secs_f64()
}

fn event(wall_time: f64, step: u64, values: &[&(String, f64)]) -> Vec<u8> {
    let mut summary = Message::default();
    for (tag, value) in values {
        let mut of_tag = Message::default();
        of_tag.bytes(1, tag.as_bytes()).float(2, *value as f32);
        summary.bytes(1, &of_tag.0);
    }
    let mut event = Message::default();
    event.double(1, wall_time).integer(2, step).bytes(5, &summary.0);
    event.0
}

/// CRC-32C, masked as TFRecords want it: rotated right by 15 bits, plus a constant.
fn masked_crc(bytes: &[u8]) -> [u8; CHECK] {
    CRC.checksum(bytes).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

fn record(event: &[u8]) -> Vec<u8> {
    let length = (event.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length)[..], event, &masked_crc(event)].concat()
}

/// The events of a file, up to the first that is cut short or damaged.
fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let length = take(&mut bytes, LENGTH)?;
        let check = take(&mut bytes, CHECK)?;
        let size = u64::from_le_bytes(length.try_into().ok()?).try_into().ok()?;
        let event = take(&mut bytes, size)?;
        let sound = check == masked_crc(length) && take(&mut bytes, CHECK)? == masked_crc(event);
        sound.then_some(event)
    })
}

/// The first `count` bytes, which are taken away.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (first, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(first)
}

/// Takes down the step of every tag of an event.
fn note_tags(event: &[u8], written: &mut HashMap<String, u64>) {
    let number = |(field, value)| match (field, value) {
        (2, Field::Integer(step)) => Some(step),
        _ => None,
    };
    let step = fields(event).find_map(number).unwrap_or(0);
    for summary in parts(event, 5) {
        for tag in parts(summary, 1).flat_map(|value| parts(value, 1)) {
            let last = written.entry(String::from_utf8_lossy(tag).into_owned()).or_insert(step);
            *last = step.max(*last);
        }
    }
}

/// A message that is being written, field by field.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// Seven bits to a byte, the lowest first; all but the last have the highest bit set.
    fn varint(&mut self, mut value: u64) -> &mut Self {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn key(&mut self, field: u64, kind: u64) -> &mut Self {
        self.varint(field << 3 | kind)
    }

    fn integer(&mut self, field: u64, value: u64) -> &mut Self {
        self.key(field, VARINT).varint(value)
    }

    fn double(&mut self, field: u64, value: f64) -> &mut Self {
        self.key(field, FIXED64).0.extend(value.to_le_bytes());
        self
    }

    fn float(&mut self, field: u64, value: f32) -> &mut Self {
        self.key(field, FIXED32).0.extend(value.to_le_bytes());
        self
    }

    fn bytes(&mut self, field: u64, bytes: &[u8]) -> &mut Self {
        self.key(field, BYTES).varint(bytes.len() as u64).0.extend(bytes);
        self
    }
}

/// The value of a field; of no interest are fixed-length ones.
#[derive(Debug, PartialEq)]
enum Field<'a> {
    Integer(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The fields of a message and their numbers, up to the first that cannot be read.
fn fields(mut message: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
    std::iter::from_fn(move || {
        let key = read_varint(&mut message)?;
        let value = match key & 7 {
            VARINT => Field::Integer(read_varint(&mut message)?),
            BYTES => {
                let length = read_varint(&mut message)?.try_into().ok()?;
                Field::Bytes(take(&mut message, length)?)
            }
            FIXED64 => take(&mut message, 8).map(|_| Field::Other)?,
            FIXED32 => take(&mut message, 4).map(|_| Field::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    })
}

/// The messages or strings that `message` holds in `field`.
fn parts(message: &[u8], field: u64) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |(number, value)| match value {
        Field::Bytes(bytes) if number == field => Some(bytes),
        _ => None,
    })
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(list: &[(&str, f64)]) -> Vec<(String, f64)> {
        list.iter().map(|(tag, value)| ((*tag).to_owned(), *value)).collect()
    }

    /// Tags and steps of all event files of a folder, in the order of their names.
    fn kept(dir: &Path) -> Vec<HashMap<String, u64>> {
        let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        let of_file = |path: &PathBuf| {
            let mut written = HashMap::new();
            let bytes = fs::read(path).unwrap();
            records(&bytes).for_each(|event| note_tags(event, &mut written));
            written
        };
        files.iter().map(of_file).collect()
    }

    #[test]
    fn bytes_by_hand() {
        // The check value of CRC-32C.
        assert_eq!(CRC.checksum(b"123456789"), 0xe306_9283);
        // Checks computed apart from this crate, bit by bit.
        let loss = values(&[("a", 0.5)]);
        let event = event(2.0, 300, &[&loss[0]]);
        let expected = [
            &[0x09, 0, 0, 0, 0, 0, 0, 0, 0x40][..],         // 1: 2.0
            &[0x10, 0xac, 0x02],                            // 2: 300 = 2 * 128 + 44
            &[0x2a, 10, 0x0a, 8],                           // 5: a summary of one value
            &[0x0a, 1, b'a', 0x15, 0x00, 0x00, 0x00, 0x3f], // 1: "a", 2: 0.5
        ]
        .concat();
        assert_eq!(event, expected);
        let whole = [
            &[24, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22][..],
            &expected,
            &[0xd1, 0x50, 0xde, 0xb2],
        ]
        .concat();
        assert_eq!(record(&event), whole);
        let mut version = Message::default();
        version.double(1, 1.5).bytes(3, VERSION.as_bytes());
        assert_eq!(record(&version.0)[12 + 24..], [0x2a, 0x28, 0x64, 0x6c]);

        assert!(records(&[whole.clone(), whole.clone()].concat()).eq([&event[..], &event]));
        for end in 0..whole.len() {
            assert_eq!(records(&whole[..end]).count(), 0, "cut at {end}");
        }
        for bit in 0..8 * whole.len() {
            let mut damaged = whole.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(records(&damaged).count(), 0, "bit {bit}");
        }
    }

    #[test]
    fn varints_by_hand_and_back() {
        let bytes = |value| Message::default().varint(value).0.clone();
        assert_eq!([bytes(0), bytes(127), bytes(128)], [vec![0], vec![127], vec![0x80, 1]]);
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(read_varint(&mut &bytes(value)[..]), Some(value));
        }
        assert_eq!(read_varint(&mut &[0x80; 11][..]), None);
    }

    #[test]
    fn resumed_logs_repeat_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("events");
        let mut log = EventLog::create(&dir, false).unwrap();
        log.add(10, &values(&[("loss", 3.0), ("lr", 0.1)])).unwrap();
        log.add(20, &values(&[("loss", 2.0), ("lr", 0.1)])).unwrap();
        // A run killed while it wrote.
        log.file.write_all(&[30, 0, 0]).unwrap();
        let message = EventLog::create(&dir, false).unwrap_err().to_string();
        assert!(message.contains("holds event files already"), "{message}");

        let mut log = EventLog::create(&dir, true).unwrap();
        log.add(20, &values(&[("loss", 2.0), ("new", 1.0)])).unwrap();
        log.add(30, &values(&[("loss", 1.0)])).unwrap();
        let of = |list: &[(&str, u64)]| -> HashMap<String, u64> {
            list.iter().map(|(tag, step)| ((*tag).to_owned(), *step)).collect()
        };
        assert_eq!(kept(&dir), [of(&[("loss", 20), ("lr", 20)]), of(&[("loss", 30), ("new", 20)])]);
    }
}
