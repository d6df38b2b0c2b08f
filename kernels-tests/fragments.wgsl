// shaders/conv2d/fragments.wgsl in plain WGSL, for GPUs that multiply no fragments. Left and Right say where they lie in
// workgroup memory; a Sum is a handle to what each invocation holds of it: of its 64 quads, those whose number leaves
// `lane` when divided by `lanes`. Subgroups have 8 lanes or more.
enable f16;

// Parts of a tile that are computed at a time: fewer, to see that the others have their turn.
const AT_ONCE: u32 = 4u;

struct Left {
    at: u32,
    stride: u32,
    by_row: bool,
}
struct Right {
    at: u32,
    stride: u32,
    by_row: bool,
}
struct Sum {
    handle: u32, // 0: zeros
}

// held[8 h + i - 8]: this invocation's quad i of handle h.
var<private> held: array<vec4<f32>, 64>;
var<private> handles: u32;

// Called before each turn, which has sums of its own.
fn bands_at_once(subgroups: u32, bands: u32) -> u32 {
    handles = 0u;
    return min(min(subgroups, AT_ONCE), bands);
}

fn left_by_row(at: u32, stride: u32) -> Left {
    return Left(at, stride, true);
}

fn left_by_column(at: u32, stride: u32) -> Left {
    return Left(at, stride, false);
}

fn right_by_row(at: u32, stride: u32) -> Right {
    return Right(at, stride, true);
}

fn right_by_column(at: u32, stride: u32) -> Right {
    return Right(at, stride, false);
}

fn left_of(a: Left, row: u32, k: u32) -> f32 {
    let along = select(row, k, a.by_row);
    return f32(left[a.at + select(k, row, a.by_row) * a.stride + along / 4u][along % 4u]);
}

// Quad q of the columns of k.
fn right_of(b: Right, k: u32, q: u32) -> vec4<f32> {
    if (b.by_row) {
        return vec4<f32>(right[b.at + k * b.stride + q]);
    }
    let at = b.at + 4u * q * b.stride + k / 4u;
    let c = k % 4u;
    return vec4<f32>(vec4<f16>(
        right[at][c], right[at + b.stride][c], right[at + 2u * b.stride][c], right[at + 3u * b.stride][c],
    ));
}

fn multiply_add(a: Left, b: Right, sum: Sum) -> Sum {
    let fresh = sum.handle == 0u;
    handles += u32(fresh);
    let handle = select(sum.handle, handles, fresh);
    let lanes = subgroupAdd(1u);
    // 16, but lavapipe's compiler shall not see it: it would unroll the loop and take minutes.
    let depth = subgroupAdd(16u) / lanes;
    var at = 8u * handle - 8u;
    for (var i = subgroupExclusiveAdd(1u); i < 64u; i += lanes) {
        var total = select(held[at], vec4<f32>(0.0), fresh);
        for (var k = 0u; k < depth; k++) {
            total += left_of(a, i / 4u, k) * right_of(b, k, i % 4u);
        }
        held[at] = total;
        at++;
    }
    return Sum(handle);
}

fn put_sum(sum: Sum, at: u32) {
    let fresh = sum.handle == 0u;
    let lanes = subgroupAdd(1u);
    var own = 8u * max(sum.handle, 1u) - 8u;
    for (var i = subgroupExclusiveAdd(1u); i < 64u; i += lanes) {
        sums[at + i] = select(held[own], vec4<f32>(0.0), fresh);
        own++;
    }
}
