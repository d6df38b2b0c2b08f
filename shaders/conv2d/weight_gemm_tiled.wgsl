// weight_gemm.wgsl for GPUs, with tiles in workgroup memory.
// A workgroup of 256 computes 128 rows (t, c) x 4 QUADS channels o, 16 pixels at a time: each invocation QUADS / 8
// quads of rows x 4 channels. Values of the next 16 pixels are on their way from memory while these are multiplied.
// Simple twin: backward_weight.wgsl. Reference and tests: kernels-tests/conv2d.rs.
#import grid
#import conv2d/weight_gemm
#import conv2d/weight_gemm_gather

const QUADS: u32 = 16u; // columns of the tile in fours: 16 or 8
const ROW_GROUPS: u32 = 256u / QUADS;

// left[32 k + r]: quad of rows r at pixel k of the 16.
var<workgroup> left: array<vec4<f32>, 512>;
// right[QUADS k + q]: quad of columns q at pixel k.
var<workgroup> right: array<vec4<f32>, 16u * QUADS>;
// low[j] is row j of this invocation's first quad of rows, times its four columns; high the second quad's.
var<private> low: mat4x4<f32>;
var<private> high: mat4x4<f32>;

fn multiply(k: u32, group: u32, column: u32) {
    let a = left[32u * k + group];
    let b = right[QUADS * k + column];
    low += mat4x4<f32>(a.x * b, a.y * b, a.z * b, a.w * b);
    if (QUADS == 16u) {
        let c = left[32u * k + 16u + group];
        high += mat4x4<f32>(c.x * b, c.y * b, c.z * b, c.w * b);
    }
}

fn multiply_four(k: u32, group: u32, column: u32) {
    multiply(k, group, column);
    multiply(k + 1u, group, column);
    multiply(k + 2u, group, column);
    multiply(k + 3u, group, column);
}

// `row` is the first of four.
fn store(split: u32, row: u32, quad: u32, v: mat4x4<f32>) {
    let rows = 4u * p.taps * p.c_quads;
    if (row < rows && quad < p.o_quads) {
        let at = ((p.part + split) * rows + row) * p.o_quads + quad;
        out[at] = v[0];
        out[at + p.o_quads] = v[1];
        out[at + 2u * p.o_quads] = v[2];
        out[at + 3u * p.o_quads] = v[3];
    }
}

@compute @workgroup_size(256)
fn weight_gemm_tiled(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) ids: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row_quads = p.taps * p.c_quads;
    let column_tiles = (p.o_quads + QUADS - 1u) / QUADS;
    let row_tiles = (row_quads + 31u) / 32u;
    let index = workgroup_index(id, ids);
    let quad0 = index % column_tiles * QUADS;
    let row0 = index / column_tiles % row_tiles * 32u;
    let split = index / (column_tiles * row_tiles);
    let end = min((split + 1u) * p.split, p.pixels);
    // What this invocation fetches: quad of rows lane % 32 of two pixels, and one quad of columns of one pixel.
    let row = min(row0 + lane % 32u, row_quads - 1u);
    let tap = row / p.c_quads;
    let fetched = Row(row % p.c_quads, tap / p.kernel_width - p.padding, tap % p.kernel_width - p.padding);
    let eight = place_of(8u);
    var place = place_of(split * p.split + lane / 32u);
    var right_pixel = split * p.split + lane / QUADS;
    var a = load_left(fetched, place, end);
    place = moved(place, eight);
    var b = load_left(fetched, place, end);
    var g = load_right(right_pixel, quad0 + lane % QUADS);
    let steps = (end - split * p.split + 15u) / 16u;
    let group = lane / QUADS;
    let column = lane % QUADS;
    for (var step = 0u; step < steps; step++) {
        workgroupBarrier();
        left[lane] = a;
        left[256u + lane] = b;
        if (lane < 16u * QUADS) {
            right[lane] = g;
        }
        workgroupBarrier();
        right_pixel += 16u;
        place = moved(place, eight);
        a = load_left(fetched, place, end);
        place = moved(place, eight);
        b = load_left(fetched, place, end);
        g = load_right(right_pixel, quad0 + lane % QUADS);
        multiply_four(0u, group, column);
        multiply_four(4u, group, column);
        multiply_four(8u, group, column);
        multiply_four(12u, group, column);
    }
    store(split, 4u * (row0 + group), quad0 + column, low);
    if (QUADS == 16u) {
        store(split, 4u * (row0 + 16u + group), quad0 + column, high);
    }
}
