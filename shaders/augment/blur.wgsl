// One direction of a Gaussian blur, radius ceil(3 sigma), borders repeated, sigma from the view's row of
// draws (0 = copied). ALONG_COLUMNS = 1 is the second and last: it adds the noise, cuts to 0..1 and
// normalises, (v - mean) / std.
// x: [V*B, H, W, C]; draws: [V*B, 16], see draw.wgsl; y as x.
// One invocation per pixel. Reference and tests: kernels-tests/augment.rs.
#import grid
#import rng

const WG: u32 = 64u;
const CHANNELS: u32 = 3u;      // 1 or 3
const ALONG_COLUMNS: u32 = 0u; // 1: up and down
const NOISE_PURPOSE: u32 = 0x4E4F4953u; // "NOIS"; the same in views.wgsl and blur.wgsl
const NOISE: u32 = 1u;         // 0: no view has noise

struct Params {
    views: u32, // V*B
    height: u32,
    width: u32,
    mean_r: f32,
    mean_g: f32,
    mean_b: f32,
    std_r: f32,
    std_g: f32,
    std_b: f32,
}

@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<uniform> p: Params;

fn pixel_of_x(index: u32) -> vec3<f32> {
    let at = index * CHANNELS;
    if (CHANNELS == 1u) {
        return vec3<f32>(x[at]);
    }
    return vec3<f32>(x[at], x[at + 1u], x[at + 2u]);
}

@compute @workgroup_size(WG)
fn blur(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let area = p.height * p.width;
    if (i < p.views * area) {
        let view = i / area;
        let position = i % area;
        let sigma = draws[view * 4u + 2u].w;
        // Where this pixel stands in its row or column, how long that is, and the way to the next.
        var at = position % p.width;
        var length = p.width;
        var stride = 1u;
        if (ALONG_COLUMNS == 1u) {
            at = position / p.width;
            length = p.height;
            stride = p.width;
        }
        var v = pixel_of_x(i);
        if (sigma > 0.0) {
            let start = i - at * stride;
            let radius = u32(ceil(3.0 * sigma));
            var total = 1.0;
            for (var k = 1u; k <= radius; k++) {
                let t = f32(k) / sigma;
                let weight = exp(-0.5 * t * t);
                let before = pixel_of_x(start + (at - min(at, k)) * stride);
                let after = pixel_of_x(start + min(at + k, length - 1u) * stride);
                v += weight * (before + after);
                total += 2.0 * weight;
            }
            v /= total;
        }
        if (ALONG_COLUMNS == 1u) {
            if (NOISE == 1u) {
                let noise = draws[view * 4u + 3u];
                let counter = vec4<u32>(position, u32(noise.w), 0u, NOISE_PURPOSE);
                v += noise.x * normals(vec2<u32>(noise.yz), counter).xyz;
            }
            v = clamp(v, vec3<f32>(0.0), vec3<f32>(1.0));
            v = (v - vec3<f32>(p.mean_r, p.mean_g, p.mean_b))
                / vec3<f32>(p.std_r, p.std_g, p.std_b);
        }
        let to = i * CHANNELS;
        y[to] = v.x;
        if (CHANNELS == 3u) {
            y[to + 1u] = v.y;
            y[to + 2u] = v.z;
        }
    }
}
