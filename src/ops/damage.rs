//! Made-up anomalies: stored images with a patch, a scar, a blob, a spot, a line or a smear, and where it is.
//!
//! After CutPaste (Li et al. 2021, arXiv 2104.04015), whose patches and scars carry the image's own
//! pixels to another place, and DRAEM (Zavrtanik et al. 2021, arXiv 2108.07610), whose anomalies lie where
//! smooth noise is high.
//!
//! ```text
//! counters, ids -> draw -> draws [B, 16] -> lattice -> field -> threshold -> mask -+-> mask [B, H, W]
//!                                                                                  +-> alpha -+
//! bytes [N, H, W, C], slots, statistics ---------------------------------------------> blend <-+
//!                                                                                        +-> bytes [B, H, W, C]
//! bytes before and after, mask -> seen_rows -> rows [B, H, 2] -> seen -> seen [B]
//! masks of labelled anomalies, slots -> marked -> mask [B, H, W]
//! mask, draws of views -> cover_rows -> cover -> shares [V*B, GH, GW]
//! shares of one cell, seen, chosen -> shown -> shown [V*B]
//! ```
//! Nothing has a gradient. Bytes lie four to a `u32` word, the lowest first.

use super::augment::{self, Images};
use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `draw`.
    pub struct DrawParams { batch: u32, kinds: u32 }
}
params! {
    /// Params of `lattice`.
    pub struct LatticeParams { batch: u32 }
}
params! {
    /// Params of `field`, `mask` and `seen_rows`.
    pub struct PixelParams { batch: u32, height: u32, width: u32 }
}
params! {
    /// Params of `threshold`.
    pub struct ThresholdParams {
        batch: u32, height: u32, width: u32, rows: u32, columns: u32, spacing_y: f32, spacing_x: f32,
    }
}
params! {
    /// Params of `blend`.
    pub struct BlendParams { batch: u32, height: u32, width: u32, words: u32 }
}
params! {
    /// Params of `seen`.
    pub struct SeenParams { batch: u32, height: u32 }
}
params! {
    /// Params of `shown`.
    pub struct ShownParams { views: u32, batch: u32 }
}
params! {
    /// Params of `marked`.
    pub struct MarkedParams { len: u32, area: u32 }
}
params! {
    /// Params of `cover_rows`.
    pub struct CoverRowsParams { len: u32, batch: u32, height: u32, width: u32, columns: u32 }
}
params! {
    /// Params of `cover`.
    pub struct CoverParams { len: u32, height: u32, grid_rows: u32, columns: u32 }
}

static DRAW: Shader = shader!("damage", "draw", DrawParams);
static LATTICE: Shader = shader!("damage", "lattice", LatticeParams);
static FIELD: Shader = shader!("damage", "field", PixelParams);
static THRESHOLD: Shader = shader!("damage", "threshold", ThresholdParams);
static MASK: Shader = shader!("damage", "mask", PixelParams);
static BLEND: Shader = shader!("damage", "blend", BlendParams);
static SEEN_ROWS: Shader = shader!("damage", "seen_rows", PixelParams);
static SEEN: Shader = shader!("damage", "seen", SeenParams);
static SHOWN: Shader = shader!("damage", "shown", ShownParams);
static MARKED: Shader = shader!("damage", "marked", MarkedParams);
static COVER_ROWS: Shader = shader!("damage", "cover_rows", CoverRowsParams);
static COVER: Shader = shader!("damage", "cover", CoverParams);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[
    &DRAW,
    &LATTICE,
    &FIELD,
    &THRESHOLD,
    &MASK,
    &BLEND,
    &SEEN_ROWS,
    &SEEN,
    &COVER_ROWS,
    &COVER,
    &SHOWN,
    &MARKED,
];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] =
    &[(&BLEND, &[("CHANNELS", &[1, 3])]), (&SEEN_ROWS, &[("CHANNELS", &[1, 3])])];

/// The slot in [`marked`] of an entry without a mask.
pub const UNMARKED: u32 = u32::MAX;

/// Values per row of draws.
pub const DRAW_LEN: usize = 16;

/// Most nodes of a blob's lattice: 12 by 12.
const NODES: usize = 144;

/// Most samples along a side from which a blob's threshold is taken.
const SAMPLES: usize = 16;

/// Which kinds of damage may be drawn, all of them equally often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DamageOptions {
    /// An upright rectangle of the image's own pixels from another place.
    pub rectangle: bool,
    /// A thin rotated rectangle of such pixels.
    pub scar: bool,
    /// Irregular patches of the image in another tone, or of another image of the batch.
    pub blob: bool,
    /// A dark or bright ellipse, of the image's own contrast or less, with an edge from hard to soft.
    pub spot: bool,
    /// A dark or bright curve 1 to 3 pixels thin, of the image's own contrast or of none, some with gaps.
    pub line: bool,
    /// An upright rectangle blurred along x, along y or both.
    pub smear: bool,
}

