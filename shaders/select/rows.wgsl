// y[r] = a[r] where choose[r / per] is not 0, else b[r]: rows of two matrices, `per` neighbours by one choice.
// a, b, y: [R, D]. One invocation per element. Reference and tests: kernels-tests/select.rs.
#import grid

const WG: u32 = 64u;

struct Params {
    len: u32, // elements
    run: u32, // elements of one choice: per * D
}

@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> choose: array<f32>; // [R / per]
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<uniform> p: Params;

@compute @workgroup_size(WG)
fn rows(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let i = workgroup_index(group, groups) * WG + lane;
    if (i < p.len) {
        y[i] = select(b[i], a[i], choose[i / p.run] != 0.0);
    }
}
