//! Photographs of our codes, as telephones take them: of twenty of each kind nineteen are read, and none as something else.
//!
//! `CLAVICLE_PHOTOGRAPHS=FOLDER cargo test -p clavicle-letters --features pictures photographs` leaves them there, to be looked at, or to be read by another program.

use std::fs;
use std::time::{Duration, Instant};

use clavicle_letters::code::{self, Code, PictureError};

use crate::camera::{Modules, Photograph, Random};
use crate::vectors::{card, pickup};

/// How long reading one may take here, where everything is checked twice and two tests share a core.
const LONG: Duration = Duration::from_secs(30);

/// The photograph of this number: all are askew, blurred, noisy and unevenly lit, and each has besides what makes it hard.
fn photograph(number: usize, code: &Modules, seed: u64) -> Photograph {
    let mut random = Random(seed);
    let r = |random: &mut Random, most: f32| random.between(-most, most);
    let (width, height) = if number % 10 == 8 { (3200, 2400) } else { (1600, 1200) };
    // It fills half of the picture or more: with less of it whoever holds the telephone comes nearer.
    let fills = random.between(0.5, 0.72) * height as f32 / code.side as f32;
    let module = if number % 10 == 8 { random.between(4.2, 5.2) } else { fills };
    let mut photograph = Photograph {
        turned: r(&mut random, 12.0),
        leans: (r(&mut random, 18.0), r(&mut random, 18.0)),
        aside: (r(&mut random, 0.06), r(&mut random, 0.06)),
        bends: random.between(0.0, 0.35),
        blur: random.between(0.5, 0.9),
        ink: random.between(0.08, 0.2),
        paper: random.between(0.75, 0.92),
        uneven: random.between(0.15, 0.4),
        noise: random.between(3.0, 7.0),
        quality: 70 + (number % 4) as u8 * 5,
        progressive: number % 5 == 1,
        seed: seed ^ 1,
        ..Photograph::usual((width, height), module, 0.0)
    };
    let p = &mut photograph;
    match number % 10 {
        // From the side.
        1 => p.leans = (if number < 10 { 36.0 } else { -34.0 }, 12.0),
        // Out of focus, or moved.
        2 if number < 10 => p.blur = module * 0.3,
        2 => p.moved = module * 0.55,
        // In a dark room.
        3 => {
            p.noise = 17.0;
            (p.ink, p.paper) = (0.06, 0.5);
        }
        // Half in a shadow.
        4 => {
            p.shadow = 0.42;
            p.uneven = 0.5;
        }
        // On a screen, whose lines show.
        5 => p.screen = (0.45, if number < 10 { 1.7 } else { 2.6 }),
        // Faded.
        6 => (p.ink, p.paper) = (0.42, 0.62),
        // A lamp is mirrored.
        7 => p.glare = if number < 10 { 0.04 } else { 0.055 },
        // Sent through something that saves.
        9 => p.quality = 30,
        _ => {}
    }
    // Turned as it lies on the table.
    match number {
        10 => p.turned = 45.0,
        12 => p.turned = 180.0,
        14 => p.turned = 90.0,
        15 => p.turned = -60.0,
        19 => p.turned = 30.0,
        _ => {}
    }
    photograph
}

/// Takes twenty, and reads them.
fn twenty(kind: &str, text: &str) {
    let modules = Modules::of(text);
    let mut read = 0;
    for number in 0..20 {
        let photograph = photograph(number, &modules, 0xc1a5 + number as u64);
        let jpeg = photograph.of(&modules);
        if let Some(folder) = std::env::var_os("CLAVICLE_PHOTOGRAPHS") {
            fs::write(std::path::Path::new(&folder).join(format!("{kind}-{number:02}.jpg")), &jpeg).unwrap();
        }
        let from = Instant::now();
        let said = code::from_picture(&jpeg);
        let took = from.elapsed();
        println!(
            "{kind} {number:>2}, {} modules of {:.1} pixels: {} after {took:.1?}",
            modules.side,
            photograph.module,
            said.as_ref().map_or_else(ToString::to_string, |_| "read".to_owned())
        );
        assert!(took < LONG, "{kind} {number}: {took:?}");
        match said {
            Ok(said) => {
                assert_eq!(said, text, "{kind} {number} was read, and wrong");
                read += 1;
            }
            Err(PictureError::NoCode | PictureError::Unreadable) => {}
            Err(error) => panic!("{kind} {number}: {error}"),
        }
    }
    assert!(read >= 19, "{kind}: {read} of 20");
}