impl DamageOptions {
    /// Every kind.
    pub const ALL: Self =
        Self { rectangle: true, scar: true, blob: true, spot: true, line: true, smear: true };

    /// Bit k: kind k of `kinds.wgsl`.
    fn bits(self) -> u32 {
        let kinds = [self.rectangle, self.scar, self.blob, self.spot, self.line, self.smear];
        kinds.iter().rev().fold(0, |bits, kind| bits << 1 | u32::from(*kind))
    }
}

/// The damage of each entry of a batch, f32 `[B, 16]`:
///
/// | columns | |
/// |---|---|
/// | 0 | kind: 0 rectangle, 1 scar, 2 blob, 3 spot, 4 line, 5 smear |
/// | 1 | spot: width of the edge, in radii; line: half width, in pixels; others: 1 = soft edge, the mean over 3x3 pixels |
/// | 2-3 | centre x, y, from -1 to 1 over the image |
/// | 4-5 | rectangle, smear: half width, half height; scar: half length, half width; blob: nodes along a side of its lattice, share of the image; spot: radii along and across; line: half length, sag of its ends in half lengths |
/// | 6-7 | cosine and sine of the angle from the x axis |
/// | 8-9 | from how far to the right and below its pixels come, as shares of the sides; smear: how far across and down its means reach to each side, below 1 as shares of the sides, else in pixels |
/// | 10 | 1 = they come from the next entry of the batch |
/// | 11 | contrast, around the mean of the image they come from |
/// | 12 | change of brightness for an image of deviation 0.2, with full scale at 1 |
/// | 13 | opacity |
/// | 14-15 | integers below 2^24, the key of a blob's noise; line: the first has bit k set where segment k of 12 is there |
///
/// The lengths of columns 4 and 5 are in units of half the square root of the image's area, those of a
/// square image's coordinates. `counters`: u32 `[4]`, seed low, seed high, step, unused. `ids`: u32
/// `[B]`, the images' numbers in the data set. A row follows from seed, step and id alone.
///
/// # Errors
/// Other shapes, no kind.
pub fn draw(
    tape: &mut Tape,
    options: &DamageOptions,
    counters: Value,
    ids: Value,
) -> Result<Value> {
    let wrong = |message| Err(Error::shape("damage.draw", message));
    let (of_counters, of_ids) = (tape.shape(counters), tape.shape(ids));
    let &[batch] = of_ids else {
        return wrong(format!("ids {of_ids:?}, expected [B]"));
    };
    if of_counters != [4] {
        return wrong(format!("counters {of_counters:?}, expected [4]"));
    }
    if options.bits() == 0 {
        return wrong(format!("no kind to draw: {options:?}"));
    }
    let draws = tape.temporary("damage.draws", &[batch, DRAW_LEN], Element::F32)?;
    let params = DrawParams { batch: batch as u32, kinds: options.bits() };
    let launch = Dispatch::new(Kernel::new(&DRAW), &params, groups_for(batch));
    tape.dispatch(launch.read(counters).read(ids).write(draws));
    Ok(draws)
}

/// A batch of images, some of them damaged.
#[derive(Debug, Clone, Copy)]
pub struct Damaged {
    /// The bytes of the entries one after another, u32 `[ceil(B*H*W*C / 4)]`.
    pub pixels: Value,
    /// 1 where a pixel is damaged, else 0, f32 `[B, H, W]`. Outside it a soft edge reaches one pixel
    /// further, and a spot or line fades from a quarter of its strength.
    pub mask: Value,
    /// 0 where the pixels of a chosen entry's mask changed by 0.4 of its image's deviation or less, the mean
    /// over them and all channels, as bytes; else 1, f32 `[B]`.
    pub seen: Value,
}

