//! The head, as tissues: what each of them looks like is for the modality to say.
//!
//! The origin is in the middle of the brain. A stroke of a few hours lies in the white matter of the left hemisphere.

mod brain;

use super::solid::{Painting, Point};

/// What the head is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tissue {
    /// Around the head, and in its sinuses.
    Air,
    /// Hard bone.
    Bone,
    /// Chalk in the pineal gland and the choroid plexus.
    Calcium,
    /// The fluid around and inside the brain.
    Csf,
    /// The falx, and what lines the skull.
    Dura,
    /// Under the skin, and behind the eyes.
    Fat,
    /// The grey matter of the cortex.
    Grey,
    /// Of the eye.
    Lens,
    /// The stroke.
    Lesion,
    /// Spongy bone.
    Marrow,
    /// Muscle, skin and mucosa.
    Muscle,
    /// The grey matter of the nuclei deep in the brain.
    Nuclei,
    /// What the eye is filled with.
    Vitreous,
    /// The white matter.
    White,
    /// Old, small spots in the white matter.
    Spot,
}

/// What the brain lies in: the vault, the middle fossae, the posterior fossa.
const VAULT: [Point; 2] = [[0.0, 0.0, 22.0], [68.0, 86.0, 62.0]];
const MIDDLE_FOSSA: [Point; 2] = [[40.0, -10.0, -24.0], [26.0, 37.0, 25.0]];
const POSTERIOR_FOSSA: [Point; 2] = [[0.0, 42.0, -34.0], [54.0, 40.0, 34.0]];

/// The middle of the stroke, and its half axes, in millimetres.
pub(super) const LESION: [Point; 2] = [[29.0, 6.0, 29.0], [8.0, 12.0, 8.0]];

/// The head with edges `edge` millimetres soft, each tissue as `value` shows it.
pub(super) fn painted(edge: f64, value: fn(Tissue) -> f64) -> Painting {
    let mut head = Head { painting: Painting::new(value(Tissue::Air), edge), value };
    head.soft_tissue();
    head.skull();
    head.face();
    head.airways();
    head.eyes();
    brain::paint(&mut head);
    head.painting
}

struct Head {
    painting: Painting,
    value: fn(Tissue) -> f64,
}

impl Head {
    fn ellipsoid(&mut self, tissue: Tissue, centre: Point, half: Point) {
        self.painting.ellipsoid((self.value)(tissue), centre, half);
    }

    fn ellipsoids(&mut self, tissue: Tissue, centre: Point, half: Point) {
        self.painting.ellipsoids((self.value)(tissue), centre, half);
    }

    fn rod(&mut self, tissue: Tissue, a: Point, b: Point, radius: f64) {
        self.painting.rod((self.value)(tissue), a, b, radius);
    }

    fn rods(&mut self, tissue: Tissue, a: Point, b: Point, radius: f64) {
        self.painting.rods((self.value)(tissue), a, b, radius);
    }

    /// Rods on each side from point to point.
    fn chains(&mut self, tissue: Tissue, points: &[Point], radius: f64) {
        for pair in points.windows(2) {
            self.rods(tissue, pair[0], pair[1], radius);
        }
    }

    /// Tissues from the outside in, and how much of the surface is peeled off before each.
    fn other(&mut self, layers: &[(Tissue, f64)], depth: fn(Point) -> f64, bounds: [Point; 2]) {
        let layers = layers.iter().map(|(tissue, peeled)| ((self.value)(*tissue), *peeled)).collect();
        self.painting.other(layers, depth, bounds);
    }

    /// All that the brain lies in, and so many millimetres around it.
    fn cavity(&mut self, tissue: Tissue, around: f64) {
        let wider = |half: Point| half.map(|half| half + around);
        self.ellipsoid(tissue, VAULT[0], wider(VAULT[1]));
        self.ellipsoids(tissue, MIDDLE_FOSSA[0], wider(MIDDLE_FOSSA[1]));
        self.ellipsoid(tissue, POSTERIOR_FOSSA[0], wider(POSTERIOR_FOSSA[1]));
    }

