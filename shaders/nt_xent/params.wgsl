// Params of all kernels but mean.wgsl.
struct Params {
    pairs: u32, // n
    features: u32, // D
    padded_features: u32, // of packed rows
    groups: u32,
    image_rows: u32, // rows of a group, view and image
    tiles: u32, // of a group
    has_valid: u32, // 0: `valid` is bound to something else
    inverse_tau: f32,
    begin: u32, // columns of the group that a launch takes: rows in the plain rung, else tiles
    end: u32, // one past them
}