/// The images at `slots`, u32 `[B]`, damaged as `draws` of [`draw`] say where `chosen`, f32 `[B]`, is 1,
/// and unchanged where it is 0.
///
/// `statistics`: of [`augment::image_statistics`], f32 `[N, 2]`; those of `images` itself are not read.
/// What comes out are again images, of which entry b is number b; their statistics are their own.
/// Brightness changes in proportion to an image's deviation, so an image of one value stays as it is.
///
/// # Errors
/// Other shapes, sides above 12,000 pixels.
pub fn damage(
    tape: &mut Tape,
    images: &Images,
    statistics: Value,
    slots: Value,
    draws: Value,
    chosen: Value,
) -> Result<Damaged> {
    images.check(tape, "damage", slots)?;
    let ([stored, height, width, channels], batch) = (images.shape, tape.len(slots));
    for (name, value, expected) in [
        ("statistics", statistics, &[stored, 2][..]),
        ("draws", draws, &[batch, DRAW_LEN]),
        ("chosen", chosen, &[batch]),
    ] {
        if tape.shape(value) != expected {
            let message = format!("{name} {:?}, expected {expected:?}", tape.shape(value));
            return Err(Error::shape("damage", message));
        }
    }
    let pixel_count = batch * height * width;
    if pixel_count * channels > u32::MAX as usize {
        let message = format!("{batch} images of {:?}: 4 GiB or more", images.shape);
        return Err(Error::shape("damage", message));
    }
    // A row of `seen_rows` takes up to 5 iterations a pixel, a word of `blend` 3 per pixel of a side.
    if 5 * height.max(width) > LOOP_LIMIT {
        return Err(Error::shape("damage", format!("images of {:?}: too large", images.shape)));
    }
    let (batch_u32, height_u32, width_u32) = (batch as u32, height as u32, width as u32);
    let nodes = tape.temporary("damage.lattice", &[batch, NODES], Element::F32)?;
    let params = LatticeParams { batch: batch_u32 };
    let launch = Dispatch::new(Kernel::new(&LATTICE), &params, groups_for(batch * NODES / 4));
    tape.dispatch(launch.read(draws).write(nodes));

    let shape = [batch, height, width];
    let of_pixels = PixelParams { batch: batch_u32, height: height_u32, width: width_u32 };
    let field = tape.temporary("damage.field", &shape, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&FIELD), &of_pixels, groups_for(pixel_count));
    tape.dispatch(launch.read(draws).read(chosen).read(nodes).write(field));

    let thresholds = tape.temporary("damage.thresholds", &[batch], Element::F32)?;
    let (rows, columns) = (height.min(SAMPLES), width.min(SAMPLES));
    let params = ThresholdParams {
        batch: batch_u32,
        height: height_u32,
        width: width_u32,
        rows: rows as u32,
        columns: columns as u32,
        spacing_y: height as f32 / rows as f32,
        spacing_x: width as f32 / columns as f32,
    };
    let groups = groups_for(batch * rows * columns);
    let launch = Dispatch::new(Kernel::new(&THRESHOLD), &params, groups);
    tape.dispatch(launch.read(draws).read(chosen).read(field).write(thresholds));

    let mask = tape.temporary("damage.mask", &shape, Element::F32)?;
    let alpha = tape.temporary("damage.alpha", &shape, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&MASK), &of_pixels, groups_for(pixel_count));
    tape.dispatch(launch.read(draws).read(field).read(thresholds).write(mask).write(alpha));

    let words = (pixel_count * channels).div_ceil(4);
    let pixels = tape.temporary("damage.pixels", &[words], Element::U32)?;
    let params =
        BlendParams { batch: batch_u32, height: height_u32, width: width_u32, words: words as u32 };
    let kernel = Kernel::with(&BLEND, &[("CHANNELS", channels as u32)]);
    let launch = Dispatch::new(kernel, &params, groups_for(words));
    let launch = launch.read(images.pixels).read(statistics).read(slots).read(draws).read(alpha);
    tape.dispatch(launch.write(pixels));

    let rows = tape.temporary("damage.seen_rows", &[batch, height, 2], Element::F32)?;
    let kernel = Kernel::with(&SEEN_ROWS, &[("CHANNELS", channels as u32)]);
    let launch = Dispatch::new(kernel, &of_pixels, groups_for(batch * height));
    tape.dispatch(launch.read(images.pixels).read(slots).read(pixels).read(mask).write(rows));
    let seen = tape.temporary("damage.seen", &[batch], Element::F32)?;
    let params = SeenParams { batch: batch_u32, height: height_u32 };
    let launch = Dispatch::new(Kernel::new(&SEEN), &params, groups_for(batch));
    tape.dispatch(launch.read(rows).read(statistics).read(slots).read(chosen).write(seen));
    Ok(Damaged { pixels, mask, seen })
}

