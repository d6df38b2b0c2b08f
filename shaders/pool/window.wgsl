// Which elements of x and y meet in a window. An item is an element, or a vector of four; `channels` counts the
// items of a pixel.
struct Params {
    len: u32,        // invocations
    height: u32,     // of x
    width: u32,
    channels: u32,
    out_height: u32, // of y
    out_width: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,    // rows and columns on every side
}

// One item's place, and the rows and columns of the other map that it meets.
struct Overlap {
    image: u32,
    row: u32, // in the padded map: the item's own if it is of x, its window's first if it is of y
    column: u32,
    row_start: u32,
    row_end: u32,
    column_start: u32,
    column_end: u32,
}

// Item i of y, and its window: places in the padded map, without the padding.
fn window_of(i: u32, channels: u32) -> Overlap {
    let column = i / channels % p.out_width * p.stride;
    let row = i / channels / p.out_width % p.out_height * p.stride;
    return Overlap(
        i / channels / p.out_width / p.out_height, row, column,
        max(row, p.padding), min(row + p.kernel_height, p.height + p.padding),
        max(column, p.padding), min(column + p.kernel_width, p.width + p.padding),
    );
}

// Item i of x, and the places in y whose windows hold it.
fn holders_of(i: u32, channels: u32) -> Overlap {
    let column = i / channels % p.width + p.padding;
    let row = i / channels / p.width % p.height + p.padding;
    return Overlap(
        i / channels / p.width / p.height, row, column,
        select(0u, (row - p.kernel_height) / p.stride + 1u, row >= p.kernel_height),
        min(row / p.stride + 1u, p.out_height),
        select(0u, (column - p.kernel_width) / p.stride + 1u, column >= p.kernel_width),
        min(column / p.stride + 1u, p.out_width),
    );
}