#[test]
fn a_pickups_code_is_read() {
    twenty("pickup", &code::to_text(&pickup()));
}

#[test]
fn a_card_is_read() {
    twenty("card", &code::to_text(&card(10..11, "Dr Rossi", "brain MR, five years", &[4, 5])));
}

#[test]
fn the_largest_card_is_read() {
    twenty("largest", &largest());
}

fn largest() -> String {
    code::to_text(&card(10..18, &"ü".repeat(32), &"w".repeat(128), &[4, 5]))
}

/// Two cards in one photograph: whoever laid them there would choose.
#[test]
fn of_two_codes_none_is_taken() {
    let (mine, theirs) = (Modules::of(&code::to_text(&pickup())), Modules::of(&largest()));
    let plain = Photograph { leans: (5.0, -8.0), turned: 4.0, ..photograph(0, &mine, 7) };
    for (left, right) in [(&mine, &theirs), (&theirs, &mine), (&mine, &mine)] {
        let of = |code: &Modules, aside: f32| Photograph {
            module: 480.0 / code.side as f32,
            aside: (aside, 0.0),
            ..plain.clone()
        };
        let both = of(left, -0.24).beside(left, &of(right, 0.24), right);
        let said = code::from_picture(&both);
        assert!(matches!(said, Err(PictureError::Several(2))), "{said:?}");
    }
}

/// What is in a photograph by chance is no code.
#[test]
fn where_no_code_is_none_is_read() {
    let modules = Modules::of(&code::to_text(&pickup()));
    // Far too small, and far too blurred.
    for (module, blur) in [(0.7, 0.5), (8.0, 9.0)] {
        let photograph = Photograph { module, blur, ..photograph(0, &modules, 3) };
        let from = Instant::now();
        let said = code::from_picture(&photograph.of(&modules));
        println!("no code after {:.1?}", from.elapsed());
        assert!(from.elapsed() < LONG);
        assert!(matches!(said, Err(PictureError::NoCode | PictureError::Unreadable)), "{said:?}");
    }
}

fn kind_of<C: Code>(said: Result<String, PictureError>) -> C {
    code::from_text(&said.unwrap()).unwrap()
}

/// The same code out of every format that is read.
#[test]
fn a_photograph_may_be_jpeg_webp_or_png() {
    let text = code::to_text(&pickup());
    // Drawn by this crate, and written as WebP by `cwebp -q 60` and as a JPEG of four inks by hand of this test.
    let lossy = fs::read(crate::vectors::folder().join("pickup.webp")).unwrap();
    assert_eq!(kind_of::<clavicle_letters::pickup::PickupCode>(code::from_picture(&lossy)), pickup());
    let mut reader = png::Decoder::new(std::io::Cursor::new(code::to_png(&text).unwrap())).read_info().unwrap();
    let mut shades = vec![0; reader.output_buffer_size().unwrap()];
    let side = reader.next_frame(&mut shades).unwrap().width;
    let mut webp = Vec::new();
    image_webp::WebPEncoder::new(&mut webp).encode(&shades, side, side, image_webp::ColorType::L8).unwrap();
    assert_eq!(code::from_picture(&webp).unwrap(), text);
    let encode = |colours: &[u8], kind: jpeg_encoder::ColorType, progressive: bool| {
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
        encoder.set_progressive(progressive);
        encoder.encode(colours, side as u16, side as u16, kind).unwrap();
        jpeg
    };
    let three: Vec<u8> = shades.iter().flat_map(|shade| [*shade; 3]).collect();
    let inks: Vec<u8> = shades.iter().flat_map(|shade| [0, 0, 0, 255 - shade]).collect();
    for progressive in [false, true] {
        assert_eq!(code::from_picture(&encode(&shades, jpeg_encoder::ColorType::Luma, progressive)).unwrap(), text);
        assert_eq!(code::from_picture(&encode(&three, jpeg_encoder::ColorType::Rgb, progressive)).unwrap(), text);
    }
    assert_eq!(code::from_picture(&encode(&inks, jpeg_encoder::ColorType::Cmyk, false)).unwrap(), text);
}

