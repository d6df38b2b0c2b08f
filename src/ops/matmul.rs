//! Matrix products and linear layers.

use super::conv2d::{self, Sizes};
use super::{LOOP_LIMIT, groups_for};
use crate::autograd::{Dispatch, Element, Tape, Value};
use crate::gpu::{Kernel, Shader, Variant, params, shader};
use crate::{Error, Result};

params! {
    /// Sizes of a product and how its operands are stored.
    pub struct Product {
        rows: u32, inner: u32, columns: u32, a_transposed: u32, b_transposed: u32,
        run: u32, runs: u32,
    }
}
params! {
    /// Sizes of a matrix.
    pub struct Matrix { rows: u32, columns: u32 }
}

params! {
    /// A matrix and the runs that its rows are cut into.
    pub struct Runs { rows: u32, columns: u32, run: u32, runs: u32 }
}

static FORWARD: Shader = shader!("matmul", "forward", Product);
static ADD_BIAS: Shader = shader!("matmul", "add_bias", Matrix);
static COLUMN_SUM: Shader = shader!("matmul", "column_sum", Runs);

/// The family's shaders.
pub const SHADERS: &[&Shader] = &[&FORWARD, &ADD_BIAS, &COLUMN_SUM];

/// Runs that the rows of a sum are cut into at most, unless each is full: with some columns enough invocations for a
/// large GPU, few for the sum of the runs.
const MAX_RUNS: usize = 128;
/// Rows that a run should have at least.
const MIN_RUN: usize = 256;

/// How the operands of a product are stored.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// a `[M, K]`, b `[K, N]`.
    Plain,
    /// a `[K, M]`, b `[K, N]`: aᵀ b.
    FirstTransposed,
    /// a `[M, K]`, b `[N, K]`: a bᵀ.
    SecondTransposed,
}

/// a `[M, K]` times b `[K, N]`: `[M, N]`.
///
/// # Errors
/// Ranks other than 2, or different K.
pub fn matmul(tape: &mut Tape, a: Value, b: Value) -> Result<Value> {
    let (&[_, k], &[inner, _]) = (tape.shape(a), tape.shape(b)) else {
        return Err(wrong(tape, "matmul", a, b, "[K, N]"));
    };
    if k != inner {
        return Err(wrong(tape, "matmul", a, b, "[K, N]"));
    }
    let out = product(tape, "matmul", Form::Plain, a, b)?;
    tape.rule(out, &[a, b], move |tape, grad, needs| {
        let grad_a =
            needs[0].then(|| product(tape, "matmul.grad_a", Form::SecondTransposed, grad, b));
        let grad_a = grad_a.transpose()?;
        let grad_b =
            needs[1].then(|| product(tape, "matmul.grad_b", Form::FirstTransposed, a, grad));
        Ok(vec![grad_a, grad_b.transpose()?])
    });
    Ok(out)
}

/// a `[M, K]` times the transpose of b `[N, K]`: `[M, N]`.
///
/// # Errors
/// Ranks other than 2, or different K.
pub fn matmul_transposed(tape: &mut Tape, a: Value, b: Value) -> Result<Value> {
    let (&[_, k], &[_, inner]) = (tape.shape(a), tape.shape(b)) else {
        return Err(wrong(tape, "matmul_transposed", a, b, "[N, K]"));
    };
    if k != inner {
        return Err(wrong(tape, "matmul_transposed", a, b, "[N, K]"));
    }
    let out = product(tape, "matmul_transposed", Form::SecondTransposed, a, b)?;
    tape.rule(out, &[a, b], move |tape, grad, needs| {
        let name = "matmul_transposed.grad_a";
        let grad_a = needs[0].then(|| product(tape, name, Form::Plain, grad, b)).transpose()?;
        let name = "matmul_transposed.grad_b";
        let grad_b = needs[1].then(|| product(tape, name, Form::FirstTransposed, grad, a));
        Ok(vec![grad_a, grad_b.transpose()?])
    });
    Ok(out)
}

/// The transpose of a `[K, M]` times b `[K, N]`: `[M, N]`.
///
/// # Errors
/// Ranks other than 2, or different K.
pub fn transposed_matmul(tape: &mut Tape, a: Value, b: Value) -> Result<Value> {
    let (&[k, _], &[inner, _]) = (tape.shape(a), tape.shape(b)) else {
        return Err(wrong(tape, "transposed_matmul", a, b, "[M, N]"));
    };
    if k != inner {
        return Err(wrong(tape, "transposed_matmul", a, b, "[M, N]"));
    }
    let out = product(tape, "transposed_matmul", Form::FirstTransposed, a, b)?;
    tape.rule(out, &[a, b], move |tape, grad, needs| {
        let name = "transposed_matmul.grad_a";
        let grad_a = needs[0].then(|| product(tape, name, Form::SecondTransposed, b, grad));
        let grad_a = grad_a.transpose()?;
        let name = "transposed_matmul.grad_b";
        let grad_b = needs[1].then(|| product(tape, name, Form::Plain, a, grad));
        Ok(vec![grad_a, grad_b.transpose()?])
    });
    Ok(out)
}

