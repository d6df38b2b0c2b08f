//! Sampling positions of feature maps: drawing them, reading them, and finding the same image point in
//! the other view.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `draw` and `draw_words`.
    pub struct Draw { positions: u32, count: u32, images: u32, purpose: u32 }
}

params! {
    /// Params of `forward`, `links` and `backward`.
    pub struct Rows {
        view: u32, images: u32, positions: u32, count: u32, features: u32, has_grad: u32
    }
}

params! {
    /// Params of `matched`.
    pub struct Matched { images: u32, count: u32, height: u32, width: u32, stride: u32, tolerance: f32 }
}

static DRAW_WORDS: Shader = shader!("gather", "draw_words", Draw);
static DRAW: Shader = shader!("gather", "draw", Draw);
static FORWARD: Shader = shader!("gather", "forward", Rows);
static LINKS: Shader = shader!("gather", "links", Rows);
static BACKWARD: Shader = shader!("gather", "backward", Rows);
static MATCHED: Shader = shader!("gather", "matched", Matched);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&DRAW_WORDS, &DRAW, &FORWARD, &LINKS, &BACKWARD, &MATCHED];

/// Draws `count` of `positions` positions without replacement: u32 `[images, count]`, the same row for
/// every image, in random order.
///
/// `counters`: u32 `[4]` seed (low, high), step, 0. The draw is a pure function of seed, step and
/// `purpose`, the same on every adapter: each position gets a word of Philox4x32-10 (Salmon et al. 2011),
/// and the positions with the smallest words are taken.
///
/// # Errors
/// More positions wanted than there are, or none; counters of another shape; more than 60,000 positions and images
/// together.
pub fn draw(
    tape: &mut Tape,
    counters: Value,
    images: usize,
    positions: usize,
    count: usize,
    purpose: u32,
) -> Result<Value> {
    if tape.shape(counters) != [4] {
        let message = format!("counters {:?}: expected [4]", tape.shape(counters));
        return Err(Error::shape("gather.draw", message));
    }
    if count > positions {
        let message = format!("{count} of {positions} positions without replacement");
        return Err(Error::shape("gather.draw", message));
    }
    if positions + images > LOOP_LIMIT {
        let message =
            format!("{positions} positions, {images} images: at most {LOOP_LIMIT} in all");
        return Err(Error::shape("gather.draw", message));
    }
    let index = tape.temporary("gather.draw", &[images, count], Element::U32)?;
    let words = tape.temporary("gather.draw_words", &[positions], Element::U32)?;
    let params =
        Draw { positions: positions as u32, count: count as u32, images: images as u32, purpose };
    let launch = Dispatch::new(Kernel::new(&DRAW_WORDS), &params, groups_for(positions));
    tape.dispatch(launch.read(counters).write(words));
    let launch = Dispatch::new(Kernel::new(&DRAW), &params, groups_for(positions));
    tape.dispatch(launch.read(words).write(index));
    Ok(index)
}

