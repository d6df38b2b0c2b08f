use crate::harness::{close, fill, gpu, run, wide};
use crate::reference::activation as reference;
use anomem::ops::activation::relu;

#[test]
fn relu_matches_the_reference() {
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        let shapes: [&[usize]; 7] =
            [&[1], &[63], &[64], &[65], &[2, 3, 5, 7], &[4, 4, 4, 4], &[65_535 * 64 + 1]];
        for shape in shapes {
            let len = shape.iter().product();
            let (mut x, g) = (fill(len, 1), fill(len, 2));
            x[len / 2] = 0.0;
            let (y, grads) = run(gpu, &[(shape, &x)], &g, |t, v| relu(t, v[0])).unwrap();
            close("y", &y, &reference::relu(&wide(&x)), 1.0).unwrap();
            let want = reference::relu_backward(&wide(&x), &wide(&g));
            let worst = close("grad_x", &grads[0], &want, 1.0).unwrap();
            println!("relu {shape:?}: worst {worst:.3} of the allowance");
        }
    }
}
