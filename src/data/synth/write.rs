//! Made-up images written to disk.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};
use rayon::prelude::*;

use super::{DefectKind, SynthOptions, render};
use crate::data::Split;
use crate::data::folder::GOOD;
use crate::data::load::Progress;
use crate::data::raster::Raster;
use crate::{Error, Result};

/// Writes a set in the MVTec AD layout to the new folder `out`: PNG images, PNG masks, and the
/// options in `synth.json`.
///
/// Written beside `out` and renamed at the end, so that `out` is whole or not there.
///
/// # Errors
/// [`Error::Usage`] for a size out of range; [`Error::File`] when `out` holds something already or
/// cannot be written.
pub fn generate(out: &Path, options: &SynthOptions, progress: Progress<'_>) -> Result<()> {
    options.validate()?;
    let taken = fs::read_dir(out).map(|mut entries| entries.next().is_some());
    if taken.unwrap_or(out.exists()) {
        return Err(Error::file(out, "exists already: expected a new or empty folder"));
    }
    let mut name = out.file_name().unwrap_or_default().to_os_string();
    name.push(".partial");
    let partial = out.with_file_name(name);
    let written = write_all(&partial, options, progress).and_then(|()| {
        // An empty `out` makes way; a missing one is no error.
        fs::remove_dir(out).ok();
        fs::rename(&partial, out).map_err(|error| Error::file(out, error))
    });
    if written.is_err() {
        fs::remove_dir_all(&partial).ok();
    }
    written
}

fn write_all(dir: &Path, options: &SynthOptions, progress: Progress<'_>) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(|error| Error::file(dir, error))?;
    }
    let items: Vec<_> = [Split::Train, Split::Test]
        .into_iter()
        .flat_map(|split| (0..options.count(split)).map(move |index| (split, index)))
        .collect();
    let done = AtomicUsize::new(0);
    items.par_iter().try_for_each(|&(split, index)| {
        let (kind, number) = options.item(split, index);
        let kind = kind.map_or(GOOD, DefectKind::name);
        let rendered = render(options, split, index);
        let folder = if split == Split::Train { "train" } else { "test" };
        write_png(&dir.join(folder).join(kind).join(format!("{number:03}.png")), &rendered.image)?;
        if rendered.kind.is_some() {
            let mask = dir.join("ground_truth").join(kind).join(format!("{number:03}_mask.png"));
            write_png(&mask, &rendered.mask)?;
        }
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, items.len());
        Ok(())
    })?;
    let json = serde_json::to_vec_pretty(options).map_err(|e| Error::Internal(e.to_string()))?;
    write_file(&dir.join("synth.json"), &json)
}

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