/// Reads sampled rows of V views that lie behind each other in `x` `[V*B, P, D]`.
///
/// `indices`: one u32 `[B, n]` per view, positions below P. Returns one `[B*n, D]` per view, row =
/// image * n + j. An index may repeat; its gradients are summed in the order of j. An index that is not
/// below P reads zeros and passes no gradient.
///
/// # Errors
/// No view; an `x` that is not `[V*B, P, D]`; indices of other shapes than `[B, n]`.
pub fn gather(tape: &mut Tape, x: Value, indices: &[Value]) -> Result<Vec<Value>> {
    let shape = tape.shape(x).to_vec();
    let shapes: Vec<Vec<usize>> = indices.iter().map(|v| tape.shape(*v).to_vec()).collect();
    let fits = |rows: usize, first: &[usize]| {
        matches!(first, [b, _] if b * indices.len() == rows) && shapes.iter().all(|s| s == first)
    };
    let (&[rows, positions, features], Some(first)) = (&shape[..], shapes.first()) else {
        let message = format!("x {shape:?}, {} views: expected [V*B, P, D], V >= 1", shapes.len());
        return Err(Error::shape("gather", message));
    };
    if !fits(rows, first) {
        let message =
            format!("x {shape:?}, indices {shapes:?}: expected [V*B, P, D] and V times [B, n]");
        return Err(Error::shape("gather", message));
    }
    let (images, count) = (first[0], first[1]);
    let rows_of = move |view: usize, has_grad: bool| Rows {
        view: view as u32,
        images: images as u32,
        positions: positions as u32,
        count: count as u32,
        features: features as u32,
        has_grad: u32::from(has_grad),
    };
    let mut outputs = Vec::with_capacity(indices.len());
    for (view, index) in indices.iter().enumerate() {
        let y = tape.temporary("gather", &[images * count, features], Element::F32)?;
        let groups = groups_for(images * count * features);
        let launch = Dispatch::new(Kernel::new(&FORWARD), &rows_of(view, true), groups);
        tape.dispatch(launch.read(x).read(*index).write(y));
        outputs.push(y);
    }
    let indices = indices.to_vec();
    tape.rule_of_many(&outputs, &[x], move |tape, grads, _| {
        let grad_x = tape.temporary("gather.grad_x", &shape, Element::F32)?;
        for (view, index) in indices.iter().enumerate() {
            // A view without a gradient gets zeros; its bindings are any of the right shapes.
            let Some(grad_y) = grads[view].or_else(|| grads.iter().flatten().next().copied())
            else {
                return Ok(vec![None]);
            };
            let params = rows_of(view, grads[view].is_some());
            let links = [images, positions + count];
            let list = tape.temporary("gather.links", &links, Element::U32)?;
            let groups = groups_for(links[0] * links[1]);
            let launch = Dispatch::new(Kernel::new(&LINKS), &params, groups);
            tape.dispatch(launch.read(*index).write(list));
            let groups = groups_for(images * positions * features);
            let launch = Dispatch::new(Kernel::new(&BACKWARD), &params, groups);
            tape.dispatch(launch.read(grad_y).read(list).write(grad_x));
        }
        Ok(vec![Some(grad_x)])
    });
    Ok(outputs)
}

/// Sampled positions of view a as positions of view b: for each the cell of b's map nearest to the same
/// image point, u32 `[B, n]`, and whether there is one, f32 `[B*n]`, 1 or 0.
///
/// `index`: u32 `[B, n]`, cells of the map of `height` by `width` cells. `geometry`: f32 `[2B, G]`, G at
/// least 5, one row per image of view a, then of view b: x0, y0, width, height of the crop as shares of
/// the source image, flip (1: the view is mirrored in x); what follows is not read. `tolerance`: how far the cell's centre may lie from the point
/// along either axis, in cells of b. 0.5 accepts just the points inside view b; less asks for better
/// aligned cells, more also takes points a little outside, which then belong to cells of the border.
///
/// # Errors
/// Shapes other than these; an empty map; a tolerance that is negative or not a number.
pub fn matched(
    tape: &mut Tape,
    index: Value,
    geometry: Value,
    height: usize,
    width: usize,
    tolerance: f32,
) -> Result<(Value, Value)> {
    let [of_index, of_geometry] = [index, geometry].map(|v| tape.shape(v).to_vec());
    let &[images, count] = &of_index[..] else {
        let message = format!("index {of_index:?}: expected [B, n]");
        return Err(Error::shape("gather.matched", message));
    };
    let usable = height * width > 0 && tolerance >= 0.0;
    let stride = of_geometry.get(1).copied().unwrap_or(0);
    if of_geometry != [2 * images, stride] || stride < 5 || !usable {
        let message = format!(
            "index {of_index:?}, geometry {of_geometry:?}, map {height}x{width}, tolerance \
             {tolerance}: expected geometry [{}, 5 or more], a map with cells, a tolerance >= 0",
            2 * images
        );
        return Err(Error::shape("gather.matched", message));
    }
    let index_b = tape.temporary("gather.matched", &of_index, Element::U32)?;
    let valid = tape.temporary("gather.valid", &[images * count], Element::F32)?;
    let params = Matched {
        images: images as u32,
        count: count as u32,
        height: height as u32,
        width: width as u32,
        stride: stride as u32,
        tolerance,
    };
    let launch = Dispatch::new(Kernel::new(&MATCHED), &params, groups_for(images * count));
    let launch = launch.read(index).read(geometry);
    tape.dispatch(launch.write(index_b).write(valid));
    Ok((index_b, valid))
}
