//! The pixels of many images: in main memory, or in a file where they are more than it should hold.

use std::fmt;
use std::io::{self, Read};
use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::{Error, Result};

/// More bytes than this go to a file, whose pages the operating system keeps in memory as long as
/// there is room for them.
const IN_MEMORY: usize = 1 << 30;

/// A buffer of fixed length that may be larger than main memory.
pub struct Bytes(Place);

enum Place {
    Memory(Vec<u8>),
    /// The first `len` bytes of a file.
    File {
        map: MmapMut,
        len: usize,
    },
}

impl Bytes {
    /// `len` zeros; above 1 GiB in a nameless file in the folder for temporary files (`TMPDIR`).
    ///
    /// # Errors
    /// No memory, or no room for the file.
    pub fn zeroed(len: usize) -> Result<Self> {
        Self::zeroed_within(len, IN_MEMORY)
    }

    fn zeroed_within(len: usize, in_memory: usize) -> Result<Self> {
        Ok(Self(if len > in_memory {
            let map = mapped_file(len).map_err(|e| {
                let message = format!("a temporary file of {} MiB for images: {e}", len >> 20);
                Error::file(std::env::temp_dir(), message)
            })?;
            Place::File { map, len }
        } else {
            let mut bytes = Vec::new();
            bytes.try_reserve_exact(len).map_err(|_| Error::Limit {
                what: "images".into(),
                wanted: format!("{} MiB", len >> 20),
                limit: "main memory".into(),
                allowed: "less".into(),
            })?;
            bytes.resize(len, 0);
            Place::Memory(bytes)
        }))
    }

    /// Drops what lies behind the first `shorter` bytes.
    pub(super) fn truncate(&mut self, shorter: usize) {
        match &mut self.0 {
            Place::Memory(bytes) => bytes.truncate(shorter),
            Place::File { len, .. } => *len = shorter.min(*len),
        }
    }
}

/// A file of zeros without a name, mapped. It is written first: a page that finds no room on the disk
/// later would end the process with a signal.
fn mapped_file(len: usize) -> io::Result<MmapMut> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut io::repeat(0).take(len as u64), &mut file)?;
    // SAFETY: the file has no name, so nobody else can open it and change it or cut it short.
    unsafe { MmapMut::map_mut(&file) }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Place::Memory(bytes) => bytes,
            Place::File { map, len } => &map[..*len],
        }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        match &mut self.0 {
            Place::Memory(bytes) => bytes,
            Place::File { map, len } => &mut map[..*len],
        }
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Place::Memory(bytes))
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if matches!(self.0, Place::File { .. }) { "in a file" } else { "in memory" };
        write!(f, "{} bytes {place}", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_memory_holds() {
        let mut memory = Bytes::zeroed_within(5000, 5000).unwrap();
        let mut file = Bytes::zeroed_within(5000, 4999).unwrap();
        assert!(matches!((&memory.0, &file.0), (Place::Memory(_), Place::File { .. })));
        for bytes in [&mut memory, &mut file] {
            assert!(bytes.iter().all(|b| *b == 0) && bytes.len() == 5000);
            bytes.iter_mut().enumerate().for_each(|(i, b)| *b = (i % 251) as u8);
            bytes.copy_within(1000..3000, 0);
            bytes.truncate(2000);
        }
        assert!(file == memory && file.len() == 2000 && file[0] == (1000 % 251) as u8);
        assert_ne!(file, Bytes::from(vec![0; 2000]));
    }
}
