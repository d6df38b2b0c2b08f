use crate::harness::{Input, gpu, run_case, variants};
use crate::reference::augment::{philox, uniform01};
use crate::reference::rotation as reference;
use anomem::ops::rotation::{draw, turn};

fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |c: &[u8]| c.iter().rev().fold(0, |word, byte| word << 8 | u32::from(*byte));
    bytes.chunks(4).map(word).collect()
}

#[test]
fn images_turn_to_the_byte() {
    let slots = [2, 0, 1, 2, 2];
    let turns = [0, 1, 2, 3, 1];
    for default_limits in [false, true] {
        let Some(gpu) = gpu(default_limits) else { return };
        for (side, channels) in [(1, 1), (3, 1), (5, 3), (8, 3), (7, 1)] {
            let shape = [3, side, side, channels];
            let len = side * side * channels;
            let bytes: Vec<u8> = (0..3 * len).map(|i| (i * 37 + i / 7) as u8).collect();
            let want: Vec<u8> = slots
                .iter()
                .zip(turns)
                .flat_map(|(slot, times)| {
                    let image = &bytes[*slot as usize * len..][..len];
                    reference::turned(image, side, channels, times)
                })
                .collect();
            let stored = words(&bytes);
            let inputs = [
                Input::Integers(&[stored.len()], &stored),
                Input::Integers(&[5], &slots),
                Input::Integers(&[5], &turns),
            ];
            for variant in variants(gpu) {
                let out = run_case(gpu, variant, &inputs, &[&[]], |t, v| {
                    Ok(vec![turn(t, v[0], shape, v[1], v[2])?])
                });
                let got: Vec<u32> = out.unwrap().outputs[0].iter().map(|v| v.to_bits()).collect();
                assert_eq!(got, words(&want), "side {side}, {channels} channels");
            }
        }
    }
}

#[test]
fn chosen_images_turn_and_others_do_not() {
    let Some(gpu) = gpu(false) else { return };
    let counters = [5, 9, 17, 0];
    let ids: Vec<u32> = (0..300).map(|i| i * 13).collect();
    let chosen: Vec<f32> = (0..300).map(|i| f32::from(i % 3 != 0)).collect();
    let inputs = [
        Input::Integers(&[4], &counters),
        Input::Integers(&[300], &ids),
        Input::Constant(&[300], &chosen),
    ];
    for variant in variants(gpu) {
        let out =
            run_case(gpu, variant, &inputs, &[&[]], |t, v| Ok(vec![draw(t, v[0], v[1], v[2])?]));
        let turns: Vec<u32> = out.unwrap().outputs[0].iter().map(|v| v.to_bits()).collect();
        let want: Vec<u32> = ids
            .iter()
            .zip(&chosen)
            .map(|(id, chosen)| {
                let word = philox([5, 9], [*id, 0, 17, 0x5455_524E])[0];
                if *chosen == 0.0 { 0 } else { 1 + (3.0 * uniform01(word)) as u32 }
            })
            .collect();
        assert_eq!(turns, want);
        for k in 1..=3 {
            let count = turns.iter().filter(|t| **t == k).count();
            assert!((40..=95).contains(&count), "{count} of 200 turned {k} times");
        }
    }
}

#[test]
fn wrong_shapes_are_refused() {
    let Some(gpu) = gpu(false) else { return };
    let six = [0_u32; 6];
    let inputs = [Input::Integers(&[6], &six), Input::Integers(&[1], &six[..1])];
    for variant in variants(gpu) {
        let refused = run_case(gpu, variant, &inputs, &[&[]], |t, v| {
            Ok(vec![turn(t, v[0], [1, 4, 6, 1], v[1], v[1])?])
        });
        let message = refused.err().unwrap().to_string();
        assert!(message.contains("rotation.turn") && message.contains("squares"), "{message}");
    }
}
