"""Recomputes the MACs of a Key Object Selection from the files themselves, with pydicom and hashlib and nothing of ours.

macs.py DOCUMENT FOLDER STREAMS: exits with 0 when each listed instance is in FOLDER and has the MAC that DOCUMENT says. What each MAC
was made of is left in STREAMS, under the SOP Instance UID.
"""

import hashlib
import struct
import sys
from array import array
from pathlib import Path

from pydicom import dcmread
from pydicom.charset import default_encoding
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.uid import ExplicitVRLittleEndian


def items(value):
    """The items of encapsulated pixels, the offset table first."""
    at = 0
    while at < len(value):
        group, element, length = struct.unpack_from("<HHL", value, at)
        if (group, element) == (0xFFFE, 0xE0DD):
            return
        assert (group, element) == (0xFFFE, 0xE000), hex(element)
        yield value[at + 8 : at + 8 + length]
        at += 8 + length


def pixels(dataset, tag):
    is_implicit, is_little = dataset.original_encoding
    value = dataset[tag].value
    head = struct.pack("<HH", tag.group, tag.element)
    if dataset.file_meta.TransferSyntaxUID.is_compressed and not dataset.file_meta.TransferSyntaxUID.is_deflated:
        item = struct.pack("<HH", 0xFFFE, 0xE000)
        parts = b"".join(item + part for part in items(value))
        return head + b"OB\0\0" + parts + struct.pack("<HH", 0xFFFE, 0xE0DD)
    vr = "OW" if is_implicit else dataset[tag].VR
    if not is_little and vr == "OW":
        words = array("H", value)
        words.byteswap()
        value = words.tobytes()
    value += b"\0" * (len(value) % 2)
    return head + vr.encode() + b"\0\0" + struct.pack("<L", len(value)) + value


def element(dataset, tag):
    if tag.group == 0x7FE0:
        return pixels(dataset, tag)
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, dataset[tag], [default_encoding])
    return buffer.getvalue()


def main(document, folder, streams):
    files = {}
    for path in Path(folder).rglob("*"):
        if path.is_file():
            dataset = dcmread(path)
            files[dataset.SOPInstanceUID] = dataset
    count = with_pixels = 0
    for study in dcmread(document).CurrentRequestedProcedureEvidenceSequence:
        for series in study.ReferencedSeriesSequence:
            for listed in series.ReferencedSOPSequence:
                said = listed.ReferencedSOPInstanceMACSequence[0]
                dataset = files[listed.ReferencedSOPInstanceUID]
                assert dataset.SOPClassUID == listed.ReferencedSOPClassUID
                assert dataset.SeriesInstanceUID == series.SeriesInstanceUID
                assert dataset.StudyInstanceUID == study.StudyInstanceUID
                syntax = dataset.file_meta.TransferSyntaxUID
                encapsulated = syntax.is_compressed and not syntax.is_deflated and "PixelData" in dataset
                assert said.MACCalculationTransferSyntaxUID == (syntax if encapsulated else ExplicitVRLittleEndian)
                assert said.MACAlgorithm == "SHA256"
                signed = list(said.DataElementsSigned)
                assert signed == sorted(signed) and (0x0008, 0x0018) in signed
                assert ("PixelData" in dataset) == ((0x7FE0, 0x0010) in signed)
                stream = b"".join(element(dataset, tag) for tag in signed)
                (Path(streams) / listed.ReferencedSOPInstanceUID).write_bytes(stream)
                assert hashlib.sha256(stream).digest() == said.MAC, listed.ReferencedSOPInstanceUID
                count += 1
                with_pixels += "PixelData" in dataset
    print(f"{count} MACs agree, {with_pixels} of them with pixels")


main(*sys.argv[1:])