/// A few bytes may claim a picture that no memory holds.
#[test]
fn a_picture_that_would_take_too_much_memory_is_refused_by_its_first_bytes() {
    let jpeg = |progressive: bool, width: u16, height: u16| {
        let mut jpeg = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut jpeg, 80);
        encoder.set_progressive(progressive);
        encoder.encode(&[128; 64 * 64 * 3], 64, 64, jpeg_encoder::ColorType::Rgb).unwrap();
        let frame = if progressive { 0xc2 } else { 0xc0 };
        let at = jpeg.windows(2).position(|two| two == [0xff, frame]).unwrap();
        jpeg[at + 5..at + 7].copy_from_slice(&height.to_be_bytes());
        jpeg[at + 7..at + 9].copy_from_slice(&width.to_be_bytes());
        jpeg
    };
    let webp = |tag: &[u8], chunk: &[u8]| {
        let chunk = [tag, &(chunk.len() as u32).to_le_bytes(), chunk].concat();
        [b"RIFF".as_slice(), &(chunk.len() as u32 + 4).to_le_bytes(), b"WEBP", &chunk].concat()
    };
    let vp8 =
        [&[0x10, 0, 0, 0x9d, 0x01, 0x2a][..], &16_000u16.to_le_bytes(), &16_000u16.to_le_bytes(), &[0; 8]].concat();
    let vp8l = [&[0x2f][..], &(15_999u32 | 15_999 << 14).to_le_bytes(), &[0; 8]].concat();
    // A small canvas with something large in it.
    let canvas = [&[0; 4][..], &[9, 0, 0, 9, 0, 0]].concat();
    let mut hidden = webp(b"VP8X", &canvas);
    hidden.extend([b"VP8 ".as_slice(), &(vp8.len() as u32).to_le_bytes(), &vp8].concat());
    let all =
        [jpeg(false, 65_000, 65_000), jpeg(true, 8_000, 8_000), webp(b"VP8 ", &vp8), webp(b"VP8L", &vp8l), hidden];
    for (number, picture) in all.iter().enumerate() {
        let refused = code::from_picture(picture).unwrap_err();
        assert!(matches!(refused, PictureError::TooManyPixels { .. }), "{number}: {refused:?}");
        assert!(refused.to_string().contains("cut it to the code"), "{refused}");
    }
}

#[test]
fn a_picture_that_is_not_read_is_called_what_it_is_and_what_to_do_is_said() {
    let heic = [&[0, 0, 0, 24][..], b"ftypheic\0\0\0\0mif1heic", &[0; 100]].concat();
    assert!(code::is_picture(&heic));
    let said = code::from_picture(&heic).unwrap_err().to_string();
    assert!(said.starts_with("the picture is a HEIC file, which is not read here: take a screenshot of it"), "{said}");
    assert!(said.contains("Most Compatible"), "{said}");
    let avif = [&[0, 0, 0, 24][..], b"ftypavif\0\0\0\0mif1avif", &[0; 100]].concat();
    for (bytes, name) in
        [(&avif[..], "AVIF"), (b"GIF89a-------", "GIF"), (b"%PDF-1.7 ----", "PDF"), (b"II*\0----", "TIFF")]
    {
        let said = code::from_picture(bytes).unwrap_err().to_string();
        assert!(said.contains(&format!("is a {name} file")) && said.contains("take a screenshot"), "{said}");
    }
    for other in [&b"CLAVICLE:CARD:AA"[..], b"", b"\0\0\0\x18ftypisom\0\0\0\0isommp42"] {
        assert!(!code::is_picture(other));
    }
    // Cut off, and something else behind a beginning that is right.
    let jpeg = photograph(0, &Modules::of("A"), 1).of(&Modules::of("A"));
    for bytes in [&jpeg[..200], &b"\xff\xd8\xff\xe0 and so on"[..], b"RIFF\x10\0\0\0WEBPVP8 \0\0\0\0"] {
        let said = code::from_picture(bytes).unwrap_err();
        assert!(matches!(said, PictureError::Damaged(..)), "{said:?}");
    }
}
