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
    /// What none of these can say: how deep a point lies.
    Other(fn(Point) -> f64),
}

/// A tissue, and how much of the solid's surface is peeled off before it begins, in millimetres.
pub(super) type Layer = (f64, f64);

/// A solid of one tissue, or of several like the skins of an onion.
struct Part {
    solid: Solid,
    layers: Vec<Layer>,
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
            Solid::Other(depth) => depth(point),
        }
    }

    /// Whether a plane lies near enough to show any of it.
    fn reaches(&self, axis: usize, at: f64, edge: f64) -> bool {
        at > self.low[axis] - edge && at < self.high[axis] + edge
    }

    /// From where to where along x the line at `y` and `z` may meet it; and where it surely lies as deep inside as matters.
    fn chords(&self, y: f64, z: f64, edge: f64) -> [Option<(f64, f64)>; 2] {
        let Solid::Ellipsoid(centre, half) = &self.solid else {
            return [Some((self.low[0] - edge, self.high[0] + edge)), None];
        };
        // Twice what is needed, since the depth is only nearly right away from the surface.
        [2.0, -2.0].map(|edges| {
            let [wide, deep, high] = half.map(|half| half + edges * edge);
            let (y, z) = ((y - centre[1]) / deep, (z - centre[2]) / high);
            let rest = 1.0 - y * y - z * z;
            let reach = (wide > 0.0 && deep > 0.0 && high > 0.0 && rest > 0.0).then(|| wide * rest.sqrt())?;
            Some((centre[0] - reach, centre[0] + reach))
        })
    }

    /// Paints it over what a line has at the points `xs`.
    fn paint(&self, line: &mut [f64], xs: &[f64], [y, z]: [f64; 2], edge: f64) {
        let range = |(from, to): (f64, f64)| xs.partition_point(|x| *x <= from)..xs.partition_point(|x| *x < to);
        let [outer, inner] = self.chords(y, z, edge).map(|chord| chord.map_or(0..0, range));
        // An empty chord inside leaves nothing to fill.
        let inner = if inner.is_empty() { outer.end..outer.end } else { inner };
        for place in (outer.start..inner.start).chain(inner.end..outer.end) {
            let depth = self.depth([xs[place], y, z]);
            for (value, peeled) in &self.layers {
                let share = (0.5 + (depth - peeled) / edge).clamp(0.0, 1.0);
                line[place] += (value - line[place]) * share;
            }
        }
        if let Some((value, _)) = self.layers.last() {
            line[inner].fill(*value);
        }
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

    /// The values at the points `xs` of the line at `y` and `z`, which go from right to left.
    pub(super) fn line(&self, xs: &[f64], y: f64, z: f64) -> Vec<f64> {
        let mut line = vec![self.ground; xs.len()];
        for part in self.parts.iter().filter(|part| part.reaches(2, z, self.edge) && part.reaches(1, y, self.edge)) {
            part.paint(&mut line, xs, [y, z], self.edge);
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
        self.parts.push(Part { solid: Solid::Rod(a, b, radius), layers: vec![(value, 0.0)], low, high });
    }

    /// A rod on each side.
    pub(super) fn rods(&mut self, value: f64, a: Point, b: Point, radius: f64) {
        for side in [-1.0, 1.0] {
            self.rod(value, [side * a[0], a[1], a[2]], [side * b[0], b[1], b[2]], radius);
        }
    }

    /// A solid that lies between two corners, of one layer or several from the outside in.
    pub(super) fn other(&mut self, layers: Vec<Layer>, depth: fn(Point) -> f64, [low, high]: [Point; 2]) {
        self.parts.push(Part { solid: Solid::Other(depth), layers, low, high });
    }

    fn bounded(&mut self, value: f64, solid: Solid, centre: Point, half: Point) {
        let bound = |axis: usize| (centre[axis] - half[axis], centre[axis] + half[axis]);
        let [x, y, z] = [bound(0), bound(1), bound(2)];
        self.parts.push(Part { solid, layers: vec![(value, 0.0)], low: [x.0, y.0, z.0], high: [x.1, y.1, z.1] });
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
