// Mean and population deviation of each image from those of its rows (Chan et al. 1983): the squares add
// up, plus those of the rows' means around the image's.
// rows: [N*H, 2] from statistics_rows.wgsl; out: [N, 2].
// One invocation per image. Reference and tests: kernels-tests/augment.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    images: u32,  // N
    height: u32,  // rows per image
    row_len: u32, // W * C values
}

@group(0) @binding(0) var<storage, read> rows: array<vec2<f32>>;
@group(0) @binding(1) var<storage, read_write> image_statistics: array<vec2<f32>>;
@group(0) @binding(2) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn statistics(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = workgroup_index(group, groups) * WG + lane;
    if (image < p.images) {
        var sum = 0.0;
        for (var i = 0u; i < p.height; i++) {
            sum += rows[image * p.height + i].x;
        }
        let mean = sum / f32(p.height);
        var squares = 0.0;
        for (var i = 0u; i < p.height; i++) {
            let row = rows[image * p.height + i];
            let difference = row.x - mean;
            squares += row.y + f32(p.row_len) * difference * difference;
        }
        image_statistics[image] = vec2<f32>(mean, sqrt(squares / f32(p.height * p.row_len)));
    }
}
