// Which rows count: all, or those whose `valid` is not 0. The importing shader declares `valid` and Params with
// `has_valid`.
fn counts(row: u32) -> bool {
    return p.has_valid == 0u || valid[row] != 0.0;
}
