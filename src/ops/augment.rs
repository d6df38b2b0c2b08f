//! Augmentation: from images stored as bytes to normalised views, after SimCLR (Chen et al. 2020).
//!
//! ```text
//! counters, ids -> draw -> draws [V*B, 16] -+
//! bytes [N, H, W, C], slots ----------------+-> views [V*B, OH, OW, C]     slots -> plain [B, OH, OW, C]
//! ```
//! Nothing has a gradient. Bytes lie four to a `u32` word, the lowest first.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `draw`.
    pub struct DrawParams {
        batch: u32, views: u32, crop_min: f32, crop_max: f32, flip: f32, jitter_p: f32,
        brightness: f32, contrast: f32, saturation: f32, blur_p: f32, sigma_min: f32,
        sigma_max: f32, noise: f32,
    }
}
params! {
    /// Params of `views`.
    pub struct ViewsParams {
        batch: u32, views: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        scale_y: f32, scale_x: f32, run: u32, runs: u32,
        mean_r: f32, mean_g: f32, mean_b: f32, std_r: f32, std_g: f32, std_b: f32,
    }
}
params! {
    /// Params of `grey_rows`.
    pub struct GreyRowsParams {
        batch: u32, views: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        scale_y: f32, scale_x: f32,
    }
}
params! {
    /// Params of `grey_means`.
    pub struct GreyMeansParams { views: u32, out_height: u32, out_width: u32 }
}
params! {
    /// Params of `blur`.
    pub struct BlurParams {
        views: u32, height: u32, width: u32,
        mean_r: f32, mean_g: f32, mean_b: f32, std_r: f32, std_g: f32, std_b: f32,
    }
}
params! {
    /// Params of `plain`.
    pub struct PlainParams {
        batch: u32, height: u32, width: u32, out_height: u32, out_width: u32,
        scale_y: f32, scale_x: f32,
        mean_r: f32, mean_g: f32, mean_b: f32, std_r: f32, std_g: f32, std_b: f32,
    }
}
params! {
    /// Params of `statistics_rows`.
    pub struct StatisticsRowsParams { rows: u32, row_len: u32 }
}
params! {
    /// Params of `statistics`.
    pub struct StatisticsParams { images: u32, height: u32, row_len: u32 }
}

static DRAW: Shader = shader!("augment", "draw", DrawParams);
static VIEWS: Shader = shader!("augment", "views", ViewsParams);
static GREY_ROWS: Shader = shader!("augment", "grey_rows", GreyRowsParams);
static GREY_MEANS: Shader = shader!("augment", "grey_means", GreyMeansParams);
static BLUR: Shader = shader!("augment", "blur", BlurParams);
static PLAIN: Shader = shader!("augment", "plain", PlainParams);
static STATISTICS_ROWS: Shader = shader!("augment", "statistics_rows", StatisticsRowsParams);
static STATISTICS: Shader = shader!("augment", "statistics", StatisticsParams);

/// The family's shaders.
pub const SHADERS: &[&Shader] =
    &[&DRAW, &VIEWS, &GREY_ROWS, &GREY_MEANS, &BLUR, &PLAIN, &STATISTICS_ROWS, &STATISTICS];

/// The constants that the family restates, with every value.
pub const RESTATED: &[Restated] = &[
    (
        &VIEWS,
        &[
            ("CHANNELS", &[1, 3]),
            ("SHRINK", &[0, 1]),
            ("STANDARDISE", &[0, 1]),
            ("CONTRAST", &[0, 1]),
            ("NOISE", &[0, 1]),
            ("BLURRED", &[0, 1]),
        ],
    ),
    (&GREY_ROWS, &[("CHANNELS", &[1, 3]), ("SHRINK", &[0, 1]), ("STANDARDISE", &[0, 1])]),
    (&PLAIN, &[("CHANNELS", &[1, 3]), ("SHRINK", &[0, 1]), ("STANDARDISE", &[0, 1])]),
    (&BLUR, &[("CHANNELS", &[1, 3]), ("ALONG_COLUMNS", &[0, 1]), ("NOISE", &[0, 1])]),
];

