//! Image folders: MVTec AD layout, class folders, plain images.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use super::dataset::{Index, Layout, Sample, Source, Split};
use crate::{Error, Result};

/// File names that end so (in either case) are images; all others are passed over.
pub(super) const EXTENSIONS: [&str; 7] = ["jpg", "jpeg", "png", "bmp", "tif", "tiff", "webp"];

/// The kind of normal images in the MVTec AD layout and in plain folders.
pub(super) const GOOD: &str = "good";

/// Recognises the layout of `dir` and lists its images.
pub(super) fn scan(dir: &Path) -> Result<Index> {
    let (train, test) = (dir.join("train"), dir.join("test"));
    let classes = if train.is_dir() { subfolders(&train)? } else { Vec::new() };
    if classes == [OsStr::new(GOOD)] || (!train.is_dir() && test.join(GOOD).is_dir()) {
        return scan_mvtec(dir);
    }
    if train.is_dir() || test.is_dir() {
        if classes.is_empty() {
            return Err(Error::file(&train, "expected train/good or train/<class>"));
        }
        return scan_classes(dir, &[("train/", Split::Train), ("test/", Split::Test)]);
    }
    let folders = subfolders(dir)?;
    if let Some(name) = folders.iter().find(|name| dir.join(name).join("train").is_dir()) {
        let example = dir.join(name);
        let message = format!("holds several sets: name one, such as {}", example.display());
        return Err(Error::file(dir, message));
    }
    let index = scan_plain(dir)?;
    let at_top = index.samples.iter().any(|sample| !sample.name.contains('/'));
    if at_top || folders.len() < 2 {
        return Ok(index);
    }
    scan_classes(dir, &[("", Split::Train)])
}

/// Lists every image below `dir`, all normal and for training.
pub(super) fn scan_plain(dir: &Path) -> Result<Index> {
    let mut index = empty(Layout::PlainImages);
    index.add(dir, dir, Split::Train, GOOD)?;
    index.sort();
    Ok(index)
}

fn scan_mvtec(dir: &Path) -> Result<Index> {
    let mut index = empty(Layout::MvtecAd);
    index.add(dir, &dir.join("train").join(GOOD), Split::Train, GOOD)?;
    let mut masks = BTreeMap::new();
    for kind in subfolders(&dir.join("test"))? {
        index.add(dir, &dir.join("test").join(&kind), Split::Test, &kind.to_string_lossy())?;
    }
    for kind in subfolders(&dir.join("ground_truth"))? {
        let folder = dir.join("ground_truth").join(&kind);
        for (name, path) in images_below(dir, &folder)?.files {
            masks.insert(without_mask_suffix(stem(&name)).to_owned(), path);
        }
    }
    for sample in &mut index.samples {
        let below_test = stem(&sample.name).strip_prefix("test").unwrap_or_default();
        let mask = masks.remove(&format!("ground_truth{below_test}"));
        sample.mask = mask.filter(|_| sample.anomalous);
    }
    index.orphan_masks = masks.into_values().collect();
    index.sort();
    Ok(index)
}

/// Gives each of `samples`, those below one folder, the mask below `dir` of the same name, with or without `_mask`
/// behind it. Those without one keep none.
pub(super) fn add_masks(samples: &mut [Sample], dir: &Path) -> Result<()> {
    let named =
        |(name, path): (String, PathBuf)| (without_mask_suffix(stem(&name)).to_owned(), path);
    let mut masks: BTreeMap<String, PathBuf> =
        images_below(dir, dir)?.files.into_iter().map(named).collect();
    let found = masks.len();
    for sample in samples.iter_mut() {
        sample.mask = masks.remove(stem(&sample.name));
    }
    if let Some((_, path)) = masks.first_key_value() {
        return Err(Error::file(path, "a mask of no image: none of the anomalies has its name"));
    }
    if found == 0 {
        return Err(Error::file(dir, "no mask; expected images with the names of the anomalies"));
    }
    Ok(())
}

/// Class folders below each `prefix` of `dir`.
fn scan_classes(dir: &Path, splits: &[(&str, Split)]) -> Result<Index> {
    let unsplit = splits.len() == 1;
    let layout = if unsplit { Layout::ClassFoldersUnsplit } else { Layout::ClassFolders };
    let mut index = empty(layout);
    for &(prefix, split) in splits {
        let folder = if prefix.is_empty() { dir.to_path_buf() } else { dir.join(prefix) };
        for class in subfolders(&folder)? {
            index.add(dir, &folder.join(&class), split, &class.to_string_lossy())?;
        }
    }
    index.classes = index.samples.iter().map(|sample| sample.kind.clone()).collect();
    index.classes.sort();
    index.classes.dedup();
    index.sort();
    Ok(index)
}

fn empty(layout: Layout) -> Index {
    Index {
        layout,
        samples: Vec::new(),
        classes: Vec::new(),
        superclasses: None,
        orphan_masks: Vec::new(),
        ignored: 0,
    }
}

