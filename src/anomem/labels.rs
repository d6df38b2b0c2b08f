//! Which images of a batch are anomalous, and the making of those that are made (y = 0 without a label).

use super::config::{DamageKind, Pseudo};
use super::feed::{Batch, packed};
use super::model::Model;
use super::set::Marks;
use crate::autograd::{Tape, Value};
use crate::data::Pixels;
use crate::gpu::Gpu;
use crate::ops::augment::Images;
use crate::ops::damage::{DamageOptions, Damaged};
use crate::ops::{add::add, augment, damage, hinge, rotation};
use crate::tensor::{Element, VarId};
use crate::{Error, Result};

/// Positions of which a smaller share is damaged count as normal.
const SOUND: f32 = 0.005;
/// Positions of which at least this share is damaged count as anomalous; those between do not count.
const DAMAGED: f32 = 0.05;

/// The images of a step and what each stands for.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Composition {
    /// Which image of the set.
    pub indices: Vec<u32>,
    /// Whether it is a normal one as it is stored.
    pub normal: Vec<bool>,
    /// Whether an anomaly is made of it.
    pub made: Vec<bool>,
}

impl Composition {
    /// All normal.
    pub(super) fn normal(indices: Vec<u32>) -> Self {
        let n = indices.len();
        Self { indices, normal: vec![true; n], made: vec![false; n] }
    }

    /// Normal images that stay normal.
    pub(super) fn normals(&self) -> usize {
        self.normal.iter().zip(&self.made).filter(|(normal, made)| **normal && !**made).count()
    }
}

/// The labels of a step's batch on the GPU.
pub(super) struct Labels {
    views: usize,
    pseudo: Pseudo,
    /// f32 `[B]`: 1 for normal images that stay so, 0 for anomalies.
    normal: VarId,
    /// f32 `[B]`: 1 where an anomaly is made.
    made: VarId,
    /// f32 `[V * B]`: as `normal`.
    normal_views: VarId,
    /// f32 `[V * B]`: 1 where it is known which positions are anomalous.
    known: VarId,
    /// f32 `[B]`: 1 where some are, and it is known which.
    located: VarId,
    marks: Option<MarksOnGpu>,
    /// f32 `[B]`: 1, 1, 1, ...
    ones: VarId,
    /// u32 `[B]`: 0, 1, 2, ...
    every: VarId,
}

/// The masks of labelled anomalies on the GPU.
struct MarksOnGpu {
    marks: Marks,
    /// Bytes of all masks, four to a word.
    words: VarId,
    /// u32 `[B]`: the mask of each image of the batch.
    slots: VarId,
}

impl MarksOnGpu {
    /// The mask of image `index` of the set, if there is one.
    fn slot(&self, index: u32) -> Option<u32> {
        let slot = index.checked_sub(self.marks.first)?;
        self.marks.known.get(slot as usize)?.then_some(slot)
    }
}

/// The labels of a step on its tape.
pub(super) struct OnTape {
    /// f32 `[B]`: 1 normal, 0 anomaly.
    pub normal: Value,
    /// f32 `[V * B]`: the same per view.
    pub normal_views: Value,
    pseudo: Pseudo,
    known: Value,
    located: Value,
    made: Value,
    ones: Value,
    every: Value,
    /// f32 `[B, H, W]`: 1 where the masks of labelled anomalies say so.
    marked: Option<Value>,
    /// Once they are recorded: where images are anomalous, whether it can be seen, and the views' draws.
    placed: Option<Placed>,
}

#[derive(Clone, Copy)]
struct Placed {
    /// f32 `[B, H, W]`.
    mask: Value,
    /// f32 `[B]`.
    seen: Value,
    draws: Value,
}