/// Values per row of draws.
pub const DRAW_LEN: usize = 16;

/// How views differ from their images; as the configuration's section `[augment]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AugmentOptions {
    /// Least share of the image's area that a crop keeps, above 0.
    pub crop_min: f32,
    /// Greatest share, at most 1. With both 1 the crop is the whole image.
    pub crop_max: f32,
    /// Probability of a horizontal flip.
    pub flip: f32,
    /// Probability that brightness, contrast and saturation change.
    pub jitter_p: f32,
    /// Greatest relative change of brightness, 0 to 1.
    pub brightness: f32,
    /// Greatest relative change of contrast, 0 to 1.
    pub contrast: f32,
    /// Greatest relative change of saturation, 0 to 1.
    pub saturation: f32,
    /// Probability of Gaussian blur.
    pub blur_p: f32,
    /// Least and greatest deviation of the blur, in pixels of the view.
    pub blur_sigma: [f32; 2],
    /// Greatest standard deviation of added noise, with full scale at 1.
    pub noise: f32,
}

impl AugmentOptions {
    fn changes_contrast(&self) -> bool {
        self.jitter_p > 0.0 && self.contrast > 0.0
    }

    fn check(&self) -> Result<()> {
        let shares = [self.flip, self.jitter_p, self.blur_p, self.noise];
        let factors = [self.brightness, self.contrast, self.saturation];
        let [least, greatest] = self.blur_sigma;
        let ok = 0.0 < self.crop_min
            && self.crop_min <= self.crop_max
            && self.crop_max <= 1.0
            && shares.iter().chain(&factors).all(|v| (0.0..=1.0).contains(v))
            && (self.blur_p == 0.0 || 0.0 < least && least <= greatest && greatest.is_finite());
        if ok { Ok(()) } else { Err(Error::shape("augment", format!("out of range: {self:?}"))) }
    }
}

/// Images on the GPU and how the network shall see them.
#[derive(Debug, Clone, Copy)]
pub struct Images {
    /// The bytes of all images one after another, u32 `[ceil(N*H*W*C / 4)]`.
    pub pixels: Value,
    /// N, H, W, C; C is 1 or 3.
    pub shape: [usize; 4],
    /// OH, OW: height and width of what is made of them. Where smaller, crops are shrunk by a filter
    /// that takes in every pixel.
    pub size: [usize; 2],
    /// f32 `[N, 2]` of [`image_statistics`]: each image is first standardised, clamp(0.2 (v - mean) /
    /// max(deviation, 0.001) + 0.5, 0, 1).
    pub statistics: Option<Value>,
    /// Subtracted last, per channel, with full scale at 1; only the first for C = 1.
    pub mean: [f32; 3],
    /// Divided by last, above 0.
    pub std: [f32; 3],
}

impl Images {
    pub(super) fn check(&self, tape: &Tape, op: &str, slots: Value) -> Result<()> {
        let [images, height, width, _] = self.shape;
        check_pixels(tape, op, self.pixels, self.shape)?;
        let wrong = |message: String| Err(Error::shape(op, message));
        if tape.shape(slots).len() != 1 {
            return wrong(format!("slots {:?}, expected [B]", tape.shape(slots)));
        }
        if let Some(s) = self.statistics.filter(|s| tape.shape(*s) != [images, 2]) {
            return wrong(format!("statistics {:?}, expected {:?}", tape.shape(s), [images, 2]));
        }
        if self.size.contains(&0) || height.max(width).max(self.size[0]).max(self.size[1]) > 1 << 16
        {
            return wrong(format!(
                "images {:?}, views {:?}: expected 1 to 65,536 pixels to a side",
                self.shape, self.size
            ));
        }
        if !self.normalisation().1.iter().all(|s| *s > 0.0) {
            return wrong(format!("std {:?}, expected above 0", self.std));
        }
        Ok(())
    }

