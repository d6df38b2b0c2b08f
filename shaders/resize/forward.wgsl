// Bilinear resizing of x: [N, H, W, C] as PyTorch's interpolate with align_corners = false: pixels
// are squares, and places beyond the outer centres take the outer pixels.
// One invocation per element of y. Reference and tests: kernels-tests/resize.rs.
#import grid
#import resize/taps

const WG: u32 = 64u;

struct Params {
    len: u32,        // invocations
    height: u32,     // of x
    width: u32,
    channels: u32,
    out_height: u32, // of y
    out_width: u32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>; // [N, out_height, out_width, C]
@group(0) @binding(2) var<uniform> p: Params;

fn pixel(image: u32, row: u32, column: u32, c: u32) -> f32 {
    return x[((image * p.height + row) * p.width + column) * p.channels + c];
}

@compute @workgroup_size(WG)
fn forward(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        let c = i % p.channels;
        let h = taps(i / p.channels / p.out_width % p.out_height, p.height, p.out_height);
        let w = taps(i / p.channels % p.out_width, p.width, p.out_width);
        let image = i / p.channels / p.out_width / p.out_height;
        let upper = mix(pixel(image, h.low, w.low, c), pixel(image, h.low, w.high, c), w.weight);
        let lower = mix(pixel(image, h.high, w.low, c), pixel(image, h.high, w.high, c), w.weight);
        y[i] = mix(upper, lower, h.weight);
    }
}
