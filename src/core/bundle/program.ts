import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, posix, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isJsonObject, type JsonObject, type JsonValue } from '../bytes/json.js';
import { HpsError } from '../errors.js';
import type { BundleFile } from './archive.js';
import { withoutComments } from './comments.js';
import { ONNXRUNTIME } from './runtimes-lock.js';

/** The package that runs. */
export const PACKAGE_ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** Where the program of a release lies in it. */
const APP = 'lib/app';

/** What a release runs: the commands behind the modes of run_hpsv3. */
const COMMANDS = ['score', 'batch', 'serve', 'release demo'];
const ENTRIES = [
  'bin/run_hpsv3.js',
  'dist/core/cli/run.js',
  ...['score', 'batch/index', 'serve/index', 'release/demo'].map((command) => `dist/commands/${command}.js`),
];

/** A package of JavaScript that the program needs. */
export interface ScriptPackage {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  /** Where it lies below `node_modules`. */
  readonly path: string;
}

export interface Program {
  readonly files: readonly BundleFile[];
  readonly packages: readonly ScriptPackage[];
  readonly licenses: readonly BundleFile[];
}

/**
 * The program of a release, which is the same on every system: of this package what the modes of run_hpsv3 can reach, and the packages it
 * names with all they depend on, without types, sources, tests and documentation.
 *
 * @throws HpsError FILE_NOT_FOUND where this package was not built
 */
export function readProgram(root = PACKAGE_ROOT): Program {
  const { files, imports, within } = ownFiles(root);
  const packages = packagesOf(root, imports, within);
  return {
    files: [
      ...files.map((path) => ({ path: `${APP}/${path}`, content: contentOf(join(root, path)) })),
      { path: `${APP}/package.json`, content: Buffer.from(`${JSON.stringify(manifestOf(root), null, 2)}\n`) },
      { path: `${APP}/oclif.manifest.json`, content: Buffer.from(`${JSON.stringify(commandsOf(root))}\n`) },
      ...packages.flatMap(({ folder, path, reached }) =>
        [...reached]
          .sort()
          .map((file) => ({ path: `${APP}/node_modules/${path}/${file}`, content: contentOf(join(folder, file)) })),
      ),
    ],
    packages: packages.map(({ name, version, license, path }) => ({ name, version, license, path })),
    licenses: [
      { path: 'LICENSES/hpsv3/LICENSE', content: { file: join(root, 'LICENSE') } },
      ...packages.flatMap(({ folder, path }) =>
        termsOf(folder).map((file) => ({
          path: `LICENSES/${path.replaceAll('/', '-').replace('@', '')}/${file}`,
          content: { file: join(folder, file) },
        })),
      ),
      ...readdirSync(join(root, 'licenses/onnxruntime')).map((file) => ({
        path: `LICENSES/${ONNXRUNTIME.name}/${file}`,
        content: { file: join(root, 'licenses/onnxruntime', file) },
      })),
    ],
  };
}

/** What only people, npm and compilers read of a package.json. */
const FOR_PEOPLE = new Set([
  ...['author', 'bugs', 'contributors', 'description', 'files', 'funding', 'homepage', 'keywords', 'maintainers'],
  ...['publishConfig', 'readme', 'repository', 'scripts', 'types', 'typesVersions', 'typings', 'devDependencies'],
]);

/** A file as a release has it: without what only people read. */
function contentOf(path: string): Uint8Array {
  const bytes = readFileSync(path);
  if (basename(path) === 'package.json') {
    const fields = Object.entries(JSON.parse(bytes.toString())).filter(([key]) => !FOR_PEOPLE.has(key));
    return Buffer.from(JSON.stringify(Object.fromEntries(fields)));
  }
  return /\.(?:c?js|mjs)$/.test(path) ? Buffer.from(withoutComments(bytes.toString())) : bytes;
}

