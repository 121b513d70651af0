//! Codestreams of which the test data have none: High-Throughput JPEG 2000, made here and read by OpenJPEG as well, and JPEG XL, made by its
//! reference implementation.

use std::fs;
use std::path::Path;

use clavicle_pixels::lack::{Lack, Wholeness, wholeness};
use openjph_core::codestream::Codestream;
use openjph_core::file::MemOutfile;
use openjph_core::types::{Point, Size};

use crate::made::{Image, open_file};
use crate::oracle::{Oracle, run};
use crate::pydicom::{samples, verdict};

/// Something with edges, slopes and noise; the same each time.
fn scene(rows: u16, columns: u16, bits: u32, samples: u16) -> Vec<u16> {
    let mut seed = 7_u32;
    let mut values = Vec::new();
    for row in 0..u32::from(rows) {
        for column in 0..u32::from(columns) {
            for sample in 0..u32::from(samples) {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let slope = (row * 3 + column * (sample + 1)) << (bits - 8);
                let edge = if (row / 16 + column / 16) % 2 == 0 { 1 << (bits - 2) } else { 0 };
                values.push(((slope + edge + (seed >> 28)) & ((1 << bits) - 1)) as u16);
            }
        }
    }
    values
}

fn bytes(values: &[u16], bits: u32) -> Vec<u8> {
    if bits <= 8 {
        values.iter().map(|value| *value as u8).collect()
    } else {
        values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

fn written(folder: &Path, name: &str, image: &Image, codestream: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    fs::write(&path, image.encapsulated(codestream)).unwrap();
    path
}

/// Encodes with a translation of OpenJPH, which has nothing in common with what decodes here.
fn high_throughput(values: &[i32], rows: u32, columns: u32, count: u32, bits: u32, signed: bool) -> Vec<u8> {
    let mut stream = Codestream::new();
    stream.access_siz_mut().set_image_extent(Point::new(columns, rows));
    stream.access_siz_mut().set_tile_size(Size::new(columns, rows));
    stream.access_siz_mut().set_num_components(count);
    for component in 0..count {
        stream.access_siz_mut().set_comp_info(component, Point::new(1, 1), bits, signed);
    }
    stream.access_cod_mut().set_num_decomposition(3);
    stream.access_cod_mut().set_reversible(true);
    stream.access_cod_mut().set_color_transform(false);
    stream.access_cod_mut().set_block_dims(64, 64);
    stream.set_planar(0);
    let mut out = MemOutfile::new();
    stream.write_headers(&mut out, &[]).unwrap();
    for row in values.chunks_exact((columns * count) as usize) {
        for component in 0..count {
            let line: Vec<i32> = row.iter().skip(component as usize).step_by(count as usize).copied().collect();
            stream.exchange(&line, component).unwrap();
        }
    }
    stream.flush(&mut out).unwrap();
    out.get_data().to_vec()
}

#[test]
fn high_throughput_jpeg_2000() {
    let folder = tempfile::tempdir().unwrap();
    let mut oracle = Oracle::start();
    for (rows, columns, bits, count, signed) in [
        (61, 83, 8, 1, false),
        (64, 64, 12, 1, false),
        (100, 70, 16, 1, false),
        (64, 96, 12, 1, true),
        (50, 40, 8, 3, false),
    ] {
        let scene = scene(rows, columns, bits, count);
        let wanted: Vec<i32> = scene
            .iter()
            .map(|value| {
                let unused = 16 - bits;
                if signed { i32::from((value << unused).cast_signed() >> unused) } else { i32::from(*value) }
            })
            .collect();
        let codestream = high_throughput(&wanted, rows.into(), columns.into(), count.into(), bits, signed);
        let image = Image {
            transfer_syntax: "1.2.840.10008.1.2.4.201",
            samples_per_pixel: count,
            photometric: if count == 3 { "RGB" } else { "MONOCHROME2" },
            signed,
            ..Image::grey(rows, columns, if bits > 8 { 16 } else { 8 }, bits as u16)
        };
        let path = written(folder.path(), "ht.dcm", &image, &codestream);
        let verdict = verdict(&mut oracle, &path);
        println!("{rows} × {columns} of {bits} bits, {count} samples, signed {signed}: {verdict}");
        let wanted: Vec<f64> = wanted.into_iter().map(f64::from).collect();
        assert!(samples(&mut open_file(&path).unwrap(), 0).unwrap() == wanted, "not as it was");
        assert_eq!(verdict, "agreed: 1 frames, equal");
    }
}

#[test]
fn jpeg_xl() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, coded) = (folder.path().join("in.pnm"), folder.path().join("out.jxl"));
    for (bits, count) in [(8, 1), (8, 3), (16, 1)] {
        let (rows, columns) = (70, 90);
        let scene = scene(rows, columns, bits, count);
        let head = format!("P{}\n{columns} {rows}\n{}\n", if count == 3 { 6 } else { 5 }, (1_u32 << bits) - 1);
        let pixels: Vec<u8> =
            if bits > 8 { scene.iter().flat_map(|value| value.to_be_bytes()).collect() } else { bytes(&scene, bits) };
        fs::write(&plain, [head.as_bytes(), &pixels].concat()).unwrap();
        run("cjxl", &[&plain, &coded, &"-d", &"0", &"--quiet"]);
        let image = Image {
            transfer_syntax: "1.2.840.10008.1.2.4.110",
            samples_per_pixel: count,
            photometric: if count == 3 { "RGB" } else { "MONOCHROME2" },
            ..Image::grey(rows, columns, if bits > 8 { 16 } else { 8 }, bits as u16)
        };
        let path = written(folder.path(), "xl.dcm", &image, &fs::read(&coded).unwrap());
        let ours = samples(&mut open_file(&path).unwrap(), 0).unwrap();
        let most = ours.iter().zip(&scene).map(|(ours, wanted)| (ours - f64::from(*wanted)).abs()).fold(0.0, f64::max);
        assert!(ours.len() == scene.len() && most == 0.0, "{bits} bits, {count} samples: {most} apart");
    }
}

/// Of codestreams of JPEG XL nobody asked whether they were whole.
#[test]
fn a_codestream_of_jpeg_xl_that_ends_too_early_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, coded) = (folder.path().join("scene.pgm"), folder.path().join("scene.jxl"));
    let (rows, columns) = (300, 280);
    let pixels = bytes(&scene(rows, columns, 8, 1), 8);
    fs::write(&plain, [format!("P5\n{columns} {rows}\n255\n").as_bytes(), &pixels].concat()).unwrap();
    let image = Image { transfer_syntax: "1.2.840.10008.1.2.4.110", ..Image::grey(rows, columns, 8, 8) };
    // Bare, and in a container.
    for container in ["--container=0", "--container=1"] {
        run("cjxl", &[&plain, &coded, &"-d", &"0", &container, &"--quiet"]);
        let whole = fs::read(&coded).unwrap();
        let seen = |codestream: &[u8]| {
            let file = image.encapsulated(codestream);
            wholeness(std::io::Cursor::new(&file), file.len() as u64)
        };
        assert_eq!(seen(&whole), Wholeness::Whole, "{container}");
        for end in [12, whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10, whole.len() - 4] {
            let end = end.next_multiple_of(2).min(whole.len() - 2);
            let seen = seen(&whole[..end]);
            assert!(matches!(seen, Wholeness::Lacking(Lack::CutOff(1))), "{container} {end}: {seen:?}");
        }
    }
}
