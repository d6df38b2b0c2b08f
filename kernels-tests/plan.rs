//! The tape's promises: nothing is created in a steady step, memory is planned, limits are kept.

use crate::harness::{Input, fill, gpu, run_case};
use anomem::autograd::{Element, Plan, PlanOptions, Tape, Value};
use anomem::gpu::{DeviceSelector, Gpu, Kernel, OpenOptions, Profile, Variant};
use anomem::ops::batch_norm::{batch_norm, batch_norm_eval};
use anomem::ops::{activation::relu, add::add, finite, optimizer};
use anomem::tensor::{Store, VarId};

/// `length` times ReLU of `len` elements.
pub fn chain(length: usize, len: usize) -> (Store, VarId, Tape, Value) {
    let mut store = Store::new();
    let slab = store.slab("inputs");
    let x = store.declare(slab, "x", &[len], Element::F32, true).unwrap();
    let mut tape = Tape::new(Variant::Simple);
    let mut v = tape.variable(&store, x);
    for _ in 0..length {
        v = relu(&mut tape, v).unwrap();
    }
    tape.keep(v);
    (store, x, tape, v)
}

/// A device of its own, for tests that count what is created or that break it.
pub fn own_device(gpu: &Gpu) -> Gpu {
    let device = DeviceSelector::Index(gpu.report().index);
    Gpu::open(&OpenOptions { device, ..Default::default() }).unwrap()
}

pub fn options() -> PlanOptions {
    PlanOptions { label: "chain".into(), ..Default::default() }
}

/// Where operands are read in textures, a copy must not outlive what it is a copy of.
#[test]
fn what_is_read_before_and_after_a_write_is_read_anew() {
    let Some(gpu) = gpu(false) else { return };
    let options = optimizer::Sgd { momentum: 0.0, weight_decay: 0.0, lr_scale: 1.0 };
    for len in [4, 40_000] {
        let (p, b, velocity) = (fill(len, 1), fill(len, 2), vec![0.0; len]);
        let inputs = [
            Input::Constant(&[len], &p),
            Input::Constant(&[len], &b),
            Input::Constant(&[len], &velocity),
            Input::Constant(&[1], &[0.5]),
            Input::Integers(&[1], &[0]),
        ];
        let outcome = run_case(gpu, gpu.report().variant(), &inputs, &[&[][..]; 3], |t, x| {
            let sums = [add(t, x[0], x[1])?, add(t, x[1], x[0])?];
            optimizer::sgd(t, &options, x[0], x[1], x[2], x[3], x[4])?;
            Ok([&sums[..], &[add(t, x[0], x[1])?]].concat())
        });
        let sums = outcome.unwrap().outputs;
        let sum =
            |scale: f32| -> Vec<f32> { p.iter().zip(&b).map(|(p, b)| p + scale * b).collect() };
        assert!(sums[0] == sum(1.0) && sums[1] == sums[0], "{len}: before the write");
        for (i, (got, want)) in sums[2].iter().zip(sum(0.5)).enumerate() {
            assert!(
                (got - want).abs() < 1e-6,
                "{len}: element {i} after it is {got}, expected {want}"
            );
        }
    }
}

#[test]
fn a_steady_step_only_submits_and_planned_bytes_are_allocated_bytes() {
    let Some(shared) = gpu(false) else { return };
    let gpu = &own_device(shared);
    let (mut store, x, tape, y) = chain(10, 1000);
    store.allocate(gpu).unwrap();
    let before = gpu.counters();
    let plan = Plan::compile(gpu, &tape, &store, &options()).unwrap();
    let uniform = 256;
    assert_eq!(gpu.counters().live_bytes - before.live_bytes, plan.temporary_bytes() + uniform);
    // Ten maps of 4,096 bytes, of which two live at a time.
    assert_eq!(plan.temporary_bytes(), 2 * 4096);
    let data = fill(1000, 1);
    store.upload(gpu, x, &data).unwrap();
    let mut at3 = gpu.counters();
    for step in 1..=30 {
        plan.run(gpu).unwrap();
        if step == 3 {
            at3 = gpu.counters();
        }
    }
    let after = gpu.counters();
    assert_eq!(after, anomem::gpu::Counters { submissions: at3.submissions + 27, ..at3 });
    let got: Vec<f32> = plan.read(gpu, y).unwrap();
    assert_eq!(got, data.iter().map(|v| v.max(0.0)).collect::<Vec<_>>());
}