impl Labels {
    /// Declares the variables under names that start with `prefix`, for batches in `views` views;
    /// anomalies are made as `pseudo` says, and labelled ones have `marks`.
    ///
    /// # Errors
    /// Names that exist.
    pub(super) fn declare(
        model: &mut Model,
        prefix: &str,
        [batch, views]: [usize; 2],
        pseudo: Pseudo,
        marks: Option<Marks>,
    ) -> Result<Self> {
        let slab = model.store.slab(&format!("{prefix} labels"));
        let mut declare = |what: &str, len: usize, element| {
            model.store.declare(slab, &format!("{prefix}.{what}"), &[len], element, false)
        };
        let marks = match marks.filter(|marks| marks.known.contains(&true)) {
            Some(marks) => {
                let words = declare("masks", marks.pixels.bytes.len().div_ceil(4), Element::U32)?;
                let slots = declare("mask_slots", batch, Element::U32)?;
                Some(MarksOnGpu { marks, words, slots })
            }
            None => None,
        };
        Ok(Self {
            views,
            pseudo,
            marks,
            located: declare("located", batch, Element::F32)?,
            normal: declare("normal", batch, Element::F32)?,
            made: declare("made", batch, Element::F32)?,
            normal_views: declare("normal_views", views * batch, Element::F32)?,
            known: declare("known", views * batch, Element::F32)?,
            ones: declare("ones", batch, Element::F32)?,
            every: declare("every", batch, Element::U32)?,
        })
    }

    /// Writes what no step changes.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn settle(&self, gpu: &Gpu, model: &Model) -> Result<()> {
        let n = model.store.variable(self.ones).len();
        model.store.upload(gpu, self.ones, &vec![1_f32; n])?;
        if let Some(MarksOnGpu { marks, words, .. }) = &self.marks {
            let packed = packed(&marks.pixels.bytes, model.store.variable(*words).len());
            model.store.upload(gpu, *words, &packed)?;
        }
        model.store.upload(gpu, self.every, &(0..n as u32).collect::<Vec<_>>())
    }

    /// Writes the labels of the next step.
    ///
    /// # Errors
    /// A fault of the GPU.
    pub(super) fn upload(&self, gpu: &Gpu, model: &Model, batch: &Composition) -> Result<()> {
        let stays: Vec<bool> =
            batch.normal.iter().zip(&batch.made).map(|(n, m)| *n && !*m).collect();
        let flags = |list: &[bool]| -> Vec<f32> { list.iter().map(|b| f32::from(*b)).collect() };
        let slots: Vec<Option<u32>> = batch
            .indices
            .iter()
            .map(|index| self.marks.as_ref().and_then(|marks| marks.slot(*index)))
            .collect();
        // Turned images are anomalous as a whole, labelled ones without a mask nobody knows where.
        let makes_damage = self.pseudo == Pseudo::Damage;
        let located: Vec<bool> = batch
            .made
            .iter()
            .zip(&slots)
            .map(|(made, slot)| (*made && makes_damage) || slot.is_some())
            .collect();
        let known: Vec<bool> = stays.iter().zip(&located).map(|(s, l)| *s || *l).collect();
        let (known, located) = (flags(&known), flags(&located));
        let (normal, made) = (flags(&stays), flags(&batch.made));
        let store = &model.store;
        if let Some(marks) = &self.marks {
            let slots: Vec<u32> =
                slots.iter().map(|slot| slot.unwrap_or(damage::UNMARKED)).collect();
            store.upload(gpu, marks.slots, &slots)?;
        }
        store.upload(gpu, self.located, &located)?;
        store.upload(gpu, self.normal, &normal)?;
        store.upload(gpu, self.made, &made)?;
        store.upload(gpu, self.normal_views, &normal.repeat(self.views))?;
        store.upload(gpu, self.known, &known.repeat(self.views))
    }

    /// Takes the labels onto a tape.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn record(&self, tape: &mut Tape, model: &Model) -> Result<OnTape> {
        let marked = match &self.marks {
            Some(MarksOnGpu { marks, words, slots, .. }) => {
                let Pixels { n, height, width, .. } = marks.pixels;
                let [words, slots] = [words, slots].map(|var| tape.variable(&model.store, *var));
                Some(damage::marked(tape, words, [n, height, width], slots)?)
            }
            None => None,
        };
        let mut value = |var| tape.variable(&model.store, var);
        Ok(OnTape {
            pseudo: self.pseudo,
            located: value(self.located),
            marked,
            normal: value(self.normal),
            normal_views: value(self.normal_views),
            known: value(self.known),
            made: value(self.made),
            ones: value(self.ones),
            every: value(self.every),
            placed: None,
        })
    }
}

