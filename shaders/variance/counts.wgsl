// Whether a row counts: all do where per = 0, else those whose `valid` is not 0, one value for `per` rows.
// The importing shader declares `valid` and Params with `per`.
fn counts(row: u32) -> bool {
    if (p.per == 0u) {
        return true;
    }
    return valid[row / p.per] != 0.0;
}
