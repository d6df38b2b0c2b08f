//! Binary image sets: CIFAR-10, CIFAR-100, and MNIST-like idx files.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::read::GzDecoder;

use super::dataset::{Index, Layout, Sample, Source, Split};
use super::raster::Raster;
use crate::{Error, Result};

/// A file of equally sized images, in memory.
pub struct Records {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Bytes before the first record.
    header: usize,
    /// Bytes of labels before the pixels of each record.
    labels: usize,
    height: usize,
    width: usize,
    channels: usize,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Records({})", self.path.display())
    }
}

impl Records {
    /// Images of `[height, width, channels]`, each as its planes, behind `header` bytes of `bytes`, which came
    /// from `path`.
    pub(super) fn of_planes(
        path: &Path,
        bytes: Vec<u8>,
        header: usize,
        [height, width, channels]: [usize; 3],
    ) -> Self {
        Self { path: path.to_path_buf(), bytes, header, labels: 0, height, width, channels }
    }

    /// The file the records came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        (self.bytes.len() - self.header) / self.record_len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// `[height, width]` of each image.
    pub(super) fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// Bytes of one record.
    fn record_len(&self) -> usize {
        self.labels + self.height * self.width * self.channels
    }

    fn record(&self, index: usize) -> &[u8] {
        let len = self.record_len();
        &self.bytes[self.header + index * len..][..len]
    }

    /// The image of record `index`: planar in the file, channels innermost here.
    pub(super) fn raster(&self, index: usize) -> Raster {
        let planes = &self.record(index)[self.labels..];
        let area = self.height * self.width;
        let bytes = (0..area)
            .flat_map(|pixel| (0..self.channels).map(move |c| planes[c * area + pixel]))
            .collect();
        Raster { height: self.height, width: self.width, channels: self.channels, bytes }
    }
}

/// The prefix of a data SPEC that reads `dir`, going by the names of its files.
pub(super) fn format_of(dir: &Path) -> Option<&'static str> {
    let known = [
        ("cifar10", "data_batch_1.bin"),
        ("cifar100", "fine_label_names.txt"),
        ("idx", "train-images-idx3-ubyte"),
        ("idx", "train-images-idx3-ubyte.gz"),
        ("svhn", "train_32x32.mat"),
        ("svhn", "test_32x32.mat"),
    ];
    known.iter().find(|(_, file)| dir.join(file).is_file()).map(|(format, _)| *format)
}

pub(super) fn scan_cifar10(dir: &Path) -> Result<Index> {
    let classes = read_names(&dir.join("batches.meta.txt"), 10)?;
    let mut samples = Vec::new();
    for batch in 1..=5 {
        let records = read_cifar(dir.join(format!("data_batch_{batch}.bin")), 1)?;
        add_records(&mut samples, &records, Split::Train, &classes, |k| records.record(k)[0])?;
    }
    let records = read_cifar(dir.join("test_batch.bin"), 1)?;
    add_records(&mut samples, &records, Split::Test, &classes, |k| records.record(k)[0])?;
    Ok(index(Layout::Cifar10, samples, classes))
}

pub(super) fn scan_cifar100(dir: &Path) -> Result<Index> {
    let fine = read_names(&dir.join("fine_label_names.txt"), 100)?;
    let coarse = read_names(&dir.join("coarse_label_names.txt"), 20)?;
    let (mut samples, mut superclasses) = (Vec::new(), Vec::new());
    for (file, split) in [("train.bin", Split::Train), ("test.bin", Split::Test)] {
        let records = read_cifar(dir.join(file), 2)?;
        add_records(&mut samples, &records, split, &fine, |k| records.record(k)[1])?;
        for k in 0..records.len() {
            let label = records.record(k)[0];
            check_label(&records, k, label, coarse.len())?;
            superclasses.push(label);
        }
    }
    let mut index = index(Layout::Cifar100, samples, fine);
    index.superclasses = Some((coarse, superclasses));
    Ok(index)
}

