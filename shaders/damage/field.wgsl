// How far inside its image's damage every pixel lies: the mask is where the field reaches a threshold.
//   rectangle, scar, smear   distance from the nearest edge, negative outside
//   blob                     noise - 2 |pixel - centre|^2
//   spot                     1 / (1 + exp((rho - 1) / edge)), rho^2 = along^2 / a^2 + across^2 / b^2
//   line                     clamp(half width + 1/2 - distance, 0, 1), these two in pixels: as thin in any image
// Lengths in units of half the square root of the image's area, so the image reaches from
// -sqrt(W / H) to sqrt(W / H) across and a circle stays a circle. Boxes are at least a pixel wide, and the
// pixel that holds the centre of anything but a blob is always in the mask.
// draws: [B, 16], see draw.wgsl; chosen: [B]; nodes: [B, 144]; field: [B, H, W], 0 where not chosen.
// One invocation per pixel. Reference and tests: kernels-tests/damage.rs.
#import grid
#import damage/kinds

const WG: u32 = 64u;
const NODES: u32 = 144u; // per image
const SEGMENTS: u32 = 12u;
const STEEPEST: f32 = 60.0; // exponents above may overflow
const FAR: f32 = 1e6;       // from a line of no segments

struct Params {
    batch: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> chosen: array<f32>;
@group(0) @binding(2) var<storage, read> nodes: array<f32>;
@group(0) @binding(3) var<storage, read_write> field_of: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

// Weights of the nodes -1, 0, 1, 2 at `t` in 0..1 (Catmull and Rom 1974).
fn cubic(t: f32) -> vec4<f32> {
    return 0.5 * vec4<f32>(
        ((2.0 - t) * t - 1.0) * t,
        (3.0 * t - 5.0) * t * t + 2.0,
        ((4.0 - 3.0 * t) * t + 1.0) * t,
        (t - 1.0) * t * t,
    );
}

// The lattice's normals, `side` to a row, at a point given in nodes; border nodes repeat outwards.
fn noise(first: u32, side: u32, at: vec2<f32>) -> f32 {
    let low = floor(at);
    let columns = clamp(
        vec4<i32>(i32(low.x)) + vec4<i32>(-1, 0, 1, 2),
        vec4<i32>(0),
        vec4<i32>(i32(side) - 1),
    );
    let of_column = cubic(at.x - low.x);
    let of_row = cubic(at.y - low.y);
    var sum = 0.0;
    for (var k = 0; k < 4; k++) {
        let row = first + u32(clamp(i32(low.y) + k - 1, 0, i32(side) - 1)) * side;
        let x = row + vec4<u32>(columns);
        sum += of_row[k] * dot(of_column, vec4<f32>(nodes[x.x], nodes[x.y], nodes[x.z], nodes[x.w]));
    }
    return sum;
}

// The point at q, from -1 to 1, of a line through the origin.
fn on_line(q: f32, size: vec2<f32>) -> vec2<f32> {
    return size.x * vec2<f32>(q, -size.y * q * q);
}

// Distance of a point from a line, drawn as those of twelve straight segments that `kept` has a bit for.
fn from_line(point: vec2<f32>, size: vec2<f32>, kept: u32) -> f32 {
    var least = FAR;
    for (var k = 0u; k < SEGMENTS; k++) {
        if ((kept >> k & 1u) == 1u) {
            let start = on_line(f32(k) / 6.0 - 1.0, size);
            let span = on_line(f32(k + 1u) / 6.0 - 1.0, size) - start;
            let share = clamp(dot(point - start, span) / dot(span, span), 0.0, 1.0);
            least = min(least, distance(point, start + share * span));
        }
    }
    return least;
}

@compute @workgroup_size(WG)
fn field(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let area = p.height * p.width;
    if (i < p.batch * area) {
        let image = i / area;
        let at = i - image * area;
        var value = 0.0;
        if (chosen[image] > 0.5) {
            let about = draws[image * 4u];
            let shape = draws[image * 4u + 1u];
            let kind = u32(about.x);
            let sides = vec2<f32>(f32(p.width), f32(p.height));
            let unit = 0.5 * sqrt(sides.x * sides.y); // pixels
            let row = at / p.width;
            let pixel = vec2<f32>(f32(at - row * p.width), f32(row));
            let centre = (0.5 * about.zw + 0.5) * sides;
            let d = (pixel + 0.5 - centre) / unit;
            if (kind == BLOB) {
                // The lattice is square and spans the longer side.
                let spacing = max(sides.x, sides.y) / (shape.x - 1.0);
                value = noise(image * NODES, u32(shape.x), (pixel + 0.5) / spacing)
                    - 2.0 * dot(d, d);
            } else {
                let turned = vec2<f32>(dot(d, shape.zw), d.y * shape.z - d.x * shape.w);
                var at_centre = FADED;
                if (kind == SPOT) {
                    let rho = length(turned / shape.xy);
                    value = 1.0 / (1.0 + exp(min((rho - 1.0) / about.y, STEEPEST)));
                } else if (kind == LINE) {
                    let pixels = unit * from_line(turned, shape.xy, u32(draws[image * 4u + 3u].z));
                    value = clamp(about.y + 0.5 - pixels, 0.0, 1.0);
                } else {
                    at_centre = 0.0;
                    let inside = max(shape.xy, vec2<f32>(0.5 / unit)) - abs(turned);
                    value = min(inside.x, inside.y);
                }
                if (all(floor(centre) == pixel)) {
                    value = max(value, at_centre);
                }
            }
        }
        field_of[i] = value;
    }
}
