// Params of share.wgsl and of the backward kernels, which serve either side.
struct Params {
    rows: u32, // of the side whose gradient is wanted
    others: u32, // rows of the other side
    dims: u32,
    own_stride: u32, // elements of y between neighbours of the own side
    other_stride: u32, // elements of y between neighbours of the other side
}