    /// Mean and deviation; grey images repeat theirs, as the kernels compute in threes.
    fn normalisation(&self) -> ([f32; 3], [f32; 3]) {
        if self.shape[3] == 1 {
            ([self.mean[0]; 3], [self.std[0]; 3])
        } else {
            (self.mean, self.std)
        }
    }

    /// Stored pixels per pixel of a view that shows the whole image, vertically and horizontally.
    fn scale(&self) -> [f32; 2] {
        [0, 1].map(|i| self.shape[1 + i] as f32 / self.size[i] as f32)
    }

    /// The constants of `sample.wgsl`.
    fn consts(&self) -> Vec<(&'static str, u32)> {
        let standardise = u32::from(self.statistics.is_some());
        // A crop is no larger than its image.
        let shrink = u32::from(self.scale().iter().any(|s| *s > 1.0));
        vec![("CHANNELS", self.shape[3] as u32), ("STANDARDISE", standardise), ("SHRINK", shrink)]
    }

    /// The first three bindings. Without statistics their binding is not read, and any buffer serves.
    fn bind(&self, launch: Dispatch, slots: Value) -> Dispatch {
        launch.read(self.pixels).read(slots).read(self.statistics.unwrap_or(slots))
    }
}

pub(super) fn check_pixels(tape: &Tape, op: &str, pixels: Value, shape: [usize; 4]) -> Result<()> {
    let bytes = shape.iter().try_fold(1usize, |product, n| product.checked_mul(*n));
    // Byte offsets are u32.
    let fits = bytes
        .is_some_and(|b| b > 0 && b <= u32::MAX as usize && tape.shape(pixels) == [b.div_ceil(4)]);
    if fits && matches!(shape[3], 1 | 3) {
        return Ok(());
    }
    Err(Error::shape(
        op,
        format!(
            "pixels {:?} for images {shape:?}: expected ceil(N*H*W*C / 4) words, below 4 GiB, C 1 or 3",
            tape.shape(pixels)
        ),
    ))
}

/// The draws of `views` views of each image, f32 `[V*B, 16]`, view by view:
///
/// | columns | |
/// |---|---|
/// | 0-3 | crop: left, top, width, height, as shares of the image |
/// | 4 | 1 = flipped: the view's left edge shows the crop's right |
/// | 5-7 | 0 |
/// | 8-10 | factors of brightness, contrast, saturation |
/// | 11 | deviation of the blur in pixels, 0 = none |
/// | 12 | standard deviation of the noise |
/// | 13-15 | integers below 2^24, the key of the noise |
///
/// `counters`: u32 `[4]`, seed low, seed high, step, unused. `ids`: u32 `[B]`, the images' numbers in
/// the data set. A row follows from seed, step, id and view alone.
///
/// # Errors
/// Other shapes, no view, options out of range.
pub fn draw(
    tape: &mut Tape,
    options: &AugmentOptions,
    counters: Value,
    ids: Value,
    views: usize,
) -> Result<Value> {
    options.check()?;
    let (of_counters, of_ids) = (tape.shape(counters), tape.shape(ids));
    let &[batch] = of_ids else {
        return Err(Error::shape("augment.draw", format!("ids {of_ids:?}, expected [B]")));
    };
    if of_counters != [4] {
        let message = format!("counters {of_counters:?}, expected [4]");
        return Err(Error::shape("augment.draw", message));
    }
    let rows = batch * views;
    let draws = tape.temporary("augment.draws", &[rows, DRAW_LEN], Element::F32)?;
    let params = DrawParams {
        batch: batch as u32,
        views: views as u32,
        crop_min: options.crop_min,
        crop_max: options.crop_max,
        flip: options.flip,
        jitter_p: options.jitter_p,
        brightness: options.brightness,
        contrast: options.contrast,
        saturation: options.saturation,
        blur_p: options.blur_p,
        sigma_min: options.blur_sigma[0],
        sigma_max: options.blur_sigma[1],
        noise: options.noise,
    };
    let launch = Dispatch::new(Kernel::new(&DRAW), &params, groups_for(rows));
    tape.dispatch(launch.read(counters).read(ids).write(draws));
    Ok(draws)
}

