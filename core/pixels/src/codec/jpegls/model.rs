//! What the codec knows of an image: its parameters, and for each context what was learnt so far (ITU-T T.87 A.2 to A.6).

use super::super::CodecError;
use super::bits::Bits;

/// Contexts of the regular mode; two more are for the ends of runs.
const CONTEXTS: usize = 365;

/// The order of run lengths, as a power of two (A.2.1).
pub(super) const RUN: [u32; 32] =
    [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15];

/// What holds for a whole scan.
#[derive(Debug)]
pub(super) struct Parameters {
    /// The largest sample.
    most: i32,
    /// How far from the truth a sample may be.
    pub(super) near: i32,
    /// By how much two neighbouring values of a difference differ: 2 NEAR + 1.
    step: i32,
    /// How many differences there are.
    range: i32,
    /// Bits of a difference.
    wide: u32,
    /// The longest code.
    limit: u32,
    /// Where gradients are told apart.
    thresholds: [i32; 3],
    /// After how many samples what was learnt counts half.
    reset: i32,
}

impl Parameters {
    /// From the precision and the preset coding parameters, if there are any (C.2.4.1.1).
    pub(super) fn new(precision: u32, near: i32, preset: Option<[i32; 5]>) -> Option<Self> {
        let [most, t1, t2, t3, reset] = preset.unwrap_or_default();
        let full = (1 << precision) - 1;
        let most = if most == 0 { full } else { most };
        if most > full || near > (most / 2).min(255) {
            return None;
        }
        let clamp = |value: i32, least: i32| if value > most || value < least { least } else { value };
        let defaults = if most >= 128 {
            let factor = (most.min(4095) + 128) / 256;
            [factor + 2 + 3 * near, 4 * factor + 3 + 5 * near, 17 * factor + 4 + 7 * near]
        } else {
            let factor = 256 / (most + 1);
            [(3 / factor + 3 * near).max(2), (7 / factor + 5 * near).max(3), (21 / factor + 7 * near).max(4)]
        };
        let or = |given: i32, default: i32, least: i32| if given == 0 { clamp(default, least) } else { given };
        let t1 = or(t1, defaults[0], near + 1);
        let t2 = or(t2, defaults[1], t1);
        let t3 = or(t3, defaults[2], t2);
        let reset = if reset == 0 { 64 } else { reset };
        if !(near < t1 && t1 <= t2 && t2 <= t3 && t3 <= most && (3..=255.max(most)).contains(&reset)) {
            return None;
        }
        let step = 2 * near + 1;
        let range = (most + 2 * near) / step + 1;
        let bits_for = |values: i32| 32 - (values - 1).leading_zeros();
        let bits = bits_for(most + 1).max(2);
        Some(Self {
            most,
            near,
            step,
            range,
            wide: bits_for(range),
            limit: 2 * (bits + bits.max(8)),
            thresholds: [t1, t2, t3],
            reset,
        })
    }

    /// A gradient, from −4 to 4 (A.3.3).
    #[inline]
    fn quantized(&self, gradient: i32) -> i32 {
        let [t1, t2, t3] = self.thresholds;
        let size = gradient.abs();
        let quantized = if size <= self.near {
            0
        } else if size < t1 {
            1
        } else if size < t2 {
            2
        } else if size < t3 {
            3
        } else {
            4
        };
        if gradient < 0 { -quantized } else { quantized }
    }

    /// The context of a sample, below zero if it is to be read mirrored; 0 where all is even (A.3.4).
    #[inline]
    pub(super) fn context(&self, around: &Around) -> i32 {
        let Around { left, above, corner, beyond } = *around;
        81 * self.quantized(beyond - above) + 9 * self.quantized(above - corner) + self.quantized(corner - left)
    }

    /// The sample that a prediction and an error give (A.4.5, A.8).
    #[inline]
    fn sample(&self, predicted: i32, error: i32) -> i32 {
        let mut sample = predicted + error * self.step;
        if sample < -self.near {
            sample += self.range * self.step;
        } else if sample > self.most + self.near {
            sample -= self.range * self.step;
        }
        sample.clamp(0, self.most)
    }
}

/// The four samples that are known around the one to come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    pub(super) left: i32,
    pub(super) above: i32,
    /// Above and to the left.
    pub(super) corner: i32,
    /// Above and to the right.
    pub(super) beyond: i32,
}

/// What was learnt in a context: A, B, C and N of the standard.
#[derive(Clone, Copy, Debug)]
struct Context {
    /// Sum of the sizes of errors.
    size: i32,
    /// Sum of errors.
    bias: i32,
    /// What predictions are corrected by.
    correction: i32,
    /// How many samples.
    count: i32,
}

/// All contexts of a scan.
#[derive(Debug)]
pub(super) struct Model<'a> {
    parameters: &'a Parameters,
    contexts: [Context; CONTEXTS + 2],
    /// How many errors at the ends of runs were negative, for each of the two contexts.
    negative: [i32; 2],
}

