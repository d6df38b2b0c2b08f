// The value from which on the field is damage. For a blob it leaves the drawn share of the image: the value
// of that rank among up to 16x16 pixels spread evenly, so at least that pixel reaches it.
// draws: [B, 16], see draw.wgsl; chosen: [B]; field: [B, H, W]; thresholds: [B], out of reach where not
// chosen.
// One invocation per sample of an image; the one of the wanted rank writes. Reference and tests:
// kernels-tests/damage.rs.
#import grid
#import damage/kinds

const WG: u32 = 64u;
const NEVER: f32 = 1.0; // above the 0 of fields that are not chosen

struct Params {
    batch: u32,
    height: u32,
    width: u32,
    rows: u32,      // of samples, at most height
    columns: u32,   // at most width
    spacing_y: f32, // height / rows
    spacing_x: f32, // width / columns
}

@group(0) @binding(0) var<storage, read> draws: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> chosen: array<f32>;
@group(0) @binding(2) var<storage, read> field: array<f32>;
@group(0) @binding(3) var<storage, read_write> thresholds: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

// The pixel in the middle of part `i`. Exact: the spacing is 1 or a whole number of sixteenths.
fn middle(i: u32, spacing: f32) -> u32 {
    return u32((f32(i) + 0.5) * spacing);
}

// Where row `row` of the samples starts in the field.
fn line(image: u32, row: u32) -> u32 {
    return (image * p.height + middle(row, p.spacing_y)) * p.width;
}

@compute @workgroup_size(WG)
fn threshold(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    let count = p.rows * p.columns;
    if (i < p.batch * count) {
        let image = i / count;
        let sample = i % count;
        let kind = u32(draws[image * 4u].x);
        if (chosen[image] > 0.5 && kind == BLOB) {
            let share = draws[image * 4u + 1u].y;
            let wanted = clamp(u32(share * f32(count) + 0.5), 1u, count);
            let own_row = sample / p.columns;
            let own_column = middle(sample - own_row * p.columns, p.spacing_x);
            let value = field[line(image, own_row) + own_column];
            var rank = 1u;
            var k = 0u;
            for (var row = 0u; row < p.rows; row++) {
                let first = line(image, row);
                for (var column = 0u; column < p.columns; column++) {
                    let other = field[first + middle(column, p.spacing_x)];
                    // Equal values rank in their order.
                    rank += select(0u, 1u, other > value || (other == value && k < sample));
                    k++;
                }
            }
            if (rank == wanted) {
                thresholds[image] = value;
            }
        } else if (sample == 0u) {
            let edge = select(0.0, FADED, fades(kind));
            thresholds[image] = select(NEVER, edge, chosen[image] > 0.5);
        }
    }
}