#[test]
fn what_nobody_needs_is_not_run() {
    let Some(gpu) = gpu(false) else { return };
    let (mut store, x, mut tape, _) = chain(2, 64);
    let v = tape.variable(&store, x);
    let unused = add(&mut tape, v, v).unwrap();
    relu(&mut tape, unused).unwrap();
    store.allocate(gpu).unwrap();
    assert_eq!(Plan::compile(gpu, &tape, &store, &options()).unwrap().dispatches(), 2);
}

#[test]
fn a_budget_is_enforced_before_memory_is_taken() {
    let Some(shared) = gpu(false) else { return };
    let device = DeviceSelector::Index(shared.report().index);
    let budget = OpenOptions { device, memory_budget: Some(5 << 20), ..Default::default() };
    let gpu = &Gpu::open(&budget).unwrap();
    let (mut store, _, tape, _) = chain(3, 1_000_000);
    store.allocate(gpu).unwrap();
    let before = gpu.counters();
    let e = Plan::compile(gpu, &tape, &store, &options()).err().unwrap();
    assert!(e.to_string().contains("chain") && e.to_string().contains("memory budget"), "{e}");
    assert_eq!((e.exit_code(), gpu.counters()), (2, before));
    let e = gpu.buffer("more", 2 << 20).err().unwrap().to_string();
    assert!(e.contains("more") && e.contains("5242880 bytes"), "{e}");
}

#[test]
fn a_tensor_above_the_binding_limit_is_refused_by_name() {
    let Some(gpu) = gpu(true) else { return };
    let (store, _, tape, _) = chain(2, 1 << 26);
    let e = Plan::compile(gpu, &tape, &store, &options()).err().unwrap();
    let text = e.to_string();
    assert!(
        text.contains("tensor x") && text.contains("max_storage_buffer_binding_size"),
        "{text}"
    );
}

#[test]
fn two_plans_share_variables() {
    let Some(gpu) = gpu(false) else { return };
    let (mut store, x, tape, y) = chain(1, 65);
    store.allocate(gpu).unwrap();
    let one = Plan::compile(gpu, &tape, &store, &options()).unwrap();
    let two = Plan::compile(gpu, &tape, &store, &options()).unwrap();
    store.upload(gpu, x, &fill(65, 9)).unwrap();
    one.run(gpu).unwrap();
    two.run(gpu).unwrap();
    assert_eq!(one.read::<f32>(gpu, y).unwrap(), two.read::<f32>(gpu, y).unwrap());
}

#[test]
fn a_profile_times_every_dispatch() {
    let Some(gpu) = gpu(false) else { return };
    let (mut store, x, mut tape, y) = chain(3, 1 << 20);
    let (a, b) = (tape.variable(&store, x), y);
    let sum = add(&mut tape, a, b).unwrap();
    tape.keep(sum);
    store.allocate(gpu).unwrap();
    store.upload(gpu, x, &fill(1 << 20, 3)).unwrap();
    let plan = Plan::compile(gpu, &tape, &store, &options()).unwrap();
    let mut profile = Profile::new();
    if !gpu.has_timestamps() {
        let e = plan.profile_step(gpu, &mut profile).unwrap_err();
        assert!(e.exit_code() == 2 && e.to_string().contains("timestamps"), "{e}");
        return;
    }
    // One more step than a trace keeps.
    for _ in 0..9 {
        plan.profile_step(gpu, &mut profile).unwrap();
    }
    let kernels = profile.kernels();
    let calls: Vec<(&str, u64, u64)> =
        kernels.iter().map(|k| (k.label.as_str(), k.calls, k.bytes)).collect();
    let mib4 = 4 << 20;
    let want = [("activation.relu_vec4", 27, 27 * 2 * mib4), ("add.forward_vec4", 9, 9 * 3 * mib4)];
    assert_eq!(calls, want);
    assert!(kernels.iter().all(|k| k.seconds.is_finite() && k.seconds > 0.0), "{kernels:?}");
    assert_eq!(kernels[1].flops, 9 << 20);
    let table = profile.to_string();
    println!("{table}");
    assert!(table.contains("activation.relu") && table.contains("9 steps"));

    let text = profile.trace().to_string();
    let trace: serde_json::Value = serde_json::from_str(&text).unwrap();
    let events = trace["traceEvents"].as_array().unwrap();
    assert_eq!(events.len(), 8 * plan.dispatches());
    let (mut end, mut total) = (0.0, 0.0);
    for (i, e) in events.iter().enumerate() {
        let (ts, dur) = (e["ts"].as_f64().unwrap(), e["dur"].as_f64().unwrap());
        assert!(ts >= end - 1e-3 && dur >= 0.0, "event {i} begins before the last one's end");
        assert_eq!(e["args"]["step"].as_u64().unwrap(), 1 + (i / plan.dispatches()) as u64);
        (end, total) = (ts + dur, total + dur);
    }
    assert!(total.is_finite() && total > 0.0 && total <= end + 1e-3);
    // The result is the same as that of a usual step.
    let got: Vec<f32> = plan.read(gpu, y).unwrap();
    assert!(got.iter().zip(fill(1 << 20, 3)).all(|(y, x)| *y == x.max(0.0)));
}

