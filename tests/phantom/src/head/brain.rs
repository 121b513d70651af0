//! The brain: a folded cortex on white matter, with nuclei and ventricles inside; stem and cerebellum below.

use super::super::noise::smooth;
use super::super::solid::{Point, length, minus, within};
use super::{Head, LESION, MIDDLE_FOSSA, POSTERIOR_FOSSA, Tissue, VAULT};

/// How thick the cortex is.
const CORTEX: f64 = 2.9;
/// Between the brain and its skull.
const GAP: f64 = 2.0;
/// No point of the cerebrum, or of the cerebellum, lies outside of these.
const CEREBRUM: [Point; 2] = [[-68.0, -86.0, -49.0], [68.0, 86.0, 84.0]];
const CEREBELLUM: [Point; 2] = [[-52.0, 14.0, -66.0], [52.0, 80.0, -8.0]];

pub(super) fn paint(head: &mut Head) {
    head.cavity(Tissue::Dura, 0.4);
    head.cavity(Tissue::Csf, -0.4);
    head.petrous();
    head.other(&[(Tissue::Grey, 0.0), (Tissue::White, CORTEX)], cerebrum, CEREBRUM);
    head.other(&[(Tissue::Dura, 0.0)], falx, [[-2.0, -86.0, -20.0], [2.0, 86.0, 84.0]]);
    nuclei(head);
    ventricles(head);
    stem(head);
    head.other(&[(Tissue::Grey, 0.0), (Tissue::White, 4.6)], cerebellum, CEREBELLUM);
    head.ellipsoid(Tissue::Csf, [0.0, 29.0, -36.0], [7.0, 5.0, 9.0]);
    damage(head);
}

/// The cerebrum without its grooves, and whatever it is that lies below it.
fn hull(point: Point) -> f64 {
    let side = if point[0] < 0.0 { -1.0 } else { 1.0 };
    let [x, y, z] = MIDDLE_FOSSA[0];
    let temporal = within(minus(point, [side * x, y, z]), MIDDLE_FOSSA[1]);
    let vault = within(minus(point, VAULT[0]), VAULT[1]);
    let tent = point[2] - tent(point);
    let above = if point[1] > 14.0 { tent } else { tent.max(14.0 - point[1]) };
    vault.max(temporal).min(above) - GAP
}

/// How high the tent over the cerebellum hangs: it rises towards the middle.
fn tent([x, y, _]: Point) -> f64 {
    -13.0 - (length([x, (y - 26.0) * 0.62, 0.0]) - 12.0).max(0.0) * 0.36
}

/// How deep a point lies in the folded cerebrum.
fn cerebrum(point: Point) -> f64 {
    let hull = hull(point);
    if hull < -4.0 {
        return hull;
    }
    let [x, y, z] = point;
    // Between the hemispheres, but not where the callosum joins them.
    let callosum = 1.0 - length([0.0, (y - 2.0) / 40.0, (z - 9.0) / 22.0]);
    let between = (x.abs() - 1.6 + (0.6 * smooth([0.0, y / 14.0, z / 14.0]))).max(callosum * 24.0);
    // The fissure above the temporal lobe, in to the island.
    let up = z + 3.0 - (y + 8.0) * 0.42 + 2.5 * smooth([x / 12.0, y / 12.0, 5.0]);
    let along = ((y + 8.0) / 32.0).abs();
    let sylvian =
        (up.abs() * 0.9 - 0.4 - (x.abs() - 37.0).max(0.0) * 0.07).max(37.0 - x.abs()).max((along - 1.0) * 30.0);
    hull.min(between).min(sylvian).min(groove(point, hull.min(between + 3.0).min(sylvian + 3.0)))
}

