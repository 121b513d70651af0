//! The body of the phantom: simple solids in Hounsfield units, painted one over the other.
//!
//! Millimetres in the patient's axes (DICOM PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the head. Nothing but the four
//! operations and square roots, which every machine rounds alike, so that the same phantom has the same bytes everywhere.

/// A point, or the half axes of an ellipsoid.
type Point = [f64; 3];

const AIR: f64 = -1000.0;
const LUNG: f64 = -850.0;
const FAT: f64 = -100.0;
const WATER: f64 = 15.0;
const MUSCLE: f64 = 50.0;
const LIVER: f64 = 70.0;
const BLOOD: f64 = 140.0;
const MARROW: f64 = 220.0;
const CORTEX: f64 = 850.0;

/// What a part is shaped like.
enum Solid {
    /// All that lies within these half axes of a centre.
    Ellipsoid(Point, Point),
    /// An upright piece of an elliptic column, with the same.
    Column(Point, Point),
    /// All that lies within a radius of the line between two points.
    Rod(Point, Point, f64),
    /// All that lies within a radius of a pair of ribs; they come every [`RIB_STEP`].
    Ribs(f64),
}

const RIB_STEP: f64 = 24.0;
const LOWEST_RIB: f64 = -168.0;
const HIGHEST_RIB: f64 = 72.0;
/// How much a rib falls from the middle outwards, and from back to front.
const RIB_FALL: [f64; 2] = [0.25, 0.35];
/// Where it ends in front, and cartilage begins.
const RIB_END: f64 = -62.0;

/// A solid of one tissue.
struct Part {
    solid: Solid,
    hounsfield: f64,
    /// No point outside of these belongs to it.
    low: Point,
    high: Point,
}

impl Part {
    fn new(solid: Solid, hounsfield: f64) -> Self {
        let bound = |axis: usize| match &solid {
            Solid::Ellipsoid(centre, half) | Solid::Column(centre, half) => {
                (centre[axis] - half[axis], centre[axis] + half[axis])
            }
            Solid::Rod(a, b, radius) => (a[axis].min(b[axis]) - radius, a[axis].max(b[axis]) + radius),
            Solid::Ribs(_) => [(-150.0, 150.0), (RIB_END, 110.0), (-300.0, 140.0)][axis],
        };
        let [x, y, z] = [bound(0), bound(1), bound(2)];
        Self { solid, hounsfield, low: [x.0, y.0, z.0], high: [x.1, y.1, z.1] }
    }

    /// Whether a plane lies near enough to show any of it.
    fn reaches(&self, axis: usize, at: f64, edge: f64) -> bool {
        at > self.low[axis] - edge && at < self.high[axis] + edge
    }

    /// How deep inside the point lies, in millimetres; near the surface, which is where it matters.
    fn depth(&self, point: Point) -> f64 {
        match &self.solid {
            Solid::Ellipsoid(centre, half) => within(minus(point, *centre), *half),
            Solid::Column(centre, [wide, deep, high]) => {
                let [x, y, z] = minus(point, *centre);
                within([x, y, 0.0], [*wide, *deep, *high]).min(high - z.abs())
            }
            Solid::Rod(a, b, radius) => {
                let (along, from) = (minus(*b, *a), minus(point, *a));
                let share = (dot(from, along) / dot(along, along)).clamp(0.0, 1.0);
                let nearest = [along[0] * share, along[1] * share, along[2] * share];
                radius - length(minus(from, nearest))
            }
            Solid::Ribs(radius) => radius - to_rib(minus(point, [0.0, 8.0, 0.0])),
        }
    }
}

/// How deep a point lies in an ellipsoid around the origin.
fn within(from: Point, half: Point) -> f64 {
    let scaled = [from[0] / half[0], from[1] / half[1], from[2] / half[2]];
    let slope = length([scaled[0] / half[0], scaled[1] / half[1], scaled[2] / half[2]]);
    let reach = length(scaled);
    // In the very centre there is no slope.
    if slope > 0.0 { (1.0 - reach) * reach / slope } else { half[0].min(half[1]) }
}

/// The distance to the nearest rib: a ring around the chest, open in front, that narrows towards the neck.
fn to_rib([x, y, z]: Point) -> f64 {
    let level = z - RIB_FALL[1] * y + RIB_FALL[0] * x.abs();
    let rib = ((level / RIB_STEP).round() * RIB_STEP).clamp(LOWEST_RIB, HIGHEST_RIB);
    let height = ((rib + 50.0) / 240.0).max(0.0);
    let taper = (1.0 - height * height).sqrt();
    let in_front = (RIB_END - y).max(0.0);
    // A rib is about twice as high as it is thick.
    length([within([x, y, 0.0], [137.0 * taper, 88.0 * taper, 1.0]), (level - rib) * 0.55, in_front])
}

fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn length(a: Point) -> f64 {
    dot(a, a).sqrt()
}

/// The whole body.
pub(super) struct Body {
    parts: Vec<Part>,
    /// Over how many millimetres one tissue passes into the next.
    edge: f64,
}

impl Body {
    /// A body whose edges are `edge` millimetres soft.
    pub(super) fn new(edge: f64) -> Self {
        let mut body = Self { parts: Vec::new(), edge };
        body.soft_tissue();
        body.lungs();
        body.vessels();
        body.bones();
        body
    }

    /// Hounsfield units at the points `xs` of the line at `y` and `z`.
    pub(super) fn line(&self, xs: &[f64], y: f64, z: f64) -> Vec<f64> {
        let mut line = vec![AIR; xs.len()];
        for part in self.parts.iter().filter(|part| part.reaches(2, z, self.edge) && part.reaches(1, y, self.edge)) {
            for (value, x) in line.iter_mut().zip(xs).filter(|(_, x)| part.reaches(0, **x, self.edge)) {
                let share = (0.5 + part.depth([*x, y, z]) / self.edge).clamp(0.0, 1.0);
                *value += (part.hounsfield - *value) * share;
            }
        }
        line
    }

    fn ellipsoid(&mut self, hounsfield: f64, centre: Point, half: Point) {
        self.parts.push(Part::new(Solid::Ellipsoid(centre, half), hounsfield));
    }

    fn rod(&mut self, hounsfield: f64, a: Point, b: Point, radius: f64) {
        self.parts.push(Part::new(Solid::Rod(a, b, radius), hounsfield));
    }

    /// A rod on each side.
    fn rods(&mut self, hounsfield: f64, a: Point, b: Point, radius: f64) {
        for side in [-1.0, 1.0] {
            self.rod(hounsfield, [side * a[0], a[1], a[2]], [side * b[0], b[1], b[2]], radius);
        }
    }

    fn soft_tissue(&mut self) {
        for (tissue, skin) in [(FAT, 0.0), (MUSCLE, 14.0)] {
            self.ellipsoid(tissue, [0.0, 8.0, -80.0], [166.0 - skin, 116.0 - skin, 330.0 - skin]);
            self.rods(tissue, [0.0, 16.0, 92.0], [130.0, 20.0, 84.0], 58.0 - skin);
            self.rod(tissue, [0.0, 18.0, 60.0], [0.0, 4.0, 300.0], 62.0 - skin / 2.0);
        }
    }

    fn lungs(&mut self) {
        for side in [-1.0, 1.0] {
            self.ellipsoid(LUNG, [side * 64.0, 8.0, -40.0], [50.0, 70.0, 160.0]);
            self.ellipsoid(LUNG, [side * 72.0, 12.0, -80.0], [51.0, 66.0, 120.0]);
        }
        // The diaphragm: the liver stands higher than the spleen.
        self.ellipsoid(LIVER, [-66.0, 6.0, -158.0], [74.0, 82.0, 78.0]);
        self.ellipsoid(MUSCLE, [68.0, 10.0, -166.0], [66.0, 80.0, 68.0]);
        // The windpipe and its two branches.
        self.rod(MUSCLE, [0.0, 8.0, 20.0], [0.0, -2.0, 300.0], 16.0);
        self.rod(AIR, [0.0, 12.0, 18.0], [0.0, -2.0, 300.0], 8.5);
        self.rods(MUSCLE, [0.0, 12.0, 18.0], [40.0, 18.0, -14.0], 9.5);
        self.rods(AIR, [0.0, 12.0, 18.0], [40.0, 18.0, -14.0], 6.0);
    }

