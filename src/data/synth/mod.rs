//! Made-up inspection images: textured surfaces, some with a defect and its mask.
//!
//! Every byte depends on the options alone, not on the machine, the number of cores or a maths
//! library. A scene is drawn at 2 x 2 points per pixel in units of 1/96 of the side, lit unevenly
//! and given sensor noise. What all images of a set share (pitch of the weave, say) is drawn from
//! the seed; what varies between images (angle, phase, light, contrast) from seed, kind and number,
//! so that asking for more images leaves the others as they were.

mod defect;
mod random;
mod texture;
mod write;

use serde::{Deserialize, Serialize};

use self::defect::Defect;
use self::random::Random;
use self::texture::{Fabric, Leather, Metal, Texture};
pub use self::write::generate;
use super::dataset::Split;
use super::raster::Raster;
use crate::{Error, Result};

/// Side of the image in scene units.
const SIDE: f64 = 96.0;

/// The share of the image that a defect covers.
const AREA: std::ops::RangeInclusive<f64> = 0.005..=0.05;

/// What the surfaces are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Plain weave.
    #[default]
    Fabric,
    /// Brushed metal.
    Metal,
    /// Grained leather.
    Leather,
    /// All of them in turn.
    Mixed,
}

impl std::str::FromStr for Family {
    type Err = Error;

    /// # Errors
    /// [`Error::Usage`] for any other name.
    fn from_str(text: &str) -> Result<Self> {
        match text {
            "fabric" => Ok(Self::Fabric),
            "metal" => Ok(Self::Metal),
            "leather" => Ok(Self::Leather),
            "mixed" => Ok(Self::Mixed),
            _ => Err(Error::Usage(format!(
                "no texture family '{text}': expected fabric, metal, leather or mixed"
            ))),
        }
    }
}

/// What can be wrong with a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefectKind {
    /// A thin bright or dark line.
    Scratch,
    /// A dark pit with a lit rim.
    Hole,
    /// A patch that is darker or brighter, the texture showing through.
    Stain,
    /// A stretch of thread that is not there; fabric only.
    MissingThread,
}

impl DefectKind {
    /// The name of its folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Hole => "hole",
            Self::Stain => "stain",
            Self::MissingThread => "missing_thread",
        }
    }
}

/// What to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SynthOptions {
    /// Everything random follows from it.
    pub seed: u64,
    /// What the surfaces are made of.
    pub family: Family,
    /// Sides of the square images, pixels; 32 to 4096.
    pub size: usize,
    /// Training images, all good.
    pub train_good: usize,
    /// Good test images.
    pub test_good: usize,
    /// Test images of each kind of defect.
    pub per_defect: usize,
}

impl Default for SynthOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            family: Family::Fabric,
            size: 96,
            train_good: 400,
            test_good: 100,
            per_defect: 25,
        }
    }
}

impl SynthOptions {
    /// The kinds of defects that the family can have.
    pub fn kinds(&self) -> &'static [DefectKind] {
        use DefectKind::{Hole, MissingThread, Scratch, Stain};
        match self.family {
            Family::Fabric => &[Hole, MissingThread, Scratch, Stain],
            _ => &[Hole, Scratch, Stain],
        }
    }

    /// How many images a split holds: in the test split the good ones, then each kind in order.
    pub fn count(&self, split: Split) -> usize {
        match split {
            Split::Train => self.train_good,
            Split::Test => self.test_good + self.kinds().len() * self.per_defect,
        }
    }

    /// Image `index` of a split: its kind of defect, and its number within the kind.
    fn item(&self, split: Split, index: usize) -> (Option<DefectKind>, usize) {
        if split == Split::Train || index < self.test_good || self.per_defect == 0 {
            return (None, index);
        }
        let index = index - self.test_good;
        let kind = self.kinds().get(index / self.per_defect).copied();
        (kind, index % self.per_defect)
    }

    fn validate(&self) -> Result<()> {
        if (32..=4096).contains(&self.size) {
            return Ok(());
        }
        Err(Error::Usage(format!("images of {0} x {0}: expected 32 to 4096", self.size)))
    }
}

