//! Speed of the heavy kernels, convolutions, NT-Xent and retrievals: `cargo run --release --example kernel_speed
//! [simple|tiled|subgroup] [WORD]`, where WORD picks the shapes whose name contains it.
//!
//! GFLOP/s is the work divided by wall time, and by the process's own CPU time per core, which on a software driver
//! does not depend on what else the machine does. First: the first run, with the driver's compiler.

use anomem::autograd::{Element, Plan, PlanOptions, Tape, Value};
use anomem::gpu::{AdapterClass, Gpu, OpenOptions, Variant};
use anomem::ops::conv2d::conv2d;
use anomem::ops::hopfield::{Gradient, HopfieldOptions, hopfield};
use anomem::ops::nt_xent::{Negatives, NtXentOptions, nt_xent};
use anomem::tensor::Store;
use std::time::Instant;

/// Name; images, height = width, channels, out channels, kernel, stride, padding.
const CONVOLUTIONS: &[(&str, [usize; 7])] = &[
    ("full 32x32 3-64", [32, 32, 3, 64, 3, 1, 1]),
    ("full 32x32 64-64", [32, 32, 64, 64, 3, 1, 1]),
    ("full 32x32 64-128 s2", [32, 32, 64, 128, 3, 2, 1]),
    ("full 16x16 128-128", [32, 16, 128, 128, 3, 1, 1]),
    ("full 8x8 256-256", [32, 8, 256, 256, 3, 1, 1]),
    ("full 4x4 512-512", [32, 4, 512, 512, 3, 1, 1]),
    ("full 1x1 16x16 64-128 s2", [32, 32, 64, 128, 1, 2, 0]),
    ("narrow 16x16 3-16", [128, 16, 3, 16, 3, 1, 1]),
    ("narrow 16x16 16-16", [128, 16, 16, 16, 3, 1, 1]),
    ("narrow 16x16 16-32 s2", [128, 16, 16, 32, 3, 2, 1]),
    ("narrow 8x8 32-32", [128, 8, 32, 32, 3, 1, 1]),
    ("narrow 4x4 64-64", [128, 4, 64, 64, 3, 1, 1]),
    ("narrow 2x2 128-128", [128, 2, 128, 128, 3, 1, 1]),
    ("product 512x512x512", [1, 512, 512, 512, 0, 1, 0]),
];

/// Name; rows of both views together, features.
const LOSSES: &[(&str, [usize; 2])] = &[
    ("nt_xent 640 rows of 64", [640, 64]),
    ("nt_xent 4096 rows of 128", [4096, 128]),
    ("nt_xent 9728 rows of 256", [9728, 256]),
];

/// Name; queries, slots, features.
const RETRIEVALS: &[(&str, [usize; 3])] = &[
    ("hopfield 2048 of 64, 256", [2048, 256, 64]),
    ("hopfield 8192 of 128, 128", [8192, 128, 128]),
];

/// Name of the pass (y: no gradient, u: unrolled, i: implicit); steps, and how the gradient is found, if any.
const GRADIENTS: &[(&str, usize, Option<Gradient>)] = &[
    ("y 3", 3, None),
    ("u 3", 3, Some(Gradient::Unrolled)),
    ("i 3,3", 3, Some(Gradient::Implicit { terms: 3 })),
    ("y 16", 16, None),
    ("u 16", 16, Some(Gradient::Unrolled)),
    ("i 16,4", 16, Some(Gradient::Implicit { terms: 4 })),
];

/// Seconds of CPU time of this process, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let mut total = 0u64;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(total as f64 * 1e-9)
}

fn median(mut v: Vec<f64>) -> f64 {
    v.sort_by(f64::total_cmp);
    v[v.len() / 2]
}

/// First run in seconds, then medians: wall seconds and CPU seconds per core. Last the plan's temporary MiB.
fn time(gpu: &Gpu, tape: &Tape, store: &Store) -> anomem::Result<[f64; 4]> {
    let plan = Plan::compile(gpu, tape, store, &PlanOptions::default())?;
    let start = Instant::now();
    gpu.wait(plan.run(gpu)?)?;
    let first = start.elapsed().as_secs_f64();
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
    let (mut walls, mut cpus) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let (start, cpu) = (Instant::now(), cpu_seconds());
        gpu.wait(plan.run(gpu)?)?;
        walls.push(start.elapsed().as_secs_f64());
        cpus.push(cpu_seconds().zip(cpu).map_or(f64::NAN, |(b, a)| (b - a) / cores));
    }
    let mebibytes = plan.temporary_bytes() as f64 / f64::from(1 << 20);
    Ok([first, median(walls), median(cpus), mebibytes])
}

