//! The VOI transform: which of the values are worth a shade of grey (PS3.3 C.11.2).

use dicom_dictionary_std::tags;

use super::lut::Lut;
use crate::frames::Attributes;

/// How values within a window become shades (PS3.3 C.11.2.1.2, C.11.2.1.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Function {
    /// A straight line, one value narrower than the width says.
    #[default]
    Linear,
    /// A straight line.
    LinearExact,
    /// An S.
    Sigmoid,
}

/// A window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Window Center (0028,1050).
    pub centre: f64,
    /// Window Width (0028,1051): at least 1 if linear, else more than 0.
    pub width: f64,
    /// VOI LUT Function (0028,1056).
    pub function: Function,
}

impl Window {
    /// A linear window, unless it is too narrow for one.
    #[must_use]
    pub fn linear(centre: f64, width: f64) -> Option<Self> {
        Self { centre, width, function: Function::Linear }.checked()
    }

    fn checked(self) -> Option<Self> {
        let least = if self.function == Function::Linear { 1.0 } else { f64::MIN_POSITIVE };
        (self.centre.is_finite() && self.width.is_finite() && self.width >= least).then_some(self)
    }

    /// From one value to another, both included.
    #[must_use]
    pub fn between(least: f64, most: f64) -> Self {
        let width = (most - least).max(f64::MIN_POSITIVE);
        Self { centre: least + width / 2.0, width, function: Function::LinearExact }
    }

    /// The shade of a value, from 0 to 1.
    #[must_use]
    pub fn shade(&self, value: f64) -> f64 {
        let Self { centre, width, function } = *self;
        match function {
            Function::Linear if width <= 1.0 => f64::from(u8::from(value > centre - 0.5)),
            Function::Linear => ((value - (centre - 0.5)) / (width - 1.0) + 0.5).clamp(0.0, 1.0),
            Function::LinearExact => ((value - centre) / width + 0.5).clamp(0.0, 1.0),
            Function::Sigmoid => 1.0 / (1.0 + (-4.0 * (value - centre) / width).exp()),
        }
    }
}

/// A window or a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Voi {
    /// A window.
    Window(Window),
    /// A table.
    Lut(Lut),
}

impl Voi {
    /// The shade of a value, from 0 to 1.
    #[must_use]
    pub fn shade(&self, value: f64) -> f64 {
        match self {
            Self::Window(window) => window.shade(value),
            Self::Lut(lut) => (f64::from(lut.entry(value)) / lut.most()).min(1.0),
        }
    }
}

/// One of the ways in which an image wants to be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// What it is called: Window Center & Width Explanation (0028,1055), LUT Explanation (0028,3003), or the name of a usual one.
    pub name: Option<String>,
    /// What it does.
    pub voi: Voi,
}

/// The presets of a frame, counted from 0, as the image has them: tables first, since whoever made one wanted more than a window can.
pub(super) fn presets(attributes: Attributes<'_>, frame: u32, signed: bool) -> Vec<Preset> {
    let group = attributes.of_frame(frame, tags::FRAME_VOILUT_SEQUENCE);
    let tables = group.items(tags::VOILUT_SEQUENCE).filter_map(|item| {
        Some(Preset { name: item.text(tags::LUT_EXPLANATION), voi: Voi::Lut(Lut::of(item, signed)?) })
    });
    let function = match group.text(tags::VOILUT_FUNCTION).as_deref() {
        Some("SIGMOID") => Function::Sigmoid,
        Some("LINEAR_EXACT") => Function::LinearExact,
        _ => Function::Linear,
    };
    let (centres, widths) = (group.numbers(tags::WINDOW_CENTER), group.numbers(tags::WINDOW_WIDTH));
    let names: Vec<String> = group.texts(tags::WINDOW_CENTER_WIDTH_EXPLANATION).collect();
    let windows = centres.iter().zip(widths).enumerate().filter_map(|(number, (centre, width))| {
        let window = Window { centre: *centre, width, function }.checked()?;
        Some(Preset { name: names.get(number).filter(|name| !name.is_empty()).cloned(), voi: Voi::Window(window) })
    });
    tables.chain(windows).collect()
}

/// Windows that are usual in CT, in Hounsfield units: name, centre, width.
pub const CT: [(&str, f64, f64); 10] = [
    ("abdomen", 40.0, 400.0),
    ("angiography", 300.0, 600.0),
    ("bone", 400.0, 1800.0),
    ("brain", 40.0, 80.0),
    ("liver", 60.0, 160.0),
    ("lung", -600.0, 1500.0),
    ("mediastinum", 50.0, 350.0),
    ("soft tissue", 50.0, 400.0),
    ("stroke", 35.0, 40.0),
    ("subdural", 75.0, 215.0),
];

/// A usual window of CT, by its name.
#[must_use]
pub fn ct(name: &str) -> Option<Window> {
    let found = CT.iter().find(|(known, ..)| *known == name);
    found.and_then(|(_, centre, width)| Window::linear(*centre, *width))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_window_is_that_of_the_standard() {
        // The examples of PS3.3 C.11.2.1.2.1: 2048 and 4096 leave twelve bits as they are.
        let window = Window::linear(2048.0, 4096.0).unwrap();
        for value in [0.0, 1.0, 1000.0, 4095.0] {
            assert!((window.shade(value) * 4095.0 - value).abs() < 1e-6);
        }
        // 2048 and 1 is a step.
        let step = Window::linear(2048.0, 1.0).unwrap();
        assert_eq!((step.shade(2047.0), step.shade(2048.0)), (0.0, 1.0));
        // 0 and 100.
        let window = Window::linear(0.0, 100.0).unwrap();
        assert_eq!((window.shade(-50.0), window.shade(49.0)), (0.0, 1.0));
        assert_eq!(Window::linear(0.0, 0.5), None);
        assert_eq!(Window::linear(f64::NAN, 5.0), None);
    }

    #[test]
    fn the_other_two_are_as_well() {
        let exact = Window { function: Function::LinearExact, ..Window::linear(0.0, 100.0).unwrap() };
        assert_eq!((exact.shade(-50.0), exact.shade(0.0), exact.shade(50.0)), (0.0, 0.5, 1.0));
        let sigmoid = Window { function: Function::Sigmoid, ..exact };
        assert_eq!(sigmoid.shade(0.0), 0.5);
        assert!((sigmoid.shade(25.0) - 0.731_058_578).abs() < 1e-6);
    }

    #[test]
    fn usual_windows_have_names() {
        assert_eq!(ct("lung"), Window::linear(-600.0, 1500.0));
        assert_eq!(ct("heart"), None);
        assert!(CT.is_sorted_by_key(|(name, ..)| name));
    }
}