/// How far a point lies from the nearest groove that goes down from the surface.
fn groove([x, y, z]: Point, depth: f64) -> f64 {
    let side = if x < 0.0 { -1.0 } else { 1.0 };
    let from = [x - side * 30.0, y - 2.0, z - 14.0];
    let reach = length([from[0] / 38.0, from[1] / 84.0, from[2] / 68.0]).max(0.66);
    // On its way in a groove nearly keeps its place on the surface, so that it goes straight. The sides are not alike.
    let at = from.map(|from| from / (reach * 8.4) + side * 9.0 + reach * 1.3);
    let level = smooth(at) + 0.28 * smooth(at.map(|at| at * 2.1 + 31.0));
    let sheet = level.abs() * 10.0;
    let floor = 13.0 + 7.0 * smooth(at.map(|at| at * 0.8 + 70.0));
    // Wider at the surface.
    let half = 0.3 + 0.7 * (1.0 - depth / floor).clamp(0.0, 1.0);
    (sheet - half).max(depth - floor)
}

fn falx([x, y, z]: Point) -> f64 {
    let inside = within(minus([0.0, y, z], VAULT[0]), VAULT[1]);
    let callosum = 1.0 - length([0.0, (y - 2.0) / 52.0, (z - 4.0) / 40.0]);
    (0.7 - x.abs()).min(inside).min(-callosum * 30.0).min(z + 18.0)
}

/// Two hemispheres and a worm, in thin leaves.
fn cerebellum(point: Point) -> f64 {
    let [x, y, z] = point;
    let fossa = within(minus(point, POSTERIOR_FOSSA[0]), POSTERIOR_FOSSA[1]) - GAP - 0.5;
    let side = if x < 0.0 { -1.0 } else { 1.0 };
    let half = within(minus(point, [side * 24.0, 43.0, -37.0]), [29.0, 33.0, 28.0]);
    let worm = within(minus(point, [0.0, 50.0, -34.0]), [12.0, 26.0, 27.0]);
    // The cerebrum ends where the vault does.
    let outside = -within(minus(point, VAULT[0]), VAULT[1]) - GAP;
    let tent = (tent(point) - z).max(outside);
    let depth = fossa.min(half.max(worm)).min(tent);
    if depth < -4.0 {
        return depth;
    }
    let from = [x * 0.55, y - 22.0, (z + 30.0) * 1.1];
    let level = length(from) / 4.4 + 0.7 * smooth([x / 16.0, y / 16.0, z / 16.0]);
    let leaf = ((level - level.floor()) - 0.5).abs() * 4.4;
    depth.min((leaf - 0.35).max((depth - 9.0) * 0.8))
}

fn nuclei(head: &mut Head) {
    // White matter where no groove may go, and in it what lies deep.
    head.ellipsoids(Tissue::White, [20.0, -4.0, 8.0], [19.0, 34.0, 20.0]);
    head.ellipsoid(Tissue::White, [0.0, -24.0, 10.0], [12.0, 7.0, 11.0]);
    head.ellipsoid(Tissue::White, [0.0, 34.0, 12.0], [14.0, 7.0, 9.0]);
    head.ellipsoid(Tissue::White, [0.0, 4.0, 24.0], [14.0, 34.0, 5.0]);
    head.ellipsoids(Tissue::Nuclei, [14.0, -20.0, 11.0], [6.0, 9.0, 9.0]);
    head.chains(Tissue::Nuclei, &[[17.0, -14.0, 18.0], [19.0, 8.0, 22.0], [21.0, 22.0, 18.0]], 2.6);
    head.chains(Tissue::Nuclei, &[[22.0, -20.0, 7.0], [28.0, -8.0, 6.0], [29.5, 4.0, 5.0], [28.0, 10.0, 5.0]], 4.6);
    head.chains(Tissue::White, &[[20.0, -14.0, 5.0], [24.4, -5.0, 4.0], [25.4, 4.0, 4.0]], 3.4);
    head.chains(Tissue::Nuclei, &[[18.6, -9.0, 4.0], [21.0, -3.0, 3.0], [22.4, 2.0, 3.0]], 3.6);
    head.ellipsoids(Tissue::Nuclei, [11.0, 11.0, 8.0], [8.0, 14.0, 8.5]);
    head.chains(Tissue::Nuclei, &[[10.0, 4.0, 9.0], [13.0, 16.0, 8.0]], 6.4);
    // The thin claustrum, outside the putamen.
    head.chains(Tissue::Nuclei, &[[33.6, -16.0, 5.0], [36.0, -4.0, 5.0], [35.4, 8.0, 6.0]], 0.8);
}

