//! A telephone's camera, by arithmetic: a code on a page or a screen, held at an angle, in bad light, and sent as a JPEG.
//!
//! ```text
//! page ─► seen along rays through a lens, which blurs ─► light, shadow, a lamp mirrored ─► noise ─► JPEG
//! ```

use std::f32::consts::TAU;

use clavicle_letters::code;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// What makes one photograph.
#[derive(Clone, Debug)]
pub(crate) struct Photograph {
    /// Of the picture, in pixels.
    pub(crate) width: usize,
    pub(crate) height: usize,
    /// How many pixels a module of the code has in its middle.
    pub(crate) module: f32,
    /// By how much the page is turned, and leans away to the side and upwards, in degrees.
    pub(crate) turned: f32,
    pub(crate) leans: (f32, f32),
    /// How far the middle of the code is from that of the picture, in parts of its width and height.
    pub(crate) aside: (f32, f32),
    /// How far the paper bends, in modules.
    pub(crate) bends: f32,
    /// The lens's blur, as a standard deviation in pixels.
    pub(crate) blur: f32,
    /// How far a hand moved, in pixels.
    pub(crate) moved: f32,
    /// The shades of ink and paper, 0 to 1.
    pub(crate) ink: f32,
    pub(crate) paper: f32,
    /// How much darker it is on the far side.
    pub(crate) uneven: f32,
    /// How much light is left in a shadow across the page; 1 without one.
    pub(crate) shadow: f32,
    /// How much of the code's area a mirrored lamp hides.
    pub(crate) glare: f32,
    /// How much the rows and columns of a screen show, and how many there are to a module; 0 on paper.
    pub(crate) screen: (f32, f32),
    /// The noise, as a standard deviation in shades of 255.
    pub(crate) noise: f32,
    pub(crate) quality: u8,
    pub(crate) progressive: bool,
    pub(crate) seed: u64,
}

impl Photograph {
    /// A usual one, of a card on a table: it leans, the light is not even, and nothing is in the way.
    pub(crate) fn usual((width, height): (usize, usize), module: f32, blur: f32) -> Self {
        Self {
            width,
            height,
            module,
            turned: 8.0,
            leans: (14.0, -9.0),
            aside: (0.02, 0.03),
            bends: 0.1,
            blur,
            moved: 0.0,
            ink: 0.12,
            paper: 0.85,
            uneven: 0.3,
            shadow: 1.0,
            glare: 0.0,
            screen: (0.0, 1.0),
            noise: 5.0,
            quality: 85,
            progressive: false,
            seed: 7,
        }
    }
}

/// Random numbers, the same for the same seed (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn between(&mut self, least: f32, most: f32) -> f32 {
        least + (most - least) * (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Almost a normal distribution.
    fn normal(&mut self) -> f32 {
        let bits = self.next();
        let sum: f32 = (0..4).map(|part| (bits >> (16 * part) & 0xffff) as f32 / 65_535.0).sum();
        (sum - 2.0) * 1.732
    }
}

/// The modules of a code's picture, true where dark.
pub(crate) struct Modules {
    pub(crate) side: usize,
    dark: Vec<bool>,
}

impl Modules {
    pub(crate) fn of(text: &str) -> Self {
        let (pixels, modules) = (8, 4);
        let picture = code::to_png(text).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(picture)).read_info().unwrap();
        let mut shades = vec![0; reader.output_buffer_size().unwrap()];
        let width = reader.next_frame(&mut shades).unwrap().width as usize;
        let side = width / pixels - 2 * modules;
        let at = |of: usize| (of + modules) * pixels + pixels / 2;
        let dark = (0..side * side).map(|place| shades[at(place / side) * width + at(place % side)] == 0).collect();
        Self { side, dark }
    }

    /// What there is at a place of the page, from the middle of the code on, in modules: ink 0, paper 1, and a table around.
    fn shade(&self, u: f32, v: f32, is_screen: bool) -> Option<f32> {
        let half = self.side as f32 / 2.0;
        if u.abs() < half && v.abs() < half {
            let place = (v + half) as usize * self.side + (u + half) as usize;
            return Some(if self.dark[place.min(self.dark.len() - 1)] { 0.0 } else { 1.0 });
        }
        if u.abs() > half * 1.7 || v < -half * 1.5 || v > half * 2.1 {
            return None;
        }
        // Some lines of print below the code.
        let line = (v - half - 6.0) / 3.0;
        if !is_screen && line > 0.0 && line.fract() < 0.45 && u.abs() < half * 1.3 {
            let letter = (u * 1.7).floor() as i64 + 31 * line.floor() as i64;
            return Some(
                f32::from(letter.wrapping_mul(2_654_435_761) % 7 != 0 && (u * 1.7).rem_euclid(1.0) < 0.7)
                    .mul_add(-0.9, 1.0),
            );
        }
        Some(1.0)
    }
}

