/// The scale and the steps since it changed, after a step (`torch.amp.GradScaler.update`, with bounds).
pub fn update([scale, steps]: [f64; 2], finite: bool, interval: f64) -> [f64; 2] {
    match finite {
        false => [(scale / 2.0).max(1.0), 0.0],
        true if steps + 1.0 >= interval => [(scale * 2.0).min(16_777_216.0), 0.0],
        true => [scale, steps + 1.0],
    }
}