pub(super) fn scan_idx(dir: &Path) -> Result<Index> {
    let mut samples = Vec::new();
    let classes: Vec<_> = (0..10).map(|digit| digit.to_string()).collect();
    for (prefix, split) in [("train", Split::Train), ("t10k", Split::Test)] {
        let (path, images) = read_idx(dir, &format!("{prefix}-images"), 3)?;
        let (label_path, labels) = read_idx(dir, &format!("{prefix}-labels"), 1)?;
        let [count, height, width] = [images.dims[0], images.dims[1], images.dims[2]];
        if labels.dims[0] != count {
            let message =
                format!("{} labels for {count} images of {}", labels.dims[0], path.display());
            return Err(Error::file(label_path, message));
        }
        let records = Records::of_planes(&path, images.bytes, images.header, [height, width, 1]);
        let records = Arc::new(records);
        let labels = &labels.bytes[labels.header..];
        add_records(&mut samples, &records, split, &classes, |k| labels[k])?;
    }
    Ok(index(Layout::Idx, samples, classes))
}

pub(super) fn index(layout: Layout, samples: Vec<Sample>, classes: Vec<String>) -> Index {
    Index { layout, samples, classes, superclasses: None, orphan_masks: Vec::new(), ignored: 0 }
}

pub(super) fn add_records(
    samples: &mut Vec<Sample>,
    records: &Arc<Records>,
    split: Split,
    classes: &[String],
    label: impl Fn(usize) -> u8,
) -> Result<()> {
    let file = records.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    for index in 0..records.len() {
        let class = label(index);
        check_label(records, index, class, classes.len())?;
        samples.push(Sample {
            name: format!("{file}#{index}"),
            source: Source::Record { records: records.clone(), index },
            split,
            kind: classes[usize::from(class)].clone(),
            anomalous: false,
            mask: None,
        });
    }
    Ok(())
}

fn check_label(records: &Records, index: usize, label: u8, classes: usize) -> Result<()> {
    if usize::from(label) < classes {
        return Ok(());
    }
    let message = format!("record {index} has label {label}: expected 0 to {}", classes - 1);
    Err(Error::file(&records.path, message))
}

/// A CIFAR file: records of `labels` bytes and 3 planes of 32x32.
fn read_cifar(path: PathBuf, labels: usize) -> Result<Arc<Records>> {
    let bytes = fs::read(&path).map_err(|error| not_cifar(&path, &error))?;
    let records = Records { path, bytes, header: 0, labels, height: 32, width: 32, channels: 3 };
    let (len, record) = (records.bytes.len(), records.record_len());
    if len == 0 || len % record != 0 {
        let message =
            format!("{len} bytes: expected a multiple of {record} ({labels} + 3072 per image)");
        return Err(Error::file(&records.path, message));
    }
    Ok(Arc::new(records))
}

fn not_cifar(path: &Path, error: &std::io::Error) -> Error {
    Error::file(path, format!("{error}; expected the files of the official binary version"))
}

/// One name per line; blank lines are passed over.
fn read_names(path: &Path, count: usize) -> Result<Vec<String>> {
    let text = fs::read_to_string(path).map_err(|error| not_cifar(path, &error))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let names: Vec<_> = lines.map(str::to_owned).collect();
    if names.len() != count {
        let message = format!("{} class names: expected {count}", names.len());
        return Err(Error::file(path, message));
    }
    Ok(names)
}

/// An idx file: two zero bytes, the type, the rank, big-endian `u32` sizes, data.
struct Idx {
    bytes: Vec<u8>,
    dims: Vec<usize>,
    header: usize,
}

/// Reads `<name>-idx<rank>-ubyte`, also with a dot for the last dash or as `.gz`.
fn read_idx(dir: &Path, name: &str, rank: usize) -> Result<(PathBuf, Idx)> {
    let wanted = format!("{name}-idx{rank}-ubyte");
    let spellings = [wanted.clone(), format!("{name}.idx{rank}-ubyte")];
    let names = spellings.iter().flat_map(|name| [name.clone(), format!("{name}.gz")]);
    let Some(path) = names.map(|name| dir.join(name)).find(|path| path.is_file()) else {
        return Err(Error::file(dir.join(wanted), "no such file, nor the same with .gz"));
    };
    let fail = |message: String| Err(Error::file(&path, message));
    let file = fs::read(&path).map_err(|error| Error::file(&path, error))?;
    let bytes = if file.starts_with(&[0x1f, 0x8b]) {
        let mut bytes = Vec::new();
        let mut limited = GzDecoder::new(&file[..]).take(MAX_IDX_BYTES);
        limited.read_to_end(&mut bytes).map_err(|error| Error::file(&path, error))?;
        bytes
    } else {
        file
    };
    let header = 4 + 4 * rank;
    let magic = [0, 0, UBYTE, rank as u8];
    if bytes.len() < header || bytes[..4] != magic {
        let found = &bytes[..bytes.len().min(4)];
        return fail(format!("starts with bytes {found:?}: expected {magic:?}"));
    }
    let dims: Vec<_> = bytes[4..header]
        .chunks_exact(4)
        .map(|size| u32::from_be_bytes([size[0], size[1], size[2], size[3]]) as usize)
        .collect();
    let wanted = dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim));
    let found = bytes.len() - header;
    if wanted != Some(found) || found == 0 {
        return fail(format!("{found} bytes of data: expected the product of {dims:?}"));
    }
    Ok((path, Idx { bytes, dims, header }))
}

