"""Pickles that try to run something, or to break whoever reads them: python hostile_pickles.py CANARY. One a line, in base64.

Each would create the file CANARY if it were executed, or is damaged, endless, or larger than it says.
"""

import base64
import os
import pickle
import pickletools
import random
import struct
import sys

canary = sys.argv[1]
CALLABLES = """os.system posix.system nt.system os.popen os.execv os.spawnl os.remove subprocess.Popen subprocess.call subprocess.check_output
builtins.eval builtins.exec builtins.compile builtins.getattr builtins.open builtins.__import__ builtins.print builtins.map builtins.apply
__builtin__.eval __builtin__.apply importlib.import_module runpy.run_path runpy._run_code code.InteractiveInterpreter pty.spawn timeit.timeit
webbrowser.open ctypes.CDLL socket.create_connection shutil.rmtree pickle.loads marshal.loads types.FunctionType types.CodeType operator.attrgetter
operator.methodcaller functools.partial copyreg._reconstructor copy_reg._reconstructor torch.load torch._utils._rebuild_tensor_v2 numpy.load
numpy.fromfile numpy.core.multiarray.fromfile numpy.f2py.compile numpy.testing._private.utils.runstring numpy.distutils.exec_command._exec_command
_codecs.decode codecs.open asyncio.create_subprocess_shell pydoc.pipepager pdb.run cProfile.run doctest.debug_script lib2to3.pgen2.grammar.Grammar.loads
numpy.ndarray.__reduce__ numpy.dtype.__class__ logging.config.listen sys.exit signal.raise_signal""".split()


def short(text: bytes) -> bytes:
    return b"\x8c" + bytes([len(text)]) + text


def payloads():
    command = f"touch {canary}".encode()
    argument = b"(" + b"X" + struct.pack("<I", len(command)) + command + b"t"
    for name in CALLABLES:
        module, _, attribute = name.rpartition(".")
        by_global = b"c" + module.encode() + b"\n" + attribute.encode() + b"\n"
        by_stack = short(module.encode()) + short(attribute.encode()) + b"\x93"
        memoised = short(module.encode()) + b"\x94" + short(attribute.encode()) + b"\x94" + b"0" + b"0" + b"h\x00h\x01\x93"
        for callee in (by_global, by_stack, memoised):
            for call in (b"R", b"\x81"):
                yield b"\x80\x04" + callee + argument + call + b"."
            yield b"\x80\x04}(" + short(b"images") + callee + argument + b"R" + short(b"prompts") + b"]u."
            yield b"\x80\x04" + callee + argument + b"}\x92."  # NEWOBJ_EX
            yield b"\x80\x04" + callee + b"}" + short(b"__setstate__") + callee + b"sb."  # BUILD
        yield b"(i" + module.encode() + b"\n" + attribute.encode() + b"\n" + b"."  # INST
        yield b"\x80\x02(" + by_global + b"S'x'\no."  # OBJ
        yield b"c" + module.encode() + b"\n" + attribute.encode() + b"\n(S'" + command + b"'\ntR."  # protocol 0

    class Evil:
        def __reduce__(self):
            return os.system, (command.decode(),)

    for protocol in range(6):
        yield pickle.dumps(Evil(), protocol)
        yield pickle.dumps({"images": [b"x"], "prompts": [Evil()]}, protocol)
        yield pickle.dumps({"images": [Evil()], "prompts": ["x"], "metadata": {}}, protocol)

    for extension in (b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"):
        yield b"\x80\x02" + extension + b"."
    yield b"\x80\x02" + b"(" * 1_000_000  # marks without an end
    yield b"\x80\x04" + b"]" + b"2" * 1_000_000 + b"."  # DUP
    yield b"\x80\x04" + b")" + b"\x85" * 1_000_000 + b"."  # tuples in tuples
    yield b"\x80\x04B" + struct.pack("<I", 2**31 - 1) + b"x."
    yield b"\x80\x04\x8e" + struct.pack("<Q", 2**63) + b"x."
    yield b"\x80\x04\x8b" + struct.pack("<i", -1) + b"."
    yield b"\x80\x04\x8b" + struct.pack("<i", 2**31 - 1) + b"."
    yield b"\x80\xffN."
    yield b"N."
    yield b"\x80\x04h\x05."
    yield b"\x80\x04."
    yield b"\x80\x04Q."
    yield b"\x80\x05\x97."
    good = pickle.dumps({"images": [b"x" * 100], "prompts": ["a red fox"], "metadata": {}}, 4)
    yield good + good
    for at in range(len(good)):
        yield good[:at]
    chance = random.Random(7)
    for _ in range(500):
        damaged = bytearray(good)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        yield bytes(damaged)


for payload in payloads():
    print(base64.b64encode(payload).decode())