/// The kinds of damage that the configuration asks for.
fn damages(model: &Model) -> DamageOptions {
    let has = |kind| model.config.anomalies.damage.contains(&kind);
    DamageOptions {
        rectangle: has(DamageKind::Rectangle),
        scar: has(DamageKind::Scar),
        blob: has(DamageKind::Blob),
        spot: has(DamageKind::Spot),
        line: has(DamageKind::Line),
        smear: has(DamageKind::Smear),
    }
}

impl OnTape {
    /// Records the making of anomalies out of the chosen images of `batch`, which stay as they are where
    /// none is made. Returns the images, the slots of the batch in them, and their damage.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn make(
        &self,
        tape: &mut Tape,
        model: &Model,
        batch: &Batch,
        counters: Value,
    ) -> Result<(Images, Value, Option<Damaged>)> {
        let [_, height, width, channels] = batch.images.shape;
        let of_batch = [tape.len(batch.slots), height, width, channels];
        match self.pseudo {
            Pseudo::None => Ok((batch.images, batch.slots, None)),
            Pseudo::Rotation => {
                let turns = rotation::draw(tape, counters, batch.ids, self.made)?;
                let Images { pixels, shape, .. } = batch.images;
                let turned = rotation::turn(tape, pixels, shape, batch.slots, turns)?;
                Ok((model.images(tape, turned, of_batch, None)?, self.every, None))
            }
            Pseudo::Damage => {
                let statistics = match batch.statistics {
                    Some(measured) => measured,
                    None => {
                        augment::image_statistics(tape, batch.images.pixels, batch.images.shape)?
                    }
                };
                let draws = damage::draw(tape, &damages(model), counters, batch.ids)?;
                let damaged =
                    damage::damage(tape, &batch.images, statistics, batch.slots, draws, self.made)?;
                let images = model.images(tape, damaged.pixels, of_batch, None)?;
                Ok((images, self.every, Some(damaged)))
            }
        }
    }

    /// Remembers where the batch is anomalous and how its views were cut.
    ///
    /// # Errors
    /// Those of the operation.
    pub(super) fn place(
        &mut self,
        tape: &mut Tape,
        damaged: Option<Damaged>,
        draws: Value,
    ) -> Result<()> {
        let (mask, seen) = match (damaged, self.marked) {
            (None, None) => return Ok(()),
            // None is made of a labelled one.
            (Some(damaged), Some(marked)) => (add(tape, damaged.mask, marked)?, damaged.seen),
            (Some(damaged), None) => (damaged.mask, damaged.seen),
            (None, Some(marked)) => (marked, self.ones),
        };
        self.placed = Some(Placed { mask, seen, draws });
        Ok(())
    }

    /// Weights of the images' hinge, f32 `[V * B]`: normal images together weigh as much as anomalies.
    /// A view that shows no damage where there should be some is neither.
    ///
    /// # Errors
    /// Those of the operations.
    pub(super) fn weights(&self, tape: &mut Tape) -> Result<Value> {
        let counts = match self.placed {
            Some(Placed { mask, seen, draws }) => {
                damage::shown(tape, [mask, seen], self.located, draws)?
            }
            None => self.ones,
        };
        hinge::balance(tape, self.normal_views, counts)
    }

    /// For every position of a map of `grid`, whether it is normal and what it weighs, f32
    /// `[V * B * H * W]` each.
    ///
    /// # Errors
    /// Those of the operations, or a step without masks.
    pub(super) fn positions(&self, tape: &mut Tape, grid: [usize; 2]) -> Result<(Value, Value)> {
        let Some(Placed { mask, seen, draws }) = self.placed else {
            return Err(Error::Usage(
                "stage2.head: positions can be learned where it is known where images are anomalous, from \
                 anomalies.pseudo = \"damage\" or from masks (--masks); expected one of them, or \"image\""
                    .into(),
            ));
        };
        let cover = damage::cover(tape, mask, draws, grid)?;
        hinge::position_targets(tape, cover, self.known, seen, [SOUND, DAMAGED])
    }
}
