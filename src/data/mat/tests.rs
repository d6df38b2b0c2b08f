use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;

use super::*;

/// The folder of files that SciPy wrote.
pub(in crate::data) fn golden() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels-tests/golden/svhn"))
}

fn of(bytes: &[u8]) -> Result<[Array; 2]> {
    read_bytes(Path::new("file.mat"), bytes, ["X", "y"])
}

fn element(kind: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u32).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

fn short(kind: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = [kind.to_le_bytes(), (data.len() as u16).to_le_bytes()].concat();
    bytes.extend(data);
    bytes.resize(8, 0);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// An array of flags, sizes, a name of up to four letters, and its data element.
fn matrix(flags: u32, dims: &[u32], name: &str, data: &[u8]) -> Vec<u8> {
    let parts = [
        element(UINT32, &words(&[flags, 0])),
        element(INT32, &words(dims)),
        short(1, name.as_bytes()),
        data.to_vec(),
    ];
    element(MATRIX, &parts.concat())
}

fn packed(contents: &[u8]) -> Vec<u8> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
    zlib.write_all(contents).unwrap();
    let data = zlib.finish().unwrap();
    [words(&[COMPRESSED, data.len() as u32]), data].concat()
}

fn file(elements: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![b' '; HEADER - 4];
    bytes.extend([0, 1, b'I', b'M']);
    bytes.extend(elements.concat());
    bytes
}

/// Whole numbers of class double, kept as bytes as MATLAB does.
fn y() -> Vec<u8> {
    matrix(6, &[3, 1], "y", &short(2, &[7, 10, 1]))
}

fn x() -> Vec<u8> {
    matrix(9, &[2, 3], "X", &element(2, &[1, 2, 3, 4, 5, 6]))
}

#[test]
fn arrays_are_found_in_any_order_and_form() {
    let other = matrix(4, &[1, 2], "text", &element(4, &[65, 0, 66, 0]));
    let long = element(
        MATRIX,
        &[
            &element(UINT32, &words(&[1, 0]))[..],
            &element(INT32, &words(&[1, 1])),
            &element(INT8, b"a cell"),
        ]
        .concat(),
    );
    for elements in [
        vec![x(), y()],
        vec![packed(&y()), packed(&x())],
        vec![other.clone(), packed(&long), y(), packed(&other), long, x(), vec![1, 2, 3]],
    ] {
        let [x, y] = of(&file(&elements)).unwrap();
        assert_eq!((&x.dims[..], &x.bytes[..]), (&[2, 3][..], &[1, 2, 3, 4, 5, 6][..]));
        assert_eq!((&y.dims[..], y.number), (&[3, 1][..], Number::U8));
        assert_eq!(y.numbers().collect::<Vec<_>>(), [7.0, 10.0, 1.0]);
    }
}

#[test]
fn numbers_of_every_kind() {
    let cases: [(u32, Vec<u8>, f64); 8] = [
        (1, vec![0xfe], -2.0),
        (2, vec![0xfe], 254.0),
        (3, (-300_i16).to_le_bytes().to_vec(), -300.0),
        (4, 60_000_u16.to_le_bytes().to_vec(), 60_000.0),
        (5, (-70_000_i32).to_le_bytes().to_vec(), -70_000.0),
        (6, 4_000_000_000_u32.to_le_bytes().to_vec(), 4e9),
        (7, 0.75_f32.to_le_bytes().to_vec(), 0.75),
        (9, (-1e300_f64).to_le_bytes().to_vec(), -1e300),
    ];
    for (kind, bytes, number) in cases {
        let y = matrix(6, &[1, 2], "y", &element(kind, &bytes.repeat(2)));
        let [_, y] = of(&file(&[x(), y])).unwrap();
        assert_eq!(y.numbers().collect::<Vec<_>>(), [number; 2]);
    }
}

