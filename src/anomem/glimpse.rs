//! What a report shows of a training: some images, their augmented views, and the places in images
//! whose features come nearest to the memory's prototypes.

use super::feed::packed;
use super::model::Model;
use super::set::TrainingSet;
use super::step::{augmentation, counters_of};
use crate::autograd::{Plan, PlanOptions, Tape, Value};
use crate::data::{Bytes, Pixels, Raster};
use crate::gpu::Gpu;
use crate::nn::Mode;
use crate::ops::{augment, nearest};
use crate::report::Picture;
use crate::report::page::{Learned, Patches, Prototype, Views};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};

/// Images that prototypes are compared with, at most, and their bytes, at most.
const IMAGES: usize = 256;
const BYTES: usize = 64 << 20;
/// Images per step: few, so that a software driver needs little memory.
const BATCH: usize = 16;
/// Images shown, and with how many views each.
const SAMPLES: usize = 12;
const VIEWED: usize = 4;
const VIEWS: usize = 5;
/// Prototypes shown per scale, and places of each.
const PROTOTYPES: usize = 16;
const PLACES: usize = 3;
/// Pixels to a side of a picture.
const SIDE: usize = 160;
/// And of a place.
const PATCH: usize = 64;
/// A place is shown with its neighbours in the map: so many, itself among them.
const NEIGHBOURS: usize = 3;
/// Least pixels to a side of a place.
const LEAST: usize = 12;

/// Some training images, kept while a training takes the others away.
pub struct Glimpse {
    pixels: Pixels,
    /// Normal images and labelled anomalies that there were.
    all: [usize; 2],
}

impl Glimpse {
    /// Copies normal images of `set`, evenly spread.
    ///
    /// # Errors
    /// No room for them.
    pub fn of(set: &TrainingSet) -> Result<Self> {
        let (pixels, normals) = (&set.pixels, set.pixels.n - set.anomalies);
        let len = pixels.image_len();
        let n = normals.min(IMAGES).min((BYTES / len.max(1)).max(1));
        let mut bytes = Bytes::zeroed(n * len)?;
        for (i, to) in bytes.chunks_mut(len.max(1)).enumerate() {
            to.copy_from_slice(pixels.image(i * normals / n));
        }
        let Pixels { height, width, channels, .. } = *pixels;
        Ok(Self {
            pixels: Pixels { n, height, width, channels, bytes },
            all: [set.images(), set.anomalies],
        })
    }

    /// What a report shows of them and of the memory of `model`, which was trained on them.
    ///
    /// # Errors
    /// Limits that the plans exceed, faults of the GPU.
    pub fn learned(&self, gpu: &Gpu, model: &mut Model) -> Result<Learned> {
        let shown = (0..self.pixels.n.min(SAMPLES)).map(|i| self.spread(i, SAMPLES));
        let samples =
            shown.map(|i| Picture::small(&self.raster(i), SIDE)).collect::<Result<_>>()?;
        Ok(Learned {
            images: self.all[0],
            anomalies: self.all[1],
            samples,
            views: self.views(gpu, model)?,
            memories: self.memories(gpu, model)?,
            compared: self.pixels.n,
        })
    }

    /// Image `i` of `count`, evenly spread.
    fn spread(&self, i: usize, count: usize) -> usize {
        i * self.pixels.n / count.min(self.pixels.n).max(1)
    }

    fn raster(&self, index: usize) -> Raster {
        let Pixels { height, width, channels, .. } = self.pixels;
        Raster { height, width, channels, bytes: self.pixels.image(index).to_vec() }
    }

    /// A part of image `index`, `side` pixels square around row `y` and column `x` as far as the
    /// image goes.
    fn part(&self, index: usize, [y, x]: [usize; 2], side: usize) -> Raster {
        let Pixels { height, width, channels, .. } = self.pixels;
        let side = side.min(height).min(width);
        let start = |at: usize, length: usize| at.saturating_sub(side / 2).min(length - side);
        let (top, left) = (start(y, height), start(x, width));
        let row = |y: usize| {
            let begin = (y * width + left) * channels;
            &self.pixels.image(index)[begin..begin + side * channels]
        };
        let bytes = (top..top + side).flat_map(row).copied().collect();
        Raster { height: side, width: side, channels, bytes }
    }

