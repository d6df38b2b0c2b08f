//! What the tests of this module share.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

use super::{DataSpec, Dataset, DatasetOptions, Sample};

/// A folder with the given files, each with its bytes; `/` in a name makes sub-folders.
pub(super) fn folder_of<'a>(
    files: impl IntoIterator<Item = (&'a str, Vec<u8>)>,
) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(dir.path(), name, &bytes);
    }
    dir
}

/// Writes `bytes` to `name` below `dir`, making folders.
pub(super) fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A grey PNG file of one value.
pub(super) fn grey_png(height: u32, width: u32, value: u8) -> Vec<u8> {
    let row = [vec![0], vec![value; width as usize]].concat();
    png(width, height, 8, 0, &[], &row.repeat(height as usize))
}

/// Progress nobody looks at.
pub(super) fn quiet(_: usize, _: usize) {}

/// Images of value 10, 20, … of different sizes; every third file is damaged where asked.
pub(super) fn numbered(count: u8, damaged: bool) -> (tempfile::TempDir, Vec<Sample>) {
    let names: Vec<_> = (0..count).map(|i| format!("{i:02}.png")).collect();
    let files = names.iter().zip(0..).map(|(name, i)| {
        let bad = damaged && i % 3 == 2;
        let bytes = if bad { b"?".to_vec() } else { grey_png(4 + u32::from(i), 5, 10 * (i + 1)) };
        (name.as_str(), bytes)
    });
    let dir = folder_of(files);
    let spec = DataSpec::folder(dir.path());
    let samples = Dataset::open(&spec, &DatasetOptions::default()).unwrap().train;
    (dir, samples)
}

/// A PNG file; `rows` are its filtered rows, each with its filter byte.
pub(super) fn png(
    width: u32,
    height: u32,
    depth: u8,
    color: u8,
    chunks: &[([u8; 4], Vec<u8>)],
    rows: &[u8],
) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let sizes = [width.to_be_bytes(), height.to_be_bytes()].concat();
    chunk(&mut file, b"IHDR", &[&sizes[..], &[depth, color, 0, 0, 0]].concat());
    for (name, data) in chunks {
        chunk(&mut file, name, data);
    }
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(rows).unwrap();
    chunk(&mut file, b"IDAT", &zlib.finish().unwrap());
    chunk(&mut file, b"IEND", &[]);
    file
}

fn chunk(file: &mut Vec<u8>, name: &[u8; 4], data: &[u8]) {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(data);
    file.extend((data.len() as u32).to_be_bytes());
    file.extend(name);
    file.extend(data);
    file.extend(crc.sum().to_be_bytes());
}

/// The folder with the real images: `$ANOMEM_DATA`, or what `../shared/data/unpack` prints.
///
/// Where there are none the test says so and passes, except under `CI`, where it fails.
pub(super) fn real_images(set: &str) -> Option<PathBuf> {
    let root = std::env::var_os("ANOMEM_DATA").map(PathBuf::from).or_else(|| {
        let unpack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/unpack");
        let output = Command::new("bash").arg(unpack).output().ok()?;
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().into())
    });
    let dir = root.map(|root| root.join(set)).filter(|dir| dir.is_dir());
    if dir.is_none() {
        let message = format!("SKIPPED: no real images of {set}; set ANOMEM_DATA to their folder");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("\n{message}\n");
    }
    dir
}
