//! `anomem check SPEC`: what is in a set and what is wrong with it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use rayon::prelude::*;
use serde::Serialize;

use super::dataset::{DatasetOptions, Index, Layout, Sample, Source, Split};
use super::decode::{self, DEFAULT_MAX_PIXELS};
use super::load::Progress;
use super::raster::Raster;
use super::spec::DataSpec;
use crate::Result;

/// What [`check`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The set, as it was named.
    pub spec: String,
    /// How it is laid out.
    pub layout: Layout,
    /// What is normal and what is not; `None` while the normal class has yet to be said.
    pub one_class: Option<OneClass>,
    /// Images in each kind of each split.
    pub counts: BTreeMap<Split, BTreeMap<String, usize>>,
    /// Files passed over because of their extension.
    pub ignored: usize,
    /// Sizes of the readable images; `None` when there are none.
    pub sizes: Option<Sizes>,
    /// Readable images by how they are stored, such as `grey 8-bit`.
    pub stored_as: BTreeMap<String, usize>,
    /// Whether every readable image is grey, so that one channel is enough.
    pub all_grey: bool,
    /// Images that cannot be read.
    pub unreadable: Vec<Finding>,
    /// Masks that cannot be read, or whose size is not that of their image.
    pub bad_masks: Vec<Finding>,
    /// Names of test and training images with the same size and the same decoded pixels.
    pub duplicates: Vec<Duplicate>,
    /// Masks that belong to no image.
    pub masks_without_image: Vec<String>,
    /// Anomalous test images without a mask, where others have one.
    pub images_without_mask: Vec<String>,
    /// Anomalous test images whose mask marks nothing.
    pub empty_masks: Vec<String>,
    /// Images of 16 bits, if none of them uses more than 14: they lose most levels when read as 8 bits.
    pub narrow_16_bit: Vec<String>,
}

/// How many images there are to learn from and to judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OneClass {
    /// Normal training images.
    pub train: usize,
    /// Normal test images.
    pub test_normal: usize,
    /// Anomalous test images.
    pub test_anomalous: usize,
}

impl OneClass {
    fn of(samples: &[Sample]) -> Self {
        let count = |split, anomalous| {
            samples.iter().filter(|s| s.split == split && s.anomalous == anomalous).count()
        };
        Self {
            train: count(Split::Train, false),
            test_normal: count(Split::Test, false),
            test_anomalous: count(Split::Test, true),
        }
    }
}

/// Smallest, middle and largest `[height, width]`, each side for itself, pixels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Smallest.
    pub min: [usize; 2],
    /// Middle; the upper of two.
    pub median: [usize; 2],
    /// Largest.
    pub max: [usize; 2],
}

/// A file and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The image's name in the set.
    pub name: String,
    /// What is wrong, naming the file.
    pub message: String,
}

/// An image that is in both splits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Duplicate {
    /// Its name in training.
    pub train: String,
    /// Its name in test.
    pub test: String,
}

/// What one sample contributes.
struct Examined {
    image: Result<Seen>,
    /// Whether its mask marks nothing; `None` without a mask.
    mask_is_empty: Result<Option<bool>>,
}

struct Seen {
    size: [usize; 2],
    stored_as: String,
    greatest_16_bit: Option<u16>,
    grey: bool,
    /// Of size and pixels, colour written out.
    hash: blake3::Hash,
}

/// Decodes every image and mask of `spec`, on all cores, and reports what is there. A set of classes
/// may be checked before anyone has said, in `options`, which is normal.
///
/// # Errors
/// Those of [`Index::scan`], and [`Error::Usage`](crate::Error::Usage) when a normal class is
/// unknown or not wanted; what is wrong with single files is reported instead.
pub fn check(spec: &DataSpec, options: &DatasetOptions, progress: Progress<'_>) -> Result<Report> {
    let mut index = Index::scan(spec)?;
    let labelled = !index.layout.needs_normal_class() || *options != DatasetOptions::default();
    if labelled {
        index.label(options)?;
    }
    let done = std::sync::atomic::AtomicUsize::new(0);
    let examined: Vec<_> = index
        .samples
        .par_iter()
        .map(|sample| {
            let examined = examine(sample);
            let so_far = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            progress(so_far, index.samples.len());
            examined
        })
        .collect();
    let mut report = summarise(spec, &index, &examined);
    report.one_class = labelled.then(|| OneClass::of(&index.samples));
    Ok(report)
}

