// Params of the kernels that walk the retrieval of a chunk of rows back, and of those that sum its gradient of the
// patterns.
struct Params {
    rows: u32,            // R, of the whole retrieval
    first: u32,           // first row of the chunk
    blocks: u32,          // blocks of queries in the chunk: of 32, or of QUERIES of a subgroup
    slots: u32,           // M
    features: u32,        // D
    slots_padded: u32,    // Mp: M, or with subgroups the next multiple of TILE
    features_padded: u32, // Dp: likewise of D
    begin: u32,           // last step that this dispatch walks back
    end: u32,             // one beyond the first
    steps: u32,           // T; of an implicit gradient the terms
    renormalise: u32,     // 1: every iterate had unit length
    record: u32,          // words per row of record, 4 + L
    accumulate: u32,      // 1: add to the patterns' gradient that is there
    splits: u32,          // S, of that gradient's sum
    implicit: u32,        // 1: every step starts and ends at the last iterate, and no query gets a gradient
}