#[test]
fn steady_steps_with_a_history_create_nothing_and_remember_each_step() {
    let Some(shared) = gpu(false) else { return };
    let gpu = &own_device(shared);
    let len = 5;
    let (mut store, x, tape, y) = chain(2, len);
    store.allocate(gpu).unwrap();
    let mut plan = Plan::compile(gpu, &tape, &store, &options()).unwrap();
    plan.run(gpu).unwrap();
    // Seven slots, read every three steps or so: the ring wraps in the middle of what is read.
    plan.history(gpu, y, 7).unwrap();
    assert!(plan.history(gpu, y, 7).is_err(), "a second history of one value");
    assert!(plan.read_history::<f32>(gpu, y).unwrap().is_empty());
    let (mut got, mut want) = (Vec::new(), Vec::new());
    let mut before = gpu.counters();
    let mut reads = 0;
    for step in 0..34u64 {
        let data = fill(len, step);
        store.upload(gpu, x, &data).unwrap();
        plan.run(gpu).unwrap();
        want.push(data.iter().map(|v| v.max(0.0)).collect::<Vec<f32>>());
        if step % 3 == 0 || step == 33 {
            got.extend(plan.read_history::<f32>(gpu, y).unwrap());
            reads += 1;
        }
        if step == 3 {
            (before, reads) = (gpu.counters(), 0);
        }
    }
    assert_eq!(got, want);
    let after = gpu.counters();
    let (submissions, readbacks) = (before.submissions + 30, before.readbacks + reads);
    assert_eq!(after, anomem::gpu::Counters { submissions, readbacks, ..before });

    for _ in 0..8 {
        plan.run(gpu).unwrap();
    }
    let e = plan.read_history::<f32>(gpu, y).unwrap_err().to_string();
    assert!(e.contains("8 steps") && e.contains("holds 7"), "{e}");
    assert!(plan.history(gpu, tape_value_without_keep(), 3).is_err());
}

/// A value of another tape, which no plan here keeps.
fn tape_value_without_keep() -> Value {
    let mut tape = Tape::new(Variant::Simple);
    (0..9).map(|_| tape.temporary("t", &[1], Element::F32).unwrap()).last().unwrap()
}

/// More bytes than are handed over at once, into the middle of a buffer.
#[test]
fn a_large_write_arrives_whole() {
    let Some(gpu) = gpu(false) else { return };
    let values: Vec<u32> = (0..5 << 20).collect();
    let bytes: &[u8] = bytemuck::cast_slice(&values);
    let len = bytes.len() as u64;
    let buffer = gpu.buffer("large", len + 1024).unwrap();
    gpu.write(&buffer, 512, bytes).unwrap();
    let all = gpu.read(&buffer, 0, buffer.size()).unwrap();
    let (before, rest) = all.split_at(512);
    let (written, after) = rest.split_at(bytes.len());
    assert!(written == bytes && before.iter().chain(after).all(|byte| *byte == 0));
}

