//! Chance that is none: noise made of whole numbers, the same wherever it is made.

use super::solid::Point;

/// Stirs all bits of a number into each other.
fn stirred(mut bits: u32) -> u32 {
    bits ^= bits >> 16;
    bits = bits.wrapping_mul(0x7feb_352d);
    bits ^= bits >> 15;
    bits = bits.wrapping_mul(0x846c_a68b);
    bits ^ (bits >> 16)
}

/// One number of several.
pub(super) fn key(parts: &[u64]) -> u32 {
    let halves = parts.iter().flat_map(|part| [part & 0xffff_ffff, part >> 32]);
    halves.fold(0x6a09_e667, |key, half| {
        let half = u32::try_from(half).expect("it is half of the bits");
        stirred(key.rotate_left(5) ^ half.wrapping_mul(0x9e37_79b1))
    })
}

/// Fills `line` with noise that is nearly normal: of mean 0 and deviation 1, and never beyond 3.5.
pub(super) fn fill(key: u32, line: &mut [f32]) {
    let mut place = key;
    for value in line {
        place = place.wrapping_add(0x9e37_79b9);
        let bits = stirred(place);
        // The sum of four evenly spread bytes has a mean of 510, and this deviation.
        let sum = (bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24);
        *value = (sum as f32 - 510.0) * (1.0 / 147.802);
    }
}

/// Smooth noise between -1 and 1 that turns about once per unit.
pub(super) fn smooth(point: Point) -> f64 {
    let floor = point.map(f64::floor);
    // Twice differentiable, so that what is cut along a level of it has no kinks.
    let share = [0, 1, 2].map(|axis| {
        let t = point[axis] - floor[axis];
        t * t * t * (t * (t * 6.0 - 15.0) + 10.0)
    });
    let [x, y, z] = floor.map(|at| (at as i32).cast_unsigned());
    let corner = |dx: u32, dy: u32, dz: u32| {
        let [x, y, z] = [x.wrapping_add(dx), y.wrapping_add(dy), z.wrapping_add(dz)];
        let bits = x.wrapping_mul(0x8da6_b343) ^ y.wrapping_mul(0xd816_3841) ^ z.wrapping_mul(0xcb1a_b31f);
        f64::from(stirred(bits)) * (2.0 / f64::from(u32::MAX)) - 1.0
    };
    let mixed = |a: f64, b: f64, share: f64| a + (b - a) * share;
    let along = |dy, dz| mixed(corner(0, dy, dz), corner(1, dy, dz), share[0]);
    let across = |dz| mixed(along(0, dz), along(1, dz), share[1]);
    mixed(across(0), across(1), share[2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_mean_0_and_deviation_1() {
        let mut line = vec![0.0; 100_000];
        fill(key(&[7, 3]), &mut line);
        let count = line.len() as f64;
        let mean = line.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
        let square = line.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / count;
        assert!(mean.abs() < 0.02, "{mean}");
        assert!((square - 1.0).abs() < 0.02, "{square}");
        assert!(line.iter().all(|value| value.abs() < 3.5));
    }

    #[test]
    fn another_key_makes_other_noise() {
        let keys = [key(&[1, 2]), key(&[2, 1]), key(&[1, 3]), key(&[1 << 32, 2]), key(&[1])];
        assert!((1..keys.len()).all(|place| !keys[..place].contains(&keys[place])), "{keys:?}");
    }

    #[test]
    fn smooth_noise_is_smooth() {
        let steps = (0..4_000).map(|step| f64::from(step) / 100.0 - 20.0);
        let values: Vec<_> = steps.map(|at| smooth([at, at * 0.7, 3.0 - at * 0.4])).collect();
        assert!(values.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 0.06));
        assert!(values.iter().any(|value| *value > 0.4) && values.iter().any(|value| *value < -0.4));
    }
}
