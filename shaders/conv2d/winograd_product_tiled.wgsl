// out[b] = left[b] right[b], a matrix product for each point b, for GPUs, with tiles in workgroup memory.
// A workgroup of 256 computes 128 rows x 4 QUADS columns of one point, 16 k at a time.
// Values of the next 16 k are on their way from memory while these are multiplied.
// Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/workgroup_tile

const BY_COLUMN: u32 = 0u; // 0: weight is [points, K, N / 4]. 1: [points, N, K / 4]

struct Params {
    rows: u32,
    k_quads: u32,
    n_quads: u32,
}

@group(0) @binding(0) var<storage, read> source: array<vec4<f32>>; // [points, rows, K / 4]
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // [points, rows, N / 4]
@group(0) @binding(3) var<uniform> p: Params;

var<private> point: u32;

// Past the last k the left-hand side is 0, and any weight will do.
fn load_left(row: u32, quad: u32) -> vec4<f32> {
    let inside = quad < p.k_quads;
    let at = (point * p.rows + min(row, p.rows - 1u)) * p.k_quads + quad;
    return select(vec4<f32>(0.0), source[select(0u, at, inside)], inside);
}

fn load_right(quad: u32, k: u32, n: u32) -> vec4<f32> {
    let near = min(quad, p.k_quads - 1u);
    let column = min(n, 4u * p.n_quads - 1u);
    let by_k = ((point * p.k_quads + near) * 4u + k) * p.n_quads + column / 4u;
    let by_column = (point * 4u * p.n_quads + column) * p.k_quads + near;
    return weight[select(by_k, by_column, BY_COLUMN == 1u)];
}

fn store_row(row: u32, quad: u32, v: vec4<f32>) {
    if (row < p.rows && quad < p.n_quads) {
        out[(point * p.rows + row) * p.n_quads + quad] = v;
    }
}

@compute @workgroup_size(256)
fn winograd_product_tiled(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let column_tiles = (p.n_quads + QUADS - 1u) / QUADS;
    let row_tiles = (p.rows + 127u) / 128u;
    let index = workgroup_index(id, ids);
    let quad0 = index % column_tiles * QUADS;
    let row0 = index / column_tiles % row_tiles * 128u;
    point = index / (column_tiles * row_tiles);
    let share = share_of(lane);
    let near = row0 + share.left_row;
    let column = 4u * quad0 + share.right_column;
    var a = load_left(near, share.left_quad);
    var b = load_left(near + 64u, share.left_quad);
    var w = load_right(share.right_quad, share.right_k, column);
    for (var quad = 4u; quad < p.k_quads + 4u; quad += 4u) {
        exchange(share, lane, a, b, w);
        a = load_left(near, quad + share.left_quad);
        b = load_left(near + 64u, quad + share.left_quad);
        w = load_right(quad + share.right_quad, share.right_k, column);
        multiply(share);
    }
    store_tile(row0 + share.row, quad0 + share.column);
}
