// backward.wgsl by tiles of 64 rows x 64 dimensions: 16 rows of the other side at a time, with their
// weights grad_y_ij / n(o_j) for the 64 own rows.
// x, grad_x: [rows, dims], o: [others, dims], grad_y: [R, S] by strides as in share.wgsl.
// Reference and tests: kernels-tests/cosine.rs.
#import grid
#import cosine/tile
#import cosine/backward_params

const EPS: f32 = 1e-8;

@group(0) @binding(0) var<storage, read> grad_y: array<f32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> o: array<f32>;
@group(0) @binding(3) var<storage, read> norm_x: array<f32>;
@group(0) @binding(4) var<storage, read> norm_o: array<f32>;
@group(0) @binding(5) var<storage, read> shares: array<f32>;
@group(0) @binding(6) var<storage, read_write> grad_x: array<f32>;
@group(0) @binding(7) var<uniform> p: Params;

fn store(i: u32, first: u32, sums: vec4<f32>) {
    for (var c = 0u; c < 4u; c++) {
        let d = first + 16u * c;
        if (i < p.rows && d < p.dims) {
            let e = i * p.dims + d;
            let n = norm_x[i];
            var sum = sums[c];
            if (n > EPS) {
                sum -= x[e] * shares[i] / n;
            }
            grad_x[e] = sum / max(n, EPS);
        }
    }
}

@compute @workgroup_size(WG)
fn backward_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let g = workgroup_index(group, groups);
    let across = (p.dims + TILE - 1u) / TILE;
    let i0 = g / across * TILE;
    let d0 = g % across * TILE;
    let tx = lane % 16u;
    let ty = lane / 16u;
    // Neighbouring lanes shall read neighbouring elements of grad_y, whichever way it lies.
    let down = p.own_stride == 1u;
    var sums = mat4x4<f32>();
    for (var j0 = 0u; j0 < p.others; j0 += DEPTH) {
        workgroupBarrier();
        for (var e = lane; e < TILE * DEPTH; e += WG) {
            let m = select(e / DEPTH, e % TILE, down);
            let k = select(e % DEPTH, e / TILE, down);
            let j = j0 + k;
            var weight = 0.0;
            if (i0 + m < p.rows && j < p.others) {
                let at = (i0 + m) * p.own_stride + j * p.other_stride;
                weight = grad_y[at] / max(norm_o[j], EPS);
            }
            left[k * STRIDE + m] = weight;
            let row = j0 + e / TILE;
            let d = d0 + e % TILE;
            var v = 0.0;
            if (row < p.others && d < p.dims) {
                v = o[row * p.dims + d];
            }
            right[e / TILE * STRIDE + e % TILE] = v;
        }
        workgroupBarrier();
        multiply(&sums, lane);
    }
    store(i0 + ty, d0 + tx, sums[0]);
    store(i0 + ty + 16u, d0 + tx, sums[1]);
    store(i0 + ty + 32u, d0 + tx, sums[2]);
    store(i0 + ty + 48u, d0 + tx, sums[3]);
}
