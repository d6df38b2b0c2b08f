//! Injected faults: each gives one typed error, at the next call, with the label of the work; nothing
//! panics or hangs, and what can go on afterwards does.

use crate::harness::{fill, gpu};
use crate::plan::{chain, options, own_device};
use anomem::Error;
use anomem::autograd::Plan;
use anomem::gpu::{BindingRange, Field, Gpu, Kernel, Profile, Scalar, Shader};
use std::sync::mpsc;
use std::time::Duration;

const FIELDS: &[Field] = &[Field { name: "len", scalar: Scalar::U32, offset: 0 }];

static COPY: Shader = Shader {
    family: "fault",
    stem: "copy",
    source: "struct Params { len: u32 }
        @group(0) @binding(0) var<storage, read> x: array<f32>;
        @group(0) @binding(1) var<storage, read_write> y: array<f32>;
        @group(0) @binding(2) var<uniform> p: Params;
        @compute @workgroup_size(64)
        fn copy(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < p.len) { y[id.x] = x[id.x]; }
        }",
    params: FIELDS,
};

/// More invocations than WebGPU's default limits allow; naga has nothing against it.
static WIDE: Shader = Shader {
    family: "fault",
    stem: "wide",
    source: "struct Params { len: u32 }
        @group(0) @binding(0) var<storage, read_write> y: array<f32>;
        @group(0) @binding(1) var<uniform> p: Params;
        @compute @workgroup_size(1024)
        fn wide(@builtin(global_invocation_id) id: vec3<u32>) {
            if (id.x < p.len) { y[id.x] = 1.0; }
        }",
    params: FIELDS,
};

static NONSENSE: Shader = Shader {
    family: "fault",
    stem: "nonsense",
    source: "fn nonsense() {\n    let x = 1u + 1.0;\n}",
    params: FIELDS,
};

/// A fault must be told at once: a call that hangs fails its test.
fn soon<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(work()));
    told.recv_timeout(Duration::from_secs(60)).unwrap()
}

/// The device still works.
fn works(gpu: &Gpu) {
    gpu.check().unwrap();
    let buffer = gpu.buffer("after", 256).unwrap();
    gpu.write(&buffer, 0, &[1, 2, 3, 4]).unwrap();
    assert_eq!(gpu.read(&buffer, 0, 4).unwrap(), [1, 2, 3, 4]);
}

#[test]
fn a_range_beyond_its_buffer_is_one_error_with_the_kernels_label() {
    let Some(shared) = gpu(false) else { return };
    let gpu = own_device(shared);
    soon(move || {
        let pipeline = gpu.pipeline(&Kernel::new(&COPY)).unwrap();
        let (x, y) = (gpu.buffer("x", 256).unwrap(), gpu.buffer("y", 256).unwrap());
        let params = gpu.uniform("params", &64u32.to_le_bytes()).unwrap();
        let range = |buffer: &anomem::gpu::Buffer, offset, size| BindingRange {
            buffer: buffer.clone(),
            offset,
            size,
        };
        let params = range(&params, 0, 4);
        for (offset, size) in [(0, 512), (256, 256), (512, 4)] {
            let storage = [(range(&x, offset, size), false), (range(&y, 0, 256), true)];
            let e = gpu.pass(&pipeline, &storage, &params, 1).err().unwrap();
            assert!(matches!(&e, Error::Gpu { context, .. } if context == "fault.copy"), "{e}");
            works(&gpu);
        }
        // Some adapters would take it, others would not.
        let storage = [(range(&x, 128, 64), false), (range(&y, 0, 256), true)];
        let e = gpu.pass(&pipeline, &storage, &params, 1).err().unwrap().to_string();
        assert!(e.contains("fault.copy") && e.contains("byte 128"), "{e}");
        let storage = [(range(&x, 0, 256), false), (range(&y, 0, 256), true)];
        let pass = gpu.pass(&pipeline, &storage, &params, 1).unwrap();
        gpu.submit("after", &[pass], &[]).unwrap();
        works(&gpu);
    });
}

#[test]
fn a_shader_that_is_rejected_is_one_error_with_its_label() {
    let Some(shared) = gpu(true) else { return };
    for _ in 0..2 {
        let e = shared.pipeline(&Kernel::new(&WIDE)).err().unwrap();
        assert!(matches!(&e, Error::Gpu { context, .. } if context == "fault.wide"), "{e}");
        let e = shared.pipeline(&Kernel::new(&NONSENSE)).err().unwrap().to_string();
        assert!(e.contains("fault.nonsense") && e.contains("let x = 1u + 1.0"), "{e}");
        works(shared);
    }
}

