#import nt_xent/tile

// w_ij (backward.wgsl) of one column and four anchors, 0 where it is none of theirs.
fn weight(
    s: vec4<f32>,
    tag: vec4<u32>,
    pair: vec4<u32>,
    lse: vec4<f32>,
    column: u32,
    column_tag: u32,
    column_lse: f32,
) -> vec4<f32> {
    let is_pair = pair == vec4(column);
    let kept = (tag != vec4(NONE)) & vec4(column_tag != NONE);
    let allowed = kept & ((tag != vec4(column_tag)) | is_pair);
    let positive = select(vec4(0.0), vec4(1.0), is_pair);
    let value = (exp(s - lse) - positive) + (exp(s - column_lse) - positive);
    return select(vec4(0.0), value, allowed);
}