fn convolution(
    gpu: &Gpu,
    variant: Variant,
    [n, size, c, o, kernel, stride, padding]: [usize; 7],
    pass: &str,
) -> anomem::Result<(Tape, Store)> {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let kernel = kernel.max(1);
    let (height, width) = if n == 1 { (1, size) } else { (size, size) };
    let (x_shape, weight_shape) = ([n, height, width, c], [kernel, kernel, c, o]);
    let x = store.declare(slab, "x", &x_shape, Element::F32, pass == "grad_x")?;
    let weight = store.declare(slab, "weight", &weight_shape, Element::F32, pass == "grad_w")?;
    let mut tape = Tape::new(variant);
    let (xv, wv): (Value, Value) = (tape.variable(&store, x), tape.variable(&store, weight));
    let y = conv2d(&mut tape, xv, wv, stride, padding)?;
    if pass == "y" {
        tape.keep(y);
    } else {
        let shape = tape.shape(y).to_vec();
        let seed = store.declare(slab, "seed", &shape, Element::F32, false)?;
        let seed = tape.variable(&store, seed);
        let grads = tape.backward(&[(y, seed)])?;
        let grad = grads.get(if pass == "grad_x" { x } else { weight });
        grad.iter().for_each(|g| tape.keep(*g));
    }
    store.allocate(gpu)?;
    for id in [x, weight] {
        let data: Vec<f32> = (0..store.variable(id).len()).map(|i| (i as f32).sin()).collect();
        store.upload(gpu, id, &data)?;
    }
    Ok((tape, store))
}

fn loss(
    gpu: &Gpu,
    variant: Variant,
    [rows, features]: [usize; 2],
    with_backward: bool,
) -> anomem::Result<(Tape, Store)> {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let [a, b] = ["a", "b"]
        .map(|name| store.declare(slab, name, &[rows / 2, features], Element::F32, with_backward));
    let (a, b) = (a?, b?);
    let seed = store.declare(slab, "seed", &[1], Element::F32, false)?;
    let mut tape = Tape::new(variant);
    let [av, bv, seed] = [a, b, seed].map(|id| tape.variable(&store, id));
    let options = NtXentOptions { tau: 0.1, positions: 1, negatives: Negatives::Joint };
    let loss = nt_xent(&mut tape, av, bv, &options, None)?;
    tape.keep(loss);
    if with_backward {
        let grads = tape.backward(&[(loss, seed)])?;
        [a, b].iter().filter_map(|id| grads.get(*id)).for_each(|g| tape.keep(g));
    }
    store.allocate(gpu)?;
    for (id, from) in [(a, 0), (b, 1)] {
        // Rows of length 1, nearly.
        let scale = (2.0 / features as f32).sqrt();
        let sines = (0..rows / 2 * features).map(|i| scale * ((2 * i + from) as f32).sin());
        store.upload(gpu, id, &sines.collect::<Vec<f32>>())?;
    }
    Ok((tape, store))
}

