//! A protocol as cells, each one training, and as rows of a table that read them.

use std::collections::BTreeSet;

use super::cell::{Cell, Selection};
use super::images::{CellImages, Images};
use super::paper::{Set, published};
use super::request::{Protocol, Request};
use super::variants::{Axis, Variant, variants};
use crate::{Error, Result};

/// The curve over gamma.
pub(super) const THIS_RUN: &str = "this run";

/// Rows of a table under one variant and share of anomalies.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub variant: String,
    pub gamma: Option<f64>,
    /// Curves of the figure that its mean is a point of, each with its x.
    pub points: Vec<(String, f64)>,
    pub entries: Vec<Entry>,
    /// What the paper prints for the mean over all entries: where, and the figure.
    pub paper: Option<(&'static str, f64)>,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub name: String,
    /// Its cells, by number; in every entry of a group in the same order of draws and seeds.
    pub cells: Vec<usize>,
    /// The kind of anomaly that is read; all together where there is none.
    pub kind: Option<String>,
    pub paper: Option<(&'static str, f64)>,
}

/// All cells of a request.
pub struct Plan {
    /// What was asked for.
    pub request: Request,
    /// In the order in which they are run.
    pub cells: Vec<Cell>,
    pub(super) images: Images,
    pub(super) groups: Vec<Group>,
    pub(super) axis: Option<Axis>,
    /// What a row is about: class, kind or set.
    pub(super) what: &'static str,
}

impl Plan {
    /// Finds the images and lists the cells.
    ///
    /// # Errors
    /// Settings that the protocol has no use for, a set that does not fit it, unknown classes.
    pub fn new(request: Request) -> Result<Self> {
        request.check()?;
        let images = Images::open(&request)?;
        let (variants, axis) = variants(&request)?;
        let what = match request.protocol {
            Protocol::Ood => "set",
            Protocol::CrossType => "unseen kind",
            Protocol::LinearEval => "classes",
            _ => "class",
        };
        let (cells, groups) = (Vec::new(), Vec::new());
        let mut plan = Self { request, cells, images, groups, axis, what };
        match plan.request.protocol {
            Protocol::Ood => plan.ood(),
            Protocol::CrossType => plan.cross_type()?,
            Protocol::LinearEval => plan.linear_eval(&variants)?,
            _ => plan.one_vs_all(&variants)?,
        }
        Ok(plan)
    }

    /// Finds the images of each of the cells, so that none of them fails for lack of images when the
    /// others are done.
    pub(super) fn check_images(&self, cells: &[usize]) -> Result<()> {
        let mut seen = BTreeSet::new();
        for cell in cells.iter().map(|index| &self.cells[*index]) {
            if seen.insert((&cell.images, cell.gamma.to_bits())) {
                self.images_of(cell)?;
            }
        }
        Ok(())
    }

    pub(super) fn images_of(&self, cell: &Cell) -> Result<CellImages> {
        self.images.of(cell, &self.request.size.limits())
    }

    fn one_vs_all(&mut self, variants: &[Variant]) -> Result<()> {
        let all = self.images.classes(self.request.superclasses)?.to_vec();
        let classes = chosen(&all, &self.request.classes, "class")?;
        let protocol = self.request.protocol;
        let own: &[f64] =
            if protocol == Protocol::OneVsAll { &[0.0, 0.01, 0.05, 0.10] } else { &[0.0] };
        let gammas = match &self.request.gammas[..] {
            [] => own.to_vec(),
            given => given.to_vec(),
        };
        check_gammas(&gammas)?;
        let several = gammas.len() > 1;
        // The paper prints means over all classes.
        let set = Set::of(self.images.layout(), &all).filter(|_| classes.len() == all.len());
        for variant in variants {
            for &gamma in &gammas {
                let entries = self.each_class(variant, gamma, &classes);
                let paper = set.and_then(|set| published(protocol, set, &variant.name, gamma));
                let mut points = variant.points.clone();
                if several {
                    points.iter_mut().for_each(|(curve, _)| *curve += &format!(", gamma {gamma}"));
                    if protocol == Protocol::OneVsAll {
                        points.push((THIS_RUN.to_owned(), gamma));
                    }
                }
                let variant = variant.name.clone();
                self.groups.push(Group { variant, gamma: Some(gamma), points, entries, paper });
            }
        }
        if protocol == Protocol::OneVsAll && several {
            let label = "share of labelled anomalies in the training set";
            self.axis = Some(Axis { label, log: false });
        }
        Ok(())
    }

    /// Adds the cells of each class in turn.
    fn each_class(
        &mut self,
        variant: &Variant,
        gamma: f64,
        classes: &[(usize, String)],
    ) -> Vec<Entry> {
        let prefix = match variant.name.as_str() {
            "" => String::new(),
            name => format!("{}_", folder_name(name)),
        };
        let draws = (gamma > 0.0).then_some(self.request.size.draws());
        let mut entries = Vec::new();
        for (number, class) in classes {
            let images = match self.request.superclasses {
                true => Selection::Superclass(class.clone()),
                false => Selection::Class(class.clone()),
            };
            let name = format!("{prefix}gamma-{gamma}_{number:02}-{}", folder_name(class));
            let cells = self.replicates(&name, &variant.settings, &images, gamma, draws);
            entries.push(Entry { name: class.clone(), cells, kind: None, paper: None });
        }
        entries
    }

    /// One training per seed, tested against all sets.
    fn ood(&mut self) {
        let cells = self.replicates("whole", &[], &Selection::Whole, 0.0, None);
        let entry = |name: &String| Entry {
            name: name.clone(),
            cells: cells.clone(),
            kind: Some(name.clone()),
            paper: None,
        };
        let entries = self.images.against().map(entry).collect();
        let (variant, points) = (String::new(), Vec::new());
        self.groups.push(Group { variant, gamma: None, points, entries, paper: None });
    }

    /// One training per variant and seed, on all classes.
    fn linear_eval(&mut self, variants: &[Variant]) -> Result<()> {
        let classes = self.images.classes(false)?;
        let (set, name) = (Set::of(self.images.layout(), classes), classes.len().to_string());
        for Variant { name: variant, settings, .. } in variants {
            let cell = folder_name(variant);
            let cells = self.replicates(&cell, settings, &Selection::Classes, 0.0, None);
            let paper = set.and_then(|set| published(Protocol::LinearEval, set, variant, 0.0));
            let entries = vec![Entry { name: name.clone(), cells, kind: None, paper }];
            let (variant, points) = (variant.clone(), Vec::new());
            self.groups.push(Group { variant, gamma: None, points, entries, paper: None });
        }
        Ok(())
    }

    fn cross_type(&mut self) -> Result<()> {
        let all = self.images.kinds()?;
        let set = Set::of(self.images.layout(), &all);
        let mut entries = Vec::new();
        for (number, kind) in chosen(&all, &self.request.classes, "kind")? {
            let name = format!("{number:02}-without-{}", folder_name(&kind));
            let images = Selection::AllKindsBut(kind.clone());
            let cells = self.replicates(&name, &[], &images, 0.0, Some(1));
            let paper = set.and_then(|set| published(Protocol::CrossType, set, &kind, 0.0));
            entries.push(Entry { name: kind.clone(), cells, kind: Some(kind), paper });
        }
        let (variant, points) = (String::new(), Vec::new());
        self.groups.push(Group { variant, gamma: None, points, entries, paper: None });
        Ok(())
    }

    /// Adds a cell for each draw and seed; returns their numbers. `draws`: the protocol's own number of
    /// draws, `None` where nothing is drawn.
    fn replicates(
        &mut self,
        name: &str,
        settings: &[String],
        images: &Selection,
        gamma: f64,
        draws: Option<usize>,
    ) -> Vec<usize> {
        let first = self.cells.len();
        let drawn = draws.map_or(1, |own| self.request.draws.unwrap_or(own));
        for draw in 0..drawn {
            for seed in 0..self.request.seeds {
                let part = draws.map_or(String::new(), |_| format!("_draw-{draw}"));
                // `check` has found the last of them in range.
                let assignment = format!("seed={}", self.request.config.seed + seed as u64);
                self.cells.push(Cell {
                    name: format!("{name}{part}_seed-{seed}"),
                    settings: [settings, &[assignment]].concat(),
                    images: images.clone(),
                    gamma,
                    draw: draw as u64,
                });
            }
        }
        (first..self.cells.len()).collect()
    }
}

/// The names that take part, each with its number among all.
fn chosen(all: &[String], wanted: &[String], what: &str) -> Result<Vec<(usize, String)>> {
    if let Some(name) = wanted.iter().find(|name| !all.contains(name)) {
        let known = all.join(", ");
        return Err(Error::Usage(format!("no {what} '{name}': expected some of {known}")));
    }
    let taking_part = |name: &&String| wanted.is_empty() || wanted.contains(name);
    let numbered = all.iter().enumerate().filter(|(_, name)| taking_part(name));
    Ok(numbered.map(|(number, name)| (number, name.clone())).collect())
}

fn check_gammas(gammas: &[f64]) -> Result<()> {
    for (i, gamma) in gammas.iter().enumerate() {
        if !(0.0..1.0).contains(gamma) {
            return Err(Error::Usage(format!("--gamma {gamma}: expected 0 or more and below 1")));
        }
        if gammas[..i].contains(gamma) {
            return Err(Error::Usage(format!("--gamma {gamma}: given twice")));
        }
    }
    Ok(())
}

/// `name` as part of a folder's name on any file system.
fn folder_name(name: &str) -> String {
    let kept = |c: char| if c.is_alphanumeric() || ".-".contains(c) { c } else { '-' };
    let name: String = name.replace(", ", "-").chars().map(kept).take(80).collect();
    name.trim_end_matches('.').to_owned()
}

#[cfg(test)]
pub(super) mod testing {
    use super::super::request::Size;
    use super::*;
    use crate::data::DataSpec;

    /// A smoke request without images.
    pub(in crate::reproduce) fn request(protocol: Protocol) -> Request {
        Request {
            protocol,
            data: DataSpec::folder("nowhere"),
            against: Vec::new(),
            normal_class: None,
            superclasses: false,
            classes: Vec::new(),
            gammas: Vec::new(),
            values: Vec::new(),
            draws: None,
            seeds: 1,
            size: Size::Smoke,
            config: Size::Smoke.config("resnet18").unwrap(),
        }
    }

    pub(in crate::reproduce) fn cell(images: Selection) -> Cell {
        Cell { name: "cell".into(), settings: Vec::new(), images, gamma: 0.0, draw: 0 }
    }

    /// A folder of empty files, which scanning takes for images.
    pub(in crate::reproduce) fn files(names: &[String]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in names {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, []).unwrap();
        }
        dir
    }

    /// A plan on three classes of two training and two test images each.
    pub(in crate::reproduce) fn plan(change: impl FnOnce(&mut Request)) -> Result<Plan> {
        let of = |class: &str| {
            let names = ["train", "test"].into_iter();
            names.flat_map(|split| [0, 1].map(|i| format!("{split}/{class}/{i}.png"))).collect()
        };
        let names: Vec<Vec<String>> = ["a b", "a/b", "c"].map(of).into();
        let dir = files(&names.concat());
        let mut request = request(Protocol::OneVsAll);
        request.data = DataSpec::folder(dir.path());
        change(&mut request);
        Plan::new(request)
    }
}