    /// Augmented with the settings of the training, by draws of its seed.
    fn views(&self, gpu: &Gpu, model: &mut Model) -> Result<Vec<Views>> {
        let n = self.pixels.n.min(VIEWED);
        let chosen: Vec<usize> = (0..n).map(|i| self.spread(i, VIEWED)).collect();
        let held = Held::declare(gpu, model, "glimpse views", &self.pixels, n)?;
        let slab = model.store.slab("glimpse draws");
        let counters = model.store.declare(slab, "glimpse counters", &[4], Element::U32, false)?;
        model.store.allocate(gpu)?;
        model.store.upload(gpu, counters, &counters_of(model.config.seed, 0))?;
        held.upload(gpu, model, &self.pixels, &chosen)?;

        let mut tape = Tape::forward_only(gpu.report().kernels());
        let t = &mut tape;
        let (images, slots) = held.record(t, model)?;
        let options = augmentation(&model.config);
        let counter = t.variable(&model.store, counters);
        let draws = augment::draw(t, &options, counter, slots, VIEWS)?;
        let views = augment::views(t, &images, slots, draws, &options)?;
        t.keep(views);
        let options = PlanOptions { label: "glimpse views".into(), ..Default::default() };
        let plan = Plan::compile(gpu, &tape, &model.store, &options)?;
        plan.run(gpu)?;
        let values: Vec<f32> = plan.read(gpu, views)?;

        let channels = self.pixels.channels;
        let byte = |(i, value): (usize, &f32)| {
            let c = i % channels;
            (255.0 * (value * images.std[c] + images.mean[c])).round().clamp(0.0, 255.0) as u8
        };
        let [height, width] = images.size;
        let of_view: Vec<Raster> = values
            .chunks(height * width * channels)
            .map(|view| {
                let bytes = view.iter().enumerate().map(byte).collect();
                Raster { height, width, channels, bytes }
            })
            .collect();
        let one = |(i, image): (usize, &usize)| {
            let views = (0..VIEWS).map(|view| Picture::small(&of_view[view * n + i], SIDE));
            let image = Picture::small(&self.raster(*image), SIDE)?;
            Ok(Views { image, views: views.collect::<Result<_>>()? })
        };
        chosen.iter().enumerate().map(one).collect()
    }

    fn memories(&self, gpu: &Gpu, model: &mut Model) -> Result<Vec<Patches>> {
        // The nearest place of each step is kept, so several steps are wanted.
        let batch = BATCH.min(self.pixels.n.div_ceil(PLACES)).max(1);
        let held = Held::declare(gpu, model, "glimpse", &self.pixels, batch)?;
        model.store.allocate(gpu)?;
        let mut tape = Tape::forward_only(model.kernels(gpu));
        let t = &mut tape;
        let (images, slots) = held.record(t, model)?;
        let x = augment::plain(t, &images, slots)?;
        let maps = model.maps(t, x, Mode::Evaluate)?;
        let mut recalls = Vec::new();
        for (scale, map) in model.scales.iter().zip(maps) {
            let &[_, height, width, dim] = t.shape(map) else {
                return Err(Error::Internal("a map has four dimensions".into()));
            };
            let vectors = t.reshape(map, &[batch * height * width, dim])?;
            let z = model.space(t, vectors)?;
            let recalled = model.retrieve(t, scale, z, model.config.memory.steps_score)?;
            let patterns = model.patterns(t, scale)?;
            let (distance, place) = nearest::nearest(t, patterns, z)?;
            [recalled.slot, distance, place].into_iter().for_each(|value| t.keep(value));
            recalls.push(Recall {
                slot: recalled.slot,
                distance,
                place,
                map: [height, width],
                counts: vec![0; scale.slots],
                nearest: vec![Vec::new(); scale.slots],
            });
        }
        let plan = model.plan(gpu, &tape, "glimpse")?;
        let every: Vec<usize> = (0..self.pixels.n).collect();
        for chosen in every.chunks(batch) {
            held.upload(gpu, model, &self.pixels, chosen)?;
            plan.run(gpu)?;
            recalls.iter_mut().try_for_each(|recall| recall.read(gpu, &plan, chosen))?;
        }
        let scales = recalls.iter().zip(&model.scales);
        scales.map(|(recall, scale)| self.patches(recall, scale.stage)).collect()
    }