impl Photograph {
    /// Takes it.
    pub(crate) fn of(&self, code: &Modules) -> Vec<u8> {
        let mut light = self.seen(code);
        blurred(&mut light, self.width, self.blur);
        if self.moved > 0.0 {
            light = self.shaken(&light);
        }
        self.lit(&mut light, code);
        self.sent(&light)
    }

    /// Where the ray through a pixel meets the page, in modules from the middle of the code.
    fn ray(&self, code: &Modules) -> impl Fn(f32, f32) -> (f32, f32) + use<> {
        let ((sin, cos), (sx, cx), (sy, cy)) = (
            self.turned.to_radians().sin_cos(),
            self.leans.0.to_radians().sin_cos(),
            self.leans.1.to_radians().sin_cos(),
        );
        // The page's two directions and what is straight up from it, after it was turned and leans.
        let lean = |[x, y, z]: [f32; 3]| {
            let [x, z] = [cx * x + sx * z, cx * z - sx * x];
            [x, cy * y - sy * z, sy * y + cy * z]
        };
        let (right, down, up) = (lean([cos, sin, 0.0]), lean([-sin, cos, 0.0]), lean([0.0, 0.0, 1.0]));
        let (width, height) = (self.width as f32, self.height as f32);
        let lens = 1.1 * width.max(height);
        let far = lens / self.module;
        let middle = [self.aside.0 * width * far / lens, self.aside.1 * height * far / lens, far];
        let dot = |a: [f32; 3], b: [f32; 3]| a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
        let (bends, side) = (self.bends, code.side as f32);
        move |x, y| {
            let ray = [x - width / 2.0, y - height / 2.0, lens];
            let along = dot(middle, up) / dot(ray, up);
            let place = [ray[0] * along - middle[0], ray[1] * along - middle[1], ray[2] * along - middle[2]];
            let (u, v) = (dot(place, right), dot(place, down));
            (u + bends * (v / side * TAU * 0.8).sin(), v + bends * (u / side * TAU * 0.6).cos())
        }
    }

