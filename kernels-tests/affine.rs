use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::affine as reference;
use anomem::ops::affine::affine;

#[test]
fn matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let shapes: [&[usize]; 6] = [&[1], &[63], &[64], &[65], &[2, 3, 5, 7], &[65_535 * 64 + 1]];
        for shape in shapes {
            let len = shape.iter().product();
            let (x, g) = (fill(len, 1), fill(len, 2));
            let (y, grads) =
                run(gpu, &[(shape, &x)], &g, |t, v| affine(t, v[0], -1.7, 0.3)).unwrap();
            let (factor, offset) = (f64::from(-1.7_f32), f64::from(0.3_f32));
            let worst =
                close("y", &y, &reference::forward(&wide(&x), factor, offset), 2.0).unwrap();
            let want = reference::forward(&wide(&g), factor, 0.0);
            close("grad_x", &grads[0], &want, 2.0).unwrap();
            println!("affine {shape:?}: worst {worst:.3} of the allowance");
        }
    }
}
