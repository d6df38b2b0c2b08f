// Params of the simple kernels.
struct Params {
    images: u32,
    height: u32, // of x
    width: u32,
    channels: u32,
    out_height: u32, // of y
    out_width: u32,
    out_channels: u32,
    kernel_height: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32, // zeros on each side
}
