// Rows and their similarities, for the plain rung.
#import nt_xent/params

fn z(row: u32, c: u32) -> f32 {
    if (row < p.pairs) {
        return a[row * p.features + c];
    }
    return b[(row - p.pairs) * p.features + c];
}

fn similarity(i: u32, j: u32) -> f32 {
    var s = 0.0;
    for (var c = 0u; c < p.features; c++) {
        s += z(i, c) * z(j, c);
    }
    return s * p.inverse_tau;
}

fn kept(pair: u32) -> bool {
    if (p.has_valid == 0u) {
        return true;
    }
    return valid[pair] != 0.0;
}
