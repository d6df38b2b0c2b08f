//! The scores of a test set's pixels, in bounded memory.

use std::iter::Peekable;

use rayon::slice::ParallelSliceMut;

use super::ranking::{Areas, Counts, order_key};
use super::regions::region_sizes;

/// Bits of a score's sort key kept once pixels are counted: sign, exponent and 11 of 23 fraction
/// bits, so that scores closer than 0.05 % count as equal.
const COARSE_BITS: u32 = 20;

/// The pixels of a group of images.
#[derive(Debug)]
pub(super) enum PixelScores {
    /// Sort keys.
    Exact {
        /// Of normal pixels.
        normal: Vec<u32>,
        /// Of defect pixels, each with the number of pixels of its region.
        marked: Vec<(u32, u32)>,
    },
    /// What each leading part of a sort key holds.
    Coarse(Vec<Counts>),
}

impl Default for PixelScores {
    fn default() -> Self {
        Self::Exact { normal: Vec::new(), marked: Vec::new() }
    }
}

/// A pixel of a region of `size` pixels, or a normal one for 0.
fn counts(size: u32) -> Counts {
    match size {
        0 => Counts { alarms: 1, ..Counts::default() },
        size => Counts { hits: 1, cover: 1.0 / f64::from(size), ..Counts::default() },
    }
}

impl PixelScores {
    /// Adds the scores `map` of an image `width` pixels wide, of the same size as its `mask`.
    /// Returns what they add to a [`total`](Areas::of).
    pub(super) fn add(&mut self, map: &[f32], mask: &[u8], width: usize) -> Counts {
        let (sizes, regions) = region_sizes(mask, width);
        let mut hits = 0;
        for (&score, size) in map.iter().zip(sizes) {
            hits += u64::from(size > 0);
            self.push(order_key(score), size);
        }
        Counts { hits, alarms: map.len() as u64 - hits, cover: regions as f64 }
    }

    fn push(&mut self, key: u32, size: u32) {
        match self {
            Self::Exact { normal, .. } if size == 0 => normal.push(key),
            Self::Exact { marked, .. } => marked.push((key, size)),
            Self::Coarse(bins) => bins[(key >> (32 - COARSE_BITS)) as usize] += counts(size),
        }
    }

    /// From now on counts instead of keeping keys.
    pub(super) fn coarsen(&mut self) {
        if let Self::Exact { normal, marked } = self {
            let (normal, marked) = (std::mem::take(normal), std::mem::take(marked));
            *self = Self::Coarse(vec![Counts::default(); 1 << COARSE_BITS]);
            normal.into_iter().for_each(|key| self.push(key, 0));
            marked.into_iter().for_each(|(key, size)| self.push(key, size));
        }
    }

    /// Needed once before [`Self::areas`].
    pub(super) fn sort(&mut self) {
        if let Self::Exact { normal, marked } = self {
            normal.par_sort_unstable();
            // By size too: then sums do not depend on the order of the images.
            marked.par_sort_unstable();
        }
    }

    /// What each distinct key adds, the highest first; separately for normal and marked pixels.
    fn runs(&self) -> Vec<Runs<'_>> {
        match self {
            Self::Exact { normal, marked } => {
                let normal = normal
                    .chunk_by(|a, b| a == b)
                    .rev()
                    .map(|run| (run[0], Counts { alarms: run.len() as u64, ..Counts::default() }));
                let marked = marked.chunk_by(|a, b| a.0 == b.0).rev().map(|run| {
                    let mut sum = Counts::default();
                    run.iter().for_each(|(_, size)| sum += counts(*size));
                    (run[0].0, sum)
                });
                vec![Box::new(normal), Box::new(marked)]
            }
            Self::Coarse(bins) => {
                let filled = bins.iter().enumerate().rev().filter(|(_, c)| c.hits + c.alarms > 0);
                vec![Box::new(filled.map(|(key, counts)| (key as u32, *counts)))]
            }
        }
    }

    /// The areas of all pixels of `groups`, which are `all` together.
    pub(super) fn areas(groups: &[&Self], all: Counts) -> Option<Areas> {
        Areas::of(Merged::new(groups.iter().flat_map(|group| group.runs())), all)
    }
}

/// Falling keys, and what each adds.
type Runs<'a> = Box<dyn Iterator<Item = (u32, Counts)> + 'a>;

/// Several lists of runs as one: equal keys are added up.
struct Merged<'a>(Vec<Peekable<Runs<'a>>>);

impl<'a> Merged<'a> {
    fn new(lists: impl Iterator<Item = Runs<'a>>) -> Self {
        Self(lists.map(Iterator::peekable).collect())
    }
}

impl Iterator for Merged<'_> {
    type Item = Counts;

    fn next(&mut self) -> Option<Counts> {
        let highest = self.0.iter_mut().filter_map(|list| Some(list.peek()?.0)).max()?;
        let mut sum = Counts::default();
        for list in &mut self.0 {
            if let Some((_, counts)) = list.next_if(|(key, _)| *key == highest) {
                sum += counts;
            }
        }
        Some(sum)
    }
}
