import { existsSync, readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';

/** A name that a declaration file makes known: its own declaration, or where it comes from. */
type Known = { readonly text: string } | { readonly file: string; readonly name: string };

const files = new Map<string, Map<string, Known>>();

const IDENTIFIER = /[A-Za-z_$][\w$]*/g;

/** The names in a declaration file of `dist`, the imported and re-exported ones too. */
function namesIn(file: string): Map<string, Known> {
  const known = files.get(file);
  if (known) return known;
  const names = new Map<string, Known>();
  files.set(file, names);
  const text = readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '');
  const from = (spec: string): string => resolve(dirname(file), spec.replace(/\.js$/, '.d.ts'));
  for (const [, list, spec] of text.matchAll(
    /(?:import|export)\s+(?:type\s+)?\{([^}]*)\}\s+from\s+['"](\.[^'"]+)['"]/g,
  )) {
    for (const item of list.split(',').filter((one) => one.trim() !== '')) {
      const [name, as = name] = item
        .trim()
        .replace(/^type\s+/, '')
        .split(/\s+as\s+/);
      names.set(as, { file: from(spec), name });
    }
  }
  for (const [, spec] of text.matchAll(/export\s+\*\s+from\s+['"](\.[^'"]+)['"]/g))
    for (const [name] of namesIn(from(spec))) names.set(name, { file: from(spec), name });
  const declaration = /^(?:export )?(?:declare )?(?:abstract )?(?:interface|type|class|const|function|enum) ([\w$]+)/;
  for (const statement of text.split(/\n(?=[a-z])/)) {
    const [, name] = declaration.exec(statement) ?? [];
    if (name !== undefined) names.set(name, { text: (textOf(names, name) ?? '') + statement });
  }
  return names;
}

function textOf(names: Map<string, Known>, name: string): string | undefined {
  const known = names.get(name);
  return known && 'text' in known ? known.text : undefined;
}

/** Where a name is declared, following imports; undefined for what is not of the package. */
function origin(
  file: string,
  name: string,
): { readonly file: string; readonly name: string; readonly text: string } | undefined {
  if (!existsSync(file)) return undefined;
  const known = namesIn(file).get(name);
  if (known === undefined) return undefined;
  return 'text' in known ? { file, name, text: known.text } : origin(known.file, known.name);
}

/** A name in the entry's words: constants stand for their own type, which a caller need not name. */
const isType = (word: string): boolean => /^[A-Z]/.test(word) && !/^[A-Z0-9_]+$/.test(word);

/** Everything an entry exports, by name. */
export const exportsOf = (entry: string): string[] => [...namesIn(entry).keys()].sort();

/** Types of the package that exported declarations mention and the entry does not export, each with who mentions it. */
export function unexportedTypes(
  entry: string,
): { readonly type: string; readonly file: string; readonly by: string }[] {
  const exported = new Map<string, { readonly file: string; readonly name: string; readonly text: string }>();
  for (const [name] of namesIn(entry)) {
    const at = origin(entry, name);
    if (at) exported.set(`${at.file}#${at.name}`, at);
  }
  const missing = new Map<string, { type: string; file: string; by: string }>();
  const seen = new Set<string>();
  const visit = (file: string, text: string, by: string): void => {
    for (const [word] of text.replace(/^\s+private .*$/gm, '').matchAll(IDENTIFIER)) {
      const at = isType(word) ? origin(file, word) : undefined;
      if (!at) continue;
      const key = `${at.file}#${at.name}`;
      if (exported.has(key)) continue;
      if (at.text.startsWith('export')) missing.set(key, { type: at.name, file: at.file, by });
      else if (!seen.has(key)) {
        seen.add(key); // a name of that file alone: what it is made of is looked at in its place
        visit(at.file, at.text, by);
      }
    }
  };
  for (const { file, name, text } of exported.values()) visit(file, text, name);
  return [...missing.values()];
}