    fn seen(&self, code: &Modules) -> Vec<f32> {
        let ray = self.ray(code);
        let is_screen = self.screen.0 > 0.0;
        let shade = |x: f32, y: f32| {
            let (u, v) = ray(x, y);
            let Some(shade) = code.shade(u, v, is_screen) else {
                // A table, or the frame of a screen.
                let grain = 0.05 * (u * 0.7 + (v * 0.05).sin() * 4.0).sin();
                return if is_screen { 0.06 } else { 0.38 + grain };
            };
            let shade = self.ink + (self.paper - self.ink) * shade;
            let (depth, rows) = self.screen;
            let lines = (u * rows * TAU).sin() * (v * rows * TAU).sin();
            shade * (1.0 - depth / 2.0 + depth / 2.0 * lines)
        };
        let mut light = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            for x in 0..self.width {
                let (x, y) = (x as f32, y as f32);
                light.push((shade(x + 0.25, y + 0.3) + shade(x + 0.75, y + 0.7)) / 2.0);
            }
        }
        light
    }

    /// The same while a hand moves, to the side and a little down.
    fn shaken(&self, light: &[f32]) -> Vec<f32> {
        let steps = self.moved.ceil() as usize + 1;
        let at = |x: usize, y: usize, step: usize| {
            let along = self.moved * step as f32 / (steps - 1) as f32;
            let (x, y) = ((x as f32 + along) as usize, (y as f32 + along * 0.4) as usize);
            light[y.min(self.height - 1) * self.width + x.min(self.width - 1)]
        };
        let pixels = (0..self.height).flat_map(|y| (0..self.width).map(move |x| (x, y)));
        pixels.map(|(x, y)| (0..steps).map(|step| at(x, y, step)).sum::<f32>() / steps as f32).collect()
    }

    fn lit(&self, light: &mut [f32], code: &Modules) {
        let ray = self.ray(code);
        let half = code.side as f32 / 2.0;
        // An ellipse twice as wide as high, off the middle of the code and off its corners.
        let (wide, high) = (
            half * (2.0 * self.glare * 4.0 / std::f32::consts::PI).sqrt(),
            half * (self.glare * 2.0 / std::f32::consts::PI).sqrt(),
        );
        for (place, shade) in light.iter_mut().enumerate() {
            let (x, y) = ((place % self.width) as f32, (place / self.width) as f32);
            let across = (x / self.width as f32 + y / self.height as f32) / 2.0;
            let (dx, dy) = (x / self.width as f32 - 0.5, y / self.height as f32 - 0.5);
            let corners = 1.0 - 0.5 * (dx * dx + dy * dy);
            *shade *= (1.0 - self.uneven * across) * corners;
            let (u, v) = ray(x, y);
            if self.shadow < 1.0 {
                // Its edge is as soft as three modules.
                let edge = 1.0 / (1.0 + (-(u + 0.4 * v) / 1.5).exp());
                *shade *= self.shadow + (1.0 - self.shadow) * edge;
            }
            if self.glare > 0.0 {
                let away = ((u - half * 0.25) / wide).powi(2) + ((v - half * 0.2) / high).powi(2);
                *shade += 1.2 / (1.0 + (8.0 * (away - 1.0)).exp());
            }
        }
    }

    /// With its noise, as the JPEG that arrives.
    fn sent(&self, light: &[f32]) -> Vec<u8> {
        let mut random = Random(self.seed);
        let mut colours = Vec::with_capacity(light.len() * 3);
        for shade in light {
            let shade = shade.clamp(0.0, 1.0);
            // Light that falls by single quanta is noisier where there is more of it.
            let noise = self.noise * (0.5 + 0.5 * shade.sqrt()) * random.normal();
            let shade = 255.0 * shade.powf(1.0 / 1.1) + noise;
            // A lamp is rather yellow.
            colours.extend([1.0, 0.97, 0.88].map(|part| (shade * part).clamp(0.0, 255.0) as u8));
        }
        let mut jpeg = Vec::new();
        let mut encoder = Encoder::new(&mut jpeg, self.quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.set_progressive(self.progressive);
        encoder.encode(&colours, self.width as u16, self.height as u16, ColorType::Rgb).unwrap();
        jpeg
    }
}

/// Each pixel with those around it, by a bell curve.
fn blurred(light: &mut [f32], width: usize, deviation: f32) {
    let reach = (deviation * 3.0).ceil() as usize;
    if reach == 0 {
        return;
    }
    let bell: Vec<f32> = (0..=reach).map(|at| (-((at * at) as f32) / (2.0 * deviation * deviation)).exp()).collect();
    let sum = bell[0] + 2.0 * bell[1..].iter().sum::<f32>();
    let height = light.len() / width;
    let mean = |at: usize, last: usize, value: &dyn Fn(usize) -> f32| {
        let beside = (1..=reach).map(|off| bell[off] * (value(at.saturating_sub(off)) + value((at + off).min(last))));
        (bell[0] * value(at) + beside.sum::<f32>()) / sum
    };
    for row in light.chunks_exact_mut(width) {
        let before = row.to_vec();
        for (x, shade) in row.iter_mut().enumerate() {
            *shade = mean(x, width - 1, &|x| before[x]);
        }
    }
    for x in 0..width {
        let before: Vec<f32> = (0..height).map(|y| light[y * width + x]).collect();
        for y in 0..height {
            light[y * width + x] = mean(y, height - 1, &|y| before[y]);
        }
    }
}

impl Photograph {
    /// Two codes in one photograph, each on its half.
    pub(crate) fn beside(&self, left: &Modules, other: &Self, right: &Modules) -> Vec<u8> {
        let (mut light, more) = (self.seen(left), other.seen(right));
        for (place, shade) in light.iter_mut().enumerate() {
            if place % self.width >= self.width / 2 {
                *shade = more[place];
            }
        }
        blurred(&mut light, self.width, self.blur);
        self.lit(&mut light, left);
        self.sent(&light)
    }
}
