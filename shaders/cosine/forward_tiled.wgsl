// forward.wgsl by tiles of 64 x 64 pairs: a workgroup brings 16 dimensions of 64 rows of each side
// into workgroup memory at a time, and each invocation holds 4 x 4 pairs, 16 rows and 16 columns
// apart, so that neighbouring lanes touch neighbouring words.
// a: [rows, dims], b: [others, dims], y: [rows, others].
// Reference and tests: kernels-tests/cosine.rs.
#import grid

const EPS: f32 = 1e-8;
const TILE: u32 = 64u; // rows and columns of a tile
const DEPTH: u32 = 16u; // dimensions at a time
const STRIDE: u32 = 65u; // TILE + 1: a transposed store then meets no bank twice
const WG: u32 = 256u;

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

var<workgroup> tile_a: array<f32, DEPTH * STRIDE>;
var<workgroup> tile_b: array<f32, DEPTH * STRIDE>;

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
    var dots0 = vec4<f32>(0.0);
    var dots1 = vec4<f32>(0.0);
    var dots2 = vec4<f32>(0.0);
    var dots3 = vec4<f32>(0.0);
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
            tile_a[k * STRIDE + m] = va;
            tile_b[k * STRIDE + m] = vb;
        }
        workgroupBarrier();
        for (var k = 0u; k < DEPTH; k++) {
            let at = k * STRIDE + tx;
            let v = vec4<f32>(tile_b[at], tile_b[at + 16u], tile_b[at + 32u], tile_b[at + 48u]);
            let row = k * STRIDE + ty;
            dots0 += tile_a[row] * v;
            dots1 += tile_a[row + 16u] * v;
            dots2 += tile_a[row + 32u] * v;
            dots3 += tile_a[row + 48u] * v;
        }
    }
    store(r0 + ty, s0 + tx, dots0);
    store(r0 + ty + 16u, s0 + tx, dots1);
    store(r0 + ty + 32u, s0 + tx, dots2);
    store(r0 + ty + 48u, s0 + tx, dots3);
}
