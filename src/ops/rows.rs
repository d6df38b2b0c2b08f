//! Cutting a batch into parts and putting it together again: micro-batches (Gao et al. 2021, arXiv 2101.06983).

use super::{groups_for, scalar_or_vec4};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Shader, params, shader};
use crate::{Error, Result};

params! {
    /// Params of `split`: floats, or vectors of four.
    pub struct Span { len: u32, block: u32, stride: u32, first: u32 }
}

params! {
    /// Params of `join`: floats, or vectors of four.
    pub struct Filled { len: u32, block: u32, stride: u32, first: u32, has_grad: u32 }
}

static SPLIT: Shader = shader!("rows", "split", Span);
static SPLIT_VEC4: Shader = shader!("rows", "split_vec4", Span);
static JOIN: Shader = shader!("rows", "join", Filled);
static JOIN_VEC4: Shader = shader!("rows", "join_vec4", Filled);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&SPLIT, &SPLIT_VEC4, &JOIN, &JOIN_VEC4];

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

    /// Of rows that have `width` floats.
    fn span(self, width: usize) -> Span {
        let Self { views, first, rows, of } = self;
        let [len, block, stride, first] =
            [views * rows, rows, of, first].map(|n| (n * width) as u32);
        Span { len, block, stride, first }
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
        let (kernel, vector) = scalar_or_vec4(&SPLIT, &SPLIT_VEC4, width);
        let span = place.span(vector);
        let launch = Dispatch::new(kernel, &span, groups_for(span.len as usize));
        tape.dispatch(launch.read(x).write(part));
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
        let (kernel, vector) = scalar_or_vec4(&JOIN, &JOIN_VEC4, width);
        let Span { len, block, stride, first } = place.span(vector);
        let filled = Filled { len, block, stride, first, has_grad: u32::from(part.is_some()) };
        let launch = Dispatch::new(kernel, &filled, groups_for(len as usize));
        tape.dispatch(launch.read(bound).write(whole));
    }
    Ok(whole)
}
