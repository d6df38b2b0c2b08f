//! MATLAB files of level 5: arrays of real numbers, found by name (MathWorks, "MAT-File Format", 2019).
//!
//! Little-endian files alone, whose elements may be compressed. A size is compared with the bytes that are
//! there before anything of that size is made.

use std::fs;
use std::io::Read;
use std::ops::Range;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::{Error, Result};

/// An array of a file, its first index running fastest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Array {
    /// Its size along each index, two or more.
    pub dims: Vec<usize>,
    /// How its numbers are stored.
    pub number: Number,
    /// They.
    pub bytes: Vec<u8>,
}

/// How a number is stored, which says nothing of its class: MATLAB keeps whole doubles as bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    F32,
    F64,
}

impl Number {
    /// By the type of a data element.
    fn of(kind: u32) -> Option<Self> {
        Some(match kind {
            INT8 => Self::I8,
            2 => Self::U8,
            3 => Self::I16,
            4 => Self::U16,
            INT32 => Self::I32,
            UINT32 => Self::U32,
            7 => Self::F32,
            9 => Self::F64,
            _ => return None,
        })
    }

    /// In bytes.
    fn size(self) -> usize {
        match self {
            Self::I8 | Self::U8 => 1,
            Self::I16 | Self::U16 => 2,
            Self::I32 | Self::U32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }

    fn read(self, b: &[u8]) -> f64 {
        match (self, b) {
            (Self::I8, &[a]) => f64::from(a.cast_signed()),
            (Self::U8, &[a]) => f64::from(a),
            (Self::I16, &[a, b]) => f64::from(i16::from_le_bytes([a, b])),
            (Self::U16, &[a, b]) => f64::from(u16::from_le_bytes([a, b])),
            (Self::I32, &[a, b, c, d]) => f64::from(i32::from_le_bytes([a, b, c, d])),
            (Self::U32, &[a, b, c, d]) => f64::from(u32::from_le_bytes([a, b, c, d])),
            (Self::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
            (Self::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => f64::NAN,
        }
    }
}

impl Array {
    /// Its numbers, in order.
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        self.bytes.chunks_exact(self.number.size()).map(|b| self.number.read(b))
    }
}

/// Text, version and byte order.
const HEADER: usize = 128;
/// Types of data elements.
const INT8: u32 = 1;
const INT32: u32 = 5;
const UINT32: u32 = 6;
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;
/// Classes of arrays that hold numbers: double, single, and integers of 8 to 64 bits.
const NUMERIC: Range<u32> = 6..16;
/// Flag of complex numbers.
const COMPLEX: u32 = 0x0800;
/// Deflate makes a byte of at most so many.
const MOST_PACKED: usize = 1032;

/// Reads the arrays called `names` from the file at `path`; others are passed over.
///
/// # Errors
/// A file that cannot be read, is of another level or byte order, is damaged, or lacks one of the arrays;
/// one of them that does not hold real numbers.
pub(super) fn read<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Array; N]> {
    let bytes = fs::read(path).map_err(|error| Error::file(path, error))?;
    read_bytes(path, &bytes, names)
}

fn read_bytes<const N: usize>(path: &Path, bytes: &[u8], names: [&str; N]) -> Result<[Array; N]> {
    if bytes.starts_with(b"\x89HDF\r\n") || bytes.starts_with(b"MATLAB 7.3") {
        return Err(Error::file(
            path,
            "is a MATLAB 7.3 (HDF5) file: expected level 5, which MATLAB writes with save -v7",
        ));
    }
    match bytes.get(HEADER - 4..HEADER) {
        Some([0, 1, b'I', b'M']) => {}
        Some([_, _, b'M', b'I']) => {
            let message = "byte 126: the file is big-endian: expected little-endian ('IM')";
            return Err(Error::file(path, message));
        }
        Some(found) => {
            let message =
                format!("byte 124: {found:?}: expected version and byte order [0, 1, 73, 77]");
            return Err(Error::file(path, message));
        }
        None => {
            let found = bytes.len();
            let message = format!("{found} bytes: expected a MATLAB header of {HEADER}");
            return Err(Error::file(path, message));
        }
    }
    let mut found = names.map(|_| None);
    let mut cursor = Cursor { path, bytes, at: HEADER, packed: None };
    while cursor.at < bytes.len() && found.iter().any(Option::is_none) {
        let start = cursor.at;
        let Element { kind, data } = cursor.element()?;
        let unpacked;
        let mut matrix = match kind {
            MATRIX => cursor.of(data),
            COMPRESSED => {
                unpacked = unpack(path, start, &bytes[data])?;
                Cursor { path, bytes: &unpacked, at: 0, packed: Some(start) }
            }
            _ => {
                let message = format!("element of type {kind}: expected an array (14 or 15)");
                return Err(cursor.fail(start, &message));
            }
        };
        if let Some((name, array)) = matrix.array(&names)? {
            found[name] = Some(array);
        }
    }
    let missing = found.iter().position(Option::is_none).map(|name| names[name]);
    if let Some(name) = missing {
        return Err(Error::file(path, format!("holds no array {name}")));
    }
    // All of them are there.
    let empty = || Array { dims: Vec::new(), number: Number::U8, bytes: Vec::new() };
    Ok(found.map(|array| array.unwrap_or_else(empty)))
}

/// The contents of the one array that the compressed element at byte `start` holds.
fn unpack(path: &Path, start: usize, packed: &[u8]) -> Result<Vec<u8>> {
    let fail = |message: String| Error::file(path, format!("byte {start}: {message}"));
    let damaged = |error: std::io::Error| fail(format!("compressed element: {error}"));
    let mut stream = ZlibDecoder::new(packed);
    let mut tag = [0; 8];
    stream.read_exact(&mut tag).map_err(damaged)?;
    let [kind, size] = [0, 4].map(|i| word(&tag[i..]).unwrap_or(0));
    let (most, size) = (packed.len().saturating_mul(MOST_PACKED), size as usize);
    if kind != MATRIX || size > most {
        return Err(fail(format!(
            "compressed element of type {kind}, {size} bytes: expected an array (14) and, of {} compressed \
             ones, at most {most}",
            packed.len()
        )));
    }
    let mut unpacked = Vec::new();
    // To its end, so that its checksum is compared.
    stream.take(size as u64 + 1).read_to_end(&mut unpacked).map_err(damaged)?;
    if unpacked.len() != size {
        let found = if unpacked.len() > size { "more".into() } else { unpacked.len().to_string() };
        return Err(fail(format!("{found} bytes in a compressed element: expected {size}")));
    }
    Ok(unpacked)
}

/// The little-endian word that `bytes` start with.
fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// A data element: its type and where its data lie.
struct Element {
    kind: u32,
    data: Range<usize>,
}

/// Bytes that are read element by element.
struct Cursor<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    at: usize,
    /// Where in the file the element starts that the bytes are unpacked from; absent: they are the file's.
    packed: Option<usize>,
}

