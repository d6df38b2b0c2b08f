// forward.wgsl by tiles of 64 x 64 pairs, 16 dimensions at a time.
// a: [rows, dims], b: [others, dims], y: [rows, others].
// Reference and tests: kernels-tests/cosine.rs.
#import grid
#import cosine/tile

const EPS: f32 = 1e-8;

struct Params {
    rows: u32,
    others: u32,
    dims: u32,
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> norm_a: array<f32>;
@group(0) @binding(3) var<storage, read> norm_b: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

fn store(r: u32, first: u32, dots: vec4<f32>) {
    for (var j = 0u; j < 4u; j++) {
        let s = first + 16u * j;
        if (r < p.rows && s < p.others) {
            y[r * p.others + s] = dots[j] / (max(norm_a[r], EPS) * max(norm_b[s], EPS));
        }
    }
}

@compute @workgroup_size(WG)
fn forward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let across = (p.others + TILE - 1u) / TILE;
    let r0 = g / across * TILE;
    let s0 = g % across * TILE;
    let tx = lane % 16u;
    let ty = lane / 16u;
    var dots = mat4x4<f32>();
    for (var d0 = 0u; d0 < p.dims; d0 += DEPTH) {
        workgroupBarrier();
        for (var i = lane; i < TILE * DEPTH; i += WG) {
            let m = i / DEPTH;
            let k = i % DEPTH;
            let d = d0 + k;
            var va = 0.0;
            var vb = 0.0;
            if (d < p.dims && r0 + m < p.rows) {
                va = a[(r0 + m) * p.dims + d];
            }
            if (d < p.dims && s0 + m < p.others) {
                vb = b[(s0 + m) * p.dims + d];
            }
            left[k * STRIDE + m] = va;
            right[k * STRIDE + m] = vb;
        }
        workgroupBarrier();
        multiply(&dots, lane);
    }
    store(r0 + ty, s0 + tx, dots[0]);
    store(r0 + ty + 16u, s0 + tx, dots[1]);
    store(r0 + ty + 32u, s0 + tx, dots[2]);
    store(r0 + ty + 48u, s0 + tx, dots[3]);
}