/// A made-up image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// What is wrong with it, if anything.
    pub kind: Option<DefectKind>,
    /// Grey, `[size, size, 1]`.
    pub image: Raster,
    /// 255 where the defect is, 0 elsewhere, `[size, size, 1]`.
    pub mask: Raster,
}

/// Makes image `index` of `split`; an index of [`SynthOptions::count`] or more makes a good image.
pub fn render(options: &SynthOptions, split: Split, index: usize) -> Rendered {
    let (kind, number) = options.item(split, index);
    let family = match (options.family, number % 3) {
        (Family::Mixed, 0) => Family::Fabric,
        (Family::Mixed, 1) => Family::Metal,
        (Family::Mixed, _) => Family::Leather,
        (family, _) => family,
    };
    let kind_key = kind.map_or(0, |kind| 1 + kind as u64);
    let set = &mut Random::keyed(&[options.seed]);
    let random = &mut Random::keyed(&[options.seed, 1, split as u64, kind_key, number as u64]);
    let texture = match family {
        Family::Metal => Texture::Metal(Metal::new(set, random)),
        Family::Leather => Texture::Leather(Leather::new(set, random)),
        _ => Texture::Fabric(Fabric::new(set, random)),
    };
    let light = Light::draw(random);
    let size = options.size;
    let (defect, mask) = match kind {
        Some(kind) => draw_defect(kind, size, &texture, random),
        None => (None, vec![0; size * size]),
    };
    let mut image = Vec::with_capacity(size * size);
    for points in pixels(size) {
        let brightness = points.map(|(x, y)| match &defect {
            Some(defect) => defect.brightness(x, y, &texture),
            None => texture.at(x, y, None),
        });
        let (x, y) = points[0];
        let value = light.expose(x, y, mean(brightness)) + light.noise * random.normal();
        image.push((255.0 * value + 0.5).clamp(0.0, 255.0) as u8);
    }
    let raster = |bytes| Raster { height: size, width: size, channels: 1, bytes };
    Rendered { kind, image: raster(image), mask: raster(mask) }
}

/// Draws until the mask covers a share of the image within [`AREA`]; a defect may reach beyond the
/// border.
fn draw_defect(
    kind: DefectKind,
    size: usize,
    texture: &Texture,
    random: &mut Random,
) -> (Option<Defect>, Vec<u8>) {
    const ATTEMPTS: usize = 100;
    let mut drawn = (None, Vec::new());
    for _ in 0..ATTEMPTS {
        // Small ones are commoner: the mean is a third of the way.
        let share = random.range(0.0, 1.0) * random.range(0.0, 1.3);
        let defect = Defect::draw(kind, 0.007 + 0.033 * share, texture, random);
        let mask: Vec<u8> = pixels(size)
            .map(|points| {
                let cover = mean(points.map(|(x, y)| defect.cover(x, y, texture)));
                if cover > 0.5 { 255 } else { 0 }
            })
            .collect();
        let marked = mask.iter().filter(|&&value| value > 0).count();
        drawn = (Some(defect), mask);
        if AREA.contains(&(marked as f64 / (size * size) as f64)) {
            break;
        }
    }
    drawn
}

