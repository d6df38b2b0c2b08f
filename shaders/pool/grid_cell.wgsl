// Which elements of x and y meet where a grid of windows covers the whole of each map. Cut an axis into
// `count` equal parts, and again into `others`: part i of the first cut touches the others from
// first(i) to below past(i), wholly or in part. So a window finds its rows, and a row its windows.
struct Params {
    len: u32,         // invocations
    height: u32,      // of x
    width: u32,
    channels: u32,
    grid_height: u32, // of y, at most as many as x has
    grid_width: u32,
}

// Sides are at most 60,000: no product overflows.
fn first(i: u32, count: u32, others: u32) -> u32 {
    return i * others / count;
}

fn past(i: u32, count: u32, others: u32) -> u32 {
    return ((i + 1u) * others + count - 1u) / count;
}
