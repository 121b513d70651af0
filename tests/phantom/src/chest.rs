//! The chest, in Hounsfield units: lungs, heart and vessels in a cage of ribs, with a spine and two clavicles.

use super::solid::{Painting, Point, length, minus, within};

const AIR: f64 = -1000.0;
const LUNG: f64 = -850.0;
const FAT: f64 = -100.0;
const WATER: f64 = 15.0;
const MUSCLE: f64 = 50.0;
const LIVER: f64 = 70.0;
const BLOOD: f64 = 140.0;
const MARROW: f64 = 220.0;
const CORTEX: f64 = 850.0;

const RIB_STEP: f64 = 24.0;
const LOWEST_RIB: f64 = -168.0;
const HIGHEST_RIB: f64 = 72.0;
/// How much a rib falls from the middle outwards, and from back to front.
const RIB_FALL: [f64; 2] = [0.25, 0.35];
/// Where it ends in front, and cartilage begins.
const RIB_END: f64 = -62.0;

/// Less than nothing, by the distance to the nearest rib: a ring around the chest, open in front, that narrows towards the neck.
fn ribs(point: Point) -> f64 {
    let [x, y, z] = minus(point, [0.0, 8.0, 0.0]);
    let level = z - RIB_FALL[1] * y + RIB_FALL[0] * x.abs();
    let rib = ((level / RIB_STEP).round() * RIB_STEP).clamp(LOWEST_RIB, HIGHEST_RIB);
    let height = ((rib + 50.0) / 240.0).max(0.0);
    let taper = (1.0 - height * height).sqrt();
    let in_front = (RIB_END - y).max(0.0);
    // A rib is about twice as high as it is thick.
    -length([within([x, y, 0.0], [137.0 * taper, 88.0 * taper, 1.0]), (level - rib) * 0.55, in_front])
}

/// The whole chest, with edges `edge` millimetres soft.
pub(super) fn painted(edge: f64) -> Painting {
    let mut body = Painting::new(AIR, edge);
    soft_tissue(&mut body);
    lungs(&mut body);
    vessels(&mut body);
    bones(&mut body);
    body
}

fn soft_tissue(body: &mut Painting) {
    for (tissue, skin) in [(FAT, 0.0), (MUSCLE, 14.0)] {
        body.ellipsoid(tissue, [0.0, 8.0, -80.0], [166.0 - skin, 116.0 - skin, 330.0 - skin]);
        body.rods(tissue, [0.0, 16.0, 92.0], [130.0, 20.0, 84.0], 58.0 - skin);
        body.rod(tissue, [0.0, 18.0, 60.0], [0.0, 4.0, 300.0], 62.0 - skin / 2.0);
    }
}

fn lungs(body: &mut Painting) {
    for side in [-1.0, 1.0] {
        body.ellipsoid(LUNG, [side * 64.0, 8.0, -40.0], [50.0, 70.0, 160.0]);
        body.ellipsoid(LUNG, [side * 72.0, 12.0, -80.0], [51.0, 66.0, 120.0]);
    }
    // The diaphragm: the liver stands higher than the spleen.
    body.ellipsoid(LIVER, [-66.0, 6.0, -158.0], [74.0, 82.0, 78.0]);
    body.ellipsoid(MUSCLE, [68.0, 10.0, -166.0], [66.0, 80.0, 68.0]);
    // The windpipe and its two branches.
    body.rod(MUSCLE, [0.0, 8.0, 20.0], [0.0, -2.0, 300.0], 16.0);
    body.rod(AIR, [0.0, 12.0, 18.0], [0.0, -2.0, 300.0], 8.5);
    body.rods(MUSCLE, [0.0, 12.0, 18.0], [40.0, 18.0, -14.0], 9.5);
    body.rods(AIR, [0.0, 12.0, 18.0], [40.0, 18.0, -14.0], 6.0);
}