impl Index {
    /// Adds every image below `folder`, named relative to `root`.
    fn add(&mut self, root: &Path, folder: &Path, split: Split, kind: &str) -> Result<()> {
        let found = images_below(root, folder)?;
        self.ignored += found.ignored;
        self.samples.extend(found.files.into_iter().map(|(name, path)| Sample {
            name,
            source: Source::File(path),
            split,
            kind: kind.to_owned(),
            anomalous: split == Split::Test && kind != GOOD,
            mask: None,
        }));
        Ok(())
    }

    /// Orders by split and name, so that no file system decides the order.
    fn sort(&mut self) {
        // Names that are not UTF-8 may read the same.
        let key = |sample: &Sample| match &sample.source {
            Source::File(path) => Some(path.clone()),
            Source::Record { .. } => None,
        };
        self.samples.sort_by(|a, b| {
            (a.split, &a.name).cmp(&(b.split, &b.name)).then_with(|| key(a).cmp(&key(b)))
        });
    }
}

struct Found {
    /// Name below the root with `/` separators, and path.
    files: Vec<(String, PathBuf)>,
    ignored: usize,
}

/// The image files below `folder`; none when it is missing. Symbolic links are followed; a link
/// to a folder above itself adds nothing, since that folder is listed already.
fn images_below(root: &Path, folder: &Path) -> Result<Found> {
    let mut found = Found { files: Vec::new(), ignored: 0 };
    if !folder.is_dir() {
        return Ok(found);
    }
    for entry in WalkDir::new(folder).follow_links(true).into_iter().filter_entry(is_shown) {
        let path = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) => entry.into_path(),
            Err(error) if error.loop_ancestor().is_some() => continue,
            Err(error) => match error.path() {
                // A link that leads nowhere: kept, so that whoever decodes it names it.
                Some(path) if path.is_symlink() => path.to_path_buf(),
                _ => return Err(Error::file(error.path().unwrap_or(folder), &error)),
            },
        };
        if has_image_extension(&path) {
            found.files.push((name_below(root, &path), path));
        } else {
            found.ignored += 1;
        }
    }
    Ok(found)
}

/// Whether a folder entry is neither hidden nor, as `._x.jpg` on macOS, a shadow of another file.
fn is_shown(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
}

fn has_image_extension(path: &Path) -> bool {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase());
    extension.is_some_and(|e| EXTENSIONS.contains(&e.as_str()))
}