    /// The prototypes of `stage` that are recalled most.
    fn patches(&self, recall: &Recall, stage: usize) -> Result<Patches> {
        let Recall { map: [rows, columns], counts, nearest, .. } = recall;
        let total: usize = counts.iter().sum();
        let mut order: Vec<usize> = (0..counts.len()).filter(|slot| counts[*slot] > 0).collect();
        order.sort_by_key(|slot| std::cmp::Reverse(counts[*slot]));
        let cell = [self.pixels.height.div_ceil(*rows), self.pixels.width.div_ceil(*columns)];
        let side = (NEIGHBOURS * cell[0].max(cell[1])).max(LEAST);
        let patch = |place: &Place| {
            let [y, x] = [place.position / columns, place.position % columns];
            let middle = [
                (2 * y + 1) * self.pixels.height / (2 * rows),
                (2 * x + 1) * self.pixels.width / (2 * columns),
            ];
            Picture::small(&self.part(place.image, middle, side), PATCH)
        };
        let prototype = |slot: &usize| {
            let patches = nearest[*slot].iter().map(patch).collect::<Result<_>>()?;
            let share = counts[*slot] as f64 / total.max(1) as f64;
            Ok(Prototype { slot: *slot, share, patches })
        };
        Ok(Patches {
            stage,
            slots: counts.len(),
            used: order.len(),
            positions: recall.map,
            prototypes: order.iter().take(PROTOTYPES).map(prototype).collect::<Result<_>>()?,
        })
    }
}

/// A place in an image's map.
#[derive(Debug, Clone, Copy)]
struct Place {
    distance: f32,
    image: usize,
    position: usize,
}

/// What is read of one scale after each step.
struct Recall {
    /// u32 `[B*P]`: the prototype that each position recalls first.
    slot: Value,
    /// `[M]`: of each prototype to the nearest feature, squared.
    distance: Value,
    /// u32 `[M]`: which feature that is.
    place: Value,
    /// Rows and columns.
    map: [usize; 2],
    /// `[M]`: positions that recall each prototype first.
    counts: Vec<usize>,
    /// `[M]`: the nearest places of the best steps, the nearest first.
    nearest: Vec<Vec<Place>>,
}

impl Recall {
    /// Adds a step on the images `chosen`.
    fn read(&mut self, gpu: &Gpu, plan: &Plan, chosen: &[usize]) -> Result<()> {
        let positions = self.map[0] * self.map[1];
        let slots: Vec<u32> = plan.read(gpu, self.slot)?;
        for slot in slots.into_iter().take(chosen.len() * positions) {
            if let Some(count) = self.counts.get_mut(slot as usize) {
                *count += 1;
            }
        }
        let distances: Vec<f32> = plan.read(gpu, self.distance)?;
        let places: Vec<u32> = plan.read(gpu, self.place)?;
        for ((list, distance), place) in self.nearest.iter_mut().zip(distances).zip(places) {
            let (image, position) = (place as usize / positions, place as usize % positions);
            list.push(Place { distance, image: chosen[image % chosen.len()], position });
            list.sort_by(|a, b| a.distance.total_cmp(&b.distance));
            list.truncate(PLACES);
        }
        Ok(())
    }
}

/// A batch of images on the GPU.
struct Held {
    words: VarId,
    slots: VarId,
    shape: [usize; 4],
}

impl Held {
    /// Declares room for `batch` images like `pixels`; `name` names it.
    fn declare(
        gpu: &Gpu,
        model: &mut Model,
        name: &str,
        pixels: &Pixels,
        batch: usize,
    ) -> Result<Self> {
        let store = &mut model.store;
        let slab = store.slab(name);
        let words = (batch * pixels.image_len()).div_ceil(4);
        let words =
            store.declare(slab, &format!("{name}.pixels"), &[words], Element::U32, false)?;
        let slots = store.declare(slab, &format!("{name}.slots"), &[batch], Element::U32, false)?;
        store.allocate(gpu)?;
        let every: Vec<u32> = (0..batch as u32).collect();
        store.upload(gpu, slots, &every)?;
        Ok(Self { words, slots, shape: [batch, pixels.height, pixels.width, pixels.channels] })
    }

    /// Records the images and which of them a step takes: all.
    fn record(&self, tape: &mut Tape, model: &Model) -> Result<(augment::Images, Value)> {
        let words = tape.variable(&model.store, self.words);
        let images = model.images(tape, words, self.shape, None)?;
        Ok((images, tape.variable(&model.store, self.slots)))
    }

    /// Makes `chosen` the next step's images, from the start again where they are too few.
    fn upload(&self, gpu: &Gpu, model: &Model, pixels: &Pixels, chosen: &[usize]) -> Result<()> {
        let images = chosen.iter().cycle().take(self.shape[0]);
        let bytes: Vec<u8> = images.flat_map(|image| pixels.image(*image)).copied().collect();
        let words = packed(&bytes, model.store.variable(self.words).len());
        model.store.upload(gpu, self.words, &words)
    }
}