#[test]
fn what_is_too_large_is_a_limit_by_name() {
    let Some(gpu) = gpu(true) else { return };
    let e = gpu.buffer("a large one", gpu.max_buffer() + 1).err().unwrap();
    assert!(e.exit_code() == 2, "{e}");
    let text = e.to_string();
    assert!(text.contains("a large one") && text.contains("max_buffer_size"), "{text}");
    let pipeline = gpu.pipeline(&Kernel::new(&COPY)).unwrap();
    let buffer = gpu.buffer("x", 1 << 20).unwrap();
    let range = |size| BindingRange { buffer: buffer.clone(), offset: 0, size };
    let storage = [(range(gpu.max_binding() + 4), false), (range(256), true)];
    let e = gpu.pass(&pipeline, &storage, &range(4), 1).err().unwrap().to_string();
    assert!(e.contains("fault.copy") && e.contains("max_storage_buffer_binding_size"), "{e}");
    let storage = [(range(256), false), (range(256), true)];
    let groups = 65_535u64 * 65_535 + 1;
    let params = gpu.uniform("params", &64u32.to_le_bytes()).unwrap();
    let params = BindingRange { buffer: params, offset: 0, size: 4 };
    let e = gpu.pass(&pipeline, &storage, &params, groups).err().unwrap().to_string();
    assert!(e.contains("fault.copy") && e.contains("4294836226 workgroups"), "{e}");
    works(gpu);
}

#[test]
fn a_closed_device_is_lost_for_every_call_by_name() {
    let Some(shared) = gpu(false) else { return };
    let gpu = own_device(shared);
    soon(move || {
        let (mut store, x, tape, y) = chain(3, 100);
        store.allocate(&gpu).unwrap();
        let mut plan = Plan::compile(&gpu, &tape, &store, &options()).unwrap();
        plan.history(&gpu, y, 4).unwrap();
        store.upload(&gpu, x, &fill(100, 1)).unwrap();
        let submission = plan.run(&gpu).unwrap();
        let buffer = gpu.buffer("late", 256).unwrap();
        gpu.close();
        let lost = |what: &str, e: Option<Error>| {
            let e = e.unwrap();
            let named = matches!(&e, Error::DeviceLost { context, .. } if context.contains(what));
            assert!(named && e.exit_code() == 1, "{what}: {e}");
        };
        lost("", gpu.wait(submission).err());
        for _ in 0..2 {
            lost("chain", plan.run(&gpu).err());
            lost("chain", plan.profile_step(&gpu, &mut Profile::new()).err());
            lost("chain arena", plan.read::<f32>(&gpu, y).err());
            lost("chain history", plan.read_history::<f32>(&gpu, y).err());
            lost("inputs", store.upload(&gpu, x, &fill(100, 1)).err());
            lost("late", gpu.write(&buffer, 0, &[0; 4]).err());
            lost("late", gpu.read(&buffer, 0, 4).err());
            lost("another", gpu.buffer("another", 4).err());
            lost("fault.copy", gpu.pipeline(&Kernel::new(&COPY)).err());
            lost("chain", Plan::compile(&gpu, &tape, &store, &options()).err());
            assert!(gpu.wait_all().is_err() && gpu.check().is_err());
        }
        gpu.close();
        drop((plan, store, buffer));
    });
}

#[test]
fn memory_that_runs_out_is_one_error_with_the_buffers_label() {
    let Some(shared) = gpu(false) else { return };
    let gpu = own_device(shared);
    soon(move || {
        // At most 256 GiB: more than any adapter has, and address space only where the driver hands
        // out memory at its first use.
        let size = gpu.max_buffer().min(4 << 30);
        let mut held = Vec::new();
        for i in 0..(256 << 30) / size {
            match gpu.buffer(&format!("huge {i}"), size) {
                Ok(buffer) => held.push(buffer),
                Err(e) => {
                    let named = matches!(&e, Error::OutOfMemory { context, .. } if *context == format!("huge {i}"));
                    assert!(named, "{e}");
                    println!("out of memory after {} GiB", (held.len() as u64 * size) >> 30);
                    held.clear();
                    works(&gpu);
                    return;
                }
            }
        }
        eprintln!("SKIPPED: {} hands out more memory than there is", gpu.report().name);
    });
}
