"""Pictures of every kind in images/, and vectors-images.json: the RGB that Pillow decodes and the sizes it makes of them."""
import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
import PIL
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).parent
FOLDER = HERE / "images"
WIDTH, HEIGHT = 23, 17


def picture(width=WIDTH, height=HEIGHT, seed=0):
    """Waves in colour, a hard edge and grain: every filter shows on it."""
    y, x = np.mgrid[0:height, 0:width]
    random = np.random.default_rng(seed)
    channels = [127 + 90 * np.cos(x / (3 + c) + y / (5 - c)) for c in range(3)]
    rgb = np.stack(channels, -1) + random.normal(0, 12, (height, width, 3))
    rgb[height // 3 : height // 2, width // 4 : width // 2] = [255, 0, 40]
    return np.clip(np.rint(rgb), 0, 255).astype(np.uint8)


def alpha(width=WIDTH, height=HEIGHT):
    y, x = np.mgrid[0:height, 0:width]
    return np.clip(x * 12 - y * 3, 0, 255).astype(np.uint8)


def over_white(rgba):
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def as_model_reads(data):
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        return over_white(image.convert("RGBA"))
    return image.convert("RGB")


def encode(image, format, **options):
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def png(samples, colour_type, bits):
    """A PNG of samples that Pillow cannot write: 16 bits a channel."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2").reshape(height, -1).view(np.uint8).reshape(height, -1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def bmp(rows, width, height, bits, compression=0, masks=b"", palette=b"", header=40, colours=0):
    """`rows`: bytes of each stored row, without padding; `height` < 0: the first row is the top one."""
    padded = b"".join(row + b"\0" * (-len(row) % 4) for row in rows)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(padded), 2835, 2835, colours, 0)
        info += masks.ljust(header - 40, b"\0") if header > 40 else masks
    offset = 14 + len(info) + len(palette)
    return struct.pack("<2sIHHI", b"BM", offset + len(padded), 0, 0, offset) + info + palette + padded


def bitmaps(rgb):
    height, width = rgb.shape[:2]
    bgr = rgb[..., ::-1]
    up = range(height - 1, -1, -1)
    wide = rgb.astype(np.uint32)
    x555 = ((wide[..., 0] >> 3) << 10 | (wide[..., 1] >> 3) << 5 | wide[..., 2] >> 3).astype("<u2")
    x565 = ((wide[..., 0] >> 3) << 11 | (wide[..., 1] >> 2) << 5 | wide[..., 2] >> 3).astype("<u2")
    x888 = (wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]).astype("<u4")
    argb = (x888 | alpha(width, height).astype(np.uint32) << 24).astype("<u4")
    red_last = (wide[..., 2] << 16 | wide[..., 1] << 8 | wide[..., 0]).astype("<u4")
    quantized = Image.fromarray(rgb).quantize(16)
    indices = np.asarray(quantized)
    entries = np.array(quantized.getpalette()[:48], np.uint8).reshape(-1, 3)[:, ::-1]
    palette4 = b"".join(bytes(entry) + b"\0" for entry in entries)
    palette3 = b"".join(bytes(entry) for entry in entries)
    nibbles = np.pad(indices, ((0, 0), (0, width % 2)))
    nibbles = nibbles[:, ::2] << 4 | nibbles[:, 1::2]
    ones = np.packbits(indices & 1, axis=1)
    mask = lambda *values: struct.pack(f"<{len(values)}I", *values)
    yield "bmp-1", bmp([ones[y].tobytes() for y in up], width, height, 1, palette=palette4[:8], colours=2)
    yield "bmp-4", bmp([nibbles[y].tobytes() for y in up], width, height, 4, palette=palette4, colours=16)
    yield "bmp-8", bmp([indices[y].tobytes() for y in up], width, height, 8, palette=palette4, colours=16)
    yield "bmp-8-core", bmp([indices[y].tobytes() for y in up], width, height, 8, palette=palette3 + bytes(240 * 3), header=12)
    yield "bmp-16", bmp([x555[y].tobytes() for y in up], width, height, 16)
    yield "bmp-16-565", bmp([x565[y].tobytes() for y in up], width, height, 16, 3, mask(0xF800, 0x07E0, 0x001F))
    yield "bmp-24", bmp([bgr[y].tobytes() for y in up], width, height, 24)
    yield "bmp-24-core", bmp([bgr[y].tobytes() for y in up], width, height, 24, header=12)
    yield "bmp-24-top-down", bmp([bgr[y].tobytes() for y in range(height)], width, -height, 24)
    yield "bmp-32", bmp([x888[y].tobytes() for y in up], width, height, 32)
    yield "bmp-32-masks", bmp([red_last[y].tobytes() for y in up], width, height, 32, 3, mask(0xFF, 0xFF00, 0xFF0000, 0), header=56)
    yield "bmp-32-alpha", bmp([argb[y].tobytes() for y in up], width, height, 32, 3, mask(0xFF0000, 0xFF00, 0xFF, 0xFF000000), header=108)


def files():
    rgb = picture()
    image = Image.fromarray(rgb)
    rgba = Image.fromarray(np.dstack([rgb, alpha()]))
    yield "rgb.png", encode(image, "PNG")
    yield "rgba.png", encode(rgba, "PNG")
    yield "grey.png", encode(image.convert("L"), "PNG")
    yield "grey-alpha.png", encode(rgba.convert("LA"), "PNG")
    yield "one-bit.png", encode(image.convert("1"), "PNG")
    yield "palette.png", encode(image.quantize(32), "PNG")
    yield "palette-transparent.png", encode(image.quantize(32), "PNG", transparency=3)
    yield "rgb-16.png", png(picture().astype(np.uint16) * 257 - picture(seed=1) // 2, 2, 16)
    yield "animated.png", encode(image, "PNG", save_all=True, append_images=[Image.fromarray(picture(seed=2))], default_image=False)
    for subsampling in (0, 1, 2):
        yield f"sampling-{subsampling}.jpg", encode(image, "JPEG", quality=90, subsampling=subsampling)
    yield "progressive.jpg", encode(image, "JPEG", quality=80, progressive=True)
    yield "grey.jpg", encode(image.convert("L"), "JPEG", quality=90)
    yield "cmyk.jpg", encode(image.convert("CMYK"), "JPEG", quality=95)
    for orientation in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield f"orientation-{orientation}.jpg", encode(image.resize((12, 9)), "JPEG", quality=90, subsampling=0, exif=exif)
    yield "lossless.webp", encode(image, "WEBP", lossless=True)
    yield "lossless-alpha.webp", encode(rgba, "WEBP", lossless=True, exact=True)
    yield "lossy.webp", encode(image, "WEBP", quality=80)
    yield "animated.webp", encode(image, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(picture(seed=2))])
    for name, data in bitmaps(rgb):
        yield f"{name}.bmp", data


RESAMPLING = {"nearest": Image.NEAREST, "bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "lanczos3": Image.LANCZOS}
SIZES = [(13, 9), (7, 17), (23, 6), (30, 21), (1, 1)]


def resized_by_torchvision(image, side):
    """torchvision.transforms.functional.resize with an int: the longer side is cut down to a whole number."""
    width, height = image.size
    short, long = min(width, height), max(width, height)
    new_long = int(side * long / short)
    return image.resize((side, new_long) if width <= height else (new_long, side), Image.BICUBIC)


def center_crop(image, height, width):
    """torchvision.transforms.functional.center_crop."""
    if width > image.width or height > image.height:
        left = (width - image.width) // 2 if width > image.width else 0
        top = (height - image.height) // 2 if height > image.height else 0
        right = (width - image.width + 1) // 2 if width > image.width else 0
        bottom = (height - image.height + 1) // 2 if height > image.height else 0
        image = ImageOps.expand(image, (left, top, right, bottom), 0)
    top = int(round((image.height - height) / 2.0))
    left = int(round((image.width - width) / 2.0))
    return image.crop((left, top, left + width, top + height))


def fitted(image):
    for side, crop in [(8, (8, 8)), (9, (9, 9)), (11, (8, 7)), (13, None), (12, (15, 20)), (12, (14, 5))]:
        result = resized_by_torchvision(image, side)
        result = center_crop(result, *crop) if crop else result
        yield {"resize": {"shorterSide": side}, "crop": crop, **code(result)}
    yield {"resize": {"exact": [10, 17]}, "crop": None, **code(image.resize((17, 10), Image.BICUBIC))}
    for crop in [(20, 28), (17, 22), (25, 33)]:
        yield {"resize": {}, "crop": crop, **code(center_crop(image, *crop))}


def code(image):
    return {"width": image.width, "height": image.height, "rgb": base64.b64encode(zlib.compress(image.tobytes(), 9)).decode()}


def main():
    FOLDER.mkdir(exist_ok=True)
    decoded = {}
    for name, data in files():
        (FOLDER / name).write_bytes(data)
        # Pillow knows five orders of masks; this is another, of the same picture.
        decoded[name] = code(Image.fromarray(picture()) if name == "bmp-32-masks.bmp" else as_model_reads(data))
    # Pillow turns 16-bit grey into 32-bit integers and clips them at 255; here the high byte counts, as it does in colour.
    grey16 = picture()[..., :1].astype(np.uint16) * 256 + 77
    (FOLDER / "grey-16.png").write_bytes(png(grey16, 0, 16))
    decoded["grey-16.png"] = code(Image.fromarray(np.repeat(grey16 >> 8, 3, -1).astype(np.uint8)))

    source = Image.fromarray(picture())
    resized = []
    for kernel, resampling in RESAMPLING.items():
        for width, height in SIZES:
            resized.append({"kernel": kernel, **code(source.resize((width, height), resampling))})
    vectors = {
        "versions": {"pillow": PIL.__version__, "numpy": np.__version__},
        "decoded": decoded,
        "source": code(source),
        "resized": resized,
        "fitted": list(fitted(source)),
    }
    (HERE / "vectors-images.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main()
