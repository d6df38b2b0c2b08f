// A tile of 128 rows x 4 QUADS columns, computed in fragments by a workgroup of 128: each subgroup a band of 32 rows, or
// several in turn where there are fewer than four subgroups.
// The kernel says where fragments lie, in left_fragment and right_fragment, and where results go, in store_quad.

const BANDS: u32 = 4u;

// sums[64 b + 4 r + q]: quad q of row r of a fragment of band b of a turn.
var<workgroup> sums: array<vec4<f32>, 64u * BANDS>;

// What an invocation does at a time.
struct Turn {
    lane: u32,
    subgroup: u32,
    band: u32, // the first of those computed
    bands: u32, // how many; that of this subgroup is band + subgroup, if it has one
}

fn turn_from(band: u32, lane: u32, subgroup: u32, subgroups: u32) -> Turn {
    return Turn(lane, subgroup, band, bands_at_once(subgroups, BANDS - band));
}

// Adds the products of 16 k. tile[2 j + i]: fragment i of the band's rows and j of the columns.
fn multiply(turn: Turn, tile: ptr<function, array<Sum, 8>>) {
    if (turn.subgroup < turn.bands) {
        let row = 32u * (turn.band + turn.subgroup);
        let near = left_fragment(row);
        let far = left_fragment(row + 16u);
        let first = right_fragment(0u);
        (*tile)[0] = multiply_add(near, first, (*tile)[0]);
        (*tile)[1] = multiply_add(far, first, (*tile)[1]);
        if (QUADS > 4u) {
            let second = right_fragment(4u);
            (*tile)[2] = multiply_add(near, second, (*tile)[2]);
            (*tile)[3] = multiply_add(far, second, (*tile)[3]);
        }
        if (QUADS > 8u) {
            let third = right_fragment(8u);
            (*tile)[4] = multiply_add(near, third, (*tile)[4]);
            (*tile)[5] = multiply_add(far, third, (*tile)[5]);
            let fourth = right_fragment(12u);
            (*tile)[6] = multiply_add(near, fourth, (*tile)[6]);
            (*tile)[7] = multiply_add(far, fourth, (*tile)[7]);
        }
    }
}

// Stores the fragment at row `row` and quad `quad` of each band.
fn store(turn: Turn, sum: Sum, row: u32, quad: u32) {
    workgroupBarrier();
    if (turn.subgroup < turn.bands) {
        put_sum(sum, 64u * turn.subgroup);
    }
    workgroupBarrier();
    for (var i = turn.lane; i < 64u * turn.bands; i += 128u) {
        store_quad(32u * (turn.band + i / 64u) + row + i % 64u / 4u, quad + i % 4u, sums[i]);
    }
}

fn store_tile(turn: Turn, tile: ptr<function, array<Sum, 8>>) {
    store(turn, (*tile)[0], 0u, 0u);
    store(turn, (*tile)[1], 16u, 0u);
    if (QUADS > 4u) {
        store(turn, (*tile)[2], 0u, 4u);
        store(turn, (*tile)[3], 16u, 4u);
    }
    if (QUADS > 8u) {
        store(turn, (*tile)[4], 0u, 8u);
        store(turn, (*tile)[5], 16u, 8u);
        store(turn, (*tile)[6], 0u, 12u);
        store(turn, (*tile)[7], 16u, 12u);
    }
}
