// Params of the kernels that retrieve, forward_tiled.wgsl and forward_subgroup.wgsl.
struct Params {
    rows: u32,            // R, queries
    first: u32,           // first row of this dispatch
    slots: u32,           // M
    features: u32,        // D
    slots_padded: u32,    // Mp: M, or with subgroups the next multiple of TILE
    features_padded: u32, // Dp: likewise of D
    begin: u32,           // first step of this dispatch
    end: u32,             // one beyond its last
    renormalise: u32,     // 1: every iterate has unit length
    save: u32,            // 1: write iterates
    record: u32,          // words per row of record, 4 + L: one length per step, the last only, or none
    tolerance: f32,
}
