"""Signatures by the reference implementation, PyPI model-signing 1.1.1 (with pyOpenSSL): P-256, P-384 and P-521, over three small files.

    pip install model-signing==1.1.1 pyOpenSSL && python make.py
"""
import json
import pathlib
import shutil
import subprocess

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

here = pathlib.Path(__file__).parent
model = here / 'model'
shutil.rmtree(model, ignore_errors=True)
(model / 'sub').mkdir(parents=True)
(model / 'a.txt').write_text('a\n')
(model / 'sub' / 'b.bin').write_bytes(bytes(range(256)))
(model / 'sub.txt').write_text('sorts between by bytes, after by parts\n')
for name, curve in [('p256', ec.SECP256R1()), ('p384', ec.SECP384R1()), ('p521', ec.SECP521R1())]:
    key = ec.generate_private_key(curve)
    pem = here / f'{name}.pem'
    pem.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    (here / f'{name}.pub').write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    config = signing.Config().use_elliptic_key_signer(private_key=pem)
    config.set_hashing_config(hashing.Config().set_ignored_paths(paths=[], ignore_git_paths=True))
    config.sign(model, here / f'{name}.sig')
    pem.unlink()
