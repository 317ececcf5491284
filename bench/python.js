// The Python that holds the peers, and what is installed in it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const OWN = fileURLToPath(new URL('.venv/bin/python', import.meta.url));

/** The given one, or what setup.sh made here, or the system's. */
export const defaultPython = () => process.env.PYTHON ?? (existsSync(OWN) ? OWN : 'python3');

const VERSIONS = `import importlib.metadata as m, json, platform, sys
found = {}
for name in sys.argv[1:]:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps({"python": platform.python_version(), **found}))`;

/** Every package a bench may ask for, in the words of setup.sh. */
const PACKAGES = [
  'torch',
  'torchvision',
  'transformers',
  'onnx',
  'onnxscript',
  'onnxruntime',
  'optimum',
  'optimum-onnx',
  'numpy',
  'scipy',
  'scikit-learn',
  'netcal',
  'safetensors',
  'pillow',
  'captum',
];

/** @returns {{command: string, versions: Record<string, string>, rival: (rival: object) => object}} */
export function findPython(command = defaultPython()) {
  const { status, stdout } = spawnSync(command, ['-c', VERSIONS, ...PACKAGES], { encoding: 'utf8' });
  const versions = status === 0 ? JSON.parse(stdout) : {};
  return {
    command,
    versions,
    /** A rival that runs a Python script; absent where one of the packages it `needs` is. The first names its version. */
    rival({ name, needs, ...rest }) {
      const missing = needs.filter((need) => !versions[need]);
      if (missing.length > 0) return { name, absent: `not installed: ${missing.join(', ')} (bench/setup.sh)` };
      return { name, version: versions[needs[0]], command, ...rest };
    },
  };
}
