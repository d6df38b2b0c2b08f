// Dispatches are linear. Above 65,535 workgroups the host folds x into y; this undoes it.
fn workgroup_index(id: vec3<u32>, count: vec3<u32>) -> u32 {
    return id.y * count.x + id.x;
}