const IMPORTS = [
  /^(?:import|export)\b[^'";]*?from\s*['"]([^'"]+)['"]/gm,
  /^import\s*['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
];
/** Also threads and child processes, which are started by path. */
const OWN_FILES = /['"](\.{1,2}\/[\w./-]+\.js)['"]/g;

/** How a file begins that the build put a package into. */
const WITHIN = /^\/\*! With ([\w@/.-]+)\.\n/;

/** Files of this package that the entries reach, the packages these import, and those that stand within them. */
function ownFiles(root: string): { files: string[]; imports: string[]; within: string[] } {
  const files = new Set<string>();
  const imports = new Set<string>();
  const within = new Set<string>();
  const queue = [...ENTRIES];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (files.has(path)) continue;
    files.add(path);
    const text = readBuilt(root, path);
    const [, bundled] = WITHIN.exec(text) ?? [];
    if (bundled !== undefined) within.add(bundled);
    for (const [, name] of IMPORTS.flatMap((pattern) => [...text.matchAll(pattern)])) {
      if (!name.startsWith('.') && !name.startsWith('node:')) imports.add(name);
    }
    for (const [, name] of text.matchAll(OWN_FILES)) {
      const found = posix.join(posix.dirname(path), name);
      if (!found.startsWith('..') && existsSync(join(root, found))) queue.push(found);
    }
  }
  return { files: [...files].sort(), imports: [...imports].sort(), within: [...within].sort() };
}

function readBuilt(root: string, path: string): string {
  const file = join(root, path);
  if (existsSync(file)) return readFileSync(file, 'utf8');
  throw new HpsError('FILE_NOT_FOUND', `${path}: this installation of hpsv3 has no such file`, {
    hint: 'Install hpsv3 again; in a checkout run `npm run build`.',
    details: { file: path },
  });
}

const packageName = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

interface FoundPackage extends ScriptPackage {
  readonly folder: string;
  /** All scripts it has, and those that can be reached. */
  readonly all: ReadonlySet<string>;
  readonly reached: Set<string>;
}

/**
 * Packages with all they load, each as near the top of node_modules as its version allows.
 * @param within - those whose scripts are there already, in a file of this package: their terms and names are due all the same
 */
function packagesOf(root: string, specifiers: readonly string[], within: readonly string[]): FoundPackage[] {
  const placed = new Map<string, FoundPackage>();
  const queue = specifiers.map((specifier) => ({ specifier, from: root, parent: '' }));
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const { specifier, from, parent } = next;
    const name = packageName(specifier);
    const folder = findPackage(from, name);
    const seen = nearest(placed, name, parent);
    const found =
      seen?.folder === folder
        ? seen
        : place(placed, folder, seen === undefined ? name : `${parent}/node_modules/${name}`);
    const { dependencies = {} } = readManifest(folder);
    const names = Object.keys(dependencies as JsonObject);
    for (const path of reach(found, `.${specifier.slice(name.length)}`)) {
      const text = readFileSync(join(folder, path), 'utf8');
      for (const one of literalsIn(text).filter((literal) => names.includes(packageName(literal)))) {
        queue.push({ specifier: one, from: folder, parent: found.path });
      }
    }
  }
  for (const name of within) if (!placed.has(name)) place(placed, findPackage(root, name), name);
  return [...placed.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
}

function place(placed: Map<string, FoundPackage>, folder: string, path: string): FoundPackage {
  const { name, version, license } = readManifest(folder);
  const all = new Set(filesBelow(folder).filter((file) => SCRIPT.test(file)));
  const found = {
    name: String(name),
    version: String(version),
    license: licenseOf(license),
    path,
    folder,
    all,
    reached: new Set(['package.json']),
  };
  placed.set(path, found);
  return found;
}

/** A package.json of a folder says what kind of scripts lie below it. */
const manifestsAbove = (path: string): string[] =>
  path.split('/').map((_, i, parts) => [...parts.slice(0, i), 'package.json'].join('/'));

/** Adds what a subpath of a package loads of it; the scripts that are new. */
function reach({ folder, all, reached }: FoundPackage, subpath: string): string[] {
  const queue = entriesOf(readManifest(folder), subpath, all);
  const scripts: string[] = [];
  for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
    if (reached.has(path)) continue;
    reached.add(path);
    for (const manifest of manifestsAbove(path)) if (all.has(manifest)) reached.add(manifest);
    if (!/js$/.test(path)) continue;
    scripts.push(path);
    queue.push(...filesNamedIn(readFileSync(join(folder, path), 'utf8'), path, all));
  }
  return scripts;
}

/** What a package at `parent` would load under a name, by what is placed so far. */
function nearest(placed: ReadonlyMap<string, FoundPackage>, name: string, parent: string): FoundPackage | undefined {
  for (
    let at = parent;
    at !== '';
    at = at.includes('/node_modules/') ? at.slice(0, at.lastIndexOf('/node_modules/')) : ''
  ) {
    const found = placed.get(`${at}/node_modules/${name}`);
    if (found) return found;
  }
  return placed.get(name);
}

/** The package whose libraries a release takes. */
export const onnxruntimeFolder = (): string => findPackage(PACKAGE_ROOT, ONNXRUNTIME.name);