fn vessels(body: &mut Painting) {
    // The heart, more of it on the left, in a sheath of fat; in it a chamber.
    body.ellipsoid(FAT, [20.0, -26.0, -62.0], [66.0, 54.0, 66.0]);
    body.ellipsoid(MUSCLE + 20.0, [22.0, -26.0, -62.0], [61.0, 49.0, 62.0]);
    body.ellipsoid(BLOOD, [38.0, -24.0, -66.0], [32.0, 26.0, 40.0]);
    body.ellipsoid(BLOOD, [-6.0, -34.0, -52.0], [24.0, 24.0, 38.0]);
    // Fat of the mediastinum, and the aorta: up, over, down.
    body.ellipsoid(FAT, [0.0, -30.0, 40.0], [26.0, 42.0, 62.0]);
    for (from, to, radius) in [
        ([2.0, -28.0, -30.0], [-10.0, -30.0, 30.0], 15.0),
        ([-10.0, -30.0, 30.0], [4.0, -12.0, 50.0], 14.0),
        ([4.0, -12.0, 50.0], [22.0, 30.0, 38.0], 13.0),
        ([22.0, 30.0, 38.0], [24.0, 44.0, 10.0], 12.5),
        ([24.0, 44.0, 10.0], [12.0, 46.0, -300.0], 12.0),
        // The pulmonary trunk, the upper vena cava, and what rises from the arch.
        ([20.0, -38.0, -20.0], [18.0, -14.0, 8.0], 13.0),
        ([-30.0, -22.0, -20.0], [-24.0, -24.0, 70.0], 9.0),
        ([-6.0, -22.0, 48.0], [-20.0, -12.0, 140.0], 5.5),
        ([16.0, 4.0, 48.0], [24.0, -8.0, 140.0], 5.0),
    ] {
        body.rod(BLOOD, from, to, radius);
    }
    // In the lungs they branch twice, from the root outwards.
    let root = [36.0, 12.0, -8.0];
    body.rods(BLOOD, [14.0, -8.0, 0.0], root, 9.0);
    for (fork, ends) in [
        ([62.0, -14.0, 22.0], [[82.0, -40.0, 40.0], [96.0, -14.0, 28.0], [70.0, -10.0, 74.0]]),
        ([66.0, 30.0, 20.0], [[92.0, 52.0, 30.0], [74.0, 40.0, 70.0], [104.0, 22.0, 8.0]]),
        ([70.0, 8.0, -36.0], [[106.0, -10.0, -50.0], [96.0, -34.0, -60.0], [104.0, 30.0, -44.0]]),
        ([58.0, 42.0, -42.0], [[70.0, 66.0, -60.0], [94.0, 52.0, -84.0], [62.0, 56.0, -96.0]]),
    ] {
        body.rods(MUSCLE, root, fork, 4.0);
        for end in ends {
            body.rods(MUSCLE, fork, end, 2.4);
        }
    }
}

fn bones(body: &mut Painting) {
    let cage = [[-150.0, RIB_END, -300.0], [150.0, 110.0, 140.0]];
    body.other(vec![(CORTEX, -4.6), (MARROW, -2.4)], ribs, cage);
    spine(body);
    for (tissue, rind) in [(CORTEX, 0.0), (MARROW, 2.4)] {
        // The breastbone, wide and flat: rods side by side.
        for x in [-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0] {
            body.rod(tissue, [x, -92.0, -70.0], [x, -66.0, 66.0], 6.0 - rind);
        }
        // The heads of the upper arms, and the shoulder blades behind the ribs.
        body.rods(tissue, [150.0, 14.0, 84.0], [152.0, 14.0, 82.0], 24.0 - rind);
        for step in 0..9 {
            let down = f64::from(step) * 9.0;
            let inner = [76.0 + down / 8.0, 92.0 - down / 12.0, 84.0 - down];
            let outer = [122.0 - down / 4.0, 52.0 + down / 4.0, 84.0 - down];
            body.rods(tissue, inner, outer, 5.4 - rind);
        }
    }
    collarbones(body);
}

fn spine(body: &mut Painting) {
    // Bodies with discs between them, from below the lowest slice to above the highest.
    body.rod(MUSCLE + 30.0, [0.0, 62.0, -300.0], [0.0, 62.0, 300.0], 16.0);
    for level in -11..=8 {
        let middle = f64::from(level) * 24.0;
        for (tissue, rind) in [(CORTEX - 250.0, 0.0), (MARROW, 2.2)] {
            let half = [21.0 - rind, 16.0 - rind, 10.0 - rind];
            body.column(tissue, [0.0, 62.0, middle], half);
            // The arch behind the cord, and what can be felt through the skin.
            body.rods(tissue, [13.0, 76.0, middle], [3.0, 91.0, middle], 4.6 - rind);
            body.rod(tissue, [0.0, 91.0, middle], [0.0, 100.0, middle - 8.0], 4.6 - rind);
            body.rods(tissue, [14.0, 78.0, middle], [34.0, 86.0, middle + 2.0], 5.0 - rind);
        }
    }
    body.rod(WATER, [0.0, 83.0, -300.0], [0.0, 83.0, 300.0], 8.0);
}

/// The clavicles: from the breastbone outwards, first bowed to the front, then to the back, like an S lying down.
fn collarbones(body: &mut Painting) {
    let corners = [[18.0, -62.0, 80.0], [64.0, -100.0, 84.0], [84.0, -12.0, 92.0], [144.0, -26.0, 92.0]];
    let steps = 16;
    for (tissue, radius) in [(CORTEX + 100.0, 7.5), (MARROW + 120.0, 3.8)] {
        for step in 0..steps {
            let [from, to] = [step, step + 1].map(|step| bezier(&corners, f64::from(step) / f64::from(steps)));
            body.rods(tissue, from, to, radius);
        }
    }
}

/// The point at `share` of a cubic Bézier curve.
fn bezier(corners: &[Point; 4], share: f64) -> Point {
    let rest = 1.0 - share;
    let weights = [rest * rest * rest, 3.0 * rest * rest * share, 3.0 * rest * share * share, share * share * share];
    let mut point = [0.0; 3];
    for (corner, weight) in corners.iter().zip(weights) {
        for (sum, value) in point.iter_mut().zip(corner) {
            *sum += weight * value;
        }
    }
    point
}
