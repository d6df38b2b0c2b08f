//! Cutting a batch into parts and putting it together again: micro-batches (Gao et al. 2021, arXiv 2101.06983).

use super::{groups_for, scalar_or_vec4};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Restated, Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of the family: floats, or vectors of four.
    pub struct Span { len: u32, block: u32, stride: u32, first: u32, zeros: u32 }
}

static COPY: Shader = shader!("rows", "copy", Span);
static COPY_VEC4: Shader = shader!("rows", "copy_vec4", Span);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&COPY, &COPY_VEC4];

/// Into a part, or into the whole.
const JOIN_OR_NOT: &[(&str, &[u32])] = &[("JOIN", &[0, 1])];

/// The constants that the family restates, with every value.
pub(super) const RESTATED: &[Restated] = &[(&COPY, JOIN_OR_NOT), (&COPY_VEC4, JOIN_OR_NOT)];

/// Where a part's rows lie in the whole: `rows` of each of `views` views of `of` rows, from `first` on.
#[derive(Debug, Clone, Copy)]
struct Place {
    views: usize,
    first: usize,
    rows: usize,
    of: usize,
}

impl Place {
    /// Of every part, of so many rows per view.
    fn all(views: usize, rows: &[usize]) -> Vec<Self> {
        let of = rows.iter().sum();
        let mut first = 0;
        let place = |rows: &usize| {
            let here = Self { views, first, rows: *rows, of };
            first += rows;
            here
        };
        rows.iter().map(place).collect()
    }

    /// The copy of rows of `width` floats between whole and part.
    fn copy(self, width: usize, join: bool, zeros: bool) -> Dispatch {
        let Self { views, first, rows, of } = self;
        let (kernel, width) = scalar_or_vec4(&COPY, &COPY_VEC4, width);
        let kernel = Kernel::with(kernel.shader, &[("JOIN", u32::from(join))]);
        let [len, block, stride, first] =
            [views * rows, rows, of, first].map(|n| (n * width) as u32);
        let params = Span { len, block, stride, first, zeros: u32::from(zeros) };
        Dispatch::new(kernel, &params, groups_for(len as usize))
    }
}

/// Splits the rows of V views that lie behind each other in `x` `[V*B, ...]` into parts that have so many `rows` of
/// every view, in order, B altogether: part i is `[V*rows[i], ...]`.
///
/// # Errors
/// No view, a part without rows, or rows that are not those of `x`.
pub fn split(tape: &mut Tape, x: Value, views: usize, rows: &[usize]) -> Result<Vec<Value>> {
    let shape = tape.shape(x).to_vec();
    let total = rows.iter().sum::<usize>() * views;
    if total == 0 || rows.contains(&0) || shape.first() != Some(&total) {
        let message = format!("x {shape:?} into {views} times {rows:?} rows");
        return Err(Error::shape("rows.split", message));
    }
    let width = shape[1..].iter().product::<usize>();
    let mut parts = Vec::with_capacity(rows.len());
    for place in Place::all(views, rows) {
        let mut of_part = shape.clone();
        of_part[0] = views * place.rows;
        let part = tape.temporary("rows.split", &of_part, Element::F32)?;
        tape.dispatch(place.copy(width, false, false).read(x).write(part));
        parts.push(part);
    }
    let rows = rows.to_vec();
    tape.rule_of_many(&parts, &[x], move |tape, grads, _| {
        Ok(vec![Some(joined(tape, grads, views, &rows, &shape)?)])
    });
    Ok(parts)
}

/// Puts the parts that [`split`] makes of V views together again.
///
/// # Errors
/// No part, parts whose rows are not those of so many views or differ in shape.
pub fn join(tape: &mut Tape, parts: &[Value], views: usize) -> Result<Value> {
    let shapes: Vec<Vec<usize>> = parts.iter().map(|v| tape.shape(*v).to_vec()).collect();
    let row = shapes.first().and_then(|s| s.get(1..));
    let fits = |s: &Vec<usize>| !s.is_empty() && s[0].is_multiple_of(views) && s.get(1..) == row;
    let (Some(row), true) = (row, views > 0 && shapes.iter().all(fits)) else {
        let message = format!("{shapes:?}: expected parts of {views} views, of rows of one shape");
        return Err(Error::shape("rows.join", message));
    };
    let rows: Vec<usize> = shapes.iter().map(|s| s[0] / views).collect();
    let mut shape = vec![rows.iter().sum::<usize>() * views];
    shape.extend(row);
    let of_parts: Vec<Option<Value>> = parts.iter().copied().map(Some).collect();
    let whole = joined(tape, &of_parts, views, &rows, &shape)?;
    tape.rule(whole, parts, move |tape, grad, _| {
        Ok(split(tape, grad, views, &rows)?.into_iter().map(Some).collect())
    });
    Ok(whole)
}

/// The whole of `shape`; parts that are absent count as zeros.
fn joined(
    tape: &mut Tape,
    parts: &[Option<Value>],
    views: usize,
    rows: &[usize],
    shape: &[usize],
) -> Result<Value> {
    let whole = tape.temporary("rows.join", shape, Element::F32)?;
    let width = shape[1..].iter().product::<usize>();
    // In place of an absent part any other is bound; it is not used.
    let any = parts.iter().flatten().next().copied();
    for (part, place) in parts.iter().zip(Place::all(views, rows)) {
        let Some(bound) = part.or(any) else {
            return Err(Error::Internal("rows.join: no part".into()));
        };
        tape.dispatch(place.copy(width, true, part.is_none()).read(bound).write(whole));
    }
    Ok(whole)
}