#[test]
fn faults_are_named_with_their_place() {
    let whole = file(&[x(), y()]);
    let header = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    // Far more than there is, in the tag of the data: nothing of that size may be made.
    let mut greedy = x();
    greedy[52..56].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut bomb = x();
    bomb[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut checksum = packed(&x());
    *checksum.last_mut().unwrap() ^= 1;
    let one = |element: Vec<u8>| file(&[element]);
    let flags = |flags| one(matrix(flags, &[1, 1], "X", &short(2, &[1])));
    let dims = |dims: &[u32]| one(matrix(9, dims, "X", &short(2, &[1])));
    for (bytes, part) in [
        (Vec::new(), "0 bytes: expected a MATLAB header of 128"),
        (b"MATLAB 7.3 MAT-file, Platform".to_vec(), "MATLAB 7.3 (HDF5)"),
        (b"\x89HDF\r\n\x1a\n".to_vec(), "MATLAB 7.3 (HDF5)"),
        (header(126, b"MI"), "byte 126: the file is big-endian"),
        (header(124, &[0, 2]), "byte 124: [0, 2, 73, 77]: expected version"),
        (header(128, &words(&[7])), "byte 128: element of type 7: expected an array"),
        (header(132, &words(&[5000])), "byte 128: element of type 14, 5000 bytes: expected"),
        (header(136, &words(&[5])), "byte 136: array flags of type 5: expected 6"),
        (file(&[vec![1, 2, 3]]), "byte 128: 3 bytes: expected an element's tag of 8"),
        (one(x()), "holds no array y"),
        (one(greedy.clone()), "byte 176: element of type 2, 4294967295 bytes: expected"),
        (one(packed(&greedy)), "byte 128, compressed element, byte 40 of its contents: element"),
        (one(packed(&bomb)), "compressed element of type 14, 4294967295 bytes: expected"),
        (one(packed(&x()[..40])), "32 bytes in a compressed element: expected"),
        (one(packed(&[x(), vec![0]].concat())), "more bytes in a compressed element"),
        (one(packed(&y()[..4])), "byte 128: compressed element: "),
        (one(checksum), "byte 128: compressed element: "),
        (one([words(&[COMPRESSED, 4]), vec![1, 2, 3, 4]].concat()), "compressed element: "),
        (flags(4), "byte 136: array X of class 4: expected real numbers"),
        (flags(9 | COMPLEX), "array X of class 9, complex: expected real numbers"),
        (dims(&[1]), "byte 152: array X has dimensions of bytes [1, 0, 0, 0]"),
        (dims(&[1, u32::MAX]), "expected two sizes or more"),
        (dims(&[1 << 30, 1 << 30, 1 << 30]), "expected two sizes or more"),
        (dims(&[1, 2]), "1 bytes of data, 1 to a number: expected the product of [1, 2]"),
        (one(matrix(9, &[1, 1], "X", &element(12, &[0; 8]))), "array X stored as type 12"),
    ] {
        let message = of(&bytes).unwrap_err().to_string();
        assert!(message.starts_with("file.mat: ") && message.contains(part), "{part}: {message}");
    }
}

/// What is read of damaged bytes agrees with itself.
fn survives(bytes: &[u8]) {
    if let Ok(arrays) = of(bytes) {
        for array in arrays {
            assert_eq!(array.numbers().count(), array.dims.iter().product::<usize>());
        }
    }
}

fn written(name: &str) -> Vec<u8> {
    fs::read(golden().join(name)).unwrap()
}

#[test]
fn every_truncation_is_an_error() {
    let (plain, small) = (written("train_32x32.mat"), written("test_32x32.mat"));
    assert!(of(&plain).is_ok() && of(&small).is_ok());
    for end in 0..small.len() {
        assert!(of(&small[..end]).is_err(), "{end}");
    }
    // Three bytes at the end are padding.
    for end in (0..plain.len() - 3).filter(|end| end % 64 < 9 || plain.len() - end < 200) {
        assert!(of(&plain[..end]).is_err(), "{end}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]
    #[test]
    fn damage_never_panics(
        plain: bool,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        early: bool,
    ) {
        let mut bytes = written(if plain { "train_32x32.mat" } else { "test_32x32.mat" });
        for (at, value) in &changes {
            // Tags lie in the first bytes.
            let at = at.index(if early { 200 } else { bytes.len() });
            bytes[at] = *value;
        }
        survives(&bytes);
    }

    /// Contents that unpack well, but are damaged.
    #[test]
    fn damage_within_compression_never_panics(
        changes in prop::collection::vec((0usize..80, any::<u8>()), 1..6),
    ) {
        let mut contents = x();
        for (at, value) in &changes {
            let at = at % contents.len();
            contents[at] = *value;
        }
        survives(&file(&[packed(&contents), y()]));
    }

    #[test]
    fn noise_never_panics(noise in prop::collection::vec(any::<u8>(), 0..300)) {
        survives(&file(&[noise]));
    }
}