fn examine(sample: &Sample) -> Examined {
    let image = match &sample.source {
        Source::File(path) => decode::decode_file(path, DEFAULT_MAX_PIXELS)
            .map(|d| seen(d.raster, d.stored_as, d.greatest_16_bit)),
        Source::Record { records, index } => {
            let raster = records.raster(*index);
            let stored_as = if raster.channels == 1 { "grey 8-bit" } else { "RGB 8-bit" };
            Ok(seen(raster, stored_as.into(), None))
        }
    };
    let mask = sample.decode_mask(DEFAULT_MAX_PIXELS);
    let is_empty = |mask: Raster| {
        let [height, width] = [mask.height, mask.width];
        mask.resized_mask(height, width).bytes.iter().all(|&value| value == 0)
    };
    Examined { image, mask_is_empty: mask.map(|mask| mask.map(is_empty)) }
}

fn seen(raster: Raster, stored_as: String, greatest_16_bit: Option<u16>) -> Seen {
    let size = [raster.height, raster.width];
    let grey = raster.is_grey();
    let mut hash = blake3::Hasher::new();
    hash.update(format!("{size:?}").as_bytes());
    hash.update(&raster.with_channels(3).bytes);
    Seen { size, stored_as, greatest_16_bit, grey, hash: hash.finalize() }
}

fn summarise(spec: &DataSpec, index: &Index, examined: &[Examined]) -> Report {
    let mut report = Report {
        spec: spec.to_string(),
        layout: index.layout,
        one_class: None,
        counts: BTreeMap::new(),
        ignored: index.ignored,
        sizes: sizes(examined.iter().flat_map(|one| &one.image).map(|seen| seen.size)),
        stored_as: BTreeMap::new(),
        all_grey: examined.iter().flat_map(|one| &one.image).all(|seen| seen.grey),
        unreadable: Vec::new(),
        bad_masks: Vec::new(),
        duplicates: Vec::new(),
        masks_without_image: index.orphan_masks.iter().map(|p| p.display().to_string()).collect(),
        images_without_mask: Vec::new(),
        empty_masks: Vec::new(),
        narrow_16_bit: narrow_16_bit(index, examined),
    };
    let masks_in_use = index.samples.iter().any(|sample| sample.mask.is_some());
    let all = || index.samples.iter().zip(examined);
    let mut learned_from = HashMap::new();
    for (sample, Examined { image, .. }) in all() {
        if let (Split::Train, false, Ok(seen)) = (sample.split, sample.anomalous, image) {
            learned_from.entry(seen.hash).or_insert(&sample.name);
        }
    }
    for (sample, Examined { image, mask_is_empty }) in all() {
        let name = || sample.name.clone();
        *report.counts.entry(sample.split).or_default().entry(sample.kind.clone()).or_default() +=
            1;
        match image {
            Ok(seen) => {
                *report.stored_as.entry(seen.stored_as.clone()).or_default() += 1;
                if let (Split::Test, Some(&train)) = (sample.split, learned_from.get(&seen.hash)) {
                    report.duplicates.push(Duplicate { train: train.clone(), test: name() });
                }
            }
            Err(error) => {
                report.unreadable.push(Finding { name: name(), message: error.to_string() });
            }
        }
        match mask_is_empty {
            Ok(Some(true)) => report.empty_masks.push(name()),
            // A mask cannot be compared with an image that is reported already.
            Err(error) if image.is_ok() => {
                report.bad_masks.push(Finding { name: name(), message: error.to_string() });
            }
            Ok(None) if masks_in_use && sample.anomalous => report.images_without_mask.push(name()),
            _ => {}
        }
    }
    report
}

/// The images of 16 bits, unless one of them has a sample beyond 14: those of a camera of 10 or 12 bits that were
/// not scaled to the full range.
fn narrow_16_bit(index: &Index, examined: &[Examined]) -> Vec<String> {
    let greatest = |one: &Examined| one.image.as_ref().ok()?.greatest_16_bit;
    if examined.iter().filter_map(greatest).any(|sample| sample >> 14 > 0) {
        return Vec::new();
    }
    let deep = index.samples.iter().zip(examined).filter(|(_, one)| greatest(one).is_some());
    deep.map(|(sample, _)| sample.name.clone()).collect()
}

