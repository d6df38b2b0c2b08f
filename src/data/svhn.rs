//! SVHN's cropped digits (Netzer et al. 2011): `train_32x32.mat` and `test_32x32.mat`.

use std::path::Path;
use std::sync::Arc;

use super::binary::{Records, add_records, index};
use super::dataset::{Index, Layout, Split};
use super::mat::{self, Array, Number};
use crate::{Error, Result};

/// Pixels to a side.
const SIDE: usize = 32;
const CHANNELS: usize = 3;
/// The label that stands for the digit 0.
const ZERO: f64 = 10.0;

/// The files of the set, of which one may be missing.
const FILES: [(&str, Split); 2] =
    [("train_32x32.mat", Split::Train), ("test_32x32.mat", Split::Test)];

pub(super) fn scan(dir: &Path) -> Result<Index> {
    let classes: Vec<String> = (0..10).map(|digit| digit.to_string()).collect();
    let mut samples = Vec::new();
    let mut found = false;
    for (file, split) in FILES {
        let path = dir.join(file);
        if path.is_file() {
            found = true;
            let (records, labels) = read(&path)?;
            add_records(&mut samples, &records, split, &classes, |k| labels[k])?;
        }
    }
    if !found {
        let [(train, _), (test, _)] = FILES;
        return Err(Error::file(dir.join(train), format!("no such file, nor {test}")));
    }
    Ok(index(Layout::Svhn, samples, classes))
}

/// The images of a file, and the digit of each.
fn read(path: &Path) -> Result<(Arc<Records>, Vec<u8>)> {
    let [images, labels] = mat::read(path, ["X", "y"])?;
    let fail = |message: String| Err(Error::file(path, message));
    let Array { dims, number, mut bytes } = images;
    // MATLAB leaves a last size of 1 out.
    let ([SIDE, SIDE, CHANNELS] | [SIDE, SIDE, CHANNELS, _], Number::U8) = (&dims[..], number)
    else {
        return fail(format!("X {dims:?} of {number:?}: expected bytes [32, 32, 3, N]"));
    };
    let n = bytes.len() / (SIDE * SIDE * CHANNELS);
    let of_labels = &labels.dims;
    if *of_labels != [n, 1] && *of_labels != [1, n] {
        return fail(format!("y {of_labels:?}: expected [{n}, 1], a label to an image of X"));
    }
    let digit = |(k, label): (usize, f64)| match label {
        ZERO => Ok(0),
        _ if (1.0..ZERO).contains(&label) && label.fract() == 0.0 => Ok(label as u8),
        _ => Err(Error::file(
            path,
            format!("image {k} has label {label}: expected 1 to 9, or 10 for the digit 0"),
        )),
    };
    let digits = labels.numbers().enumerate().map(digit).collect::<Result<_>>()?;
    bytes.chunks_exact_mut(SIDE * SIDE).for_each(transpose);
    Ok((Arc::new(Records::of_planes(path, bytes, 0, [SIDE, SIDE, CHANNELS])), digits))
}

/// Columns of a square plane become its rows.
fn transpose(plane: &mut [u8]) {
    for row in 0..SIDE {
        for column in 0..row {
            plane.swap(row * SIDE + column, column * SIDE + row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::mat::tests::golden;
    use crate::data::testing::{folder_of, put, quiet};
    use crate::data::{DataSpec, Dataset, DatasetOptions, Format, check};

    fn spec(dir: &Path) -> DataSpec {
        DataSpec { format: Format::Svhn, dir: dir.into() }
    }

    fn kinds(index: &Index, split: Split) -> Vec<&str> {
        let of_split = index.samples.iter().filter(|sample| sample.split == split);
        of_split.map(|sample| sample.kind.as_str()).collect()
    }

    #[test]
    fn files_of_scipy_give_their_digits_and_pixels() {
        let index = Index::scan(&spec(golden())).unwrap();
        assert_eq!(kinds(&index, Split::Train), ["1", "9", "0", "2", "1"]);
        assert_eq!(kinds(&index, Split::Test), ["5", "0", "1"]);
        assert_eq!(index.samples[6].name, "test_32x32.mat#1");
        for (n, sample) in index.samples.iter().enumerate() {
            let raster = sample.decode(1024).unwrap();
            assert_eq!((raster.height, raster.width, raster.channels), (32, 32, 3));
            // The formula of kernels-tests/golden/make_svhn.py, whose sizes all differ.
            let value = |i: usize| (7 * (i / 96) + 3 * (i / 3 % 32) + 50 * (i % 3) + 11 * n) % 251;
            let expected: Vec<u8> = (0..3072).map(|i| value(i) as u8).collect();
            assert_eq!(raster.bytes, expected, "{}", sample.name);
        }
        let options = DatasetOptions { normal_class: Some("1".into()), superclass: None };
        let set = Dataset::open(&spec(golden()), &options).unwrap();
        assert_eq!((set.train.len(), set.train_anomalies.len(), set.test.len()), (2, 3, 3));
    }

    #[test]
    fn one_of_the_files_is_enough() {
        let test = std::fs::read(golden().join("test_32x32.mat")).unwrap();
        let dir = folder_of([("test_32x32.mat", test)]);
        let index = Index::scan(&spec(dir.path())).unwrap();
        assert_eq!((kinds(&index, Split::Train).len(), index.samples.len()), (0, 3));
        let empty = folder_of([]);
        let message = Index::scan(&spec(empty.path())).unwrap_err().to_string();
        assert!(
            message.ends_with("train_32x32.mat: no such file, nor test_32x32.mat"),
            "{message}"
        );
        let message = Index::scan(&DataSpec::folder(golden())).unwrap_err().to_string();
        assert!(message.contains("a binary set: write svhn:"), "{message}");
    }

    #[test]
    fn what_is_not_svhn_is_named() {
        let whole = std::fs::read(golden().join("train_32x32.mat")).unwrap();
        let changed = |at: usize, bytes: &[u8]| {
            let mut file = whole.clone();
            file[at..at + bytes.len()].copy_from_slice(bytes);
            file
        };
        // y ends the file: its five labels, and three bytes of padding.
        let labels = whole.len() - 8;
        for (bytes, part) in [
            (changed(labels, &[0]), "image 0 has label 0: expected 1 to 9, or 10 for the digit 0"),
            (changed(labels + 3, &[11]), "image 3 has label 11"),
            // Sizes of X: 32, 32, 3, 5 from byte 160.
            (changed(160, &[16, 0, 0, 0, 64]), "X [16, 64, 3, 5] of U8: expected bytes [32, 32"),
            // Its data's type and of what class: bytes with a sign.
            (changed(184, &[1]), "X [32, 32, 3, 5] of I8: expected bytes"),
            // Sizes of y: 5, 1.
            (changed(labels - 24, &[1, 0, 0, 0, 5]), ""),
        ] {
            let dir = folder_of([]);
            put(dir.path(), "train_32x32.mat", &bytes);
            match (Index::scan(&spec(dir.path())), part) {
                (Ok(index), "") => assert_eq!(index.samples.len(), 5),
                (found, _) => {
                    let message = found.unwrap_err().to_string();
                    assert!(
                        message.contains("train_32x32.mat: ") && message.contains(part),
                        "{message}"
                    );
                }
            }
        }
    }

    #[test]
    fn it_can_be_checked() {
        let report = check::check(&spec(golden()), &DatasetOptions::default(), &quiet).unwrap();
        let text = report.to_string();
        for part in ["SVHN, cropped digits", "train       5 images", "8 stored as RGB 8-bit"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(report.is_clean() && !report.all_grey);
    }
}