impl<'a> Model<'a> {
    pub(super) fn new(parameters: &'a Parameters) -> Self {
        let size = ((parameters.range + 32) / 64).max(2);
        let context = Context { size, bias: 0, correction: 0, count: 1 };
        Self { parameters, contexts: [context; CONTEXTS + 2], negative: [0; 2] }
    }

    /// A sample of the regular mode, in a context that [`Parameters::context`] gave (A.4 to A.6).
    #[inline]
    pub(super) fn regular(&mut self, bits: &mut Bits<'_>, around: &Around, context: i32) -> Result<i32, CodecError> {
        let parameters = self.parameters;
        let sign = if context < 0 { -1 } else { 1 };
        let index = usize::try_from(context.unsigned_abs()).unwrap_or(0).min(CONTEXTS - 1);
        let learnt = &mut self.contexts[index];
        let Around { left, above, corner, .. } = *around;
        let (low, high) = (left.min(above), left.max(above));
        // The median of the two neighbours and of the plane through all three.
        let edge = (left + above - corner).clamp(low, high);
        let predicted = (edge + sign * learnt.correction).clamp(0, parameters.most);
        let k = learnt.golomb(learnt.size)?;
        let coded = i32::try_from(bits.golomb(k, parameters.limit, parameters.wide)?)
            .map_err(|_| super::damaged("a difference is too large"))?;
        let halved = coded >> 1;
        let mut error = if coded & 1 == 0 { halved } else { -halved - 1 };
        if parameters.near == 0 && k == 0 && 2 * learnt.bias <= -learnt.count {
            error = -error - 1;
        }
        learnt.learn(error, parameters)?;
        Ok(parameters.sample(predicted, sign * error))
    }

    /// The sample that ends a run (A.7.2). Where components are interleaved by samples, `alike` is always false.
    pub(super) fn end_of_run(
        &mut self,
        bits: &mut Bits<'_>,
        left: i32,
        above: i32,
        alike: bool,
        order: u32,
    ) -> Result<i32, CodecError> {
        let parameters = self.parameters;
        let kind = usize::from(alike);
        let (learnt, negative) = (&mut self.contexts[CONTEXTS + kind], &mut self.negative[kind]);
        let predicted = if alike { left } else { above };
        let sign = if !alike && left > above { -1 } else { 1 };
        let k = learnt.golomb(if alike { learnt.size + (learnt.count >> 1) } else { learnt.size })?;
        let coded = bits.golomb(k, parameters.limit - order - 1, parameters.wide)?;
        let alike = i32::from(alike);
        let coded = i32::try_from(coded).map_err(|_| super::damaged("a difference is too large"))?;
        // Twice the size of the error, of which the lowest bit tells the sign.
        let twice = coded + alike;
        let size = (twice + (twice & 1)) / 2;
        let mostly_positive = k == 0 && 2 * *negative < learnt.count;
        let is_negative = (twice & 1 == 1) != mostly_positive;
        let error = if is_negative { -size } else { size };
        if error < 0 {
            *negative += 1;
        }
        learnt.size += (coded + 1 - alike) >> 1;
        if learnt.count == parameters.reset {
            learnt.size >>= 1;
            learnt.count >>= 1;
            *negative >>= 1;
        }
        learnt.count += 1;
        Ok(parameters.sample(predicted, sign * error))
    }
}

impl Context {
    /// The order of the Golomb code (A.5.1).
    #[inline]
    fn golomb(&self, size: i32) -> Result<u32, CodecError> {
        // Of a sane image, sizes stay below 2¹⁶ times the reset.
        (0..24).find(|k| self.count << k >= size).ok_or_else(|| super::damaged("its differences are too large"))
    }

    /// A.6.
    #[inline]
    fn learn(&mut self, error: i32, parameters: &Parameters) -> Result<(), CodecError> {
        // A difference has no more bits than the range: what is beyond is not of this image.
        if error.abs() > parameters.range {
            return Err(super::damaged("a difference is too large"));
        }
        self.bias += error * parameters.step;
        self.size += error.abs();
        if self.count == parameters.reset {
            self.size >>= 1;
            self.bias >>= 1;
            self.count >>= 1;
        }
        self.count += 1;
        if self.bias <= -self.count {
            self.bias = (self.bias + self.count).max(1 - self.count);
            self.correction = (self.correction - 1).max(-128);
        } else if self.bias > 0 {
            self.bias = (self.bias - self.count).min(0);
            self.correction = (self.correction + 1).min(127);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_standard() {
        let of = |precision, near| Parameters::new(precision, near, None).unwrap();
        assert_eq!((of(8, 0).thresholds, of(8, 0).range, of(8, 0).wide, of(8, 0).limit), ([3, 7, 21], 256, 8, 32));
        assert_eq!(of(12, 0).thresholds, [18, 67, 276]);
        assert_eq!((of(16, 0).thresholds, of(16, 0).limit), ([18, 67, 276], 64));
        assert_eq!((of(8, 2).thresholds, of(8, 2).range), ([9, 17, 35], 52));
        assert!(Parameters::new(8, 128, None).is_none());
        assert!(Parameters::new(8, 0, Some([255, 9, 8, 7, 0])).is_none());
    }
}