/// As in training: queries that come from the encoder, and prototypes. Unit vectors, nearly, and beta 16.
fn retrieval(
    gpu: &Gpu,
    variant: Variant,
    [rows, slots, features]: [usize; 3],
    steps: usize,
    gradient: Option<Gradient>,
) -> anomem::Result<(Tape, Store)> {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let trained = gradient.is_some();
    let query = store.declare(slab, "query", &[rows, features], Element::F32, trained)?;
    let patterns = store.declare(slab, "patterns", &[slots, features], Element::F32, trained)?;
    let seed = store.declare(slab, "seed", &[rows, features], Element::F32, false)?;
    let beta = store.declare(slab, "beta", &[1], Element::F32, false)?;
    let mut tape = Tape::new(variant);
    let [q, w, seed_value, b] = [query, patterns, seed, beta].map(|id| tape.variable(&store, id));
    let gradient = gradient.unwrap_or(Gradient::Unrolled);
    let options = HopfieldOptions { steps, tolerance: 0.0, renormalise: false, gradient };
    let retrieved = hopfield(&mut tape, q, w, b, &options)?.retrieved;
    tape.keep(retrieved);
    if trained {
        let grads = tape.backward(&[(retrieved, seed_value)])?;
        [query, patterns].iter().filter_map(|id| grads.get(*id)).for_each(|g| tape.keep(g));
    }
    store.allocate(gpu)?;
    let scale = (2.0 / features as f32).sqrt();
    for (id, from) in [(query, 0), (patterns, 1), (seed, 2)] {
        let sines = (0..store.variable(id).len()).map(|i| scale * ((3 * i + from) as f32).sin());
        store.upload(gpu, id, &sines.collect::<Vec<f32>>())?;
    }
    store.upload(gpu, beta, &[16.0_f32])?;
    Ok((tape, store))
}

#[allow(clippy::print_stdout, reason = "this program prints a table")]
fn report(
    gpu: &Gpu,
    [name, pass]: [&str; 2],
    flops: f64,
    (tape, store): &(Tape, Store),
) -> anomem::Result<()> {
    let [first, wall, cpu, mebibytes] = time(gpu, tape, store)?;
    println!(
        "{name:26} {pass:6} {first:8.2} {:9.2} {:8.2} {:8.2} {mebibytes:7.1}",
        wall * 1e3,
        flops / wall * 1e-9,
        flops / cpu * 1e-9
    );
    Ok(())
}

#[allow(clippy::print_stdout, reason = "this program prints a table")]
fn main() -> anomem::Result<()> {
    let gpu = Gpu::open(&OpenOptions::default())?;
    let mut args = std::env::args().skip(1);
    let variant = match args.next().as_deref() {
        Some("simple") => Variant::Simple,
        Some("tiled") => Variant::Tiled,
        Some("subgroup") => Variant::Subgroup { lanes: 8 },
        _ => gpu.report().variant(),
    };
    let word = args.next().unwrap_or_default();
    println!("{} {variant:?}", gpu.report().name);
    println!(
        "{:26} {:6} {:>8} {:>9} {:>8} {:>8} {:>7}",
        "shape", "pass", "first s", "ms", "GF/s", "cpu GF/s", "MiB"
    );
    for (name, shape) in CONVOLUTIONS.iter().filter(|(name, _)| name.contains(&word)) {
        let [n, size, c, o, kernel, stride, padding] = *shape;
        let kernel = kernel.max(1);
        let out = if n == 1 { size } else { ((size + 2 * padding - kernel) / stride + 1).pow(2) };
        let flops = 2.0 * (n * out * c * o * kernel * kernel) as f64;
        for pass in ["y", "grad_x", "grad_w"] {
            report(&gpu, [name, pass], flops, &convolution(&gpu, variant, *shape, pass)?)?;
        }
    }
    for (name, shape) in LOSSES.iter().filter(|(name, _)| name.contains(&word)) {
        let products = 2.0 * (shape[0] * shape[0] * shape[1]) as f64;
        for (pass, flops, with_backward) in
            [("loss", products, false), ("both", 3.0 * products, true)]
        {
            // On a software driver the slower kernels would take minutes there.
            let software = gpu.report().class == AdapterClass::Software;
            if software && !matches!(variant, Variant::Subgroup { .. }) && flops > 1e10 {
                continue;
            }
            report(&gpu, [name, pass], flops, &loss(&gpu, variant, *shape, with_backward)?)?;
        }
    }
    for (name, shape) in RETRIEVALS.iter().filter(|(name, _)| name.contains(&word)) {
        let product = 2.0 * shape.iter().product::<usize>() as f64;
        for (pass, steps, gradient) in GRADIENTS {
            // Two products per step, and five per step walked back.
            let backward = match gradient {
                None => 0,
                Some(Gradient::Unrolled) => 5 * steps,
                Some(Gradient::Implicit { terms }) => 5 * terms,
            };
            let flops = product * (2 * steps + backward) as f64;
            let recorded = retrieval(&gpu, variant, *shape, *steps, *gradient)?;
            report(&gpu, [name, pass], flops, &recorded)?;
        }
    }
    Ok(())
}
