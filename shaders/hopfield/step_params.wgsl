// Params of the simple kernels, which take all queries through one step.
struct Params {
    rows: u32,      // R
    slots: u32,     // M
    features: u32,  // D
    step: u32,      // t, from 0
    record: u32,    // words per row of record, 4 + L: one length per step, or the last only
    flag: u32,      // each kernel's own
    tolerance: f32, // 0: never stop
}
