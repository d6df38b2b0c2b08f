// What each position stands for, from the share of it that is damaged: normal below `sound`, anomalous
// from `damaged` on; each side's positions together weigh one half. Positions between, damaged ones of
// images whose damage is not seen, and all of images of which nothing is known weigh 0.
// cover: [N]; known: [N / per]; seen: [period], image i has seen[i % period]; normal, weights: [N].
// One workgroup, twice over the positions. Reference and tests: kernels-tests/hinge.rs.
#import grid
#import reduce
#import hinge/halves

struct Params {
    len: u32, // N
    per: u32, // positions of an image
    period: u32,
    sound: f32,
    damaged: f32,
}

@group(0) @binding(0) var<storage, read> cover: array<f32>;
@group(0) @binding(1) var<storage, read> known: array<f32>;
@group(0) @binding(2) var<storage, read> seen: array<f32>;
@group(0) @binding(3) var<storage, read_write> normal: array<f32>;
@group(0) @binding(4) var<storage, read_write> weights: array<f32>;
@group(0) @binding(5) var<uniform> p: Params;

// x: 1 for a normal position, y: 1 for an anomalous one.
fn sides(i: u32) -> vec2<f32> {
    let share = cover[i];
    let image = i / p.per;
    let is_damaged = share >= p.damaged && seen[image % p.period] != 0.0;
    let counts = select(0.0, 1.0, known[image] != 0.0);
    return counts * vec2<f32>(select(0.0, 1.0, share < p.sound), select(0.0, 1.0, is_damaged));
}

@compute @workgroup_size(REDUCE_SIZE)
fn targets(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    var count = vec2<f32>(0.0);
    for (var i = lane; i < p.len; i += REDUCE_SIZE) {
        count += sides(i);
    }
    let each = halves(lane, count);
    if (workgroup_index(group, groups) == 0u) {
        for (var i = lane; i < p.len; i += REDUCE_SIZE) {
            let side = sides(i);
            normal[i] = side.x;
            weights[i] = dot(side, each);
        }
    }
}
