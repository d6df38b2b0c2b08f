//! Lloyd's update of k-means; rows are assigned by [`nearest`](super::nearest). No gradient.

use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `partial`.
    pub struct Partial { rows: u32, cols: u32, centres: u32, run: u32, runs: u32 }
}
params! {
    /// Params of `update`.
    pub struct Update { cols: u32, centres: u32, runs: u32 }
}

static PARTIAL: Shader = shader!("kmeans", "partial", Partial);
static UPDATE: Shader = shader!("kmeans", "update", Update);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&PARTIAL, &UPDATE];

/// Runs that the rows are cut into at most, unless each is full.
const MAX_RUNS: usize = 64;
/// Rows that a run should have at least.
const MIN_RUN: usize = 32;
/// Values of all runs' sums at most (32 MiB), unless each run is full.
const MAX_SUMS: usize = 1 << 23;
/// Centres at most; an invocation clears them by fours.
const MAX_CENTRES: usize = 1 << 16;
/// Rows that a run may have at most: an invocation walks it after the clearing.
const MAX_RUN: usize = LOOP_LIMIT - MAX_CENTRES / 4;

/// One update of Lloyd's algorithm (Lloyd 1982): the mean of the rows of `x` `[R, D]` that `assigned`, u32
/// `[R]`, gives to each of `centres` `[M, D]`, and how many they are, u32 `[M]`. A centre without rows keeps its
/// value; a row whose index is not below M takes no part. Rows are added in an order that depends on the
/// shapes alone.
///
/// # Errors
/// Other shapes; more than 65,536 centres.
pub fn update(
    tape: &mut Tape,
    x: Value,
    assigned: Value,
    centres: Value,
) -> Result<(Value, Value)> {
    let [of_x, of_assigned, of_centres] = [x, assigned, centres].map(|v| tape.shape(v).to_vec());
    let (rows, cols, count) = match (&of_x[..], &of_assigned[..], &of_centres[..]) {
        (&[rows, cols], &[indices], &[count, width]) if rows == indices && cols == width => {
            (rows, cols, count)
        }
        _ => {
            return Err(Error::shape(
                "kmeans",
                format!(
                    "x {of_x:?}, assigned {of_assigned:?}, centres {of_centres:?}: expected [R, D], \
                     [R] and [M, D]"
                ),
            ));
        }
    };
    if count > MAX_CENTRES {
        let message = format!("{count} centres: at most {MAX_CENTRES}");
        return Err(Error::shape("kmeans", message));
    }
    let wanted = (MAX_SUMS / (count * cols).max(1)).clamp(1, MAX_RUNS);
    let run = rows.div_ceil(wanted).clamp(MIN_RUN, MAX_RUN);
    let runs = rows.div_ceil(run);
    let sums = tape.temporary("kmeans.sums", &[runs, count, cols], Element::F32)?;
    let sizes = tape.temporary("kmeans.sizes", &[runs, count], Element::U32)?;
    let params = Partial {
        rows: rows as u32,
        cols: cols as u32,
        centres: count as u32,
        run: run as u32,
        runs: runs as u32,
    };
    let launch = Dispatch::new(Kernel::new(&PARTIAL), &params, groups_for(runs * cols));
    tape.dispatch(launch.read(x).read(assigned).write(sums).write(sizes));

    let means = tape.temporary("kmeans.centres", &of_centres, Element::F32)?;
    let counts = tape.temporary("kmeans.counts", &[count], Element::U32)?;
    let params = Update { cols: cols as u32, centres: count as u32, runs: runs as u32 };
    let launch = Dispatch::new(Kernel::new(&UPDATE), &params, groups_for(count * cols));
    let launch = launch.read(sums).read(sizes).read(centres);
    tape.dispatch(launch.write(means).write(counts));
    Ok((means, counts))
}
