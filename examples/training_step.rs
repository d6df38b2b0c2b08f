//! Time and memory of one training step of a ResNet-18 (or, told so, 50) with the CIFAR stem on 32-pixel images, one view
//! in batches of BATCH: mean pool, a two-layer head, NT-Xent, backward, SGD: the same work as `scripts/torch_step.py`, with
//! which `make bench` compares it.
//! `cargo run --release --example training_step [BATCH] [STEPS] [resnet50] [f16] [norms|blocks] [texels|buffers] [profile]` prints one line of
//! JSON; with f16, maps and their gradients are stored in half precision and the loss is scaled; norms and blocks are run again
//! for the backward pass instead of kept; texels and buffers say where a kernel finds its operands, instead of what is
//! thought fastest; profile prints what each kernel took.
//! `ANOMEM_TUNING` names a tuning.

use anomem::autograd::{Element, Plan, PlanOptions, Precision, Tape};
use anomem::gpu::{Gpu, OpenOptions, Profile, Texels, Tuning};
use anomem::nn::{
    Builder, Depth, Group, Linear, Mode, Module, ResNet, ResNetOptions, Stem, UpdateOptions,
};
use anomem::ops::nt_xent::{Negatives, NtXentOptions, nt_xent};
use anomem::ops::{activation::relu, gather::gather, loss_scale, normalize::l2_normalize, pool};
use anomem::tensor::{Store, VarId};
use std::time::Instant;

const HIDDEN: usize = 512;
const EMBEDDING: usize = 128;

struct Network {
    encoder: ResNet,
    hidden: Linear,
    embedding: Linear,
}

/// The variables that a step reads beside the parameters.
struct Inputs {
    images: VarId,
    /// Zeros: the only row of each image.
    rows: VarId,
    lr: VarId,
    one: VarId,
    loss_scale: VarId,
}

fn build(
    store: &mut Store,
    depth: Depth,
    batch: usize,
) -> anomem::Result<(Network, Module, Inputs)> {
    let mut b = Builder::new(store, 0);
    let options = ResNetOptions { depth, width: 1.0, stem: Stem::Cifar, channels: 3, stages: 4 };
    let encoder = ResNet::new(&mut b, &options)?;
    b.enter(Group::Heads)?;
    let hidden = Linear::new(&mut b, "hidden", encoder.widths()[3], HIDDEN)?;
    let embedding = Linear::new(&mut b, "embedding", HIDDEN, EMBEDDING)?;
    let module = b.finish()?;
    let slab = store.slab("inputs");
    let mut declare =
        |name: &str, shape: &[usize], element| store.declare(slab, name, shape, element, false);
    let inputs = Inputs {
        images: declare("images", &[batch, 32, 32, 3], Element::F32)?,
        rows: declare("rows", &[batch / 2, 1], Element::U32)?,
        lr: declare("lr", &[1], Element::F32)?,
        one: declare("one", &[1], Element::F32)?,
        loss_scale: declare("loss_scale", &[2], Element::F32)?,
    };
    Ok((Network { encoder, hidden, embedding }, module, inputs))
}

