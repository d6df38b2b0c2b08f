// Products of QUERIES queries with the packed patterns (pack.wgsl) in one subgroup, without barriers or workgroup
// memory. Lane l owns rows l*8 .. l*8+8 of every tile of TILE slots or features: it computes them, stores them and
// alone reads them back; others get them by broadcast. A row is QUADS vec4 of 4 queries each, in `scratch`.
#import subgroup_tile

const TILE: u32 = 8u * LANES;
const QUERIES: u32 = 4u * QUADS;

fn store_row(to: u32, row: u32, quad: u32, v: array<vec4<f32>, 4>) {
    let at = to + row * QUADS + quad;
    scratch[at] = v[0];
    scratch[at + 1u] = v[1];
    scratch[at + 2u] = v[2];
    scratch[at + 3u] = v[3];
}

// A lane's rows of the patterns, at LANES neighbouring places k of the sum.
struct Rows {
    low: mat4x4<f32>,
    high: mat4x4<f32>,
    low_more: mat4x4<f32>, // from k = 4 on, with 8 lanes
    high_more: mat4x4<f32>,
}

fn load_rows(at: u32) -> Rows {
    let more = at + select(0u, TILE, LANES == 8u);
    return Rows(
        mat4x4<f32>(packed[at], packed[at + 1u], packed[at + 2u], packed[at + 3u]),
        mat4x4<f32>(packed[at + 4u], packed[at + 5u], packed[at + 6u], packed[at + 7u]),
        mat4x4<f32>(packed[more], packed[more + 1u], packed[more + 2u], packed[more + 3u]),
        mat4x4<f32>(packed[more + 4u], packed[more + 5u], packed[more + 6u], packed[more + 7u]),
    );
}

// Adds the products with 4 queries, of which every lane holds one row.
fn add_quad(q: u32, rows: Rows, v: vec4<f32>) {
    multiply_quad(q, rows.low, rows.high, false, mat4x4<f32>(
        subgroupBroadcast(v, 0u), subgroupBroadcast(v, 1u), subgroupBroadcast(v, 2u), subgroupBroadcast(v, 3u),
    ));
    if (LANES == 8u) {
        multiply_quad(q, rows.low_more, rows.high_more, false, mat4x4<f32>(
            subgroupBroadcast(v, 4u), subgroupBroadcast(v, 5u), subgroupBroadcast(v, 6u), subgroupBroadcast(v, 7u),
        ));
    }
}

// (rows x length, from packed) times (length rows of the queries at `start`), to the rows at `to`.
fn product(start: u32, panels: u32, length: u32, to: u32, rows: u32, lane: u32) {
    var at = panels + lane * 8u;
    for (var row = lane * 8u; row < rows; row += TILE) {
        tile = array<mat4x4<f32>, 2u * QUADS>();
        for (var k = lane * 8u; k < length; k += TILE) {
            for (var own = start + k * QUADS; own < start + (k + 8u) * QUADS; own += QUADS) {
                let left = load_rows(at);
                add_quad(0u, left, scratch[own]);
                add_quad(1u, left, scratch[own + 1u]);
                add_quad(2u, left, scratch[own + 2u]);
                add_quad(3u, left, scratch[own + 3u]);
                if (QUADS == 8u) {
                    add_quad(4u % QUADS, left, scratch[own + 4u]);
                    add_quad(5u % QUADS, left, scratch[own + 5u]);
                    add_quad(6u % QUADS, left, scratch[own + 6u]);
                    add_quad(7u % QUADS, left, scratch[own + 7u]);
                }
                at += TILE * LANES / 4u;
            }
        }
        store_tile(to, row, row + 4u, 0u);
    }
}

// The n-th row that this lane owns: 8 neighbours of every tile.
fn owned(n: u32, lane: u32) -> u32 {
    return n / 8u * TILE + lane * 8u + n % 8u;
}
