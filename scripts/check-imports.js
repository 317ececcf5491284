// Checks the folder order of src/core (a folder imports only from those above it), that a verb of lifecycle/ imports no
// other verb but those it is made of, that only cli/ and commands import oclif, that heavy packages are loaded dynamically
// and by one folder each, and that there are no cycles.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ORDER, VERBS_OF } from './import-order.js';

const src = fileURLToPath(new URL('../src', import.meta.url));
const ONLY_IN = {
  '@oclif/core': ['core/cli/', 'commands/'],
  'onnxruntime-node': ['core/runtime/'],
  sharp: ['core/media/'],
  '@huggingface/jinja': ['core/media/'],
  '@huggingface/tokenizers': ['core/media/'],
  undici: ['core/hub/', 'core/media/'],
  fastify: ['core/serving/'],
  pino: ['core/serving/'],
  'prom-client': ['core/serving/'],
  '@tensorflow/tfjs': ['core/training/engines/tfjs'],
  vega: ['core/card/'],
  'vega-lite': ['core/card/'],
  zod: ['core/zod.ts'],
};
const DYNAMIC_ONLY = new Set([
  'onnxruntime-node',
  'sharp',
  '@huggingface/jinja',
  '@huggingface/tokenizers',
  'undici',
  '@tensorflow/tfjs',
  'vega',
  'vega-lite',
]);
const problems = [];
const graph = new Map();

const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(src, resolve(entry.parentPath, entry.name)));

const rank = (file) => {
  const [top, folder] = file.split('/');
  if (top !== 'core') return ORDER.length; // commands and the public index stand above everything
  const index = ORDER.indexOf(folder);
  if (index < 0) problems.push(`${file}: folder ${folder} is not in the import order`);
  return index;
};

/** The verb whose folder of lifecycle/ a file lies in. */
const verbOf = (file) => /^core\/lifecycle\/([^/]+)\/./.exec(file)?.[1];

const packageOf = (spec) =>
  spec
    .split('/')
    .slice(0, spec.startsWith('@') ? 2 : 1)
    .join('/');

for (const file of files) {
  const text = readFileSync(resolve(src, file), 'utf8');
  const imports = [];
  for (const match of text.matchAll(/^(?:import|export)\s(?<type>type\s)?[^'";]*?from\s+'(?<spec>[^']+)'/gms)) {
    imports.push({ spec: match.groups.spec, dynamic: false, type: Boolean(match.groups.type) });
  }
  for (const match of text.matchAll(/\bimport\('([^']+)'\)/g))
    imports.push({ spec: match[1], dynamic: true, type: false });
  const targets = [];
  for (const { spec, dynamic, type } of imports) {
    if (spec.startsWith('.')) {
      const target = relative(src, resolve(src, dirname(file), spec)).replace(/\.js$/, '.ts');
      if (!files.includes(target)) problems.push(`${file}: imports ${spec}, which does not exist`);
      if (rank(target) > rank(file)) problems.push(`${file}: imports ${target}, which stands below it in the order`);
      const [from, to] = [verbOf(file), verbOf(target)];
      if (from && to && from !== to && !VERBS_OF[from]?.includes(to))
        problems.push(`${file}: the verb ${from} imports the verb ${to}`);
      if (!dynamic) targets.push(target);
      continue;
    }
    const name = packageOf(spec);
    const homes = ONLY_IN[name];
    if (homes && !homes.some((home) => file.startsWith(home)))
      problems.push(`${file}: only ${homes.join(' and ')} may import ${spec}`);
    if (spec === '@oclif/core' && !type)
      problems.push(`${file}: the index of ${spec} loads all of it, import a part such as ${spec}/flags`);
    if (DYNAMIC_ONLY.has(name) && !dynamic && !type) problems.push(`${file}: ${spec} is heavy, import it dynamically`);
  }
  graph.set(file, targets);
}

const state = new Map();
const visit = (file, path) => {
  if (state.get(file) === 'done') return;
  if (state.get(file) === 'open') {
    problems.push(`import cycle: ${[...path.slice(path.indexOf(file)), file].join(' -> ')}`);
    return;
  }
  state.set(file, 'open');
  for (const next of graph.get(file) ?? []) visit(next, [...path, file]);
  state.set(file, 'done');
};
for (const file of files) visit(file, []);

for (const problem of problems) console.error(problem);
console.log(`imports: ${files.length} files checked, ${problems.length} problem(s)`);
process.exitCode = problems.length > 0 ? 1 : 0;