/// Type byte of unsigned bytes in an idx file.
const UBYTE: u8 = 8;

/// The most that a gzipped idx file may unpack to, bytes. MNIST has 47 million.
const MAX_IDX_BYTES: u64 = 4 << 30;

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::data::testing::{folder_of, put, real_images};
    use crate::data::{DataSpec, Dataset, DatasetOptions, Format};

    fn open(format: Format, dir: &Path, options: &DatasetOptions) -> Result<Dataset> {
        Dataset::open(&DataSpec { format, dir: dir.into() }, options)
    }

    fn normal(class: &str) -> DatasetOptions {
        DatasetOptions { normal_class: Some(class.into()), superclass: None }
    }

    /// One CIFAR record: labels, then planes filled with 1, 2 and 3.
    fn record(labels: &[u8]) -> Vec<u8> {
        [labels, &[1; 1024], &[2; 1024], &[3; 1024]].concat()
    }

    fn cifar10() -> tempfile::TempDir {
        let names: String = (0..10).map(|i| format!("class{i}\n")).collect();
        let dir = folder_of([("batches.meta.txt", names.into_bytes())]);
        for batch in 1..=5 {
            put(dir.path(), &format!("data_batch_{batch}.bin"), &record(&[batch]));
        }
        put(dir.path(), "test_batch.bin", &[record(&[3]), record(&[9])].concat());
        dir
    }

    #[test]
    fn cifar10_planes_become_pixels() {
        let dir = cifar10();
        let set = open(Format::Cifar10, dir.path(), &normal("class3")).unwrap();
        assert_eq!((set.train.len(), set.test.len()), (1, 2));
        assert_eq!(set.train[0].name, "data_batch_3.bin#0");
        assert_eq!([set.test[0].anomalous, set.test[1].anomalous], [false, true]);
        let raster = set.train[0].decode(1).unwrap();
        assert_eq!((raster.height, raster.width, raster.channels), (32, 32, 3));
        assert!(raster.bytes.chunks(3).all(|pixel| pixel == [1, 2, 3]));
    }

    #[test]
    fn damaged_cifar_files_are_named() {
        for (file, bytes, part) in [
            ("data_batch_2.bin", record(&[1])[1..].to_vec(), "3072 bytes: expected a multiple"),
            ("data_batch_4.bin", Vec::new(), "0 bytes"),
            ("test_batch.bin", record(&[10]), "record 0 has label 10: expected 0 to 9"),
            ("batches.meta.txt", b"one\ntwo\n".to_vec(), "2 class names: expected 10"),
        ] {
            let dir = cifar10();
            put(dir.path(), file, &bytes);
            let message = open(Format::Cifar10, dir.path(), &normal("0")).unwrap_err().to_string();
            assert!(message.contains(file) && message.contains(part), "{message}");
        }
    }

    #[test]
    fn binary_sets_without_their_prefix_are_recognised() {
        let dir = cifar10();
        let message = open(Format::Folder, dir.path(), &normal("1")).unwrap_err().to_string();
        assert!(message.contains("a binary set: write cifar10:"), "{message}");
        let empty = folder_of([]);
        let message = open(Format::Cifar100, empty.path(), &normal("1")).unwrap_err().to_string();
        let part = "fine_label_names.txt: No such file";
        assert!(message.contains(part) && message.contains("official binary"), "{message}");
    }

    #[test]
    fn cifar100_by_class_and_by_superclass() {
        let lines = |n, what: &str| (0..n).map(|i| format!("{what}{i}\n")).collect::<String>();
        let dir = folder_of([
            ("fine_label_names.txt", lines(100, "fine").into_bytes()),
            ("coarse_label_names.txt", lines(20, "coarse").into_bytes()),
            ("train.bin", [record(&[4, 77]), record(&[4, 78])].concat()),
            ("test.bin", [record(&[4, 78]), record(&[5, 77])].concat()),
        ]);
        let set = open(Format::Cifar100, dir.path(), &normal("fine77")).unwrap();
        assert_eq!(set.train.len(), 1);
        assert_eq!([set.test[0].anomalous, set.test[1].anomalous], [true, false]);
        let coarse = DatasetOptions { normal_class: None, superclass: Some("coarse4".into()) };
        let set = open(Format::Cifar100, dir.path(), &coarse).unwrap();
        assert_eq!(set.train.len(), 2);
        assert_eq!([set.test[0].anomalous, set.test[1].anomalous], [false, true]);
        assert_eq!(set.test[1].kind, "coarse5");
        assert!(open(Format::Cifar10, cifar10().path(), &coarse).is_err());
    }

    fn idx(dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut file = vec![0, 0, 8, dims.len() as u8];
        file.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
        file.extend(data);
        file
    }

    fn mnist() -> tempfile::TempDir {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&idx(&[2, 2, 3], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])).unwrap();
        folder_of([
            ("train-images-idx3-ubyte.gz", gz.finish().unwrap()),
            ("train-labels-idx1-ubyte", idx(&[2], &[7, 1])),
            ("t10k-images.idx3-ubyte", idx(&[1, 2, 3], &[0; 6])),
            ("t10k-labels-idx1-ubyte", idx(&[1], &[7])),
        ])
    }

    #[test]
    fn idx_plain_gzipped_and_dotted() {
        let set = open(Format::Idx, mnist().path(), &normal("1")).unwrap();
        let raster = set.train[0].decode(1).unwrap();
        assert_eq!((raster.height, raster.width, raster.channels), (2, 3, 1));
        assert_eq!(raster.bytes, [7, 8, 9, 10, 11, 12]);
        assert!(set.test[0].anomalous);
    }

    #[test]
    fn damaged_idx_files_are_named() {
        for (file, bytes, part) in [
            ("train-labels-idx1-ubyte", idx(&[2, 1], &[7, 1]), "expected [0, 0, 8, 1]"),
            ("train-labels-idx1-ubyte", idx(&[3], &[7, 1, 1]), "3 labels for 2 images"),
            ("train-labels-idx1-ubyte", idx(&[2], &[7, 10]), "has label 10"),
            ("t10k-images.idx3-ubyte", idx(&[1, 2, 3], &[0; 5]), "5 bytes of data"),
            ("t10k-images.idx3-ubyte", idx(&[u32::MAX; 3], &[0; 5]), "5 bytes of data"),
            ("t10k-images.idx3-ubyte", vec![0, 0, 8], "starts with bytes [0, 0, 8]"),
            ("train-images-idx3-ubyte.gz", vec![0x1f, 0x8b, 8], "train-images"),
        ] {
            let dir = mnist();
            put(dir.path(), file, &bytes);
            let message = open(Format::Idx, dir.path(), &normal("1")).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let message = open(Format::Idx, folder_of([]).path(), &normal("1")).unwrap_err();
        assert!(message.to_string().contains("train-images-idx3-ubyte"), "{message}");
    }

    #[test]
    fn real_cifar10_has_its_counts() {
        let Some(dir) = real_images("cifar10") else { return };
        for class in ["airplane", "truck"] {
            let set = open(Format::Cifar10, &dir, &normal(class)).unwrap();
            assert_eq!((set.train.len(), set.test.len()), (5_000, 10_000));
            assert_eq!(set.test.iter().filter(|sample| !sample.anomalous).count(), 1_000);
        }
        let index = Index::scan(&DataSpec { format: Format::Cifar10, dir }).unwrap();
        for class in &index.classes {
            let of_class = index.samples.iter().filter(|sample| sample.kind == *class);
            assert_eq!(of_class.count(), 6_000, "{class}");
        }
    }
}