#[cfg(test)]
mod tests {
    use super::testing::plan;
    use super::*;

    fn names(plan: &Plan) -> BTreeSet<&str> {
        plan.cells.iter().map(|cell| cell.name.as_str()).collect()
    }

    #[test]
    fn cells_are_counted_and_named_apart() {
        let three = plan(|r| (r.gammas, r.seeds, r.draws) = (vec![0.0, 0.3], 2, Some(3))).unwrap();
        // Classes `a`, `a b`, `c`: two seeds without anomalies, three draws by two seeds with.
        assert_eq!(three.images.classes(false).unwrap(), ["a", "a b", "c"]);
        assert_eq!((three.cells.len(), three.groups.len()), (3 * 2 + 3 * 3 * 2, 2));
        assert_eq!(names(&three).len(), three.cells.len());
        assert!(names(&three).contains("gamma-0.3_01-a-b_draw-2_seed-1"), "{:?}", names(&three));
        assert_eq!(three.cells[1].settings, ["seed=1"]);
        assert!(three.axis.is_some() && three.groups[1].points == [("this run".to_owned(), 0.3)]);
        let read: Vec<usize> =
            three.groups.iter().flat_map(|g| &g.entries).flat_map(|e| e.cells.clone()).collect();
        assert_eq!(read, (0..three.cells.len()).collect::<Vec<_>>());

        let grid = plan(|r| (r.protocol, r.values) = (Protocol::MemorySize, vec![16.0, 8.0]));
        let grid = grid.unwrap();
        // Of stage 3's and stage 4's two values, stage 4's 16 is the configured one, and stage 3 has
        // another: (16,16), (8,16), (32,16), (32,8).
        assert_eq!((grid.groups.len(), grid.cells.len()), (4, 12));
        assert_eq!(names(&grid).len(), 12);
        assert!(grid.cells[0].settings.contains(&"memory.slots=[16, 16]".to_owned()));
    }

