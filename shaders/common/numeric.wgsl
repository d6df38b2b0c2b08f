// WGSL has no infinity and drivers may assume that none occurs: the lowest finite f32 stands for
// "nothing yet" in a running maximum.
const LOWEST: f32 = -3.4028234e38;