    fn vessels(&mut self) {
        // The heart, more of it on the left, in a sheath of fat; in it a chamber.
        self.ellipsoid(FAT, [20.0, -26.0, -62.0], [66.0, 54.0, 66.0]);
        self.ellipsoid(MUSCLE + 20.0, [22.0, -26.0, -62.0], [61.0, 49.0, 62.0]);
        self.ellipsoid(BLOOD, [38.0, -24.0, -66.0], [32.0, 26.0, 40.0]);
        self.ellipsoid(BLOOD, [-6.0, -34.0, -52.0], [24.0, 24.0, 38.0]);
        // Fat of the mediastinum, and the aorta: up, over, down.
        self.ellipsoid(FAT, [0.0, -30.0, 40.0], [26.0, 42.0, 62.0]);
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
            self.rod(BLOOD, from, to, radius);
        }
        // In the lungs they branch twice, from the root outwards.
        let root = [36.0, 12.0, -8.0];
        self.rods(BLOOD, [14.0, -8.0, 0.0], root, 9.0);
        for (fork, ends) in [
            ([62.0, -14.0, 22.0], [[82.0, -40.0, 40.0], [96.0, -14.0, 28.0], [70.0, -10.0, 74.0]]),
            ([66.0, 30.0, 20.0], [[92.0, 52.0, 30.0], [74.0, 40.0, 70.0], [104.0, 22.0, 8.0]]),
            ([70.0, 8.0, -36.0], [[106.0, -10.0, -50.0], [96.0, -34.0, -60.0], [104.0, 30.0, -44.0]]),
            ([58.0, 42.0, -42.0], [[70.0, 66.0, -60.0], [94.0, 52.0, -84.0], [62.0, 56.0, -96.0]]),
        ] {
            self.rods(MUSCLE, root, fork, 4.0);
            for end in ends {
                self.rods(MUSCLE, fork, end, 2.4);
            }
        }
    }

    fn bones(&mut self) {
        self.parts.push(Part::new(Solid::Ribs(4.6), CORTEX));
        self.parts.push(Part::new(Solid::Ribs(2.4), MARROW));
        self.spine();
        for (tissue, rind) in [(CORTEX, 0.0), (MARROW, 2.4)] {
            // The breastbone, wide and flat: rods side by side.
            for x in [-12.0, -8.0, -4.0, 0.0, 4.0, 8.0, 12.0] {
                self.rod(tissue, [x, -92.0, -70.0], [x, -66.0, 66.0], 6.0 - rind);
            }
            // The heads of the upper arms, and the shoulder blades behind the ribs.
            self.rods(tissue, [150.0, 14.0, 84.0], [152.0, 14.0, 82.0], 24.0 - rind);
            for step in 0..9 {
                let down = f64::from(step) * 9.0;
                let inner = [76.0 + down / 8.0, 92.0 - down / 12.0, 84.0 - down];
                let outer = [122.0 - down / 4.0, 52.0 + down / 4.0, 84.0 - down];
                self.rods(tissue, inner, outer, 5.4 - rind);
            }
        }
        self.collarbones();
    }

    fn spine(&mut self) {
        // Bodies with discs between them, from below the lowest slice to above the highest.
        self.rod(MUSCLE + 30.0, [0.0, 62.0, -300.0], [0.0, 62.0, 300.0], 16.0);
        for level in -8..=8 {
            let middle = f64::from(level) * 24.0;
            for (tissue, rind) in [(CORTEX - 250.0, 0.0), (MARROW, 2.2)] {
                let half = [21.0 - rind, 16.0 - rind, 10.0 - rind];
                self.parts.push(Part::new(Solid::Column([0.0, 62.0, middle], half), tissue));
                // The arch behind the cord, and what can be felt through the skin.
                self.rods(tissue, [13.0, 76.0, middle], [3.0, 91.0, middle], 4.6 - rind);
                self.rod(tissue, [0.0, 91.0, middle], [0.0, 100.0, middle - 8.0], 4.6 - rind);
                self.rods(tissue, [14.0, 78.0, middle], [34.0, 86.0, middle + 2.0], 5.0 - rind);
            }
        }
        self.rod(WATER, [0.0, 83.0, -300.0], [0.0, 83.0, 300.0], 8.0);
    }

    /// The clavicles: from the breastbone outwards, first bowed to the front, then to the back, like an S lying down.
    fn collarbones(&mut self) {
        let corners = [[18.0, -62.0, 80.0], [64.0, -100.0, 84.0], [84.0, -12.0, 92.0], [144.0, -26.0, 92.0]];
        let steps = 16;
        for (tissue, radius) in [(CORTEX + 100.0, 7.5), (MARROW + 120.0, 3.8)] {
            for step in 0..steps {
                let [from, to] = [step, step + 1].map(|step| bezier(&corners, f64::from(step) / f64::from(steps)));
                self.rods(tissue, from, to, radius);
            }
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
