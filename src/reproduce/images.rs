//! Which images a cell trains and tests on.

use rand::SeedableRng;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;

use super::cell::{Cell, Selection};
use super::request::{Limits, Request};
use crate::data::{DataSpec, Dataset, DatasetOptions, Format, Index, Layout, Sample, Split};
use crate::{Error, Result};

/// Streams of the random numbers that parts of a set are drawn with, so that none follows another.
const TRAIN: u64 = 0;
const TEST_NORMAL: u64 = 1;
const TEST_ANOMALOUS: u64 = 2;
const TAUGHT: u64 = 3;

/// All images of a request, found once.
pub(super) struct Images {
    spec: DataSpec,
    index: Index,
    normal_class: Option<String>,
    /// Sets to tell apart from the data, by name.
    against: Vec<(String, Vec<Sample>)>,
}

/// The images of one cell.
pub(super) struct CellImages {
    /// `train` and `test`, no more than the limits.
    pub dataset: Dataset,
    /// Labelled anomalies to learn from.
    pub taught: Vec<Sample>,
}

impl Images {
    pub(super) fn open(request: &Request) -> Result<Self> {
        let index = Index::scan(&request.data)?;
        let mut against: Vec<(String, Vec<Sample>)> = Vec::new();
        for spec in &request.against {
            let short = short_name(spec);
            let taken = against.iter().any(|(name, _)| *name == short);
            let name = if taken { spec.to_string() } else { short };
            against.push((name.clone(), strangers(spec, &name)?));
        }
        let normal_class = request.normal_class.clone();
        Ok(Self { spec: request.data.clone(), index, normal_class, against })
    }

    /// The classes that may be normal.
    pub(super) fn classes(&self, superclasses: bool) -> Result<&[String]> {
        match (&self.index.superclasses, superclasses) {
            (Some((names, _)), true) => Ok(names),
            (None, true) => Err(self.error("--superclasses: only CIFAR-100 has them")),
            (_, false) if self.index.classes.len() < 2 => {
                let found = format!("{}: expected a set of two classes or more", self.index.layout);
                Err(self.error(&found))
            }
            (_, false) => Ok(&self.index.classes),
        }
    }

    /// The kinds of anomalies, in order.
    pub(super) fn kinds(&self) -> Result<Vec<String>> {
        let dataset = self.labelled(self.normal_class.clone(), None)?;
        let anomalies = dataset.test.iter().chain(&dataset.train_anomalies);
        let anomalies = anomalies.filter(|sample| sample.anomalous);
        let mut kinds: Vec<String> = anomalies.map(|sample| sample.kind.clone()).collect();
        kinds.sort();
        kinds.dedup();
        if kinds.len() < 2 {
            let found = format!("{} kinds of anomalies: expected two or more", kinds.len());
            return Err(self.error(&found));
        }
        Ok(kinds)
    }

    /// How the set is laid out.
    pub(super) fn layout(&self) -> Layout {
        self.index.layout
    }

    /// The names of the sets to tell apart.
    pub(super) fn against(&self) -> impl Iterator<Item = &String> {
        self.against.iter().map(|(name, _)| name)
    }