/// A fully connected layer: x `[N, I]` times the transpose of weight `[O, I]`, plus bias `[O]`:
/// `[N, O]`.
///
/// # Errors
/// Shapes that do not fit.
pub fn linear(tape: &mut Tape, x: Value, weight: Value, bias: Value) -> Result<Value> {
    let fits = match (tape.shape(x), tape.shape(weight), tape.shape(bias)) {
        (&[_, i], &[o, inner], &[biases]) => i == inner && o == biases,
        _ => false,
    };
    if !fits {
        let (x, weight, bias) = (tape.shape(x), tape.shape(weight), tape.shape(bias));
        let text =
            format!("x {x:?}, weight {weight:?}, bias {bias:?}: expected [N, I], [O, I] and [O]");
        return Err(Error::shape("linear", text));
    }
    let product = matmul_transposed(tape, x, weight)?;
    let shape = tape.shape(product).to_vec();
    let (rows, columns) = (shape[0], shape[1]);
    let matrix = Matrix { rows: rows as u32, columns: columns as u32 };
    let y = tape.temporary("linear", &shape, Element::F32)?;
    let launch = Dispatch::new(Kernel::new(&ADD_BIAS), &matrix, groups_for(rows * columns));
    tape.dispatch(launch.read(product).read(bias).write(y));
    tape.rule(y, &[product, bias], move |tape, grad_y, needs| {
        let grad_bias = needs[1].then(|| column_sum(tape, grad_y, [rows, columns]));
        Ok(vec![Some(grad_y), grad_bias.transpose()?])
    });
    Ok(y)
}

/// The gradient of a bias.
fn column_sum(tape: &mut Tape, grad_y: Value, [rows, columns]: [usize; 2]) -> Result<Value> {
    let grad_bias = tape.temporary("linear.grad_bias", &[columns], Element::F32)?;
    let run = rows.div_ceil(MAX_RUNS).clamp(MIN_RUN, LOOP_LIMIT);
    let runs = rows.div_ceil(run);
    let [r, c, run, n] = [rows, columns, run, runs].map(|v| v as u32);
    let params = Runs { rows: r, columns: c, run, runs: n };
    let launch = Dispatch::new(Kernel::new(&COLUMN_SUM), &params, groups_for(runs * columns));
    in_runs(tape, launch.read(grad_y), n, grad_bias)?;
    Ok(grad_bias)
}

/// Records what writes `out` in so many runs.
fn in_runs(tape: &mut Tape, launch: Dispatch, runs: u32, out: Value) -> Result<()> {
    conv2d::sum_parts(tape, out, runs, |tape, out| {
        tape.dispatch(launch.write(out));
        Ok(())
    })
}

fn wrong(tape: &Tape, op: &str, a: Value, b: Value, expected: &str) -> Error {
    let (a, b) = (tape.shape(a), tape.shape(b));
    Error::shape(op, format!("a {a:?}, b {b:?}: expected [M, K] and {expected}"))
}

/// The faster kernels are the convolution's, which see a product as a 1 x 1 kernel over a row of
/// pixels.
fn product(tape: &mut Tape, name: &str, form: Form, a: Value, b: Value) -> Result<Value> {
    let (&[a0, a1], &[b0, b1]) = (tape.shape(a), tape.shape(b)) else {
        return Err(wrong(tape, name, a, b, "[K, N]"));
    };
    let (rows, inner, columns) = match form {
        Form::Plain => (a0, a1, b1),
        Form::FirstTransposed => (a1, a0, b1),
        Form::SecondTransposed => (a0, a1, b0),
    };
    let variant = tape.variant();
    if variant != Variant::Simple {
        let out = match form {
            Form::Plain => {
                let sizes = Sizes::product(rows, inner, columns);
                conv2d::forward(tape, variant, &sizes, a, b)?
            }
            Form::FirstTransposed => {
                let sizes = Sizes::product(inner, rows, columns);
                conv2d::backward_weight(tape, variant, &sizes, a, b)?
            }
            Form::SecondTransposed => {
                let sizes = Sizes::product(rows, columns, inner);
                conv2d::backward_input(tape, variant, &sizes, b, a)?
            }
        };
        return tape.reshape(out, &[rows, columns]);
    }
    let out = tape.temporary(name, &[rows, columns], Element::F32)?;
    let runs = inner.div_ceil(LOOP_LIMIT).max(1);
    let params = Product {
        rows: rows as u32,
        inner: inner as u32,
        columns: columns as u32,
        a_transposed: matches!(form, Form::FirstTransposed).into(),
        b_transposed: matches!(form, Form::SecondTransposed).into(),
        run: inner.div_ceil(runs) as u32,
        runs: runs as u32,
    };
    let launch = Dispatch::new(Kernel::new(&FORWARD), &params, groups_for(runs * rows * columns));
    in_runs(tape, launch.read(a).read(b), params.runs, out)?;
    Ok(out)
}