fn record(
    gpu: &Gpu,
    store: &Store,
    batch: usize,
    blocks_again: bool,
    options: &PlanOptions,
    (network, module, inputs): &(Network, Module, Inputs),
) -> anomem::Result<Plan> {
    let half = options.precision == Precision::F16;
    let mut kernels = gpu.report().kernels();
    if let Some(matrix_units) = gpu.report().cooperative_variant().filter(|_| half) {
        kernels.variant = matrix_units;
    }
    let mut tape = Tape::new(kernels);
    let t = &mut tape;
    if blocks_again {
        t.recompute(network.encoder.parts());
    }
    let images = t.variable(store, inputs.images);
    let maps = network.encoder.forward(t, store, images, Mode::Train)?;
    let pooled = pool::global_average_pool(t, maps[3])?;
    let hidden = network.hidden.forward(t, store, pooled)?;
    let hidden = relu(t, hidden)?;
    let z = network.embedding.forward(t, store, hidden)?;
    let z = l2_normalize(t, z, 1e-12)?;
    let z = t.reshape(z, &[batch, 1, EMBEDDING])?;
    let rows = t.variable(store, inputs.rows);
    let views = gather(t, z, &[rows, rows])?;
    let contrast = NtXentOptions { tau: 0.5, positions: 1, negatives: Negatives::Joint };
    let loss = nt_xent(t, views[0], views[1], &contrast, None)?;
    let mut seed = t.variable(store, inputs.one);
    let state = half.then(|| t.variable(store, inputs.loss_scale));
    if let Some(state) = state {
        seed = loss_scale::scale(t, seed, state)?;
    }
    let grads = t.backward(&[(loss, seed)])?;
    let trained = Group::Encoder..=Group::Heads;
    module.place_gradients(t, store, &grads, &trained)?;
    let update = UpdateOptions {
        momentum: 0.9,
        weight_decay: 0.0,
        memory_lr_scale: 1.0,
        statistics_momentum: 0.1,
        loss_scale: state,
    };
    let lr = t.variable(store, inputs.lr);
    module.update(t, store, &update, lr, &trained, &[])?;
    t.keep(loss);
    Plan::compile(gpu, t, store, options)
}

/// Most memory that the process held, in MiB, where the system tells.
fn peak_mib() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

#[allow(clippy::print_stdout, reason = "this program prints its measurement")]
fn main() -> anomem::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = args.iter().map_while(|a| a.parse::<usize>().ok());
    // Pairs of views, at least one.
    let batch = numbers.next().unwrap_or(32).next_multiple_of(2).max(2);
    let steps = numbers.next().unwrap_or(5).max(1);
    let told = |word: &str| args.iter().any(|a| a == word);
    let precision = if told("f16") { Precision::F16 } else { Precision::F32 };
    let rematerialise = told("norms") || told("blocks");
    let options = PlanOptions { precision, rematerialise, ..Default::default() };
    let tuning = std::env::var_os("ANOMEM_TUNING").map(Tuning::read).transpose()?;
    let texels = [("texels", Texels::All), ("buffers", Texels::None)];
    let texels = texels.into_iter().find(|(word, _)| told(word)).map(|(_, texels)| texels);
    let gpu = Gpu::open(&OpenOptions { tuning, texels, ..Default::default() })?;
    let mut store = Store::new();
    let depth = if told("resnet50") { Depth::D50 } else { Depth::D18 };
    let built = build(&mut store, depth, batch)?;
    store.allocate(&gpu)?;
    let (_, module, inputs) = &built;
    module.initialise(&gpu, &store)?;
    let pixels: Vec<f32> = (0..batch * 32 * 32 * 3).map(|i| (i as f32 * 0.7).sin()).collect();
    store.upload(&gpu, inputs.images, &pixels)?;
    store.upload(&gpu, inputs.rows, &vec![0_u32; batch / 2])?;
    store.upload(&gpu, inputs.lr, &[0.01_f32])?;
    store.upload(&gpu, inputs.one, &[1.0_f32])?;
    store.upload(&gpu, inputs.loss_scale, &loss_scale::START)?;
    let plan = record(&gpu, &store, batch, told("blocks"), &options, &built)?;
    let mut seconds = Vec::new();
    for _ in 0..=steps {
        let start = Instant::now();
        gpu.wait(plan.run(&gpu)?)?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    if told("profile") {
        let mut profile = Profile::new();
        plan.profile_step(&gpu, &mut profile)?;
        eprint!("{profile}");
    }
    // The first compiles shaders.
    let first = seconds.remove(0);
    seconds.sort_by(f64::total_cmp);
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let words = args.iter().filter(|a| a.parse::<usize>().is_err()).map(String::as_str);
    let engine: Vec<&str> = ["anomem"].into_iter().chain(words).collect();
    let measured = serde_json::json!({
        "engine": engine.join(" "),
        "adapter": gpu.report().name,
        "batch": batch,
        "first_s": first,
        "step_s": seconds[seconds.len() / 2],
        "dispatches": plan.dispatches(),
        "planned_mib": mib(plan.temporary_bytes() + store.bytes()),
        "peak_mib": peak_mib(),
    });
    println!("{measured}");
    Ok(())
}