#[test]
fn a_split_submission_gives_the_same() {
    let Some(shared) = gpu(false) else { return };
    let gpu = &own_device(shared);
    let (mut store, x, tape, y) = chain(10, 1000);
    store.allocate(gpu).unwrap();
    let data = fill(1000, 8);
    store.upload(gpu, x, &data).unwrap();
    for (most, submissions) in [(1, 10), (3, 4), (5, 2), (9, 2), (10, 1), (11, 1)] {
        let max_dispatches_per_submit = std::num::NonZeroUsize::new(most);
        let options = PlanOptions { max_dispatches_per_submit, ..options() };
        let mut plan = Plan::compile(gpu, &tape, &store, &options).unwrap();
        plan.history(gpu, y, 1).unwrap();
        plan.poison(gpu).unwrap();
        let before = gpu.counters().submissions;
        plan.run(gpu).unwrap();
        assert_eq!(gpu.counters().submissions - before, submissions, "at most {most}");
        let want: Vec<f32> = data.iter().map(|v| v.max(0.0)).collect();
        assert_eq!(plan.read::<f32>(gpu, y).unwrap(), want);
        assert_eq!(plan.read_history::<f32>(gpu, y).unwrap(), [want]);
    }
}

/// Outputs and gradients of a small residual network, and the launches of its plan. `more` may use the norms'
/// outputs and the tape.
fn residual(
    gpu: &Gpu,
    channels: usize,
    unfused: bool,
    more: fn(&mut Tape, [Value; 2]),
) -> (Vec<Vec<f32>>, Vec<String>) {
    let shape = [3, 5, 7, channels];
    let len = shape.iter().product();
    let mut store = Store::new();
    let slab = store.slab("trainable");
    let mut variable =
        |name: &str, shape: &[usize]| store.declare(slab, name, shape, Element::F32, true).unwrap();
    let x = variable("x", &shape);
    let vectors = ["gamma", "beta", "gamma2", "beta2"].map(|name| variable(name, &[channels]));
    let seed = store.declare(slab, "seed", &shape, Element::F32, false).unwrap();
    store.allocate(gpu).unwrap();
    store.upload(gpu, x, &fill(len, 1)).unwrap();
    store.upload(gpu, seed, &fill(len, 2)).unwrap();
    for (i, vector) in vectors.iter().enumerate() {
        store.upload(gpu, *vector, &fill(channels, 3 + i as u64)).unwrap();
    }
    let mut tape = Tape::new(gpu.report().variant());
    let t = &mut tape;
    let input = t.variable(&store, x);
    let [gamma, beta, gamma2, beta2] = vectors.map(|vector| t.variable(&store, vector));
    let y = batch_norm(t, input, gamma, beta, 1e-5, None).unwrap();
    let z = relu(t, y).unwrap();
    let second = batch_norm(t, z, gamma2, beta2, 1e-5, None).unwrap();
    more(t, [y, second]);
    let sum = add(t, second, input).unwrap();
    let out = relu(t, sum).unwrap();
    let seed = t.variable(&store, seed);
    let grads = t.backward(&[(out, seed)]).unwrap();
    let values: Vec<Value> = [x].iter().chain(&vectors).map(|v| grads.get(*v).unwrap()).collect();
    let read = [vec![out, z], values].concat();
    read.iter().for_each(|v| t.keep(*v));
    let plan = Plan::compile(gpu, t, &store, &PlanOptions { unfused, ..options() }).unwrap();
    plan.poison(gpu).unwrap();
    plan.run(gpu).unwrap();
    let outputs = read.iter().map(|v| plan.read(gpu, *v).unwrap()).collect();
    (outputs, plan.kernels().map(Kernel::name).collect())
}

#[test]
fn relus_and_sums_are_joined_to_what_they_follow_and_change_no_bit() {
    let Some(gpu) = gpu(false) else { return };
    for channels in [8, 5] {
        let (want, apart) = residual(gpu, channels, true, |_, _| {});
        let (got, joined) = residual(gpu, channels, false, |_, _| {});
        assert!(got == want, "{channels} channels");
        // Two ReLUs, the sum, and the gradient of the first ReLU; that of the second goes to the sum's both sides.
        assert_eq!((apart.len(), joined.len()), (apart.len(), apart.len() - 4), "{joined:?}");
        let count = |is: fn(&str) -> bool| joined.iter().filter(|name| is(name)).count();
        let forward = |name: &str| ["activation.relu", "activation.relu_vec4"].contains(&name);
        assert_eq!(count(forward), 0, "{joined:?}");
        assert_eq!(count(|name| name.contains("relu_backward")), 1, "{joined:?}");
        assert_eq!(count(|name| name.ends_with("RELU=1")), 4, "{joined:?}");
        assert_eq!(count(|name| name.starts_with("batch_norm.residual")), 1, "{joined:?}");
    }
}

