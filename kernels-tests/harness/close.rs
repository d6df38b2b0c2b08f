use crate::reference::Out;

/// Compares with an earned tolerance: per element `4 eps depth mag`, where `depth` is the number of
/// roundings on the way and `mag` the sum of the magnitudes of the terms. Returns the worst
/// error / allowance.
///
/// # Errors
/// The first faults with index, both values and the allowance; another length; a value that is not
/// finite; a reference that is not finite.
pub fn close(name: &str, got: &[f32], want: &Out, depth: f64) -> Result<f64, String> {
    if got.len() != want.value.len() || want.mag.len() != want.value.len() {
        return Err(format!("{name}: {} values, expected {}", got.len(), want.value.len()));
    }
    let mut worst = 0f64;
    let mut faults = Vec::new();
    for (i, ((got, want), mag)) in got.iter().zip(&want.value).zip(&want.mag).enumerate() {
        if !want.is_finite() || !mag.is_finite() {
            return Err(format!("{name}[{i}]: the reference is {want}, magnitude {mag}"));
        }
        // The floor is the smallest normal f32: results below it may be flushed to zero.
        let allowed = 4.0 * f64::from(f32::EPSILON) * depth * mag + f64::from(f32::MIN_POSITIVE);
        let error = (f64::from(*got) - want).abs();
        // Written so that NaN fails.
        if !(error <= allowed) {
            faults.push(format!("  [{i}] got {got}, want {want}, allowed {allowed:.3e}"));
        }
        worst = worst.max(error / allowed);
    }
    if faults.is_empty() {
        return Ok(worst);
    }
    let count = faults.len();
    faults.truncate(5);
    Err(format!("{name}: {count} of {} values are off\n{}", got.len(), faults.join("\n")))
}

#[cfg(test)]
mod tests {
    use super::close;
    use crate::harness::{fill, wide};
    use crate::reference::Out;

    fn reference(values: &[f32]) -> Out {
        Out { value: wide(values), mag: wide(values).iter().map(|v| v.abs()).collect() }
    }

    #[test]
    fn accepts_the_same_and_the_last_bit() {
        let values = fill(35, 1);
        assert!(close("same", &values, &reference(&values), 1.0).is_ok());
        let near: Vec<f32> = values.iter().map(|v| v * (1.0 + f32::EPSILON)).collect();
        assert!(close("last bit", &near, &reference(&values), 1.0).is_ok());
    }

    #[test]
    fn rejects_what_a_broken_kernel_gives() {
        let values = fill(35, 2);
        let want = reference(&values);
        let reject = |what: &str, got: &[f32]| {
            assert!(close(what, got, &want, 1.0).is_err(), "{what} was accepted");
        };
        let changed = |at: usize, to: f32| {
            let mut v = values.clone();
            v[at] = to;
            v
        };
        reject("wrong value", &changed(34, values[34] + 1e-5));
        reject("NaN", &changed(7, f32::NAN));
        reject("infinity", &changed(0, f32::INFINITY));
        reject("unwritten", &[f32::from_bits(u32::MAX); 35]);
        reject("zeros", &[0.0; 35]);
        reject("shorter", &values[..34]);
        reject("sign", &values.iter().map(|v| -v).collect::<Vec<_>>());
        let swapped: Vec<f32> = (0..35).map(|i| values[i % 5 * 7 + i / 5]).collect();
        reject("swapped axes", &swapped);
        let nan = Out { value: vec![f64::NAN], mag: vec![1.0] };
        assert!(close("NaN reference", &[1.0], &nan, 1.0).is_err());
    }
}