fn ventricles(head: &mut Head) {
    let front = [[7.0, -31.0, 11.0], [9.0, -18.0, 17.0], [11.0, -2.0, 20.0]];
    let body = [[11.0, -2.0, 20.0], [14.0, 18.0, 20.0], [21.0, 33.0, 12.0]];
    head.chains(Tissue::Csf, &front, 4.6);
    head.chains(Tissue::Csf, &body, 5.0);
    head.chains(Tissue::Csf, &[[22.0, 34.0, 10.0], [25.0, 42.0, 7.0]], 6.6);
    head.chains(Tissue::Csf, &[[25.0, 42.0, 7.0], [20.0, 60.0, 5.0]], 3.2);
    head.chains(Tissue::Csf, &[[25.0, 38.0, 3.0], [32.0, 20.0, -14.0], [31.0, -6.0, -24.0]], 2.6);
    // What parts them in front, and the callosum in front of that.
    head.other(&[(Tissue::White, 0.0)], septum, [[-2.0, -34.0, 4.0], [2.0, 16.0, 28.0]]);
    // The third, and the cisterns around the midbrain.
    head.ellipsoid(Tissue::Csf, [0.0, 3.0, 2.0], [2.4, 17.0, 11.0]);
    head.ellipsoid(Tissue::Csf, [0.0, -14.0, -20.0], [11.0, 9.0, 6.0]);
    head.ellipsoid(Tissue::Csf, [0.0, 25.0, -8.0], [8.0, 4.0, 7.0]);
    head.chains(Tissue::Csf, &[[8.0, 24.0, -9.0], [16.0, 14.0, -13.0], [15.0, -2.0, -17.0]], 2.0);
    head.ellipsoids(Tissue::Calcium, [24.0, 37.0, 9.0], [2.2, 4.0, 2.6]);
    head.ellipsoid(Tissue::Nuclei, [0.0, 22.0, 3.0], [3.6, 4.4, 3.0]);
    head.ellipsoid(Tissue::Calcium, [0.0, 22.5, 3.0], [1.7, 2.0, 1.6]);
}

fn septum([x, y, z]: Point) -> f64 {
    let callosum = within([0.0, y + 8.0, z - 15.0], [1.0, 24.0, 12.0]);
    (0.8 - x.abs()).min(callosum)
}

fn stem(head: &mut Head) {
    // The cisterns around it.
    head.ellipsoid(Tissue::Csf, [0.0, 1.0, -38.0], [18.0, 12.0, 20.0]);
    head.rod(Tissue::Csf, [0.0, 16.0, -50.0], [0.0, 26.0, -220.0], 10.0);
    head.ellipsoids(Tissue::White, [9.0, 3.0, -13.0], [7.0, 9.0, 8.0]);
    head.ellipsoid(Tissue::Nuclei, [0.0, 11.0, -13.0], [13.0, 9.0, 9.0]);
    head.ellipsoids(Tissue::White, [9.5, 1.0, -13.0], [5.4, 6.5, 8.0]);
    head.rod(Tissue::White, [0.0, 11.0, -18.0], [0.0, 18.0, -60.0], 9.0);
    head.ellipsoid(Tissue::White, [0.0, 8.0, -34.0], [16.0, 13.0, 13.0]);
    // The stalks of the cerebellum.
    head.rods(Tissue::White, [12.0, 14.0, -35.0], [22.0, 34.0, -36.0], 6.4);
    head.rod(Tissue::White, [0.0, 18.0, -58.0], [0.0, 26.0, -220.0], 5.6);
    head.ellipsoid(Tissue::Csf, [0.0, 20.0, -13.0], [1.1, 1.4, 9.0]);
}

fn damage(head: &mut Head) {
    head.ellipsoid(Tissue::Lesion, LESION[0], LESION[1]);
    for [x, y, z] in [[24.0, -30.0, 22.0], [-27.0, -26.0, 26.0], [-30.0, 22.0, 30.0], [-25.0, 2.0, 36.0]] {
        head.ellipsoid(Tissue::Spot, [x, y, z], [2.2, 3.0, 2.0]);
    }
}