    #[test]
    fn linear_evaluation_takes_all_classes() {
        let linear = plan(|r| (r.protocol, r.seeds) = (Protocol::LinearEval, 2)).unwrap();
        assert_eq!((linear.groups.len(), linear.cells.len()), (4, 8));
        assert_eq!(names(&linear).len(), 8);
        assert_eq!(linear.cells[1].name, "no-memory-one-scale_seed-1");
        for cell in &linear.cells {
            assert!(cell.settings.contains(&"score.held_out=0.0".to_owned()));
            let of = linear.images_of(cell).unwrap();
            assert_eq!((of.dataset.train.len(), of.dataset.test.len(), of.taught.len()), (6, 6, 0));
        }
        let entries: Vec<&str> =
            linear.groups.iter().flat_map(|g| &g.entries).map(|e| e.name.as_str()).collect();
        assert_eq!(entries, ["3"; 4]);
    }

    #[test]
    fn classes_are_chosen_and_faults_named() {
        let two = plan(|r| r.classes = vec!["c".into(), "a b".into()]).unwrap();
        let entries: Vec<&str> = two.groups[0].entries.iter().map(|e| e.name.as_str()).collect();
        assert_eq!(entries, ["a b", "c"]);
        let refused = |change: fn(&mut Request)| plan(change).err().unwrap().to_string();
        assert!(
            refused(|r| r.classes = vec!["x".into()]).contains("no class 'x': expected some of a")
        );
        assert!(refused(|r| r.gammas = vec![1.0]).contains("--gamma 1"));
        assert!(refused(|r| r.gammas = vec![0.1, 0.1]).contains("given twice"));
        assert!(refused(|r| r.seeds = 0).contains("--seeds 0"));
        assert!(refused(|r| r.superclasses = true).contains("only CIFAR-100"));
        assert!(refused(|r| r.values = vec![1.0]).contains("--values with one-vs-all"));
        assert!(refused(|r| r.protocol = Protocol::Ood).contains("--against"));
        assert!(refused(|r| r.protocol = Protocol::CrossType).contains("say which one is normal"));
    }
}
