//! Enhanced CT: the head as one instance of many frames, which are made while they are written.

use dicom_core::VR;
use dicom_dictionary_std::{tags, uids};

use super::ct::{INTERCEPT, Scan, pixel_format};
use super::elements::Elements;
use super::file::{File, Pixels};
use super::study::Series;
use super::volume::{AXIAL, Stack};
use super::{Phantom, PhantomError, Sink};

const HEAD: Series = Series {
    folder: "1-axial",
    number: 1,
    description: "Head, axial, multi-frame",
    modality: "CT",
    sop_class: uids::ENHANCED_CT_IMAGE_STORAGE,
};

/// Nothing was acquired, and so none of what PS3.3 asks about the acquisition of an original is known.
const IMAGE_TYPE: &str = "DERIVED\\PRIMARY\\VOLUME\\NONE";

/// The Enhanced CT Image IOD (PS3.3 A.38.1).
pub(super) fn make(phantom: &Phantom, sink: &mut Sink<'_>) -> Result<(), PhantomError> {
    let size = phantom.size;
    let mut scan = Scan::of_head(phantom);
    let mut image = phantom.image(&HEAD, 1, "HEAD", IMAGE_TYPE);
    phantom.frame_of_reference(&mut image);
    kind_of_frame(&mut image);
    image.put_all(&[
        (tags::PATIENT_POSITION, VR::CS, "HFS"),
        (tags::CONTENT_QUALIFICATION, VR::CS, "RESEARCH"),
        (tags::PRESENTATION_LUT_SHAPE, VR::CS, "IDENTITY"),
        (tags::NUMBER_OF_FRAMES, VR::IS, &phantom.slices.to_string()),
    ]);
    image.items(tags::ACQUISITION_CONTEXT_SEQUENCE, []);
    dimensions(phantom, &mut image);
    image.item(tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE, |shared| shared_by_all(phantom, &scan.stack, shared));
    let frames = (1..=phantom.slices).map(|number| of_one(&scan.stack, number));
    image.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE, frames);
    image.pixel_format(&pixel_format(size, size));
    let make = &mut |frame: u32| {
        let number = u16::try_from(frame + 1).expect("there are no more than the slices");
        scan.slice(number)
    };
    let frames = phantom.slices.into();
    let pixels = Pixels { vr: VR::OW, frames, bytes_per_frame: u32::from(size).pow(2) * 2, make };
    sink(File::new(HEAD.file_name(1), image, Some(pixels))?)
}

/// The Common CT/MR and Photoacoustic Image Description macro (PS3.3 C.8.16.2), but for the image type.
fn kind_of_frame(elements: &mut Elements) {
    elements.put_all(&[
        (tags::PIXEL_PRESENTATION, VR::CS, "MONOCHROME"),
        (tags::VOLUMETRIC_PROPERTIES, VR::CS, "VOLUME"),
        (tags::VOLUME_BASED_CALCULATION_TECHNIQUE, VR::CS, "NONE"),
    ]);
}

/// Frames are ordered by their place in the one stack (PS3.3 C.7.6.17).
fn dimensions(phantom: &Phantom, image: &mut Elements) {
    let organization = phantom.uid("dimension organization");
    let name = |item: &mut Elements| item.put(tags::DIMENSION_ORGANIZATION_UID, VR::UI, organization.as_str());
    image.item(tags::DIMENSION_ORGANIZATION_SEQUENCE, name);
    let indices = [tags::STACK_ID, tags::IN_STACK_POSITION_NUMBER].map(|index| {
        let mut item = Elements::new();
        name(&mut item);
        item.pointer(tags::DIMENSION_INDEX_POINTER, index);
        item.pointer(tags::FUNCTIONAL_GROUP_POINTER, tags::FRAME_CONTENT_SEQUENCE);
        item
    });
    image.items(tags::DIMENSION_INDEX_SEQUENCE, indices);
}

fn shared_by_all(phantom: &Phantom, stack: &Stack, shared: &mut Elements) {
    shared.item(tags::PIXEL_MEASURES_SEQUENCE, |item| {
        item.decimals(tags::SLICE_THICKNESS, &[stack.thickness()]);
        item.decimals(tags::PIXEL_SPACING, &[stack.plane.spacing(); 2]);
    });
    shared.item(tags::PLANE_ORIENTATION_SEQUENCE, |item| item.decimals(tags::IMAGE_ORIENTATION_PATIENT, &AXIAL));
    shared.item(tags::FRAME_ANATOMY_SEQUENCE, |item| {
        item.put(tags::FRAME_LATERALITY, VR::CS, "U");
        item.code(tags::ANATOMIC_REGION_SEQUENCE, ["69536005", "SCT", "Head"]);
    });
    shared.item(tags::FRAME_VOILUT_SEQUENCE, |item| {
        item.put(tags::WINDOW_CENTER, VR::DS, "40");
        item.put(tags::WINDOW_WIDTH, VR::DS, "80");
    });
    shared.item(tags::PIXEL_VALUE_TRANSFORMATION_SEQUENCE, |item| {
        item.decimals(tags::RESCALE_INTERCEPT, &[INTERCEPT]);
        item.put(tags::RESCALE_SLOPE, VR::DS, "1");
        item.put(tags::RESCALE_TYPE, VR::LO, "HU");
    });
    shared.item(tags::IRRADIATION_EVENT_IDENTIFICATION_SEQUENCE, |item| {
        item.put(tags::IRRADIATION_EVENT_UID, VR::UI, phantom.uid("irradiation that never was").as_str());
    });
    shared.item(tags::CT_IMAGE_FRAME_TYPE_SEQUENCE, |item| {
        item.put(tags::FRAME_TYPE, VR::CS, IMAGE_TYPE);
        kind_of_frame(item);
    });
}

fn of_one(stack: &Stack, number: u16) -> Elements {
    let mut frame = Elements::new();
    frame.item(tags::FRAME_CONTENT_SEQUENCE, |item| {
        item.short(tags::FRAME_ACQUISITION_NUMBER, 1);
        item.put(tags::STACK_ID, VR::SH, "1");
        item.longs(tags::IN_STACK_POSITION_NUMBER, &[number.into()]);
        item.longs(tags::DIMENSION_INDEX_VALUES, &[1, number.into()]);
    });
    frame.item(tags::PLANE_POSITION_SEQUENCE, |item| {
        item.decimals(tags::IMAGE_POSITION_PATIENT, &stack.position(number));
    });
    frame
}
