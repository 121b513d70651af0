//! Simple solids, painted one over the other: what the bodies are made of.
//!
//! Millimetres in the patient's axes (DICOM PS3.3 C.7.6.2.1.1): x to the left, y to the back, z to the head. Nothing but the four
//! operations and square roots, which every machine rounds alike, so that the same phantom has the same bytes everywhere.

/// A point, or the half axes of an ellipsoid.
pub(super) type Point = [f64; 3];

/// What a part is shaped like.
pub(super) enum Solid {
    /// All that lies within these half axes of a centre.
    Ellipsoid(Point, Point),
    /// An upright piece of an elliptic column, with the same.
    Column(Point, Point),
    /// All that lies within a radius of the line between two points.
    Rod(Point, Point, f64),
    /// What none of these can say: how deep a point lies, less how much is peeled off.
    Other(fn(Point) -> f64, f64),
}

/// A solid of one tissue.
struct Part {
    solid: Solid,
    value: f64,
    /// No point outside of these belongs to it.
    low: Point,
    high: Point,
}

impl Part {
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
            Solid::Other(depth, peeled) => depth(point) - peeled,
        }
    }

    /// Whether a plane lies near enough to show any of it.
    fn reaches(&self, axis: usize, at: f64, edge: f64) -> bool {
        at > self.low[axis] - edge && at < self.high[axis] + edge
    }
}

/// Parts, the later ones over the earlier, on a ground of one value.
pub(super) struct Painting {
    parts: Vec<Part>,
    ground: f64,
    /// Over how many millimetres one tissue passes into the next.
    edge: f64,
}

impl Painting {
    /// Nothing yet but the ground; edges will be `edge` millimetres soft.
    pub(super) fn new(ground: f64, edge: f64) -> Self {
        Self { parts: Vec::new(), ground, edge }
    }

    /// The values at the points `xs` of the line at `y` and `z`.
    pub(super) fn line(&self, xs: &[f64], y: f64, z: f64) -> Vec<f64> {
        let mut line = vec![self.ground; xs.len()];
        for part in self.parts.iter().filter(|part| part.reaches(2, z, self.edge) && part.reaches(1, y, self.edge)) {
            for (value, x) in line.iter_mut().zip(xs).filter(|(_, x)| part.reaches(0, **x, self.edge)) {
                let share = (0.5 + part.depth([*x, y, z]) / self.edge).clamp(0.0, 1.0);
                *value += (part.value - *value) * share;
            }
        }
        line
    }

    pub(super) fn ellipsoid(&mut self, value: f64, centre: Point, half: Point) {
        self.bounded(value, Solid::Ellipsoid(centre, half), centre, half);
    }

    /// An ellipsoid on each side.
    pub(super) fn ellipsoids(&mut self, value: f64, centre: Point, half: Point) {
        for side in [-1.0, 1.0] {
            self.ellipsoid(value, [side * centre[0], centre[1], centre[2]], half);
        }
    }

    pub(super) fn column(&mut self, value: f64, centre: Point, half: Point) {
        self.bounded(value, Solid::Column(centre, half), centre, half);
    }

    pub(super) fn rod(&mut self, value: f64, a: Point, b: Point, radius: f64) {
        let bound = |axis: usize| (a[axis].min(b[axis]) - radius, a[axis].max(b[axis]) + radius);
        let [x, y, z] = [bound(0), bound(1), bound(2)];
        let (low, high) = ([x.0, y.0, z.0], [x.1, y.1, z.1]);
        self.parts.push(Part { solid: Solid::Rod(a, b, radius), value, low, high });
    }

    /// A rod on each side.
    pub(super) fn rods(&mut self, value: f64, a: Point, b: Point, radius: f64) {
        for side in [-1.0, 1.0] {
            self.rod(value, [side * a[0], a[1], a[2]], [side * b[0], b[1], b[2]], radius);
        }
    }

    /// A solid that lies between two corners, without what is `peeled` off its surface, in millimetres.
    pub(super) fn other(&mut self, value: f64, depth: fn(Point) -> f64, peeled: f64, [low, high]: [Point; 2]) {
        self.parts.push(Part { solid: Solid::Other(depth, peeled), value, low, high });
    }

    fn bounded(&mut self, value: f64, solid: Solid, centre: Point, half: Point) {
        let bound = |axis: usize| (centre[axis] - half[axis], centre[axis] + half[axis]);
        let [x, y, z] = [bound(0), bound(1), bound(2)];
        self.parts.push(Part { solid, value, low: [x.0, y.0, z.0], high: [x.1, y.1, z.1] });
    }
}

/// How deep a point lies in an ellipsoid around the origin.
pub(super) fn within(from: Point, half: Point) -> f64 {
    let scaled = [from[0] / half[0], from[1] / half[1], from[2] / half[2]];
    let slope = length([scaled[0] / half[0], scaled[1] / half[1], scaled[2] / half[2]]);
    let reach = length(scaled);
    // In the very centre there is no slope.
    if slope > 0.0 { (1.0 - reach) * reach / slope } else { half[0].min(half[1]) }
}

pub(super) fn minus(a: Point, b: Point) -> Point {
    [a[0] - b[0], a[1] - b[1], a[2] - b[2]]
}

fn dot(a: Point, b: Point) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

pub(super) fn length(a: Point) -> f64 {
    dot(a, a).sqrt()
}