impl<'a> Cursor<'a> {
    fn fail(&self, at: usize, message: &str) -> Error {
        let place = match self.packed {
            Some(start) => format!("byte {start}, compressed element, byte {at} of its contents"),
            None => format!("byte {at}"),
        };
        Error::file(self.path, format!("{place}: {message}"))
    }

    /// The bytes of `data` alone, of which the first is next.
    fn of(&self, data: Range<usize>) -> Cursor<'a> {
        Cursor {
            path: self.path,
            bytes: &self.bytes[..data.end],
            at: data.start,
            packed: self.packed,
        }
    }

    /// The next element; data of up to four bytes may stand in its tag. Elements start at multiples of eight
    /// bytes, except behind compressed ones.
    fn element(&mut self) -> Result<Element> {
        let start = self.at;
        let word_at = |at: usize| self.bytes.get(at..).and_then(word);
        let (Some(first), Some(second)) = (word_at(start), word_at(start + 4)) else {
            let left = self.bytes.len() - start;
            return Err(self.fail(start, &format!("{left} bytes: expected an element's tag of 8")));
        };
        let short = first >> 16 != 0;
        let (kind, size, from) = match short {
            true => (first & 0xffff, first >> 16, start + 4),
            false => (first, second, start + 8),
        };
        let size = size as usize;
        let left = if short { 4 } else { self.bytes.len() - from };
        if size > left {
            let message = format!("element of type {kind}, {size} bytes: expected at most {left}");
            return Err(self.fail(start, &message));
        }
        let end = from + size;
        let next = if kind == COMPRESSED { end } else { start + (end - start).next_multiple_of(8) };
        // Padding behind the last one may be missing.
        self.at = next.min(self.bytes.len());
        Ok(Element { kind, data: from..end })
    }

    /// The next element's data, which are of type `kind`.
    fn typed(&mut self, kind: u32, what: &str) -> Result<&'a [u8]> {
        let start = self.at;
        let element = self.element()?;
        if element.kind != kind {
            let message = format!("{what} of type {}: expected {kind}", element.kind);
            return Err(self.fail(start, &message));
        }
        Ok(&self.bytes[element.data])
    }

    /// The array whose contents these are, if it is one of `names`: which one, and it.
    fn array(&mut self, names: &[&str]) -> Result<Option<(usize, Array)>> {
        let start = self.at;
        let flags = word(self.typed(UINT32, "array flags")?)
            .ok_or_else(|| self.fail(start, "array flags of fewer than 4 bytes: expected 8"))?;
        let at = self.at;
        let sizes = self.typed(INT32, "dimensions")?;
        let name = self.typed(INT8, "an array's name")?;
        let Some(which) = names.iter().position(|wanted| wanted.as_bytes() == name) else {
            return Ok(None);
        };
        let name = names[which];
        let class = flags & 0xff;
        if !NUMERIC.contains(&class) || flags & COMPLEX != 0 {
            let complex = if flags & COMPLEX != 0 { ", complex" } else { "" };
            let message = format!("array {name} of class {class}{complex}: expected real numbers");
            return Err(self.fail(start, &message));
        }
        let dims: Option<Vec<usize>> = sizes
            .chunks(4)
            .map(|size| {
                word(size).filter(|size| *size <= i32::MAX as u32).map(|size| size as usize)
            })
            .collect();
        let product =
            |dims: &Vec<usize>| dims.iter().try_fold(1_usize, |n, dim| n.checked_mul(*dim));
        let dims =
            dims.filter(|dims| dims.len() >= 2 && product(dims).is_some()).ok_or_else(|| {
                let message = format!(
                    "array {name} has dimensions of bytes {sizes:?}: expected two sizes or more"
                );
                self.fail(at, &message)
            })?;
        let at = self.at;
        let Element { kind, data } = self.element()?;
        let number = Number::of(kind).ok_or_else(|| {
            self.fail(at, &format!("array {name} stored as type {kind}: expected 1 to 7 or 9"))
        })?;
        if product(&dims).and_then(|n| n.checked_mul(number.size())) != Some(data.len()) {
            let message = format!(
                "array {name}: {} bytes of data, {} to a number: expected the product of {dims:?}",
                data.len(),
                number.size()
            );
            return Err(self.fail(at, &message));
        }
        Ok(Some((which, Array { dims, number, bytes: self.bytes[data].to_vec() })))
    }
}

#[cfg(test)]
pub(super) mod tests;