    /// Names the images, whatever folder they lie in.
    pub(super) fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        let others = self.against.iter().flat_map(|(_, samples)| samples);
        for sample in self.index.samples.iter().chain(others) {
            hasher
                .update(format!("{}\0{}\0{}\0", sample.name, sample.split, sample.kind).as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The images of `cell`.
    ///
    /// # Errors
    /// A class, kind or share of anomalies without an image.
    pub(super) fn of(&self, cell: &Cell, limits: &Limits) -> Result<CellImages> {
        let mut dataset = match &cell.images {
            Selection::Class(class) => self.labelled(Some(class.clone()), None)?,
            Selection::Superclass(class) => self.labelled(None, Some(class.clone()))?,
            Selection::AllKindsBut(_) => self.labelled(self.normal_class.clone(), None)?,
            Selection::Whole | Selection::Classes => {
                Dataset::all_normal(&self.spec, self.index.clone())
            }
        };
        dataset.train = draw(&dataset.train, limits.train, 0, TRAIN);
        let (anomalous, normal): (Vec<_>, Vec<_>) =
            std::mem::take(&mut dataset.test).into_iter().partition(|sample| sample.anomalous);
        let (taught, tested) = match &cell.images {
            Selection::Class(_) | Selection::Superclass(_) => {
                let taught = self.share(&dataset, cell)?;
                (taught, draw(&anomalous, limits.test_anomalous, 0, TEST_ANOMALOUS))
            }
            Selection::Whole => {
                let most = limits.test_anomalous;
                let sets = self.against.iter();
                let parts = sets.flat_map(|(_, samples)| draw(samples, most, 0, TEST_ANOMALOUS));
                (Vec::new(), parts.collect())
            }
            Selection::Classes => (Vec::new(), Vec::new()),
            Selection::AllKindsBut(unseen) => {
                let pool = taught_kinds(&dataset, &anomalous, unseen, cell.draw);
                let taught = draw(&pool, limits.taught, cell.draw, TAUGHT);
                let of_kind: Vec<Sample> =
                    anomalous.into_iter().filter(|sample| sample.kind == *unseen).collect();
                (taught, draw(&of_kind, limits.test_anomalous, 0, TEST_ANOMALOUS))
            }
        };
        let normal = draw(&normal, limits.test_normal, 0, TEST_NORMAL);
        // Where classes are told apart none is anomalous.
        let needed = if cell.images == Selection::Classes { 2 } else { 3 };
        let found = [
            ("normal images to train on", dataset.train.len()),
            ("normal images to test on", normal.len()),
            ("anomalous images to test on", tested.len()),
        ];
        for (what, n) in found.into_iter().take(needed) {
            if n == 0 {
                return Err(self.error(&format!("{}: no {what}", cell.images)));
            }
        }
        dataset.test = [normal, tested].concat();
        Ok(CellImages { dataset, taught })
    }

    fn labelled(
        &self,
        normal_class: Option<String>,
        superclass: Option<String>,
    ) -> Result<Dataset> {
        let options = DatasetOptions { normal_class, superclass };
        Dataset::label(&self.spec, self.index.clone(), &options)
    }

    /// Anomalies that make up a share gamma of the training images.
    fn share(&self, dataset: &Dataset, cell: &Cell) -> Result<Vec<Sample>> {
        let taught = dataset.draw_anomalies(cell.gamma, cell.draw)?;
        if cell.gamma > 0.0 && taught.is_empty() {
            return Err(self.error(&format!(
                "{}: a share of {} beside {} training images is not one anomaly",
                cell.images,
                cell.gamma,
                dataset.train.len()
            )));
        }
        Ok(taught)
    }

    fn error(&self, message: &str) -> Error {
        Error::Usage(format!("{}: {message}", self.spec))
    }
}

/// Anomalies of every kind but `unseen`: those of the training split, or where it has none (MVTec AD)
/// half of each kind's test images.
fn taught_kinds(dataset: &Dataset, anomalous: &[Sample], unseen: &str, seed: u64) -> Vec<Sample> {
    let halved = dataset.train_anomalies.is_empty();
    let from = if halved { anomalous } else { &dataset.train_anomalies };
    let mut kinds: Vec<&str> = from.iter().map(|sample| sample.kind.as_str()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.retain(|kind| *kind != unseen);
    let of = |kind: &str| {
        let all: Vec<Sample> = from.iter().filter(|sample| sample.kind == kind).cloned().collect();
        let most = halved.then_some(all.len().div_ceil(2));
        draw(&all, most, seed, TAUGHT)
    };
    kinds.into_iter().flat_map(of).collect()
}

/// At most `most` of `samples`, drawn by `seed`, in their order.
fn draw(samples: &[Sample], most: Option<usize>, seed: u64, stream: u64) -> Vec<Sample> {
    let Some(most) = most.filter(|most| *most < samples.len()) else { return samples.to_vec() };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    let mut chosen = index::sample(&mut random, samples.len(), most).into_vec();
    chosen.sort_unstable();
    chosen.into_iter().map(|i| samples[i].clone()).collect()
}

/// The test images of a set, or all where it has no split, as anomalies of one kind.
fn strangers(spec: &DataSpec, kind: &str) -> Result<Vec<Sample>> {
    let mut samples = Index::scan(spec)?.samples;
    if samples.iter().any(|sample| sample.split == Split::Test) {
        samples.retain(|sample| sample.split == Split::Test);
    }
    for sample in &mut samples {
        (sample.anomalous, sample.kind, sample.mask) = (true, kind.to_owned(), None);
    }
    Ok(samples)
}

/// `CIFAR-100` or the folder's name.
pub(super) fn short_name(spec: &DataSpec) -> String {
    match spec.format {
        Format::Cifar10 => "CIFAR-10".into(),
        Format::Cifar100 => "CIFAR-100".into(),
        Format::Svhn => "SVHN".into(),
        Format::Folder | Format::Plain | Format::Idx => spec
            .dir
            .file_name()
            .map_or_else(|| spec.to_string(), |name| name.to_string_lossy().into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reproduce::plan::testing::{cell, files, request};
    use crate::reproduce::request::Protocol;

    const NONE: Limits =
        Limits { train: None, taught: None, test_normal: None, test_anomalous: None };

    fn names(samples: &[Sample]) -> Vec<&str> {
        samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    #[test]
    fn half_of_the_other_kinds_is_taught_and_never_tested() {
        let kinds = ["crack", "hole", "stain"];
        let tests =
            kinds.iter().flat_map(|kind| (0..4).map(move |i| format!("test/{kind}/{i}.png")));
        let all: Vec<String> = tests
            .chain(["train/good/0.png".into(), "test/good/0.png".into(), "test/good/1.png".into()])
            .collect();
        let dir = files(&all);
        let request =
            Request { data: DataSpec::folder(dir.path()), ..request(Protocol::CrossType) };
        let images = Images::open(&request).unwrap();
        assert_eq!(images.kinds().unwrap(), kinds);
        let mut taught = Vec::new();
        for seed in 0..8 {
            let cell = Cell { draw: seed, ..cell(Selection::AllKindsBut("hole".into())) };
            let of = images.of(&cell, &NONE).unwrap();
            let tested = names(&of.dataset.test);
            assert_eq!(tested[..3], ["test/good/0.png", "test/good/1.png", "test/hole/0.png"]);
            assert_eq!((tested.len(), of.taught.len()), (6, 4));
            for kind in ["crack", "stain"] {
                assert_eq!(of.taught.iter().filter(|s| s.kind == kind).count(), 2);
            }
            assert_eq!(names(&images.of(&cell, &NONE).unwrap().taught), names(&of.taught));
            taught.push(of.taught.iter().map(|s| s.name.clone()).collect::<Vec<_>>());
        }
        taught.dedup();
        assert!(taught.len() > 1, "draws do not differ");
        let limits = Limits { taught: Some(3), test_normal: Some(1), ..NONE };
        let of = images.of(&cell(Selection::AllKindsBut("crack".into())), &limits).unwrap();
        assert_eq!((of.taught.len(), of.dataset.test.len()), (3, 5));
    }

    fn classes() -> tempfile::TempDir {
        let of = |split: &'static str, n: usize| {
            let names = ["cat", "cow", "dog"].into_iter();
            names.flat_map(move |class| (0..n).map(move |i| format!("{split}/{class}/{i}.png")))
        };
        files(&of("train", 10).chain(of("test", 4)).collect::<Vec<_>>())
    }

    #[test]
    fn one_class_with_a_share_of_the_others() {
        let dir = classes();
        let request = Request { data: DataSpec::folder(dir.path()), ..request(Protocol::OneVsAll) };
        let images = Images::open(&request).unwrap();
        let with = |gamma| Cell { gamma, ..cell(Selection::Class("cow".into())) };
        let of = images.of(&with(0.2), &NONE).unwrap();
        assert_eq!((of.dataset.train.len(), of.dataset.test.len(), of.taught.len()), (10, 12, 3));
        assert!(of.taught.iter().all(|s| s.kind != "cow" && s.split == Split::Train));
        assert!(images.of(&with(0.0), &NONE).unwrap().taught.is_empty());
        let limits = Limits { train: Some(4), test_anomalous: Some(5), ..NONE };
        let of = images.of(&with(0.2), &limits).unwrap();
        assert_eq!((of.dataset.train.len(), of.dataset.test.len(), of.taught.len()), (4, 9, 1));
        let error = images.of(&with(0.01), &NONE).err().unwrap().to_string();
        assert!(error.contains("cow: a share of 0.01 beside 10 training images"), "{error}");
        assert!(images.classes(true).unwrap_err().to_string().contains("only CIFAR-100"));
    }

    #[test]
    fn a_class_set_teaches_the_training_images_of_other_kinds() {
        let dir = classes();
        let request = Request {
            data: DataSpec::folder(dir.path()),
            normal_class: Some("cat".into()),
            ..request(Protocol::CrossType)
        };
        let images = Images::open(&request).unwrap();
        assert_eq!(images.kinds().unwrap(), ["cow", "dog"]);
        let of = images.of(&cell(Selection::AllKindsBut("dog".into())), &NONE).unwrap();
        assert_eq!((of.taught.len(), of.dataset.test.len()), (10, 8));
        assert!(of.taught.iter().all(|s| s.kind == "cow"));
        assert!(of.dataset.test.iter().all(|s| s.kind != "cow"));
    }

    #[test]
    fn strangers_are_told_from_a_whole_set() {
        let (dir, other) = (classes(), files(&["a.png", "b.png", "c.png"].map(str::to_owned)));
        let mut request = request(Protocol::Ood);
        request.data = DataSpec::folder(dir.path());
        request.against = vec![DataSpec::folder(dir.path()), DataSpec::plain(other.path())];
        let images = Images::open(&request).unwrap();
        let of = images.of(&cell(Selection::Whole), &NONE).unwrap();
        assert_eq!((of.dataset.train.len(), of.dataset.test.len()), (30, 12 + 12 + 3));
        let limits = Limits { test_normal: Some(5), test_anomalous: Some(2), ..NONE };
        let test = images.of(&cell(Selection::Whole), &limits).unwrap().dataset.test;
        assert_eq!(test.iter().map(|s| s.anomalous).filter(|a| *a).count(), 4);
        assert_eq!(test.len(), 9);
    }
}
