"""Writes images/, tokenizers/, audio/ and the three vectors-*.json beside it: what Pillow, Hugging Face tokenizers and
SciPy make of small files. Versions are recorded in the vectors.

Run: python make.py    (pillow, tokenizers, numpy, scipy)
"""
import make_audio
import make_images
import make_text

if __name__ == "__main__":
    make_images.main()
    make_text.main()
    make_audio.main()
