// Fragments: matrices of 16 x 16 that the invocations of a subgroup hold together and multiply in one instruction. Here
// is all that kernels do with them: kernels-tests/fragments.wgsl does the same where a GPU lacks the instruction.
// Only whole subgroups may call. The kernel declares `left`, `right` and `sums`, arrays of quads in workgroup memory;
// `stride` is in quads, and a line of `sums` has 4.
enable f16;
enable wgpu_cooperative_matrix;

alias Left = coop_mat16x16<f16, A>; // [rows, k]
alias Right = coop_mat16x16<f16, B>; // [k, columns]
alias Sum = coop_mat16x16<f32, C>; // [rows, columns]

// How many of `bands` parts of a tile are computed at a time, by a subgroup each.
fn bands_at_once(subgroups: u32, bands: u32) -> u32 {
    return min(subgroups, bands);
}

// From lines of k, one for each row.
fn left_by_row(at: u32, stride: u32) -> Left {
    return coopLoadT<Left>(&left[at], stride);
}

// From lines of rows, one for each k.
fn left_by_column(at: u32, stride: u32) -> Left {
    return coopLoad<Left>(&left[at], stride);
}

// From lines of columns, one for each k.
fn right_by_row(at: u32, stride: u32) -> Right {
    return coopLoadT<Right>(&right[at], stride);
}

// From lines of k, one for each column.
fn right_by_column(at: u32, stride: u32) -> Right {
    return coopLoad<Right>(&right[at], stride);
}

fn multiply_add(a: Left, b: Right, sum: Sum) -> Sum {
    return coopMultiplyAdd(a, b, sum);
}

fn put_sum(sum: Sum, at: u32) {
    coopStoreT(sum, &sums[at], 4u);
}
