#!/usr/bin/env python3
"""What PIL makes of small images: decoded files, resized, cropped and recoloured pictures.

  images_reference.py FILE    writes FILE (tests/data/images.safetensors)

Names: "file.X" the bytes of an encoded image, "rgb.X", "grey.X" and "stored.X" its pixels [C, H, W];
"picture.N" a source, "resize.N.FILTER.HxW", "bright.FACTOR" ... what the transforms of that name make of one.
Colours are changed as torchvision's functions on PIL images do it. Needs numpy, safetensors, and pillow 11: pillow 13
sometimes resizes the columns before the rows, which changes pixels by one level.
"""
import io
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from safetensors.numpy import save_file

rng = np.random.default_rng(7)


def picture(h, w):
    """Waves, an edge and noise, so that filters show their differences."""
    y, x = np.mgrid[0:h, 0:w]
    rgb = np.stack([127 + 120 * np.sin(x / 3.0 + y / 7.0), (x * 255 // max(w - 1, 1)) * np.ones_like(y),
                    255.0 * ((x + 2 * y) % 17 < 8)], -1)
    rgb += rng.normal(0, 12, rgb.shape)
    return Image.fromarray(rgb.clip(0, 255).astype(np.uint8))


def chw(im):
    a = np.asarray(im)
    a = a.astype(np.uint8) if a.dtype == bool else a
    return np.ascontiguousarray(a[None] if a.ndim == 2 else a.transpose(2, 0, 1))


def encode(im, fmt, **options):
    f = io.BytesIO()
    im.save(f, fmt, **options)
    return f.getvalue()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(w, h, depth, colour, interlace, rows, extra=b""):
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour, 0, 0, interlace)) +
            extra + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows))) + chunk(b"IEND", b""))


def interlaced(im):
    """Adam7, which PIL reads and does not write."""
    a, rows = np.asarray(im), []
    for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]:
        part = a[y0::dy, x0::dx]
        if part.shape[1]:
            rows += [r.tobytes() for r in part]
    return raw_png(im.width, im.height, 8, 2, 1, rows)


out = {}


def add(name, file, stored=None, orient=False):
    im = Image.open(io.BytesIO(file))
    im = ImageOps.exif_transpose(im) if orient else im
    out["file." + name] = np.frombuffer(file, np.uint8)
    rgb = im.convert("RGB")
    out["rgb." + name] = chw(rgb)
    out["grey." + name] = chw(im if im.mode == "L" else rgb.convert("L"))
    if stored is not None:
        out["stored." + name] = chw(stored)


small = picture(9, 13)
rgba = small.copy()
rgba.putalpha(Image.fromarray(rng.integers(0, 256, (9, 13), dtype=np.uint8)))
add("png_rgb", encode(small, "PNG"), small)
add("png_grey", encode(small.convert("L"), "PNG"), small.convert("L"))
add("png_rgba", encode(rgba, "PNG"), rgba)
add("png_la", encode(rgba.convert("LA"), "PNG"), rgba.convert("LA"))
add("png_palette", encode(small.quantize(11), "PNG"), small.quantize(11).convert("RGB"))
add("png_two_colours", encode(small.quantize(2), "PNG"), small.quantize(2).convert("RGB"))
transparent = encode(small.quantize(11), "PNG", transparency=3)
add("png_palette_alpha", transparent, Image.open(io.BytesIO(transparent)).convert("RGBA"))
add("png_bits", encode(small.convert("1"), "PNG"), small.convert("1").convert("L"))
add("png_interlaced", interlaced(small), small)
# 16 bits: PIL keeps them in grey images and cuts them off in colours; the rounded values are written down here.
wide = rng.integers(0, 65536, (9, 13, 3)).astype(np.uint16)
rounded = Image.fromarray(((wide.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8))
out["file.png_16"] = np.frombuffer(raw_png(13, 9, 16, 2, 0, [r.astype(">u2").tobytes() for r in wide]), np.uint8)
out["rgb.png_16"] = out["stored.png_16"] = chw(rounded)
out["grey.png_16"] = chw(rounded.convert("L"))
two_bits = rng.integers(0, 4, (5, 8)).astype(np.uint8)
packed = [bytes(int(r[i] << 6 | r[i + 1] << 4 | r[i + 2] << 2 | r[i + 3]) for i in (0, 4)) for r in two_bits]
add("png_2bits", raw_png(8, 5, 2, 0, 0, packed), Image.fromarray(two_bits * 85))

photo = picture(21, 30)
add("jpeg_420", encode(photo, "JPEG", quality=85))
add("jpeg_444", encode(photo, "JPEG", quality=95, subsampling=0))
add("jpeg_progressive", encode(photo, "JPEG", quality=80, progressive=True))
grey = encode(photo.convert("L"), "JPEG")
add("jpeg_grey", grey, Image.open(io.BytesIO(grey)))
add("jpeg_cmyk", encode(photo.convert("CMYK"), "JPEG", quality=95))
for i in range(1, 9):
    exif = Image.Exif()
    exif[0x0112] = i
    add(f"jpeg_turned_{i}", encode(picture(5, 11), "JPEG", exif=exif), orient=True)
exif = Image.Exif()
exif[0x0112] = 6
add("png_turned", encode(small, "PNG", exif=exif), orient=True)

pictures = [picture(19, 31), picture(34, 15).convert("L")]
filters = {"nearest": Image.NEAREST, "box": Image.BOX, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC,
           "lanczos": Image.LANCZOS}
for n, p in enumerate(pictures):
    out[f"picture.{n}"] = chw(p)
    for name, f in filters.items():
        for h, w in [(10, 12), (26, 40), (7, p.width), (1, 1)]:
            out[f"resize.{n}.{name}.{h}x{w}"] = chw(p.resize((w, h), f))
p = pictures[0]
for f in (0.0, 0.3, 1.0, 1.7):
    out[f"brightness.{f}"] = chw(ImageEnhance.Brightness(p).enhance(f))
    out[f"contrast.{f}"] = chw(ImageEnhance.Contrast(p).enhance(f))
    out[f"saturation.{f}"] = chw(ImageEnhance.Color(p).enhance(f))
for shift in (-0.5, -0.13, 0.0, 0.02, 0.4):
    h, s, v = p.convert("HSV").split()
    turned = np.asarray(h).astype(np.int32) + int(shift * 255)
    out[f"hue.{shift}"] = chw(Image.merge("HSV", (Image.fromarray((turned % 256).astype(np.uint8)), s, v)).convert("RGB"))
out["grayscale"] = chw(p.convert("L"))
save_file(out, sys.argv[1])