/// The 2 x 2 points, in scene units, of every pixel.
fn pixels(size: usize) -> impl Iterator<Item = [(f64, f64); 4]> {
    let unit = SIDE / size as f64;
    (0..size * size).map(move |pixel| {
        let (x, y) = ((pixel % size) as f64, (pixel / size) as f64);
        [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
            .map(|(dx, dy)| (unit * (x + dx), unit * (y + dy)))
    })
}

fn mean(of: [f64; 4]) -> f64 {
    (of[0] + of[1] + of[2] + of[3]) / 4.0
}

/// Lamp and camera of one photograph.
struct Light {
    gain: f64,
    contrast: f64,
    /// Change of brightness per scene unit.
    slope: (f64, f64),
    /// Loss of brightness towards the corners.
    vignette: f64,
    /// Standard deviation of the sensor noise, full scale 1.
    noise: f64,
}

impl Light {
    fn draw(random: &mut Random) -> Self {
        Self {
            gain: random.range(0.86, 1.14),
            contrast: random.range(0.85, 1.15),
            slope: (random.range(-0.0022, 0.0022), random.range(-0.0022, 0.0022)),
            vignette: random.range(0.0, 0.14),
            noise: random.range(0.008, 0.018),
        }
    }

    fn expose(&self, x: f64, y: f64, brightness: f64) -> f64 {
        const MIDDLE: f64 = 0.45;
        let (x, y) = (x - SIDE / 2.0, y - SIDE / 2.0);
        let corner = (x * x + y * y) / (SIDE * SIDE / 2.0);
        let lamp = 1.0 + self.slope.0 * x + self.slope.1 * y - self.vignette * corner;
        self.gain * lamp * (MIDDLE + self.contrast * (brightness - MIDDLE))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rayon::prelude::*;

    use super::*;
    use crate::data::{DataSpec, Dataset, DatasetOptions, Index, Layout};

    fn small(family: Family) -> SynthOptions {
        SynthOptions { family, size: 48, train_good: 3, test_good: 2, per_defect: 2, seed: 7 }
    }

    fn defects(options: &SynthOptions) -> impl ParallelIterator<Item = Rendered> {
        let all = options.test_good..options.count(Split::Test);
        all.into_par_iter().map(|index| render(options, Split::Test, index))
    }

    #[test]
    fn the_bytes_are_the_same_everywhere() {
        let dir = tempfile::tempdir().unwrap();
        for (name, family) in [("fabric", Family::Fabric), ("mixed", Family::Mixed)] {
            generate(&dir.path().join(name), &small(family), false, &|_, _| {}).unwrap();
        }
        let (mut pixels, mut files) = (blake3::Hasher::new(), blake3::Hasher::new());
        for entry in walkdir::WalkDir::new(dir.path()).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            if path.extension().is_some_and(|extension| extension == "png") {
                files.update(&fs::read(&path).unwrap());
                pixels.update(&image::open(&path).unwrap().into_luma8());
            }
        }
        let hashes = [pixels, files].map(|hash| hash.finalize().to_hex().to_string());
        assert_eq!(
            hashes,
            [
                "1f38578c35ffd3710831cae91e39e4a67c6bca89f36f42234f566eb4d5d5b838",
                "874a60b2bc9cdd8b47221928bc0722299071639646413b8c10408d3ac355bcf5"
            ]
        );
    }

    #[test]
    fn a_written_set_is_read_back_as_mvtec() {
        let dir = tempfile::tempdir().unwrap();
        let options = small(Family::Fabric);
        generate(dir.path(), &options, false, &|_, _| {}).unwrap();
        let spec = DataSpec::folder(dir.path());
        let set = Dataset::open(&spec, &DatasetOptions::default()).unwrap();
        assert_eq!(set.layout, Layout::MvtecAd);
        assert_eq!((set.train.len(), set.test.len()), (3, 10));
        assert!(set.test.iter().all(|sample| sample.anomalous == sample.mask.is_some()));
        assert!(Index::scan(&spec).unwrap().orphan_masks.is_empty());
        let third = set.test.iter().find(|sample| sample.name == "test/stain/001.png").unwrap();
        assert_eq!(third.decode(1 << 20).unwrap(), render(&options, Split::Test, 9).image);
    }

    #[test]
    fn only_its_own_files_are_replaced_unless_forced() {
        let dir = tempfile::tempdir().unwrap();
        let write = |seed, force| {
            generate(dir.path(), &SynthOptions { seed, ..small(Family::Metal) }, force, &|_, _| {})
        };
        let json = || fs::read_to_string(dir.path().join("synth.json")).unwrap();
        write(1, false).unwrap();
        write(2, false).unwrap();
        assert!(json().contains("\"seed\": 2"));
        let own = walkdir::WalkDir::new(dir.path()).into_iter().count();

        fs::write(dir.path().join("train/good/mine.png"), "mine").unwrap();
        let message = write(3, false).unwrap_err().to_string();
        assert!(message.contains("exists already and holds train/good/mine.png"), "{message}");
        assert!(json().contains("\"seed\": 2"));
        write(3, true).unwrap();
        assert!(json().contains("\"seed\": 3"));
        assert_eq!(fs::read(dir.path().join("train/good/mine.png")).unwrap(), b"mine");
        assert_eq!(walkdir::WalkDir::new(dir.path()).into_iter().count(), own + 1);
        let message =
            generate(&dir.path().join("synth.json"), &small(Family::Metal), false, &|_, _| {});
        assert!(message.unwrap_err().to_string().contains("is a file"));
    }

    #[test]
    fn defects_cover_half_to_five_percent() {
        for family in [Family::Fabric, Family::Metal, Family::Leather, Family::Mixed] {
            for size in [32, 96] {
                let options = SynthOptions { size, per_defect: 16, ..small(family) };
                defects(&options).for_each(|Rendered { kind, mask, .. }| {
                    let marked = mask.bytes.iter().filter(|&&value| value > 0).count();
                    let share = marked as f64 / mask.bytes.len() as f64;
                    assert!(AREA.contains(&share), "{family:?} {kind:?} {size}: {share}");
                });
            }
        }
    }

    #[test]
    fn neither_mean_nor_spread_gives_defects_away() {
        let options = SynthOptions { test_good: 150, per_defect: 40, ..SynthOptions::default() };
        let mean = |image: &Raster| {
            image.bytes.iter().map(|&value| f64::from(value)).sum::<f64>()
                / image.bytes.len() as f64
        };
        let spread = |image: &Raster| {
            let middle = mean(image);
            image.bytes.iter().map(|&value| (f64::from(value) - middle).powi(2)).sum::<f64>()
        };
        let good: Vec<_> = (0..options.test_good)
            .into_par_iter()
            .map(|index| render(&options, Split::Test, index).image)
            .collect();
        let bad: Vec<_> = defects(&options).map(|rendered| rendered.image).collect();
        for statistic in [&mean as &dyn Fn(&Raster) -> f64, &spread] {
            let good: Vec<_> = good.iter().map(statistic).collect();
            let wins =
                bad.iter().map(statistic).map(|bad| good.iter().filter(|&&g| g < bad).count());
            let auroc = wins.sum::<usize>() as f64 / (good.len() * bad.len()) as f64;
            assert!((0.35..0.65).contains(&auroc), "{auroc}");
        }
    }

    #[test]
    fn more_images_leave_the_others_as_they_were() {
        let few = small(Family::Fabric);
        let many = SynthOptions { train_good: 9, test_good: 5, per_defect: 6, ..few };
        assert_eq!(render(&few, Split::Train, 2), render(&many, Split::Train, 2));
        // The second missing thread of each.
        assert_eq!(render(&few, Split::Test, 5), render(&many, Split::Test, 12));
        assert_ne!(render(&few, Split::Train, 1).image, render(&few, Split::Test, 1).image);
        let reseeded = SynthOptions { seed: 8, ..few };
        assert_ne!(render(&few, Split::Train, 0), render(&reseeded, Split::Train, 0));
    }

    #[test]
    fn odd_requests() {
        let dir = tempfile::tempdir().unwrap();
        let tiny = SynthOptions { size: 8, ..small(Family::Metal) };
        assert!(generate(&dir.path().join("x"), &tiny, false, &|_, _| {}).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!("wood".parse::<Family>().is_err());
        let none = SynthOptions { per_defect: 0, ..small(Family::Leather) };
        assert_eq!((none.count(Split::Test), render(&none, Split::Test, 9).kind), (2, None));
    }
}
