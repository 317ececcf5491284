"""Writes vectors-shared.json: hashes of what Pillow makes of photographs that are not committed.

Run: python make_shared.py FOLDER_OF_PICTURES
"""
import hashlib
import json
import pathlib
import sys

import PIL
from PIL import Image, ImageOps

from make_images import center_crop, resized_by_torchvision

HERE = pathlib.Path(__file__).parent


def digest(image):
    return hashlib.sha256(image.tobytes()).hexdigest()


def main(folder):
    pictures = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in (".jpg", ".png"):
            image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
            fitted = center_crop(resized_by_torchvision(image, 224), 224, 224)
            pictures[path.name] = {"decoded": digest(image), "fitted": digest(fitted)}
    vectors = {"versions": {"pillow": PIL.__version__}, "pictures": pictures}
    (HERE / "vectors-shared.json").write_text(json.dumps(vectors, indent=1) + "\n")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
