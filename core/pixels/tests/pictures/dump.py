"""Decodes each file named on standard input with pydicom: a line of JSON, then the samples of all frames as 64-bit integers or floats."""

import json
import sys

import numpy
import pydicom
from pydicom.pixels import pixel_array


def number(value):
    return [float(one) for one in (value if isinstance(value, pydicom.multival.MultiValue) else [value])]


def attributes(dataset):
    keep = {}
    for name in ("WindowCenter", "WindowWidth", "PixelSpacing", "ImagePositionPatient", "Rows", "Columns"):
        value = dataset.get(name)
        if value not in (None, ""):
            keep[name] = number(value)
    for name in (
        "SamplesPerPixel", "BitsAllocated", "BitsStored", "PixelRepresentation", "PlanarConfiguration", "NumberOfFrames",
    ):
        try:
            value = dataset.get(name)
            if value not in (None, ""):
                keep[name] = number(value)
        except (TypeError, ValueError):
            pass  # what is no number is as good as none
    for name in ("SOPInstanceUID", "FrameOfReferenceUID", "PhotometricInterpretation"):
        value = dataset.get(name)
        if value not in (None, ""):
            keep[name] = str(value)
    return keep


def main():
    out = sys.stdout.buffer
    for line in sys.stdin:
        path = line.rstrip("\n")
        array, head = None, {}
        try:
            dataset = pydicom.dcmread(path, force=True)
            head = attributes(dataset)
            array = pixel_array(dataset)
        except Exception as error:  # whatever it is, it is the answer
            head["error"] = type(error).__name__
        if array is not None:
            kind = "f" if array.dtype.kind == "f" else "i"
            head["kind"] = kind
            head["count"] = int(array.size)
            array = numpy.ascontiguousarray(array, dtype="<f8" if kind == "f" else "<i8")
        out.write(json.dumps(head).encode() + b"\n")
        if array is not None:
            out.write(array.tobytes())
        out.flush()


main()
