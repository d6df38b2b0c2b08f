//! Nearest neighbours by Euclidean distance; no gradient.

use super::matmul::matmul_transposed;
use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `partial`.
    pub struct Partial { rows: u32, others: u32, dim: u32, run: u32, runs: u32 }
}
params! {
    /// Params of `forward`.
    pub struct Forward { rows: u32, runs: u32 }
}

params! {
    /// Params of `lengths`.
    pub struct Lengths { others: u32, dim: u32 }
}
params! {
    /// Params of `choose`.
    pub struct Choose { rows: u32, others: u32, dim: u32 }
}

static PARTIAL: Shader = shader!("nearest", "partial", Partial);
static FORWARD: Shader = shader!("nearest", "forward", Forward);
static LENGTHS: Shader = shader!("nearest", "lengths", Lengths);
static CHOOSE: Shader = shader!("nearest", "choose", Choose);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&PARTIAL, &FORWARD, &LENGTHS, &CHOOSE];

/// Values of a matrix of products at most: 128 MiB, what every adapter binds.
const MAX_PRODUCTS: usize = 1 << 25;

/// For every row of `a` `[R, D]`: the squared distance to the nearest row of `b` `[S, D]`, `[R]`, and
/// that row's index, u32 `[R]`; the first of equals.
///
/// [`Variant::Simple`] compares differences. The others choose by one matrix product, where `[R, S]` has at
/// most 2^25 values: many times as fast, but it may take a row that is farther by the rounding of the rows'
/// own squared lengths. The distance to the chosen row is summed from differences in every variant.
///
/// # Errors
/// Operands that are not two matrices of equal width, or rows of more than 240,000 values.
pub fn nearest(tape: &mut Tape, a: Value, b: Value) -> Result<(Value, Value)> {
    let (&[rows, dim], &[others, other_dim]) = (tape.shape(a), tape.shape(b)) else {
        return Err(mismatch(tape, a, b));
    };
    if dim != other_dim {
        return Err(mismatch(tape, a, b));
    }
    // An invocation goes once through all candidates and once through a row.
    let by_product = others + dim <= LOOP_LIMIT && rows * others <= MAX_PRODUCTS;
    if tape.variant() != Variant::Simple && by_product {
        return by_products(tape, a, b, [rows, others, dim]);
    }
    // Rounds of the shader's loops over one pair of rows: fours, the rest, and the loop itself.
    let rounds = dim / 4 + dim % 4 + 1;
    if rounds > LOOP_LIMIT {
        return Err(Error::shape("nearest", format!("rows of {dim} values: at most 240,000")));
    }
    let run = (LOOP_LIMIT / rounds).min(others);
    let runs = others.div_ceil(run);
    let distances = tape.temporary("nearest.distances", &[runs, rows], Element::F32)?;
    let indices = tape.temporary("nearest.indices", &[runs, rows], Element::U32)?;
    let [of_rows, of_others, dim, run, of_runs] = [rows, others, dim, run, runs].map(|v| v as u32);
    let params = Partial { rows: of_rows, others: of_others, dim, run, runs: of_runs };
    let launch = Dispatch::new(Kernel::new(&PARTIAL), &params, groups_for(rows * runs));
    let flops = 3 * rows as u64 * others as u64 * u64::from(dim);
    tape.dispatch(launch.flops(flops).read(a).read(b).write(distances).write(indices));

    let distance = tape.temporary("nearest.distance", &[rows], Element::F32)?;
    let index = tape.temporary("nearest.index", &[rows], Element::U32)?;
    let params = Forward { rows: of_rows, runs: of_runs };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(rows));
    tape.dispatch(launch.read(distances).read(indices).write(distance).write(index));
    Ok((distance, index))
}

fn by_products(
    tape: &mut Tape,
    a: Value,
    b: Value,
    [rows, others, dim]: [usize; 3],
) -> Result<(Value, Value)> {
    let products = matmul_transposed(tape, a, b)?;
    let squares = tape.temporary("nearest.squares", &[others], Element::F32)?;
    let [of_rows, of_others, of_dim] = [rows, others, dim].map(|v| v as u32);
    let params = Lengths { others: of_others, dim: of_dim };
    let launch = Dispatch::new(Kernel::new(&LENGTHS), &params, groups_for(others));
    tape.dispatch(launch.read(b).write(squares));
    let distance = tape.temporary("nearest.distance", &[rows], Element::F32)?;
    let index = tape.temporary("nearest.index", &[rows], Element::U32)?;
    let params = Choose { rows: of_rows, others: of_others, dim: of_dim };
    let launch = Dispatch::new(Kernel::new(&CHOOSE), &params, groups_for(rows));
    let launch = launch.read(a).read(b).read(products).read(squares);
    tape.dispatch(launch.write(distance).write(index));
    Ok((distance, index))
}

fn mismatch(tape: &Tape, a: Value, b: Value) -> Error {
    let (a, b) = (tape.shape(a), tape.shape(b));
    Error::shape("nearest", format!("a {a:?}, b {b:?}: expected [R, D] and [S, D]"))
}
