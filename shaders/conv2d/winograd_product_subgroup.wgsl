// out[b] = left[b] right[b], a matrix product for each point b, in the registers of subgroups.
// A workgroup is one subgroup; it computes 8 LANES rows x COLUMNS columns: each lane 8 rows, 4 k at a time.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import subgroup_tile

const TRANSPOSED: u32 = 0u; // 0: left is [points, rows, K / 4]. 1: [points, K, rows / 4]
const BY_COLUMN: u32 = 0u; // 0: right is [points, K, N / 4]. 1: [points, N, K / 4]
// 1: to what out holds. A constant, since a software driver runs both sides of a branch, with the lanes of one masked.
const ADD: u32 = 0u;

struct Params {
    rows: u32, // a multiple of 4, as K and N are
    k_quads: u32,
    n_quads: u32,
}

#texels left, right
@group(0) @binding(0) var<storage, read> left: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> right: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [points, rows, N / 4]
@group(0) @binding(3) var<uniform> p: Params;

// Four k of four rows from `at` on, `step` apart; column j holds those of row j.
fn load(at: u32, step: u32) -> mat4x4<f32> {
    let v = mat4x4<f32>(left[at], left[at + step], left[at + 2u * step], left[at + 3u * step]);
    if (TRANSPOSED == 1u) {
        return transpose(v);
    }
    return v;
}

fn store_quad(at: u32, quad: u32, v: vec4<f32>) {
    if (quad < p.n_quads) {
        if (ADD == 1u) {
            out[at + quad] = out[at + quad] + v;
        } else {
            out[at + quad] = v;
        }
    }
}

fn store_row(point: u32, row: u32, quad: u32, v: array<vec4<f32>, 4>) {
    let at = (point * p.rows + row) * p.n_quads;
    store_quad(at, quad, v[0]);
    store_quad(at, quad + 1u, v[1]);
    store_quad(at, quad + 2u, v[2]);
    store_quad(at, quad + 3u, v[3]);
}

@compute @workgroup_size(LANES)
fn winograd_product_subgroup(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let row_tiles = (p.rows + 8u * LANES - 1u) / (8u * LANES);
    let index = workgroup_index(group, groups);
    let quad0 = index % column_tiles * QUADS;
    let low_row = index / column_tiles % row_tiles * (8u * LANES) + lane * 4u;
    let high_row = low_row + 4u * LANES;
    let point = index / (column_tiles * row_tiles);
    let transposed = TRANSPOSED == 1u;
    let by_column = BY_COLUMN == 1u;
    // Surplus rows and columns are clamped and not stored.
    let low = min(low_row, p.rows - 4u);
    let high = min(high_row, p.rows - 4u);
    let step = select(p.k_quads, p.rows / 4u, transposed);
    let left0 = point * p.rows * p.k_quads;
    let low0 = left0 + select(low * p.k_quads, low / 4u, transposed);
    let high0 = left0 + select(high * p.k_quads, high / 4u, transposed);
    let left_step = select(1u, p.rows, transposed);
    // This lane's columns of the right-hand side, or quads of them.
    let n = min(4u * quad0 + lane + LANES * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(4u * p.n_quads - 1u));
    let along = select(n / 4u + lane % 4u * p.n_quads, n * p.k_quads, by_column);
    let right0 = point * 4u * p.k_quads * p.n_quads + along;
    let right_step = select(4u * p.n_quads, 1u, by_column);
    for (var quad = 0u; quad < p.k_quads; quad++) {
        let at = right0 + quad * right_step;
        let w = array(right[at.x], right[at.y], right[at.z], right[at.w]);
        multiply(load(low0 + quad * left_step, step), load(high0 + quad * left_step, step), w, by_column);
    }
    // Once for four rows, of which there are a multiple of 4: a test for each of them costs a sixth of the time.
    if (low_row < p.rows) {
        store_half(0u, point, low_row, quad0);
    }
    if (high_row < p.rows) {
        store_half(QUADS, point, high_row, quad0);
    }
}
