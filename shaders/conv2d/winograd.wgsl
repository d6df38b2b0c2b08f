// A 3 x 3 convolution of stride 1 by Winograd's F(2 x 2, 3 x 3) or F(4 x 4, 3 x 3) (Lavin and Gray 2016, section 4):
// y = AT [(G w GT) * (BT x B)] A for each tile of 2 x 2 pixels of y, which sees 4 x 4 of x, or of 4 x 4, which sees
// 6 x 6. Of each pair of channels a tile takes 16 multiplications, at 16 points, instead of 36, or 36 instead of 144.
// The sum over channels is one matrix product per point.

struct Params {
    images: u32,
    height: u32, // of the tensor that is transformed
    width: u32,
    quads: u32, // its channels / 4
    padding: u32, // zeros around it
    tile_rows: u32, // of each image
    tile_columns: u32,
    first: u32, // tile of this dispatch
    tiles: u32, // a multiple of 4; those behind the last image are 0
}

// The four points or pixels of one row, each of four channels.
alias Four = mat4x4<f32>;

// Image, row and column of a tile, the last two in tiles.
fn tile_place(tile: u32) -> vec3<u32> {
    let line = tile / p.tile_columns;
    return vec3<u32>(line / p.tile_rows, line % p.tile_rows, tile % p.tile_columns);
}