fn name_below(root: &Path, path: &Path) -> String {
    let relative = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = relative.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// `name` without its extension.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

fn without_mask_suffix(stem: &str) -> &str {
    stem.strip_suffix("_mask").unwrap_or(stem)
}

/// The names of the folders directly in `dir`, sorted, without hidden ones; none when it is
/// missing.
fn subfolders(dir: &Path) -> Result<Vec<OsString>> {
    let mut names = Vec::new();
    if !dir.is_dir() {
        return Ok(names);
    }
    for entry in WalkDir::new(dir).follow_links(true).min_depth(1).max_depth(1).sort_by_file_name()
    {
        // Links that loop or lead nowhere are no folders.
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_dir() && is_shown(&entry) {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::testing::{folder_of, grey_png};
    use crate::data::{DataSpec, Dataset, DatasetOptions};

    fn files<'a>(names: &[&'a str]) -> Vec<(&'a str, Vec<u8>)> {
        names.iter().map(|&name| (name, Vec::new())).collect()
    }

    fn names(samples: &[Sample]) -> Vec<&str> {
        samples.iter().map(|sample| sample.name.as_str()).collect()
    }

    fn open(dir: &Path, normal: Option<&str>) -> Result<Dataset> {
        let normal_class = normal.map(str::to_owned);
        let options = DatasetOptions { normal_class, ..DatasetOptions::default() };
        Dataset::open(&DataSpec::folder(dir), &options)
    }

    #[test]
    fn mvtec_layout_with_both_mask_names() {
        let dir = folder_of(files(&[
            "train/good/b.png",
            "train/good/a.PNG",
            "train/good/._a.png",
            "train/good/Thumbs.db",
            "test/good/0.png",
            "test/crack/0.jpg",
            "test/crack/1.png",
            "test/crack/2.png",
            "ground_truth/crack/0_mask.png",
            "ground_truth/crack/1.png",
            "ground_truth/crack/9_mask.png",
        ]));
        let index = Index::scan(&DataSpec::folder(dir.path())).unwrap();
        assert_eq!((index.layout, index.ignored), (Layout::MvtecAd, 1));
        assert_eq!(index.orphan_masks, [dir.path().join("ground_truth/crack/9_mask.png")]);

        let set = open(dir.path(), None).unwrap();
        assert_eq!(names(&set.train), ["train/good/a.PNG", "train/good/b.png"]);
        let test = ["test/crack/0.jpg", "test/crack/1.png", "test/crack/2.png", "test/good/0.png"];
        assert_eq!(names(&set.test), test);
        let anomalous: Vec<_> = set.test.iter().map(|s| (s.anomalous, s.mask.is_some())).collect();
        assert_eq!(anomalous, [(true, true), (true, true), (true, false), (false, false)]);
        assert!(open(dir.path(), Some("good")).is_err(), "it has no classes to choose from");
    }

    #[test]
    fn class_folders_train_on_the_normal_class_only() {
        let dir = folder_of(files(&[
            "train/cat/1.png",
            "train/dog/1.png",
            "test/cat/2.png",
            "test/cat/deep/er.png",
            "test/dog/2.png",
        ]));
        let set = open(dir.path(), Some("dog")).unwrap();
        assert_eq!(set.layout, Layout::ClassFolders);
        assert_eq!(names(&set.train), ["train/dog/1.png"]);
        let anomalous: Vec<_> = set.test.iter().map(|sample| sample.anomalous).collect();
        assert_eq!(anomalous, [true, true, false]);
        assert_eq!(names(&open(dir.path(), Some("0")).unwrap().train), ["train/cat/1.png"]);
        for (class, part) in [(None, "one of cat, dog"), (Some("cow"), "no class 'cow'")] {
            let message = open(dir.path(), class).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn unsplit_class_folders_hold_out_every_fifth() {
        let all: Vec<_> = (0..10).map(|i| format!("good/{i}.png")).collect();
        let all: Vec<_> = all.iter().map(String::as_str).chain(["bad/0.png"]).collect();
        let dir = folder_of(files(&all));
        let set = open(dir.path(), Some("good")).unwrap();
        assert_eq!((set.layout, set.train.len()), (Layout::ClassFoldersUnsplit, 8));
        assert_eq!(names(&set.test), ["bad/0.png", "good/4.png", "good/9.png"]);
    }

    #[test]
    fn plain_images_nested_and_unicode() {
        let dir = folder_of(files(&["ü 1.png", "日本/画像.jpg", "notes.txt", ".hidden/x.png"]));
        let set = open(dir.path(), None).unwrap();
        assert_eq!(set.layout, Layout::PlainImages);
        assert_eq!(names(&set.train), ["ü 1.png", "日本/画像.jpg"]);
        assert!(set.test.is_empty());
    }

    #[test]
    fn two_folders_are_classes_unless_called_plain() {
        let dir = folder_of(files(&["a/1.png", "b/1.png"]));
        assert!(open(dir.path(), None).unwrap_err().to_string().contains("say which one"));
        let plain = DataSpec::plain(dir.path());
        assert_eq!(Dataset::open(&plain, &DatasetOptions::default()).unwrap().train.len(), 2);
    }

    #[test]
    fn what_cannot_be_a_set_is_named() {
        let refusal = |names: &[&str]| {
            let dir = folder_of(files(names));
            open(dir.path(), None).unwrap_err().to_string()
        };
        assert!(refusal(&[]).contains("no images"));
        assert!(refusal(&["a.txt", "b.csv"]).contains("2 other files"));
        assert!(refusal(&["train/1.png", "test/bad/1.png"]).contains("expected train/good"));
        let several = refusal(&["cup/train/good/1.png", "pen/train/good/1.png"]);
        assert!(several.contains("several sets") && several.contains("cup"), "{several}");
        let missing = open(Path::new("/no/such/folder"), None).unwrap_err().to_string();
        assert!(missing.contains("no such folder"), "{missing}");
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_unicode_are_read() {
        use std::os::unix::ffi::OsStrExt;
        let dir = folder_of(files(&["train/good/1.png"]));
        let kind = dir.path().join("test").join(OsStr::from_bytes(b"bl\xe5sa"));
        std::fs::create_dir_all(&kind).unwrap();
        let file = kind.join(OsStr::from_bytes(b"\xff.png"));
        std::fs::write(&file, grey_png(2, 2, 7)).unwrap();
        let set = open(dir.path(), None).unwrap();
        assert_eq!(names(&set.test), ["test/bl\u{fffd}sa/\u{fffd}.png"]);
        assert_eq!(set.test[0].decode(9).unwrap().bytes, [7; 4]);
    }

    #[cfg(unix)]
    #[test]
    fn links_that_loop_or_lead_nowhere() {
        use std::os::unix::fs::symlink;
        let dir = folder_of(files(&["a/1.png"]));
        symlink(dir.path(), dir.path().join("a/loop")).unwrap();
        symlink("/no/such/file.png", dir.path().join("a/2.png")).unwrap();
        let set = open(dir.path(), None).unwrap();
        assert_eq!(names(&set.train), ["a/1.png", "a/2.png"]);
        let message = set.train[1].decode(1).unwrap_err().to_string();
        assert!(message.contains("2.png"), "{message}");
    }
}