#[test]
fn relus_and_sums_stay_apart_from_what_others_read() {
    let Some(gpu) = gpu(false) else { return };
    fn double(t: &mut Tape, y: Value) {
        let double = add(t, y, y).unwrap();
        t.keep(double);
    }
    // The first norm's result keeps the first ReLU and its gradient apart, the second's the sum.
    type More = fn(&mut Tape, [Value; 2]);
    let cases: [(More, usize); 5] = [
        (|t, [first, _]| t.keep(first), 2),
        (|t, [first, _]| double(t, first), 2),
        (|t, [_, second]| t.keep(second), 3),
        (|t, [_, second]| double(t, second), 3),
        (|t, both| both.into_iter().for_each(|y| t.keep(y)), 1),
    ];
    for (more, joins) in cases {
        let (want, apart) = residual(gpu, 8, true, more);
        let (got, joined) = residual(gpu, 8, false, more);
        assert!(got == want && joined.len() == apart.len() - joins, "{joined:?}");
    }
}

/// A sum of a norm's ReLU, and one of a norm whose scale changes in between, are not the norm's to make.
#[test]
fn a_sum_is_joined_to_nothing_but_the_norm_itself() {
    let Some(gpu) = gpu(false) else { return };
    for (through_relu, changed, joined) in
        [(false, false, true), (true, false, false), (false, true, false)]
    {
        let mut store = Store::new();
        let slab = store.slab("variables");
        let mut variable = |name: &str, shape: &[usize]| {
            store.declare(slab, name, shape, Element::F32, false).unwrap()
        };
        let x = variable("x", &[4, 8]);
        let vectors = ["gamma", "beta", "mean", "variance"].map(|name| variable(name, &[8]));
        let other = variable("other", &[8]);
        store.allocate(gpu).unwrap();
        store.upload(gpu, x, &fill(32, 1)).unwrap();
        vectors.iter().for_each(|v| store.upload(gpu, *v, &[1.5_f32; 8]).unwrap());
        let mut tape = Tape::new(gpu.report().variant());
        let t = &mut tape;
        let [x, other] = [x, other].map(|v| t.variable(&store, v));
        let [gamma, beta, mean, variance] = vectors.map(|v| t.variable(&store, v));
        let mut y = batch_norm_eval(t, x, gamma, beta, mean, variance, 1e-5).unwrap();
        if through_relu {
            y = relu(t, y).unwrap();
        }
        if changed {
            let none = finite::count(t, x).unwrap();
            optimizer::ema(t, gamma, other, 0.5, none).unwrap();
        }
        let sum = add(t, x, y).unwrap();
        t.keep(sum);
        let run = |unfused| {
            let plan = Plan::compile(gpu, t, &store, &PlanOptions { unfused, ..options() });
            let plan = plan.unwrap();
            plan.poison(gpu).unwrap();
            plan.run(gpu).unwrap();
            let names: Vec<String> = plan.kernels().map(Kernel::name).collect();
            (plan.read::<f32>(gpu, sum).unwrap(), names)
        };
        let (want, _) = run(true);
        store.upload(gpu, vectors[0], &[1.5_f32; 8]).unwrap();
        let (got, names) = run(false);
        assert_eq!(got, want);
        assert_eq!(names.iter().any(|name| name.contains("residual")), joined, "{names:?}");
    }
}