fn sizes(all: impl Iterator<Item = [usize; 2]>) -> Option<Sizes> {
    let (mut heights, mut widths): (Vec<_>, Vec<_>) = all.map(|[h, w]| (h, w)).unzip();
    heights.sort_unstable();
    widths.sort_unstable();
    let at = |index: usize| Some([*heights.get(index)?, *widths.get(index)?]);
    let last = heights.len().checked_sub(1)?;
    Some(Sizes { min: at(0)?, median: at(heights.len() / 2)?, max: at(last)? })
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings().iter().all(|(_, names)| names.is_empty())
    }

    /// Everything that is wrong: what, and which files.
    fn findings(&self) -> [(&'static str, Vec<String>); 7] {
        let messages =
            |list: &[Finding]| list.iter().map(|finding| finding.message.clone()).collect();
        let pairs = self.duplicates.iter().map(|pair| format!("{} = {}", pair.test, pair.train));
        [
            ("unreadable images", messages(&self.unreadable)),
            ("bad masks", messages(&self.bad_masks)),
            ("test images that are also in train (same pixels)", pairs.collect()),
            ("masks without an image", self.masks_without_image.clone()),
            ("anomalous test images without a mask", self.images_without_mask.clone()),
            ("empty masks of anomalous images", self.empty_masks.clone()),
            (
                "16-bit images that all use at most 14 bits, few of them as 8 bits: scale them to the full range",
                self.narrow_16_bit.clone(),
            ),
        ]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// How many files of each finding are named.
        const SHOWN: usize = 10;
        writeln!(f, "{}: {}", self.spec, self.layout)?;
        for (split, kinds) in &self.counts {
            writeln!(f, "  {split:<6}{:>7} images", kinds.values().sum::<usize>())?;
            for (kind, count) in kinds {
                writeln!(f, "        {count:>7} {kind}")?;
            }
        }
        match &self.one_class {
            None => writeln!(f, "  to train on it, say which class is normal")?,
            Some(OneClass { train, test_normal, test_anomalous }) => writeln!(
                f,
                "  {train} normal to learn from; to judge {test_normal} normal, {test_anomalous} \
                 anomalous"
            )?,
        }
        if let Some(Sizes { min, median, max }) = &self.sizes {
            let side = |[height, width]: &[usize; 2]| format!("{height} x {width}");
            let (min, median, max) = (side(min), side(median), side(max));
            writeln!(f, "  height x width: min {min}, median {median}, max {max}")?;
        }
        for (stored_as, count) in &self.stored_as {
            writeln!(f, "  {count} stored as {stored_as}")?;
        }
        let channels = if self.all_grey { "1 (every image is grey)" } else { "3" };
        writeln!(f, "  channels needed: {channels}")?;
        if self.ignored > 0 {
            writeln!(f, "  {} other files ignored", self.ignored)?;
        }
        for (what, files) in self.findings().iter().filter(|(_, files)| !files.is_empty()) {
            writeln!(f, "! {what}: {}", files.len())?;
            for file in files.iter().take(SHOWN) {
                writeln!(f, "    {file}")?;
            }
            if files.len() > SHOWN {
                writeln!(f, "    and {} more", files.len() - SHOWN)?;
            }
        }
        if self.is_clean() { writeln!(f, "nothing wrong found") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{folder_of, grey_png, png, quiet, real_images};

    #[test]
    fn every_finding_is_found() {
        let rgb_of_7 = png(2, 1, 8, 2, &[], &[0, 7, 7, 7, 7, 7, 7]);
        let dir = folder_of([
            ("train/good/0.png", grey_png(4, 6, 1)),
            ("train/good/1.png", grey_png(1, 2, 7)),
            ("train/good/2.png", b"no image".to_vec()),
            ("train/good/readme.txt", Vec::new()),
            ("test/good/0.png", grey_png(8, 2, 3)),
            ("test/good/1.png", png(4, 4, 16, 0, &[], &[0, 15, 255, 0, 0, 0, 0, 0, 0].repeat(4))),
            ("test/dent/0.png", rgb_of_7),
            ("test/dent/1.png", grey_png(4, 4, 5)),
            ("test/dent/2.png", grey_png(4, 4, 6)),
            ("test/dent/3.png", grey_png(4, 4, 7)),
            ("ground_truth/dent/0_mask.png", grey_png(1, 2, 255)),
            ("ground_truth/dent/1_mask.png", grey_png(4, 4, 127)),
            ("ground_truth/dent/2_mask.png", grey_png(3, 4, 255)),
            ("ground_truth/dent/8_mask.png", grey_png(4, 4, 255)),
        ]);
        let report =
            check(&DataSpec::folder(dir.path()), &DatasetOptions::default(), &quiet).unwrap();
        assert_eq!(report.counts[&Split::Train]["good"], 3);
        assert_eq!(report.counts[&Split::Test]["dent"], 4);
        assert_eq!(report.ignored, 1);
        let sizes = Sizes { min: [1, 2], median: [4, 4], max: [8, 6] };
        assert_eq!(report.sizes, Some(sizes));
        assert_eq!((report.stored_as["grey 8-bit"], report.stored_as["RGB 8-bit"]), (6, 1));
        assert!(report.all_grey);
        assert_eq!(report.unreadable[0].name, "train/good/2.png");
        assert!(report.bad_masks[0].message.contains("mask of 3 x 4"));
        let pair = Duplicate { train: "train/good/1.png".into(), test: "test/dent/0.png".into() };
        assert_eq!(report.duplicates, [pair]);
        assert!(report.masks_without_image[0].ends_with("8_mask.png"));
        assert_eq!(report.images_without_mask, ["test/dent/3.png"]);
        assert_eq!(report.empty_masks, ["test/dent/1.png"]);
        let lengths = report.findings().map(|(_, files)| files.len());
        assert_eq!(lengths, [1; 7]);
        let text = report.to_string();
        for part in ["train       3 images", "min 1 x 2, median 4 x 4, max 8 x 6", "! bad masks: 1"]
        {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(serde_json::to_string(&report).unwrap().contains("\"layout\":\"mvtec_ad\""));
    }

    #[test]
    fn nothing_readable_is_still_a_report() {
        let dir = folder_of([("a.jpg", b"text".to_vec()), ("b.png", Vec::new())]);
        let report =
            check(&DataSpec::folder(dir.path()), &DatasetOptions::default(), &quiet).unwrap();
        assert_eq!((report.unreadable.len(), report.sizes.clone()), (2, None));
        assert!(!report.is_clean());
    }

    #[test]
    fn only_what_would_be_learned_from_can_leak() {
        let numbers = ["0", "1", "2", "3", "4"];
        let files: Vec<_> = numbers.iter().map(|n| format!("cat/{n}.png")).collect();
        let cats = files.iter().zip(0..).map(|(name, v)| (name.as_str(), grey_png(2, 2, v % 4)));
        let dir = folder_of(cats.chain([("dog/0.png", grey_png(2, 2, 1))]));
        let spec = DataSpec::folder(dir.path());
        let unlabelled = check(&spec, &DatasetOptions::default(), &quiet).unwrap();
        assert_eq!((unlabelled.one_class.clone(), unlabelled.is_clean()), (None, true));
        assert!(unlabelled.to_string().contains("say which class is normal"));

        let normal = |class: &str| {
            let normal_class = Some(class.to_owned());
            let options = DatasetOptions { normal_class, ..DatasetOptions::default() };
            check(&spec, &options, &quiet)
        };
        let report = normal("cat").unwrap();
        let expected = OneClass { train: 4, test_normal: 1, test_anomalous: 1 };
        assert_eq!(report.one_class, Some(expected));
        let pair = |train: &str, test: &str| Duplicate { train: train.into(), test: test.into() };
        let expected = [pair("cat/0.png", "cat/4.png"), pair("cat/1.png", "dog/0.png")];
        assert_eq!(report.duplicates, expected);
        // All cats are to be judged then: none is learned from.
        assert!(normal("dog").unwrap().duplicates.iter().all(|pair| pair.train == "dog/0.png"));
        assert!(normal("cow").is_err());
    }

    #[test]
    fn a_clean_set_is_called_so() {
        let dir = folder_of([("a.png", grey_png(2, 2, 1))]);
        let report =
            check(&DataSpec::folder(dir.path()), &DatasetOptions::default(), &quiet).unwrap();
        assert!(report.is_clean() && report.to_string().contains("nothing wrong found"));
    }

    #[test]
    fn real_magnetic_tiles() {
        let Some(dir) = real_images("magnetic_tile") else { return };
        let report = check(&DataSpec::folder(dir), &DatasetOptions::default(), &quiet).unwrap();
        assert_eq!(report.counts[&Split::Train], BTreeMap::from([("good".into(), 520)]));
        let test = [
            ("blowhole", 115),
            ("break", 85),
            ("crack", 57),
            ("fray", 32),
            ("good", 432),
            ("uneven", 103),
        ];
        assert_eq!(report.counts[&Split::Test], test.map(|(kind, n)| (kind.into(), n)).into());
        assert_eq!(report.empty_masks.len(), 4);
        assert!(report.empty_masks.iter().all(|name| name.starts_with("test/uneven/")));
        let lengths = report.findings().map(|(_, files)| files.len());
        assert_eq!(lengths, [0, 0, 0, 0, 0, 4, 0], "{report}");
        assert!(report.all_grey);
    }

    #[test]
    fn real_cifar10() {
        let Some(dir) = real_images("cifar10") else { return };
        let spec = DataSpec { format: crate::data::Format::Cifar10, dir };
        let report = check(&spec, &DatasetOptions::default(), &quiet).unwrap();
        assert!(report.counts[&Split::Train].values().all(|&count| count == 5_000), "{report}");
        assert!(report.counts[&Split::Test].values().all(|&count| count == 1_000));
        assert!(report.is_clean() && !report.all_grey, "{report}");
    }
}