    fn soft_tissue(&mut self) {
        for (tissue, skin) in [(Tissue::Muscle, 0.0), (Tissue::Fat, 1.8), (Tissue::Muscle, 7.0)] {
            // The scalp is thin everywhere.
            let scalp = if skin > 5.0 { 4.2 } else { skin };
            self.cavity(tissue, 12.0 - scalp);
            self.ellipsoid(tissue, [0.0, -36.0, -54.0], [67.0 - skin, 66.0 - skin, 78.0 - skin]);
            self.rod(tissue, [0.0, 30.0, -40.0], [0.0, 44.0, -220.0], 62.0 - skin);
            self.ellipsoid(tissue, [0.0, -96.0, -50.0], [14.0 - skin, 22.0 - skin, 21.0 - skin]);
            self.ellipsoids(tissue, [77.0, 9.0, -30.0], [8.0 - skin * 0.7, 15.0 - skin, 29.0 - skin]);
        }
        // Of the temple, the cheek, and the nape.
        for (tissue, skin) in [(Tissue::Muscle, 0.0), (Tissue::Fat, 1.8), (Tissue::Muscle, 4.6)] {
            self.ellipsoids(tissue, [60.0, -32.0, -18.0], [17.0 - skin, 33.0 - skin, 40.0 - skin]);
        }
        self.ellipsoids(Tissue::Muscle, [50.0, -34.0, -78.0], [8.0, 20.0, 30.0]);
        self.ellipsoids(Tissue::Fat, [46.0, -62.0, -66.0], [11.0, 15.0, 20.0]);
        self.rods(Tissue::Fat, [0.0, 70.0, -70.0], [22.0, 86.0, -78.0], 2.4);
        self.chains(Tissue::Fat, &[[8.0, 62.0, -84.0], [30.0, 72.0, -84.0], [46.0, 50.0, -84.0]], 2.0);
    }

    fn skull(&mut self) {
        for (tissue, around) in [(Tissue::Bone, 6.6), (Tissue::Marrow, 4.9), (Tissue::Bone, 2.0)] {
            self.cavity(tissue, around);
        }
        // Bone full of air behind the ears.
        for (tissue, rind) in [(Tissue::Bone, 0.0), (Tissue::Marrow, 5.0)] {
            self.rods(tissue, [62.0, 24.0, -42.0], [56.0, 26.0, -66.0], 10.0 - rind);
            // The middle of the base.
            self.rod(tissue, [0.0, -16.0, -44.0], [0.0, 8.0, -62.0], 11.0 - rind);
            self.rods(tissue, [14.0, -26.0, -40.0], [40.0, -42.0, -20.0], 6.0 - rind * 0.8);
        }
        for step in 0..14 {
            let step = f64::from(step);
            let (turn, down) = (step * 0.618 % 1.0, step * 2.4);
            let centre = [52.0 + 16.0 * turn, 20.0 + 12.0 * (step * 0.377 % 1.0), -36.0 - down];
            self.ellipsoids(Tissue::Air, centre, [2.6, 3.2, 2.4]);
        }
    }

    /// The ridges that hold the inner ears, between the fossae; they rise above the floor.
    fn petrous(&mut self) {
        let ridge = [[66.0, 22.0, -35.0], [42.0, 14.0, -33.0], [18.0, -2.0, -40.0]];
        self.chains(Tissue::Bone, &ridge, 8.6);
        self.chains(Tissue::Marrow, &ridge, 3.4);
        self.ellipsoids(Tissue::Csf, [36.0, 13.0, -34.0], [5.0, 1.8, 1.8]);
        self.ellipsoids(Tissue::Air, [50.0, 11.0, -36.0], [5.0, 4.0, 4.6]);
        for cell in 0..6 {
            let cell = f64::from(cell) * 3.6;
            self.ellipsoids(
                Tissue::Air,
                [54.0 + cell * 0.5, 22.0 + (cell * 0.7 % 5.0), -30.0 - cell * 0.6],
                [1.7, 1.6, 1.6],
            );
        }
    }