/// Result, gradients and written means of six residual parts, and the plan's bytes. One trained scale serves all,
/// once in each part: gradients that meet are then added in the same order.
fn parts(gpu: &Gpu, recomputed: usize, rematerialise: bool) -> (Vec<Vec<f32>>, u64) {
    let shape = [4, 8, 8, 8];
    let mut store = Store::new();
    let slab = store.slab("variables");
    let mut variable = |name: &str, shape: &[usize], trainable| {
        store.declare(slab, name, shape, Element::F32, trainable).unwrap()
    };
    let x = variable("x", &shape, false);
    let gamma = variable("gamma", &[8], true);
    let betas = [0, 1, 2, 3, 4, 5].map(|i| variable(&format!("beta{i}"), &[8], true));
    let mut statistics =
        |name: &str| [0, 1, 2, 3, 4, 5].map(|i| variable(&format!("{name}{i}"), &[8], false));
    let (means, variances) = (statistics("mean"), statistics("variance"));
    let [scale, shift] = ["scale", "shift"].map(|name| variable(name, &[8], false));
    let seed = variable("seed", &shape, false);
    store.allocate(gpu).unwrap();
    for (i, (var, len)) in
        [(x, 2048), (seed, 2048), (gamma, 8), (scale, 8), (shift, 8)].into_iter().enumerate()
    {
        store.upload(gpu, var, &fill(len, 1 + i as u64)).unwrap();
    }
    for (i, beta) in betas.iter().enumerate() {
        store.upload(gpu, *beta, &fill(8, 10 + i as u64)).unwrap();
    }
    let mut tape = Tape::new(gpu.report().variant());
    let t = &mut tape;
    t.recompute(recomputed);
    let mut y = t.variable(&store, x);
    for (i, ((beta, mean), variance)) in betas.into_iter().zip(means).zip(variances).enumerate() {
        y = t
            .part(i, y, |t, x| {
                let [gamma, beta] = [gamma, beta].map(|v| t.variable(&store, v));
                let statistics = [mean, variance].map(|v| t.variable(&store, v));
                let normal = batch_norm(t, x, gamma, beta, 1e-5, Some(statistics.into()))?;
                let [scale, shift] = [scale, shift].map(|v| t.variable(&store, v));
                let second = batch_norm(t, normal, scale, shift, 1e-5, None)?;
                let third = batch_norm(t, second, scale, shift, 1e-5, None)?;
                let rows = t.reshape(third, &[256, 8])?;
                let rows = relu(t, rows)?;
                let same = t.reshape(x, &[256, 8])?;
                let sum = add(t, rows, same)?;
                let sum = relu(t, sum)?;
                t.reshape(sum, &shape)
            })
            .unwrap();
    }
    let seed = t.variable(&store, seed);
    let grads = t.backward(&[(y, seed)]).unwrap();
    let of_variables = [gamma].into_iter().chain(betas).map(|v| grads.get(v).unwrap());
    let read: Vec<Value> = [y].into_iter().chain(of_variables).collect();
    read.iter().for_each(|v| t.keep(*v));
    let options = PlanOptions { rematerialise, ..options() };
    let plan = Plan::compile(gpu, t, &store, &options).unwrap();
    plan.poison(gpu).unwrap();
    plan.run(gpu).unwrap();
    let mut found: Vec<Vec<f32>> = read.iter().map(|v| plan.read(gpu, *v).unwrap()).collect();
    found.extend(means.map(|mean| store.download(gpu, mean).unwrap()));
    (found, plan.temporary_bytes())
}

#[test]
fn parts_that_run_again_change_no_bit_and_take_less_memory() {
    let Some(gpu) = gpu(false) else { return };
    let (want, whole) = parts(gpu, 0, false);
    assert!(want.iter().flatten().all(|v| v.is_finite()) && want[1].iter().any(|v| *v != 0.0));
    let mut bytes = vec![whole];
    for recomputed in 1..=6 {
        let (got, less) = parts(gpu, recomputed, false);
        assert!(got == want, "the first {recomputed}");
        bytes.push(less);
    }
    // A map has 8,192 bytes. Whole: every part's three norms. Again: each part's result and one part's norms.
    assert!(whole >= 18 * 8192 && bytes[6] <= 13 * 8192, "{bytes:?}");
    // From the second on: one part's norms are there at a time anyway.
    assert!(bytes[1..6].is_sorted_by(|a, b| a > b), "{bytes:?}");
}

#[test]
fn norms_that_run_again_change_no_bit_and_take_less_memory() {
    let Some(gpu) = gpu(false) else { return };
    for recomputed in [0, 1, 3, 6] {
        let (want, kept) = parts(gpu, recomputed, false);
        let (got, less) = parts(gpu, recomputed, true);
        assert!(got == want, "{recomputed} parts");
        println!("{recomputed} parts again: {kept} bytes, {less} with norms");
        // Of each part's three norms the first is read by the second's gradient, the second by the third's: one of the
        // two can be made from the other. A map has 8,192 bytes.
        let most = if recomputed == 0 { kept - 5 * 8192 } else { kept };
        assert!(less <= most, "{recomputed} parts: {less} of {kept} bytes");
    }
}
