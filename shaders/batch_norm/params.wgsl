struct Params {
    rows: u32,         // all leading dimensions together
    channels: u32,
    chunks: u32,
    chunk_stride: u32, // rows from the first of a chunk to the first of the next
    row_stride: u32,   // rows from one of a chunk to its next
    chunk_rows: u32,   // most rows of a chunk
    eps: f32,
}

// Rows of the chunk that begins with row `first`.
fn rows_of_chunk(first: u32) -> u32 {
    return min(p.chunk_rows, (p.rows - first + p.row_stride - 1u) / p.row_stride);
}