/** As Node looks for it: in the node_modules of the folder and of every folder above. */
function findPackage(from: string, name: string): string {
  for (let at = resolve(from); ; at = dirname(at)) {
    const folder = join(at, 'node_modules', name);
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (dirname(at) === at) break;
  }
  throw new HpsError('FILE_NOT_FOUND', `${name}: this installation of hpsv3 lacks the package`, {
    hint: 'Install hpsv3 again.',
    details: { package: name },
  });
}

const readManifest = (folder: string): JsonObject => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));

const licenseOf = (license: unknown): string =>
  typeof license === 'string' ? license : ((license as { type?: string } | undefined)?.type ?? 'not stated');

const SCRIPT = /\.(?:c?js|mjs|json|wasm)$/;

/** Conditions that hold for Node, where a package is imported and where it is required. */
const CONDITIONS = [
  new Set(['node', 'node-addons', 'module-sync', 'import', 'default']),
  new Set(['node', 'node-addons', 'module-sync', 'require', 'default']),
];

/** The files that package.json gives for a subpath (`.`, `./sync`). */
function entriesOf({ main, exports }: JsonObject, subpath: string, all: ReadonlySet<string>): string[] {
  const own = subpath === '.' ? [String(main ?? 'index.js'), 'index.js'] : [subpath];
  const targets = exports === undefined || exports === null ? own : targetsOf(exports, subpath);
  return targets.flatMap((target) => resolved(posix.normalize(target), all));
}

function targetsOf(exports: JsonValue, subpath: string): string[] {
  const isMap = isJsonObject(exports) && Object.keys(exports).some((key) => key.startsWith('.'));
  if (!isMap) return subpath === '.' ? conditional(exports) : [];
  return Object.entries(exports as JsonObject).flatMap(([key, value]) => {
    if (key === subpath) return conditional(value);
    const [before, after] = key.split('*');
    if (after === undefined || !subpath.startsWith(before) || !subpath.endsWith(after)) return [];
    const middle = subpath.slice(before.length, subpath.length - after.length);
    return conditional(value).map((target) => target.replaceAll('*', middle));
  });
}

/** The target for both ways of loading: of each, the first condition that holds. */
const conditional = (target: JsonValue): string[] => [
  ...new Set(CONDITIONS.flatMap((holds) => firstOf(target, holds))),
];

function firstOf(target: JsonValue, holds: ReadonlySet<string>): string[] {
  if (typeof target === 'string') return [target];
  if (Array.isArray(target)) return target.flatMap((one) => firstOf(one, holds));
  if (!isJsonObject(target)) return [];
  const key = Object.keys(target).find((one) => holds.has(one));
  return key === undefined ? [] : firstOf(target[key], holds);
}

const literalsIn = (text: string): string[] =>
  [...text.matchAll(/['"`]([\w.@/-]{1,200})['"`]/g)].map(([, literal]) => literal);

/** Every text in a script that is the path of a file of its package: what it imports, and what it starts as a thread. */
function filesNamedIn(text: string, path: string, all: ReadonlySet<string>): string[] {
  const folder = posix.dirname(path);
  return literalsIn(text).flatMap((name) =>
    name.startsWith('.') || SCRIPT.test(name) ? resolved(posix.join(folder, name), all) : [],
  );
}

/** As `require` completes a path. */
const resolved = (path: string, all: ReadonlySet<string>): string[] =>
  [path, `${path}.js`, `${path}.cjs`, `${path}.json`, `${path}/index.js`].filter((one) => all.has(one));

const TERMS = /^(?:licen[cs]e|copying|notice|third.?party.?notices?)[^/]*$/i;
const termsOf = (folder: string): string[] => filesBelow(folder).filter((path) => TERMS.test(path));

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .filter((path) => !path.startsWith('node_modules/') && !path.includes('/node_modules/'))
    .sort();

/** What Node and oclif read of this package's own package.json, and no plugin. */
function manifestOf(root: string): JsonObject {
  const { name, version, description, license, type, engines, oclif } = readManifest(root);
  const { plugins, hooks, ...settings } = oclif as JsonObject;
  return { name, version, description, license, type, engines, oclif: settings };
}

/** The commands of a release, out of the list that oclif reads instead of the files. */
function commandsOf(root: string): JsonObject {
  const { commands, ...rest } = JSON.parse(readBuilt(root, 'oclif.manifest.json')) as { commands: JsonObject };
  const kept = COMMANDS.map((command) => command.replaceAll(' ', ':'));
  return { ...rest, commands: Object.fromEntries(Object.entries(commands).filter(([id]) => kept.includes(id))) };
}