/// Views `[V*B, OH, OW, C]`, view by view: crop, flip, jitter, blur, noise, normalisation.
///
/// `slots`: u32 `[B]`, which stored image each entry of the batch is. `draws`: of [`draw`], with the same
/// `options`, which say what is left out: blur, noise or contrast with no chance to occur.
///
/// # Errors
/// Other shapes, options out of range.
pub fn views(
    tape: &mut Tape,
    images: &Images,
    slots: Value,
    draws: Value,
    options: &AugmentOptions,
) -> Result<Value> {
    options.check()?;
    images.check(tape, "augment.views", slots)?;
    let (batch, rows) = (tape.len(slots), tape.shape(draws)[0]);
    let [out_height, out_width] = images.size;
    let shape = [rows, out_height, out_width, images.shape[3]];
    if tape.shape(draws) != [rows, DRAW_LEN] || !rows.is_multiple_of(batch) {
        let message = format!("draws {:?}, expected [V * {batch}, 16]", tape.shape(draws));
        return Err(Error::shape("augment.views", message));
    }
    if shape.iter().product::<usize>() > u32::MAX as usize {
        return Err(Error::shape("augment.views", format!("{shape:?}: 2^32 values or more")));
    }
    // Where the contrast stays, the mean's binding is not read.
    let means =
        if options.changes_contrast() { grey_means(tape, images, slots, draws)? } else { draws };
    let blurred = options.blur_p > 0.0;
    let mut consts = images.consts();
    consts.push(("CONTRAST", u32::from(options.changes_contrast())));
    consts.push(("NOISE", u32::from(options.noise > 0.0)));
    consts.push(("BLURRED", u32::from(blurred)));
    // Software drivers pay for every load, so one invocation uses a row of draws for many pixels; GPUs
    // want many invocations.
    let run = if tape.variant() == Variant::Tiled { 1 } else { 16.min(out_width) };
    let runs = out_width.div_ceil(run);
    let ([scale_y, scale_x], (mean, std)) = (images.scale(), images.normalisation());
    let params = ViewsParams {
        batch: batch as u32,
        views: rows as u32,
        height: images.shape[1] as u32,
        width: images.shape[2] as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        scale_y,
        scale_x,
        run: run as u32,
        runs: runs as u32,
        mean_r: mean[0],
        mean_g: mean[1],
        mean_b: mean[2],
        std_r: std[0],
        std_g: std[1],
        std_b: std[2],
    };
    let y = tape.temporary("augment.views", &shape, Element::F32)?;
    let groups = groups_for(rows * out_height * runs);
    let launch = Dispatch::new(Kernel::with(&VIEWS, &consts), &params, groups);
    tape.dispatch(images.bind(launch, slots).read(draws).read(means).write(y));
    if blurred { blur(tape, images, y, draws, options) } else { Ok(y) }
}

/// Mean grey level of every view before its jitter, `[V*B]`.
fn grey_means(tape: &mut Tape, images: &Images, slots: Value, draws: Value) -> Result<Value> {
    let rows = tape.shape(draws)[0];
    let [out_height, out_width] = images.size;
    let [scale_y, scale_x] = images.scale();
    let params = GreyRowsParams {
        batch: tape.len(slots) as u32,
        views: rows as u32,
        height: images.shape[1] as u32,
        width: images.shape[2] as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        scale_y,
        scale_x,
    };
    let sums = tape.temporary("augment.grey_rows", &[rows, out_height], Element::F32)?;
    let kernel = Kernel::with(&GREY_ROWS, &images.consts());
    let launch = Dispatch::new(kernel, &params, groups_for(rows * out_height));
    tape.dispatch(images.bind(launch, slots).read(draws).write(sums));
    let means = tape.temporary("augment.grey_means", &[rows], Element::F32)?;
    let params = GreyMeansParams {
        views: rows as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
    };
    let launch = Dispatch::new(Kernel::new(&GREY_MEANS), &params, groups_for(rows));
    tape.dispatch(launch.read(sums).write(means));
    Ok(means)
}