    fn face(&mut self) {
        for (tissue, rind) in [(Tissue::Bone, 0.0), (Tissue::Marrow, 2.2)] {
            // Around the eyes, the cheekbones and their arches, the upper jaw, the bridge of the nose.
            self.ellipsoids(tissue, [31.0, -62.0, -31.0], [21.5 - rind, 25.0 - rind, 21.0 - rind]);
            self.chains(
                tissue,
                &[[46.0, -74.0, -50.0], [60.0, -58.0, -48.0], [68.0, -30.0, -44.0], [68.0, 4.0, -40.0]],
                4.2 - rind,
            );
            self.ellipsoids(tissue, [26.0, -62.0, -64.0], [21.0 - rind, 24.0 - rind, 22.0 - rind]);
            self.rods(tissue, [4.0, -92.0, -30.0], [7.0, -100.0, -44.0], 3.2 - rind);
            self.ellipsoid(tissue, [0.0, -58.0, -38.0], [15.0 - rind, 34.0 - rind, 20.0 - rind]);
            // The lower jaw hangs from below the ears.
            self.chains(
                tissue,
                &[[54.0, -2.0, -50.0], [52.0, -10.0, -100.0], [40.0, -60.0, -122.0], [8.0, -92.0, -126.0]],
                6.2 - rind,
            );
            self.ellipsoids(tissue, [52.0, -6.0, -50.0], [9.0 - rind, 5.0 - rind, 7.0 - rind]);
            // The atlas, the axis and its tooth.
            self.chains(
                tissue,
                &[[0.0, -2.0, -82.0], [22.0, 10.0, -80.0], [22.0, 28.0, -80.0], [0.0, 42.0, -82.0]],
                6.0 - rind,
            );
            self.rod(tissue, [0.0, 9.0, -74.0], [0.0, 11.0, -100.0], 6.0 - rind);
        }
        // Teeth and palate.
        self.chains(
            Tissue::Bone,
            &[[22.0, -48.0, -94.0], [20.0, -70.0, -94.0], [12.0, -84.0, -94.0], [0.0, -88.0, -94.0]],
            5.0,
        );
        self.ellipsoid(Tissue::Bone, [0.0, -62.0, -84.0], [20.0, 24.0, 2.0]);
    }

    fn airways(&mut self) {
        // The sinuses: of the cheeks, behind the nose, above it.
        self.ellipsoids(Tissue::Muscle, [27.0, -61.0, -64.0], [17.5, 20.5, 18.5]);
        self.ellipsoids(Tissue::Air, [27.0, -61.0, -64.0], [16.5, 19.5, 17.5]);
        self.ellipsoids(Tissue::Air, [7.5, -20.0, -44.0], [6.6, 11.0, 9.0]);
        self.ellipsoids(Tissue::Air, [11.0, -93.0, -6.0], [9.0, 4.5, 11.0]);
        for cell in 0..5 {
            let back = f64::from(cell) * 10.0;
            self.ellipsoids(Tissue::Air, [5.6, -82.0 + back, -34.0 - back / 12.0], [4.6, 4.6, 12.0]);
        }
        // The nose, its wall, its shells; the throat.
        self.ellipsoids(Tissue::Muscle, [6.5, -64.0, -62.0], [7.0, 34.0, 20.0]);
        self.ellipsoids(Tissue::Air, [6.0, -66.0, -62.0], [4.6, 32.0, 18.0]);
        self.chains(Tissue::Muscle, &[[8.6, -86.0, -66.0], [9.0, -40.0, -66.0]], 4.6);
        self.chains(Tissue::Muscle, &[[8.8, -78.0, -52.0], [9.0, -38.0, -52.0]], 3.6);
        self.rods(Tissue::Air, [5.0, -96.0, -68.0], [6.0, -104.0, -72.0], 3.4);
        self.ellipsoid(Tissue::Air, [0.0, -26.0, -72.0], [14.0, 9.0, 14.0]);
        self.rod(Tissue::Air, [0.0, -24.0, -80.0], [0.0, -16.0, -200.0], 8.0);
        // The ear canals.
        self.rods(Tissue::Air, [88.0, 12.0, -36.0], [54.0, 10.0, -36.0], 3.0);
    }

    fn eyes(&mut self) {
        self.ellipsoids(Tissue::Fat, [31.0, -64.0, -31.0], [18.0, 26.0, 17.5]);
        self.ellipsoids(Tissue::Fat, [24.0, -46.0, -30.0], [11.0, 18.0, 10.0]);
        // Lids in front; six muscles, of which four are seen, and the nerve, meet far behind.
        self.ellipsoids(Tissue::Muscle, [31.0, -88.0, -31.0], [16.0, 8.0, 12.0]);
        let apex = [15.0, -36.0, -29.0];
        for (dx, dz) in [(12.0, 0.0), (-12.0, 0.0), (0.0, 12.0), (0.0, -12.0)] {
            let belly = [27.0 + dx * 0.95, -60.0, -31.0 + dz * 0.95];
            self.chains(Tissue::Muscle, &[apex, belly, [31.0 + dx, -76.0, -31.0 + dz]], 2.2);
        }
        self.chains(Tissue::White, &[[31.0, -66.0, -31.0], [25.0, -52.0, -30.0], [12.0, -32.0, -28.0]], 2.1);
        self.ellipsoids(Tissue::Muscle, [31.0, -78.0, -31.0], [13.0, 13.0, 13.0]);
        self.ellipsoids(Tissue::Vitreous, [31.0, -78.0, -31.0], [11.8, 11.8, 11.8]);
        self.ellipsoids(Tissue::Lens, [31.0, -87.0, -31.0], [4.8, 2.2, 4.8]);
    }
}
