// Tiles of 64 rows, as pack.wgsl makes them.
#import nt_xent/params

const TILE: u32 = 64u;
const QUADS: u32 = 16u; // groups of four rows in a tile
const NONE: u32 = 0xffffffffu; // the image of a row that is padding or dropped

// The rows of a group that are the pairs of `own` and the three after it.
fn pairs_of(own: u32) -> vec4<u32> {
    let rows = 2u * (p.pairs / p.groups);
    return (vec4(own, own + 1u, own + 2u, own + 3u) + rows / 2u) % rows;
}