/// Blur along rows, then along columns with noise and normalisation.
fn blur(
    tape: &mut Tape,
    images: &Images,
    mut x: Value,
    draws: Value,
    options: &AugmentOptions,
) -> Result<Value> {
    let shape = tape.shape(x).to_vec();
    let (mean, std) = images.normalisation();
    let params = BlurParams {
        views: shape[0] as u32,
        height: shape[1] as u32,
        width: shape[2] as u32,
        mean_r: mean[0],
        mean_g: mean[1],
        mean_b: mean[2],
        std_r: std[0],
        std_g: std[1],
        std_b: std[2],
    };
    for along_columns in [0, 1] {
        let consts = [
            ("CHANNELS", shape[3] as u32),
            ("ALONG_COLUMNS", along_columns),
            ("NOISE", u32::from(options.noise > 0.0)),
        ];
        let y = tape.temporary("augment.blur", &shape, Element::F32)?;
        let groups = groups_for(shape[..3].iter().product());
        let launch = Dispatch::new(Kernel::with(&BLUR, &consts), &params, groups);
        tape.dispatch(launch.read(x).read(draws).write(y));
        x = y;
    }
    Ok(x)
}

/// The images at `slots`, u32 `[B]`, without augmentation: `[B, OH, OW, C]`, normalised.
///
/// # Errors
/// Other shapes.
pub fn plain(tape: &mut Tape, images: &Images, slots: Value) -> Result<Value> {
    images.check(tape, "augment.plain", slots)?;
    let batch = tape.len(slots);
    let [out_height, out_width] = images.size;
    let shape = [batch, out_height, out_width, images.shape[3]];
    if shape.iter().product::<usize>() > u32::MAX as usize {
        return Err(Error::shape("augment.plain", format!("{shape:?}: 2^32 values or more")));
    }
    let ([scale_y, scale_x], (mean, std)) = (images.scale(), images.normalisation());
    let params = PlainParams {
        batch: batch as u32,
        height: images.shape[1] as u32,
        width: images.shape[2] as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        scale_y,
        scale_x,
        mean_r: mean[0],
        mean_g: mean[1],
        mean_b: mean[2],
        std_r: std[0],
        std_g: std[1],
        std_b: std[2],
    };
    let y = tape.temporary("augment.plain", &shape, Element::F32)?;
    let kernel = Kernel::with(&PLAIN, &images.consts());
    let launch = Dispatch::new(kernel, &params, groups_for(batch * out_height * out_width));
    tape.dispatch(images.bind(launch, slots).write(y));
    Ok(y)
}

/// f32 `[N, 2]`: mean and population standard deviation of each image's values over all channels,
/// with full scale at 1. `pixels`: u32, the bytes of `shape` = N, H, W, C.
///
/// # Errors
/// Other shapes; more than 30,000 rows, or values in a row.
pub fn image_statistics(tape: &mut Tape, pixels: Value, shape: [usize; 4]) -> Result<Value> {
    check_pixels(tape, "augment.image_statistics", pixels, shape)?;
    let [images, height, width, channels] = shape;
    // Either is walked twice.
    let most = LOOP_LIMIT / 2;
    if height.max(width * channels) > most {
        let message = format!("images {shape:?}: expected up to {most} rows, and values in a row");
        return Err(Error::shape("augment.image_statistics", message));
    }
    let row_len = (width * channels) as u32;
    let rows = tape.temporary("augment.statistics_rows", &[images * height, 2], Element::F32)?;
    let params = StatisticsRowsParams { rows: (images * height) as u32, row_len };
    let groups = groups_for(images * height);
    let launch = Dispatch::new(Kernel::new(&STATISTICS_ROWS), &params, groups);
    tape.dispatch(launch.read(pixels).write(rows));
    let statistics = tape.temporary("augment.statistics", &[images, 2], Element::F32)?;
    let params = StatisticsParams { images: images as u32, height: height as u32, row_len };
    let launch = Dispatch::new(Kernel::new(&STATISTICS), &params, groups_for(images));
    tape.dispatch(launch.read(rows).write(statistics));
    Ok(statistics)
}
