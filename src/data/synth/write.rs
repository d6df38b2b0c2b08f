//! Made-up images written to disk.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::{DefectKind, SynthOptions, render};
use crate::data::Split;
use crate::data::folder::GOOD;
use crate::data::load::Progress;
use crate::data::raster::Raster;
use crate::{Error, Result};

/// Writes a set in the MVTec AD layout to the folder `out`: PNG images, PNG masks, and the options
/// in `synth.json`.
///
/// Everything is drawn in a hidden folder first and renamed at the end: `out` is whole or, when it
/// was not there before, not there. With `force` a folder with other files is written into; files
/// of the same names are replaced, all others stay.
///
/// # Errors
/// [`Error::Usage`] for a size out of range; [`Error::File`] when `out` holds a file that would not
/// be written here (unless `force`), or cannot be written.
pub fn generate(
    out: &Path,
    options: &SynthOptions,
    force: bool,
    progress: Progress<'_>,
) -> Result<()> {
    options.validate()?;
    let exists = out.exists();
    if exists && !force {
        refuse_foreign(out, options)?;
    }
    // In a folder that is there, since its neighbour may lie on another disk.
    let partial = if exists {
        out.join(PARTIAL)
    } else {
        let mut name = OsString::from(".");
        name.push(out.file_name().unwrap_or_default());
        name.push(PARTIAL);
        out.with_file_name(name)
    };
    // What a run that was killed left behind.
    if partial.exists() {
        fs::remove_dir_all(&partial).map_err(|error| Error::file(&partial, error))?;
    }
    let written = write_all(&partial, options, progress).and_then(|()| {
        if exists {
            move_into(&partial, out, options)
        } else {
            fs::rename(&partial, out).map_err(|error| Error::file(out, error))
        }
    });
    // All that is left of a set that was moved file by file, or half a set that failed.
    fs::remove_dir_all(&partial).ok();
    written
}

/// Fails when `out` is no folder, or holds a file that [`write_all`] would not write.
fn refuse_foreign(out: &Path, options: &SynthOptions) -> Result<()> {
    if !out.is_dir() {
        return Err(Error::file(out, "is a file; expected a new or empty folder"));
    }
    let own: HashSet<PathBuf> = files(options).into_iter().collect();
    let walk = WalkDir::new(out).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| entry.file_name() != PARTIAL) {
        let entry = entry.map_err(|error| Error::file(out, error))?;
        let name = entry.path().strip_prefix(out).unwrap_or(entry.path());
        if !entry.file_type().is_dir() && !own.contains(name) {
            let name = name.display();
            let message =
                format!("exists already and holds {name}: expected a new or empty folder");
            return Err(Error::file(out, message));
        }
    }
    Ok(())
}

/// Every file of a set, below its folder.
fn files(options: &SynthOptions) -> Vec<PathBuf> {
    let items = items(options).into_iter();
    let images = items.flat_map(|(split, index)| {
        let (image, mask) = paths(options, split, index);
        [Some(image), mask].into_iter().flatten()
    });
    images.chain([PathBuf::from(OPTIONS)]).collect()
}

fn items(options: &SynthOptions) -> Vec<(Split, usize)> {
    let of = |split| (0..options.count(split)).map(move |index| (split, index));
    of(Split::Train).chain(of(Split::Test)).collect()
}

/// Where an image goes, and its mask if it has a defect.
fn paths(options: &SynthOptions, split: Split, index: usize) -> (PathBuf, Option<PathBuf>) {
    let (kind, number) = options.item(split, index);
    let folder = Path::new(if split == Split::Train { "train" } else { "test" });
    let image = folder.join(kind.map_or(GOOD, DefectKind::name)).join(format!("{number:03}.png"));
    let mask = kind.map(|kind| {
        Path::new("ground_truth").join(kind.name()).join(format!("{number:03}_mask.png"))
    });
    (image, mask)
}

fn write_all(dir: &Path, options: &SynthOptions, progress: Progress<'_>) -> Result<()> {
    let items = items(options);
    let done = AtomicUsize::new(0);
    items.par_iter().try_for_each(|&(split, index)| {
        let rendered = render(options, split, index);
        let (image, mask) = paths(options, split, index);
        write_png(&dir.join(image), &rendered.image)?;
        if let Some(mask) = mask {
            write_png(&dir.join(mask), &rendered.mask)?;
        }
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
        Ok(())
    })?;
    let json = serde_json::to_vec_pretty(options).map_err(|e| Error::Internal(e.to_string()))?;
    write_file(&dir.join(OPTIONS), &json)
}

/// Moves every file of a set from `from` to `to`, making folders.
fn move_into(from: &Path, to: &Path, options: &SynthOptions) -> Result<()> {
    for file in files(options) {
        let target = to.join(&file);
        let parent = target.parent().unwrap_or(to);
        fs::create_dir_all(parent)
            .and_then(|()| fs::rename(from.join(&file), &target))
            .map_err(|error| Error::file(&target, error))?;
    }
    Ok(())
}

/// End of the name of the hidden folder.
const PARTIAL: &str = ".anomem-synth.partial";

/// The name of the file that holds the options.
const OPTIONS: &str = "synth.json";

fn write_png(path: &Path, raster: &Raster) -> Result<()> {
    let mut png = Vec::new();
    let (width, height) = (raster.width as u32, raster.height as u32);
    PngEncoder::new_with_quality(&mut png, CompressionType::Fast, FilterType::Adaptive)
        .write_image(&raster.bytes, width, height, ExtendedColorType::L8)
        .map_err(|error| Error::file(path, error))?;
    write_file(path, &png)
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, bytes)
    };
    write().map_err(|error| Error::file(path, error))
}