/// The share of every cell of the views' maps that is damaged, 0 to 1, f32 `[V*B, GH, GW]`.
///
/// `mask`: f32 `[B, H, W]` of [`damage`]. `views`: `[V*B, 16]` of [`augment::draw`], whose crop and flip
/// say where in the image a cell lies. `grid`: GH, GW.
///
/// # Errors
/// Other shapes, an empty grid.
pub fn cover(tape: &mut Tape, mask: Value, views: Value, grid: [usize; 2]) -> Result<Value> {
    let wrong = |message| Err(Error::shape("damage.cover", message));
    let (of_mask, of_views) = (tape.shape(mask), tape.shape(views));
    let &[batch, height, width] = of_mask else {
        return wrong(format!("mask {of_mask:?}, expected [B, H, W]"));
    };
    let count = of_views[0];
    if of_views != [count, augment::DRAW_LEN] || !count.is_multiple_of(batch) {
        return wrong(format!("views {of_views:?}, expected [V * {batch}, 16]"));
    }
    let [grid_rows, columns] = grid;
    let len = [count, height.max(grid_rows), columns].into_iter().product::<usize>();
    if height.max(width) > LOOP_LIMIT || len > u32::MAX as usize {
        return wrong(format!("mask {of_mask:?}, views {of_views:?}, grid {grid:?}: too large"));
    }
    let rows = tape.temporary("damage.cover_rows", &[count, height, columns], Element::F32)?;
    let params = CoverRowsParams {
        len: (count * height * columns) as u32,
        batch: batch as u32,
        height: height as u32,
        width: width as u32,
        columns: columns as u32,
    };
    let groups = groups_for(count * height * columns);
    let launch = Dispatch::new(Kernel::new(&COVER_ROWS), &params, groups);
    tape.dispatch(launch.read(mask).read(views).write(rows));
    let y = tape.temporary("damage.cover", &[count, grid_rows, columns], Element::F32)?;
    let params = CoverParams {
        len: (count * grid_rows * columns) as u32,
        height: height as u32,
        grid_rows: grid_rows as u32,
        columns: columns as u32,
    };
    let launch =
        Dispatch::new(Kernel::new(&COVER), &params, groups_for(count * grid_rows * columns));
    tape.dispatch(launch.read(rows).read(views).write(y));
    Ok(y)
}

/// The masks that labelled anomalies came with, f32 `[B, H, W]`: 1 where the byte of the mask at `slots`, u32
/// `[B]`, is not 0; all 0 for the slot [`UNMARKED`].
///
/// `masks`: bytes `[N, H, W]` of `shape`, four to a word.
///
/// # Errors
/// Other shapes.
pub fn marked(tape: &mut Tape, masks: Value, shape: [usize; 3], slots: Value) -> Result<Value> {
    let [stored, height, width] = shape;
    let (of_masks, of_slots) = (tape.shape(masks), tape.shape(slots));
    let &[batch] = of_slots else {
        return Err(Error::shape("damage.marked", format!("slots {of_slots:?}, expected [B]")));
    };
    let words = (stored * height * width).div_ceil(4);
    if of_masks != [words] {
        let message = format!("masks {of_masks:?} of {shape:?}, expected [{words}]");
        return Err(Error::shape("damage.marked", message));
    }
    let y = tape.temporary("damage.marked", &[batch, height, width], Element::F32)?;
    let len = batch * height * width;
    let params = MarkedParams { len: len as u32, area: (height * width) as u32 };
    let launch = Dispatch::new(Kernel::new(&MARKED), &params, groups_for(len));
    tape.dispatch(launch.read(masks).read(slots).write(y));
    Ok(y)
}

/// Whether each view shows what its label says, f32 `[V*B]`: 0 where an entry that was `chosen: [B]` has damage
/// that is not `seen: [B]`, or of which the crop left less than 0.002 of the view's area; else 1.
///
/// `mask` and `seen`: of [`damage`]. `views`: as for [`cover`].
///
/// # Errors
/// Other shapes.
pub fn shown(
    tape: &mut Tape,
    [mask, seen]: [Value; 2],
    chosen: Value,
    views: Value,
) -> Result<Value> {
    let shares = cover(tape, mask, views, [1, 1])?;
    let (of_seen, of_chosen) = (tape.shape(seen), tape.shape(chosen));
    if of_seen != &tape.shape(mask)[..1] || of_chosen != of_seen {
        let message = format!("seen {of_seen:?}, chosen {of_chosen:?}, expected [B] twice");
        return Err(Error::shape("damage.shown", message));
    }
    let (count, batch) = (tape.len(shares), tape.len(chosen));
    let y = tape.temporary("damage.shown", &[count], Element::F32)?;
    let params = ShownParams { views: count as u32, batch: batch as u32 };
    let launch = Dispatch::new(Kernel::new(&SHOWN), &params, groups_for(count));
    tape.dispatch(launch.read(shares).read(seen).read(chosen).write(y));
    Ok(y)
}
